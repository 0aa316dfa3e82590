"""Strange time steps of series: windows that are far from all that came at other times."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from isthmus.anomalies.scorer import Learned, Parts, Scorer, Settings
from isthmus.anomalies.window_memory import Nearest, WindowMemory
from isthmus.anomalies.windows import StepMeans, check_length, choose_window, filled, starts_in
from isthmus.data.columns import TableSchema
from isthmus.data.frames import as_frame
from isthmus.data.series import NUMBERS, Series, as_members, series_of_array, series_of_source, series_of_table
from isthmus.data.sources import Source
from isthmus.errors import IsthmusError, warn
from isthmus.estimators.table_estimator import is_table_like
from isthmus.training.run import Run
from isthmus.typed_json import typed, typed_array
from isthmus.words import count

_TOLD_IRREGULAR = 0.05


class SeriesScorer(Scorer):
    """How far the windows that hold a time step are from those of other times.

        series ──▶ windows of two periods ──▶ nearest window in each stretch of time ──▶ the distance that
        a tenth of the stretches keep ──▶ its mean over the windows that hold a step

    Windows that were learned from are compared with those that they do not overlap, so that a series can be judged
    that was learned from, and all of it calibrates.
    """

    kind = "series"

    def __init__(
        self,
        memory: WindowMemory,
        mean: np.ndarray,
        scale: np.ndarray,
        known: Sequence[tuple[int, int, str]],
        told: Mapping[str, str],
        schema: TableSchema | None,
    ) -> None:
        """mean, scale : of the channels. known : first step, length and digest of each series that was learned from."""
        self.memory, self.mean, self.scale = memory, mean, scale
        self.known, self.told, self._schema = (
            [(first, n, digest) for first, n, digest in known],
            dict(told),
            schema,
        )

    @property
    def window(self) -> int:
        """Time steps that are looked at together."""
        return self.memory.window

    @property
    def schema(self) -> TableSchema | None:
        return self._schema

    @classmethod
    def opened(cls, X: Any, detector: Settings) -> list[Series]:
        return opened(X, detector, None)

    @classmethod
    def learn(cls, run: Run, samples: list[Series], detector: Settings) -> Learned:
        values = [series.values for series in samples]
        window, why = choose_window(values, detector.window)
        together = np.concatenate(values)
        if np.isnan(together).all(0).any():
            raise IsthmusError(f"channel {int(np.isnan(together).all(0).argmax())} holds no value at all")
        mean = np.nanmean(together, 0)
        scale = np.nanstd(together, 0)
        scale[scale <= 1e-12 * np.abs(mean)] = 1.0
        first = np.cumsum([0, *map(len, values)])
        memory = WindowMemory.of([(filled(x) - mean) / scale for x in values], window, run.seed)
        known = [(int(first[i]), len(x), _digest(x)) for i, x in enumerate(values)]
        told = {"window": f"{window:,} time steps ({why})"} | _times_told(samples)
        schema = None if samples[0].table is None else samples[0].table.schema
        scorer = cls(memory, mean, scale, known, told, schema)
        calibration = scorer.strangeness(samples)[0].astype(np.float64)
        return Learned(scorer, calibration, np.zeros(len(calibration), np.int64), None)

    def open(self, X: Any, detector: Settings) -> list[Series]:
        series = opened(X, detector, self._schema)
        channels = series[0].values.shape[1]
        if channels != len(self.mean):
            raise IsthmusError(f"the series has {channels} channels; the model was trained on {len(self.mean)}")
        check_length([one.values for one in series], self.window)
        return series

    def strangeness(self, samples: list[Series]) -> np.ndarray:
        return np.concatenate([self._strangeness(series) for series in samples])[None].astype(np.float32)

    def parts(self, samples: list[Series]) -> Parts:
        """How strange each time step and channel is, (n, channels), and what was expected in the user's units.

        The channels of a step add up to its strangeness, each with its share of the squared difference to what was
        expected.
        """
        scores, expected = [], []
        for series in samples:
            guess = self._expected(series)
            errors = np.nan_to_num(((series.values - guess) / self.scale) ** 2)
            total = errors.sum(1, keepdims=True)
            share = np.divide(errors, total, out=np.full_like(errors, 1 / errors.shape[1]), where=total > 0)
            scores.append((share * self._strangeness(series)[:, None]).astype(np.float32))
            expected.append(guess)
        return Parts(*(self._as_given(np.concatenate(values), samples) for values in (scores, expected)))

    def to_dict(self) -> dict[str, Any]:
        schema = None if self._schema is None else self._schema.to_dict()
        return {"known": self.known, "told": self.told, "schema": schema}

    def arrays(self) -> dict[str, np.ndarray]:
        memory = {"windows": self.memory.windows, "places": self.memory.places}
        return memory | {"mean": self.mean, "scale": self.scale}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> SeriesScorer:
        places = typed_array(arrays, "places", "int64", None, None)
        windows = typed_array(arrays, "windows", "float32", *places.shape, None, None)
        mean, scale = (typed_array(arrays, name, "float64", windows.shape[3]) for name in ("mean", "scale"))
        schema = None if values["schema"] is None else TableSchema.from_dict(values["schema"])
        known = typed(values["known"], list[tuple[int, int, str]], "known")
        told = typed(values["told"], Mapping[str, str], "told")
        return cls(WindowMemory(windows, places), mean, scale, known, told, schema)

    def describe(self) -> dict[str, str]:
        stretches, each, length, channels = self.memory.windows.shape
        return self.told | {
            "remembered": f"{count(stretches * each, 'window')} of {length:,} time steps and "
            f"{count(channels, 'channel')}, from {count(stretches, 'stretch', 'stretches')} of time"
        }

    def _nearest(self, series: Series) -> Iterator[Nearest]:
        z = ((series.values - self.mean) / self.scale).astype(np.float32)
        return self.memory.nearest(z, starts_in(len(z), self.window), self._place_of(series.values))

    def _place_of(self, values: np.ndarray) -> int | None:
        """Where a series stands among those that were learned from, if it is one of them or begins as one does."""
        for first, n, digest in self.known:
            if n <= len(values) and _digest(values[:n]) == digest:
                return first
        return None

    def _strangeness(self, series: Series) -> np.ndarray:
        """The distance to the nearest windows, the mean over the windows that hold a step, (n,)."""
        means = StepMeans(len(series), self.window)
        for found in self._nearest(series):
            means.add(found.starts, found.distances)
        return means.means()

    def _expected(self, series: Series) -> np.ndarray:
        """What the nearest windows hold at each time step, the mean over the windows that hold it, (n, channels)."""
        means = StepMeans(len(series), self.window, series.values.shape[1:])
        for found in self._nearest(series):
            means.add(found.starts, found.expected)
        expected: np.ndarray = means.means() * self.scale + self.mean
        return expected

    def _as_given(self, values: np.ndarray, samples: list[Series]) -> Any:
        """Values (n, channels) as the user gave them: a data frame where a table came in."""
        if self._schema is None:
            return values
        import pyarrow as pa

        table = samples[0].table
        kind = "arrow" if table is None else table.frame
        index = table.index if table is not None and len(samples) == 1 else None
        return as_frame(pa.table(dict(zip(_channels(self._schema), values.T, strict=True))), kind, index=index)


def opened(X: Any, detector: Settings, schema: TableSchema | None) -> list[Series]:
    """The user's series. schema : of the table that the model was trained on, if it was one."""
    series: list[Series] = []
    for member in as_members(X):
        if is_table_like(member):
            table = detector._open_table(member, schema)
            series.append(series_of_table(table))
            schema = table.schema
        else:
            series.append(series_of_source(member) if isinstance(member, Source) else series_of_array(member))
    channels = {one.values.shape[1] for one in series}
    if len(channels) > 1:
        raise IsthmusError(f"all series need the same channels, and these have {sorted(channels)}")
    worst = max(series, key=lambda one: one.irregular)
    if worst.irregular > _TOLD_IRREGULAR:
        warn(f"{100 * worst.irregular:.0f} % of the time steps are irregular; they are taken as if they were even")
    return series


def _digest(values: np.ndarray) -> str:
    return hashlib.sha256(values.tobytes()).hexdigest()


def _channels(schema: TableSchema) -> list[str]:
    return [column.name for column in schema.used if column.kind in NUMBERS]


def _times_told(samples: Sequence[Series]) -> dict[str, str]:
    """How time goes on from row to row, in words; nothing where there are no times."""
    steps = [series.step for series in samples if series.step is not None]
    if not steps:
        return {}
    irregular = max(series.irregular for series in samples)
    uneven = f"; {100 * irregular:.2g} % of the steps are irregular and taken as if they were even" if irregular else ""
    return {"time": f"a step is {timedelta(seconds=float(np.median(steps)))}{uneven}"}
