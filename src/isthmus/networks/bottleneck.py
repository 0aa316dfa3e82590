"""What sits between encoder and decoder, by name.

Each entry is a module class constructed with ``(value, latent_size, num_features)``: the number behind the colon in
``"variational:0.01"`` or None, the length of the code along axis 1 (None where it is not known), and the numbers in
one sample. With h (N, inputs_per_latent · d, ...) from the encoder, flat or spatial, axis 1 being the code's:

    encode(h)                      z (N, d, ...): the code, deterministic
    forward(h, generator=None)     (z, penalty): as in training; random only where a generator is given. The penalty
                                   is added to the objective, a tensor of shape (); None where there is none
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from isthmus.errors import IsthmusError
from isthmus.registry import bottlenecks
from isthmus.share import drawn

DEFAULT_BETA = 0.01
DEFAULT_LEVELS = 5
_LOG_VARIANCES = (-20.0, 10.0)  # beyond these the exponential leaves what float32 can add up


class Bottleneck(nn.Module):
    """Base: the code is what the encoder gives."""

    inputs_per_latent: ClassVar[int] = 1

    def encode(self, h: Tensor) -> Tensor:
        return h

    def forward(self, h: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor | None]:
        return self.encode(h), None


@bottlenecks.register("plain")
class Plain(Bottleneck):
    """Nothing: the code is what the encoder gives."""

    def __init__(
        self, value: float | None = None, latent_size: int | None = None, num_features: int | None = None
    ) -> None:
        super().__init__()
        if value is not None:
            raise IsthmusError(f"the bottleneck 'plain' takes no number, but {value:g} was given")


@bottlenecks.register("variational")
class Variational(Bottleneck):
    """Gaussian codes drawn towards the standard normal distribution; the number is β, the weight of that (0.01).

    The penalty is β · KL(q(z|x) ‖ N(0, 1)) / num_features, the divergence summed over the code and averaged over the
    batch: it has the scale of an objective that is a mean over all numbers of a sample. With the mean squared error,
    β = 2 s² where s is the standard deviation of a Gaussian decoder (Kingma & Welling 2013, arXiv:1312.6114; Higgins
    et al. 2017 for β). β = 1 means s = 0.7, more than the spread of data in [0, 1], and the code collapses; the
    default of 0.01 means s = 0.07, about the error that a good auto-encoder makes.
    """

    inputs_per_latent = 2

    def __init__(self, value: float | None, latent_size: int | None, num_features: int) -> None:
        super().__init__()
        self.beta = DEFAULT_BETA if value is None else value
        self.num_features = num_features

    def moments(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), (N, d, ...) each."""
        if h.shape[1] % 2:
            raise IsthmusError(
                f"a variational bottleneck takes two numbers for each of the code, means then log-variances; "
                f"the encoder gives {h.shape[1]}, which is odd"
            )
        mean, log_variance = h.float().chunk(2, dim=1)
        return mean, log_variance.clamp(*_LOG_VARIANCES)

    def encode(self, h: Tensor) -> Tensor:
        return self.moments(h)[0]

    def sample(self, h: Tensor, generator: torch.Generator) -> Tensor:
        """Draw z from q(z|x), (N, d, ...)."""
        return self._draw(*self.moments(h), generator)

    def forward(self, h: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor | None]:
        mean, log_variance = self.moments(h)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum() / len(h)
        z = mean if generator is None else self._draw(mean, log_variance, generator)
        return z, self.beta / self.num_features * divergence

    @staticmethod
    def _draw(mean: Tensor, log_variance: Tensor, generator: torch.Generator) -> Tensor:
        noise = drawn(torch.randn, mean.shape, generator, device=mean.device)
        return mean + (0.5 * log_variance).exp() * noise


@bottlenecks.register("sparse")
class Sparse(Bottleneck):
    """Only the k largest numbers of the code are kept, the others are zero; the number is k (a quarter of the code).

    Largest in absolute value; in a spatial code at each position. Makhzani & Frey (2013), "k-sparse autoencoders",
    arXiv:1312.5663.
    """

    def __init__(self, value: float | None, latent_size: int | None, num_features: int | None = None) -> None:
        super().__init__()
        if value is not None:
            _check_integer("the number of codes that are kept", "sparse", value, 1, latent_size)
        self.k = None if value is None else int(value)

    def encode(self, h: Tensor) -> Tensor:
        k = self.k or max(1, h.shape[1] // 4)
        kept = h.abs().topk(min(k, h.shape[1]), dim=1).indices
        return h * torch.zeros_like(h).scatter(1, kept, 1.0)


@bottlenecks.register("quantised")
class Quantised(Bottleneck):
    """Each number of the code takes one of a few levels from -1 to 1; the number is how many (5).

    Finite scalar quantisation (Mentzer et al. 2023, arXiv:2309.15505): bounded by tanh, then rounded; gradients pass
    the rounding unchanged. An even number of levels is offset by half a step, so that the levels are symmetric.
    """

    def __init__(self, value: float | None, latent_size: int | None = None, num_features: int | None = None) -> None:
        super().__init__()
        if value is not None:
            _check_integer("the number of levels", "quantised", value, 2, None)
        self.levels = DEFAULT_LEVELS if value is None else int(value)

    def encode(self, h: Tensor) -> Tensor:
        half = (self.levels - 1) / 2
        offset = half % 1  # 0 or 1/2: the levels are -half, 1 - half, ..., half
        bounded = torch.tanh(h.float()) * half
        rounded = (bounded - offset).round() + offset
        return (bounded + (rounded - bounded).detach()) / half


def _check_integer(what: str, name: str, value: float, least: int, most: int | None) -> None:
    if value != int(value) or value < least or (most is not None and value > most):
        limits = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise IsthmusError(f"{what} in '{name}:{value:g}' must be an integer {limits}")
