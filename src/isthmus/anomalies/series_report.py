"""The strangest stretches of time series, as sections of a detector's report."""

from __future__ import annotations

from typing import Any

import numpy as np

from isthmus.anomalies.findings import Detector, Findings
from isthmus.anomalies.series_figures import Track, from_near, overview
from isthmus.anomalies.stretches import Stretch, block_maxima, chance_of_false_alarm, stretch_p_value, stretches
from isthmus.data.frames import as_table, is_frame
from isthmus.data.series import NUMBERS, Series
from isthmus.evaluation.figures.style import Plate
from isthmus.evaluation.page import Row, Section, Table
from isthmus.evaluation.theme import clipped, number, share
from isthmus.words import count

_LISTED, _NEAR, _SERIES = 20, 4, 3
_CAUSES = 2  # channels that are named


def series_sections(detector: Detector, samples: list[Series], findings: Findings) -> list[Section]:
    """The stretches in a list, the series that they are in, and some of them in close-up."""
    tracks = tracks_of(detector, samples, findings)
    flagged = np.split(findings.flagged(), np.cumsum([len(one) for one in samples])[:-1])
    scorer: Any = detector.scorer_  # a SeriesScorer
    window = int(scorer.window)
    found: list[tuple[int, Stretch]] = []
    for i, track in enumerate(tracks):
        if flagged[i].any() or not findings.flagged().any():
            found += [(i, one) for one in stretches(track.strangeness, flagged[i], window // 2, _LISTED)]
    found.sort(key=lambda pair: -tracks[pair[0]].strangeness[pair[1].peak])
    shown = found[:_LISTED]
    usual = block_maxima(findings.usual, window)
    what = "flagged" if findings.flagged().any() else "strangest, since none is flagged"
    text = (
        f"Time steps that are {what}, as stretches: what lies less than half a window ({window // 2:,} steps) apart is "
        f"one. A window that holds something strange makes all of its steps strange, so that stretches are longer than "
        f"what they are about. p of a stretch is the chance that a window of a normal series has as high a peak; "
        f"so long a normal series has a step above all that were seen before with a chance of "
        f"{share(chance_of_false_alarm(len(findings), window, len(detector.calibration_.scores)))}."
    )
    plates: list[Plate] = []
    for i in dict.fromkeys(i for i, _ in shown[:_NEAR]):
        if len(plates) < _SERIES:
            own = [one for j, one in found if j == i]
            name = "series" if len(tracks) == 1 else f"series_{i}"
            said = "The series" if len(tracks) == 1 else f"Series {i}"
            plates.append(overview(name, tracks[i], own, f"{said}, with its strange stretches marked."))
    near = []
    for k, (i, one) in enumerate(shown[:_NEAR], 1):
        caption = f"{_which(i, tracks)}{tracks[i].when(one.start)} to {tracks[i].when(one.stop - 1)}."
        near.append(from_near(f"stretch_{k}", tracks[i], one, max(2 * window, len(one)), caption))
    return [
        Section("The strangest stretches", plates, text=text, listing=_listing(tracks, shown, usual)),
        Section("From near", near, text="The channel that differs most from what was expected, beside that."),
    ]


def tracks_of(detector: Detector, samples: list[Series], findings: Findings) -> list[Track]:
    """Each series with what was found."""
    parts = detector.scorer_.parts(samples)
    expected = parts.expected
    if is_frame(expected):
        expected = np.stack([column.to_numpy() for column in as_table(expected).columns], 1)
    tracks, start = [], 0
    for series in samples:
        own = slice(start, start + len(series))
        start += len(series)
        tracks.append(
            Track(
                series.values,
                expected[own],
                np.asarray(parts.scores)[own],
                findings.strangeness[own],
                channel_names(series),
                series.times,
                findings.threshold,
            )
        )
    return tracks


def channel_names(series: Series) -> list[str]:
    """What the channels are called."""
    if series.table is not None:
        return [column.name for column in series.table.schema.used if column.kind in NUMBERS]
    return [f"channel {i}" for i in range(series.values.shape[1])]


def _which(i: int, tracks: list[Track]) -> str:
    return "" if len(tracks) == 1 else f"series {i}, "


def _listing(tracks: list[Track], found: list[tuple[int, Stretch]], usual: np.ndarray) -> Table:
    """usual : the peaks of windows of a normal series."""
    rows = []
    for i, one in found:
        track, steps = tracks[i], slice(one.start, one.stop)
        own = track.parts[steps].sum(0)
        shares = own / max(float(own.sum()), 1e-12)
        causes = [j for j in np.argsort(-shares, kind="stable")[:_CAUSES].tolist() if shares[j] >= 0.1]
        why = ", ".join(f"{clipped(track.names[j], 24)} ({share(shares[j])})" for j in causes)
        label = f"{_which(i, tracks)}{track.when(one.start)}"
        peak = float(track.strangeness[one.peak])
        p = number(stretch_p_value(peak, usual))
        rows.append(Row(label, (track.when(one.stop - 1), count(len(one), "step"), number(peak), p, why)))
    return Table(("from", "to", "long", "peak", "p", "in"), rows, ("long", "peak", "p"))
