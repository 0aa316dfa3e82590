"""What "X' is close to X" means: objectives by name.

An objective is one function ``(reconstruction, target, value) -> error map``. The mean over all elements of the map
is the objective; the mean over all axes but the first is the error of each sample. Data are in scaled units.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from isthmus.errors import IsthmusError
from isthmus.registry import objectives
from isthmus.spec import Choice, parse_objective

_PROBABILITIES = {"bce"}  # these read the reconstruction as probabilities: it has to come out of a sigmoid
_IMAGES = {"ssim", "ms-ssim"}  # these compare neighbourhoods: they need spatial dimensions
_FUSED = {"mse": F.mse_loss, "mae": F.l1_loss}  # torch reduces these without writing the map to memory

_WINDOW, _WINDOW_SIGMA = 11, 1.5  # Wang et al. 2004, section III-B
_C1, _C2 = 0.01**2, 0.03**2  # (K1 L)² and (K2 L)² with the data range L = 1
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, section 3.2


@objectives.register("mse")
def mse(reconstruction: Tensor, target: Tensor, value: float | None = None) -> Tensor:
    """Mean squared error: what Gaussian noise of one width asks for."""
    return F.mse_loss(reconstruction, target, reduction="none")


@objectives.register("mae")
def mae(reconstruction: Tensor, target: Tensor, value: float | None = None) -> Tensor:
    """Mean absolute error: outliers count less than with the squared error."""
    return F.l1_loss(reconstruction, target, reduction="none")


@objectives.register("huber")
def huber(reconstruction: Tensor, target: Tensor, value: float | None = 0.1) -> Tensor:
    """Squared error below a difference of `value` (default 0.1), absolute error above.

    Huber 1964, "Robust estimation of a location parameter".
    """
    return F.huber_loss(reconstruction, target, reduction="none", delta=_positive("huber", value))


@objectives.register("charbonnier")
def charbonnier(reconstruction: Tensor, target: Tensor, value: float | None = 0.001) -> Tensor:
    """Absolute error that is smooth at zero, √(d² + ε²) − ε with ε = `value` (default 0.001).

    Charbonnier et al. 1994; ε after Lai et al. 2017. Taking ε away leaves gradients as they are and makes a perfect
    reconstruction's error zero.
    """
    epsilon = _positive("charbonnier", value)
    difference = reconstruction - target
    return torch.sqrt(difference * difference + epsilon**2) - epsilon


@objectives.register("bce")
def bce(reconstruction: Tensor, target: Tensor, value: float | None = None) -> Tensor:
    """Binary cross-entropy of values in [0, 1]: the network's output is read as probabilities.

    Outputs of exactly 0 or 1 are moved inside by 1e-6, so the error and its gradient stay finite.
    """
    probability = reconstruction.clamp(1e-6, 1 - 1e-6)
    target = target.clamp(0, 1)
    return -(target * torch.log(probability) + (1 - target) * torch.log1p(-probability))


@objectives.register("ssim")
def ssim(reconstruction: Tensor, target: Tensor, value: float | None = None) -> Tensor:
    """1 − structural similarity: compares means, contrasts and correlations of neighbourhoods.

    Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity", with the paper's
    Gaussian window (11 taps, σ 1.5), data range 1. (N, C, *spatial) -> (N, C, *smaller): only windows that lie inside
    the image count, and along an axis with fewer than 11 pixels the window is the largest odd size that fits.
    """
    luminance, contrast = _similarity(reconstruction, target, "ssim")
    return 1 - luminance * contrast


@objectives.register("ms-ssim")
def ms_ssim(reconstruction: Tensor, target: Tensor, value: float | None = None) -> Tensor:
    """1 − structural similarity at several scales, each half as fine as the one before.

    Wang et al. 2003, "Multiscale structural similarity for image quality assessment". Five scales where the image is
    large enough; else as many as leave the coarsest one with the window's 11 pixels, with the paper's weights scaled
    to a sum of 1. (N, C, *spatial) -> (N, C).
    """
    _check_images(target, "ms-ssim")
    smallest = min(target.shape[2:])
    count = 1
    while count < len(_SCALE_WEIGHTS) and smallest >> count >= _WINDOW:
        count += 1
    pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[target.ndim - 3]
    product: Tensor | None = None
    for scale in range(count):
        if scale:
            reconstruction, target = pool(reconstruction, 2), pool(target, 2)
        luminance, contrast = _similarity(reconstruction, target, "ms-ssim")
        term = (luminance * contrast if scale == count - 1 else contrast).flatten(2).mean(2)
        # A negative term has no real power; a floor above zero keeps the power's gradient finite.
        power = term.clamp(min=1e-6) ** (_SCALE_WEIGHTS[scale] / sum(_SCALE_WEIGHTS[:count]))
        product = power if product is None else product * power
    assert product is not None
    return 1 - product


class Objective:
    """A weighted sum of named objectives.

    weights : a name, or names to weights, as in ``{"mse": 1.0, "huber:0.1": 0.5}``; a number after a colon is the named
        function's `value`. Raises IsthmusError for unknown names and for numbers that a function does not take.
    """

    def __init__(self, weights: str | Mapping[str, float]) -> None:
        self._terms = []
        for text, weight in parse_objective(weights).items():
            choice = Choice.parse(text, objectives)
            function = objectives[choice.name]
            default = inspect.signature(function).parameters["value"].default
            if default is None and choice.low is not None:
                raise IsthmusError(
                    f"objective {choice.name!r} takes no number: write {choice.name!r} instead of {text!r}"
                )
            value = None if default is None else choice.value(default)
            self._terms.append((choice.name, function, value, weight))
        names = {name for name, *_ in self._terms}
        self.output = "sigmoid" if names & _PROBABILITIES else "linear"
        self.needs_images = bool(names & _IMAGES)

    def __call__(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """The objective of a batch: a float32 scalar."""
        with torch.autocast(target.device.type, enabled=False):
            reconstruction, target = reconstruction.float(), target.float()
            total: Tensor | None = None
            for name, function, value, weight in self._terms:
                if name in _FUSED:
                    term = _FUSED[name](reconstruction, target)
                else:
                    term = function(reconstruction, target, value).mean()
                term = term if weight == 1 else weight * term
                total = term if total is None else total + term
        assert total is not None
        return total

    def per_sample(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """The objective of each sample: float32, shape (N,)."""
        with torch.autocast(target.device.type, enabled=False):
            reconstruction, target = reconstruction.float(), target.float()
            total = torch.zeros(len(target), device=target.device)
            for _, function, value, weight in self._terms:
                total = total + weight * function(reconstruction, target, value).flatten(1).mean(1)
        return total


def _similarity(x: Tensor, y: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """SSIM's luminance term and its contrast-and-structure term, both (N, C, *smaller)."""
    _check_images(y, name)
    mean_x, mean_y, square_x, square_y, product = _blur(torch.stack((x, y, x * x, y * y, x * y)))
    variances = square_x - mean_x * mean_x + square_y - mean_y * mean_y
    covariance = product - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x * mean_x + mean_y * mean_y + _C1)
    return luminance, (2 * covariance + _C2) / (variances + _C2)


def _blur(x: Tensor) -> Tensor:
    """Means over the Gaussian windows that lie inside the image: (5, N, C, *spatial) -> (5, N, C, *smaller)."""
    for axis in range(3, x.ndim):
        x = _window_means(x, axis)
    return x


def _window_means(x: Tensor, axis: int) -> Tensor:
    """One axis of `_blur`, as a product with a banded matrix: faster on a CPU than a convolution of one channel."""
    size = x.shape[axis]
    taps = min(_WINDOW, size - 1 + size % 2)
    offsets = torch.arange(taps, device=x.device, dtype=x.dtype) - taps // 2
    window = torch.softmax(-(offsets**2) / (2 * _WINDOW_SIGMA**2), 0)
    outputs = size - taps + 1
    # Rows one element shorter than the repeated pattern: in each, the window starts one place further right.
    band = torch.cat((window, x.new_zeros(size + 1 - taps))).repeat(outputs)[: outputs * size]
    return (x.movedim(axis, -1) @ band.view(outputs, size).T).movedim(-1, axis)


def _check_images(x: Tensor, name: str) -> None:
    if not 3 <= x.ndim <= 5:
        raise IsthmusError(
            f"objective {name!r} compares neighbourhoods and needs images or signals of shape (N, channels, *spatial), "
            f"not {tuple(x.shape)}; for tables take 'mse', 'mae' or 'huber'"
        )


def _positive(name: str, value: float | None) -> float:
    if value is None or value <= 0:
        raise IsthmusError(f"objective '{name}:{value}' needs a number above 0, as in '{name}:0.1'")
    return value
