"""The folder to share: what its card says, and the way to the Hub and back, without a network."""

import html
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from huggingface_hub import HfApi
from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from PIL import Image

import sagan
from sagan.data.names import readable
from sagan.exchange.card import card, measured, plain
from sagan.exchange.folder import write_folder
from sagan.exchange.hub import HubGenerator
from sagan.exchange.take_out import _run_of, export, export_to
from sagan.generators.hub import is_hub_id
from sagan.generators.weights import save_weights
from sagan.metrics.report import Report, Value

REPORT = Report(
    subject={"run": "x"},
    values=(
        Value(
            metric="FID",
            value=12.3456,
            higher_is_better=False,
            protocol={"network": "inception", "generated": 5000, "seed": 0},
            warnings=("few samples",),
        ),
    ),
    versions={},
)


def same(images, others):
    """Compare samples of a generator that was loaded with those of the one that was written.

    The former computes in another layout, which may round a pixel to the level beside it, by the processor.
    """
    apart = np.abs(images.astype(int) - others)
    return apart.max() <= 1 and (apart > 0).mean() < 0.01


def test_the_comparison_sees_another_sample(small):
    assert not same(small().sample(2, seed=1), small().sample(2, seed=2))


def test_a_card_has_data_steps_values_with_protocols_limits_and_no_licence_of_its_own(small):
    text = card(small(), [REPORT], name="pets")
    front = yaml.safe_load(text.split("---")[1])
    assert front["library_name"] == "sagan"
    assert (front["license"], front["license_name"]) == ("other", "not-chosen-yet")
    for said in (
        "900 pictures, pets",
        "Steps (updates of the generator): 12",
        "**FID** 12.346 (lower is better). Note: few samples. Protocol: network inception; generated 5000; seed 0.",
        "## Limits",
        "has not chosen a licence",
        "cat, dog & co, 3",
        "](samples.png)",
    ):
        assert said in text, said
    chosen = card(small(), [], name="pets", licence="apache-2.0")
    assert yaml.safe_load(chosen.split("---")[1])["license"] == "apache-2.0"
    assert "Nothing was measured" in chosen
    assert "not-chosen" not in chosen


def test_the_example_of_a_card_runs(small, tmp_path):
    write_folder(small(), tmp_path / "pets")
    text = (tmp_path / "pets" / "README.md").read_text()
    code = text.split("```python\n")[1].split("```")[0]
    found = {}
    exec(code, found)
    assert same(found["images"], small().sample(8, "cat"))


def test_a_folder_is_loaded_and_gives_the_same_images(small, tmp_path):
    generator = small()
    write_folder(generator, tmp_path / "pets")
    again = sagan.load(tmp_path / "pets")
    assert same(again.sample(4, seed=3), generator.sample(4, seed=3))
    assert again.class_names == generator.class_names
    assert json.loads((tmp_path / "pets" / "config.json").read_text())["generator"]["size_px"] == 16
    with Image.open(tmp_path / "pets" / "samples.png") as picture:
        assert picture.size[0] > 100


def test_the_mixin_saves_and_reads_a_folder(small, tmp_path):
    generator = small(num_classes=0)
    HubGenerator.of(generator, [REPORT], licence="mit").save_pretrained(tmp_path / "pets")
    assert "FID" in (tmp_path / "pets" / "README.md").read_text()
    again = HubGenerator.from_pretrained(tmp_path / "pets", device="cpu").generator
    assert same(again.sample(2), generator.sample(2))
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="is the folder of a run"):
        HubGenerator.of(generator).save_pretrained(tmp_path / "run")
    assert (tmp_path / "run" / "config.json").exists()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hub that is a folder of this machine."""
    root = tmp_path / "the hub"

    def create(self, repo_id, **_):
        (root / repo_id).mkdir(parents=True, exist_ok=True)
        return type("Url", (str,), {"repo_id": repo_id})(f"https://hub/{repo_id}")

    def upload(self, *, repo_id, folder_path, **_):
        shutil.copytree(folder_path, root / repo_id, dirs_exist_ok=True)
        return repo_id

    def download(name, file, **_):
        if not (root / name / file).exists():
            raise LocalEntryNotFoundError("not in the cache")
        return str(root / name / file)

    monkeypatch.setattr(HfApi, "create_repo", create)
    monkeypatch.setattr(HfApi, "upload_folder", upload)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    monkeypatch.setattr(
        "huggingface_hub.hub_mixin.hf_hub_download", lambda repo_id, filename, **_: download(repo_id, filename)
    )
    return root


def test_pushed_and_loaded_by_its_name(small, tmp_path, hub):
    generator = small()

    def called(name):
        return f"sagan.load('{name}')" in (hub / name / "README.md").read_text()

    pushed = HubGenerator.of(generator)
    pushed.push_to_hub("me/pets")
    assert called("me/pets") and pushed.name is None
    assert same(sagan.load("me/pets").sample(3), generator.sample(3))
    again = HubGenerator.from_pretrained("me/pets").generator
    assert same(again.sample(3), generator.sample(3))
    HubGenerator.of(generator).save_pretrained(tmp_path / "cats", push_to_hub=True, repo_id="me/cats", private=True)
    assert called("me/cats")
    HubGenerator.of(generator, name="other").push_to_hub("me/named")
    assert "# other" in (hub / "me" / "named" / "README.md").read_text()
    assert np.array_equal(sagan.load("me/cats").sample(3), sagan.load(tmp_path / "cats").sample(3))
    save_weights(generator.network, tmp_path / "g.safetensors", generator.class_names, generator.provenance)
    exported = export_to("g.safetensors", "shared", push="me/again")
    assert exported.address == "https://hub/me/again"
    assert "# me/again" in (hub / "me" / "again" / "README.md").read_text()
    assert "sagan.load('me/again')" in (hub / "me" / "again" / "README.md").read_text()
    assert same(sagan.load("me/again").sample(3), generator.sample(3))


def test_a_push_that_fails_keeps_the_folder(small, tmp_path, monkeypatch):
    def offline(*_, **__):
        raise OfflineModeIsEnabled("offline mode is enabled")

    monkeypatch.setattr(HfApi, "create_repo", offline)
    save_weights(small().network, tmp_path / "g.safetensors", small().class_names, {})
    with pytest.raises(OSError, match="shared is written, but was not pushed to me/pets: offline mode is enabled"):
        export_to("g.safetensors", "shared", push="me/pets")
    assert sagan.load("shared").class_names[0] == "cat"


def test_out_of_reach_is_one_clear_sentence(hub):
    with pytest.raises(FileNotFoundError) as caught:
        sagan.load("me/nothing")
    assert str(caught.value) == (
        "me/nothing: no such run folder, checkpoint or weights file here; the Hugging Face Hub is out of reach (no "
        "connection, or HF_HUB_OFFLINE is set), and its cache has no generator.safetensors of that name: load it once "
        "with a connection, or copy that file here and name it"
    )


def test_without_a_connection_the_hub_s_cache_is_read(small, tmp_path, monkeypatch):
    """A folder as the Hub's own library lays out what it downloaded: a reference, a snapshot, files elsewhere."""
    commit, cache = "0123456789abcdef0123456789abcdef01234567", tmp_path / "hub"
    place = cache / "models--me--pets"
    write_folder(small(), place / "snapshots" / commit)
    (place / "blobs").mkdir()
    weights = place / "snapshots" / commit / "generator.safetensors"
    weights.replace(place / "blobs" / "a1b2")
    weights.symlink_to(Path("../../blobs/a1b2"))
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(commit)
    (place / "refs" / "v1").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    expected = small().sample(3)
    assert same(sagan.load("me/pets").sample(3), expected)
    for options in ({}, {"revision": "v1"}, {"revision": commit}, {"local_files_only": True}, {"cache_dir": cache}):
        again = HubGenerator.from_pretrained("me/pets", **options).generator
        assert same(again.sample(3), expected), options
    for name, options in (("me/pests", {}), ("me/pets", {"revision": "v2"}), ("me/pets", {"cache_dir": tmp_path})):
        with pytest.raises(FileNotFoundError, match="load it once with a connection, or copy that file here"):
            HubGenerator.from_pretrained(name, **options)
    weights.unlink()
    with pytest.raises(FileNotFoundError, match=r"cache has no generator.safetensors of that name"):
        sagan.load("me/pets")


def test_without_names_nobody_waits_for_the_hub(monkeypatch):
    def nobody(*_):
        raise OSError("no name service")

    asked = []

    def download(name, file, *, local_files_only, **_):
        asked.append(local_files_only)
        raise LocalEntryNotFoundError("not in the cache")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    monkeypatch.setattr("socket.getaddrinfo", nobody)
    for proxies in ({}, {"https": "http://proxy"}):
        monkeypatch.setattr("sagan.generators.hub.getproxies", lambda proxies=proxies: proxies)
        with pytest.raises(FileNotFoundError, match="out of reach"):
            sagan.load("me/nothing")
    assert asked == [True, False]


def test_what_is_here_is_looked_at_first(tmp_path, small, monkeypatch):
    def never(*_, **__):
        raise AssertionError("asked the Hub")

    monkeypatch.setattr("sagan.generators.pretrained.fetched", never)
    write_folder(small(), tmp_path / "me" / "pets")
    assert sagan.load("me/pets").class_names[0] == "cat"
    with pytest.raises(FileNotFoundError, match="no such run folder"):  # a folder of ours, misspelt
        sagan.load("me/pest")
    for name in ("pets", "me/pets/x", "/me/pets", "../pets", "you/g.safetensors", "you/step.pt"):
        assert not is_hub_id(name), name
    assert is_hub_id("you/pets-v1.2")


def test_a_card_takes_the_values_of_its_step_and_given_reports(small, tmp_path):
    run = tmp_path / "run"
    (run / "evaluations").mkdir(parents=True)
    generator = small()
    save_weights(generator.network, run / "generator.safetensors", generator.class_names, generator.provenance)
    (run / "evaluations" / "step-00000012.json").write_text(REPORT.to_json())
    (run / "evaluations" / "step-00000005.json").write_text(REPORT.to_json().replace("FID", "other step"))
    Path("more.json").write_text(REPORT.to_json().replace("FID", "KID"))
    assert measured(run, 12) == [REPORT]
    assert measured(run, None) == []
    assert export(run, "shared", reports=["more.json"]) == Path("shared")
    text = Path("shared/README.md").read_text()
    assert "**FID**" in text
    assert "**KID**" in text
    assert "other step" not in text


def test_the_values_of_a_run_are_found_from_what_lies_in_it(small, tmp_path):
    run = tmp_path / "grown" / "16px"
    for folder in ("evaluations", "checkpoints"):
        (run / folder).mkdir(parents=True)
    (run / "evaluations" / "step-00000012.json").write_text(REPORT.to_json())
    generator = small()
    weights = run / "generator.safetensors"
    save_weights(generator.network, weights, generator.class_names, generator.provenance)
    (run / "checkpoints" / "step-00000012.pt").touch()
    assert _run_of(run / "checkpoints" / "best.pt") == run
    assert _run_of(tmp_path / "grown") == run
    export(weights, "shared")
    assert "**FID**" in Path("shared/README.md").read_text()


def test_names_are_refused_before_anything_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr("sagan.exchange.take_out.load", lambda *_, **__: pytest.fail("it was loaded"))
    with pytest.raises(ValueError, match=r"must end in .safetensors, found .*x.pth; a graph ends in .onnx or .pt2"):
        export("run", "x.pth")
    with pytest.raises(ValueError, match="--push takes a folder"):
        export_to("run", "x.onnx", push="me/pets")
    with pytest.raises(ValueError, match="--push takes OWNER/NAME, found pets"):
        export_to("run", "x", push="pets")
    monkeypatch.setattr("sagan.exchange.take_out.find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(ValueError, match=r'needs onnxscript: pip install "sagan-torch\[onnx\]"'):
        export("run", "x.onnx")
    with pytest.raises(FileNotFoundError):
        export("run", "x", reports=["none.json"])


def test_reports_that_are_too_long_are_named(small, tmp_path, monkeypatch):
    monkeypatch.setattr("sagan.reading.MAX_BYTES", 2**20)
    run = tmp_path / "run"
    (run / "evaluations").mkdir(parents=True)
    generator = small()
    save_weights(generator.network, run / "generator.safetensors", generator.class_names, generator.provenance)
    long = run / "evaluations" / "step-00000012.json"
    for file in (long, tmp_path / "more.json"):
        file.touch()
        os.truncate(file, 2**40)
    with pytest.raises(ValueError, match=r"step-00000012.json cannot be read: it has more than 1 MiB"):
        export(run, "shared")
    long.unlink()
    with pytest.raises(ValueError, match=r"more.json cannot be read: it has more than 1 MiB"):
        export(run, "shared", reports=["more.json"])


PIECES = (*"ab1 _*`[]()<>!#-+=.~|$\\&;:/'\n\u202eé", "&lt;", "&#60;", "www.", "<img src=x onerror=alert(1)>")


AROUND = {"{}": "<p>{}</p>", "x, {}, y": "<p>x, {}, y</p>", "# {}": "<h1>{}</h1>", "- {}": "<ul>\n<li>{}</li>\n</ul>"}


@given(st.lists(st.sampled_from(PIECES)).map("".join))
@settings(deadline=None)
def test_a_name_is_neither_markdown_nor_html(name):
    shown = html.escape(" ".join(readable(name).split())).replace("&#x27;", "'")
    assume(shown)
    page = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    for line, expected in AROUND.items():
        assert page.render(line.format(plain(name))).strip() == expected.format(shown)


def test_a_card_shows_what_stands_in_files_as_words(small):
    """Class names, provenance and reports are of whoever made the weights."""
    bad = "<img src=x onerror=alert(1)> [a](javascript:b) ![a](http://b)"
    generator = small()
    generator = replace(
        generator,
        class_names=(bad, f"# {bad}", "*"),
        provenance={
            **dict.fromkeys(("step", "weights", "batch_norm"), bad),
            "data": {"images": bad, "source": bad},
            "versions": {bad: bad},
        },
    )
    value = replace(REPORT.values[0], metric=bad, protocol={bad: bad}, warnings=(bad,))
    text = card(generator, [replace(REPORT, values=(value,))], name=bad, licence=bad)
    page = MarkdownIt("commonmark", {"html": True}).render(text.split("---", 2)[2])
    assert page.count("<img") == 1
    assert "<a" not in page
    assert page.count("&lt;img") == 17  # two of them in the example
