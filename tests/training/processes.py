"""What several processes do in the tests of distributed training, each for itself.

torchrun --nproc-per-node N processes.py losses|minutes|resume FOLDER
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training import runs

from isthmus import AnomalyDetector, AutoEncoder, Denoiser
from isthmus.anomalies import image_learning
from isthmus.estimators import recipe
from isthmus.training import distributed, launch
from isthmus.training.loop import Trainer
from isthmus.training.progress import Event

SETTINGS = runs.SETTINGS
MORE: dict[str, Any] = {  # what draws, divides or compares otherwise
    "counts and places": (
        lambda: AutoEncoder(
            3, channels=(4, 8), downsample="max-pool", upsample="max-unpool", batch_size=9, epochs=1,
            corruption="poisson:30+salt-and-pepper:0-0.2+block-masking", **SETTINGS,
        ),
        runs.strokes,
    ),
    "exchanged cells": (
        lambda: AutoEncoder(2, hidden=(8,), consistency="exchange", batch_size=9, epochs=1, **SETTINGS),
        lambda: runs.noisy().reshape(60, 81),
    ),
    "by Stein's risk": (
        lambda: Denoiser("gaussian:0.1", learn_from="noisy", size="small", epochs=4, **SETTINGS), runs.noisy,
    ),
    "by blind spots": (
        lambda: Denoiser("salt-and-pepper", learn_from="noisy", size="small", epochs=4, **SETTINGS), runs.strokes,
    ),
    "hidden parts": (lambda: AnomalyDetector(0.1, epochs=1, **SETTINGS), runs.strokes),
}  # fmt: skip
KINDS = {**runs.KINDS, **MORE}
RESUMED = "imputer", "map"  # their losses do not leave the ways of others: see docs/benchmarks.md


def losses(steps: int = 6) -> dict[str, list[float]]:
    """The losses of the first steps of every kind of run, and how large the first step's gradient is."""
    found: dict[str, list[float]] = {}
    whole = Trainer._gradients
    kept: list[float] = []

    def noted(self: Trainer, batch: Any) -> torch.Tensor:
        loss = whole(self, batch)
        if not kept:
            norms = [float(p.grad.double().square().sum()) for p in self._parameters if p.grad is not None]
            kept.append(sum(norms) ** 0.5)
        kept.append(float(loss))
        if len(kept) == steps + 1:
            signal.raise_signal(signal.SIGTERM)  # one of them hears it, or all: they stop together
        return loss

    Trainer._gradients = noted  # type: ignore[method-assign]
    precise = pytest.MonkeyPatch()
    for module in (recipe, image_learning):  # bfloat16 has three digits: sums of parts differ in the third
        precise.setattr(module, "has_fast_bfloat16", lambda device: False)
    try:
        for kind, (estimator, data) in KINDS.items():
            kept.clear()
            estimator().fit(data())
            found[kind] = list(kept)
    finally:
        Trainer._gradients = whole  # type: ignore[method-assign]
        precise.undo()
    return found


def half_way() -> Callable[[Event], None]:
    """A listener that ends a run in its middle, by a signal to one process."""

    sent = False

    def stop(event: Event) -> None:
        nonlocal sent
        if event.kind == "entry" and event.progress > 0.5 and not sent:
            sent = True
            signal.raise_signal(signal.SIGTERM)

    return stop


def resumed(folder: Path) -> None:
    """Whole runs, runs that were stopped and went on, and runs that another number of processes had begun."""
    for kind in RESUMED:
        runs.run(kind, folder / f"{kind}-whole")
        stopped = runs.run(kind, folder / f"{kind}-stopped", listeners=(half_way(),))
        assert stopped.interrupted_ == signal.SIGTERM
        runs.run(kind, folder / f"{kind}-stopped", resume=True)
        if launch.size() > 1:
            runs.run(kind, folder / f"{kind}-begun", resume=True)


def minutes(folder: Path) -> None:
    """A run by the clock, without memory that the processes share; each of them says how far it came."""
    del os.memfd_create
    model = AutoEncoder(3, channels=(4,), batch_size=8, minutes=0.01, **SETTINGS).fit(runs.strokes())
    told = [[entry["step"], entry["loss"], entry["seconds"]] for entry in model.history_]
    weights = [float(p.detach().double().sum()) for p in model.network_.parameters()]
    distributed.leave()
    threads = [(one / "comm").read_text() for one in Path("/proc/self/task").glob("*")]
    assert not any("gloo" in name for name in threads), threads  # one that is left may end the process by a signal
    (folder / f"minutes-{launch.rank()}.json").write_text(json.dumps([told, weights]))


if __name__ == "__main__":
    mode, where = sys.argv[1], Path(sys.argv[2])
    if mode == "losses":
        told = losses()
        (where / f"losses-{launch.size()}-{launch.rank()}.json").write_text(json.dumps(told))
    elif mode == "resume":
        resumed(where)
    else:
        minutes(where)
