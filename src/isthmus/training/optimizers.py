"""Optimizers by name, and how the learning rate runs to zero."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from isthmus.registry import optimizers
from isthmus.spec import TrainingSpec

WARM_UP = 0.02  # share of the run in which the learning rate rises to its full value
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Jordan et al. (2024), "Muon": steepest slope at zero
# Smaller sides of the matrices that are orthogonalised: it costs the cube of that, and a matrix that is nearly a vector
# gains nothing. The rest is left to Adam.
_NARROWEST, _WIDEST = 16, 256
_ADAM_SHARE = 0.15  # Adam's learning rate beside that of Muon, whose steps have another unit


def learning_rate_factor(progress: float) -> float:
    """Linear warm-up, then linear decay to zero; `progress` runs from 0 to 1 over the whole run.

    Linear decay to zero: Defazio et al. (2023), "When, why and how much?", arXiv:2310.07831.
    """
    return max(0.0, min((progress + 1e-3) / WARM_UP, (1 - progress) / (1 - WARM_UP)))


@optimizers.register("adam")
def adam(network: nn.Module, spec: TrainingSpec) -> list[torch.optim.Optimizer]:
    """AdamW with betas (0.9, 0.99): a good default for fully connected networks."""
    return [_adam([p for p in network.parameters() if p.requires_grad], spec.learning_rate, spec)]


@optimizers.register("muon")
def muon(network: nn.Module, spec: TrainingSpec) -> list[torch.optim.Optimizer]:
    """Muon for weight matrices and convolution kernels, AdamW for the rest: fewer steps for convolutional networks."""
    trained = [p for p in network.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.ndim >= 2 and _NARROWEST <= min(len(p), p[0].numel()) <= _WIDEST]
    chosen = {id(p) for p in matrices}
    rest = [p for p in trained if id(p) not in chosen]
    made: list[torch.optim.Optimizer] = []
    if matrices:
        made.append(Muon(matrices, spec.learning_rate, weight_decay=spec.weight_decay))
    if rest:
        made.append(_adam(rest, _ADAM_SHARE * spec.learning_rate, spec))
    return made


def _adam(parameters: list[nn.Parameter], learning_rate: float, spec: TrainingSpec) -> torch.optim.Optimizer:
    fused = parameters[0].device.type in ("cpu", "cuda", "mps")
    return torch.optim.AdamW(
        parameters, lr=learning_rate, betas=(0.9, 0.99), weight_decay=spec.weight_decay, fused=fused
    )


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised: every direction of a weight matrix moves equally far.

    Jordan et al. (2024), "Muon: An optimizer for hidden layers in neural networks". Kernels of convolutions are
    taken as matrices (out_channels, everything else).
    """

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float, *, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if not params:
                continue
            grads = [p.grad for p in params]
            buffers = [self._buffer(p) for p in params]
            torch._foreach_lerp_(buffers, grads, 1 - group["momentum"])
            torch._foreach_lerp_(grads, buffers, group["momentum"])  # Nesterov
            if group["weight_decay"]:
                torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
            for p, grad in zip(params, grads, strict=True):
                matrix = orthogonalise(grad.flatten(1))
                scale = max(1.0, len(matrix) / matrix.shape[1]) ** 0.5
                p.add_(matrix.reshape(grad.shape), alpha=-group["lr"] * scale)

    def _buffer(self, parameter: nn.Parameter) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        return state["momentum_buffer"]


def orthogonalise(matrix: Tensor, steps: int = 4) -> Tensor:
    """The matrix with all singular values brought near 1, by a quintic Newton–Schulz iteration.

    Every iterate is a polynomial of the Gram matrix times the matrix itself, so that all but the first and the last
    product are between square matrices of the smaller side.
    """
    a, b, c = _NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    gram = x @ x.T
    scale = torch.rsqrt(gram.diagonal().sum() + 1e-14)
    gram.mul_(scale * scale)
    product: Tensor | None = None
    for step in range(steps):
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal().add_(a)
        product = factor if product is None else factor @ product
        if step < steps - 1:
            gram = factor @ gram @ factor
    assert product is not None
    x = (product @ x).mul_(scale)
    return x.T if tall else x
