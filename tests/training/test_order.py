"""The order of an epoch: a permutation that nobody stores."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.training.order import Permutation, epoch_batches


@given(n=st.integers(1, 5000), seed=st.integers(0, 2**63 - 1), epoch=st.integers(0, 1000))
@settings(max_examples=100, deadline=None)
def test_it_is_a_permutation(n: int, seed: int, epoch: int) -> None:
    order = Permutation(n, [seed, epoch])(np.arange(n))
    assert np.array_equal(np.sort(order), np.arange(n))


def test_seeds_and_epochs_give_other_orders_without_a_pattern() -> None:
    n = 20_000
    orders = [Permutation(n, seed)(np.arange(n)) for seed in ([0, 0], [0, 1], [1, 0])]
    for a, b in itertools.combinations([np.arange(n), *orders], 2):
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.03
    for order in orders:
        assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.03
        means = order[: n // 50 * 50].reshape(-1, 50).mean(1)  # batches are as mixed as random ones
        assert means.std() == pytest.approx(n / np.sqrt(12 * 50), rel=0.15)


@given(n=st.integers(2, 3000), held=st.integers(0, 500), batch=st.integers(1, 300), first=st.integers(0, 20))
@settings(max_examples=100, deadline=None)
def test_batches_leave_out_what_is_held_out(n: int, held: int, batch: int, first: int) -> None:
    held_out = np.sort(np.random.default_rng(n).choice(n, min(held, n - 1), replace=False))
    left = n - len(held_out)
    batches = list(epoch_batches(n, held_out, min(batch, left), [3, 4]))
    assert len(batches) == left // min(batch, left)
    seen = np.concatenate(batches)
    assert len(np.unique(seen)) == len(seen)
    assert not np.isin(seen, held_out).any()
    assert seen.min() >= 0
    assert seen.max() < n
    continued = list(epoch_batches(n, held_out, min(batch, left), [3, 4], first))
    assert all(np.array_equal(a, b) for a, b in zip(batches[first:], continued, strict=True))
