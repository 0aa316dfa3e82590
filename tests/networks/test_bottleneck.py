from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from isthmus.errors import IsthmusError
from isthmus.networks.bottleneck import Plain, Quantised, Sparse, Variational
from isthmus.registry import bottlenecks

SHAPES = [(6, 8), (6, 8, 5), (2, 8, 3, 4)]


def codes(shape: tuple[int, ...], scale: float = 2.0) -> torch.Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", bottlenecks.names())
@pytest.mark.parametrize("shape", SHAPES)
def test_every_bottleneck(name: str, shape: tuple[int, ...]) -> None:
    bottleneck = bottlenecks[name](None, 8 // bottlenecks[name].inputs_per_latent, 100)
    h = codes(shape).requires_grad_()
    z = bottleneck.encode(h)
    assert z.shape == (shape[0], 8 // bottleneck.inputs_per_latent, *shape[2:])
    assert torch.equal(z, bottleneck.encode(h))
    trained, penalty = bottleneck(h)
    assert torch.equal(trained, z)
    assert penalty is None or penalty.shape == ()
    assert torch.autograd.grad(z.square().sum(), h)[0].any()


@pytest.mark.parametrize("shape", SHAPES)
def test_variational_penalty_is_the_divergence_from_the_prior(shape: tuple[int, ...]) -> None:
    h = codes(shape)
    mean, log_variance = h.chunk(2, dim=1)
    posterior = Normal(mean, (0.5 * log_variance).exp())
    expected = kl_divergence(posterior, Normal(0.0, 1.0)).flatten(1).sum(1).mean() * 0.3 / 100
    _, penalty = Variational(0.3, 4, 100)(h)
    torch.testing.assert_close(penalty, expected)


def test_variational_samples_have_the_right_moments() -> None:
    h = torch.tensor([[1.0, -2.0, 0.0, -4.0]]).expand(100_000, -1)  # means 1 and -2, log-variances 0 and -4
    bottleneck, generator = Variational(None, 2, 10), torch.Generator().manual_seed(0)
    for z in (bottleneck.sample(h, generator), bottleneck(h, generator)[0]):
        torch.testing.assert_close(z.mean(0), torch.tensor([1.0, -2.0]), rtol=0, atol=0.02)
        torch.testing.assert_close(z.std(0), torch.tensor([1.0, 0.1353]), rtol=0, atol=0.02)


def test_variational_survives_wild_inputs() -> None:
    z, penalty = Variational(None, 2, 10)(torch.full((3, 4), 1e4), torch.Generator().manual_seed(0))
    assert z.isfinite().all() and penalty is not None and penalty.isfinite()


@pytest.mark.parametrize("shape", SHAPES)
def test_sparse_keeps_the_largest(shape: tuple[int, ...]) -> None:
    h = codes(shape)
    for k in (1, 3, 8):
        z = Sparse(k, 8).encode(h)
        assert ((z != 0).sum(1) == k).all()
        assert torch.equal(z[z != 0], h[z != 0])
        dropped = torch.where(z == 0, h, 0).abs().amax(1)
        kept = torch.where(z == 0, torch.inf, h).abs().amin(1)
        assert (kept >= dropped).all()
    assert ((Sparse(None, 8).encode(h) != 0).sum(1) == 2).all()
    assert ((Sparse(None, None).encode(h[:, :3]) != 0).sum(1) == 1).all()


@pytest.mark.parametrize("levels", [2, 3, 4, 5, 8, 255])
def test_quantised_takes_exactly_that_many_levels(levels: int) -> None:
    h = torch.linspace(-10, 10, 100_001)[:, None]
    z = Quantised(levels).encode(h)
    torch.testing.assert_close(z.unique(), torch.linspace(-1, 1, levels))
    assert (z.diff(dim=0) >= 0).all()


def test_quantised_gradient_is_that_of_the_bound() -> None:
    h = codes((6, 8)).requires_grad_()
    (found,) = torch.autograd.grad(Quantised(5).encode(h).sum(), h)
    torch.testing.assert_close(found, 1 - torch.tanh(h.detach()) ** 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Plain(3.0), "'plain' takes no number"),
        (lambda: Sparse(9, 8), "'sparse:9' must be an integer from 1 to 8"),
        (lambda: Sparse(1.5, None), "'sparse:1.5' must be an integer of at least 1"),
        (lambda: Quantised(1), "'quantised:1' must be an integer of at least 2"),
        (lambda: Variational(None, 2, 9).encode(torch.rand(2, 3)), "3, which is odd"),
    ],
)
def test_wrong_numbers_are_refused(make: Any, message: str) -> None:
    with pytest.raises(IsthmusError, match=message):
        make()
