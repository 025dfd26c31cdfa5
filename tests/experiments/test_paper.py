"""One whole experiment through the command line."""

from pathlib import Path

import pytest

from sagan.cli.main import main
from sagan.experiments.row import read_result

pytestmark = pytest.mark.usefixtures("own_place")


@pytest.mark.slow("trains nine rows and draws their table, in processes of their own")
def test_table_1_at_scale_smoke_through_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paper", "run", "table1", "--scale", "smoke", "--out", "out", "--jobs", "2"]) == 0
    said = capsys.readouterr()
    assert "not at this size: attention feat32, residual feat32" in said.err
    folder = Path("out/table1-smoke-32-digits")
    assert [line for line in said.out.splitlines() if line.endswith("table.md")] == [str(folder / "table.md")]
    lines = (folder / "table.md").read_text().partition("## Differences")[0].splitlines()
    cells = {line.split("|")[1].strip(): [c.strip() for c in line.split("|")[2:-1]] for line in lines if "|" in line}
    header = cells[""]
    for name in ("no attention", "attention feat8", "attention feat16", "residual feat8", "residual feat16"):
        row = dict(zip(header, cells[name], strict=True))
        folders = list(Path("out/rows").glob(f"{name.replace(' ', '-')}-seed0-*"))
        result = read_result(folders[0])
        assert result is not None
        value = result["reports"]["final"]["values"][0]["value"]
        assert float(row["FD(pixels 8x8), last step"]) == pytest.approx(value, abs=0.06)
        assert row["seeds"] == "1"
    assert dict(zip(header, cells["attention feat32"], strict=True))["FD(pixels 8x8), last step"] == "-"
    assert dict(zip(header, cells["attention feat32"], strict=True))["published FID"] == "18.28"
    assert (folder / "table.png").stat().st_size > 10_000
    assert (folder / "curves-fd-pixels-8x8.png").exists()
    # The same command finds all done, and so does render.
    assert main(["paper", "run", "table1", "--scale", "smoke", "--out", "out"]) == 0
    assert "0 of 5 are still to run" in capsys.readouterr().err
    before = (folder / "table.md").read_text()
    assert main(["paper", "render", "--out", "out"]) == 0
    assert (folder / "table.md").read_text() == before
    assert Path("out/runs/.gitignore").read_text() == "*\n"
