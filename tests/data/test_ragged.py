"""Samples that may differ in shape: lists of arrays and folders, which only some estimators take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from isthmus import AutoEncoder, ManifoldMap
from isthmus.data.base import LoadedSource
from isthmus.data.labels import is_labels
from isthmus.data.sources import open_source, subset
from isthmus.errors import IsthmusError

ARRAYS = [np.arange(size * 3, dtype=np.uint8).reshape(size, 3) for size in (2, 5, 4)]


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    """Images of two sizes and modes, one of them turned by Exif, and a table beside them."""
    (tmp_path / "deep").mkdir()
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).save(tmp_path / "b.png")
    Image.fromarray(np.full((4, 5, 3), 7, np.uint8)).save(tmp_path / "deep" / "a.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(np.zeros((2, 9), np.uint8)).save(tmp_path / "c.jpg", exif=turned)
    (tmp_path / "labels.csv").write_text("name,kind\nb.png,cat\n")
    return tmp_path


def same(found: Any, expected: Any) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype


def test_a_list_of_arrays_is_a_source() -> None:
    source = open_source(ARRAYS, on_mixed_sizes="keep")
    assert not source.uniform and source.shape == (3,) and source.dtype == object and len(source) == 3
    assert source.name == "list" and source.location(1) == "sample 1" and "differ" in repr(source)
    same(list(source), ARRAYS)
    same(source.take([2, 0, 2]), [ARRAYS[2], ARRAYS[0], ARRAYS[2]])
    assert source.take([]).shape == (0,)
    assert [len(block) for block in source.chunks(2)] == [2, 1]
    np.testing.assert_array_equal(source[1], ARRAYS[1])
    with pytest.raises(IsthmusError, match="no sample 3"):
        source[3]
    assert open_source(source, on_mixed_sizes="keep") is source
    same(list(subset(source, [1, 2])), ARRAYS[1:])
    same(list(LoadedSource(source)), ARRAYS)


def test_arrays_of_one_shape_stay_a_list_only_where_they_may_differ() -> None:
    one_shape = [np.ones((2, 3)), np.zeros((2, 3))]
    assert not open_source(one_shape, on_mixed_sizes="keep").uniform
    assert open_source(one_shape).shape == (2, 2, 3)
    tensors = [torch.ones(2, 3, requires_grad=True), torch.ones(4, 3)]
    same(list(open_source(tensors, on_mixed_sizes="keep")), [np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)])


def test_lists_that_are_no_samples() -> None:
    for wrong in ([np.ones((2, 3)), np.array(["a"])], [np.ones((2, 0))], [np.ones((1, 1, 1, 1, 1))]):
        with pytest.raises(IsthmusError, match=r"sample \d has shape .* numbers are needed"):
            open_source(wrong, on_mixed_sizes="keep")


def test_a_folder_keeps_each_image_as_it_is(folder: Path) -> None:
    source = open_source(folder, on_mixed_sizes="keep")
    assert [path.name for path in source.paths] == ["b.png", "c.jpg", "a.png"]  # the table is passed over
    assert [(image.shape, image.dtype.name) for image in source] == [
        ((6, 8), "uint8"),
        ((9, 2), "uint8"),
        ((4, 5, 3), "uint8"),
    ]
    assert source.location(1) == str(folder / "c.jpg") == subset(source, [1]).location(0)
    with pytest.raises(IsthmusError, match="image_mode"):
        open_source(folder, on_mixed_sizes="keep", image_mode="grey")


def test_a_folder_without_images_holds_signals(tmp_path: Path) -> None:
    with pytest.raises(IsthmusError, match=r"holds no samples .*; it is empty"):
        open_source(tmp_path, on_mixed_sizes="keep")
    np.save(tmp_path / "a.npy", np.arange(5))
    (tmp_path / "b.csv").write_text("x,y\n1,2\n3,4\n")
    same(list(open_source(tmp_path, on_mixed_sizes="keep")), [np.arange(5)[:, None], np.array([[1.0, 2], [3, 4]])])


@pytest.mark.parametrize("estimator", [AutoEncoder(2), ManifoldMap()])
def test_who_needs_one_shape_says_so(estimator: Any, folder: Path) -> None:
    for data in (ARRAYS, open_source(ARRAYS, on_mixed_sizes="keep"), open_source(folder, on_mixed_sizes="keep")):
        with pytest.raises(IsthmusError, match="holds samples that may differ in shape") as caught:
            estimator.fit(data)
        assert "\n" not in str(caught.value)


def test_labels_are_told_from_samples() -> None:
    assert is_labels([1, 2]) and is_labels(np.arange(3)) and is_labels(("a", "b"))
    assert not is_labels(ARRAYS) and not is_labels(np.ones((2, 2))) and not is_labels("a.npy")
    assert not is_labels(open_source(ARRAYS, on_mixed_sizes="keep"))
