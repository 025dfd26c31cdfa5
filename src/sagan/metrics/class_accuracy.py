"""Are samples of a class what a classifier calls by that name?"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sagan.metrics.statistics import Arrays, Rows, checked_rows
from sagan.reading import BytesError, read_bytes, value_of

IMAGENET_CLASSES = 1000


class ClassLabels:
    """Which labels of a feature network stand for each class of a data set, e.g. ImageNet's five cats for ``cat``.

    Args:
        labels: The labels (numbers of logits) of each class by its name.
        class_names: The classes of the data set, in order.
        num_labels: Number of logits of the network.

    Raises:
        ValueError: If a class has no labels, a name is no class, a label is none of the network's, or two classes share
            one.
    """

    def __init__(self, labels: Mapping[str, Sequence[int]], class_names: Sequence[str], num_labels: int) -> None:
        missing, unknown = [name for name in class_names if not labels.get(name)], sorted(set(labels) - {*class_names})
        if missing or unknown or not class_names:
            raise ValueError(
                f"class labels must name every class of the data and no other: missing {', '.join(missing) or 'none'}; "
                f"no class of the data: {', '.join(unknown) or 'none'}"
            )
        self.class_of = np.full(num_labels, -1)  # the class of each label, -1 for labels of none
        for index, name in enumerate(class_names):
            for label in labels[name]:
                if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < num_labels:
                    raise ValueError(f"class {name}: {label!r} is no label of the network (0 to {num_labels - 1})")
                if self.class_of[label] >= 0:
                    other = class_names[self.class_of[label]]
                    raise ValueError(f"label {label} stands for both {other} and {name}; give it to one of them")
                self.class_of[label] = index
        self.num_classes = len(class_names)
        told = json.dumps([sorted(int(label) for label in labels[name]) for name in class_names])
        self.sha256 = hashlib.sha256(told.encode()).hexdigest()
        """SHA-256 sum of the labels of all classes in order, for the protocol."""

    def predict(self, logits: Rows) -> NDArray[np.int64]:
        """Give the class whose labels are the most probable on average.

        On average, since a class with many labels (ImageNet has 118 dogs and one zebra) would win too often by their
        sum. Labels that stand for no class are left out.

        Shape: logits (N, K) -> int64 (N,).
        """
        rows = checked_rows(logits, "logits", len(self.class_of)).astype(np.float64)
        known = self.class_of >= 0
        rows = rows[:, known]
        p = np.exp(rows - rows.max(1, keepdims=True, initial=-np.inf))
        sums = np.zeros((len(rows), self.num_classes))
        np.add.at(sums.T, self.class_of[known], p.T)
        counts = np.bincount(self.class_of[known], minlength=self.num_classes)
        predicted: NDArray[np.int64] = (sums / counts).argmax(1)
        return predicted


class ClassAccuracy:
    """Counts how many samples of each class a classifier names as asked. Memory: two numbers a class.

    Args:
        labels: Which labels of the network stand for which class.
    """

    def __init__(self, labels: ClassLabels) -> None:
        self.labels = labels
        self.right = np.zeros(labels.num_classes, np.int64)
        self.count = np.zeros(labels.num_classes, np.int64)

    def update(self, logits: Rows, classes: NDArray[np.integer]) -> None:
        """Add samples: logits (N, K) and the class (N,) that each was asked for.

        Raises:
            ValueError: If shapes do not fit, or a logit is not finite.
        """
        predicted = self.labels.predict(logits)
        if classes.shape != predicted.shape:
            raise ValueError(f"expected one class for each of the {len(predicted)} samples, found {classes.shape}")
        np.add.at(self.count, classes, 1)
        np.add.at(self.right, classes[predicted == classes], 1)

    def merge(self, other: Self) -> None:
        """Add the samples of another, for example of another process.

        Raises:
            ValueError: If it has other labels.
        """
        if other.labels.sha256 != self.labels.sha256:
            raise ValueError("cannot merge accuracies under different class labels")
        self.right += other.right
        self.count += other.count

    def accuracy(self) -> float:
        """Give the share of all samples that are named as asked, from 0 to 1.

        Raises:
            ValueError: If there were none.
        """
        if not self.count.sum():
            raise ValueError("the accuracy of no samples was asked for; evaluate at least one picture")
        return float(self.right.sum() / self.count.sum())

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give all that it holds but the labels."""
        return {"right": self.right.copy(), "count": self.count.copy()}

    @classmethod
    def from_arrays(cls, arrays: Arrays, labels: ClassLabels) -> Self:
        """Read what :meth:`to_arrays` gave.

        Raises:
            ValueError: If an array is missing or has another shape.
        """
        accuracy = cls(labels)
        for name, target in (("right", accuracy.right), ("count", accuracy.count)):
            if name not in arrays or arrays[name].shape != target.shape:
                raise ValueError(f"stored accuracies lack {name} of {len(target)} classes; make them again")
            target[...] = arrays[name]
        return accuracy


def read_class_labels(file: Path) -> dict[str, list[int]]:
    """Read which labels of a network stand for each class from a JSON file: {"cat": [281, 282], "dog": [151]}.

    Raises:
        ValueError: If the file is anything else.
    """
    try:
        labels = value_of(read_bytes(file))
    except BytesError as error:
        raise ValueError(f'{file}: {error}; expected JSON such as {{"class": [labels], ...}}') from None
    if not isinstance(labels, dict) or not all(isinstance(found, list) for found in labels.values()):
        raise ValueError(f'{file} does not map each class to a list of labels; expected {{"class": [labels], ...}}')
    return labels


def imagenet_folders(class_names: Sequence[str], num_labels: int) -> dict[str, list[int]] | None:
    """Give the labels of a data set that is ImageNet's 1,000 folders (n01440764, ...); None for any other.

    Networks with 1,000 logits number them in the order of these names. The Inception network of 2015 has 1,008 in an
    order of its own, so it needs a file.
    """
    wordnet = [name for name in class_names if len(name) == 9 and name[0] == "n" and name[1:].isdecimal()]
    if num_labels != IMAGENET_CLASSES or len(wordnet) != IMAGENET_CLASSES or list(class_names) != sorted(wordnet):
        return None
    return {name: [label] for label, name in enumerate(class_names)}
