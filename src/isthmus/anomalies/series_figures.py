"""Figures of time series: the whole of one with its strange stretches marked, and a stretch in close-up."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter

from isthmus.anomalies.stretches import Stretch
from isthmus.evaluation.figures.charts import WIDTH
from isthmus.evaluation.figures.style import Canvas, Plate
from isthmus.evaluation.theme import Theme, clipped

_WIDE = 2 * WIDTH + 48
_CHANNELS = 4  # that are drawn
_BINS = 700  # of a line: more steps become the smallest and the largest of each bin
_ROW, _GAP = 96, 22  # pixels of a channel
_DAYS = 5  # from which on the hour is left out


@dataclass(frozen=True)
class Track:
    """One series. values, expected, parts : (n, channels). strangeness : (n,). names : of the channels.

    times : seconds since 1970, (n,), or None. threshold : of the strangeness, above which `predict` flags.
    """

    values: np.ndarray
    expected: np.ndarray
    parts: np.ndarray
    strangeness: np.ndarray
    names: Sequence[str]
    times: np.ndarray | None
    threshold: float

    def when(self, step: int) -> str:
        """A step by its date, or its number."""
        if self.times is None or not np.isfinite(self.times[min(step, len(self.times) - 1)]):
            return f"{step:,}"
        at = datetime.datetime.fromtimestamp(float(self.times[min(step, len(self.times) - 1)]), datetime.UTC)
        return at.strftime("%Y-%m-%d %H:%M")

    def guiltiest(self, marked: Sequence[Stretch]) -> list[int]:
        """The channels with the largest parts in some stretches, in their order."""
        sums = np.sum([self.parts[one.start : one.stop].sum(0) for one in marked], 0)
        return sorted(np.argsort(-sums, kind="stable")[:_CHANNELS].tolist())


def overview(name: str, track: Track, marked: Sequence[Stretch], caption: str) -> Plate:
    """The channels of a series over time, and how strange its steps are."""
    channels = track.guiltiest(marked)
    if len(channels) < len(track.names):
        caption += f" Drawn are the {len(channels)} guiltiest of {len(track.names)} channels."
    return Plate(name, caption, lambda theme: _overview(track, marked, channels, theme), wide=True)


def _overview(track: Track, marked: Sequence[Stretch], channels: Sequence[int], theme: Theme) -> Canvas:
    n, rows = len(track.values), len(channels) + 1
    canvas = Canvas(_WIDE, rows * (_ROW + _GAP) + 34, theme)
    for row, channel in enumerate([*channels, None]):
        top = _GAP + row * (_ROW + _GAP)
        chart = canvas.chart(62, top, _WIDE - 76, _ROW)
        line = track.strangeness if channel is None else track.values[:, channel]
        _envelope(chart, line, theme.cool if channel is None else theme.ink)
        if channel is None:
            chart.axhline(track.threshold, color=theme.ink, linewidth=1.2, linestyle=(0, (3, 2)))
        for one in marked:
            middle, wide = (one.start + one.stop) / 2, max(len(one), n / 400)  # a single step must be seen
            chart.axvspan(middle - wide / 2, middle + wide / 2, color=theme.warm, alpha=0.35, linewidth=0)
        chart.set(xlim=(0, max(n - 1, 1)))
        _few_ticks(chart, track, last=channel is None)
        canvas.text(62, top - 9, "strangeness" if channel is None else clipped(track.names[channel], 60), ha="left")
    canvas.text(
        62 + (_WIDE - 76) / 2, canvas.height - 10, "time" if track.times is not None else "time step", size=10.5
    )
    return canvas


def from_near(name: str, track: Track, stretch: Stretch, around: int, caption: str) -> Plate:
    """A stretch in close-up, in its guiltiest channel, and what was expected. around : steps shown on both sides."""
    channel = int(track.parts[stretch.start : stretch.stop].sum(0).argmax())
    return Plate(name, caption, lambda theme: _near(track, stretch, channel, around, theme))


def _near(track: Track, stretch: Stretch, channel: int, around: int, theme: Theme) -> Canvas:
    start, stop = max(0, stretch.start - around), min(len(track.values), stretch.stop + around)
    canvas = Canvas(WIDTH, 226, theme)
    chart = canvas.chart(56, 34, WIDTH - 70, 160)
    chart.axvspan(stretch.start - 0.5, stretch.stop - 0.5, color=theme.warm, alpha=0.25, linewidth=0)
    for line, color, width in ((track.expected, theme.cool, 1.6), (track.values, theme.ink, 1.3)):
        _envelope(chart, line[start:stop, channel], color, start, width)
    chart.set(xlim=(start, max(stop - 1, start + 1)))
    _few_ticks(chart, track, last=True)
    left = 10.0
    for label, color in ((clipped(track.names[channel], 24), theme.ink), ("expected", theme.cool)):
        canvas.stage.plot([left, left + 20], [12, 12], color=color, linewidth=2)
        canvas.text(left + 27, 12, label, ha="left", color=theme.ink)
        left += 54 + 6.6 * len(label)
    return canvas


def _envelope(chart: Any, line: np.ndarray, color: str, start: int = 0, width: float = 1.1) -> None:
    """A line; a long one as what lies between the smallest and the largest of each bin, so that no peak is lost."""
    n = len(line)
    if n <= 2 * _BINS:
        chart.plot(np.arange(start, start + n), line, color=color, linewidth=width)
        return
    edges = np.linspace(0, n, _BINS + 1).astype(int)[:-1]
    known = np.isfinite(line)
    low = np.minimum.reduceat(np.where(known, line, np.inf), edges)
    high = np.maximum.reduceat(np.where(known, line, -np.inf), edges)
    some = low <= high
    x = start + (edges + n / (2 * _BINS))[some]
    chart.fill_between(x, low[some], high[some], color=color, alpha=0.85, linewidth=0.6)


def _few_ticks(chart: Any, track: Track, *, last: bool) -> None:
    chart.locator_params(axis="y", nbins=3)
    chart.locator_params(axis="x", nbins=5 if track.times is None else 4)
    chart.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    if not last:
        chart.set_xticklabels([])
        return
    n, (start, stop) = len(track.values), chart.get_xlim()
    days = track.times is not None and np.ptp(track.times[[int(start), min(int(stop), n - 1)]]) > _DAYS * 86_400
    chart.xaxis.set_major_formatter(
        FuncFormatter(lambda step, _: track.when(int(step))[: 10 if days else None] if 0 <= step < n else "")
    )
