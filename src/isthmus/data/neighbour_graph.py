"""The nearest neighbours of many rows of numbers, without comparing all pairs."""

from __future__ import annotations

from typing import Any

import numpy as np

from isthmus.errors import IsthmusError

_EXACT = 4_096  # rows up to which all pairs are compared
_CONNECTIVITY, _EFFORT_ADD, _EFFORT_SEARCH = 16, 64, 48  # 99.7 % of the true neighbours of 60,000 digits


def neighbour_graph(rows: np.ndarray, k: int) -> np.ndarray:
    """The k nearest other rows of each row, nearest first: int64 array of shape (n, k).

    rows : array (n, d), compared by Euclidean distance. Exact for up to 4,096 rows; beyond, a hierarchical navigable
    small world (Malkov and Yashunin 2018, arXiv:1603.09320) whose time grows as n log n. The same rows give the same
    graph, on any number of threads.

    Raises IsthmusError where there are not more than k rows.
    """
    n = len(rows)
    if n <= k:
        raise IsthmusError(f"{n} samples have no {k} neighbours each; more than {k} samples are needed")
    rows = np.ascontiguousarray(rows, np.float32)
    if n <= _EXACT:
        from sklearn.neighbors import NearestNeighbors

        neighbours: np.ndarray = (
            NearestNeighbors(n_neighbors=k, algorithm="brute").fit(rows).kneighbors(return_distance=False)
        )
        return neighbours
    found = np.asarray(neighbour_index(rows).search(rows, k + 1).keys).astype(np.int64)
    found = np.where(found < n, found, np.arange(n)[:, None])  # keys of places that were not filled
    own = found == np.arange(n)[:, None]
    own[~own.any(axis=1), -1] = True  # of many equal rows, the row itself need not be among the first
    first = own.argmax(axis=1)
    others: np.ndarray = found[np.arange(k + 1) != first[:, None]].reshape(n, k)
    return others


def neighbour_index(rows: np.ndarray) -> Any:
    """A usearch index of float32 rows (n, d): `search(queries, k)` gives `keys`, row numbers, and squared distances."""
    from usearch.index import Index

    index = Index(
        ndim=rows.shape[1],
        metric="l2sq",
        dtype="f32",
        connectivity=_CONNECTIVITY,
        expansion_add=_EFFORT_ADD,
        expansion_search=_EFFORT_SEARCH,
    )
    index.add(np.arange(len(rows)), rows, threads=1)  # one thread: the index then depends on nothing but the rows
    return index
