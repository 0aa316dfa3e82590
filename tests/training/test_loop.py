"""The training loop: where it ends, what it keeps, what it tells."""

from __future__ import annotations

import itertools
import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from isthmus import AutoEncoder, IsthmusError
from isthmus.training.optimizers import learning_rate_factor, orthogonalise
from isthmus.training.progress import Event, JsonLines, TensorBoard
from isthmus.training.run import Run


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(300, 3)) @ rng.normal(size=(3, 12))).astype(np.float32)


def test_the_learning_rate_warms_up_and_ends_at_zero() -> None:
    factors = [learning_rate_factor(p) for p in np.linspace(0, 1, 501)]
    assert 0 < factors[0] < 0.2
    assert max(factors) == pytest.approx(1, abs=0.01)
    assert factors[-1] == 0
    assert all(a >= b for a, b in itertools.pairwise(factors[15:]))


def test_epochs_and_steps_are_counted(X: np.ndarray) -> None:
    model = AutoEncoder(2, epochs=7, batch_size=32, validation_fraction=0.2, random_state=0).fit(X)
    assert model.history_[-1]["step"] == 7 * (240 // 32)
    assert model.history_[-1]["epoch"] == 7


def test_minutes_end_the_run_and_reach_a_learning_rate_of_zero(X: np.ndarray) -> None:
    model = AutoEncoder(2, minutes=0.02, random_state=0).fit(X)
    assert model.history_[-1]["step"] > 5
    assert model.history_[-1]["learning_rate"] < 0.25 * model.training_spec_.learning_rate


def test_best_weights_are_kept_and_patience_stops(X: np.ndarray) -> None:
    model = AutoEncoder(2, epochs=400, batch_size=16, learning_rate=0.3, patience=2, random_state=0).fit(X)
    losses = [e["validation_loss"] for e in model.history_ if e["validation_loss"] is not None]
    assert model.history_[-1]["epoch"] < 400
    held_out = Run.of(model).held_out(len(X), model._n_validation(len(X)))
    assert -model.score(X[held_out]) == pytest.approx(min(losses), rel=0.05)


@pytest.mark.parametrize("n", [1, 2, 3, 17])
def test_fewer_samples_than_a_batch(X: np.ndarray, n: int) -> None:
    model = AutoEncoder(1, epochs=2, batch_size=64, random_state=0).fit(X[:n])
    assert model.transform(X[:n]).shape == (n, 1)


def test_divergence_is_one_clear_error(X: np.ndarray) -> None:
    with pytest.raises(IsthmusError, match=r"diverged.*learning_rate below 1e\+"):
        AutoEncoder(2, epochs=50, learning_rate=1e30, gradient_clip=None, random_state=0).fit(X)


def _numpys_state() -> np.ndarray:
    return np.random.get_state(legacy=False)["state"]["key"].copy()  # noqa: NPY002


def test_the_global_generators_are_left_alone(X: np.ndarray) -> None:
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    before = torch.get_rng_state(), _numpys_state()
    AutoEncoder(2, epochs=1, corruption="gaussian", bottleneck="variational").fit(X)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(_numpys_state(), before[1])


def test_the_log_holds_what_the_history_holds(X: np.ndarray, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    events: list[Event] = []
    model = AutoEncoder(2, epochs=20, random_state=0).fit(X, listeners=[JsonLines(log), events.append])
    assert [json.loads(line) for line in log.read_text().splitlines()] == model.history_
    kinds = [event.kind for event in events]
    assert kinds[0] == "start"
    assert kinds[-1] == "end"
    assert kinds.count("entry") == len(model.history_)
    assert events[-1].progress == 1


def test_a_validation_right_after_an_entry_tells_the_loss_of_that_entry() -> None:
    X = np.random.default_rng(0).normal(size=(533, 8))
    history = AutoEncoder(2, epochs=5, batch_size=8, random_state=0).fit(X).history_
    pairs = [(a, b) for a, b in pairwise(history) if a["step"] == b["step"]]
    assert pairs and all(b["validation_loss"] is not None and a["loss"] == b["loss"] > 0 for a, b in pairs)


def test_tensorboard_logs_are_written(X: np.ndarray, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    AutoEncoder(2, epochs=1, random_state=0).fit(X, listeners=[TensorBoard(tmp_path)])
    assert any(path.stat().st_size > 0 for path in tmp_path.iterdir())


def test_orthogonalised_blocks_have_singular_values_near_one() -> None:
    generator = torch.Generator().manual_seed(0)
    matrices = [torch.randn(shape, generator=generator) for shape in [(8, 30), (30, 8), (1, 5), (64, 70), (130, 300)]]
    for matrix, found in zip(matrices, orthogonalise(matrices), strict=True):
        assert found.shape == matrix.shape
        short = (matrix, found) if len(matrix) <= matrix.shape[1] else (matrix.T, found.T)
        size = -(-len(short[0]) // -(-len(short[0]) // 32))
        for given, block in zip(*(m.split(size) for m in short), strict=True):
            values = torch.linalg.svdvals(block)
            assert ((values > 0.4) & (values < 1.3)).all()
            left, _, right = torch.linalg.svd(given, full_matrices=False)
            assert torch.nn.functional.cosine_similarity(block.flatten(), (left @ right).flatten(), 0) > 0.95


def test_bfloat16_learns_as_well(X: np.ndarray) -> None:
    scores = {
        precision: AutoEncoder(3, epochs=60, precision=precision, random_state=0).fit(X).score(X)
        for precision in ("float32", "bfloat16")
    }
    assert math.isclose(*scores.values(), rel_tol=0.5, abs_tol=0.02)
