"""Codes on disk that can be searched."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from isthmus.errors import IsthmusError, MissingExtraError
from isthmus.files import atomic_folder

pytest.importorskip("lancedb")

from isthmus.latent import store as module
from isthmus.latent.store import Origin, Rows, Store, Thumbnails, write_store

ORIGIN = Origin("trees-3", "ab" * 32, ("ash", "oak", "yew"))


@pytest.fixture(scope="module")
def codes() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(700, 3)).astype(np.float32)


def blocks(codes: np.ndarray) -> Iterator[Any]:
    for start in range(0, len(codes), 300):
        part = codes[start : start + 300]
        numbers = np.arange(start, start + len(part))
        yield Rows([f"tree {i}" for i in numbers], part, numbers % 3, [b"%d" % i for i in numbers])


@pytest.mark.parametrize("indexed", [False, True])
def test_the_nearest_are_found(
    codes: np.ndarray, indexed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FLUSH_BYTES", 5_000)  # several files
    monkeypatch.setattr(module, "_INDEXED", 500 if indexed else 10**6)
    path = tmp_path / "trees.lance"
    assert write_store(path, blocks(codes), ORIGIN) == 700
    assert [p.name for p in tmp_path.iterdir()] == ["trees.lance"]  # nothing temporary is left
    store = Store(path)
    assert (len(store), store.size, store.origin) == (700, 3, ORIGIN)
    found = store.nearest(codes[[5, 250, 699]] + 0.01, k=4)
    for query, neighbours in zip(codes[[5, 250, 699]] + 0.01, found, strict=True):
        distances = np.linalg.norm(codes - query, axis=1)
        order = np.argsort(distances)[:4]
        assert [n.sample for n in neighbours] == [f"tree {i}" for i in order]
        assert [n.label for n in neighbours] == [ORIGIN.classes[i % 3] for i in order]
        assert [n.thumbnail for n in neighbours] == [b"%d" % i for i in order]
        np.testing.assert_allclose([n.distance for n in neighbours], distances[order], rtol=1e-4)


def test_a_store_without_labels_and_pictures_and_k_larger_than_it(codes: np.ndarray, tmp_path: Path) -> None:
    write_store(tmp_path / "a.lance", [Rows(["x", "y"], codes[:2].reshape(2, 1, 3))], Origin("m", "c"))
    (neighbours,) = Store(tmp_path / "a.lance").nearest(codes[1][None], k=10)
    assert [(n.sample, n.label, n.thumbnail) for n in neighbours] == [("y", None, None), ("x", None, None)]
    assert neighbours[0].distance == 0


def test_a_failure_leaves_what_was_there(codes: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "trees.lance"
    write_store(path, [Rows(["old"], codes[:1])], ORIGIN)

    def broken() -> Iterator[Any]:
        yield from blocks(codes)
        raise IsthmusError("sample 700 holds NaN")

    with pytest.raises(IsthmusError, match="sample 700 holds NaN"):
        write_store(path, broken(), ORIGIN)
    assert len(Store(path)) == 1 and len(list(tmp_path.iterdir())) == 1
    write_store(path, blocks(codes), ORIGIN)
    assert len(Store(path)) == 700 and len(list(tmp_path.iterdir())) == 1


def test_one_clear_line(codes: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "trees.lance"
    write_store(path, blocks(codes), ORIGIN)
    store = Store(path)
    store.check_model("trees-3", ORIGIN.sha256)
    with pytest.raises(IsthmusError, match=r"codes of the model 'trees-3' .*, not of 'other'"):
        store.check_model("other", "cd" * 32)
    with pytest.raises(IsthmusError, match="of that name, trained anew"):
        store.check_model("trees-3", "cd" * 32)
    with pytest.raises(IsthmusError, match=r"codes have 2 numbers, and those in .* have 3"):
        store.nearest(codes[:1, :2])
    with pytest.raises(IsthmusError, match=r"there is no store .*isthmus embed"):
        Store(tmp_path / "nowhere.lance")
    (tmp_path / "else.lance").mkdir()
    (tmp_path / "else.lance" / "thesis.txt").write_text("all of it")
    with pytest.raises(IsthmusError, match="is not a store that"):
        Store(tmp_path / "else.lance")
    with pytest.raises(IsthmusError, match="something else in it"):
        write_store(tmp_path / "else.lance", blocks(codes), ORIGIN)
    for name in ("my trees.lance", "trees", "ä.lance"):
        with pytest.raises(IsthmusError, match="cannot be the name of a store"):
            write_store(tmp_path / name, blocks(codes), ORIGIN)


def test_without_lancedb(codes: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lancedb", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'isthmus\[search\]'"):
        write_store(tmp_path / "x.lance", blocks(codes), ORIGIN)


class Halves:
    """A model whose scaled images are fractions of 255."""

    def scale(self, X: np.ndarray) -> Any:
        return (np.asarray(X, np.float32) / 255)[:, None] if X.ndim > 2 else X


def test_thumbnails_of_images_are_small_pngs() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 130, 65), np.uint8)
    small, exact = Thumbnails(Halves())(images), Thumbnails(Halves())(images[:, :64, :64])
    assert small is not None and exact is not None
    assert max(Image.open(io.BytesIO(small[0])).size) <= 64
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(exact[1]))), images[1, :64, :64])
    assert Thumbnails(Halves())(np.zeros((3, 9), np.float32)) is None


def test_a_folder_is_whole_or_what_it_was(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    for text in ("first", "second"):
        with atomic_folder(target) as made:
            made.mkdir()
            (made / "file").write_text(text)
        assert (target / "file").read_text() == text
    with pytest.raises(RuntimeError), atomic_folder(target) as made:
        made.mkdir()
        raise RuntimeError
    with pytest.raises(OSError), atomic_folder(target):
        pass  # nothing was made
    assert (target / "file").read_text() == "second"
    assert list(tmp_path.iterdir()) == [target]


def test_a_store_that_is_replaced_while_it_is_open_is_opened_again(codes: np.ndarray, tmp_path: Path) -> None:
    def write(name: str, model: str) -> None:
        rows = Rows([f"{name} {i}" for i in range(len(codes))], codes)
        write_store(tmp_path / "a.lance", [rows], Origin(model, "0" * 64))

    write("old", "m")
    store = Store(tmp_path / "a.lance")
    write("new", "m")
    assert store.nearest(codes[1:2], k=1)[0][0].sample == "new 1"
    write("other", "n")
    with pytest.raises(IsthmusError, match="was replaced by codes of another model while it was open"):
        store.nearest(codes[2:3], k=1)
    assert [path.name for path in tmp_path.iterdir()] == ["a.lance"]
