"""What every source shares; arrays in memory or in a mapped file, and lists of arrays, as sources."""

from __future__ import annotations

import math
import mmap
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.shown import drawn, facts_html
from isthmus.errors import IsthmusError
from isthmus.files import printable
from isthmus.words import count

_NOT_NUMBERS = {
    "O": "Python objects",
    "U": "text",
    "S": "bytes",
    "T": "text",
    "M": "dates",
    "m": "time spans",
    "V": "records",
}
_BLOCK_BYTES = 1 << 24  # of one block of a streaming pass, where the caller does not say
_MAPPED_BYTES = 1 << 28  # of a mapped file that may stay in resident memory
_DRAWN, _NAMED = 8, 12  # samples and names of columns that a notebook shows
_FAULT_BYTES = 1 << 16  # that the kernel maps around one touched byte of a file ("fault-around")


class Source(ABC):
    """A lazy sequence of samples in the user's own layout: ``source[i]``, ``for sample in source``, ``source.take``.

    uniform : whether all samples have one shape and one dtype; if not, see `RaggedSource`.
    shape : (n, *sample): (n, features), (n, height, width), (n, height, width, channels). Where samples may differ in
        shape it is (n,), as for NumPy's arrays of arrays.
    dtype : the user's dtype in the machine's byte order; object where samples may differ.
    labels : array of shape (n,), text or integers, where the source has labels; else None.
    feature_names : the names of a table's columns; else None. paths : the files, where each sample is one; else None.
    name : what the source is called in messages and reports.
    read_together : how many successive samples cost little more to read than one of them.
    kind : "signals" where the files say so; else None. said : how a file was read, where there is something to say.
    """

    kind: str | None = None
    said = ""
    read_together = 1

    def __init__(
        self,
        shape: Sequence[int],
        dtype: np.dtype,
        *,
        name: str | None = None,
        unit: str = "sample",
        labels: np.ndarray | None = None,
        feature_names: Sequence[str] | None = None,
        paths: Sequence[Path] | None = None,
    ) -> None:
        self.shape = tuple(int(size) for size in shape)
        self.dtype = np.dtype(dtype).newbyteorder("=")
        self.labels = labels
        self.feature_names = None if feature_names is None else tuple(feature_names)
        self.paths = None if paths is None else list(paths)
        self.name = printable(name) if name else "table" if unit == "row" else "array"
        self._unit = unit
        self._place = f" of {self.name}" if name else ""

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> np.ndarray:
        """One sample, counted from 0."""
        sample: np.ndarray = self.take([index])[0]
        return sample

    def __iter__(self) -> Iterator[np.ndarray]:
        for chunk in self.chunks():
            yield from chunk

    def __repr__(self) -> str:
        of = f"of shape {self.shape[1:]}, {self.dtype}" if self.uniform else "that may differ in shape"
        labels = "" if self.labels is None else ", with labels"
        return f"<{type(self).__name__} {self.name}: {count(len(self), self._unit)} {of}{labels}>"

    def _repr_html_(self) -> str:
        pictured = self.uniform and self.feature_names is None
        picture = drawn(self._take(np.arange(min(_DRAWN, len(self)))), _DRAWN) if pictured else ""
        return facts_html(self.name, self._facts(), picture)

    def _facts(self) -> dict[str, str]:
        """What a notebook shows."""
        facts = {f"{self._unit}s": f"{len(self):,}"}
        facts["shape"] = " × ".join(map(str, self.shape[1:])) if self.uniform else "may differ"
        if self.uniform:
            facts["values"] = str(self.dtype)
        if self.feature_names is not None:
            facts["columns"] = shortened(self.feature_names)
        if self.labels is not None:
            facts["labels"] = count(len(np.unique(self.labels)), "class", "classes")
        if self.said:
            facts["read"] = self.said
        return facts

    @property
    def uniform(self) -> bool:
        """Whether all samples have one shape and one dtype."""
        return self.dtype.kind != "O"

    @property
    def nbytes(self) -> int:
        """Bytes of all samples together once they are decoded; only where they have one shape."""
        return math.prod(self.shape) * self.dtype.itemsize

    def take(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """The samples at `indices`, in that order and with repeats: a new, C-contiguous array (k, *sample).

        Raises IsthmusError for indices below 0 or above n - 1.
        """
        return self._take(checked_indices(indices, len(self), self.name))

    @abstractmethod
    def _take(self, indices: np.ndarray) -> np.ndarray:
        """`take`, for indices that are known to be in range."""

    def subset(self, indices: np.ndarray) -> Source:
        """A view of some samples, by indices that are known to be in range."""
        return SubsetSource(self, indices)

    def resident(self) -> np.ndarray | None:
        """The array (n, *sample) itself, not to be written to, where it lies in memory already; else None."""
        return None

    def location(self, index: int) -> str:
        """Where a sample lies, for messages, counted from 0: ``"row 17 of table.csv"``, or its file."""
        return f"{self._unit} {index}{self._place}" if self.paths is None else printable(self.paths[index])

    def spans(self, size: int) -> list[tuple[int, int]]:
        """All samples as successive ranges (start, stop) of about `size`, to be read and worked on one by one.

        Each range is a whole number of the blocks that are read together, or an even part of one.

        >>> from isthmus.data.sources import open_source
        >>> open_source([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]).spans(2)
        [(0, 2), (2, 3)]
        """
        together = self.read_together
        size = size // together * together or -(-together // -(-together // size))
        return [(start, min(start + size, len(self))) for start in range(0, len(self), size)]

    def chunks(self, size: int | None = None) -> Iterator[np.ndarray]:
        """Successive blocks of `size` samples; the last may be shorter.

        A block holds about 16 MiB by default, or one sample where samples may differ in shape.
        """
        size = size or (max(1, _BLOCK_BYTES * len(self) // max(self.nbytes, 1)) if self.uniform else 1)
        for start in range(0, len(self), size):
            yield self._take(np.arange(start, min(start + size, len(self))))


def shortened(names: Sequence[str]) -> str:
    """The first names of many, for a notebook."""
    return ", ".join(names[:_NAMED]) + ", ..." * (len(names) > _NAMED)


class ArraySource(Source):
    """An array in memory, or in a file that is mapped into memory and read where it is touched."""

    def __init__(
        self,
        array: np.ndarray,
        *,
        name: str | None = None,
        unit: str = "sample",
        labels: np.ndarray | None = None,
        feature_names: Sequence[str] | None = None,
    ) -> None:
        check_array(array.shape, array.dtype, name or "the data")
        super().__init__(array.shape, array.dtype, name=name, unit=unit, labels=labels, feature_names=feature_names)
        self._mapped = _mapped_file(array)
        self._array = np.asarray(array)  # a plain view: indexing a memmap makes memmaps
        self._fast = array.flags.c_contiguous and array.flags.aligned  # otherwise np.take copies the whole array
        self._touched = 0

    def resident(self) -> np.ndarray | None:
        return self._array if self._mapped is None and self._array.dtype.isnative else None

    def _take(self, indices: np.ndarray) -> np.ndarray:
        block = np.take(self._array, indices, axis=0) if self._fast else self._array[indices]
        if self._mapped is not None:
            self._let_go(len(indices))
        return np.ascontiguousarray(block, dtype=self.dtype)

    def _let_go(self, samples: int) -> None:
        """Give mapped pages back every now and then: they count as this process's memory until somebody needs it."""
        size = self.nbytes // len(self)
        self._touched += samples * (size + _FAULT_BYTES * (1 if self._fast else size // self.dtype.itemsize))
        if self._touched > _MAPPED_BYTES:
            self._touched = 0
            mapping: Any = getattr(self._mapped, "_mmap", None)
            private = getattr(self._mapped, "mode", None) == "c"  # its changed pages exist nowhere else
            if not private and hasattr(mapping, "madvise"):  # Windows has no madvise
                mapping.madvise(mmap.MADV_DONTNEED)


class RaggedSource(Source):
    """Samples that may differ in shape and dtype.

    `take` and `chunks` return arrays of arrays, of shape (k,) and dtype object.
    """

    def __init__(self, n: int, *, name: str | None = None, paths: Sequence[Path] | None = None) -> None:
        super().__init__((n,), np.dtype(object), name=name, paths=paths)

    def _take(self, indices: np.ndarray) -> np.ndarray:
        block = np.empty(len(indices), object)
        for row, index in enumerate(indices.tolist()):
            block[row] = self._read(index)
        return block

    @abstractmethod
    def _read(self, index: int) -> np.ndarray:
        """One sample."""


class ListSource(RaggedSource):
    """A list of arrays in memory."""

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        super().__init__(len(arrays))
        self.name = "list"
        self._arrays = arrays
        for index, array in enumerate(arrays):
            self.check(array, f"sample {index}")

    @staticmethod
    def check(array: np.ndarray, name: str) -> None:
        """Refuse a sample that does not consist of numbers."""
        if array.dtype.kind not in "biuf" or not 1 <= array.ndim <= 4 or 0 in array.shape:
            raise IsthmusError(f"{name} has shape {array.shape} and {array.dtype}; numbers are needed")

    def _read(self, index: int) -> np.ndarray:
        return self._arrays[index]


class SubsetSource(Source):
    """Some samples of another source, in a given order; labels, files and locations follow."""

    def __init__(self, source: Source, indices: np.ndarray) -> None:
        super().__init__(
            (len(indices), *source.shape[1:]),
            source.dtype,
            name=source.name,
            labels=None if source.labels is None else source.labels[indices],
            feature_names=source.feature_names,
            paths=None if source.paths is None else [source.paths[index] for index in indices],
        )
        self.kind = source.kind
        self._source = source
        self._indices = indices

    def _take(self, indices: np.ndarray) -> np.ndarray:
        return self._source._take(self._indices[indices])

    def resident(self) -> np.ndarray | None:
        first, n = self._indices[0], len(self)
        whole = self._source.resident()
        if whole is None or not np.array_equal(self._indices, np.arange(first, first + n)):
            return None
        return whole[first : first + n]

    def location(self, index: int) -> str:
        return self._source.location(int(self._indices[index]))


class JoinedSource(Source):
    """The samples of several sources of one shape and dtype, one source after the other."""

    def __init__(self, sources: Sequence[Source], *, name: str, labels: np.ndarray | None = None) -> None:
        first = sources[0]
        for other in sources:
            if other.shape[1:] != first.shape[1:] or other.dtype != first.dtype:
                raise IsthmusError(
                    f"{name} holds samples of shape {first.shape[1:]} and {first.dtype} ({first.location(0)}) and of "
                    f"{other.shape[1:]} and {other.dtype} ({other.location(0)}); give samples of one shape and dtype"
                )
        super().__init__((sum(map(len, sources)), *first.shape[1:]), first.dtype, name=name, labels=labels)
        self._sources = sources
        self._ends = np.cumsum([len(source) for source in sources])

    def _take(self, indices: np.ndarray) -> np.ndarray:
        block = np.empty((len(indices), *self.shape[1:]), self.dtype)
        owners = np.searchsorted(self._ends, indices, side="right")
        for owner in np.unique(owners).tolist():
            rows = owners == owner
            block[rows] = self._sources[owner]._take(indices[rows] - self._start(owner))
        return block

    def location(self, index: int) -> str:
        owner = int(np.searchsorted(self._ends, index, side="right"))
        return self._sources[owner].location(index - self._start(owner))

    def _start(self, owner: int) -> int:
        return int(self._ends[owner]) - len(self._sources[owner])


class LoadedSource(SubsetSource):
    """All samples of another source, read once; labels and locations follow."""

    def __init__(self, source: Source) -> None:
        super().__init__(source, np.arange(len(source)))
        self._block = source.take(self._indices)

    def _take(self, indices: np.ndarray) -> np.ndarray:
        taken: np.ndarray = self._block[indices]
        return taken

    def resident(self) -> np.ndarray | None:
        return self._block


def in_memory(source: Source) -> Source:
    """A source whose samples are read once: itself where they are in memory already."""
    return source if source.resident() is not None else LoadedSource(source)


def subset(source: Source, indices: Sequence[int] | np.ndarray) -> Source:
    """A lazy view of some samples of `source`, by integer indices or by a boolean mask of shape (n,)."""
    mask = np.asarray(indices)
    if mask.dtype == bool and mask.shape == (len(source),):
        indices = np.flatnonzero(mask)
    chosen = checked_indices(indices, len(source), source.name)
    if not len(chosen):
        raise IsthmusError(f"a subset of {source.name} needs at least one of its {len(source)} samples")
    return source.subset(chosen)


def evenly_spread(n: int, most: int) -> np.ndarray:
    """The indices of at most that many of n samples, from the first to the last: rising, without repeats."""
    return np.linspace(0, n - 1, min(n, most)).astype(np.intp)


def spread_samples(source: Source, most: int) -> Source:
    """Samples from all over a source, at most that many."""
    return subset(source, evenly_spread(len(source), most))


def random_halves(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The indices of n samples in two random parts, each rising; for odd n the second is larger."""
    order = np.random.default_rng(seed).permutation(n)
    return np.sort(order[: n // 2]), np.sort(order[n // 2 :])


def checked_indices(indices: Sequence[int] | np.ndarray, n: int, name: str) -> np.ndarray:
    """`indices` as an array of machine integers between 0 and n - 1."""
    array = np.asarray(indices)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise IsthmusError(
            f"samples are taken by a 1-D array of integers, not by an array of shape {array.shape}, {array.dtype}"
        )
    array = array.astype(np.intp, copy=False)
    if array.size and not (array.min() >= 0 and array.max() < n):
        wrong = array.min() if array.min() < 0 else array.max()
        raise IsthmusError(f"{name} has samples 0 to {n - 1}, and no sample {wrong}")
    return array


def check_array(shape: Sequence[int], dtype: np.dtype, name: str) -> None:
    """Refuse an array that cannot be samples of numbers; messages about sizes use scikit-learn's words."""
    shape = tuple(shape)
    if dtype.kind == "c":
        raise IsthmusError(
            f"Complex data not supported: {name} has dtype {dtype}; give its real and imaginary parts as features"
        )
    if dtype.kind not in "biuf":
        what = _NOT_NUMBERS.get(dtype.kind, "something else")
        cure = "; if every entry is a number, convert it with .astype(float)" if dtype.kind == "O" else ""
        raise IsthmusError(f"{name} must hold numbers or booleans, not {what} (dtype {dtype}){cure}")
    if len(shape) < 2:
        raise IsthmusError(
            f"{name} has shape {shape} where (n, features) or (n, height, width) is needed. Reshape your data: "
            "array.reshape(-1, 1) where it is one feature, array.reshape(1, -1) where it is one sample"
        )
    if shape[0] == 0:
        raise IsthmusError(f"{name} has 0 sample(s) (shape={shape}) while a minimum of 1 is required.")
    if 0 in shape:
        raise IsthmusError(f"{name} has 0 feature(s) (shape={shape}) while a minimum of 1 is required.")


def _mapped_file(array: np.ndarray | None) -> np.memmap | None:
    """The mapped file that an array is a view of, if it is one."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and getattr(array, "_mmap", None) is not None:
            return array
        array = array.base
    return None
