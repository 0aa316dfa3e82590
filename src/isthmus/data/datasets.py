"""Data sets by name: found on disk, or fetched once from their publishers, verified and cached.

Each is looked for in the folder that the environment variable ISTHMUS_DATA names (``mnist/`` and so on), then in the
user's cache (ISTHMUS_CACHE, or the platform's place for caches), then on the web.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.files import idx_header, is_idx, read_idx
from isthmus.data.reading import reading
from isthmus.data.shown import drawn, facts_html
from isthmus.registry import named_datasets
from isthmus.words import count

__all__ = ["Dataset", "Split", "fetch", "is_available", "load", "names"]

_DRAWN = 8  # images that a notebook shows


@dataclass(frozen=True)
class Split:
    """Images with their labels.

    images : uint8 array of shape (n, height, width) or (n, height, width, channels).
    labels : uint8 array of shape (n,): positions in the data set's `class_names`.
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        size = " × ".join(map(str, self.images.shape[1:]))
        return f"<Split: {count(len(self), 'image')} of {size}, {self.images.dtype}, with labels>"

    def _repr_html_(self) -> str:
        facts = {"images": f"{len(self):,}", "shape": " × ".join(map(str, self.images.shape[1:]))}
        return facts_html("Split", facts, drawn(self.images[:_DRAWN], _DRAWN))


@dataclass(frozen=True)
class Dataset:
    """A data set in memory, with what its publishers say of it."""

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    description: str
    licence: str
    source: str  # the publishers' page

    def __repr__(self) -> str:
        size = " × ".join(map(str, self.train.images.shape[1:]))
        counts = f"{len(self.train):,} training and {len(self.test):,} test images"
        return f"<Dataset {self.name}: {counts} of {size}, {self.train.images.dtype}, {len(self.class_names)} classes>"

    def _repr_html_(self) -> str:
        first = [int(np.argmax(self.train.labels == label)) for label in range(len(self.class_names))]
        facts = {
            "about": self.description,
            "classes": ", ".join(self.class_names),
            "licence": self.licence,
            "source": self.source,
        }
        return facts_html(self.name, facts, drawn(self.train.images[first], len(first)))


@dataclass(frozen=True)
class RemoteFile:
    """A file of a data set as it is published; `shape` where it is an IDX file."""

    name: str
    md5: str
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Remote:
    """Where the files of a data set are published."""

    name: str
    mirrors: tuple[str, ...]
    files: tuple[RemoteFile, ...]


def _idx_files(train_images: str, train_labels: str, test_images: str, test_labels: str) -> tuple[RemoteFile, ...]:
    """The four files of MNIST and its successors, by their checksums."""
    return (
        RemoteFile("train-images-idx3-ubyte.gz", train_images, (60_000, 28, 28)),
        RemoteFile("train-labels-idx1-ubyte.gz", train_labels, (60_000,)),
        RemoteFile("t10k-images-idx3-ubyte.gz", test_images, (10_000, 28, 28)),
        RemoteFile("t10k-labels-idx1-ubyte.gz", test_labels, (10_000,)),
    )


_MNIST = Remote(
    "mnist",
    ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    _idx_files(
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
)
_FASHION_MNIST = Remote(
    "fashion-mnist",
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    _idx_files(
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
)
_KMNIST = Remote(
    "kmnist",
    ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
    _idx_files(
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7",
        "7320c461ea6c1c855c0b718fb2a4b134",
    ),
)
_CIFAR10 = Remote(
    "cifar10",
    ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/"),
    (RemoteFile("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),),
)
_DIGITS = tuple("0123456789")
_REMOTES = {remote.name: remote for remote in (_MNIST, _FASHION_MNIST, _KMNIST, _CIFAR10)}


def names() -> tuple[str, ...]:
    """The names of all data sets."""
    return named_datasets.names()


def load(name: str) -> Dataset:
    """A data set by its name; it is fetched first where it is not on this machine."""
    dataset: Dataset = named_datasets[named_datasets.check(name)]()
    return dataset


def is_available(name: str) -> bool:
    """Whether a data set is on this machine already; the network is not used."""
    remote = _REMOTES.get(named_datasets.check(name))
    return remote is None or _find(remote) is not None


def fetch(name: str) -> Path:
    """Make a data set available on this machine and return the folder where it lies."""
    if named_datasets.check(name) in _REMOTES:
        return fetch_remote(_REMOTES[name])
    import sklearn.datasets

    return Path(sklearn.datasets.__file__).parent / "data"


def fetch_remote(remote: Remote, **options: object) -> Path:
    """The folder with the files of `remote`; those that are missing are downloaded into the cache."""
    if (found := _find(remote)) is not None:
        return found
    from isthmus.data.downloads import download

    folder = _cache() / remote.name
    for file in remote.files:
        offline = (
            f"without a network, put {file.name} into {folder}, or set ISTHMUS_DATA to a folder that has it "
            f"in its sub-folder {remote.name}"
        )
        download(file.name, file.md5, remote.mirrors, folder, offline=offline, **options)  # type: ignore[arg-type]
    return folder


def _cache() -> Path:
    if folder := os.environ.get("ISTHMUS_CACHE"):
        return Path(folder).expanduser()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # in a notebook without widgets, tqdm's, which pooch imports
        import pooch

    return Path(pooch.os_cache("isthmus"))


def _find(remote: Remote) -> Path | None:
    """The first folder that holds the whole data set."""
    roots = [Path(os.environ["ISTHMUS_DATA"]).expanduser()] if os.environ.get("ISTHMUS_DATA") else []
    for root in (*roots, _cache()):
        if all(_present(root / remote.name, file) for file in remote.files):
            return root / remote.name
    return None


def _present(folder: Path, file: RemoteFile) -> bool:
    """Whether a folder holds a file; IDX files may be packed otherwise than their publishers did, or not at all."""
    if file.shape is None:
        return (folder / file.name).is_file() and _md5(folder / file.name) == file.md5
    path = _packed_or_not(folder / file.name)
    return path is not None and is_idx(path) and idx_header(path)[:2] == (np.dtype(np.uint8), file.shape)


def _packed_or_not(path: Path) -> Path | None:
    return next((p for p in (path, path.with_suffix("")) if p.is_file()), None)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


@named_datasets.register("digits")
def digits() -> Dataset:
    """1,797 grey 8×8 images of handwritten digits; inside scikit-learn, so nothing is downloaded."""
    from sklearn.datasets import load_digits

    values, targets = load_digits(return_X_y=True)
    images = np.round(values * 255 / 16).astype(np.uint8).reshape(-1, 8, 8)  # (n, 64), 0 to 16 -> (n, 8, 8), 0 to 255
    labels = targets.astype(np.uint8)
    return Dataset(
        name="digits",
        train=Split(images[:1500], labels[:1500]),
        test=Split(images[1500:], labels[1500:]),
        class_names=_DIGITS,
        description="1,797 grey 8×8 images of handwritten digits, 1,500 for training and 297 for testing "
        "(Alpaydin and Kaynak, 1998).",
        licence="CC BY 4.0",
        source="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
    )


@named_datasets.register("mnist")
def mnist() -> Dataset:
    """70,000 grey 28×28 images of handwritten digits."""
    return _idx_dataset(
        _MNIST,
        class_names=_DIGITS,
        description="70,000 grey 28×28 images of handwritten digits, 60,000 for training and 10,000 for testing "
        "(LeCun, Cortes and Burges, 1998).",
        licence="CC BY-SA 3.0",
        source="http://yann.lecun.com/exdb/mnist/",
    )


@named_datasets.register("fashion-mnist")
def fashion_mnist() -> Dataset:
    """70,000 grey 28×28 images of clothes, shoes and bags."""
    return _idx_dataset(
        _FASHION_MNIST,
        class_names=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        description="70,000 grey 28×28 images of articles of Zalando, 60,000 for training and 10,000 for testing "
        "(Xiao, Rasul and Vollgraf, 2017).",
        licence="MIT",
        source="https://github.com/zalandoresearch/fashion-mnist",
    )


@named_datasets.register("kmnist")
def kmnist() -> Dataset:
    """70,000 grey 28×28 images of cursive Japanese characters."""
    return _idx_dataset(
        _KMNIST,
        class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        description="70,000 grey 28×28 images of ten cursive Japanese characters, 60,000 for training and 10,000 for "
        "testing (Clanuwat and others, 2018).",
        licence="CC BY-SA 4.0",
        source="http://codh.rois.ac.jp/kmnist/",
    )


@named_datasets.register("cifar10")
def cifar10() -> Dataset:
    """60,000 colour 32×32 photographs of animals and vehicles."""
    train, test = _cifar_splits(fetch_remote(_CIFAR10) / _CIFAR10.files[0].name)
    return Dataset(
        name="cifar10",
        train=train,
        test=test,
        class_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        description="60,000 colour 32×32 photographs of ten kinds of animals and vehicles, 50,000 for training and "
        "10,000 for testing (Krizhevsky, 2009).",
        licence="none stated; the publisher asks to cite Krizhevsky, Learning Multiple Layers of Features (2009)",
        source="https://www.cs.toronto.edu/~kriz/cifar.html",
    )


def _idx_dataset(remote: Remote, **about: Any) -> Dataset:
    """A data set of four IDX files, fetched if need be. about : the fields of `Dataset` that are text."""
    folder = fetch_remote(remote)
    train_images, train_labels, test_images, test_labels = (
        read_idx(_packed_or_not(folder / file.name) or folder) for file in remote.files
    )
    train, test = Split(train_images, train_labels), Split(test_images, test_labels)
    return Dataset(name=remote.name, train=train, test=test, **about)


def _cifar_splits(archive: Path) -> tuple[Split, Split]:
    """The binary version of CIFAR-10: records of a label and 3×32×32 bytes, in six files of 10,000."""
    import tarfile

    batches = {}
    with reading(archive, "CIFAR-10's archive"), tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            stem = Path(member.name).stem
            if member.isfile() and stem.startswith(("data_batch_", "test_batch")):
                file = tar.extractfile(member)
                assert file is not None
                batches[stem] = np.frombuffer(file.read(), np.uint8).reshape(-1, 1 + 3 * 32 * 32)
        train = np.concatenate([batches[f"data_batch_{i}"] for i in range(1, 6)])
        return _cifar_split(train), _cifar_split(batches["test_batch"])


def _cifar_split(records: np.ndarray) -> Split:
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)  # (n, 3, 32, 32) -> (n, 32, 32, 3)
    return Split(np.ascontiguousarray(images), records[:, 0].copy())
