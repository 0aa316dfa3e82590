"""New digits and ways between digits: isthmus and pythae on MNIST.

python bench/latent_space.py [samples] [paths] [picture] [--seconds 90] [--fresh]

Samples: 10,000 drawn by each, judged in the features of a small classifier that is trained here: the Fréchet distance
to the test images (Heusel et al. 2017), precision and recall (Kynkäänniemi et al. 2019, k = 3), and how many lie nearer
to a training image than 99 % of the test images do. Codes of 10 numbers and the same seconds of training for all, those
of the processor and not of the clock, so that other work on the machine changes nothing; pythae runs in a virtual
environment of its own.

Paths: between 200 pairs of test images: length in the space of images, and how often the classifier changes its mind on
the way.

What was trained is kept in .bench/latent.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import time
from types import SimpleNamespace
from typing import Any, get_args
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus import AutoEncoder, datasets
from isthmus.latent.distance_to_data import nearest, training_neighbours
from isthmus.latent.space import PathName
from isthmus.training import loop
from machine import machine, table
from time_to_quality import ROOT, environment

FOLDER = ROOT / ".bench" / "latent"
LATENT_DIM, COUNT, NEAREST = 10, 10_000, 3
PAIRS, STEPS = 200, 33
DRAWN, GAP = 11, 14  # of the picture: digits a row, and pixels between its parts
VARIATIONAL = "variational:0.1"


class Classifier(nn.Module):
    """Two convolutions, 128 features, 10 classes."""

    def __init__(self) -> None:
        super().__init__()
        pool, relu = nn.MaxPool2d(2), nn.ReLU()
        convolutions = [nn.Conv2d(1, 32, 3, padding=1), relu, pool, nn.Conv2d(32, 64, 3, padding=1), relu, pool]
        self.body = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(3136, 128), relu)
        self.head = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(x))
        return logits


def as_input(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).unsqueeze(1).float() / 255


def classifier(mnist: datasets.Dataset, epochs: int = 2) -> Classifier:
    """Trained with Adam, the rate falling to zero."""
    from safetensors.torch import load_model, save_model

    torch.manual_seed(0)
    network, file = Classifier(), FOLDER / "classifier.safetensors"
    if file.exists():
        load_model(network, file)
        return network.eval()
    images, labels = mnist.train.images, torch.from_numpy(np.asarray(mnist.train.labels)).long()
    steps = epochs * (len(images) // 128)
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(128)[: len(images) // 128]:
            loss = F.cross_entropy(network(as_input(images[batch.numpy()])), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    save_model(network, str(file))
    return network.eval()


@torch.inference_mode()
def features(network: Classifier, images: np.ndarray) -> np.ndarray:
    """What the classifier's last layer sees, (n, 128)."""
    return torch.cat([network.body(as_input(part)) for part in np.array_split(images, len(images) // 500 + 1)]).numpy()


@torch.inference_mode()
def probabilities(network: Classifier, images: np.ndarray) -> np.ndarray:
    logits: Tensor = network(as_input(images))
    return logits.softmax(1).numpy()


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Between the normal distributions with the moments of two sets of features."""
    means, covariances = [x.mean(axis=0) for x in (a, b)], [np.cov(x.T) for x in (a, b)]
    values = np.linalg.eigvals(covariances[0] @ covariances[1]).real
    trace = sum(np.trace(c) for c in covariances) - 2 * np.sqrt(values.clip(0)).sum()
    return float(np.square(means[0] - means[1]).sum() + trace)


def covered(points: np.ndarray, by: np.ndarray) -> float:
    """Share of the points within the distance of some other set's point to its third neighbour in that set."""
    from sklearn.metrics import pairwise_distances_chunked

    radii = nearest(by, by, NEAREST + 1)[1][:, -1]
    return float(np.mean(np.concatenate([(d <= radii).any(1) for d in pairwise_distances_chunked(points, by)])))


def ours(bottleneck: str, seconds: float, X: np.ndarray) -> AutoEncoder:
    folder = FOLDER / bottleneck.replace(":", "-")
    if folder.exists():
        return AutoEncoder.load(folder)
    model = AutoEncoder(LATENT_DIM, bottleneck=bottleneck, minutes=seconds / 60, random_state=0)
    with patch.object(loop, "time", SimpleNamespace(perf_counter=time.process_time)):
        model.fit(X)
    model.save(folder)
    return model


def theirs(kind: str, seconds: float, X: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """10,000 digits of pythae's, and what it says of its run."""
    data, output, log = FOLDER / "train.npz", FOLDER / f"pythae-{kind}.npy", FOLDER / f"pythae-{kind}.json"
    if not log.exists():
        np.savez(data, train=X)
        script = ROOT / "bench" / "peers" / "pythae_samples.py"
        arguments = map(str, (data, output, kind, LATENT_DIM, seconds, COUNT, 0))
        done = subprocess.run([environment("pythae"), script, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"pythae failed:\n{done.stderr}")
        log.write_text(done.stdout.splitlines()[-1])
        data.unlink()
    return np.load(output), json.loads(log.read_text())


def judge(name: str, drawn: np.ndarray, seconds: float, network: Classifier, mnist: datasets.Dataset) -> dict[str, Any]:
    """A row of the table of samples."""
    test, new = features(network, mnist.test.images), features(network, drawn)
    usual = training_neighbours(new, features(network, mnist.train.images), 1, test)
    return {
        "samples of": name,
        "Fréchet distance": f"{frechet(new, test):.2f}",
        "precision": f"{covered(new, test):.3f}",
        "recall": f"{covered(test, new):.3f}",
        "nearer than 99 %": f"{usual.memorised.mean():.1%}",
        "copying z": f"{usual.copying:.0f}",
        "fit and draw": f"{seconds:.0f} s" if seconds else "",
    }


def samples(seconds: float, network: Classifier, mnist: datasets.Dataset) -> list[dict[str, Any]]:
    """The table of samples."""
    X = mnist.train.images
    rows = [judge("10,000 of the training images", X[:COUNT], 0, network, mnist)]
    model = ours("plain", seconds, X)
    rows.append(judge("isthmus, test images reconstructed", model.reconstruct(mnist.test.images), 0, network, mnist))
    show(rows)
    Z = model.transform(X)
    for kind in ("mixture", "flow"):
        start = time.process_time()
        density = model.fit_density(Z, kind, random_state=0)
        drawn = model.sample(COUNT, density, random_state=1)
        spent = time.process_time() - start
        density.save(FOLDER / f"{kind}.safetensors")
        rows.append(judge(f"isthmus, {kind}", drawn, spent, network, mnist))
        show(rows[-1:])
    variational = ours(VARIATIONAL, seconds, X)
    start = time.process_time()
    drawn = variational.sample(COUNT, random_state=1)
    rows.append(judge(f"isthmus, {VARIATIONAL}", drawn, time.process_time() - start, network, mnist))
    show(rows[-1:])
    for kind, name in (("ae", "AE and mixture of 10"), ("vae", "VAE")):
        drawn, said = theirs(kind, seconds, X)
        row = judge(f"pythae {said['version']}, {name}", drawn, said["seconds to fit and draw"], network, mnist)
        rows.append(row)
        show(rows[-1:])
    return rows


def paths(seconds: float, network: Classifier, mnist: datasets.Dataset) -> list[dict[str, Any]]:
    """The table of paths."""
    model = ours("plain", seconds, mnist.train.images)
    chosen = np.random.default_rng(0).choice(len(mnist.test.images), 2 * PAIRS, replace=False)
    ends = model.transform(mnist.test.images[chosen]).reshape(PAIRS, 2, -1)
    Z = model.transform(mnist.train.images[::10])
    rows = []
    ways_asked: list[tuple[str, PathName, Any]] = [(path, path, None) for path in get_args(PathName)]
    for name, path, data in (*ways_asked, ("geodesic that keeps to the data", "geodesic", Z)):
        start = time.process_time()
        ways = [model.interpolate(a, b, steps=STEPS, path=path, Z=data) for a, b in ends]
        spent = (time.process_time() - start) / PAIRS
        found = [probabilities(network, way.samples) for way in ways]
        classes = [p.argmax(1) for p in found]
        strangers = [len(set(c) - {c[0], c[-1]}) > 0 for c in classes]
        rows.append({
            "path": name,
            "length": f"{np.mean([way.length for way in ways]):.3f}",
            "class changes": f"{np.mean([np.count_nonzero(np.diff(c)) for c in classes]):.3f}",
            "through a third class": f"{np.mean(strangers):.1%}",
            "classifier sure": f"{np.mean([p.max(1).mean() for p in found]):.3f}",
            "ms a path": f"{1e3 * spent:.0f}",
        })  # fmt: skip
        show(rows[-1:])
    return rows


def picture(seconds: float, mnist: datasets.Dataset) -> None:
    """docs/images/latent-space.png: digits drawn, and straight paths above geodesics."""
    from PIL import Image

    model = ours("plain", seconds, mnist.train.images)
    density = model.fit_density(model.transform(mnist.train.images), random_state=0)
    left = tiles(model.sample(DRAWN**2, density, random_state=2).reshape(DRAWN, DRAWN, 28, 28))
    first = [int(np.flatnonzero(mnist.test.labels == digit)[0]) for digit in (3, 8, 4, 9, 2, 7, 6, 0, 5, 1)]
    strips = []
    for a, b in model.transform(mnist.test.images[first]).reshape(-1, 2, LATENT_DIM):
        ways = [model.interpolate(a, b, steps=DRAWN, path=path).samples for path in ("straight", "geodesic")]
        strips += [tiles(np.stack(ways)), np.zeros((GAP, DRAWN * 28), np.uint8)]
    right = np.concatenate(strips[:-1])
    height = max(len(left), len(right))
    sides = [np.pad(side, ((0, height - len(side)), (0, 0))) for side in (left, right)]
    sheet = np.concatenate([sides[0], np.zeros((height, 2 * GAP), np.uint8), sides[1]], axis=1)
    Image.fromarray(255 - np.pad(sheet, GAP)).save(ROOT / "docs" / "images" / "latent-space.png")


def tiles(images: np.ndarray) -> np.ndarray:
    """(rows, columns, h, w) as one picture."""
    rows, columns, h, w = images.shape
    return images.swapaxes(1, 2).reshape(rows * h, columns * w)


def show(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        print(json.dumps(row, ensure_ascii=False), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="samples|paths|picture", help="samples and paths by default")
    parser.add_argument("--seconds", type=float, default=90, help="of the processor for each training")
    parser.add_argument("--fresh", action="store_true", help="forget what was trained before")
    options = parser.parse_args()
    made = {"samples": samples, "paths": paths}
    parts = options.parts or list(made)
    if unknown := {*parts} - {*made, "picture"}:
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    if options.fresh:
        shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    mnist = datasets.load("mnist")
    network = classifier(mnist)
    right = (probabilities(network, mnist.test.images).argmax(1) == mnist.test.labels).mean()
    print(f"{machine()}, one thread\nthe classifier is right about {right:.2%} of the test images", flush=True)
    for part in (part for part in parts if part in made):
        print(f"\n{table(made[part](options.seconds, network, mnist))}\n", flush=True)
    if "picture" in parts:
        picture(options.seconds, mnist)


if __name__ == "__main__":
    main()
