"""Paths between two codes: straight, along a sphere, and the shortest as the decoder sees it.

A decoder g carries the distances of data back to its codes: a step dz is as long as ‖J dz‖, with J the Jacobian of g at
z (the pull-back metric). The shortest curve under it changes the decoded data as little as possible on the way (Shao,
Kumar and Fletcher 2018, "The Riemannian geometry of deep generative models", arXiv:1711.08014; Arvanitidis, Hansen and
Hauberg 2018, "Latent space oddity", arXiv:1710.11379).

Codes are float32 arrays of shape (d,); `decode` maps a tensor of codes (n, d) to one of decoded samples (n, ...), and
lets gradients through.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

Decode = Callable[[Tensor], Tensor]

_WAVES = 12  # sines by which a geodesic may deviate from the straight line, in each number of the code
_INTERVALS = 24  # that its energy is the sum of
_MOST_ITERATIONS, _TOLERANCE = 60, 1e-4  # of the minimisation; the energy is relative to the first one
_DECODED = 256  # codes at a time, where no gradient is asked for


def straight(start: np.ndarray, end: np.ndarray, steps: int) -> np.ndarray:
    """Codes at equal steps along the straight line, (steps, d)."""
    t = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
    codes: np.ndarray = (1 - t) * start + t * end
    return codes


def spherical(start: np.ndarray, end: np.ndarray, steps: int) -> np.ndarray:
    """Codes at equal angles about the origin, (steps, d): as far from it as codes of a normal distribution are.

    White (2016), "Sampling generative networks", arXiv:1609.04468, section 2.1. Straight where start and end lie on one
    line with the origin, which leaves the plane of the turn open.
    """
    lengths = float(np.linalg.norm(start) * np.linalg.norm(end))
    angle = np.arccos(np.clip(start @ end / lengths, -1, 1)) if lengths else 0.0
    if np.sin(angle) < 1e-4:
        return straight(start, end, steps)
    t = np.linspace(0, 1, steps)[:, None]
    codes: np.ndarray = ((np.sin((1 - t) * angle) * start + np.sin(t * angle) * end) / np.sin(angle)).astype(np.float32)
    return codes


def geodesic(
    start: np.ndarray, end: np.ndarray, steps: int, decode: Decode, through: np.ndarray | None = None
) -> np.ndarray:
    """Codes at equal decoded distances along the shortest curve, (steps, d).

    The curve is z(t) = (1 − t) start + t end + Σ_k w_k sin(π k t) / k. Its energy ∫ ‖d g(z(t)) / dt‖² dt, a sum over
    short intervals, is minimised over w by L-BFGS: the curve of least energy is the shortest, run through at constant
    speed. Thanks to the 1 / k all w weigh the same where the metric is constant, so that few iterations suffice.

    A minimum is local. through : codes (m, d) of a path to begin with, from start to end; by default the straight line.
    """
    from scipy.optimize import minimize

    chord, sines = straight(start, end, _INTERVALS + 1), _sines(np.linspace(0, 1, _INTERVALS + 1))
    w = np.zeros((_WAVES, len(start)))
    if through is not None:
        bend = sines.T @ (evenly(through, _INTERVALS + 1, decode) - chord)
        w = bend / np.square(sines).sum(axis=0)[:, None]  # least squares: the sines are orthogonal
    line, basis = torch.from_numpy(chord), torch.from_numpy(sines)

    def energy(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = torch.from_numpy(flat.reshape(w.shape)).float().requires_grad_()
        steps = decode(line + basis @ weights).flatten(1).diff(dim=0)
        total = steps.square().sum(dtype=torch.float64)
        (gradient,) = torch.autograd.grad(total, weights)
        return total.item() / unit, gradient.double().numpy().ravel() / unit

    unit = 1.0
    unit = energy(w.ravel())[0] or 1.0  # relative energies: the tolerance has no unit
    options = {"maxiter": _MOST_ITERATIONS, "ftol": _TOLERANCE}
    w = minimize(energy, w.ravel(), jac=True, method="L-BFGS-B", options=options).x.reshape(w.shape)
    times = np.linspace(0, 1, 4 * _INTERVALS + 1)
    curve = straight(start, end, len(times)) + _sines(times) @ w.astype(np.float32)
    return evenly(curve, steps, decode)


def evenly(path: np.ndarray, steps: int, decode: Decode) -> np.ndarray:
    """Codes at equal decoded distances along a path through codes (m, d), the first and the last of them kept."""
    lengths = np.concatenate([[0], np.cumsum(decoded_steps(path, decode))])
    wanted = np.linspace(0, lengths[-1], steps)
    return np.column_stack([np.interp(wanted, lengths, column) for column in path.T]).astype(np.float32)


@torch.inference_mode()
def decoded_steps(path: np.ndarray, decode: Decode) -> np.ndarray:
    """Distances between the decoded neighbours on a path through codes (m, d), float64 array (m − 1,)."""
    decoded = torch.cat([decode(part).flatten(1) for part in torch.from_numpy(path).split(_DECODED)])
    distances: np.ndarray = torch.linalg.vector_norm(decoded.diff(dim=0), dim=1).double().cpu().numpy()
    return distances


def _sines(times: np.ndarray) -> np.ndarray:
    """sin(π k t) / k for k = 1, ..., `_WAVES`: float32 array (len(times), _WAVES)."""
    k = np.arange(1, _WAVES + 1)
    return (np.sin(np.pi * np.outer(times, k)) / k).astype(np.float32)
