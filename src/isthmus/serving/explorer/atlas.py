"""The codes of a data set, made in the background; their map; and which samples are near each other."""

from __future__ import annotations

import atexit
import math
import os
import sys
import threading
import warnings
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from isthmus.data.frames import as_table
from isthmus.data.sources import Source, subset
from isthmus.data.table_scaling import TableScaler
from isthmus.errors import unknown_name
from isthmus.serving.explorer.labelled_data import LabelledData
from isthmus.serving.explorer.neighbour_plane import NeighbourPlane

ProjectionName = Literal["pca", "neighbours"]
PROJECTIONS: tuple[str, ...] = get_args(ProjectionName)
MOST_POINTS = 70_000
_LEAST_MAPPED = 50  # codes: fewer have no neighbourhoods worth a map
_MOST_NUMBERS = 1 << 26  # in all codes: 256 MiB
_FIRST = 2_048  # samples that are encoded before the page opens: enough for the map's axes and the sliders' ends
_BLOCK = 1_024
_NICE = 10  # of the thread that encodes: who looks at the page comes first
_MOST_SLIDERS = 16
_WITHOUT_DATA = 3.0  # where the map and the sliders end if nothing is known about the codes


@dataclass(frozen=True)
class Coordinates:
    """A plane, or another flat piece, of the space of codes.

        point (k,) = axes · (code - center),   code = center + axesᵀ · point

    axes : orthonormal rows, array of shape (k, numbers of a code). low, high : the range in which most points lie.
    """

    center: np.ndarray
    axes: np.ndarray
    names: tuple[str, ...]
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, codes: np.ndarray, axes: np.ndarray, names: tuple[str, ...], *, centered: bool) -> Coordinates:
        """Coordinates whose range holds most of these codes."""
        center = codes.mean(axis=0) if centered and len(codes) else np.zeros(axes.shape[1], np.float32)
        low, high = np.full(len(axes), -_WITHOUT_DATA), np.full(len(axes), _WITHOUT_DATA)
        if len(codes) > 1:
            low, high = np.quantile((codes - center) @ axes.T, (0.002, 0.998), axis=0)
            margin = np.maximum(0.06 * (high - low), 1e-3)
            low, high = low - margin, high + margin
        return cls(center, axes, names, low, high)

    def points(self, codes: np.ndarray) -> np.ndarray:
        """Codes (n, numbers) as points (n, k)."""
        points: np.ndarray = (codes - self.center) @ self.axes.T
        return points

    def codes(self, points: np.ndarray) -> np.ndarray:
        """Points (n, k) as codes (n, numbers) of this piece."""
        codes: np.ndarray = (self.center + np.asarray(points, np.float32) @ self.axes).astype(np.float32)
        return codes

    def moved(self, code: np.ndarray, point: np.ndarray) -> np.ndarray:
        """A code moved to other coordinates; what these do not determine stays as it is."""
        moved: np.ndarray = (code + (np.asarray(point, np.float32) - self.points(code)) @ self.axes).astype(np.float32)
        return moved


class Atlas:
    """What all pages of one model share.

    model : an estimator with transform, inverse_transform and code_shape_.
    order : which samples, shuffled, array of shape (n,). codes : array of shape (n, numbers of a code), of which the
    first `ready` have been computed. points : the same on the map, array of shape (n, 2).
    plane : the map's two axes. directions : what the sliders move.
    projection : how codes of more than two numbers are mapped, one of `PROJECTIONS`.
    """

    plane: Coordinates | NeighbourPlane

    def __init__(self, model: Any, samples: LabelledData, projection: ProjectionName = "pca") -> None:
        if projection not in PROJECTIONS:
            raise unknown_name("projection", projection, PROJECTIONS)
        self.model, self.samples = model, samples
        self.numbers = math.prod(model.code_shape_)
        count = min(len(samples), MOST_POINTS, max(1, _MOST_NUMBERS // self.numbers))
        self.order = np.random.default_rng(0).permutation(len(samples))[:count]
        self.codes = np.empty((count, self.numbers), np.float32)
        self.points = np.empty((count, 2), np.float32)
        self.ready = 0
        self.failure: Exception | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._encode(0, min(count, _FIRST))
        self._principal = self._fit()
        self.plane, self.directions = self._plane(), self._directions()
        if projection == "neighbours" and self.numbers > 2 and self.ready >= _LEAST_MAPPED:
            self.plane = NeighbourPlane.of(self.codes[: self.ready])
        self.points[: self.ready] = self._placed(0, self.ready)

    def __len__(self) -> int:
        return len(self.order)

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self.ready == len(self) or self.failure is not None

    def start(self) -> None:
        """Encode the remaining samples in the background, unless that has begun."""
        if self._thread is not None:
            return
        self._thread = threading.Thread(target=self._behind, name="isthmus-atlas", daemon=True)
        atexit.register(self.stop)  # a thread within torch while Python ends would abort the process
        self._thread.start()

    def stop(self) -> None:
        """Leave the rest, so that the program can end."""
        self._stopped = True
        if self._thread is not None:
            self._thread.join()

    def finish(self) -> None:
        """Encode what is left."""
        try:
            for start in range(self.ready, len(self), _BLOCK):
                if self._stopped:
                    return
                stop = min(start + _BLOCK, len(self))
                self._encode(start, stop)
                self.points[start:stop] = self._placed(start, stop)
                self.ready = stop
        except Exception as error:  # a file that cannot be read: the page says so and shows the rest
            self.failure = error

    def _behind(self) -> None:
        if sys.platform == "linux":  # where a thread has a priority of its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        self.finish()
        atexit.unregister(self.stop)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Codes (n, numbers) as samples; rows of tables as the numbers that stand for their cells."""
        decoded = self.model.inverse_transform(np.asarray(codes, np.float32).reshape(-1, *self.model.code_shape_))
        scaler = self.model.scaler_
        samples: np.ndarray = decoded
        if isinstance(scaler, TableScaler):
            samples = scaler.schema.encode(as_table(decoded))
        return samples

    def on_map(self, code: np.ndarray) -> tuple[float, float]:
        """Where a code lies on the map."""
        x, y = self.plane.points(code[None])[0]
        return float(x), float(y)

    def nearest(self, code: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Places in `order` of the nearest codes, nearest first, and their distances."""
        if not self.ready:
            return np.zeros(0, np.intp), np.zeros(0)
        codes = self.codes[: self.ready]
        rough = self._squares[: self.ready] - 2 * (codes @ code)
        few = np.argpartition(rough, min(2 * count, self.ready - 1))[: 2 * count]
        exact = np.linalg.norm(codes[few].astype(np.float64) - code, axis=1)
        order = np.argsort(exact, kind="stable")[:count]
        return few[order], exact[order]

    def nearest_on_map(self, x: float, y: float, scale: tuple[float, float] = (1.0, 1.0)) -> tuple[int, float] | None:
        """The place in `order` of the nearest point of the map, and its distance in units of `scale`."""
        if not self.ready:
            return None
        away = (self.points[: self.ready] - np.array((x, y), np.float32)) / np.array(scale, np.float32)
        squares = (away**2).sum(1)
        place = int(squares.argmin())
        return place, float(np.sqrt(squares[place]))

    def _encode(self, start: int, stop: int) -> None:
        if stop > start:
            assert isinstance(self.samples.data, Source)
            block = subset(self.samples.data, self.order[start:stop])
            self.codes[start:stop] = self.model.transform(block).reshape(stop - start, -1)
        if not start:
            self._squares = np.empty(len(self), np.float32)
            self.ready = stop
        self._squares[start:stop] = (self.codes[start:stop] ** 2).sum(1)

    def _placed(self, start: int, stop: int) -> np.ndarray:
        points = self.plane.points(self.codes[start:stop])
        if self.numbers == 1:  # a line: spread at random across, so that the points can be seen
            points[:, 1] = np.random.default_rng([1, start]).uniform(-1, 1, stop - start)
        return points

    def _fit(self) -> tuple[np.ndarray, np.ndarray]:
        """Principal directions of the codes as rows, and their shares of the variance."""
        count = min(_MOST_SLIDERS, self.numbers, max(self.ready - 1, 0))
        if count < min(2, self.numbers) or self.numbers <= 2:
            return np.eye(min(_MOST_SLIDERS, self.numbers), self.numbers, dtype=np.float32), np.zeros(0)
        from sklearn.decomposition import PCA

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # equal codes: a share of no variance
            pca = PCA(count, random_state=0).fit(self.codes[: self.ready])
        return pca.components_.astype(np.float32), np.nan_to_num(pca.explained_variance_ratio_)

    def _plane(self) -> Coordinates:
        axes, shares = self._principal
        names = [f"principal direction {i + 1} of the codes ({share:.0%})" for i, share in enumerate(shares[:2])]
        if self.numbers <= 2 or not names:
            names = ["z0", "z1"]
        axes = axes[:2]
        if len(axes) == 1:
            axes, names = np.concatenate([axes, np.zeros_like(axes)]), ["z0", "(spread at random)"]
        codes = self.codes[: self.ready]
        plane = Coordinates.of(codes, axes, (names[0], names[1]), centered=self.numbers > 2)
        if self.numbers == 1:
            plane.low[1], plane.high[1] = -1.6, 1.6
        return plane

    def _directions(self) -> Coordinates:
        codes = self.codes[: self.ready]
        if self.numbers <= _MOST_SLIDERS:
            axes, names = np.eye(self.numbers, dtype=np.float32), [f"z{i}" for i in range(self.numbers)]
            return Coordinates.of(codes, axes, tuple(names), centered=False)
        axes = self._principal[0]
        return Coordinates.of(codes, axes, tuple(f"direction {i + 1}" for i in range(len(axes))), centered=True)
