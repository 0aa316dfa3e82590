"""Rate and distortion of the lossy codec beside other formats, with plots: real bytes, decoded and compared.

python bench/codec_lossy.py [mnist colour ms-ssim]      needs: pip install '.[bench]'
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import imagecodecs
import matplotlib
import numpy as np
import torch
from sklearn.decomposition import PCA

import codec_data as data
from isthmus import Codec
from isthmus.objectives import Objective
from machine import machine, table
from targets import QUICK, Target, note

matplotlib.use("Agg")
from matplotlib import pyplot as plt

MINUTES = {"mnist": 20.0, "colour": 30.0, "ms-ssim": 4.0}
IMAGES = data.MODELS if QUICK else Path(__file__).parents[1] / "docs" / "images"
QUALITIES = (1, 50, 100) if QUICK else (1, 10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 95, 100)
Curve = list[tuple[float, float]]  # bytes or bits, and mean squared error


Coder = Callable[[np.ndarray], tuple[bytes, np.ndarray]]  # from an image to the file, and the image that it holds


def _levels(
    values: Sequence[float], encode: Callable[[np.ndarray, float], bytes], decode: Callable[[bytes], np.ndarray]
) -> list[Coder]:
    def at(value: float) -> Coder:
        return lambda x: (data := encode(x, value), decode(data))

    return [at(value) for value in values]


def peers() -> dict[str, list[Coder]]:
    """For each format functions from an image to (bytes, decoded image), one for each quality."""
    c = imagecodecs
    return {
        "JPEG": _levels(
            (5, 10, 20, 30, 40, 50, 60, 70, 80, 90),
            lambda x, v: c.jpeg_encode(x, level=v, optimize=True),
            c.jpeg_decode,
        ),
        "JPEG 2000": _levels(
            (24, 27, 30, 33, 36, 39, 42), lambda x, v: c.jpeg2k_encode(x, level=v, reversible=False), c.jpeg2k_decode
        ),
        "WebP": _levels(
            (1, 10, 25, 40, 55, 70, 80, 90), lambda x, v: c.webp_encode(_rgb(x), level=v, lossless=False), c.webp_decode
        ),
        "AVIF": _levels(
            (5, 10, 20, 30, 40, 50, 60, 70, 80, 90),
            lambda x, v: c.avif_encode(_rgb(x), level=v, speed=4),
            c.avif_decode,
        ),
        "JPEG XL": _levels((8, 5, 3, 2, 1.2, 0.7), lambda x, v: c.jpegxl_encode(x, distance=v), c.jpegxl_decode),
    }


def _rgb(x: np.ndarray) -> np.ndarray:
    return x if x.ndim == 3 else np.ascontiguousarray(np.repeat(x[..., None], 3, 2))


def _mse(x: np.ndarray, y: np.ndarray) -> float:
    y = y[..., : x.shape[2]] if x.ndim == 3 else (y if y.ndim == 2 else y[..., 1])
    return float(((x.astype(np.float64) - y) ** 2).mean()) / 255**2


def mnist() -> None:
    """Bytes an image at each error; the other formats get all images as one large picture."""
    codec = data.trained("mnist-lossy", "lossy", MINUTES["mnist"], lambda: data.mnist()[0])
    train, test = data.mnist()
    n = len(test)
    curves: dict[str, Curve] = {"isthmus": []}
    for quality in QUALITIES:
        archive = codec.compress(test, quality=quality)
        curves["isthmus"].append((len(archive) / n, _mse(test, codec.decompress(archive))))
    side = math.isqrt(n)
    picture = np.ascontiguousarray(test.reshape(side, side, 28, 28).swapaxes(1, 2).reshape(28 * side, 28 * side))
    for name, functions in peers().items():
        points = [function(picture) for function in functions]
        curves[name] = [(len(encoded) / n, _mse(picture, decoded)) for encoded, decoded in points]
    curves["PCA, rounded"] = _pca(train, test)
    _speed(codec, test)
    rows = []
    for error, asked, peer in ((0.0174, 5, "notebook's code 40"), (0.0031, 22, "AVIF 44"), (0.00096, 40, "AVIF 66")):
        row = {"MSE": f"{error:g}", "asked for": f"{asked} ({peer})"}
        for name, curve in curves.items():
            row[name] = _at(curve, error)
        rows.append(row)
    print(f"\nMNIST, bytes an image at an error, of {n:,} test images\n\n{table(rows)}\n")
    print(
        table(
            [
                {"quality": q, "bytes": f"{b:.2f}", "MSE": f"{m:.5f}"}
                for q, (b, m) in zip(QUALITIES, curves["isthmus"], strict=True)
            ]
        )
    )
    _plot(curves, "bytes an image", "mean squared error", IMAGES / "codec-mnist.png", log=True)


def _pca(train: np.ndarray, test: np.ndarray) -> Curve:
    """PCA with codes rounded to one step and the entropy of each code's histogram: what no coder goes below."""
    rows, new = (x.reshape(len(x), -1) / 255 for x in (train, test))
    pca = PCA(64, svd_solver="randomized", random_state=0).fit(rows[:20000])
    codes, curve = pca.transform(new), []
    for step in (3, 2, 1.4, 1, 0.7, 0.5, 0.35):
        rounded = np.round(codes / step)
        bits = 0.0
        for column in rounded.T:
            share = np.unique(column, return_counts=True)[1] / len(column)
            bits -= float((share * np.log2(share)).sum())
        curve.append((bits / 8, float(((pca.inverse_transform(rounded * step) - new) ** 2).mean())))
    return curve


def _at(curve: Curve, error: float) -> str:
    """Bytes at an error, between two points of a curve."""
    rates, errors = np.array(sorted(curve, key=lambda point: -point[1])).T
    if not errors.min() <= error <= errors.max():
        return "-"
    return f"{np.interp(-np.log(error), -np.log(errors), rates):.1f}"


def colour() -> None:
    """Bits a pixel and PSNR of photographs, one file each."""
    codec = data.trained("colour-lossy", "lossy", MINUTES["colour"], lambda: data.colour()[0])
    test = data.colour()[1]
    curves: dict[str, Curve] = {"isthmus": []}
    for quality in QUALITIES:
        points = []
        for x in test:
            archive = codec.compress(x[None], quality=quality)
            points.append((8 * len(archive) / x[..., 0].size, _psnr(_mse(x, codec.decompress(archive)[0]))))
        curves["isthmus"].append(_mean(points))
    for name, functions in peers().items():
        curves[name] = []
        for function in functions:
            coded = [(x, *function(x)) for x in test]
            points = [(8 * len(encoded) / x[..., 0].size, _psnr(_mse(x, decoded))) for x, encoded, decoded in coded]
            curves[name].append(_mean(points))
    _speed(codec, np.resize(test[0], (512, 768, 3))[None])
    rates = (0.2, 0.3, 0.5, 0.75, 1.0)
    rows = []
    for name, curve in curves.items():
        r, p = np.array(sorted(curve)).T
        at = {f"{x:g}": f"{np.interp(x, r, p):.2f}" if r.min() <= x <= r.max() else "-" for x in rates}
        rows.append(
            {"PSNR at bits a pixel": name, **at, "BD-rate against JPEG": f"{bd_rate(curves['JPEG'], curve):+.1f} %"}
        )
    print(f"\n{len(test)} photographs, one file each, means over files\n\n{table(rows)}")
    _plot(curves, "bits a pixel", "PSNR, dB", IMAGES / "codec-photographs.png", log=False)
    _crops(codec, test)
    saved = bd_rate(curves["JPEG"], curves["isthmus"])
    ours, avif = (np.array(sorted(curves[name])).T for name in ("isthmus", "AVIF"))
    both = np.linspace(max(0.1, ours[0, 0], avif[0, 0]), min(2, ours[0, -1], avif[0, -1]), 100)
    ahead = np.interp(both, *ours) - np.interp(both, *avif)
    for rate, more in zip(both[::9], ahead[::9], strict=True):
        print(f"{rate:.2f} bits a pixel: {more:+.2f} dB over AVIF")
    note(
        Target("unseen photographs, bytes against JPEG at equal PSNR", saved, -52, "%"),
        Target(f"PSNR over AVIF's, least of {both[0]:.2f} to {both[-1]:.2f} bits", float(ahead.min()), 0, "dB", True),
    )


def ms_ssim() -> None:
    """A codec trained for MS-SSIM beside one trained for the squared error and JPEG, at equal bytes, judged by both."""
    similarity = Objective({"ms-ssim": 1.0})

    def loss(x: np.ndarray, y: np.ndarray) -> float:
        return float(similarity(*(torch.from_numpy(z.transpose(2, 0, 1)[None] / np.float32(255)) for z in (y, x))))

    curves: dict[str, list[tuple[float, float, float]]] = {}
    test = data.colour()[1]
    for objective in ("ms-ssim", "mse"):
        codec = data.trained(
            f"colour-short-{objective}",
            "lossy",
            MINUTES["ms-ssim"],
            lambda: data.colour()[0],
            objective=objective,
        )
        functions = [
            lambda x, q=quality: (file := codec.compress(x[None], quality=q), codec.decompress(file)[0])  # noqa: B023
            for quality in QUALITIES[::2]
        ]
        curves[f"isthmus, {objective}"] = _judged(functions, test, loss)
    curves["JPEG"] = _judged(peers()["JPEG"], test, loss)
    rates, rows = (0.2, 0.3, 0.5, 0.75, 1.0), []
    for name, curve in curves.items():
        r, similar, errors = np.array(sorted(curve)).T
        cells = {}
        for x in rates:
            both = (float(np.interp(x, r, values)) for values in (similar, errors))
            inside = r.min() <= x <= r.max()
            cells[f"{x:g}"] = " / ".join(f"{value:.2f}" for value in both) if inside else "-"
        rows.append({"MS-SSIM / PSNR, dB, at bits a pixel": name, **cells})
    print(f"\n{len(test)} photographs, one file each, means over files\n\n{table(rows)}")


def _judged(
    functions: Sequence[Coder], test: Sequence[np.ndarray], loss: Callable[[np.ndarray, np.ndarray], float]
) -> list[tuple[float, float, float]]:
    """Bits a pixel, MS-SSIM as -10 log10(1 - MS-SSIM) and PSNR of each quality, means over the images."""
    found = []
    for function in functions:
        coded = [(x, *function(x)) for x in test]
        points = [(8 * len(file) / x[..., 0].size, _psnr(loss(x, y)), _psnr(_mse(x, y))) for x, file, y in coded]
        bits, similarity, noise = np.mean(points, axis=0).tolist()
        found.append((bits, similarity, noise))
    return found


def _psnr(error: float) -> float:
    return -10 * float(np.log10(max(error, 1e-10)))


def _mean(points: list[tuple[float, float]]) -> tuple[float, float]:
    rate, quality = np.mean(points, axis=0)
    return float(rate), float(quality)


def bd_rate(reference: Curve, other: Curve) -> float:
    """Mean difference in rate at equal quality, in percent (Bjøntegaard 2001, VCEG-M33), piecewise linear."""
    (r0, p0), (r1, p1) = (np.array(sorted(curve, key=lambda point: point[1])).T for curve in (reference, other))
    low, high = max(p0.min(), p1.min()), min(p0.max(), p1.max())
    grid = np.linspace(low, high, 200)
    difference = np.interp(grid, p1, np.log(r1)) - np.interp(grid, p0, np.log(r0))
    return 100 * (float(np.exp(difference.mean())) - 1)


def _speed(codec: Codec, images: np.ndarray) -> None:
    start = time.perf_counter()
    archive = codec.compress(images)
    middle = time.perf_counter()
    codec.decompress(archive)
    end = time.perf_counter()
    shape = " × ".join(map(str, images.shape))
    print(
        f"\n{shape}: encoding {middle - start:.2f} s, decoding {end - middle:.2f} s; "
        f"model {codec.model_.nbytes:,} bytes"
    )


def _plot(curves: dict[str, Curve], x: str, y: str, path: Path, *, log: bool) -> None:
    figure, axes = plt.subplots(figsize=(7, 4.6), layout="constrained")
    for number, (name, curve) in enumerate(curves.items()):
        rates, values = np.array(sorted(curve)).T
        axes.plot(rates, values, marker="o", ms=3, lw=2.4 if number == 0 else 1.2, label=name, zorder=9 - number)
    axes.set(xlabel=x, ylabel=y, xlim=(0, 100) if log else (0, 1.6))
    if log:
        axes.set(yscale="log", ylim=(1e-4, 0.06))
    else:
        axes.set(ylim=(22, 40))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _crops(codec: Codec, test: Sequence[np.ndarray]) -> None:
    """The same part of one photograph at equal bytes."""
    x = max(test, key=lambda image: float(np.abs(np.diff(image.astype(float), axis=0)).mean()))[:320, :480]
    size = 0.3 * x[..., 0].size / 8
    archive = codec.compress(x[None], quality=1) if QUICK else codec.compress(x[None], target_bytes=size)
    shown = [("original", x, x.nbytes), ("isthmus", codec.decompress(archive)[0], len(archive))]
    for name, encode, decode in (
        ("JPEG", imagecodecs.jpeg_encode, imagecodecs.jpeg_decode),
        ("WebP", lambda x, level: imagecodecs.webp_encode(x, level=level, lossless=False), imagecodecs.webp_decode),
    ):
        files = [encode(np.ascontiguousarray(x), level=level) for level in range(1, 80)]
        best = min(files, key=lambda file: abs(len(file) - len(archive)))
        shown.append((name, decode(best), len(best)))
    figure, axes = plt.subplots(1, 4, figsize=(12, 3.6), layout="constrained")
    top, left = x.shape[0] // 4, x.shape[1] // 4
    for axis, (name, image, size) in zip(axes, shown, strict=True):
        axis.imshow(image[top : top + 160, left : left + 160], interpolation="nearest")
        error = "" if name == "original" else f", {_psnr(_mse(x, image)):.1f} dB"
        axis.set_title(f"{name}: {size:,} bytes{error}", fontsize=10)
        axis.axis("off")
    figure.savefig(IMAGES / "codec-crops.png", dpi=130)
    plt.close(figure)


def main() -> None:
    print(machine())
    for name in sys.argv[1:] or MINUTES:
        {"mnist": mnist, "colour": colour, "ms-ssim": ms_ssim}[name]()


if __name__ == "__main__":
    main()
