"""A linear auto-encoder that knows holes: factor analysis, fitted to the cells that are known.

    x = mean + loadings · z + noise,   z ~ N(0, I),   noise ~ N(0, diag(variances))

What is missing is expected from what is seen of the same row in closed form, whichever cells these are (Rubin and
Thayer 1982, "EM algorithms for ML factor analysis", Psychometrika 47).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_MOST_FACTORS = 32
_STEPS = 30  # of expectation and maximisation
_RIDGE = 1.0  # a normal prior of variance 1 on each loading
_LEAST_NOISE = 1e-3  # of a feature's variance


class Factors(nn.Module):
    """The model's parameters; nothing here is trained by gradients.

    mean, variances : (d,). loadings : (d, k).
    """

    mean: Tensor
    loadings: Tensor
    variances: Tensor

    def __init__(self, features: int, factors: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("loadings", torch.zeros(features, factors))
        self.register_buffer("variances", torch.ones(features))

    @classmethod
    def fit(cls, x: Tensor, seen: Tensor) -> Factors:
        """From features x (n, d), of which `seen` (n, d) says which are known."""
        n, d = x.shape
        model = cls(d, _number_of_factors(n, d))
        m = seen.to(x.dtype)
        known = m.sum(0).clamp(min=1)
        model.mean = (x * m).sum(0) / known
        centred = torch.where(seen, x - model.mean, 0.0)
        total = centred.square().sum(0) / known + 1e-6
        model._start(centred, total)
        for _ in range(_STEPS):
            model._step(x * m, m, total)
        return model

    def forward(self, x: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """What is expected of all features (n, d), and the factors' means (n, k), given the features that are seen."""
        precision, right = self._evidence(x, seen.to(x.dtype))
        z = torch.cholesky_solve(right, torch.linalg.cholesky(precision))[..., 0]
        return self.mean + z @ self.loadings.T, z

    def _start(self, centred: Tensor, total: Tensor) -> None:
        """Principal components, where what is missing counts as the mean."""
        k = self.loadings.shape[1]
        _, s, v = torch.linalg.svd(centred / len(centred) ** 0.5, full_matrices=False)
        found = min(k, len(s))
        self.loadings[:, :found] = v[:found].T * s[:found]
        self.variances = torch.maximum(total - self.loadings.square().sum(1), 0.1 * total)

    def _evidence(self, x: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        """The factors' precision (n, k, k), and precision times mean (n, k, 1)."""
        k = self.loadings.shape[1]
        weighted = self.loadings / self.variances[:, None]  # (d, k)
        products = (self.loadings[:, :, None] * weighted[:, None, :]).flatten(1)  # (d, k * k)
        precision = (m @ products).view(-1, k, k) + torch.eye(k, device=x.device)
        return precision, ((m * (x - self.mean)) @ weighted)[..., None]

    def _step(self, x: Tensor, m: Tensor, total: Tensor) -> None:
        """One step of EM; x : 0 where missing. Each feature is regressed on the factors and 1."""
        precision, right = self._evidence(x, m)
        covariance = torch.cholesky_inverse(torch.linalg.cholesky(precision))
        z = (covariance @ right)[..., 0]
        one = torch.cat([z, torch.ones(len(z), 1, device=x.device)], 1)  # (n, k + 1)
        second = one[:, :, None] * one[:, None, :]
        second[:, :-1, :-1] += covariance
        k = one.shape[1]
        moments = (m.T @ second.flatten(1)).view(-1, k, k)
        ridge = _RIDGE * torch.eye(k, device=x.device)
        ridge[-1, -1] = 1e-6
        products = x.T @ one
        weights = torch.linalg.solve(moments + ridge, products[..., None])[..., 0]  # (d, k + 1)
        explained = torch.einsum("di,dij,dj->d", weights, moments, weights)
        rest = (x.square().sum(0) - 2 * (weights * products).sum(1) + explained) / m.sum(0).clamp(min=1)
        self.loadings, self.mean = weights[:, :-1].contiguous(), weights[:, -1].contiguous()
        self.variances = torch.maximum(rest, _LEAST_NOISE * total)


def _number_of_factors(n: int, d: int) -> int:
    return max(1, min(_MOST_FACTORS, d - 1, n // 4))
