"""A map of a data set: where each sample lies in the plane, how it looks, and what the decoder makes of each place."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Protocol

import numpy as np

from isthmus.data.base import evenly_spread
from isthmus.data.sources import Source, open_source, subset
from isthmus.errors import IsthmusError
from isthmus.evaluation.neighbourhood_preservation import NeighbourhoodScores
from isthmus.evaluation.pictures import as_pictures, shown_range
from isthmus.evaluation.study import KINDS, Classes, classes_of, columns_of, network_layout
from isthmus.words import count

_MOST_POINTS = 70_000
_MOST_PIXELS = 72_000_000  # of all pictures: what keeps a page of 70,000 below 25 MB
_SIDES = (24, 64)  # pixels along a picture: never fewer, never more
_BLOCK = 1024
_STEPS = 64  # values of a line
_MOST_CHANNELS = 3  # lines of a sample
_MOST_VALUES = 8  # columns of a table's row that are shown
_WIDE = 40  # columns; wider rows are shown as lines, and only the first ones colour points
_GRID = {"images": 40, "volumes": 40, "signals": 18}  # places along a side where the decoder is asked, at most
_LEAST_GRID = 12
_TAIL = 0.002  # share of the samples on each side that may be strays
_FEWEST_STRAYS = 100  # samples; of fewer all are within the frame
_MOST_CLASSES, _COLORS = 20, 10  # classes with a colour, and colours
_ERROR = "reconstruction error"
_FEW = 1 / 5_000  # of the samples: in a cell and those around it so few are strays


class Mapper(Protocol):
    """What a map needs to know about a model."""

    def transform(self, X: Any) -> np.ndarray:
        """Places of shape (n, 2)."""

    def inverse_transform(self, Z: Any) -> np.ndarray:
        """Samples in the user's layout and dtype."""

    def scale(self, X: Any) -> np.ndarray:
        """Samples in scaled units, float32, (n, C, *spatial) or (n, features)."""


@dataclass(frozen=True)
class Land:
    """What the decoder makes of a square grid of places, where there are samples.

    size : cells along a side. cells : row (from the top) and column of each place, array of shape (k, 2).
    shown : what the decoder makes of each, in the form of the map's previews.
    """

    size: int
    cells: np.ndarray
    shown: np.ndarray

    def mosaic(self) -> np.ndarray:
        """The pictures side by side, each where it belongs: uint8 (height, width, 4), see-through elsewhere."""
        height, width = self.shown.shape[1:3]
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        whole = np.zeros((self.size, side, self.size, side, 4), np.uint8)
        for (row, column), picture in zip(self.cells, self.shown, strict=True):
            whole[row, top : top + height, column, left : left + width] = 255
            whole[row, top : top + height, column, left : left + width, :3] = picture
        return whole.reshape(self.size * side, self.size * side, 4)


@dataclass(frozen=True)
class DrawnMap:
    """Samples at places in the plane, in an order in which neighbours follow each other.

    points : array of shape (n, 2). indices : which sample of the data each point is, array of shape (n,).
    low, side : lower corner and side of the square that holds all but a few stray points.
    kind : "images", "volumes", "signals" or "table". names : of the files, where samples are files.
    form : of the previews: "pictures", uint8 (n, height, width, 1 or 3); "lines", uint8 (n, channels, steps);
        "values", float32 (n, columns), the first columns of a row in the user's units.
    shrunk : whether pictures have fewer pixels than the samples.
    values : what points can be coloured by beside their classes: the mean squared error of the reconstruction
        in scaled units, and the columns of a table in the user's units, each an array of shape (n,).
    land : what the decoder makes of each place, for pictures and signals.
    samples_given : number of samples in the data; of more than 70,000 a random part is shown.
    """

    points: np.ndarray
    indices: np.ndarray
    low: np.ndarray
    side: float
    kind: str
    classes: Classes | None
    names: tuple[str, ...]
    form: str
    previews: np.ndarray
    columns: tuple[str, ...]
    shrunk: bool
    land: Land | None
    samples_given: int
    scores: NeighbourhoodScores | None = None
    values: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def headline(self) -> str:
        """How many samples, and how well their neighbourhoods are kept."""
        n = len(self.points)
        parts = [count(n, "sample") if n == self.samples_given else f"{n:,} of {self.samples_given:,} samples"]
        if self.scores is not None:
            parts.append(f"trustworthiness {self.scores.trustworthiness:.3f}")
            parts.append(f"continuity {self.scores.continuity:.3f}")
        return "  ·  ".join(parts)

    @property
    def anchors(self) -> np.ndarray:
        """Where the name of each class stands, (classes, 2): the sample nearest to the median of the class."""
        assert self.classes is not None
        anchors = np.empty((len(self.classes.names), 2), np.float32)
        for i in range(len(anchors)):
            points = self.points[self.classes.index == i]
            anchors[i] = points[((points - np.median(points, axis=0)) ** 2).sum(axis=1).argmin()]
        return anchors

    @property
    def hues(self) -> tuple[int, ...]:
        """Which of a theme's ten colours each class has; none where there are more than 20 classes, or none.

        The second ten share the colours of the first, each that of the class that is farthest away.
        """
        if self.classes is None or len(self.classes.names) > _MOST_CLASSES:
            return ()
        anchors, hues = self.anchors, list(range(min(len(self.classes.names), _COLORS)))
        free = set(hues)
        for anchor in anchors[_COLORS:]:
            distances = ((anchors[:_COLORS] - anchor) ** 2).sum(axis=1)
            hues.append(max(free, key=lambda hue: distances[hue]))
            free.remove(hues[-1])
        return tuple(hues)

    @property
    def outside(self) -> int:
        """How many samples lie outside the square."""
        shares = (self.points - self.low) / self.side
        return int((~((shares >= 0) & (shares <= 1)).all(axis=1)).sum())


def draw_map(
    model: Mapper,
    data: Any,
    *,
    labels: Any = None,
    class_names: Sequence[str] | Mapping[int, str] | None = None,
    scores: NeighbourhoodScores | None = None,
) -> DrawnMap:
    """The map that a model with codes of two numbers makes of data.

    data : array of shape (n_samples, ...), path, name of a data set or Source.
    labels : one for each sample, text or integers; by default those of `data`. class_names : what integers mean.
    scores : how well the map keeps neighbourhoods, where that was measured.

    Raises IsthmusError where codes have another shape, or labels do not match.
    """
    whole = open_source(data, columns=getattr(model, "feature_names_in_", None))
    given = len(whole)
    chosen = np.arange(given)
    if given > _MOST_POINTS:
        chosen = np.sort(np.random.default_rng(0).choice(given, _MOST_POINTS, replace=False))
    source = subset(whole, chosen)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have valid feature names.*", UserWarning)
        look = _look(model, source)
        places, previews, values = _read(model, look, source)
        low, side = _frame(places)
        order = _along_a_curve((places - low) / side)
        land = _land(model, look, (places - low) / side, lambda shares: (low + side * shares).astype(np.float32))
    paths = getattr(whole, "paths", None)
    return DrawnMap(
        points=places[order],
        indices=chosen[order],
        low=low,
        side=side,
        kind=look.kind,
        classes=classes_of(whole.labels if labels is None else labels, class_names, given, chosen[order]),
        names=() if paths is None else tuple(PurePath(paths[i]).name for i in chosen[order]),
        form=look.form,
        previews=previews[order],
        columns=look.columns,
        shrunk=look.shrunk,
        land=land,
        samples_given=given,
        scores=scores,
        values={name: of[order] for name, of in values.items()},
    )


def _frame(places: np.ndarray) -> tuple[np.ndarray, float]:
    """Lower corner and side of a square around all samples; a few that lie far away may be outside."""
    first, last = places.min(axis=0), places.max(axis=0)
    low = np.quantile(places, _TAIL, axis=0, method="higher")
    high = np.quantile(places, 1 - _TAIL, axis=0, method="lower")
    reach = 0.15 * (high - low)
    low, high = np.maximum(first, low - reach), np.minimum(last, high + reach)
    if len(places) < _FEWEST_STRAYS:
        low, high = first, last
    side = 1.06 * float((high - low).max()) or 1.0
    return ((low + high - side) / 2).astype(np.float32), side


def _along_a_curve(shares: np.ndarray) -> np.ndarray:
    """The order of places, shares (n, 2) of the frame, along a curve that fills it: neighbours follow each other.

    Morton's order: the bits of both coordinates take turns.
    """
    cells = (1023 * shares.clip(0, 1)).astype(np.uint32)
    keys = np.zeros(len(cells), np.uint32)
    for bit in range(10):
        for axis in range(2):
            keys |= (cells[:, axis] >> bit & 1) << (2 * bit + axis)
    return np.argsort(keys, kind="stable")


@dataclass(frozen=True)
class _Look:
    """How samples are shown; see `DrawnMap`. limits : scaled values shown as black and white. most : pixels along."""

    kind: str
    form: str
    limits: tuple[float, float]
    most: int
    columns: tuple[str, ...]
    shrunk: bool

    def previews(self, samples: np.ndarray, scaled: np.ndarray) -> np.ndarray:
        """Of samples in the user's layout, and the same as networks see them."""
        if self.form == "values":
            return samples[:, :_MOST_VALUES].astype(np.float32)
        if self.form == "pictures":
            return as_pictures(scaled, self.limits, self.most)
        lines = scaled.reshape(len(scaled), -1, scaled.shape[-1])[:, :_MOST_CHANNELS]
        steps = np.linspace(0, lines.shape[-1] - 1, min(lines.shape[-1], _STEPS)).round().astype(int)
        low, high = self.limits
        return (255 * ((lines[..., steps] - low) / (high - low)).clip(0, 1)).round().astype(np.uint8)


def _look(model: Mapper, source: Source) -> _Look:
    some = source.take(evenly_spread(len(source), 500))
    scaled = network_layout(model.scale(some), source.shape[1:])
    if scaled.ndim not in KINDS:
        raise IsthmusError(
            f"samples of shape {source.shape[1:]} cannot be drawn; these can: {', '.join(KINDS.values())}"
        )
    kind = KINDS[scaled.ndim]
    form = "pictures" if kind in ("images", "volumes") else "lines"
    columns: tuple[str, ...] = ()
    if kind == "table" and scaled.shape[1] <= _WIDE:
        form, columns = "values", columns_of(source, model, source.shape[1:])[:_MOST_VALUES]
    most = int(np.clip(math.isqrt(_MOST_PIXELS // len(source)), *_SIDES))
    shrunk = form == "pictures" and max(scaled.shape[-2:]) > most
    return _Look(kind, form, shown_range(scaled, kind), most, columns, shrunk)


def _read(model: Mapper, look: _Look, source: Source) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Places (n, 2), previews and values of all samples, in one pass over them; see `DrawnMap`."""
    places, previews, values = [], [], []
    shape = source.shape[1:]
    names = columns_of(source, model, shape)[:_WIDE]
    for samples in source.chunks(_BLOCK):
        codes = np.asarray(model.transform(samples), np.float32)
        if codes.shape[1:] != (2,):
            raise IsthmusError(f"a map needs codes of 2 numbers; those of this model have shape {codes.shape[1:]}")
        places.append(codes)
        scaled = network_layout(model.scale(samples), shape)
        previews.append(look.previews(samples, scaled))
        rebuilt = network_layout(model.scale(model.inverse_transform(codes)), shape)
        error = np.square(rebuilt - scaled).reshape(len(codes), -1).mean(axis=1)
        columns = samples[:, :_WIDE] if names and look.kind == "table" else np.empty((len(codes), 0))
        values.append(np.concatenate([error[:, None], columns], axis=1).astype(np.float32))
    named = (_ERROR, *names[: values[0].shape[1] - 1])
    return np.concatenate(places), np.concatenate(previews), dict(zip(named, np.concatenate(values).T, strict=True))


def _land(model: Mapper, look: _Look, shares: np.ndarray, places_of: Callable[[np.ndarray], np.ndarray]) -> Land | None:
    """What the decoder makes of the middle of each cell that has samples, these at shares (n, 2) of the frame."""
    inside = shares[((shares >= 0) & (shares < 1)).all(axis=1)]
    if look.kind not in _GRID or not len(inside):
        return None
    size = min(_GRID[look.kind], max(_LEAST_GRID, math.isqrt(len(inside) // 2)))
    counts = np.zeros((size, size), np.intp)
    column, up = (size * inside).astype(int).T
    np.add.at(counts, (size - 1 - up, column), 1)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(counts, 1), (3, 3)).sum(axis=(2, 3))
    cells = np.argwhere((counts > 0) & (around > max(1, _FEW * len(inside))))
    if not len(cells):
        return None
    middles = (np.stack([cells[:, 1], size - 1 - cells[:, 0]], axis=1) + 0.5) / size
    decoded = model.inverse_transform(places_of(middles))
    return Land(size, cells, look.previews(decoded, network_layout(model.scale(decoded), decoded.shape[1:])))
