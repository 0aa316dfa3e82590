"""The history of a run, of one in parts, and of several calls of `partial_fit`."""

from __future__ import annotations

import numpy as np

from isthmus import AutoEncoder
from isthmus.evaluation.history import in_parts


def entry(epoch: int, step: int, seconds: float) -> dict[str, float]:
    return {"epoch": epoch, "step": step, "seconds": seconds}


def test_two_entries_of_one_step_are_one_run() -> None:
    X = np.random.default_rng(0).normal(size=(356, 5))
    model = AutoEncoder(2, hidden=(8,), epochs=50, batch_size=16, random_state=0).fit(X)
    history = model.history_
    assert len({e["step"] for e in history}) < len(history)  # a last step and its validation
    (part,) = in_parts(history)
    assert (part[-1]["step"], part[-1]["seconds"]) == (history[-1]["step"], history[-1]["seconds"])


def test_parts_go_on_from_one_another() -> None:
    first, second = in_parts([entry(1, 10, 1.0), entry(2, 20, 2.0), entry(1, 10, 0.5), entry(2, 30, 1.5)])
    assert [e["step"] for e in second] == [30, 50]
    assert [e["seconds"] for e in second] == [2.5, 3.5]
    assert len(first) == 2


def test_each_call_of_partial_fit_is_a_part() -> None:
    model = AutoEncoder(2, random_state=0)
    for _ in range(3):
        model.partial_fit(np.random.default_rng(0).normal(size=(64, 5)))
    assert len(in_parts(model.history_)) == 3
