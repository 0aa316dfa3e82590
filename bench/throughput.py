"""Samples a second of training, encoding and decoding on MNIST beside what the hardware allows.

python bench/throughput.py

The floor of a step is the network's floating-point operations, forward and backward, over the rate of the fastest
large matrix product in the precision used, measured here. "Loop" is what a step of the training loop takes beyond the
network, the objective and the optimizer on one fixed batch. Encoding and decoding, from and to the user's uint8 arrays,
are set beside the bare network under `torch.inference_mode` on scaled tensors, at its best batch size.
"""

from __future__ import annotations

import functools
import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from isthmus import AutoEncoder, datasets
from isthmus.device import has_fast_bfloat16, memory_format
from isthmus.estimators.recipe import training_spec
from isthmus.estimators.tasks import reconstruction_task
from isthmus.training.feed import SourceFeed
from isthmus.training.loop import Trainer
from isthmus.training.run import Run
from machine import machine, table
from targets import QUICK, Target, note

NETWORKS: dict[str, dict[str, Any]] = {
    "conv 32-64-128, code 10": {"network": "conv", "hidden": ()},
    "conv, the default": {"network": "conv"},
    "dense 784-500-250-10": {"network": "dense", "hidden": (500, 250)},
    "dense, the default": {"network": "dense"},
}
STEPS, ROUNDS = (1, 1) if QUICK else (10, 9)
BATCHES = (64, 128, 256, 512, 1024, 4096)


def seconds(function: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Median time of a call, after one that is not counted."""
    return interleaved([function], rounds)[0]


def interleaved(functions: list[Callable[[], object]], rounds: int = ROUNDS) -> list[float]:
    """Median time of each function, called in turn, so that the machine's moods hit all of them."""
    times: list[list[float]] = [[] for _ in functions]
    for turn, (function, found) in itertools.product(range(rounds + 1), zip(functions, times, strict=True)):
        start = time.perf_counter()
        function()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if turn:
            found.append(time.perf_counter() - start)
    return [statistics.median(found) for found in times]


def matrix_rate(dtype: torch.dtype, device: torch.device) -> float:
    """Floating-point operations a second of the best of some matrix products."""
    rates = []
    for n in (1024, 2048, 1024, 2048):
        a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
        rates.append(2 * n**3 / seconds(functools.partial(torch.matmul, a, b)))
    return max(rates)


def trainer(settings: dict[str, Any], batch_size: int | None, X: np.ndarray) -> tuple[AutoEncoder, Trainer]:
    """A run that is ready to start."""
    model = AutoEncoder(10, epochs=1, random_state=0, validation_fraction=0, batch_size=batch_size, **settings)
    run, source = Run.of(model), model._open(X, reset=True)
    model._prepare(source, run.seed, run.device)
    model.training_spec_ = training_spec(model, model.network_spec_, len(source), run.device)
    task = reconstruction_task(model.network_, model.training_spec_, model.code_shape_)
    feed = SourceFeed(source, model.scaler_, run.device)
    return model, Trainer(task.train(), feed, model.training_spec_, validation=np.arange(0))


def training_row(
    name: str, settings: dict[str, Any], optimizer: str, batch: int, X: np.ndarray, rates: dict[torch.dtype, float]
) -> dict[str, str]:
    """Training at a size of batch, and how much of the floor's rate that is."""
    model, run = trainer({**settings, "optimizer": optimizer}, batch, X)
    batches = run._feed.batches(itertools.chain.from_iterable(run._order() for _ in range(10**6)))

    def loop() -> None:
        for _ in range(STEPS):
            run._step(next(batches))
            run.position.step += 1

    x = next(batches)
    x = x.contiguous(memory_format=memory_format(x.ndim))

    def bare() -> None:
        for _ in range(STEPS):
            with run.task.autocast():
                reconstruction, _ = run.task.network(x, None)
            torch.nn.functional.mse_loss(reconstruction.float(), x).backward()
            if run.spec.gradient_clip is not None:
                torch.nn.utils.clip_grad_norm_(run._parameters, run.spec.gradient_clip)
            for optimizer in run.optimizers:
                optimizer.step()
                optimizer.zero_grad()

    def network() -> None:
        for _ in range(STEPS):
            with run.task.autocast():
                reconstruction, _ = run.task.network(x, None)
            torch.nn.functional.mse_loss(reconstruction.float(), x).backward()

    with FlopCounterMode(display=False) as counter:
        with run.task.autocast():
            reconstruction, _ = run.task.network(x, None)
        torch.nn.functional.mse_loss(reconstruction.float(), x).backward()
    assert model.training_spec_ is not None
    dtype = torch.bfloat16 if model.training_spec_.precision == "bfloat16" else torch.float32
    floor = counter.get_total_flops() / rates[dtype]
    whole, fixed, net = (value / STEPS for value in interleaved([loop, bare, network]))
    return {
        "network": name,
        "optimizer": optimizer,
        "batch": str(batch),
        "MFLOP a sample": f"{counter.get_total_flops() / len(x) / 1e6:.1f}",
        "floor, ms": f"{1e3 * floor:.1f}",
        "network, ms": f"{1e3 * net:.1f}",
        "step, ms": f"{1e3 * whole:.1f}",
        "samples/s": f"{len(x) / whole:,.0f}",
        "network over floor": f"{floor / net:.2f}",
        "step over floor": f"{floor / whole:.2f}",
        "loop": f"{max(0.0, 1 - fixed / whole):.1%}",
    }


@torch.inference_mode()
def inference_row(name: str, settings: dict[str, Any], X: np.ndarray) -> dict[str, str]:
    """`transform` and `inverse_transform` beside the bare network."""
    model, _ = trainer(settings, None, X)
    model.network_.eval()
    model.history_ = [{}]
    scaled = model.scaler_.to_network(torch.from_numpy(X)).to(next(model.network_.parameters()).device)
    scaled = scaled.contiguous(memory_format=memory_format(scaled.ndim))
    codes = model.transform(X)
    z = torch.from_numpy(codes).to(scaled.device)

    def bare(function: Callable[[torch.Tensor], torch.Tensor], values: torch.Tensor, size: int) -> Callable[[], None]:
        def run() -> None:
            for batch in values.split(size):
                function(batch)

        return run

    row = {"network": name}
    for what, ours, function, values in (
        ("encode", lambda: model.transform(X), model.network_.encode, scaled),
        ("decode", lambda: model.inverse_transform(codes), model.network_.decode, z),
    ):
        mine, *others = interleaved([ours, *(bare(function, values, size) for size in BATCHES)], 5)
        best = min(others)
        row[f"{what}, samples/s"] = f"{len(X) / mine:,.0f}"
        row[f"bare {what}"] = f"{len(X) / best:,.0f} (batches of {BATCHES[others.index(best)]})"
        row[f"{what} over bare"] = f"{best / mine:.2f}"
    return row


def main() -> None:
    X = np.array(datasets.load("mnist").test.images)[: 1_000 if QUICK else None]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtypes = [torch.float32, *([torch.bfloat16] if has_fast_bfloat16(device) else [])]
    rates = {dtype: matrix_rate(dtype, device) for dtype in dtypes}
    print(f"{machine()}\nmatrix products: " + ", ".join(f"{k} {v / 1e9:,.0f} GFLOP/s" for k, v in rates.items()))
    optimizers = {"conv": ("muon",), "dense": ("muon", "adam")}
    rows = [
        training_row(name, settings, optimizer, 128, X, rates)
        for name, settings in NETWORKS.items()
        for optimizer in optimizers[settings["network"]]
    ]
    name = "conv, the default"  # whose own batches are of 64
    rows.append(training_row(name, NETWORKS[name], "muon", 64, X, rates))
    print(f"\n{table(rows)}")
    print(f"\n{table([inference_row(name, settings, X) for name, settings in NETWORKS.items()])}")
    share = float(rows[-1]["step over floor"])
    note(Target("convolutional training, batch 64", share, 0.7, "of the floor's rate", at_least=True))


if __name__ == "__main__":
    main()
