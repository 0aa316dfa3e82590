"""Everything that the report shows, measured once on a bounded number of samples."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from isthmus.data.base import Source
from isthmus.data.labels import as_labels
from isthmus.data.sample_kinds import kind_of
from isthmus.errors import IsthmusError
from isthmus.evaluation.baselines import PcaBaseline, pca_baseline
from isthmus.evaluation.directions import Directions, code_directions, code_grid, code_plane
from isthmus.evaluation.metrics import ReconstructionMetrics, mse, reconstruction_metrics
from isthmus.evaluation.theme import number
from isthmus.words import count

MOST_TEST = 10_000
MOST_TRAIN = 20_000
_MOST_NUMBERS = 1 << 25  # in the test samples that are measured: 128 MiB an array
_MOST_TRAIN_NUMBERS = 1 << 26
_FEW = 4  # axes of images are at least this long, and a last axis of at most this size holds channels
_MOST_DIMENSIONS = 4  # of a sample that is drawn: three in space, and channels
KINDS = {2: "table", 3: "signals", 4: "images", 5: "volumes"}


class Reconstructor(Protocol):
    """What the report needs to know about a model."""

    history_: list[dict[str, Any]]

    def transform(self, X: Any) -> np.ndarray:
        """Codes of shape (n, latent_dim) or (n, *spatial, channels)."""

    def inverse_transform(self, Z: Any) -> np.ndarray:
        """Samples in the user's layout and dtype."""

    def scale(self, X: Any) -> np.ndarray:
        """Samples in scaled units, float32, (n, C, *spatial) or (n, features)."""

    def describe(self) -> dict[str, str]:
        """The model in words."""


@dataclass(frozen=True)
class Classes:
    """names : of the classes, in order. index : the class of each sample, array of shape (n,)."""

    names: tuple[str, ...]
    index: np.ndarray


@dataclass(frozen=True)
class Passage:
    """Samples that went through a model.

    kind : "images", "volumes", "signals" or "table".
    originals, rebuilt : scaled arrays (n, C, *spatial) or (n, features).
    codes : array (n, numbers in a code).
    classes : where there are labels. sample_shape : of one sample in the user's layout.
    """

    kind: str
    originals: np.ndarray
    rebuilt: np.ndarray
    codes: np.ndarray
    classes: Classes | None
    sample_shape: tuple[int, ...]

    @property
    def errors(self) -> np.ndarray:
        """Mean squared error of each sample, (n,)."""
        return mse(self.originals, self.rebuilt)

    @property
    def code_size(self) -> int:
        """Numbers in a code."""
        return int(self.codes.shape[1])

    @property
    def has_pictures(self) -> bool:
        """Whether samples can be shown as pictures."""
        return self.kind in ("images", "volumes")


def passage(model: Reconstructor, samples: np.ndarray) -> Passage:
    """A few samples, in the user's layout, through a model."""
    shape = samples.shape[1:]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have valid feature names.*", UserWarning)
        z = np.asarray(model.transform(samples), dtype=np.float32)
        originals = network_layout(model.scale(samples), shape)
        rebuilt = network_layout(model.scale(model.inverse_transform(z)), shape)
    return Passage(KINDS[originals.ndim], originals, rebuilt, z.reshape(len(z), -1), None, shape)


@dataclass(frozen=True)
class Study(Passage):
    """A model's reconstructions of test samples, and PCA's beside them.

    data : what the source of the test samples is called.
    directions : what the numbers of the code do.
    plane : two coordinates of each code, and what they are.
    grid : decoded codes on a square grid, where a code has two numbers.
    """

    data: str
    metrics: ReconstructionMetrics
    pca: PcaBaseline
    pca_metrics: ReconstructionMetrics
    columns: tuple[str, ...]
    directions: Directions
    plane: tuple[np.ndarray, tuple[str, str]]
    grid: np.ndarray | None
    history: tuple[Mapping[str, Any], ...]
    description: Mapping[str, str]
    code_shape: tuple[int, ...]
    sample_bytes: int
    samples_given: int
    pca_samples: int

    @property
    def error(self) -> float:
        """The mean squared error of the model, in scaled units."""
        return self.metrics.mse

    @property
    def pca_error(self) -> float:
        """The same for PCA."""
        return self.pca_metrics.mse

    def written(self, error: float) -> str:
        """Such an error as text."""
        return number(error)

    @property
    def error_in_words(self) -> str:
        """What `error` is."""
        return f"the mean squared error of {count(len(self.codes), 'sample')} in scaled units"

    @property
    def errors(self) -> np.ndarray:
        """Mean squared error of each sample, (n,)."""
        return self.metrics.per_sample_mse

    @property
    def unit_range(self) -> bool:
        """Whether scaled values are in a range of about 0 to 1, and not standardised."""
        return float(self.originals.min()) > -0.5 and float(self.originals.max()) < 1.5


def study(
    model: Reconstructor,
    *,
    train: Any,
    test: Any,
    labels: Any = None,
    class_names: Sequence[str] | Mapping[int, str] | None = None,
) -> Study:
    """Measure `model` on at most 10,000 samples of `test`; see `report` for the arguments."""
    from isthmus.data.sources import open_source

    columns = getattr(model, "feature_names_in_", None)
    source, train_source = open_source(test, columns=columns), open_source(train, columns=columns)
    sample_shape = tuple(source.shape[1:])
    rng = np.random.default_rng(0)  # the choice of samples is part of what is measured: always the same
    features = math.prod(sample_shape)
    chosen = choose(len(source), min(MOST_TEST, max(1, _MOST_NUMBERS // features)), rng)
    fitted = choose(len(train_source), min(MOST_TRAIN, max(2, _MOST_TRAIN_NUMBERS // features)), rng)
    if labels is None:
        labels = source.labels
    samples = source.take(chosen)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have valid feature names.*", UserWarning)
        scaled = _scaling(model, train_source)
        originals = scaled(samples)
        z = np.asarray(model.transform(samples), dtype=np.float32)

        def decode(codes: np.ndarray) -> np.ndarray:
            return scaled(model.inverse_transform(codes.reshape(-1, *z.shape[1:])))

        codes, rebuilt = z.reshape(len(z), -1), decode(z)
        metrics = reconstruction_metrics(originals, rebuilt)
        training = scaled(train_source.take(fitted))
        pca = pca_baseline(training, originals, codes.shape[1])
        pca = replace(pca, reconstruction=clipped_to_dtype(pca.reconstruction, model, samples))
        grid = code_grid(codes, decode) if z.ndim == 2 and originals.ndim >= 4 else None
        directions = code_directions(codes, decode, flat=z.ndim == 2, rng=rng)
    return Study(
        data=source.name,
        kind=KINDS[originals.ndim],
        originals=originals,
        rebuilt=rebuilt,
        codes=codes,
        metrics=metrics,
        pca=pca,
        pca_metrics=reconstruction_metrics(originals, pca.reconstruction),
        classes=classes_of(labels, class_names, len(source), chosen),
        columns=columns_of(source, model, sample_shape) if originals.ndim == 2 else (),
        directions=directions,
        plane=code_plane(codes, metrics.per_sample_mse, z.ndim == 2),
        grid=grid,
        history=tuple(model.history_),
        description=dict(model.describe()),
        sample_shape=sample_shape,
        code_shape=z.shape[1:],
        sample_bytes=samples.dtype.itemsize * math.prod(sample_shape),
        samples_given=len(source),
        pca_samples=len(fitted),
    )


def _scaling(model: Reconstructor, train: Source) -> Callable[[Any], np.ndarray]:
    """What scales samples into the layout of networks; signals have channels there, also where a network saw rows."""
    shape = tuple(train.shape[1:])
    signals = len(shape) == 1 and kind_of(train, getattr(model, "kind", "auto"), None).name == "signals"

    def scaled(samples: Any) -> np.ndarray:
        shaped = network_layout(model.scale(samples), shape)
        return shaped[:, None] if signals and shaped.ndim == 2 else shaped

    return scaled


def network_layout(scaled: np.ndarray, sample_shape: tuple[int, ...]) -> np.ndarray:
    """Scaled samples as (n, C, *spatial), also where a dense network saw rows.

    Tables stay (n, features), and so do samples of more dimensions than a volume and its channels have.
    """
    scaled = np.asarray(scaled, dtype=np.float32)
    if scaled.ndim != 2 or not 1 < len(sample_shape) <= _MOST_DIMENSIONS:
        return scaled
    shaped = scaled.reshape(len(scaled), *sample_shape)
    signal = len(sample_shape) == 2 and min(sample_shape) < _FEW
    if (signal or len(sample_shape) > 2) and sample_shape[-1] <= _FEW:
        return np.moveaxis(shaped, -1, 1)
    return shaped if signal or len(sample_shape) == _MOST_DIMENSIONS else shaped[:, None]


def clipped_to_dtype(rebuilt: np.ndarray, model: Reconstructor, samples: np.ndarray | Source) -> np.ndarray:
    """Scaled reconstructions clipped to what the dtype of the samples holds, as a model's own are."""
    if samples.dtype.kind not in "biu":
        return rebuilt
    return rebuilt.clip(*network_layout(model.scale(_ends(samples)), samples.shape[1:]))


def _ends(samples: np.ndarray | Source) -> np.ndarray:
    """Two samples that hold the smallest and the largest number of an integer dtype, (2, *sample_shape)."""
    limits = (0, 1) if samples.dtype.kind == "b" else (np.iinfo(samples.dtype).min, np.iinfo(samples.dtype).max)
    return np.stack([np.full(samples.shape[1:], limit, samples.dtype) for limit in limits])


def choose(n: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """The indices of at most that many of n samples, rising."""
    return np.arange(n) if n <= most else np.sort(rng.choice(n, most, replace=False))


def classes_of(
    labels: Any, names: Sequence[str] | Mapping[int, str] | None, n: int, chosen: np.ndarray
) -> Classes | None:
    """The classes of the samples that are `chosen` from n, each of which has a label; None without labels.

    names : what integer labels mean. Raises IsthmusError where there is not one label for each sample.
    """
    if labels is None:
        return None
    labels = checked_labels(labels, n)
    values, index = np.unique(labels[chosen], return_inverse=True)
    return Classes(tuple(_class_name(value, names) for value in values.tolist()), index)


def checked_labels(labels: Any, n: int) -> np.ndarray:
    """Labels as an array of text or integers; raises IsthmusError where there is not one for each of n samples."""
    checked = as_labels(labels, "labels")
    if checked.shape != (n,):
        raise IsthmusError(f"labels have shape {checked.shape}; one for each of the {n} samples is needed: ({n},)")
    return checked


def _class_name(value: Any, names: Sequence[str] | Mapping[int, str] | None) -> str:
    if isinstance(names, Mapping):
        return str(names.get(value, value))
    if names is not None and isinstance(value, int) and 0 <= value < len(names):
        return str(names[value])
    return str(value)


def columns_of(source: Any, model: Any, sample_shape: tuple[int, ...]) -> tuple[str, ...]:
    """The names of a table's columns; none for samples of other kinds."""
    if len(sample_shape) != 1:
        return ()
    names = source.feature_names
    if names is None:
        names = getattr(model, "feature_names_in_", None)
    if names is None or len(names) != sample_shape[0]:
        names = [f"column {i}" for i in range(sample_shape[0])]
    return tuple(str(name) for name in names)
