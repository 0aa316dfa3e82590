# %% [markdown]
# # Search by example
#
# **The problem.** A folder of photographs with no captions. "Find me more like this one."
#
# The code of a photograph is a place in a space; photographs nearby look alike. The codes go into a store on disk,
# which is searched in milliseconds and read by other programs, too (LanceDB).
#
# The photographs are those of CIFAR-10: 32 × 32 pixels, ten kinds of things in folders of their own. The kinds are
# used to judge the search, never to learn.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from isthmus import AutoEncoder, Store, open_source
from isthmus.latent.store import Origin, Rows, write_store

folder = Path(os.environ.get("ISTHMUS_DATA", "data")) / "cifar10"
if not folder.is_dir():
    raise SystemExit(
        "This notebook needs photographs: set ISTHMUS_DATA to a folder that holds cifar10/airplane/ and so on"
    )
photos = open_source(folder)
chosen = np.random.default_rng(0).permutation(len(photos))[:3_000]
images, kinds = photos.take(chosen), photos.labels[chosen]
print(f"{len(photos):,} photographs, of which {len(images):,} are taken here: {images.shape}, {images.dtype}")

# %% [markdown]
# ## Codes that do not mind a small shift
#
# A plain auto-encoder remembers where each colour was. With `consistency="warp"` a photograph and the same one turned
# or moved a little get nearly the same code, which is what a search wants.

# %%
model = AutoEncoder(32, channels=(16, 32, 64), consistency="warp", epochs=4, random_state=0).fit(images)
codes = model.transform(images)
codes.shape

# %% [markdown]
# ## The store

# %%
names = [photos.location(int(i)).rsplit("cifar10", 1)[-1].strip("/\\") for i in chosen]
write_store("photos.lance", [Rows(names, codes, kinds)], Origin("photos-32", "0" * 64))
store = Store("photos.lance")
for found in store.nearest(codes[:1], k=4)[0]:
    print(f"{found.distance:6.2f}  {found.sample}")

# %% [markdown]
# The first hit is the photograph itself, at no distance. On the command line, `isthmus embed MODEL photos/ -o
# photos.lance` makes such a store, and `isthmus similar MODEL QUERY --in photos.lance` searches it.

# %% thumbnail
number = {name: i for i, name in enumerate(names)}
queries = [int(np.flatnonzero(kinds == kind)[3]) for kind in np.unique(kinds)[[0, 4, 8, 9]]]
fig, axes = plt.subplots(len(queries), 9, figsize=(9, 1.05 * len(queries)))
for row, hits in zip(axes, store.nearest(codes[queries], k=9), strict=True):
    for axis, hit in zip(row, hits, strict=True):
        axis.imshow(images[number[hit.sample]])
        axis.axis("off")
for axis, text in zip(axes[0], ["query", "nearest →"], strict=False):
    axis.set_title(text, fontsize=9, loc="left")
plt.show()

# %% [markdown]
# ## How good is it?
#
# The kinds judge: how many of the ten nearest photographs show the same kind of thing? By chance it would be 10 %.

# %%
pixels = images.reshape(len(images), -1) / 255.0
spaces = {
    "isthmus, 32 numbers": codes,
    "PCA, 32 numbers": PCA(32, random_state=0).fit_transform(pixels),
    "3,072 pixels": pixels,
}
for name, space in spaces.items():
    nearest = NearestNeighbors(n_neighbors=11).fit(space).kneighbors(space, return_distance=False)[:, 1:]
    print(f"{name:20} {np.mean(kinds[nearest] == kinds[:, None]):.1%} of the ten nearest are of the same kind")

# %% [markdown]
# Better than pixels and than PCA, and far from good: what an auto-encoder finds alike is colour, layout and texture,
# not whether it is a dog or a horse. That is right for textures, microscope images, scans or products in front of a
# wall. **Who wants "another dog" needs a network that has learned words from millions of labelled photographs**; its
# vectors go into the same store.
