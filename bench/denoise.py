"""Denoisers beside median, total variation, wavelets, non-local means and BM3D.

python bench/denoise.py [mnist mnist-self photos photos-self others signals]      needs: pip install '.[bench]'

Models are kept in .bench/denoise; delete a folder there to train it again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import bm3d
import numpy as np
from scipy.ndimage import median_filter
from scipy.signal import wiener
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, denoise_wavelet

import codec_data
from isthmus import Denoiser
from isthmus.evaluation.figures.before_after import before_after, example
from machine import machine, table

MODELS = Path(__file__).parents[1] / ".bench" / "denoise"
IMAGES = Path(__file__).parents[1] / "docs" / "images"
SIGMA = 25 / 255
Filter = Callable[[np.ndarray], np.ndarray]


def trained(name: str, denoiser: Denoiser, *data: Any) -> Denoiser:
    """The denoiser of that name, trained unless it was before."""
    folder = MODELS / name
    if not (folder / "config.json").exists():
        print(f"training {name} for {denoiser.minutes:g} minutes ...", file=sys.stderr, flush=True)
        denoiser.fit(*data).save(folder)
    return Denoiser.load(folder)


def peers(sigma: float) -> dict[str, Filter]:
    """Filters of grey images in [0, 1] that know the noise's deviation (the median needs none)."""
    return {
        "median 3 × 3": lambda y: median_filter(y, 3),
        "TV": lambda y: denoise_tv_chambolle(y, weight=1.1 * sigma),
        "wavelet": lambda y: denoise_wavelet(y, sigma=sigma, method="BayesShrink", mode="soft", rescale_sigma=True),
        "non-local means": lambda y: denoise_nl_means(
            y, patch_size=5, patch_distance=8, h=0.7 * sigma, sigma=sigma, fast_mode=True
        ),
        "BM3D": lambda y: bm3d.bm3d(y, sigma),
    }


def noisy(x: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    """With Gaussian noise, not clipped."""
    return (x + sigma * np.random.default_rng(seed).standard_normal(x.shape)).astype(np.float32)


def mse(a: np.ndarray, b: np.ndarray) -> float:
    return float(((np.float64(a) - b) ** 2).mean())


def psnr(cleaned: Sequence[np.ndarray], clean: Sequence[np.ndarray]) -> float:
    """Mean over images of the ratio of the peak to the noise that is left, in dB, clipped to [0, 1]."""
    return float(np.mean([-10 * np.log10(mse(np.clip(a, 0, 1), b)) for a, b in zip(cleaned, clean, strict=True)]))


def montage(images: np.ndarray, columns: int = 20) -> np.ndarray:
    """Images (n, height, width) as one picture, the way in which filters of pictures see most of them."""
    n, height, width = images.shape
    rows = images.reshape(n // columns, columns, height, width)
    return rows.swapaxes(1, 2).reshape(n // columns * height, columns * width)


def _mnist() -> tuple[np.ndarray, np.ndarray]:
    train, test = codec_data.mnist()
    return train.astype(np.float32) / 255, test.astype(np.float32) / 255


def mnist() -> None:
    """One model, the noise level unknown to it, learned from clean digits."""
    train, test = _mnist()
    ours = trained("mnist", Denoiser("gaussian:0-0.6", minutes=10, random_state=0), train)
    rows = {name: {"MNIST, MSE at σ": name, "0": ""} for name in ("noisy", "isthmus", *peers(0.1))}
    for sigma in (0.0, 0.1, 0.25, 0.5):
        y = noisy(test, sigma)
        rows["noisy"][f"{sigma:g}"] = f"{mse(y, test):.5f}"
        cleaned, std = ours.denoise(y, return_std=True)
        rows["isthmus"][f"{sigma:g}"] = f"**{mse(cleaned, test):.6f}**"
        if sigma:
            _calibration(f"MNIST σ {sigma:g}", cleaned - test, std)
            for name, filtered in peers(sigma).items():
                some, seen = montage(test[:400]), montage(y[:400])
                rows[name][f"{sigma:g}"] = f"{mse(filtered(seen), some):.5f}"
    print(f"\n{table(list(rows.values()))}\n(filters: 400 images as one picture)")
    y = noisy(test[:4], 0.5)
    digits = [example(f"digit {i}", *pair) for i, pair in enumerate(zip(y, ours.denoise(y), strict=True))]
    before_after(digits, IMAGES / "denoise-mnist.png", "gaussian:0.5")
    start = time.perf_counter()
    ours.denoise(test)
    print(f"{len(test) / (time.perf_counter() - start):,.0f} images a second")


def _calibration(name: str, error: np.ndarray, std: np.ndarray) -> None:
    """How the errors compare with the deviations that were told: shares within 1 and 2, and the ratio by size."""
    z, order = np.abs(error / np.maximum(std, 1e-6)).ravel(), np.argsort(std, axis=None)
    parts = np.array_split(order, 5)
    ratios = [float(np.sqrt((error.ravel()[p] ** 2).mean()) / std.ravel()[p].mean()) for p in parts]
    print(
        f"{name}: {np.mean(z < 1):.1%} of the errors are within one deviation, {np.mean(z < 2):.1%} within two; error "
        f"over deviation from the surest to the least sure fifth: {', '.join(f'{r:.2f}' for r in ratios)}"
    )


def mnist_self() -> None:
    """From one noisy copy of every digit and nothing else."""
    train, test = _mnist()
    y, seen = noisy(train, 0.25, 1), noisy(test, 0.25, 2)
    rows = []
    for name, noise in (("σ given", "gaussian:0.25"), ("σ estimated", "gaussian")):
        model = Denoiser(noise, learn_from="noisy", minutes=8, random_state=0)
        ours = trained(f"mnist-self-{name[2:]}", model, y)
        cleaned, std = ours.denoise(seen, return_std=True)
        rows.append({"learned from noisy digits": name, "noise": ours.noise_, "MSE": f"{mse(cleaned, test):.5f}"})
        _calibration(name, cleaned - test, std)
    print(f"\n{table(rows)}")


def _photographs() -> tuple[list[np.ndarray], list[np.ndarray]]:
    return tuple([x.astype(np.float32) / 255 for x in part] for part in codec_data.grey())  # type: ignore[return-value]


def photos() -> None:
    """Learned from 400 photographs, judged on the 12 of the literature."""
    train, test = _photographs()
    known = {
        level: trained(f"photos-{level}", Denoiser(f"gaussian:{level / 255}", minutes=30, random_state=0), train)
        for level in (15, 25, 50)
    }
    blind = trained("photos-blind", Denoiser("gaussian:0.0196-0.2157", minutes=30, random_state=0), train)
    rows = {name: {"PSNR in dB at σ": name} for name in ("noisy", "isthmus, σ known", "isthmus, blind", *peers(0.1))}
    for level in (15, 25, 50):
        sigma = level / 255
        y = [noisy(x, sigma, i) for i, x in enumerate(test)]
        rows["noisy"][f"{level}"] = f"{psnr(y, test):.2f}"
        rows["isthmus, blind"][f"{level}"] = f"{psnr(blind.denoise(y), test):.2f}"
        rows["isthmus, σ known"][f"{level}"] = f"{psnr(known[level].denoise(y), test):.2f}"
        if level == 25:
            print(
                f"σ 25 with averaging over flips and turns: {psnr(known[25].denoise(y, averaging=True), test):.2f} dB"
            )
            cleaned, std = known[25].denoise(y, return_std=True)
            error = np.concatenate([(a - b).ravel() for a, b in zip(cleaned, test, strict=True)])
            _calibration("set12 σ 25", error, np.concatenate([s.ravel() for s in std]))
            shown = [(255 * np.clip(a, 0, 1)).astype(np.uint8) for i in (2, 8) for a in (y[i], cleaned[i])]
            photographs = [example(f"photograph {i}", *shown[2 * k : 2 * k + 2]) for k, i in enumerate((2, 8))]
            before_after(photographs, IMAGES / "denoise-photographs.png", "gaussian:25/255")
        for name, filtered in peers(sigma).items():
            rows[name][f"{level}"] = f"{psnr([filtered(image) for image in y], test):.2f}"
    print(f"\n{table([{**dict.fromkeys(('PSNR in dB at σ', '15', '25', '50'), ''), **row} for row in rows.values()])}")
    large = next(x for x in test if x.shape == (512, 512))
    start = time.perf_counter()
    known[25].denoise([large])
    print(f"512 × 512 in {time.perf_counter() - start:.2f} s")


def photos_self() -> None:
    """From the 12 noisy photographs themselves and nothing else."""
    _, test = _photographs()
    y = [noisy(x, SIGMA, i) for i, x in enumerate(test)]
    rows = []
    for name, noise in (("σ given", f"gaussian:{SIGMA}"), ("σ estimated", None)):
        model = Denoiser(noise, learn_from="noisy", minutes=5, random_state=0)
        ours = trained(f"photos-self-{name[2:]}", model, y)
        cleaned = ours.denoise(y, averaging=True)
        rows.append({"set12, σ 25, PSNR in dB": f"isthmus, {name} ({ours.noise_})", "": f"{psnr(cleaned, test):.2f}"})
    for name, filtered in peers(SIGMA).items():
        rows.append({"set12, σ 25, PSNR in dB": name, "": f"{psnr([filtered(image) for image in y], test):.2f}"})
    print(f"\n{table(rows)}")


def others() -> None:
    """Photon noise, and salt and pepper."""
    train, test = _photographs()
    rng = np.random.default_rng(0)
    rows = []
    ours = trained("photos-poisson", Denoiser("poisson:30", minutes=15, random_state=0), train)
    y = [(rng.poisson(30 * x) / 30).astype(np.float32) for x in test]
    rows.append({"PSNR in dB, set12": "Poisson, peak 30", **_compared(ours, y, test, {"BM3D, Anscombe": _anscombe})})
    ours = trained("photos-pepper", Denoiser("salt-and-pepper:0.1", minutes=5, random_state=0), train)
    y = []
    for x in test:
        chance = rng.random(x.shape)
        y.append(np.where(chance < 0.1, (chance < 0.05).astype(np.float32), x))
    filters = {"median 3 × 3": peers(0.1)["median 3 × 3"]}
    rows.append({"PSNR in dB, set12": "salt and pepper, 10 %", **_compared(ours, y, test, filters)})
    keys = list(dict.fromkeys(key for row in rows for key in row))
    print(f"\n{table([{**dict.fromkeys(keys, ''), **row} for row in rows])}")


def _compared(
    ours: Denoiser, y: list[np.ndarray], test: list[np.ndarray], filters: dict[str, Filter]
) -> dict[str, str]:
    found = {name: psnr([filtered(image) for image in y], test) for name, filtered in filters.items()}
    found = {"noisy": psnr(y, test), "isthmus": psnr(ours.denoise(y), test), **found}
    return {name: f"{value:.2f}" for name, value in found.items()}


def _anscombe(y: np.ndarray, peak: float = 30.0) -> np.ndarray:
    """BM3D between Anscombe's transform and its exact unbiased inverse (Mäkitalo and Foi 2011, closed form)."""
    z = 2 * np.sqrt(y * peak + 3 / 8)
    scale = z.max()
    d = np.maximum(bm3d.bm3d(z / scale, 1 / scale) * scale, 1.3)
    x = d**2 / 4 + np.sqrt(1.5) / 4 / d - 11 / 8 / d**2 + 5 / 8 * np.sqrt(1.5) / d**3 - 1 / 8
    cleaned: np.ndarray = np.maximum(x, 0) / peak
    return cleaned


def tones(n: int, seed: int, repeats: int = 20, length: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """Damped tones (n, length, 1), one to four in each signal, and noisy repeats (n, length, repeats)."""
    rng = np.random.default_rng(seed)
    t = np.arange(length) / length
    clean = np.zeros((n, length))
    count = rng.integers(1, 5, n)
    for k in range(4):
        size = rng.uniform(0.3, 1, (n, 1)) * (count > k)[:, None]
        wave = np.sin(2 * np.pi * (rng.uniform(2, 40, (n, 1)) * t + rng.random((n, 1))))
        clean += size * np.exp(-t / rng.uniform(0.1, 1.0, (n, 1))) * wave
    seen = clean[..., None] + rng.uniform(0.5, 2.0, (n, 1, 1)) * rng.standard_normal((n, length, repeats))
    return clean[..., None].astype(np.float32), seen.astype(np.float32)


def signals() -> None:
    """Damped tones with 20 noisy repeats each: 256 values × 20 channels to one clean signal."""
    clean, seen = tones(20_000, 0)
    test, y = tones(1_000, 1)
    ours = trained("signals", Denoiser(channel_axis=-1, minutes=3, random_state=0), seen, clean)
    mean = y.mean(-1)
    power = (np.abs(np.fft.rfft(clean[..., 0])) ** 2).mean(0)
    level = y.std(-1, ddof=1).mean(1, keepdims=True) ** 2 / y.shape[-1] * y.shape[1]  # noise's power in the mean
    optimal = np.fft.irfft(np.fft.rfft(mean) * power / (power + level), y.shape[1])
    found = {
        "mean of 20": mean,
        "mean, then SciPy's Wiener filter": np.stack([wiener(row, 5) for row in mean]),
        "mean, then the Wiener filter of the training signals' spectrum": optimal,
        "isthmus": ours.denoise(y)[..., 0],
    }
    rows = [{"damped tones": name, "MSE": f"{mse(x, test[..., 0]):.5f}"} for name, x in found.items()]
    print(f"\n{table(rows)}")


PARTS = {
    "mnist": mnist,
    "mnist-self": mnist_self,
    "photos": photos,
    "photos-self": photos_self,
    "others": others,
    "signals": signals,
}


def main() -> None:
    print(machine())
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()
