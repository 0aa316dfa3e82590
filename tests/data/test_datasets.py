"""The data sets that have a name."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from isthmus.data import datasets
from isthmus.errors import IsthmusError
from isthmus.registry import named_datasets


def test_names_and_summaries() -> None:
    assert datasets.names() == ("digits", "mnist", "fashion-mnist", "kmnist", "cifar10")
    assert all(named_datasets.summary(name).endswith(".") for name in datasets.names())
    for function in (datasets.load, datasets.fetch, datasets.is_available):
        with pytest.raises(IsthmusError, match="unknown data set 'minst'; did you mean 'mnist'"):
            function("minst")


def test_digits() -> None:
    digits = datasets.load("digits")
    assert digits.train.images.shape == (1500, 8, 8) and digits.test.images.shape == (297, 8, 8)
    assert digits.train.images.dtype == np.uint8 and len(digits.test) == 297
    original = load_digits()
    images = np.concatenate([digits.train.images, digits.test.images])
    np.testing.assert_array_equal(np.round(images / 255 * 16), original.images)
    assert images.max() == 255 and images.min() == 0
    np.testing.assert_array_equal(np.concatenate([digits.train.labels, digits.test.labels]), original.target)
    assert digits.class_names == tuple("0123456789")
    assert datasets.is_available("digits") and (datasets.fetch("digits") / "digits.csv.gz").is_file()
    with pytest.raises(FrozenInstanceError):
        digits.name = "other"  # type: ignore[misc]


def test_every_caller_gets_its_own_arrays() -> None:
    datasets.load("digits").train.images[:] = 0
    assert datasets.load("digits").train.images.any()


def test_mnist(real_data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ISTHMUS_DATA", str(real_data))
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path))
    assert datasets.is_available("mnist") and datasets.fetch("mnist") == real_data / "mnist"
    mnist = datasets.load("mnist")
    assert mnist.train.images.shape == (60_000, 28, 28) and mnist.test.images.shape == (10_000, 28, 28)
    assert mnist.test.labels[:5].tolist() == [7, 2, 1, 0, 4] and mnist.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert mnist.train.images.flags.writeable and mnist.train.images.dtype == np.uint8
    # The published file's bytes: the mean of its pixels is well known, 0.1307 of the range.
    assert round(float(mnist.train.images.mean()) / 255, 4) == 0.1307


def test_a_folder_of_images_is_not_the_data_set(
    real_data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ISTHMUS_DATA", str(real_data))
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path))
    assert (real_data / "cifar10").is_dir() and not datasets.is_available("cifar10")


@pytest.fixture
def cifar_archive() -> tuple[bytes, np.ndarray]:
    """An archive like CIFAR-10's, with two images in each of its six files."""
    rng = np.random.default_rng(0)
    records = rng.integers(0, 255, (12, 1 + 3072)).astype(np.uint8)
    records[:, 0] %= 10
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        # In another order than theirs, and beside another file.
        names = ["test_batch", *(f"data_batch_{i}" for i in (2, 1, 3, 4, 5))]
        rows = [records[10:], records[2:4], records[:2], records[4:6], records[6:8], records[8:10]]
        for name, part in zip(names, rows, strict=True):
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            info.size = part.nbytes
            tar.addfile(info, io.BytesIO(part.tobytes()))
        tar.addfile(tarfile.TarInfo("cifar-10-batches-bin/readme.html"))
    return buffer.getvalue(), records


def test_cifar10(cifar_archive: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    content, records = cifar_archive
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path))
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cifar10").mkdir()
    path = tmp_path / "cifar10" / "cifar-10-binary.tar.gz"
    path.write_bytes(content)
    assert not datasets.is_available("cifar10")  # the checksum is another one
    published = datasets.RemoteFile(path.name, hashlib.md5(content).hexdigest())
    monkeypatch.setattr(datasets, "_CIFAR10", replace(datasets._CIFAR10, files=(published,)))
    cifar = datasets.load("cifar10")
    assert cifar.train.images.shape == (10, 32, 32, 3) and cifar.test.images.shape == (2, 32, 32, 3)
    np.testing.assert_array_equal(cifar.train.labels, records[:10, 0])
    assert cifar.test.images[1, 5, 7, 2] == records[11, 1 + 2 * 1024 + 5 * 32 + 7]
    path.write_bytes(content[:1000])
    published = replace(published, md5=hashlib.md5(content[:1000]).hexdigest())
    monkeypatch.setattr(datasets, "_CIFAR10", replace(datasets._CIFAR10, files=(published,)))
    with pytest.raises(IsthmusError, match=r"cifar-10-binary\.tar\.gz cannot be read as CIFAR-10's archive"):
        datasets.load("cifar10")


def test_a_damaged_file_of_a_data_set_is_named(
    real_data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "mnist").mkdir()
    for path in (real_data / "mnist").iterdir():
        content = path.read_bytes()
        (tmp_path / "mnist" / path.name).write_bytes(content[:-2000] if path.name.startswith("t10k-im") else content)
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path))
    with pytest.raises(IsthmusError, match=r"t10k-images-idx3-ubyte\.gz cannot be read as an IDX file"):
        datasets.load("mnist")
