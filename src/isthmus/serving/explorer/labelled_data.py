"""The data that a page shows, one sample at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np

from isthmus.data.base import ArraySource, evenly_spread
from isthmus.data.labels import as_labels
from isthmus.data.scaling import finite_sample
from isthmus.data.sources import Source
from isthmus.data.table_source import TableSource
from isthmus.errors import IsthmusError

_MOST_CLASSES = 100  # more distinct labels than that are no classes


@dataclass(frozen=True)
class LabelledData:
    """Samples with labels, where they have some.

    data : a source, whose samples may differ in size; None where no data were given.
    names : of the classes, in order. classes : the class of each sample, array of shape (n,); None without labels.
    """

    data: Source | None
    names: tuple[str, ...] = ()
    classes: np.ndarray | None = None

    @classmethod
    def of(
        cls, data: Source | None, labels: Any = None, names: Sequence[str] | Mapping[int, str] | None = None
    ) -> LabelledData:
        """Samples with the labels given, or with those of the source. names : what labels that are numbers mean."""
        labels = getattr(data, "labels", None) if labels is None else labels
        if data is None or labels is None:
            return cls(data)
        labels = as_labels(labels, "labels")
        if labels.shape != (len(data),):
            raise IsthmusError(f"labels have shape {labels.shape}; one for each of the {len(data)} samples is needed")
        values, index = np.unique(labels, return_inverse=True)
        if len(values) > _MOST_CLASSES:
            return cls(data)
        meaning = names if isinstance(names, Mapping) else dict(enumerate(names or ()))
        return cls(data, tuple(str(meaning.get(value, value)) for value in values.tolist()), index)

    def __len__(self) -> int:
        return 0 if self.data is None else len(self.data)

    def __getitem__(self, index: int) -> np.ndarray:
        assert self.data is not None
        return self.data[index] if isinstance(self.data, TableSource) else finite_sample(self.data, index)

    def spread(self, most: int) -> LabelledData:
        """At most that many of the samples, from all over."""
        assert self.data is not None
        chosen = evenly_spread(len(self), most)
        classes = None if self.classes is None else self.classes[chosen]
        return LabelledData(self.data.subset(chosen), self.names, classes)

    def label(self, index: int) -> str:
        """The name of a sample's class; nothing without labels."""
        return "" if self.classes is None else self.names[self.classes[index]]

    def title(self, index: int) -> str:
        """What a sample is called: its number, or its file, and its class."""
        paths = getattr(self.data, "paths", None)
        name = f"sample {index:,}" if paths is None else PurePath(paths[index]).name
        return self.with_class(name, index)

    def with_class(self, name: str, index: int) -> str:
        """A name and the class of that sample; a class that is a number is called one."""
        label = self.label(index)
        return " · ".join(filter(None, (name, f"class {label}" if label.isnumeric() else label)))

    def some(self, most: int = 256, values: int = 1 << 22) -> list[np.ndarray]:
        """A few samples from all over, to measure ranges on."""
        if not len(self):
            return []
        count = max(1, min(most, values // max(1, self[0].size)))
        return [self[i] for i in evenly_spread(len(self), count).tolist()]


def as_source(sample: np.ndarray, names: Sequence[str] | None) -> ArraySource:
    """One sample as a source, with the names of its columns where it is a row."""
    return ArraySource(np.ascontiguousarray(sample)[None], feature_names=names)
