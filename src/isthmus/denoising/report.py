"""The report of a denoiser: samples before and after, what was taken away, and errors where clean samples are known."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from isthmus.corruptions import Corruption
from isthmus.data.base import evenly_spread
from isthmus.data.channels_last import channels_last, from_channels_last, sample_channel_axis
from isthmus.data.scaling import finite_sample, unit_of
from isthmus.data.sources import open_source
from isthmus.errors import IsthmusError
from isthmus.evaluation.figures.charts import loss_curves
from isthmus.evaluation.figures.plain_charts import bars
from isthmus.evaluation.figures.sample_rows import COLUMNS, SampleRow, as_cell, as_difference, sample_rows
from isthmus.evaluation.figures.style import Plate
from isthmus.evaluation.metrics import decibels
from isthmus.evaluation.page import Headline, Row, Section, Table, times_smaller, training_headline, write_page
from isthmus.evaluation.some_samples import SomeSamples, some_samples
from isthmus.evaluation.theme import number
from isthmus.remote.paths import as_path
from isthmus.spec import parse_corruption
from isthmus.words import count

_MOST_SAMPLES, _MOST_VALUES = 500, 1 << 23
_WIDTHS = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)  # of the Gaussian filters that are tried


class Cleaner(Protocol):
    """What the report needs to know about a denoiser."""

    history_: list[dict[str, Any]]
    channel_axis: int | str | None
    dtype_: str

    def denoise(self, X: Any, *, return_std: bool = False) -> Any:
        """The samples cleaned, and if asked for the standard deviations of the errors that are left."""

    def describe(self) -> dict[str, str]:
        """The denoiser in words."""


def report(
    denoiser: Cleaner,
    X: Any,
    folder: str | Path,
    *,
    clean: Any = None,
    noise: str | None = None,
    title: str | None = None,
    saved_as: str | Path | None = None,
) -> Path:
    """Measure a denoiser, write ``report.html`` and ``figures/*.png`` into `folder`, return the report's path.

    X : noisy samples in any form that the denoiser takes; at most 500 of them, and 8 million values are measured.
    clean : the same samples without noise, where they are known. noise : noise that is added to X, which are then the
        clean samples: "gaussian:0.2"; see `Denoiser`. It is the same in every run.
    title : by default the folder's name. saved_as : folder of the saved denoiser, for the lines that show how to use
        it; by default `folder`.

    Raises IsthmusError where samples cannot be read, or both `clean` and `noise` are given.
    """
    folder = as_path(folder)
    measured = _measured(denoiser, X, clean, noise)
    learned = loss_curves(denoiser.history_, "training loss", wide=True)
    sections = [Section("Before and after", [_before_and_after(measured)])]
    if measured.errors:
        sections.insert(0, _error_section(measured))
    if learned is not None:
        sections.append(Section("How it learned", [learned]))
    n, given = len(measured.noisy), measured.given
    added = f" Noise was added here: {noise}." if noise else ""
    return write_page(
        folder / "report.html",
        title=title or folder.resolve().name,
        data=measured.data,
        lead=f"A denoiser on samples of {measured.shape}, {measured.noisy[0].dtype}, measured on {count(n, 'sample')}",
        headlines=_headlines(measured) + training_headline(denoiser.history_),
        sections=[*sections, _model_section(denoiser, as_path(saved_as or folder).resolve().name)],
        footer=f"Measured on {f'{n:,} of the' if n < given else 'all'} {count(given, 'sample')}, in units of the range "
        f"of the samples.{added}",
    )


@dataclass(frozen=True)
class _Measured:
    """Samples (*spatial, channels) in units of the range, which differ in shape where X does.

    data : what their source is called.
    std : expected deviation of the error that is left, as one number for all.
    errors : mean squared error by what was done with the noisy samples, where clean ones are known.
    """

    data: str
    noisy: list[np.ndarray]
    cleaned: list[np.ndarray]
    clean: list[np.ndarray] | None
    std: float
    errors: Mapping[str, float]
    given: int
    shape: str

    @property
    def taken(self) -> float:
        """Standard deviation of what was taken away."""
        return float(np.sqrt(_mean_squared(self.noisy, self.cleaned)))


def _measured(denoiser: Cleaner, X: Any, clean: Any, noise: str | None) -> _Measured:
    if clean is not None and noise is not None:
        raise IsthmusError("clean and noise were both given; noise is added to clean samples where these are X")
    some = some_samples(X, _MOST_SAMPLES, _MOST_VALUES)
    unit = unit_of(some.arrays[0].dtype if some.arrays[0].dtype.kind != "f" else np.dtype(denoiser.dtype_))
    noisy, known = some.arrays, None
    if clean is not None:
        known = _same_samples(clean, some)
    elif noise is not None:
        known, axes = some.arrays, [_axis(denoiser, sample) for sample in some.arrays]
        noisy = [_with_noise(s, axis, unit, noise, i) for i, (s, axis) in enumerate(zip(known, axes, strict=True))]
    cleaned, std = denoiser.denoise(noisy, return_std=True)
    before, after, reference = (
        None if samples is None else [channels_last(s, _axis(denoiser, s)).astype(np.float32) / unit for s in samples]
        for samples in (noisy, cleaned, known)
    )
    assert before is not None and after is not None
    expected = float(np.sqrt(np.mean([float((np.float64(s) ** 2).mean()) for s in std]))) / unit
    errors = {} if reference is None else _errors(before, after, reference)
    return _Measured(some.name, before, after, reference, expected, errors, some.given, some.shape)


def _same_samples(clean: Any, some: SomeSamples) -> list[np.ndarray]:
    """The clean ones of the same numbers."""
    source = open_source(clean, on_mixed_sizes="keep")
    if len(source) != some.given:
        raise IsthmusError(f"there are {some.given} noisy samples and {len(source)} clean ones; give pairs")
    known = [finite_sample(source, index) for index in some.indices.tolist()]
    for index, (a, b) in enumerate(zip(some.arrays, known, strict=True)):
        if a.shape != b.shape:
            raise IsthmusError(f"pair {some.indices[index]} has shapes {a.shape} and {b.shape}; both must be equal")
    return known


def _axis(denoiser: Cleaner, sample: np.ndarray) -> int | None:
    return sample_channel_axis(sample.shape, denoiser.channel_axis)


def _with_noise(sample: np.ndarray, axis: int | None, unit: float, noise: str, seed: int) -> np.ndarray:
    """A sample with noise, as floats in its own units: nothing is clipped."""
    scaled = channels_last(sample, axis).astype(np.float32) / np.float32(unit)  # (*spatial, C)
    planes = np.moveaxis(scaled, -1, 0)[None]  # (1, C, *spatial)
    generator = torch.Generator().manual_seed(seed)
    noisy = torch.from_numpy(np.ascontiguousarray(planes))
    for choice in parse_corruption(noise):
        noisy = Corruption(choice)(noisy, generator)
    noised: np.ndarray = from_channels_last(np.moveaxis(noisy.numpy() * np.float32(unit), 1, -1), axis)[0]
    return noised


def _errors(noisy: list[np.ndarray], cleaned: list[np.ndarray], clean: list[np.ndarray]) -> dict[str, float]:
    """Mean squared errors of the denoiser, of simple filters at their best, and of the noisy samples."""
    from scipy.ndimage import gaussian_filter, median_filter

    blurred = [
        _mean_squared([gaussian_filter(s, (*[width] * (s.ndim - 1), 0)) for s in noisy], clean) for width in _WIDTHS
    ]
    median = [median_filter(s, size=(*[3] * (s.ndim - 1), 1)) for s in noisy]
    return {
        "this denoiser": _mean_squared(cleaned, clean),
        "median of 3": _mean_squared(median, clean),
        "best Gaussian filter": min(blurred),
        "noisy": _mean_squared(noisy, clean),
    }


def _mean_squared(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> float:
    total = sum(float(((x.astype(np.float64) - y) ** 2).sum()) for x, y in zip(a, b, strict=True))
    return total / sum(x.size for x in a)


def _headlines(measured: _Measured) -> list[Headline]:
    if not measured.errors:
        detail = "standard deviation of it, in units of the range"
        rows = [Headline("Taken away", number(measured.taken), "", detail)]
    else:
        before, after = measured.errors["noisy"], measured.errors["this denoiser"]
        filters = min(measured.errors["median of 3"], measured.errors["best Gaussian filter"])
        ratio, how = times_smaller(before, after)
        rows = [
            Headline("Error", number(after), "", f"mean squared; {number(before)} before: {ratio} {how}"),
            Headline("Beside simple filters", *times_smaller(filters, after), "error than after the better of two"),
        ]
    detail = "standard deviation of the error that the denoiser expects"
    if measured.errors:
        detail += f"; measured {number(np.sqrt(measured.errors['this denoiser']))}"
    return [*rows, Headline("Expected error", number(measured.std), "", detail)]


def _error_section(measured: _Measured) -> Section:
    least = min(measured.errors, key=lambda name: measured.errors[name])
    rows = [
        Row(name, (number(error), f"{decibels(error):.1f}"), 0 if name == least else None)
        for name, error in measured.errors.items()
    ]
    chart = bars(
        "errors",
        "Mean squared error against the clean samples; shorter is better. The width of the Gaussian filter is the one "
        "with the smallest error, which nobody knows without the clean samples.",
        list(measured.errors.items()),
        "mean squared error, in units of the range",
    )
    return Section("Beside simple filters", [chart], Table(("mean squared error", "PSNR, decibels"), rows))


def _before_and_after(measured: _Measured) -> Plate:
    """Noisy samples, the same cleaned, what was taken away and, where it is known, the truth."""
    n = len(measured.noisy)
    chosen = evenly_spread(n, COLUMNS).tolist()
    truth = measured.clean

    def cells(samples: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [as_cell(samples[i], _ends(measured, i)) for i in chosen]

    def notes(samples: Sequence[np.ndarray]) -> list[str]:
        return [] if truth is None else [f"{decibels(_mean_squared([samples[i]], [truth[i]])):.1f} dB" for i in chosen]

    limit = max(3 * measured.taken, 1e-6)
    rows = [
        SampleRow("noisy", "", lambda theme: cells(measured.noisy), notes(measured.noisy)),
        SampleRow("denoised", "", lambda theme: cells(measured.cleaned), notes(measured.cleaned)),
        SampleRow(
            "taken away",
            f"shown up to ± {number(limit)}",
            lambda theme: [as_difference(measured.noisy[i], measured.cleaned[i], limit, theme) for i in chosen],
        ),
    ]
    if truth is not None:
        rows.append(SampleRow("clean", "", lambda theme: cells(truth)))
    caption = (
        "What was taken away should look like noise: where the shape of a sample can be seen in it, the denoiser took "
        "away what was there."
    )
    if truth is not None:
        caption += " Below the samples: peak signal-to-noise ratio."
    return sample_rows("before_after", caption, rows)


def _ends(measured: _Measured, index: int) -> tuple[float, float]:
    """The values shown as black and white, or at the bottom and the top of a line: those without noise."""
    sample = (measured.cleaned if measured.clean is None else measured.clean)[index]
    low, high = (float(v) for v in np.quantile(sample, (0.002, 0.998)))
    if sample.ndim > 2 and low >= -0.05 and high <= 1.05:
        return 0.0, 1.0
    margin = 0.15 * (high - low) or 0.5
    return low - margin, high + margin


def _model_section(denoiser: Cleaner, name: str) -> Section:
    python = (
        f"from isthmus import Denoiser\n\ndenoiser = Denoiser.load({name!r})\nclean = denoiser.denoise(X)\n\n"
        f"# and how sure it is of each value\nclean, std = denoiser.denoise(X, return_std=True)"
    )
    return Section(
        "The denoiser, and how to use it",
        facts=denoiser.describe(),
        examples={"In Python": python, "On the command line": f"isthmus denoise {shlex.quote(name)} noisy/ -o clean/"},
    )
