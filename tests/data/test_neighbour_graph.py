"""Neighbours: exact for few rows, nearly all of them for many, and never the row itself."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from isthmus.data.neighbour_graph import neighbour_graph
from isthmus.errors import IsthmusError


def exact(rows: np.ndarray, k: int) -> np.ndarray:
    return NearestNeighbors(n_neighbors=k, algorithm="brute").fit(rows).kneighbors(return_distance=False)


@pytest.mark.parametrize(("n", "least"), [(500, 1.0), (6_000, 0.98)])
def test_it_finds_the_nearest(n: int, least: float) -> None:
    rows = np.random.default_rng(0).standard_normal((n, 12)).astype(np.float32)
    graph, expected = neighbour_graph(rows, 10), exact(rows, 10)
    assert graph.shape == (n, 10) and graph.dtype == np.int64
    assert not (graph == np.arange(n)[:, None]).any()
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(graph, expected, strict=True)]) >= least
    assert np.array_equal(graph, neighbour_graph(rows, 10))


def test_equal_rows_are_neighbours_of_one_another_not_of_themselves() -> None:
    rows = np.repeat(np.random.default_rng(0).standard_normal((50, 4)), 100, axis=0)  # 5,000: beyond the exact search
    graph = neighbour_graph(rows, 15)
    assert not (graph == np.arange(len(rows))[:, None]).any()
    assert ((graph >= 0) & (graph < len(rows))).all()


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(IsthmusError, match=r"3 samples have no 3 neighbours each"):
        neighbour_graph(np.eye(3), 3)
