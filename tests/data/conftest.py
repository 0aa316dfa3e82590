"""What holds for every source, whatever it reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from isthmus.data.sources import Source, open_source, subset
from isthmus.errors import IsthmusError


@pytest.fixture(scope="session")
def check_contract() -> Callable[[Source, np.ndarray], None]:
    return _check_contract


def _check_contract(source: Source, expected: np.ndarray) -> None:
    """What holds for every source, whatever it reads."""
    n = len(expected)
    assert (source.shape, len(source), source.nbytes) == (expected.shape, n, expected.nbytes)
    assert source.dtype == expected.dtype.newbyteorder("=") and source.dtype.isnative
    indices = np.array([n - 1, 0, 0, n // 2])
    taken = source.take(indices)
    np.testing.assert_array_equal(taken, expected[indices])
    assert taken.dtype == source.dtype and taken.flags.c_contiguous and taken.flags.writeable
    assert source.take([]).shape == (0, *expected.shape[1:])
    assert source.take([]).dtype == source.dtype
    blocks = list(source.chunks(3))
    assert all(len(block) == 3 for block in blocks[:-1])
    np.testing.assert_array_equal(np.concatenate(blocks), expected)
    np.testing.assert_array_equal(np.concatenate(list(source.chunks())), expected)
    assert source.uniform
    np.testing.assert_array_equal(source[n - 1], expected[n - 1])
    np.testing.assert_array_equal(np.stack(list(source)), expected)
    resident = source.resident()
    if resident is not None:
        np.testing.assert_array_equal(resident, expected)
        assert resident.dtype == source.dtype
    assert isinstance(source.location(n - 1), str)
    wrong: Any
    for wrong in ([n], [-1], [[0]], [0.5], [True, False]):
        with pytest.raises(IsthmusError):
            source.take(wrong)
    part = subset(source, indices)
    np.testing.assert_array_equal(part.take([1, 0]), expected[indices[[1, 0]]])
    assert part.location(0) == source.location(n - 1)
    assert open_source(source) is source
