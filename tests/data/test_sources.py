"""Arrays as sources, and what `open_source` accepts and refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from isthmus.data.base import evenly_spread
from isthmus.data.sources import open_source, subset
from isthmus.errors import IsthmusError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4, 3)).astype(np.float32)

NUMBERS = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
)
ARRAYS = NUMBERS.flatmap(
    lambda dtype: (
        hnp.arrays(dtype, hnp.array_shapes(min_dims=2, max_dims=4, max_side=5), elements={"allow_nan": False})
        if dtype.kind == "f"
        else hnp.arrays(dtype, hnp.array_shapes(min_dims=2, max_dims=4, max_side=5))
    )
)


@given(ARRAYS)
@settings(deadline=None, max_examples=60)
def test_any_numeric_array(check_contract: Any, array: np.ndarray) -> None:
    check_contract(open_source(array), array)


@pytest.mark.parametrize(
    "view",
    [
        X,
        np.asfortranarray(X),
        X[::2],
        X[::-1],
        X.transpose(0, 2, 1),
        np.broadcast_to(X[:1], X.shape),
        X.astype(">f4"),
        np.frombuffer(b"x" + X.tobytes(), np.uint8)[1:].view(np.float32).reshape(X.shape),  # not aligned
    ],
)
def test_views_of_arrays(check_contract: Any, view: np.ndarray) -> None:
    source = open_source(view)
    check_contract(source, view)
    resident = source.resident()
    assert resident is None if not view.dtype.isnative else np.shares_memory(resident, view)


def test_taken_samples_are_a_copy() -> None:
    array = np.zeros((3, 2))
    open_source(array).take([0, 1])[:] = 1
    assert not array.any()


def test_read_only_arrays(check_contract: Any) -> None:
    array = X.copy()
    array.flags.writeable = False
    check_contract(open_source(array), array)


def test_a_slice_of_a_memmap_stays_on_disk(check_contract: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for array in (mapped, mapped[5:], np.asarray(mapped)):
        source = open_source(array)
        check_contract(source, np.array(array))
        assert source.resident() is None
    assert open_source(mapped + 1).resident() is not None  # NumPy calls the sum a memmap too


def test_changes_of_a_private_memmap_survive(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((300, 1000)))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="c")
    mapped[7] = 1
    source = open_source(mapped)
    for _ in range(20):
        source.take(np.arange(300))
    assert source.take([7]).all()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.int64, torch.float16, torch.float64])
def test_torch_tensors_are_not_copied(check_contract: Any, dtype: Any) -> None:
    tensor = torch.arange(12).reshape(4, 3).to(dtype)
    source = open_source(tensor)
    check_contract(source, tensor.numpy())
    assert source.resident().ctypes.data == tensor.data_ptr()


def test_torch_oddities(check_contract: Any) -> None:
    parameter = torch.ones(4, 3, requires_grad=True)
    check_contract(open_source(parameter), np.ones((4, 3), np.float32))
    check_contract(open_source(torch.ones(4, 3, dtype=torch.bfloat16)), np.ones((4, 3), np.float32))
    with pytest.raises(IsthmusError, match="sparse"):
        open_source(torch.eye(3).to_sparse())


def test_opening_an_array_does_not_import_torch() -> None:
    code = "import sys, numpy as np; from isthmus.data.sources import open_source; open_source(np.ones((2, 2)));"
    heavy = "['torch', 'sklearn', 'pooch', 'requests', 'PIL', 'pyarrow', 'pandas', 'zarr', 'tifffile']"
    code += f"from isthmus.data import datasets; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_lists_and_zarr_arrays(check_contract: Any) -> None:
    check_contract(open_source([[1, 2], [3, 4], [5, 6]]), np.array([[1, 2], [3, 4], [5, 6]]))
    check_contract(open_source([(1, 2.5), (3, 4)]), np.array([[1, 2.5], [3, 4]]))
    array = zarr.array(X, chunks=(7, 4, 3))
    check_contract(open_source(array), X)


class Sparse:
    """What a SciPy matrix looks like from outside."""

    nnz, shape, dtype = 0, (3, 3), np.dtype(float)

    def tocsr(self) -> None: ...


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.ones((3, 2), complex), "Complex data not supported"),
        (np.array([["a", "b"]]), "text"),
        (np.array([[b"a"]]), "bytes"),
        (np.array([[1, {}]]), "Python objects.*astype"),
        (np.zeros((3, 2), "M8[s]"), "dates"),
        (np.zeros((3, 2), [("a", "f4")]), "records"),
        (np.ma.masked_array([[1.0, 2.0]], mask=[[False, True]]), "masked"),
        (Sparse(), "sparse"),
        (np.ones(5), "Reshape your data"),
        (np.float64(3), "Reshape your data"),
        (np.ones((0, 3)), r"0 sample\(s\) \(shape=\(0, 3\)\) while a minimum of 1 is required"),
        (np.ones((15, 0)), r"0 feature\(s\) \(shape=\(15, 0\)\) while a minimum of 1 is required"),
        ([[1, 2], [3]], "no array of numbers"),
        ([], "Reshape"),
        ({"a": 1}, "type dict"),
        (None, "type NoneType"),
        (7, "type int"),
    ],
)
def test_what_is_refused(data: Any, message: str) -> None:
    with pytest.raises(IsthmusError, match=message) as caught:
        open_source(data)
    assert "\n" not in str(caught.value)


def test_names_and_locations() -> None:
    source = open_source(X)
    assert source.name == "array" and source.location(5) == "sample 5"
    assert source.labels is None and source.feature_names is None
    assert "50 samples of shape (4, 3)" in repr(source)


def test_subsets() -> None:
    source = open_source("digits")
    part = subset(source, np.arange(10, 20))
    assert np.shares_memory(part.resident(), source.resident())
    np.testing.assert_array_equal(part.labels, source.labels[10:20])
    assert part.location(3) == "sample 13 of digits:train"
    assert subset(part, [3, 3, 1]).location(0) == "sample 13 of digits:train"
    assert subset(part, [3, 3, 1]).resident() is None
    mask = source.labels == 7
    assert set(subset(source, mask).labels) == {7} and len(subset(source, mask)) == mask.sum()
    wrong: Any
    for wrong in ([], [1500], [-1], np.zeros(1500, bool), [0.5]):
        with pytest.raises(IsthmusError):
            subset(source, wrong)


def test_names_of_data_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = open_source("digits"), open_source("digits:test")
    assert (train.shape, test.shape) == ((1500, 8, 8), (297, 8, 8))
    assert (train.name, test.name) == ("digits:train", "digits:test")
    assert train.labels.shape == (1500,) and train.dtype == np.uint8
    with pytest.raises(IsthmusError, match=r"'tset'.*did you mean 'test'"):
        open_source("digits:tset")
    with pytest.raises(IsthmusError, match="labels_column"):
        open_source("digits", labels_column="y")
    monkeypatch.chdir(tmp_path)
    np.save("digits", X)
    with pytest.raises(IsthmusError, match="no file or folder"):
        open_source("./digits")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("minst", "did you mean the data set 'mnist'"),
        ("sunflowers", "nor a data set; these are: digits, mnist"),
        ("table.csv", "no file or folder 'table.csv'$"),
        ("a/b/c", "no file or folder 'a/b/c'$"),
        ("file.npz:x", "no file or folder"),
    ],
)
def test_paths_that_do_not_exist(path: Path, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(IsthmusError, match=message):
        open_source(path)


def test_a_file_of_an_unknown_kind(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(IsthmusError, match=r"model\.pkl is of no kind that can be read; these are: IDX"):
        open_source(tmp_path / "model.pkl")


def test_evenly_spread_indices() -> None:
    assert evenly_spread(10, 4).tolist() == [0, 3, 6, 9]
    assert evenly_spread(3, 8).tolist() == [0, 1, 2] and evenly_spread(7, 1).tolist() == [0]
    assert evenly_spread(0, 5).tolist() == []
    for n, most in ((60_000, 2_000), (2_001, 2_000), (99_999, 7), (4_097, 4_096)):
        chosen = evenly_spread(n, most)
        assert len(chosen) == most and (np.diff(chosen) > 0).all() and (chosen[0], chosen[-1]) == (0, n - 1)
