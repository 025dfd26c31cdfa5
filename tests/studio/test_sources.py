"""Generators that are loaded aside."""

import pytest

from sagan.exchange.folder import write_folder
from sagan.generators.pretrained import load
from sagan.studio import sources
from sagan.studio.sources import Source


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(sources, "QUICK", (1, 4))


@pytest.mark.usefixtures("few")
def test_a_checkpoint_is_there_quickly_and_then_thoroughly(run_folder, monkeypatch):
    source = Source("0", "run", run_folder, "cpu")
    seen = []
    taken = Source._take

    def take(self, loaded):
        seen.append((loaded.rough, loaded.generator.provenance["batch_norm"]))
        taken(self, loaded)

    monkeypatch.setattr(Source, "_take", take)
    assert source.changed()
    source.read()
    assert [rough for rough, _ in seen] == [True, False]
    assert "1 batches of 4" in seen[0][1]
    assert "8 batches of 64" in seen[1][1]
    assert source.version == 2
    assert not source.changed()


@pytest.mark.usefixtures("few")
def test_a_run_that_goes_on_is_loaded_again(client, run_folder, save_step, wait):
    studio = client(run_folder)
    before = studio.state()[0]
    save_step(6)
    wait(lambda: studio.state()[0]["step"] == 6 and not studio.state()[0]["rough"])
    assert studio.state()[0]["version"] > before["version"]


def test_weights_have_their_statistics_already(weights):
    source = Source("0", "tiny", weights(), "cpu")
    source.read()
    assert source.version == 1
    assert not source.generator().rough
    assert not source.has_discriminator()


def test_a_folder_that_was_exported_is_no_run(client, weights, run_folder, tmp_path):
    write_folder(load(weights()), tmp_path / "mine")
    studio = client(tmp_path / "mine", run_folder)
    mine, run = studio.state()
    assert (mine["run"], mine["status"], mine["discriminator"], mine["data"]) == (False, "ready", False, False)
    assert "holds weights alone; name its run folder" in studio.http.get("/api/runs/0").json()["error"]
    assert run["run"]
    for file in (run_folder / "checkpoints").iterdir():
        file.unlink()
    weights().rename(run_folder / "generator.safetensors")  # a run that kept its weights alone is one all the same
    assert Source("0", "run", run_folder, "cpu").is_run


def test_what_cannot_be_loaded_is_a_sentence_and_is_not_tried_again_and_again(tmp_path):
    file = tmp_path / "bad.safetensors"
    file.write_bytes(b"nothing")
    source = Source("0", "bad", file, "cpu")
    assert source.changed()
    source.read()
    assert source.status == "failed"
    assert "bad.safetensors" in source.error
    assert not source.changed()
    with pytest.raises(ValueError, match=r"bad\.safetensors"):
        source.generator()


def test_a_run_that_has_saved_nothing_yet_is_waited_for(tmp_path):
    (tmp_path / "new").mkdir()
    source = Source("0", "new", tmp_path / "new", "cpu")
    assert not source.changed()
    assert "has no checkpoint" in source.error
    assert source.told()["status"] == "failed"


def test_the_discriminator_is_that_of_the_latest_checkpoint(run_folder, save_step):
    source = Source("0", "run", run_folder, "cpu")
    source.read()
    first = source.discriminator()
    assert source.discriminator() is first
    save_step(6)
    source.read()
    assert source.discriminator() is not first
