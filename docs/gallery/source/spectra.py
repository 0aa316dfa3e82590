# %% [markdown]
# # Spectra: compressed, mapped, and where PCA wins
#
# **The problem.** A near-infrared spectrometer on a belt of food powders. Every sample is a row of 176 numbers, with
# the wavelengths as columns. How few numbers hold all of it? And what does the collection look like?
#
# **These spectra are simulated** by the law that rules them (Beer and Lambert): the absorptions of water, fat, protein
# and starch at their known wavelengths, added in proportion, then scattered by grains of different sizes, with an
# instrument's noise. That makes a point that real data seldom make as clearly: **for what is linear, PCA is right.**

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from isthmus import AutoEncoder, ManifoldMap, evaluate_representation

wavelengths = np.arange(1100, 2500, 8)
bands = {  # of each substance: nanometres, width, height
    "water": [(1450, 45, 1.0), (1940, 50, 1.6)],
    "fat": [(1210, 30, 0.4), (1725, 22, 0.9), (1760, 22, 0.7), (2310, 25, 1.3), (2345, 25, 0.9)],
    "protein": [(1510, 40, 0.5), (2055, 40, 0.8), (2180, 35, 0.9)],
    "starch": [(1580, 60, 0.5), (2100, 60, 1.2), (2280, 40, 0.7)],
}
pure = np.stack([sum(h * np.exp(-(((wavelengths - c) / w) ** 2) / 2) for c, w, h in bands[name]) for name in bands])
recipes = {"flour": (12, 2, 11, 75), "milk powder": (3, 27, 26, 44), "cocoa": (5, 22, 20, 53), "soya": (9, 20, 40, 31)}
rng = np.random.default_rng(0)
product = rng.choice(list(recipes), 1_000)
shares = np.stack([rng.dirichlet(0.8 * np.array(recipes[name])) for name in product])  # water, fat, protein, starch


def measured(shares, scatter):
    """Absorbances, (n, wavelengths). scatter : how much grain sizes differ, which multiplies and bends a spectrum."""
    light = shares @ pure
    x = np.linspace(-1, 1, len(wavelengths))
    path, offset, slope = (rng.normal(0, s * scatter, (len(light), 1)) for s in (0.5, 0.15, 0.1))
    bent = np.log1p(2 * light * np.exp(path)) / 2  # stray light: dark places look less dark
    return (light if scatter == 0 else bent + offset + slope * x) + rng.normal(0, 0.002, light.shape)


spectra = pd.DataFrame(measured(shares, scatter=0.5), columns=wavelengths)
spectra.iloc[:3, :6].round(3)

# %% [markdown]
# ## A solution, without scatter: linear

# %%
clear = measured(shares, scatter=0.0)
linear = AutoEncoder(3, kind="signals", network="dense", epochs=50, random_state=0).fit(clear[:700])
evaluate_representation(linear, clear[700:], shares[700:, 0], train=clear[:700], y_train=shares[:700, 0])

# %% [markdown]
# Four shares that add up to 1 are three numbers, and PCA with three numbers finds them: what it leaves is the noise,
# and it reads the water content exactly (R² of 1.000). The auto-encoder comes near and adds nothing. **Take PCA
# here**: it is faster, and its axes can be explained.
#
# ## Powders, with scatter: bent

# %%
model = AutoEncoder(6, kind="signals", network="dense", epochs=50, random_state=0).fit(spectra[:700])
model

# %%
evaluate_representation(model, spectra[700:], shares[700:, 0], train=spectra[:700], y_train=shares[:700, 0])

# %% [markdown]
# Grain sizes multiply, shift and bend a spectrum, so that six numbers are needed, and straight axes fit less well.
# Here the auto-encoder is ahead: a fifth less error than PCA with as many numbers, and products that are alike are
# nearer to one another. `linear probe` is how much of the **water content** a straight line reads from the numbers
# (R²): about as much from both. Most is read from all 175 wavelengths: **who wants nothing but the water content takes
# a linear regression on the whole spectrum.**
#
# ## The map of the collection
#
# Scatter is the largest thing in these spectra, so a map of them is largely a map of grain sizes. Every spectroscopist
# knows the cure: bring each spectrum to mean 0 and deviation 1 first (standard normal variate).

# %% thumbnail
corrected = spectra.sub(spectra.mean(axis=1), axis=0).div(spectra.std(axis=1), axis=0)
colors = dict(zip(recipes, ("#366afe", "#bb9a03", "#a81b21", "#12897d"), strict=True))
fig, axes = plt.subplots(1, 3, figsize=(11, 3.4))
for name, color in colors.items():
    axes[0].plot(wavelengths, spectra[product == name].iloc[0], color=color, label=name)
axes[0].legend(fontsize=8)
axes[0].set(xlabel="nm", title="one spectrum of each")
for axis, rows, title in (
    (axes[1], spectra, "a map of the spectra"),
    (axes[2], corrected, "the same, scatter corrected"),
):
    chart = ManifoldMap(epochs=30, hidden=(128,) * 4, random_state=0).fit(rows)
    places = chart.transform(rows)
    for name, color in colors.items():
        axis.scatter(*places[product == name].T, s=5, color=color)
    axis.set(title=title, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# In the middle only the flour stands apart; on the right soya does, too, and milk powder and cocoa, which have nearly
# the same recipe, share a border. No network replaces knowing one's data.
#
# New powders are placed on the map in milliseconds, and any place on it can be decoded into a spectrum:
# `chart.inverse_transform(place)`. A CSV file with wavelengths as columns is read just so: `isthmus train spectra.csv
# --kind signals --latent-dim 6`.
