"""Optimizers by name, and how the learning rate runs to zero."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.registry import optimizers
from isthmus.spec import TrainingSpec

WARM_UP = 0.02  # share of the run in which the learning rate rises to its full value
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Jordan et al. (2024), "Muon": steepest slope at zero
_BLOCK = 32  # rows that are orthogonalised together: the cost of a step grows with it, its worth hardly
_NARROWEST = 8  # smaller side of the matrices that are orthogonalised: one that is nearly a vector gains nothing
_ADAM_SHARE = 0.15  # Adam's learning rate beside that of Muon, whose steps have another unit


def learning_rate_factor(progress: float) -> float:
    """Linear warm-up, then linear decay to zero; `progress` runs from 0 to 1 over the whole run.

    Linear decay to zero: Defazio et al. (2023), "When, why and how much?", arXiv:2310.07831.
    """
    return max(0.0, min((progress + 1e-3) / WARM_UP, (1 - progress) / (1 - WARM_UP)))


def constant(progress: float) -> float:
    """The full learning rate from beginning to end."""
    return 1.0


@optimizers.register("adam")
def adam(network: nn.Module, spec: TrainingSpec) -> list[torch.optim.Optimizer]:
    """AdamW with betas (0.9, 0.99): for modules of your own."""
    return [_adam([p for p in network.parameters() if p.requires_grad], spec.learning_rate, spec)]


@optimizers.register("muon")
def muon(network: nn.Module, spec: TrainingSpec) -> list[torch.optim.Optimizer]:
    """Muon for weight matrices and convolution kernels, AdamW for the rest: the same error after fewer samples."""
    trained = [p for p in network.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.ndim >= 2 and p.numel() and min(len(p), p[0].numel()) >= _NARROWEST]
    chosen = {id(p) for p in matrices}
    rest = [p for p in trained if id(p) not in chosen]
    made: list[torch.optim.Optimizer] = []
    if matrices:
        made.append(BlockMuon(matrices, spec.learning_rate, weight_decay=spec.weight_decay))
    if rest:
        made.append(_adam(rest, _ADAM_SHARE * spec.learning_rate, spec))
    return made


def _adam(parameters: list[nn.Parameter], learning_rate: float, spec: TrainingSpec) -> torch.optim.Optimizer:
    fused = parameters[0].device.type in ("cpu", "cuda", "mps")
    return _AdamW(parameters, lr=learning_rate, betas=(0.9, 0.99), weight_decay=spec.weight_decay, fused=fused)


class _Uncompiled(torch.optim.Optimizer):
    """An optimizer for which torch does not import its compiler: a second that whoever waits for a first step saves.

    torch wraps these methods so that its compiler passes them over, and imports it to do so. Nothing here is compiled.
    """

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)


class _AdamW(_Uncompiled, torch.optim.AdamW):
    """torch's AdamW."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        inspect.unwrap(torch.optim.AdamW.step)(self, closure)


class BlockMuon(_Uncompiled):
    """Momentum whose update is orthogonalised: every direction of a weight matrix moves equally far.

    Jordan et al. (2024), "Muon: An optimizer for hidden layers in neural networks". Other than `torch.optim.Muon` it
    takes kernels of convolutions, as matrices (out_channels, everything else), and cuts a matrix along its shorter side
    into blocks of at most 32 rows, each orthogonalised for itself: a wide layer then costs a tenth of what the whole
    matrix would, so that Muon pays for fully connected networks too.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float, *, momentum: float = 0.9, weight_decay: float = 0.0
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
            last = [grad.movedim(1, -1) for grad in grads]  # channels last, as kernels lie: flattened without a copy
            updates = orthogonalise([grad.flatten(1) for grad in last])
            for p, update, grad in zip(params, updates, last, strict=True):
                scale = max(1.0, len(update) / update.shape[1]) ** 0.5
                p.add_(update.reshape(grad.shape).movedim(-1, 1), alpha=-group["lr"] * scale)

    def _buffer(self, parameter: nn.Parameter) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffer: Tensor = state["momentum_buffer"]
        return buffer


def orthogonalise(matrices: Sequence[Tensor], steps: int = 4) -> list[Tensor]:
    """Matrices (m, n) with the singular values of every block brought near 1, by a quintic Newton–Schulz iteration.

    A block is at most 32 rows, or columns where these are fewer. Every iterate is a polynomial of a block's Gram
    matrix times the block itself, so that all but the first and the last product are between small square matrices:
    those of all blocks of all matrices together, filled up with zeros, which stay zeros.
    """
    a, b, c = _NEWTON_SCHULZ
    blocks = [_blocks(matrix if len(matrix) <= matrix.shape[1] else matrix.T) for matrix in matrices]
    grams = [torch.bmm(block, block.mT) for block in blocks]
    side = max(gram.shape[1] for gram in grams)
    gram = torch.cat([F.pad(gram, (0, side - gram.shape[1], 0, side - gram.shape[1])) for gram in grams])
    scale = torch.rsqrt(gram.diagonal(dim1=1, dim2=2).sum(1) + 1e-14)[:, None, None]
    gram.mul_(scale * scale)
    product: Tensor | None = None
    for step in range(steps):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        product = factor if product is None else torch.bmm(factor, product)
        if step < steps - 1:
            gram = torch.bmm(torch.bmm(factor, gram), factor)
    assert product is not None
    products = product.mul_(scale).split([len(block) for block in blocks])
    results = []
    for matrix, block, left in zip(matrices, blocks, products, strict=True):
        rows = block.shape[1]
        result = torch.bmm(left[:, :rows, :rows], block).flatten(0, 1)[: min(matrix.shape)]
        results.append(result if len(matrix) <= matrix.shape[1] else result.T)
    return results


def _blocks(matrix: Tensor) -> Tensor:
    """(m, n) -> (count, at most 32, n), equally many rows each; rows of zeros fill the last one up."""
    count = -(-len(matrix) // _BLOCK)
    blocks: Tensor = F.pad(matrix, (0, 0, 0, -len(matrix) % count)).unflatten(0, (count, -1))
    return blocks
