"""Why a time step is strange, as a piece of HTML: the line around it beside what was expected."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from markupsafe import Markup

from isthmus.anomalies.findings import Findings
from isthmus.anomalies.series_figures import Track
from isthmus.anomalies.series_report import tracks_of
from isthmus.anomalies.stretches import stretches
from isthmus.data.series import Series
from isthmus.evaluation.theme import clipped, share
from isthmus.serving.explorer.views import Viewer

_WIDTH, _HEIGHT = 560, 200
_MOST_STRETCHES = 100
_CHANNELS = 3  # that are drawn, the guiltiest first


class Steps:
    """The channels around a time step."""

    def __init__(self, model: Any, series: list[Series], findings: Findings) -> None:
        self._model, self._series, self._findings = model, series, findings

    @cached_property
    def _tracks(self) -> list[Track]:
        return tracks_of(self._model, self._series, self._findings)

    def place(self, index: int) -> tuple[int, int]:
        """The series of a step, and its number there."""
        ends = np.cumsum([len(one) for one in self._series])
        owner = int(np.searchsorted(ends, index, side="right"))
        return owner, index - (int(ends[owner - 1]) if owner else 0)

    def title(self, index: int) -> str:
        """When a step was."""
        owner, step = self.place(index)
        when = self._tracks[owner].when(step)
        return when if len(self._series) == 1 else f"series {owner}, {when}"

    def tour(self) -> np.ndarray:
        """The strangest step of each stretch, the strangest stretch first."""
        flagged, strangeness = self._findings.flagged(), self._findings.strangeness
        gap = int(self._model.scorer_.window) // 2
        return np.array([one.peak for one in stretches(strangeness, flagged, gap, _MOST_STRETCHES)])

    def __call__(self, index: int) -> Markup:
        owner, step = self.place(index)
        track, around = self._tracks[owner], int(self._model.scorer_.window)
        start, stop = max(0, step - around), min(len(track.values), step + around + 1)
        shares = track.parts[step] / max(float(track.parts[step].sum()), 1e-12)
        figure = Markup("<figure>{}<figcaption>{} ({})</figcaption></figure>")
        drawn = []
        for j in np.argsort(-shares, kind="stable")[:_CHANNELS].tolist():
            both = np.stack([track.expected[start:stop, j], track.values[start:stop, j]], 1)
            picture = Viewer.of([both], 1, table=False).line(
                both, _WIDTH, _HEIGHT, mark=(step - start) / (stop - start)
            )
            drawn.append(figure.format(picture, clipped(track.names[j], 40), share(float(shares[j]))))
        ends = Markup("<p>{} to {}; green is what was expected</p>").format(track.when(start), track.when(stop - 1))
        return Markup('<div class="figures">{}{}</div>').format(ends, Markup("").join(drawn))
