"""Tar files of samples, as WebDataset writes them: members that share a name up to its first dot are one sample.

A sample is an image (.png, .jpg, ...) or an array (.npy); a member .cls is its label, and what else lies there is
passed over. Where members lie is found out once; then any sample is read from its place.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from isthmus.data.base import RaggedSource, Source, check_array
from isthmus.data.images import SUFFIXES, decoded
from isthmus.data.labels import as_labels
from isthmus.data.parallel import parallel
from isthmus.data.reading import reading
from isthmus.errors import IsthmusError
from isthmus.remote.cache import CACHE
from isthmus.remote.paths import RemotePath
from isthmus.remote.ranges import fetch, opened, positional
from isthmus.remote.stores import fingerprint

SUFFIX = ".tar"
_LABEL, _ARRAY = "cls", "npy"
_IMAGES = tuple(suffix.removeprefix(".") for suffix in SUFFIXES)
_OPEN = 64  # shards that are kept open


class _Member(NamedTuple):
    """A sample of a shard: the member's name, its bytes' place and number, and a label where there is one."""

    name: str
    place: int
    size: int
    label: str | None


def tar_source(paths: Sequence[Path], name: str, keep: bool) -> Source:
    """Samples of shards, one shard after the other. keep : whether they may differ in shape."""
    shards = _Shards(paths, name)
    return _Ragged(shards) if keep else _Uniform(shards)


class _Shards:
    """The members of shards, and the bytes of each."""

    def __init__(self, paths: Sequence[Path], name: str) -> None:
        self.name, self.paths = name, paths
        fetch(paths)
        found = parallel(_members, paths)
        self.members = [member for members in found for member in members]
        if not self.members:
            raise IsthmusError(
                f"{name} holds no samples: images ({', '.join(SUFFIXES)}) or arrays (.npy) in .tar files"
            )
        self._ends = np.cumsum([len(members) for members in found])
        self._reader: Callable[[int], Callable[[int, int], bytes]] = lru_cache(_OPEN)(lambda i: positional(paths[i]))
        labels = [member.label for member in self.members]
        self.labels = None if None in labels else _as_labels(labels, name)

    def __len__(self) -> int:
        return len(self.members)

    def location(self, index: int) -> str:
        return f"{self.members[index].name} of {self.paths[self._shard(index)]}"

    def read(self, index: int) -> np.ndarray:
        """One sample as it is stored."""
        member = self.members[index]
        with reading(self.location(index), "a sample"):
            content = io.BytesIO(self._reader(self._shard(index))(member.size, member.place))
            if member.name.endswith(f".{_ARRAY}"):
                array: np.ndarray = np.load(content, allow_pickle=False)
                return array
            return decoded(content)

    def _shard(self, index: int) -> int:
        return int(np.searchsorted(self._ends, index, side="right"))


class _Uniform(Source):
    """Samples of one shape and dtype, that of the first one."""

    def __init__(self, shards: _Shards) -> None:
        first = shards.read(0)
        check_array((1, *first.shape), first.dtype, shards.location(0))
        super().__init__((len(shards), *first.shape), first.dtype, name=shards.name, labels=shards.labels)
        self._shards = shards

    def _take(self, indices: np.ndarray) -> np.ndarray:
        block = np.empty((len(indices), *self.shape[1:]), self.dtype)

        def fill(row: int) -> None:
            index = int(indices[row])
            sample = self._shards.read(index)
            if sample.shape != self.shape[1:] or sample.dtype.newbyteorder("=") != self.dtype:
                raise IsthmusError(
                    f"{self.location(index)} has shape {sample.shape} and {sample.dtype}, and {self.location(0)} "
                    f"{self.shape[1:]} and {self.dtype}; give samples of one shape and dtype"
                )
            block[row] = sample

        parallel(fill, range(len(indices)))
        return block

    def location(self, index: int) -> str:
        return self._shards.location(index)


class _Ragged(RaggedSource):
    """Samples each in its own shape and dtype."""

    def __init__(self, shards: _Shards) -> None:
        super().__init__(len(shards), name=shards.name)
        self.labels, self._shards = shards.labels, shards

    def _read(self, index: int) -> np.ndarray:
        return self._shards.read(index)

    def location(self, index: int) -> str:
        return self._shards.location(index)


def _members(path: Path) -> list[_Member]:
    """The samples of a shard, in their order; of one elsewhere, they are remembered in the cache."""
    if not isinstance(path, RemotePath):
        return _listed(path)
    name = f"{fingerprint(path.address, path.found())}-index"
    kept = CACHE.get(name)
    if kept is None:
        text = json.dumps(_listed(path))
        kept = CACHE.add(name, len(text), lambda made: made.write_text(text))  # type: ignore[arg-type]
    return [_Member(*entry) for entry in json.loads(kept.read_text())]


def _listed(path: Path) -> list[_Member]:
    samples: dict[str, _Member] = {}
    labels: dict[str, str] = {}
    with reading(path, "a tar file"), opened(path) as raw, tarfile.open(fileobj=raw, mode="r:") as file:
        for member in file:
            folder, slash, base = member.name.rpartition("/")
            key, _, suffix = base.partition(".")
            if not member.isreg() or not key:
                continue
            key, suffix = f"{folder}{slash}{key}", suffix.lower()
            if suffix == _LABEL:
                content: Any = file.extractfile(member)
                labels[key] = content.read(1000).decode().strip()
            elif suffix.rpartition(".")[2] in (*_IMAGES, _ARRAY):
                if key in samples:
                    raise IsthmusError(
                        f"{path} has two samples {key!r}: {samples[key].name} and {member.name}; one is needed"
                    )
                samples[key] = _Member(member.name, member.offset_data, member.size, None)
    return [member._replace(label=labels.get(key)) for key, member in samples.items()]


def _as_labels(labels: Sequence[str | None], name: str) -> np.ndarray:
    texts = np.array(labels, str)
    numbers = all(text and text.lstrip("-").isdigit() for text in texts.tolist())
    return as_labels(texts.astype(np.int64) if numbers else texts, f"the labels of {name}")
