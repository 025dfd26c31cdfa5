"""Readable names of classes."""

import pytest

from sagan.data import DataError, open_dataset


def test_ilsvrc_layout_with_readable_names(tmp_path, config, picture):
    for synset in ("n01440764", "n02012849", "n03126707"):
        (tmp_path / "train" / synset).mkdir(parents=True)
        for index in range(2):
            picture(seed=index).save(tmp_path / "train" / synset / f"{synset}_{index}.JPEG")
    names = tmp_path / "LOC_synset_mapping.txt"
    names.write_text("n01440764 tench, Tinca tinca\nn02012849 crane\n\nn03126707 crane\nn9 unused\n")
    with_names = open_dataset(config(tmp_path / "train", class_names=str(names)), 8, progress=False)
    assert with_names.class_names == ("tench, Tinca tinca", "crane (n02012849)", "crane (n03126707)")
    without = open_dataset(config(tmp_path / "train"), 8, progress=False)
    assert without.class_names == ("n01440764", "n02012849", "n03126707")
    assert without.file == with_names.file and without.fingerprint != with_names.fingerprint
    names.write_text('{"0": ["n01440764", "tench"], "n02012849": "crane", "n03126707": "other crane"}')
    again = open_dataset(config(tmp_path / "train", class_names=str(names)), 8, progress=False)
    assert again.class_names == ("tench", "crane", "other crane")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n1 a\n", "names 0 of 2 classes; missing cat, dog: add a line for each"),
        ("cat\n", r"holds \['cat'\]; expected a folder name and a readable name"),
        ("{", "is not valid JSON"),
        ('{"cat": 3}', r"holds \['cat', 3\]"),
    ],
)
def test_bad_class_names_are_explained(class_folder, tmp_path, config, text, message):
    (tmp_path / "names").write_text(text)
    with pytest.raises(DataError, match=message):
        open_dataset(config(class_folder, class_names=str(tmp_path / "names")), 8, progress=False)
