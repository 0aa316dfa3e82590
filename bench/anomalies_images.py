"""Images that do not belong, and where: digits of one kind among all, and planted defects, beside other ways.

python bench/anomalies_images.py [--digits 0,1,...,9] [--heat 2,5,8] [--photographs 100] [--device cpu]
    [--picture FILE.png]

One-class MNIST: all training images of one digit are learned, and all 10,000 test images judged; AUROC, and seconds of
learning and judging. Heat maps: each of 300 test images of the digit gets a defect, and the AUROC is that of the pixels
that it changed (by more than a tenth of the range). The other ways are those of most guides: an auto-encoder with a
code of 32 numbers that learned from the same images, its squared error and one minus the structural similarity of what
it makes of an image (Bergmann et al. 2019, arXiv:1807.02011).
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

import machine
from isthmus import AnomalyDetector, AutoEncoder, datasets
from isthmus.data.sources import open_source

PHOTOGRAPHS = Path(os.environ.get("ISTHMUS_DATA", "data")) / "bsds500"
DEFECTS = ("scratch", "texture", "missing")
_DEFECTS_IN = 300  # test images
_CROP = 128


def defective(image: np.ndarray, kind: str, rng: np.random.Generator, donor: np.ndarray | None) -> np.ndarray:
    """An image (height, width) of 0 to 1 with a defect.

    kind : "scratch" is a bright or dark line of a third to two thirds of the height; "texture" a square of another
    image, or of noise without a donor; "missing" a square with the image's median.
    """
    h, w = image.shape
    if kind == "scratch":
        angle, length = rng.uniform(0, np.pi), rng.uniform(0.35, 0.6) * h
        y, x = np.mgrid[:h, :w] - np.array([rng.uniform(0.3, 0.7) * h, rng.uniform(0.3, 0.7) * w])[:, None, None]
        along, across = y * np.sin(angle) + x * np.cos(angle), x * np.sin(angle) - y * np.cos(angle)
        share = np.clip(1.5 - np.abs(across), 0, 1) * (np.abs(along) < length / 2)
        value = image.min() if donor is not None and rng.random() < 0.5 else image.max()
        return np.asarray(image * (1 - share) + value * share)
    side = round(rng.uniform(0.2, 0.3) * h)
    changed = image
    for _ in range(50):  # until it changes enough, which a missing part of the background does not
        top, left = rng.integers(0, h - side + 1), rng.integers(0, w - side + 1)
        changed = image.copy()
        changed[top : top + side, left : left + side] = _square(image, kind, side, rng, donor)
        if kind == "texture" or (np.abs(changed - image) > 0.1).sum() > 0.3 * side**2:
            break
    return changed


def _square(image: np.ndarray, kind: str, side: int, rng: np.random.Generator, donor: np.ndarray | None) -> np.ndarray:
    if kind == "missing":
        return np.full((side, side), np.median(image))
    if donor is None:
        return np.asarray((rng.random((side, side)) > 0.5) * image.max() * rng.uniform(0.5, 1))
    top, left = (rng.integers(0, n - side + 1) for n in donor.shape)
    square: np.ndarray = donor[top : top + side, left : left + side]
    return square


def dissimilarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """One minus the structural similarity of images (n, height, width) of 0 to 1, for each pixel."""

    def mean(x: np.ndarray) -> np.ndarray:
        return np.asarray(gaussian_filter(x, (0, 1.5, 1.5)))

    ma, mb = mean(a), mean(b)
    va, vb, both = mean(a**2) - ma**2, mean(b**2) - mb**2, mean(a * b) - ma * mb
    c1, c2 = 0.01**2, 0.03**2
    return np.asarray(1 - (2 * ma * mb + c1) * (2 * both + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))


def one_class(digits: list[int], device: str) -> tuple[list[dict[str, str]], dict[int, AnomalyDetector]]:
    """A row for each digit, and the detectors."""
    mnist = datasets.load("mnist")
    test, labels = mnist.test.images, mnist.test.labels
    rows, detectors, means = [], {}, []
    for digit in digits:
        images = mnist.train.images[mnist.train.labels == digit]
        start, cpu = time.perf_counter(), time.process_time()
        detector = AnomalyDetector(device=device, random_state=0).fit(images)
        strange = -detector.score_samples(test)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        flat, flat_test = (x.reshape(len(x), -1) / np.float32(255) for x in (images, test))
        nearest = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(flat).kneighbors(flat_test)[0].mean(1)
        pca = PCA(32, random_state=0).fit(flat)
        errors = ((flat_test - pca.inverse_transform(pca.transform(flat_test))) ** 2).sum(1)
        found = [float(roc_auc_score(labels != digit, scores)) for scores in (strange, nearest, errors)]
        means.append(found)
        detectors[digit] = detector
        names = ("isthmus", "kNN of pixels", "PCA error")
        rows.append({"digit": str(digit)} | {name: f"{value:.4f}" for name, value in zip(names, found, strict=True)})
        rows[-1] |= {"seconds": f"{seconds:.0f}", "CPU seconds": f"{cpu:.0f}"}
        print(rows[-1], flush=True)
    mean = np.mean(means, 0)
    rows.append({"digit": "mean"} | {name: f"{value:.4f}" for name, value in zip(names, mean, strict=True)})
    rows[-1] |= {"seconds": "", "CPU seconds": ""}
    return rows, detectors


def heat_maps(
    detectors: dict[int, AnomalyDetector], digits: list[int]
) -> tuple[list[dict[str, str]], list[np.ndarray]]:
    """A row for each kind of defect; and columns of the picture: image, expected, heat."""
    mnist = datasets.load("mnist")
    found: dict[tuple[str, str], list[float]] = {}
    examples: list[np.ndarray] = []
    for digit in digits:
        detector = detectors[digit]
        plain = AutoEncoder(latent_dim=32, random_state=0).fit(mnist.train.images[mnist.train.labels == digit])
        clean = mnist.test.images[mnist.test.labels == digit][:_DEFECTS_IN] / 255
        rng = np.random.default_rng(digit)
        for kind in DEFECTS:
            images = np.stack([defective(image, kind, rng, None) for image in clean])
            where = np.abs(images - clean) > 0.1
            pixels = np.rint(255 * images).astype(np.uint8)
            parts, made = detector.explain(pixels), plain.inverse_transform(plain.transform(pixels)) / 255
            for name, heat in (
                ("isthmus", parts.scores),
                ("auto-encoder, error", (images - made) ** 2),
                ("auto-encoder, SSIM", dissimilarity(images, made)),
            ):
                found.setdefault((kind, name), []).append(float(roc_auc_score(where.ravel(), heat.ravel())))
            for i in range(2):
                heat = parts.scores[i] / parts.scores[i].max()
                examples.append(np.stack([images[i], parts.expected[i] / 255, heat]))
    names = list(dict.fromkeys(name for _, name in found))
    rows = [{"defect": kind} | {name: f"{np.mean(found[kind, name]):.3f}" for name in names} for kind in DEFECTS]
    overall = {name: np.mean([found[kind, name] for kind in DEFECTS]) for name in names}
    return [*rows, {"defect": "mean"} | {name: f"{value:.3f}" for name, value in overall.items()}], examples


def photographs(count: int, device: str) -> list[dict[str, str]]:
    """The same of photographs of any size: some are learned, and crops of the others get defects."""
    source = open_source(PHOTOGRAPHS, on_mixed_sizes="keep")
    grey = [np.rint(source[i].mean(-1)).astype(np.uint8) for i in range(len(source))]
    detector = AnomalyDetector(device=device, random_state=0).fit(grey[:count])
    crops = [image[:_CROP, :_CROP] / 255 for image in grey[160:]]
    rng, rows = np.random.default_rng(0), []
    for kind in DEFECTS:
        images = np.stack([defective(c, kind, rng, grey[rng.integers(count)] / 255) for c in crops])
        heat = detector.explain(np.rint(255 * images).astype(np.uint8)).scores
        where = np.abs(images - np.stack(crops)) > 0.1
        rows.append({"defect in a photograph": kind, "isthmus": f"{roc_auc_score(where.ravel(), heat.ravel()):.3f}"})
    return rows


def picture(examples: list[np.ndarray], path: Path) -> None:
    """Images with defects above what was expected and the heat maps."""
    from matplotlib import colormaps
    from PIL import Image

    grey, hot = colormaps["gray"], colormaps["inferno"]
    columns = [np.concatenate([grey(e[0]), grey(e[1]), hot(e[2])]) for e in examples]
    columns = [np.pad(column, ((2, 2), (2, 2), (0, 0)), constant_values=1) for column in columns]
    whole = np.rint(255 * np.concatenate(columns, 1)[..., :3]).astype(np.uint8)
    Image.fromarray(whole).resize((whole.shape[1] * 3, whole.shape[0] * 3), Image.Resampling.NEAREST).save(path)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--digits", default="0,1,2,3,4,5,6,7,8,9")
    parser.add_argument("--heat", default="2,5,8")
    parser.add_argument("--photographs", type=int, default=100, help="photographs that are learned from; 0 for none")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--picture", type=Path)
    args = parser.parse_args()
    print(machine.machine())
    rows, detectors = one_class([int(digit) for digit in args.digits.split(",")], args.device)
    print(machine.table(rows))
    rows, examples = heat_maps(detectors, [digit for digit in map(int, args.heat.split(",")) if digit in detectors])
    print(machine.table(rows))
    if args.photographs and PHOTOGRAPHS.exists():
        print(machine.table(photographs(args.photographs, args.device)))
    if args.picture is not None:
        picture(examples, args.picture)


if __name__ == "__main__":
    main()
