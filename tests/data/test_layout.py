"""Which folders are classes: published layouts, and trees with several readings."""

import pytest

from sagan.data.config import DataConfig, DataError
from sagan.data.layout import arrange


def names(text: str) -> list[str]:
    """Write out `a/{x,y}/{1,2}.png` in all combinations, for each word."""
    found = []
    for word in text.split():
        head, brace, rest = word.partition("{")
        options = rest.partition("}")[0].split(",") if brace else [""]
        tail = rest.partition("}")[2] if brace else ""
        expanded = [f"{head}{option}{tail}" for option in options]
        found += [name for part in expanded for name in (names(part) if "{" in part else [part])]
    return sorted(found)


LAYOUTS = {
    "class folders": ("{cat,dog}/{1,2}.png", {}, ("cat", "dog"), 4),
    "flat": ("{1,2,3}.png", {}, (), 3),
    "wrapper": ("set/{cat,dog}/{1,2}.png", {}, ("cat", "dog"), 4),
    "two wrappers": ("a/b/{cat,dog}/{1,2}.png", {}, ("cat", "dog"), 4),
    "one split": ("train/{cat,dog}/{1,2}.png", {}, ("cat", "dog"), 4),
    "flat in a split": ("Train/{1,2}.png", {}, (), 2),
    "ImageNet": (
        "ILSVRC/Data/CLS-LOC/train/{n1,n2}/{1,2}.JPEG ILSVRC/Data/CLS-LOC/val/{3,4}.JPEG",
        {"split": "train"},
        ("n1", "n2"),
        4,
    ),
    "Tiny-ImageNet": (
        "tiny/train/{n1,n2}/images/{1,2}.JPEG tiny/{val,test}/images/{1,2}.JPEG",
        {"split": "train"},
        ("n1", "n2"),
        4,
    ),
    "CIFAR as PNG": ("{train,test}/{cat,dog}/{1,2}.png", {"split": "all"}, ("cat", "dog"), 8),
    "its test part": ("{train,test}/{cat,dog}/{1,2}.png", {"split": "TEST"}, ("cat", "dog"), 4),
    "splits that are classes": ("{train,test}/{1,2}.png", {"split": "folders"}, ("test", "train"), 4),
    "CUB": (
        "CUB/images/{001.Albatross,002.Auklet}/{1,2}.jpg CUB/segmentations/{001.Albatross,002.Auklet}/{1,2}.png",
        {},
        ("001.Albatross", "002.Auklet"),
        4,
    ),
    "masks beside": ("images/{cat,dog}/{1,2}.jpg masks/{cat,dog}/{1,2}.png", {}, ("cat", "dog"), 4),
    "masks in each class": ("{cat,dog}/{images,masks}/{1,2}.png", {}, ("cat", "dog"), 4),
    "images in each class": ("{cat,dog}/images/{1,2}.png", {}, ("cat", "dog"), 4),
    "pets": (
        "images/{Abyssinian,great_pyrenees}_{1,2}.jpg annotations/trimaps/{Abyssinian,great_pyrenees}_{1,2}.png",
        {"class_pattern": "(.+)_[0-9]+"},
        ("Abyssinian", "great_pyrenees"),
        4,
    ),
    "a picture each, as classes": ("{a,b,c,d,e,f,g,h,i,j,k}/1.png", {"classes": "first"}, tuple("abcdefghijk"), 11),
    "a picture each, without": ("{a,b,c,d,e,f,g,h,i,j,k}/1.png", {"classes": "none"}, (), 11),
    "part of the COCO layout": ("{train,val}2017/{1,2}.png", {"split": "train2017"}, (), 2),
    "a stray picture beside splits": ("{train,test}/{cat,dog}/{1,2}.png 0.png", {"split": "train"}, ("cat", "dog"), 4),
    "masks by name": ("{cat,dog}/{1,2,1_mask,1_mask_1,2-Mask,mask}.png", {}, ("cat", "dog"), 6),
    "depth beside colours": ("{rgb,depth}/{1,2}.png", {}, (), 2),
    "a class called test": ("{test,control}/{1,2}.png", {}, ("control", "test"), 4),
    "a class called masks": ("{masks,hats}/{1,2}.png", {}, ("hats", "masks"), 4),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_a_layout_is_read(case: str) -> None:
    text, choices, class_names, count = LAYOUTS[case]
    every = names(text)
    found = arrange("set", every, DataConfig(**choices))
    assert found.class_names == class_names
    assert len(found.names) == len(found.labels) == count
    # Nothing vanishes: what is not used is named.
    assert sorted([*found.names, *(name for name, _ in found.left_out)]) == every
    for name, label in zip(found.names, found.labels.tolist(), strict=True):
        assert not class_names or class_names[label] in name


REFUSED = {
    "splits": (
        "{train,val}/{cat,dog}/{1,2}.png",
        {},
        r"divided into train, val.*--data.split train takes its 4.*--data.split all",
    ),
    **{
        f"splits called {called}": (f"{{{called}}}/{{1,2}}.png", {}, "is divided into .*--data.split folders")
        for called in (
            "train_images,test_images",
            "seg_train,seg_test,seg_pred",
            "TrainA,TrainB,TestA,TestB",
            "train,extra",
            "train,eval,unlabeled",
        )
    },
    "flat splits": ("{train,test}/{1,2}.png", {}, r"--data.split folders takes these folders for the classes"),
    "a split that is not there": ("{train,val}/cat/1.png", {"split": "test"}, r"no split 'test'; there are train, val"),
    "no splits": ("{cat,dog}/1.png", {"split": "train"}, r"no split 'train'; outermost folders: cat, dog"),
    "two levels": (
        "{cat,dog}/{1,2}.png 3.png",
        {},
        r"directly inside: 1 \(such as 3.png\).*move the pictures.*--data.classes none",
    ),
    "deep": (
        "{a,b}/{cat,dog}/{1,2}.png",
        {},
        r"--data.classes first takes the outermost.*none takes all",
    ),
    "a picture each": (
        "{a,b,c,d,e,f,g,h,i,j,k}/1.png",
        {},
        r"11 folders with one picture each. Are they classes\?",
    ),
    "a pattern that fits some": (
        "{cat_1,dog_2,3}.png",
        {"class_pattern": "([a-z]+)_"},
        r"fits 2 of 3 names, not 3.png",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_several_readings_are_told_with_what_chooses(case: str) -> None:
    text, choices, message = REFUSED[case]
    with pytest.raises(DataError, match=message):
        arrange("set", names(text), DataConfig(**choices))


def test_what_was_found_out_is_said() -> None:
    found = arrange(
        "set", names("tiny/train/{n1,n2}/images/{1,2}.JPEG tiny/val/images/{1,2}.JPEG"), DataConfig(split="train")
    )
    assert found.said == ("everything lies in tiny/", "split train", "each class has its pictures in a folder inside")
    assert {reason for _, reason in found.left_out} == {"not in the split train"}


def test_of_the_groups_of_a_pattern_the_first_that_fits_is_the_class() -> None:
    either = DataConfig(class_pattern="(cat)|(dog)")
    assert arrange("set", ["cat-1.png", "dog-1.png", "cat-2.png"], either).class_names == ("cat", "dog")
    with pytest.raises(DataError, match=r"fits 1 of 2 names, not 1\.png"):
        arrange("set", ["cat1.png", "1.png"], DataConfig(class_pattern="(cat)?1"))


def test_a_pattern_is_checked_when_it_is_given() -> None:
    with pytest.raises(ValueError, match="class_pattern is no regular expression"):
        DataConfig(class_pattern="(")
    with pytest.raises(ValueError, match="classes must be one of auto, first"):
        DataConfig(classes="middle")  # type: ignore[arg-type]


def test_a_split_is_named_as_it_can_be_typed() -> None:
    with pytest.raises(DataError, match=r"--data.split 'Train Set' takes its 1 pictures"):
        arrange("set", ["Train Set/1.png", "Test Set/1.png"], DataConfig())
