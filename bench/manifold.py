"""Maps beside PCA, UMAP, t-SNE and a plain auto-encoder, and codes for the next model beside PCA's.

python bench/manifold.py [mnist digits few cifar10 codes tables]      needs: pip install '.[bench]'

Models are kept in .bench/manifold; delete a folder there to train it again.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import codec_data
import isthmus
from isthmus import AutoEncoder, ManifoldMap, datasets
from isthmus.evaluation.neighbourhood_preservation import neighbourhood_scores
from machine import machine, table

MODELS = Path(__file__).parents[1] / ".bench" / "manifold"
MINUTES = 3  # for a code
SCORED = 5_000  # test samples whose neighbourhoods are compared
Row = dict[str, str]


def trained(name: str, model: Any, X: np.ndarray) -> tuple[Any, float]:
    """The model of that name and the seconds its fit took, trained unless it was before."""
    folder, seconds = MODELS / name, MODELS / name / "seconds.txt"
    if not seconds.exists():
        print(f"training {name} ...", file=sys.stderr, flush=True)
        start = time.perf_counter()
        model.fit(X).save(folder)
        seconds.write_text(f"{time.perf_counter() - start}")
    return isthmus.load(folder), float(seconds.read_text())


def row(name: str, fit: float, transform: float, codes: tuple[np.ndarray, np.ndarray], data: Any, mse: float) -> Row:
    """How good the two-dimensional codes of (training, test) samples are."""
    train, test = data
    scores = neighbourhood_scores(_flat(test)[:SCORED], codes[1][:SCORED])
    accuracy = KNeighborsClassifier(5).fit(codes[0], train.labels).score(codes[1], test.labels)
    return {
        "map": name,
        "trustworthiness": f"{scores.trustworthiness:.4f}",
        "continuity": f"{scores.continuity:.4f}",
        "5-NN": f"{accuracy:.4f}",
        "MSE": f"{mse:.4f}" if mse else "",
        "fit": f"{fit:.0f} s",
        "transform the test part": f"{transform:.2f} s" if transform else "cannot",
    }


def _flat(part: Any) -> np.ndarray:
    """Samples in rows, pixels in [0, 1]."""
    X = part.images if hasattr(part, "images") else part.codes
    flat: np.ndarray = X.reshape(len(X), -1).astype(np.float32) / (255 if X.dtype == np.uint8 else 1)
    return flat


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def _ours(name: str, label: str, model: Any, data: Any) -> Row:
    train, test = data
    model, fit = trained(name, model, _samples(train))
    codes, seconds = _timed(lambda: model.transform(_samples(test)))
    rebuilt = np.float32(model.inverse_transform(codes)).reshape(len(codes), -1)
    unit = 255 if _samples(test).dtype == np.uint8 else 1
    mse = float(((rebuilt / unit - _flat(test)) ** 2).mean())
    return row(label, fit, seconds, (model.transform(_samples(train)), codes), data, mse)


def _samples(part: Any) -> np.ndarray:
    samples: np.ndarray = part.images if hasattr(part, "images") else part.codes
    return samples


def _pca(data: Any) -> Row:
    train, test = (_flat(part) for part in data)
    pca, fit = _timed(lambda: PCA(2, random_state=0).fit(train))
    codes, seconds = _timed(lambda: pca.transform(test))
    mse = float(((pca.inverse_transform(codes) - test) ** 2).mean())
    return row("PCA", fit, seconds, (pca.transform(train), codes), data, mse)


def _umap(data: Any) -> Row:
    from umap import UMAP

    train, test = (_flat(part) for part in data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, fit = _timed(lambda: UMAP(random_state=0).fit(train))
        codes, seconds = _timed(lambda: model.transform(test))
    return row("UMAP", fit, seconds, (model.embedding_, codes), data, 0.0)


def _tsne(data: Any) -> Row:
    """t-SNE places no new samples: it sees the first test samples, and 5-NN is by leaving one out."""
    _, test = data
    flat = _flat(test)[:SCORED]
    codes, fit = _timed(lambda: TSNE(2, random_state=0).fit_transform(PCA(50, random_state=0).fit_transform(flat)))
    scores = neighbourhood_scores(flat, codes)
    near = KNeighborsClassifier(6).fit(codes, test.labels[:SCORED]).kneighbors(return_distance=False)[:, :5]
    votes = np.asarray([np.bincount(test.labels[:SCORED][n]).argmax() for n in near])
    return {
        "map": f"t-SNE of {len(flat):,} test samples alone",
        "trustworthiness": f"{scores.trustworthiness:.4f}",
        "continuity": f"{scores.continuity:.4f}",
        "5-NN": f"{(votes == test.labels[:SCORED]).mean():.4f}",
        "MSE": "",
        "fit": f"{fit:.0f} s",
        "transform the test part": "cannot",
    }


def mnist() -> None:
    """60,000 digits: 5 minutes for ours, everything included."""
    data = datasets.load("mnist")
    parts = (data.train, data.test)
    rows = [
        _ours("mnist", "isthmus ManifoldMap", ManifoldMap(minutes=5, random_state=0), parts),
        _ours("mnist-plain", "isthmus AutoEncoder, 2 minutes", AutoEncoder(2, minutes=2, random_state=0), parts),
        _pca(parts),
        _umap(parts),
        _tsne(parts),
    ]
    print(f"\nMNIST\n\n{table(rows)}")


def digits() -> None:
    """The small digits inside scikit-learn, every setting at its default."""
    data = datasets.load("digits")
    parts = (data.train, data.test)
    rows = [_ours("digits", "isthmus ManifoldMap", ManifoldMap(random_state=0), parts), _pca(parts), _umap(parts)]
    print(f"\ndigits\n\n{table([*rows, _tsne(parts)])}")


def few() -> None:
    """New samples on maps of few, every setting at its default: means of three seeds, processor time."""
    from umap import UMAP

    rows = []
    for name, train, test in _few_sets():
        parts = {ManifoldMap: (_samples(train), _samples(test)), UMAP: (_flat(train), _flat(test))}
        for make, (X, new) in parts.items():
            found = []
            for seed in range(3):
                model, start = make(random_state=seed), time.process_time()
                places, fitted = model.fit_transform(X), time.process_time()
                codes, done = model.transform(new), time.process_time()
                scores = neighbourhood_scores(_flat(test), codes)
                accuracy = KNeighborsClassifier(5).fit(places, train.labels).score(codes, test.labels)
                found.append((scores.trustworthiness, scores.continuity, accuracy, fitted - start, done - fitted))
            trust, continuity, accuracy, fit, transform = np.mean(found, axis=0)
            shares = {"trustworthiness": trust, "continuity": continuity, "5-NN": accuracy}
            rows.append(
                {"map": f"{name}, {make.__name__}"}
                | {key: f"{share:.4f}" for key, share in shares.items()}
                | {"fit": f"{fit:.1f} s", "transform": f"{transform:.2f} s"}
            )
            print(rows[-1], file=sys.stderr, flush=True)
    print(f"\n{table(rows)}")


def _few_sets() -> Iterator[tuple[str, Any, Any]]:
    """Name, training part and test part."""
    digits, mnist = datasets.load("digits"), datasets.load("mnist")
    yield "digits", digits.train, digits.test
    some = np.random.default_rng(0).choice(len(mnist.train.images), 2_000, replace=False)
    train = _Images(mnist.train.images[some], mnist.train.labels[some])
    yield "2,000 of MNIST", train, _Images(mnist.test.images[:2_000], mnist.test.labels[:2_000])
    for load in (load_wine, load_breast_cancer):
        X, y = load(return_X_y=True)
        train_X, test_X, train_y, test_y = train_test_split(X.astype(np.float32), y, test_size=0.3, random_state=0)
        scale = StandardScaler().fit(train_X)
        yield load.__name__[5:], _Codes(scale.transform(train_X), train_y), _Codes(scale.transform(test_X), test_y)


class _Images(NamedTuple):
    images: np.ndarray
    labels: np.ndarray


class _Codes(NamedTuple):
    codes: np.ndarray
    labels: np.ndarray


def cifar10() -> None:
    """Codes of 8,000 images of CIFAR-10, judged on 2,000, every setting at its default."""
    train, test = (_Images(*part) for part in codec_data.cifar_with_labels())
    model, _ = trained("cifar10-64", AutoEncoder(64, minutes=2, random_state=0), train.images)
    parts = tuple(_Codes(model.transform(part.images), part.labels) for part in (train, test))
    rows = [_ours("cifar10", "isthmus ManifoldMap", ManifoldMap(random_state=0), parts), _pca(parts), _umap(parts)]
    print(f"\nCIFAR-10, codes of 64 numbers\n\n{table([*rows, _tsne(parts)])}")


def codes() -> None:
    """What a linear model and neighbours make of codes of MNIST."""
    data = datasets.load("mnist")
    train, test = data.train, data.test
    rows = []
    for size in (10, 32):
        pca = PCA(size, random_state=0).fit(_flat(train))
        rows.append(_judged(f"PCA, {size}", pca.transform(_flat(train)), pca.transform(_flat(test)), data, 0.0))
        for name, consistency in (("plain", None), ("consistent", "warp")):
            model = AutoEncoder(size, consistency=consistency, minutes=MINUTES, random_state=0)
            model, _ = trained(f"codes-{size}-{name}", model, train.images)
            error = float(((np.float32(model.reconstruct(test.images)) - test.images) ** 2).mean() / 255**2)
            label = f"isthmus, {size}, {name}"
            rows.append(_judged(label, model.transform(train.images), model.transform(test.images), data, error))
    print(f"\n{table(rows)}")


def _probes() -> tuple[Any, Any]:
    """A linear model and neighbours."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000)), KNeighborsClassifier(5)


def _judged(name: str, train: np.ndarray, test: np.ndarray, data: Any, mse: float) -> Row:
    linear, near = (probe.fit(train, data.train.labels) for probe in _probes())
    return {
        "codes of MNIST": name,
        "linear probe": f"{linear.score(test, data.test.labels):.4f}",
        "5-NN": f"{near.score(test, data.test.labels):.4f}",
        "MSE": f"{mse:.5f}" if mse else "",
    }


def tables() -> None:
    """What a linear model and neighbours make of codes of the tables inside scikit-learn, means of five splits."""
    rows = []
    for load, size in ((load_wine, 4), (load_breast_cancer, 6), (load_digits, 16)):
        X, y = load(return_X_y=True)
        found: dict[str, list[tuple[float, float, float]]] = {}
        for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(X, y):
            scale = StandardScaler().fit(X[train])
            for name, model in {
                "PCA": make_pipeline(StandardScaler(), PCA(size, random_state=0)),
                "plain": AutoEncoder(size, random_state=0),
                "consistent": AutoEncoder(size, consistency="exchange", random_state=0),
            }.items():
                codes = [model.fit(X[train]).transform(part) for part in (X[train], X[test])]
                rebuilt = scale.transform(model.inverse_transform(codes[1]))
                scores = [each.fit(codes[0], y[train]).score(codes[1], y[test]) for each in _probes()]
                error = float(((rebuilt - scale.transform(X[test])) ** 2).mean())
                found.setdefault(name, []).append((*scores, error))
        for name, scores in found.items():
            linear, near, error = np.mean(scores, axis=0)
            figures = {"linear probe": f"{linear:.3f}", "5-NN": f"{near:.3f}", "MSE, in variances": f"{error:.3f}"}
            rows.append({"table": f"{load.__name__[5:]}, {size}, {name}", **figures})
    print(f"\n{table(rows)}")


PARTS = {"mnist": mnist, "digits": digits, "few": few, "cifar10": cifar10, "codes": codes, "tables": tables}


def main() -> None:
    print(machine())
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()
