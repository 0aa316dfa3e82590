"""Whether samples are signals, rows of a table or images: said by the user, or seen in the data.

An array (n, 256) without names may be either of the first two, and it matters: signals have one unit and an order, so
they are scaled by one range and convolved; the columns of a table have a unit each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from isthmus.data.base import Source, spread_samples
from isthmus.data.channels_last import sample_channel_axis
from isthmus.errors import IsthmusError, unknown_name
from isthmus.words import count

SampleKindName = Literal["auto", "signals", "table", "images"]
SAMPLE_KINDS: tuple[str, ...] = get_args(SampleKindName)
_LEAST_VALUES, _LEAST_SAMPLES, _MOST_SAMPLES = 32, 16, 1000  # of what is looked at
_CORRELATED = 0.3  # least correlation of any two neighbouring values
_CLOSER = 0.5  # neighbours are to differ less than so much of what values far apart do
_SCALES = 4.0  # at most, between the deviations of neighbours
_ROW_ENDS = 3.0  # at the ends of an image's rows neighbours differ so many times as much as elsewhere
CHANNELS, _LEAST_LENGTH = 4, 16  # most channels, and least length beside them, of what is taken for a signal


@dataclass(frozen=True)
class SampleKind:
    """What samples are read as. name : one of SAMPLE_KINDS but "auto". channel_axis : as estimators take it."""

    name: str
    channel_axis: int | str | None


def kind_of(source: Source, kind: str, channel_axis: int | str | None) -> SampleKind:
    """What samples are read as; what the user says comes first.

    kind : "signals" have shape (n, length), or channels on one more axis: `channel_axis`, or the shorter one. "images"
        are images and volumes. "table": rows of features. "auto" takes for signals what says so (sound files), 3-D
        arrays of which one axis has at most 4 entries and the other at least 16, and rows of numbers of at least 32
        columns without names that are smooth: see `are_smooth`. Else rows are a table, and all others are images.

    Raises IsthmusError for an unknown kind, and for one that does not fit the shape.
    """
    if kind not in SAMPLE_KINDS:
        raise unknown_name("kind", kind, SAMPLE_KINDS)
    shape = source.shape[1:]
    if kind == "table" or (kind == "images" and len(shape) > 1):
        return SampleKind(kind, channel_axis)
    if kind == "images" or (kind == "signals" and len(shape) > 2):
        needed = "(n, height, width)" if kind == "images" else "(n, length), or one more axis of channels"
        raise IsthmusError(f"{source.name} has shape {source.shape}, and {kind} need {needed}")
    if len(shape) == 1:
        signals = kind == "signals" or source.kind == "signals" or are_smooth(source)
        return SampleKind("signals" if signals else "table", None if signals else channel_axis)
    if len(shape) == 2 and channel_axis == "auto":
        shorter = 1 if shape[1] <= shape[0] else 0
        thin = shape[shorter] <= CHANNELS and shape[1 - shorter] >= _LEAST_LENGTH
        if thin or kind == "signals":
            return SampleKind("signals", shorter + 1)
    spatial = len(shape) - (sample_channel_axis(shape, channel_axis) is not None)
    return SampleKind("signals" if kind == "signals" or spatial == 1 else "images", channel_axis)


def are_smooth(source: Source) -> bool:
    """Whether rows of numbers are signals: each value correlates with the next, and less with those far away.

    Of neighbouring columns, each pair must have a correlation of at least 0.3 and deviations within a factor of 4, and
    all together must differ half as much as columns far apart, or less. Columns of a table that correlate do so in any
    order. Pixels in rows are not taken for signals: bytes never are, and other values not where the ends of image rows
    can be seen.
    """
    n, length = len(source), source.shape[1]
    named, pixels = source.feature_names is not None, source.dtype in (np.uint8, np.bool_)
    if named or pixels or length < _LEAST_VALUES or n < _LEAST_SAMPLES:
        return False
    some = spread_samples(source, _MOST_SAMPLES)
    rows = some.take(np.arange(len(some))).astype(np.float64)
    rows = rows[np.isfinite(rows).all(axis=1)]
    if len(rows) < _LEAST_SAMPLES:
        return False
    deviation = rows.std(axis=0)
    ratio = deviation[1:] / np.where(deviation[:-1] > 0, deviation[:-1], np.nan)
    if not bool(((ratio < _SCALES) & (ratio > 1 / _SCALES)).all()):
        return False
    z = (rows - rows.mean(axis=0)) / deviation
    apart = 1 - (z[:, 1:] * z[:, :-1]).mean(axis=0)  # of neighbours: 1 - correlation
    order = np.random.default_rng(0).permutation(length)
    anywhere = 1 - (z[:, order[1:]] * z[:, order[:-1]]).mean(axis=0)
    return bool(apart.max() <= 1 - _CORRELATED and apart.mean() <= _CLOSER * anywhere.mean()) and not _has_rows(apart)


def _has_rows(apart: np.ndarray) -> bool:
    """Whether neighbours differ more wherever a row of an image would end. apart : of values i and i + 1."""
    length = len(apart) + 1
    for width in range(4, length // 4 + 1):
        if length % width == 0:
            ends = np.arange(width - 1, length - 1, width)
            if apart[ends].mean() > _ROW_ENDS * np.delete(apart, ends).mean():
                return True
    return False


def in_words(source: Source, kind: SampleKind) -> str:
    """What samples are read as: "2,000 signals of 256 values; --kind table reads them as a table"."""
    n, shape = len(source), source.shape[1:]
    if kind.name == "table":
        otherwise = "" if len(shape) > 1 or source.feature_names else "; --kind signals reads them as signals"
        return f"{count(n, 'row')} of {count(math.prod(shape), 'column')}{otherwise}"
    if kind.name == "images":
        return f"{count(n, 'sample')} of {' × '.join(map(str, shape))}"
    axis = sample_channel_axis(shape, kind.channel_axis)
    length = shape[0] if axis is None else shape[1 - axis]
    channels = "" if axis is None else f" in {count(shape[axis], 'channel')}"
    otherwise = "--kind table reads them as a table" if len(shape) == 1 else "--kind images reads them as images"
    return f"{count(n, 'signal')} of {count(length, 'value')}{channels}; {otherwise}"
