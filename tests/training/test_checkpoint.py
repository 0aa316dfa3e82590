"""Checkpoints are not trusted: what was changed is refused in one line, and never hangs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from isthmus import AutoEncoder, IsthmusError
from isthmus.training.checkpoint import FORMAT, _digest
from isthmus.training.run import checkpoint_path

X = np.random.default_rng(0).normal(size=(40, 4))


def fit(path: Path, *, resume: bool = True) -> AutoEncoder:
    return AutoEncoder(2, hidden=(3,), epochs=2, random_state=0).fit(X, checkpoint=path, resume=resume)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "c.safetensors"
    fit(path, resume=False)
    return path


def changed(checkpoint: Path, path: Path, change: Callable[[dict, dict], Any], *, sealed: bool = True) -> Path:
    """A copy of a checkpoint of which state and tensors were changed; with a digest that is right again if `sealed`."""
    with safe_open(checkpoint, "pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    state = json.loads(metadata["state"])
    change(state, tensors)
    metadata["state"] = json.dumps(state)
    if sealed:
        metadata["sha256"] = _digest(metadata["state"], tensors)
    save_file(tensors, path, metadata=metadata)
    return path


def refused(path: Path, message: str) -> None:
    with pytest.raises(IsthmusError, match=message) as caught:
        fit(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def weight(tensors: dict) -> Any:
    return next(tensor for name, tensor in tensors.items() if name.startswith("task.") and tensor.ndim == 2)


@pytest.mark.parametrize(
    "change",
    [
        lambda state, tensors: weight(tensors).view(-1)[0].add_(1e-3),
        lambda state, tensors: state["position"].update(step=3),
        lambda state, tensors: state["settings"].clear(),
        lambda state, tensors: [tensors.pop(name) for name in list(tensors) if name.startswith("optimizer.")],
    ],
)
def test_what_is_not_what_was_written_is_damaged(checkpoint: Path, tmp_path: Path, change: Any) -> None:
    refused(changed(checkpoint, tmp_path / "c", change, sealed=False), "is damaged: it is not what was written")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, t: [t.pop(n) for n in list(t) if n.startswith("optimizer.0")], "state of optimizer 0 is missing"),
        (lambda s, t: t.pop(next(n for n in t if n.startswith("task."))), "is missing"),
        (lambda s, t: t.update(strange=weight(t).clone()) or t.update({"task.more": weight(t).clone()}), "is unknown"),
        (lambda s, t: t.update({n: v.double() for n, v in t.items() if n.startswith("task.")}), "float64"),
        (lambda s, t: t.update(loss_sum=t["loss_sum"].reshape(1)[:0].clone()), "loss_sum is .*0"),
        (lambda s, t: t.pop("loss_sum"), "it has no 'loss_sum'"),
        (lambda s, t: t.update({"optimizer.0.99.step": t["loss_sum"].clone()}), "is of no parameter"),
        (lambda s, t: s.pop("position"), "state lacks position"),
        (lambda s, t: s.update(position=[]), "position must be an object"),
        (lambda s, t: s["position"].pop("step"), "its position lacks step"),
        (lambda s, t: s["position"].update(step="3"), "step must be a whole number, not '3'"),
        (lambda s, t: s["position"].update(step=10**400), "step must be a whole number"),
        (lambda s, t: s["position"].update(batch=99), "batch is 99, and an epoch has 2"),
        (lambda s, t: s["position"].update(seconds=float("inf")), "seconds must be a number of at least 0, not inf"),
        (lambda s, t: s["position"].update(seconds=[[1]]), "seconds must be a number"),
        (lambda s, t: s["position"].update(step=-1), "step must be a number of at least 0, not -1"),
        (lambda s, t: s["position"]["history"][0].update(loss="1"), "entry 0 of its history: loss must be a number"),
        (lambda s, t: s["position"].update(finished=1), "finished must be true or false"),
        (lambda s, t: s["position"].update(history=[{"loss": "1"}]), "entry 0 of its history: epoch must be a number"),
        (lambda s, t: s["position"].update(wings=2), "field 'wings'"),
        (lambda s, t: s.update(loss_count=True), "loss_count must be a whole number, not True"),
        (lambda s, t: s.update(spec="x"), "spec must be an object"),
        (lambda s, t: s["spec"].update(learning_rate=[1] * 10_000), "learning_rate is .* now and was .* there"),
    ],
)  # fmt: skip
def test_a_state_that_is_none_is_one_line(checkpoint: Path, tmp_path: Path, change: Any, message: str) -> None:
    refused(changed(checkpoint, tmp_path / "c", change), message)


def test_a_checkpoint_of_an_earlier_version_is_told(checkpoint: Path, tmp_path: Path) -> None:
    with safe_open(checkpoint, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, tmp_path / "c", metadata={"format": "2", "state": "{}"})
    refused(tmp_path / "c", f"format 2, of an earlier version of isthmus; this one reads format {FORMAT}")


def test_pipes_and_devices_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        refused(path, "is no regular file")
    with pytest.raises(IsthmusError, match="no regular file"):
        fit(tmp_path / "pipe", resume=False)


def test_a_run_that_begins_anew_removes_the_later_parts_of_the_one_before(tmp_path: Path) -> None:
    later = checkpoint_path(tmp_path / "c.safetensors", 1)
    later.write_bytes(b"old")
    fit(tmp_path / "c.safetensors", resume=False)
    assert not later.exists()


def stored(path: Path) -> tuple[Any, dict[str, Any]]:
    with safe_open(path, "np") as file:
        return file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def assert_refused_or_as_before(path: Path, expected: Any) -> None:
    try:
        found = fit(path)
    except IsthmusError as error:
        assert "\n" not in str(error) and len(str(error)) < 2_000
        return
    np.testing.assert_array_equal(found.transform(X), expected)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255), cut=st.booleans())
def test_any_changed_byte_is_refused_or_makes_no_difference(
    checkpoint: Path, tmp_path: Path, place: float, byte: int, cut: bool
) -> None:
    content = bytearray(checkpoint.read_bytes())
    at = int(place * len(content))
    content[at] = byte
    (tmp_path / "c").write_bytes(content[: at + 1] if cut else content)
    assert_refused_or_as_before(tmp_path / "c", fit(checkpoint).transform(X))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=5,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), value=JSON)
def test_any_value_in_a_state_with_a_right_digest_is_taken_or_refused(
    checkpoint: Path, tmp_path: Path, data: st.DataObject, value: Any
) -> None:
    def change(state: dict, tensors: dict) -> None:
        where: Any = state
        while isinstance(where, dict | list) and where:
            key = data.draw(st.sampled_from(range(len(where)) if isinstance(where, list) else sorted(where)))
            if not isinstance(where[key], dict | list) or data.draw(st.booleans()):
                where[key] = value
                return
            where = where[key]

    path = changed(checkpoint, tmp_path / "c", change)
    try:
        fit(path)
    except IsthmusError as error:
        assert "\n" not in str(error) and len(str(error)) < 2_000
