# %% [markdown]
# # Microscope images denoised without clean data
#
# **The problem.** A folder of fluorescence images taken at low light, so that the cells live. They are grainy, and
# there is no clean image to learn from: more light would have killed what was to be seen.
#
# `Denoiser` learns from the noisy images alone. It can, because the noise of a camera has a known form: photons arrive
# one by one (Poisson), and the electronics add a little (Gaussian). How much of each is estimated from the images.
#
# **These images are simulated**: no real ones can be shipped with the guide. The physics is that of a camera: a
# point-spread function, photon noise, read noise, an offset, 16 bits. In return we know the truth, and can say how
# well it went.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import tifffile
from scipy.ndimage import gaussian_filter, median_filter

from isthmus import Denoiser

rng = np.random.default_rng(0)


def cells(size=128):
    """Photons that reach each pixel: round cells with bright filaments, blurred by the microscope."""
    yy, xx = np.mgrid[:size, :size]
    light = np.zeros((size, size))
    for _ in range(7):
        y, x, a, b = *rng.uniform(10, size - 10, 2), *rng.uniform(9, 18, 2)
        light += rng.uniform(3, 7) * (((yy - y) / a) ** 2 + ((xx - x) / b) ** 2 < 1)
        for angle in rng.uniform(0, np.pi, 6):  # filaments across the cell
            distance = (yy - y) * np.cos(angle) - (xx - x) * np.sin(angle) - rng.normal(0, 4)
            inside = ((yy - y) / a) ** 2 + ((xx - x) / b) ** 2 < 1
            light += 16 * inside * np.exp(-((distance / 0.8) ** 2))
    return 1.5 + gaussian_filter(light, 1.1)


def camera(photons):
    """What the camera writes: photon noise, a gain of 9 per electron, read noise, an offset of 100."""
    return np.clip(100 + 9 * rng.poisson(photons) + rng.normal(0, 6, photons.shape), 0, 65535).astype(np.uint16)


folder = Path("frames")
folder.mkdir()
truth = [cells() for _ in range(16)]
for i, photons in enumerate(truth):
    tifffile.imwrite(folder / f"frame-{i:02}.tif", camera(photons))
print(len(list(folder.iterdir())), "TIFFs of 128 × 128 pixels, 16 bits")

# %% [markdown]
# ## Learn from the folder, and clean it
#
# We say what kind of noise a camera has at low light, and that the images are noisy. Its levels are estimated, and
# there is no clean image anywhere.

# %%
denoiser = Denoiser("poisson+gaussian", learn_from="noisy", size="small", epochs=5, random_state=0).fit(folder)
denoiser.noise_

# %% [markdown]
# Photons at the top of the range, and the value that the camera gives to darkness, as fractions of the 16 bits. We
# know both: 65,535 / 9 = 7,282 and 100 / 65,535 = 0.00153. (Left to itself, `Denoiser()` takes the noise to be equally
# strong everywhere. Photon noise is not: say what your camera does.)

# %%
noisy = np.stack([tifffile.imread(path) for path in sorted(folder.iterdir())])
clean, doubt = denoiser.denoise(noisy, averaging=True, return_std=True)
clean.dtype, clean.shape

# %% [markdown]
# ## How well did it go?
#
# Since we made the light, we know it. The Gaussian filter has the best width that there is for these images, which
# nobody knows without the truth.

# %%
expected = 100 + 9 * np.stack(truth)


def decibels(image):
    return 10 * np.log10(np.ptp(expected) ** 2 / np.mean((image - expected) ** 2))


filters = {
    "noisy": noisy.astype(float),
    "median of 3 × 3": np.stack([median_filter(n, 3) for n in noisy]).astype(float),
}
blurs = [np.stack([gaussian_filter(n.astype(float), w) for n in noisy]) for w in (0.6, 0.8, 1.0, 1.3, 1.7)]
filters["best Gaussian filter"] = max(blurs, key=decibels)
filters["Denoiser, no clean data"] = clean.astype(float)
for name, image in filters.items():
    print(f"{name:24} {decibels(image):.1f} dB")

# %% thumbnail
fig, axes = plt.subplots(1, 5, figsize=(12, 2.8))
low, high = np.quantile(expected[0], (0.01, 0.998))
best = filters["best Gaussian filter"]
shown = {
    "camera": noisy[0],
    "Gaussian filter": best[0],
    "denoised": clean[0],
    "truth": expected[0],
    "expected error": doubt[0],
}
for axis, (name, image) in zip(axes, shown.items(), strict=True):
    limits = {"vmax": np.quantile(image, 0.995)} if name == "expected error" else {"vmin": low, "vmax": high}
    axis.imshow(image[:110, :110], cmap="magma", **limits)
    axis.set_title(name, fontsize=10)
    axis.axis("off")
plt.show()

# %% [markdown]
# After a training of half a minute it is 0.6 dB ahead of the Gaussian filter with its best width, and filaments that
# the filter melts together stay apart. The last picture is the error that the network expects of itself: larger on
# filaments, where the photon noise is larger. Longer trainings help; the [benchmarks](../benchmarks.md) have their
# figures on photographs.
#
# **What to check on your own images.** What was taken away should look like noise. Where you see a cell in it, the
# denoiser took away what was there.

# %%
taken = noisy[0].astype(float) - clean[0]
spread = np.sqrt(9 * (expected[0] - 100) + 36)  # the camera's noise, as it was simulated
fig, axes = plt.subplots(1, 2, figsize=(5.4, 2.7))
axes[0].imshow(taken[:110, :110], cmap="gray")
axes[0].set_title("taken away", fontsize=10)
axes[1].imshow((taken / spread)[:110, :110], cmap="gray", vmin=-3, vmax=3)
axes[1].set_title("in units of the noise", fontsize=10)
for axis in axes:
    axis.axis("off")
plt.show()

# %% [markdown]
# The same on the command line: `isthmus train-denoiser frames/ --noise poisson+gaussian --learn-from noisy -o cells`,
# then `isthmus denoise cells frames/ -o clean/`. It pays where photons are few. In bright light there is little noise
# to take away, and a denoiser says so.
