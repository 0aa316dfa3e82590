"""Batches: what is merged, what is dropped, and whose error is whose."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from tests.serving.http.loops import PATIENCE, in_a_loop

pytest.importorskip("fastapi", reason="needs the extra serve: pip install 'isthmus[serve]'")

from isthmus.errors import IsthmusError
from isthmus.serving.http.limits import Limits, Refusal
from isthmus.serving.http.model_thread import Batch, ModelThread


class Doubling:
    """Stands for a served model: doubles rows, refuses 13, and can be held up."""

    name, batches, drift = "doubling", True, None

    def __init__(self) -> None:
        self.computed: list[list[float]] = []
        self.seconds = 0.0  # that it takes
        self.may_go, self.began = threading.Event(), threading.Event()
        self.may_go.set()

    def compute(self, given: str, rows: np.ndarray, wanted: Any) -> dict[str, np.ndarray]:
        self.began.set()
        assert self.may_go.wait(PATIENCE)
        time.sleep(self.seconds)
        self.computed.append(rows[:, 0].tolist())
        if 13 in rows:
            raise IsthmusError("13 is refused")
        return dict.fromkeys(wanted, 2 * rows)


@pytest.fixture
def model() -> Doubling:
    return Doubling()


@pytest.fixture
def thread_of() -> Iterator[Callable[..., ModelThread]]:
    threads: list[ModelThread] = []

    def start(on_batch: Any = lambda batch: None, **limits: Any) -> ModelThread:
        threads.append(ModelThread(Limits(**limits), on_batch))
        return threads[-1]

    yield start
    for thread in threads:
        thread.close()


def row(value: float) -> np.ndarray:
    return np.array([[value]])


def ask(thread: ModelThread, model: Any, value: float, wanted: str = "twice", seconds: float = PATIENCE) -> Any:
    return thread.submit(model, "input", row(value), [wanted], time.monotonic() + seconds)


async def held_up(thread: ModelThread, model: Doubling) -> Any:
    """A first request, at which the thread stays until the model may go."""
    model.may_go.clear()
    model.began.clear()
    first = ask(thread, model, 0)
    assert await asyncio.to_thread(model.began.wait, PATIENCE)
    return first


@in_a_loop
async def test_what_waits_together_is_computed_together(thread_of: Any, model: Doubling) -> None:
    batches: list[Batch] = []
    thread = thread_of(batches.append, batch_rows=4)
    first = await held_up(thread, model)
    futures = [ask(thread, model, value, f"output {value % 2}") for value in range(1, 7)]
    model.may_go.set()
    assert (await first)["twice"] == 0
    for value, future in enumerate(futures, 1):
        (name, found), *others = (await future).items()
        assert (name, found.tolist(), others) == (f"output {value % 2}", [[2 * value]], [])
    assert model.computed == [[0], [1, 2, 3, 4], [5, 6]]
    thread.close()
    assert [(batch.requests, batch.rows) for batch in batches] == [(1, 1), (4, 4), (2, 2)]


@in_a_loop
async def test_a_request_that_is_alone_waits_for_no_others(thread_of: Any, model: Doubling) -> None:
    thread = thread_of(batch_seconds=2 * PATIENCE)
    assert (await ask(thread, model, 4, seconds=2 * PATIENCE))["twice"] == 8


@in_a_loop
async def test_who_came_with_the_last_batch_is_waited_for(thread_of: Any, model: Doubling) -> None:
    thread = thread_of(batch_seconds=PATIENCE / 4)
    for rounds in (0, 20):  # of the loop, until the second two ask
        first = [ask(thread, model, value) for value in (1, 2)]
        for _ in range(rounds):
            await asyncio.sleep(0)
        await asyncio.gather(*first, *(ask(thread, model, value) for value in (3, 4)))
    assert model.computed == [[1, 2, 3, 4]] * 2


@in_a_loop
async def test_the_loop_steps_aside_for_a_short_batch(thread_of: Any, model: Doubling) -> None:
    thread = thread_of()
    model.seconds = 0.003
    await ask(thread, model, 1)  # from which it is known how long a row takes
    second = ask(thread, model, 2)
    for _ in range(5):
        await asyncio.sleep(0)
    assert model.computed == [[1], [2]] and (await second)["twice"] == 4


@in_a_loop
async def test_one_bad_request_fails_alone(thread_of: Any, model: Doubling) -> None:
    thread = thread_of()
    await held_up(thread, model)
    futures = [ask(thread, model, value) for value in (11, 12, 13, 14, 15)]
    model.may_go.set()
    for value, future in zip((11, 12, 13, 14, 15), futures, strict=True):
        if value == 13:
            with pytest.raises(IsthmusError, match="13 is refused"):
                await future
        else:
            assert (await future)["twice"] == 2 * value


@in_a_loop
async def test_what_nobody_waits_for_is_not_computed(thread_of: Any, model: Doubling) -> None:
    thread = thread_of()
    first = await held_up(thread, model)
    left, late, good = ask(thread, model, 1), ask(thread, model, 2, seconds=0), ask(thread, model, 3)
    assert left.cancel()
    model.may_go.set()
    assert (await good)["twice"] == 6 and (await first)
    with pytest.raises(asyncio.CancelledError):
        await left
    with pytest.raises(Refusal) as refused:
        await late
    assert refused.value.status == 504 and model.computed == [[0], [3]]


@in_a_loop
async def test_a_full_queue_refuses_at_once(thread_of: Any, model: Doubling) -> None:
    thread = thread_of(queue_rows=2)
    await held_up(thread, model)
    waiting = [ask(thread, model, value) for value in (1, 2)]
    with pytest.raises(Refusal) as refused:
        ask(thread, model, 3)
    assert refused.value.status == 503 and refused.value.headers == {"Retry-After": "1"}
    model.may_go.set()
    assert [(await future)["twice"].item() for future in waiting] == [2, 4]
    assert (await ask(thread, model, 5))["twice"] == 10


@in_a_loop
async def test_rows_of_other_shapes_and_models_are_not_mixed(thread_of: Any, model: Doubling) -> None:
    thread, other = thread_of(), Doubling()
    await held_up(thread, model)
    wide = thread.submit(model, "input", np.ones((1, 2)), ["twice"], time.monotonic() + PATIENCE)
    elsewhere, narrow = ask(thread, other, 7), ask(thread, model, 8)
    model.may_go.set()
    assert (await wide)["twice"].shape == (1, 2)
    assert (await elsewhere)["twice"] == 14 and (await narrow)["twice"] == 16
    assert model.computed == [[0], [1], [8]] and other.computed == [[7]]


@in_a_loop
async def test_a_closed_thread_answers_what_it_took_on(thread_of: Any, model: Doubling) -> None:
    thread = thread_of(batch_seconds=PATIENCE)
    taken = ask(thread, model, 4)
    thread.close()
    assert (await taken)["twice"] == 8
    with pytest.raises(Refusal, match="stopping"):
        ask(thread, model, 5)
