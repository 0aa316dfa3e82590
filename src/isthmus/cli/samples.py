"""What is made of samples, part by part: here or on a cluster, into one file or into a folder of many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.cli import options
from isthmus.cli.backend import Backend
from isthmus.cli.models import block_spans, open_model
from isthmus.cli.progress import track
from isthmus.remote.paths import RemotePath

if TYPE_CHECKING:
    from isthmus.data.sources import Source

Span = tuple[int, int]
_BLOCKS_IN_PART = 64  # of the blocks that are read at a time, in one file of a folder


@dataclass(frozen=True)
class Samples:
    """A model and data that it takes, opened here and, on a cluster, in each worker again.

    opening : opens both. backend, device : where and on what the work is done.
    """

    model: Any
    source: Source
    opening: Callable[[], tuple[Any, Source]]
    backend: Backend
    device: str

    @classmethod
    def open(
        cls, model: str, data: str, reading: options.Reading, device: str, backend: Backend, *abilities: str
    ) -> Samples:
        """A model that can do all of this, and data read as it takes them."""
        opening = partial(open_model, model, data, reading, device, *abilities)
        return cls(*opening(), opening, backend, device)

    def blocks(self, work: Callable[[tuple[Any, Source], Span], Any], what: str) -> Iterator[Any]:
        """What `work` makes of each range of samples, in order. what : is done to them, for the progress."""
        spans = block_spans(self.source)
        made = self._map(work, spans, together(self.source, spans))
        return track(made, len(self.source), what, count=len)

    def into_folder(
        self, folder: Path, suffix: str, write: Callable[[Path, tuple[Any, Source], list[Span]], int], what: str
    ) -> None:
        """A folder with a file for each part of the data, written where the part is worked on; whole or absent.

        In a bucket each worker sends its files, which take their places one by one; what lay there goes in the end.
        write : makes one file of some successive ranges of samples; returns how many these are.
        """
        from isthmus.files import atomic_folder

        spans = block_spans(self.source)
        parts = [spans[start : start + _BLOCKS_IN_PART] for start in range(0, len(spans), _BLOCKS_IN_PART)]
        place = nullcontext(folder) if isinstance(folder, RemotePath) else atomic_folder(folder.absolute())
        with place as made:
            made.mkdir()
            names = [made / f"part-{number:05}{suffix}" for number in range(len(parts))]
            done = self._map(partial(_write, write), list(zip(names, parts, strict=True)))
            for _ in track(done, len(self.source), what, count=int):
                pass
            for left in set(made.iterdir()) - set(names):  # by workers that were killed
                left.unlink()

    def _map(self, work: Callable[[Any, Any], Any], parts: list[Any], together: int = 1) -> Iterator[Any]:
        return self.backend.map(self.opening, work, parts, (self.model, self.source), self.device, together)


def together(source: Source, spans: list[Span]) -> int:
    """How many successive ranges of samples are read together."""
    start, stop = spans[0]
    return max(1, source.read_together // (stop - start))


def _write(write: Callable[..., int], opened: tuple[Any, Source], part: tuple[Path, list[Span]]) -> int:
    return write(part[0], opened, part[1])
