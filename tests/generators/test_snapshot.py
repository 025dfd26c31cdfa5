"""Checkpoints read back."""

from sagan.generators.snapshot import read_snapshot


def test_the_configuration_travels_in_the_checkpoint(run_folder, tiny_config):
    folder, _ = run_folder()
    assert read_snapshot(folder).config == tiny_config()
