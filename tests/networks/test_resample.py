from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from isthmus.errors import IsthmusError
from isthmus.networks import resample
from isthmus.networks.resample import METHODS

GOLDEN = Path(__file__).with_name("golden") / "keras_upsampling.npz"


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN, allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("method", METHODS)
def test_agrees_with_keras(golden: dict[str, np.ndarray], method: str, factor: int) -> None:
    cases = [name for name in golden if name.startswith(f"{method}/{factor}/")]
    assert cases
    for name in cases:
        x = torch.from_numpy(golden[f"input/{name.split('/')[2]}"]).movedim(-1, 1)
        found = resample(x, factor, method).movedim(1, -1).numpy()
        np.testing.assert_allclose(found, golden[name], rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_is_separable_in_any_number_of_dimensions(method: str) -> None:
    a, b, c = torch.rand(3), torch.rand(5), torch.rand(2)
    up = [resample(v[None, None], 3, method)[0, 0] for v in (a, b, c)]
    volume = torch.einsum("i,j,k->ijk", a, b, c)[None, None]
    expected = torch.einsum("i,j,k->ijk", *up)[None, None]
    torch.testing.assert_close(resample(volume, 3, method), expected)
    torch.testing.assert_close(resample(volume[:, :, 0], 3, method), torch.einsum("i,j,k->ijk", a[:1], *up[1:])[None])


@pytest.mark.parametrize("method", METHODS)
def test_keeps_constants_and_gradients(method: str) -> None:
    x = torch.full((2, 3, 1, 70), 0.7, dtype=torch.float64, requires_grad=True)  # more than one block of outputs
    y = resample(x, 2, method)
    assert y.shape == (2, 3, 2, 140)
    torch.testing.assert_close(y, torch.full_like(y, 0.7), rtol=0, atol=1e-6)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert gradient.sum().item() == pytest.approx(y.numel(), rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_keeps_the_memory_format(method: str) -> None:
    x = torch.rand(2, 3, 4, 5)
    last = x.contiguous(memory_format=torch.channels_last)
    y = resample(last, 2, method)
    assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y, resample(x, 2, method))


def test_cubic_interpolation_reproduces_parabolas() -> None:
    x = torch.arange(12.0)
    at = (torch.arange(24) + 0.5) / 2 - 0.5
    found = resample((x**2)[None, None], 2, "bicubic")[0, 0]
    torch.testing.assert_close(found[4:-4], (at**2)[4:-4])


def test_unknown_method() -> None:
    with pytest.raises(IsthmusError, match="unknown interpolation 'cubic'; did you mean 'bicubic'"):
        resample(torch.rand(1, 1, 3), 2, "cubic")
