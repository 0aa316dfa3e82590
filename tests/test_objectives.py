"""Objectives: values against independent formulas, gradients, shapes and messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d

from isthmus.errors import IsthmusError
from isthmus.objectives import Objective
from isthmus.registry import objectives

SHAPES = [(3, 1, 28, 28), (2, 3, 16, 20), (2, 2, 40), (2, 1, 8, 9, 12), (3, 1, 4, 7), (2, 1, 1, 1)]
ON_TABLES = [name for name in objectives if "ssim" not in name]


def pair(shape: tuple[int, ...], seed: int = 0, noise: float = 0.1) -> Any:
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(shape, generator=generator)
    return (target + noise * torch.randn(shape, generator=generator)).clamp(0, 1), target


@pytest.mark.parametrize("name", objectives.names())
@pytest.mark.parametrize("shape", SHAPES)
def test_every_objective_takes_every_spatial_shape(name: str, shape: tuple[int, ...]) -> None:
    reconstruction, target = pair(shape)
    reconstruction.requires_grad_()
    objective = Objective({name: 1.0})
    total = objective(reconstruction, target)
    total.backward()
    assert total.shape == () and total.dtype == torch.float32
    assert torch.isfinite(reconstruction.grad).all()
    per_sample = objective.per_sample(reconstruction, target)
    assert per_sample.shape == (shape[0],)
    assert torch.allclose(per_sample.mean(), total, atol=1e-6)


@pytest.mark.parametrize("name", objectives.names())
def test_a_better_reconstruction_scores_lower(name: str) -> None:
    target = (pair((4, 1, 28, 28))[1] > 0.5).float()
    values = [float(Objective({name: 1.0})((1 - mix) * target + mix * 0.5, target)) for mix in (0, 0.2, 0.9)]
    assert values == sorted(values) and values[0] == pytest.approx(0, abs=1e-5) and values[2] > values[1]


@pytest.mark.parametrize("name", ON_TABLES)
def test_tables(name: str) -> None:
    reconstruction, target = pair((5, 7))
    assert Objective({name: 1.0}).per_sample(reconstruction, target).shape == (5,)
    assert not Objective({name: 1.0}).needs_images


@pytest.mark.parametrize("name", ["ssim", "ms-ssim"])
def test_similarity_of_a_table_is_one_clear_error(name: str) -> None:
    assert Objective({name: 1.0}).needs_images
    with pytest.raises(IsthmusError, match=r"needs images or signals.*\(5, 7\).*'mse'"):
        Objective({name: 1.0})(*pair((5, 7)))


def test_pointwise_values() -> None:
    reconstruction, target = torch.tensor([[0.0, 0.25]]), torch.tensor([[1.0, 0.2]])
    values = {name: float(Objective({name: 1.0})(reconstruction, target)) for name in ("mse", "mae", "huber:0.1")}
    assert values == pytest.approx({"mse": 0.50125, "mae": 0.525, "huber:0.1": (0.095 + 0.00125) / 2})
    charbonnier = Objective({"charbonnier:0.1": 1.0})(reconstruction, target)
    assert float(charbonnier) == pytest.approx((np.sqrt(1.01) + np.sqrt(0.0125) - 0.2) / 2)
    bce = Objective({"bce": 1.0})(torch.tensor([[0.3]]), torch.tensor([[0.6]]))
    assert float(bce) == pytest.approx(-(0.6 * np.log(0.3) + 0.4 * np.log(0.7)))


def test_bce_is_finite_at_the_ends_of_the_range() -> None:
    reconstruction = torch.tensor([[0.0, 1.0, 0.0, 1.0]], requires_grad=True)
    value = Objective({"bce": 1.0})(reconstruction, torch.tensor([[1.0, 0.0, 0.0, 1.0]]))
    value.backward()
    assert torch.isfinite(value) and value > 5 and torch.isfinite(reconstruction.grad).all()


def reference_ssim(x: Any, y: Any, taps: int = 11) -> Any:
    """SSIM of one 2-D image in float64, window by window (Wang et al. 2004, equations 13 to 16)."""
    window = np.exp(-((np.arange(taps) - taps // 2) ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def mean(image: np.ndarray) -> Any:
        for axis in (0, 1):
            image = correlate1d(image, window, axis)
        return image[taps // 2 : image.shape[0] - taps // 2, taps // 2 : image.shape[1] - taps // 2]

    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    luminance = (2 * mx * my + 1e-4) / (mx**2 + my**2 + 1e-4)
    return (
        luminance.mean(),
        ((2 * cov + 9e-4) / (vx + vy + 9e-4)).mean(),
        (luminance * (2 * cov + 9e-4) / (vx + vy + 9e-4)).mean(),
    )


@pytest.mark.parametrize(("shape", "taps"), [((28, 33), 11), ((7, 7), 7), ((12, 12), 11)])
def test_ssim_against_float64(shape: tuple[int, ...], taps: int) -> None:
    reconstruction, target = pair((2, 1, *shape))
    errors = Objective({"ssim": 1.0}).per_sample(reconstruction, target)
    for i in range(2):
        expected = reference_ssim(reconstruction[i, 0].double().numpy(), target[i, 0].double().numpy(), taps)[2]
        assert float(errors[i]) == pytest.approx(1 - expected, abs=1e-5)


def half(image: np.ndarray) -> Any:
    return image.reshape(14, 2, 14, 2).mean((1, 3))


def test_ms_ssim_at_two_scales_against_float64() -> None:
    reconstruction, target = pair((1, 1, 28, 28))
    x, y = reconstruction[0, 0].double().numpy(), target[0, 0].double().numpy()
    weights = np.array([0.0448, 0.2856]) / (0.0448 + 0.2856)
    expected = reference_ssim(x, y)[1] ** weights[0] * reference_ssim(half(x), half(y))[2] ** weights[1]
    assert float(Objective({"ms-ssim": 1.0})(reconstruction, target)) == pytest.approx(1 - expected, abs=1e-5)


def test_ms_ssim_uses_five_scales_where_they_fit_and_survives_negative_contrast() -> None:
    x = pair((1, 1, 176, 176))[1].requires_grad_()
    value = Objective({"ms-ssim": 1.0})(x, 1 - x.detach())
    value.backward()
    assert 0.9 < value.item() <= 1 and torch.isfinite(x.grad).all()


def test_weighted_sum_and_bfloat16() -> None:
    reconstruction, target = pair((2, 1, 16, 16))
    parts = [Objective({name: 1.0})(reconstruction, target) for name in ("mse", "huber:0.2", "ssim")]
    both = Objective({"mse": 1.0, "huber:0.2": 0.5, "ssim": 0.1})
    total = both(reconstruction, target)
    assert float(total) == pytest.approx(float(parts[0] + 0.5 * parts[1] + 0.1 * parts[2]))
    assert torch.allclose(both.per_sample(reconstruction, target).mean(), total)
    with torch.autocast("cpu", torch.bfloat16):
        value = both(reconstruction.bfloat16(), target)
    assert value.dtype == torch.float32
    assert float(value) == pytest.approx(float(both(reconstruction.bfloat16().float(), target)), rel=1e-6)


def test_output_activation() -> None:
    assert Objective({"mse": 1.0}).output == "linear"
    assert Objective({"bce": 1.0, "ssim": 0.1}).output == "sigmoid"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mes", "did you mean 'mse'"),
        ("mse:3", "takes no number"),
        ("huber:0", "above 0"),
        ("huber:0.1-0.2", "one number"),
    ],
)
def test_messages(text: str, message: str) -> None:
    with pytest.raises(IsthmusError, match=message):
        Objective({text: 1.0})(*pair((2, 3)))


def test_summaries_are_sentences() -> None:
    for name in objectives:
        assert objectives.summary(name).endswith(".")
