"""A normalising flow: an invertible network that turns codes into standard normal noise, and noise into codes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_LAYERS, _WIDTH = 6, 128
_MOST_STRETCH = 2.0  # natural logarithm of what one layer multiplies a number by, at most


class Coupling(nn.Module):
    """An affine coupling layer: one half of the numbers says how the other half is stretched and shifted.

        u = z Q, Q a fixed rotation ──▶ [a, b] ──▶ [a, b · exp(s(a)) + t(a)],  log |det| = Σ s(a)

    Dinh, Sohl-Dickstein and Bengio (2017), "Density estimation using Real NVP", arXiv:1605.08803, section 3; random
    rotations in place of swapped halves, as in Kingma and Dhariwal (2018), "Glow", arXiv:1807.03039, section 3.2.
    """

    rotation: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.kept = dim // 2
        self.register_buffer("rotation", _rotation(dim))
        last = nn.Linear(_WIDTH, 2 * (dim - self.kept))
        nn.init.zeros_(last.weight)  # the flow begins as a rotation
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(
            nn.Linear(self.kept, _WIDTH),
            nn.SiLU(),
            nn.Linear(_WIDTH, _WIDTH),
            nn.SiLU(),
            last,
        )

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Codes (n, d) one step nearer to noise, and the logarithm of the volume's change (n,)."""
        a, b = (z @ self.rotation).tensor_split([self.kept], dim=1)
        stretch, shift = self._affine(a)
        return torch.cat([a, b * stretch.exp() + shift], dim=1), stretch.sum(1)

    def inverse(self, u: Tensor) -> Tensor:
        """The codes (n, d) that `forward` turns into u."""
        a, b = u.tensor_split([self.kept], dim=1)
        stretch, shift = self._affine(a)
        return torch.cat([a, (b - shift) * (-stretch).exp()], dim=1) @ self.rotation.T

    def _affine(self, a: Tensor) -> tuple[Tensor, Tensor]:
        stretch, shift = self.layers(a).chunk(2, dim=1)
        return _MOST_STRETCH * (stretch / _MOST_STRETCH).tanh(), shift


class Flow(nn.Module):
    """Coupling layers from codes z (n, d), d at least 2, to noise of the standard normal distribution, and back.

    center, spread (d,) : codes are standardised first, as (z − center) / spread.
    """

    center: Tensor
    spread: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(dim))
        self.register_buffer("spread", torch.ones(dim))
        self.couplings = nn.ModuleList(Coupling(dim) for _ in range(_LAYERS))

    def log_density(self, z: Tensor) -> Tensor:
        """Natural logarithm of the density at codes (n, d): (n,)."""
        u = (z - self.center) / self.spread
        volume = -self.spread.log().sum().expand(len(z))
        for coupling in self.couplings:
            u, change = coupling(u)
            volume = volume + change
        return volume - 0.5 * (u.square().sum(1) + u.shape[1] * math.log(2 * math.pi))

    def decode(self, noise: Tensor) -> Tensor:
        """Codes from noise (n, d)."""
        u = noise
        for coupling in reversed(self.couplings):
            assert isinstance(coupling, Coupling)
            u = coupling.inverse(u)
        return u * self.spread + self.center


def _rotation(dim: int) -> Tensor:
    """A random rotation (dim, dim); in a plan without memory, see `networks/restored.py`, only its shape."""
    drawn = torch.empty(dim, dim).normal_()
    return drawn if drawn.is_meta else torch.linalg.qr(drawn)[0]
