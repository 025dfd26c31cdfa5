"""Remarks, the verdict and the advice on sets whose answer is known by construction."""

import shlex

import numpy as np
import pytest
from PIL import Image

from sagan.cli.flags import combined, parse_with_preset
from sagan.cli.train import TrainFlags
from sagan.data import DataConfig, check
from sagan.data.heldout import split_labels
from sagan.data.remarks import BATCHES, EXIT_CODES, Remark, train_command, verdict_of
from sagan.recipes.choose import choose_preset


def noise(count, px=32, seed=0):
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8).repeat(px // 8, 1).repeat(px // 8, 2)
    return (coarse // 2 + random.integers(0, 128, coarse.shape)).astype(np.uint8)


def checked(tmp_path, images, labels, size=None, **fields):
    np.savez(tmp_path / "set.npz", images=images, labels=labels)
    config = DataConfig(path=str(tmp_path / "set.npz"), **fields)
    return check(config, size, progress=False)


def kinds(report):
    return [remark.kind for remark in report.remarks]


def advice(report, about):
    return next(one for one in report.advice if one.about == about)


def test_a_good_set_is_fine(tmp_path):
    report = checked(tmp_path, noise(240), np.arange(240) % 2)
    assert (report.remarks, report.verdict, report.exit_code) == ((), "fine", 0)


def test_a_picture_in_two_classes_is_named_with_both(tmp_path):
    images = noise(240)
    images[101] = images[4]
    report = checked(tmp_path, images, np.arange(240) % 2)
    assert kinds(report) == ["two_classes"] and report.verdict == "fine with remarks" and report.exit_code == 3
    assert "picture 4 is 0, picture 101 is 1" in report.warnings[0]


def test_equal_pictures_only_are_not_to_be_trained_on(tmp_path):
    report = checked(tmp_path, noise(1).repeat(240, 0), np.zeros(240, int))
    assert kinds(report)[0] == "all_equal" and report.verdict == "not to be trained on" and report.exit_code == 4


def test_a_single_picture_is_not_to_be_trained_on(tmp_path):
    report = checked(tmp_path, noise(1), np.zeros(1, int))
    assert kinds(report)[0] == "too_few" and report.verdict == "not to be trained on"
    assert "only 1 picture(s) to train on; training needs at least 2" in report.warnings[0]
    assert "advice" not in report.text()


@pytest.mark.parametrize("labels", [None, np.zeros(20, int), np.arange(20) % 2], ids=["no class", "one", "two"])
def test_fewer_pictures_than_a_batch_are_remarked_on_and_the_command_has_one_that_can_be_filled(tmp_path, labels):
    np.savez(tmp_path / "set.npz", images=noise(20), **({} if labels is None else {"labels": labels}))
    report = check(str(tmp_path / "set.npz"), progress=False)
    assert {"batch", "few"} <= set(kinds(report)) and report.exit_code == 3
    said = next(remark.text for remark in report.remarks if remark.kind == "batch")
    assert said == (
        "19 pictures to train on are fewer than one batch of the preset for 32 px (32, or 64 with a GPU): training "
        "needs --batch-size 16 or so"
    )
    assert advice(report, "batch").flags == ("--batch-size", "16")
    command = shlex.split([one.command for one in report.advice if one.command][-1])
    assert combined(parse_with_preset(TrainFlags, command[2:], "train", "")[0]).train.batch_size == 16
    assert command == shlex.split(report.text().splitlines()[-1])


def test_few_pictures_are_remarked_on_without_classes_and_with_one(tmp_path):
    few = {}
    for name, labels in {"none": {}, "one": {"labels": np.zeros(90, int)}}.items():
        np.savez(tmp_path / "set.npz", images=noise(90), **labels)
        report = check(str(tmp_path / "set.npz"), progress=False)
        few[name] = [remark.text for remark in report.remarks if remark.kind == "few"]
    assert few == {
        "none": ["there are 90 pictures, fewer than 100: too few to learn from"],
        "one": ["1 class(es) have fewer than 100 pictures, too few to learn from: 0 90"],
    }


@pytest.mark.parametrize(("count", "said"), [(60, "64 with a GPU"), (20, "32, or 64 with a GPU"), (100, None)])
def test_batches_that_cannot_be_filled_are_named(tmp_path, count, said):
    report = checked(tmp_path, noise(count), np.arange(count) % 2)
    found = [remark.text.partition("(")[2].partition(")")[0] for remark in report.remarks if remark.kind == "batch"]
    assert found == ([] if said is None else [said])


def test_the_batches_that_are_known_are_those_of_the_presets():
    for size, batches in BATCHES.items():
        cudas = (True, True) if size == 128 else (False, True)  # without a GPU there is no preset for 128 px
        assert tuple(choose_preset(None, size, cuda=cuda).config.train.batch_size for cuda in cudas) == batches


def test_files_that_cannot_be_read_are_left_out_by_the_advised_command(class_folder):
    (class_folder / "cat" / "0.png").write_bytes(b"broken")
    report = check(str(class_folder), progress=False)
    assert "unless --data.skip-unreadable is set" in " ".join(report.warnings)
    assert "--data.skip-unreadable" in report.text().splitlines()[-1].split()
    asked = check(DataConfig(path=str(class_folder), skip_unreadable=True), progress=False)
    assert "1 file(s) cannot be read as pictures; they are left out" in asked.warnings
    assert asked.text().splitlines()[-1].split().count("--data.skip-unreadable") == 1


def test_a_rectangle_is_judged_by_its_own_shape(tmp_path):
    wide = np.concatenate([noise(240), noise(240, seed=1)[:, :, :16]], axis=2)  # 32 high and 48 wide
    at = {size: checked(tmp_path, wide, np.arange(240) % 2, size) for size in ("32x48", "48x32", 32)}
    assert (at["32x48"].study.crop_loss, at["32x48"].verdict) == (0, "fine")
    assert [round(at[size].study.crop_loss, 3) for size in ("48x32", 32)] == [0.556, 0.333]
    assert [at[size].warnings[-1].partition(" leaves")[0] for size in ("48x32", 32)] == [
        "a crop to the shape of 48x32",
        "a square crop",
    ]
    assert "cropped" not in kinds(checked(tmp_path, wide, np.arange(240) % 2, 32, fit="pad"))
    assert advice(at["32x48"], "size").flags == ("--size", "32x48")
    assert advice(checked(tmp_path, wide, np.arange(240) % 2, "64x96"), "size").flags == ("--size", "32x48")


def test_pictures_that_turned_black_are_not_to_be_trained_on(tmp_path):
    report = checked(tmp_path, noise(240) // 24, np.arange(240) % 2)
    assert kinds(report) == ["dark"] and report.exit_code == 4
    few = noise(240)
    few[:3] //= 24
    report = checked(tmp_path, few, np.arange(240) % 2)
    assert kinds(report) == ["dark"] and report.exit_code == 3
    assert "3 picture(s) are nearly black, such as picture " in report.warnings[0]


def test_a_class_that_is_lost_is_not_to_be_trained_on_unless_that_is_accepted(three_classes):
    report = check(str(three_classes), progress=False)
    assert report.remarks[0] == Remark(
        "lost_class",
        "b loses 3 of its 3 pictures, which cannot be read; mend them, or accept it with --data.may-lose and the name",
        stop=True,
    )
    accepted = check(DataConfig(path=str(three_classes), may_lose=("b",)), progress=False)
    assert "lost_class" not in kinds(accepted) and accepted.verdict == "fine with remarks"
    assert list(report.record()["left_out"]) == [
        {"where": "b", "reason": "not a picture in a known format", "files": 3}
    ]


def test_nothing_that_can_be_read_is_not_to_be_trained_on(tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_text("no")
    report = check(str(tmp_path / "bad"), progress=False)
    assert report.exit_code == 4 and report.advice == ()


def test_held_out_pictures_with_copies_are_remarked_on_as_the_run_would_split(tmp_path):
    images = noise(400)
    labels = np.arange(400) % 2
    kept, held = split_labels(labels, 0.05, 1000, 7)
    images[kept[:5]] = images[held[:5], :, ::-1]
    report = checked(tmp_path, images, labels)
    again = check(DataConfig(path=str(tmp_path / "set.npz")), seed=7, progress=False)
    assert again.study.held_out.copied == tuple(sorted(held[:5].tolist()))
    assert "held_out_copies" in kinds(again) and again.study.held_out.count == 20
    assert report.study.held_out.copied != again.study.held_out.copied  # another seed holds others out


@pytest.mark.parametrize(
    ("remarks", "verdict"),
    [
        ([], "fine"),
        ([Remark("few", "x")], "fine with remarks"),
        ([Remark("few", "x"), Remark("dark", "y", stop=True)], "not to be trained on"),
    ],
)
def test_the_verdict_is_the_worst_of_the_remarks(remarks, verdict):
    assert verdict_of(remarks) == verdict


def test_exit_codes_are_not_those_of_failures_and_mistakes():
    assert sorted(EXIT_CODES.values()) == [0, 3, 4]


@pytest.mark.parametrize(("px", "size"), [(8, 16), (16, 16), (40, 32), (64, 64), (136, 128), (600, 128)])
@pytest.mark.parametrize("cuda", [False, True])
def test_the_advised_size_has_the_presets_that_are_named(tmp_path, px, size, cuda):
    report = checked(tmp_path, noise(10, px), np.zeros(10, int))
    said = advice(report, "size")
    assert said.flags == ("--size", str(size))
    if cuda or size < 128:
        assert choose_preset(None, size, cuda=cuda).name in said.text
    else:
        assert choose_preset(None, 64, cuda=False).name in said.text and "--size 64" in said.text


def test_a_size_that_would_enlarge_is_advised_against(tmp_path):
    report = checked(tmp_path, noise(240), np.arange(240) % 2, 128)
    assert kinds(report) == ["enlarged"] and advice(report, "size").flags == ("--size", "32")
    assert "at 128 px they would be enlarged" in advice(report, "size").reason


def test_balance_and_mirroring_are_advised_by_what_is_in_the_set(tmp_path):
    arrow = np.tril(np.full((32, 32), 100, np.uint8))[None, :, :, None]
    handed = checked(tmp_path, noise(240) // 2 + arrow, np.arange(240) % 2)
    assert advice(handed, "flip").flags == () and "Do not mirror" in advice(handed, "flip").text
    assert advice(handed, "balance").flags == ()
    uneven = checked(tmp_path, noise(1200), np.arange(1200) % 6 // 5)
    assert advice(uneven, "balance").flags == ("--data.balanced",) and "5.0 times" in advice(uneven, "balance").reason
    assert advice(uneven, "flip").flags == ("--data.flip",)


def test_the_command_is_one_that_is_understood(tmp_path):
    folder = tmp_path / "my pictures; $(rm -r x)"
    for name in ("a", "b"):
        (folder / "all" / "train" / name).mkdir(parents=True)
        (folder / "all" / "val" / name).mkdir(parents=True)
        for index, picture in enumerate(noise(30, seed=len(name))):
            Image.fromarray(picture).save(folder / "all" / "train" / name / f"{index}.png")
            Image.fromarray(picture).save(folder / "all" / "val" / name / f"{index}.png")
    report = check(DataConfig(path=str(folder), split="train"), progress=False)
    command = [one.command for one in report.advice if one.command][-1]
    words = shlex.split(command)
    assert words[:2] == ["sagan", "train"]
    config = combined(parse_with_preset(TrainFlags, words[2:], "train", "")[0])
    assert (config.data.path, config.data.split) == (str(folder), "train")
    assert config.generator.size_px == 32 and config.train.augment == ("color", "translation", "cutout")


def test_lists_of_names_are_written_out_in_the_command():
    command = train_command(DataConfig(path="x y", may_lose=("a b", "c"), class_names="n.txt"), ["--size", "32"])
    assert shlex.split(command) == [
        *("sagan", "train", "--data", "x y", "--data.may-lose", "a b", "c", "--data.class-names", "n.txt"),
        *("--size", "32"),
    ]
