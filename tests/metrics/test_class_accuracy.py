import json

import numpy as np
import pytest

from sagan.metrics.class_accuracy import ClassAccuracy, ClassLabels, imagenet_folders, read_class_labels

LABELS = {"cat": [0, 1], "dog": [3]}
NAMES = ("cat", "dog")


def test_the_labels_of_a_class_count_on_average():
    labels = ClassLabels(LABELS, NAMES, 5)
    # Label 0 (cat) is the largest alone, and e^2 > e^1.5 by the sum as well, but on average e^2 / 2 < e^1.5. Then both
    # labels of cat are large. Then 2 and 4, which are nobody's, are, and do not count.
    logits = np.array([[2.0, -99.0, 0.0, 1.5, 0.0], [2.0, 2.0, 0.0, 1.5, 0.0], [0.0, 0.0, 9.0, 1.0, 9.0]])
    assert labels.predict(logits).tolist() == [1, 0, 1]


def test_huge_logits_do_not_overflow():
    assert ClassLabels(LABELS, NAMES, 5).predict(np.array([[1e4, -1e4, 0.0, 2e4, 3e4]])).tolist() == [1]


def test_accuracy_counts_and_merges():
    labels = ClassLabels(LABELS, NAMES, 5)
    random = np.random.default_rng(0)
    logits, classes = random.normal(size=(40, 5)), random.integers(0, 2, 40)
    whole = ClassAccuracy(labels)
    whole.update(logits, classes)
    assert whole.accuracy() == pytest.approx((labels.predict(logits) == classes).mean())
    parts = [ClassAccuracy(labels), ClassAccuracy(labels)]
    parts[0].update(logits[:7], classes[:7])
    parts[1].update(logits[7:], classes[7:])
    parts[0].merge(ClassAccuracy.from_arrays(parts[1].to_arrays(), labels))
    assert parts[0].accuracy() == whole.accuracy()
    assert parts[0].count.tolist() == whole.count.tolist()
    with pytest.raises(ValueError, match="of no samples"):
        ClassAccuracy(labels).accuracy()
    with pytest.raises(ValueError, match="under different class labels"):
        whole.merge(ClassAccuracy(ClassLabels({"cat": [0], "dog": [3]}, NAMES, 5)))
    with pytest.raises(ValueError, match="one class for each of the 40"):
        whole.update(logits, classes[:3])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"cat": [0]}, "missing dog"),
        ({"cat": [0], "dog": []}, "missing dog"),
        ({"cat": [0], "dog": [1], "bee": [2]}, "no class of the data: bee"),
        ({"cat": [0], "dog": [5]}, r"5 is no label of the network \(0 to 4\)"),
        ({"cat": [0], "dog": [-1]}, "-1 is no label"),
        ({"cat": [0], "dog": ["one"]}, "'one' is no label"),
        ({"cat": [0, 1], "dog": [1]}, "label 1 stands for both cat and dog"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        ClassLabels(labels, NAMES, 5)


def test_imagenets_folders_need_no_labels():
    folders = [f"n{number:08d}" for number in range(1000)]
    labels = imagenet_folders(folders, 1000)
    assert labels is not None
    assert labels["n00000007"] == [7]
    assert imagenet_folders(folders, 1008) is None  # the Inception network of 2015 has an order of its own
    assert imagenet_folders([*folders[:999], "goldfish"], 1000) is None
    assert imagenet_folders(folders[::-1], 1000) is None


def test_files_of_labels(tmp_path):
    file = tmp_path / "labels.json"
    file.write_text(json.dumps(LABELS))
    assert read_class_labels(file) == LABELS
    for text, message in (("{", "is no JSON"), ("[1]", "does not map"), ('{"cat": 3}', "does not map")):
        file.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_class_labels(file)
