"""The page of `sagan data check` in a real browser: what is counted is drawn, nothing is loaded, all can use it."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sagan.data import check
from sagan.pages import check_page
from sagan.pages.check import CLASS_ROWS, MOST_BYTES

EVIL = "<script>document.title='taken'<!--"
COUNTS = {"boat": 40, "cat": 20, EVIL: 10}


def photo(seed: int, width: int = 48, height: int = 48) -> Image.Image:
    """Make a picture with large and small shapes, another one for each seed."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((width, height), 3)
    noise = random.integers(-20, 21, (height, width, 3))
    return Image.fromarray((np.asarray(coarse) + noise).clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes, one with a hostile name, with copies, odd ones, rectangles and files that cannot be read."""
    folder = tmp_path_factory.mktemp("sets") / "awkward"
    for label, (name, count) in enumerate(COUNTS.items()):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            width = 144 if name == "cat" and index < 5 else 48
            photo(100 * label + index, width).save(folder / name / f"{index:03}.png")
    photo(0).save(folder / "cat" / "copy.jpg", quality=85)
    photo(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "boat" / "mirror.jpg", quality=85)
    (folder / "boat" / '"><img src=x onerror=alert(1)>.png').write_bytes((folder / "boat" / "002.png").read_bytes())
    Path(os.fsdecode(os.fsencode(folder / "boat") + b"/caf\xe9\n\xe2\x80\xae.png")).write_bytes(b"no picture")
    (folder / "notes <b>.txt").write_text("x")
    return folder


@pytest.fixture(scope="module")
def report(folder: Path):
    return check(str(folder), 32, progress=False)


@pytest.fixture(scope="module")
def file(report, folder: Path) -> Path:
    """The page on the disk."""
    file = folder.parent / "page.html"
    file.write_text(
        check_page(report.record(), lambda indices: report.pictures(indices, progress=False), report.fit_sheet), "utf-8"
    )
    return file


def test_bars_are_as_long_as_the_counts_say(file: Path, open_page) -> None:
    page = open_page(file)
    width = "(row, what) => row.querySelector(what).getBoundingClientRect().width"
    found = page.eval_on_selector_all(
        "tr[data-pictures]",
        f"rows => {{ const w = {width}; return rows.map(row => [row.querySelector('th').innerText, "
        "Number(row.dataset.pictures), w(row, '.bar rect') / w(row, '.bar')]); }",
    )
    assert [(name, count) for name, count, _ in found] == [("boat", 42), ("cat", 21), (EVIL, 10)]
    assert [share for *_, share in found] == pytest.approx([1, 21 / 42, 10 / 42], abs=0.01)


def test_a_bar_is_seen_in_the_pixels(file: Path, open_page) -> None:
    page = open_page(file)
    lengths = []
    for bar in page.locator(".bar").all():
        pixels = np.asarray(Image.open(io.BytesIO(bar.screenshot())).convert("RGB")).astype(int)
        row = pixels[len(pixels) // 2, 3:-3]
        lengths.append((np.abs(row - row[0]).sum(1) < 30).mean())
    assert lengths == pytest.approx([1, 0.5, 0.24], abs=0.03)


def test_what_was_found_is_on_the_page(file: Path, open_page) -> None:
    page = open_page(file)
    text = page.inner_text("main")
    for word in ("Remarks", "How to train on it", "Near copies", "In two classes", "mirrored", "Left out", "Sizes"):
        assert word in text, word
    assert "Fine with remarks" in page.inner_text("#verdict")
    assert "cat/copy.jpg" in text and "boat/000.png" in text
    assert "67% lost" in text  # of 144 x 48 the centre square keeps a third
    assert "sagan train --data" in page.inner_text("#command") and "--size 32" in page.inner_text("#command")
    assert page.locator("#sizes ~ svg circle").count() == 2


def test_what_each_fit_loses_is_shown(file: Path, report, open_page) -> None:
    page = open_page(file)
    assert page.eval_on_selector("img.fit", "i => [i.naturalWidth, i.naturalHeight]") == list(report.fit_sheet.size)


def test_the_page_opens_from_the_disk_and_asks_for_nothing(file: Path, open_page) -> None:
    page = open_page(file, bypass_csp=False)
    page.keyboard.press("End")
    broken = page.eval_on_selector_all("img", "all => all.filter(i => !i.complete || !i.naturalWidth).length")
    assert (page.asked, page.said, broken) == ([], [], 0)
    assert page.locator("img").count() > 20
    assert "http" not in file.read_text("utf-8").replace("http-equiv", "")


def test_hostile_names_are_text(file: Path, open_page) -> None:
    page = open_page(file, bypass_csp=False)
    assert page.title() == "awkward: check of pictures"
    assert page.locator("script").count() == 1 and page.locator("img[src=x]").count() == 0
    page.locator("summary").first.click()
    text = page.inner_text("main")
    assert EVIL in text and '"><img src=x onerror=alert(1)>.png' in text
    assert "caf\\xe9\\n\\u202e.png" in text and "\u202e" not in text


def test_a_script_that_slipped_in_would_not_run(file: Path, open_page, tmp_path: Path) -> None:
    poisoned = tmp_path / "poisoned.html"
    evil = "<main><script>document.title='taken'</script><img src=data:, onerror=\"document.title='taken'\">"
    poisoned.write_text(file.read_text("utf-8").replace("<main", f"{evil}<main", 1), "utf-8")
    assert open_page(poisoned, bypass_csp=False).title() == "awkward: check of pictures"
    assert open_page(poisoned, bypass_csp=True).title() == "taken"  # so it is the policy that forbids it


def test_it_is_used_by_the_keyboard(file: Path, open_page) -> None:
    page = open_page(file)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["x"] >= 0  # it is seen once it has the focus
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.tagName"))
        if page.evaluate("document.activeElement.tagName") == "SUMMARY":
            page.keyboard.press("Enter")
            assert page.evaluate("document.activeElement.parentElement.open")
            break
    assert {"BUTTON", "SUMMARY"} <= reached


def test_the_command_is_copied(file: Path, open_page) -> None:
    page = open_page(file, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").press("Enter")
    page.wait_for_function("document.querySelector('button span').textContent != 'Copy'")
    assert page.evaluate("navigator.clipboard.readText()") == page.inner_text("#command")


@pytest.mark.long("axe looks at the whole page")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
def test_everybody_can_read_it(file: Path, open_page, accessibility_faults, dark: bool, phone: bool) -> None:
    page = open_page(file, dark=dark, phone=phone)
    assert accessibility_faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == page.viewport_size["width"]
    ground = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("L"))
    assert ground[2, 2] < 60 if dark else ground[2, 2] > 200
    assert ground.max() - ground.min() > 150  # there is something to read


def test_faults_are_seen(open_page, accessibility_faults, tmp_path: Path) -> None:
    (tmp_path / "bad.html").write_text("<html><title>x</title><img src='data:,'><p style='color:#ddd'>pale</p>")
    found = accessibility_faults(open_page(tmp_path / "bad.html"))
    assert any(fault.startswith("image-alt") for fault in found)
    assert any(fault.startswith("color-contrast") for fault in found)


def test_many_classes_of_noise_make_no_large_page(tmp_path: Path) -> None:
    rows = [{"name": f"class {i}", "pictures": i + 1, "left_out": 0} for i in range(CLASS_ROWS + 9)]
    rows = [row | {"examples": [one(i)] * 8} for i, row in enumerate(rows)]
    np.savez(tmp_path / "a.npz", images=np.random.default_rng(0).integers(0, 256, (4, 9, 9, 3), np.uint8))
    record = check(str(tmp_path / "a.npz"), progress=False).record()
    record |= {"classes": rows, "odd": {"dark": [one(i) for i in range(500)]}}
    record |= {"near": [{"mirrored": False, "pictures": [one(2 * i), one(2 * i + 1)]} for i in range(500)]}
    noise = {i: Image.fromarray(np.random.default_rng(i).integers(0, 256, (160, 160, 3), np.uint8)) for i in range(4)}
    text = check_page(record, lambda indices: {index: noise[index % 4] for index in indices})
    assert len(text.encode()) < MOST_BYTES + 500_000 < 5_000_000
    assert "and 9 classes between these" in text and "490 more" in text


def one(index: int) -> dict[str, object]:
    return {"index": index, "name": f"{index}.png", "class": "a"}
