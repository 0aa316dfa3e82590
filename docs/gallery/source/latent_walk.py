# %% [markdown]
# # A walk through the codes, as an animation
#
# **The problem.** Morph one shape into another, for a film or a logo, such that every frame in between is a shape of
# the same kind. Blending pixels gives ghosts: both shapes at once, half transparent.
#
# A decoder that has learned handwriting draws handwriting for nearly every code. So we walk from code to code, and
# decode each step.

# %%
import io

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image
from PIL import Image as Picture

from isthmus import AutoEncoder, datasets

digits = datasets.load("mnist")  # from the folder ISTHMUS_DATA, or else downloaded once
X, y = digits.train.images[:20_000], digits.train.labels[:20_000]
model = AutoEncoder(latent_dim=12, network="dense", epochs=8, random_state=0).fit(X)
Z = model.transform(X[:1_000])
some = {digit: Z[np.flatnonzero(y[:1_000] == digit)[2]] for digit in range(10)}

# %% [markdown]
# ## Two ways from a 0 to a 4
#
# The straight way is the shortest between the codes. The geodesic is the shortest *as the decoder sees it*: in equal
# steps of change, through codes that data have. `length` is how much changes on the way.

# %%
straight = model.interpolate(some[0], some[4], steps=16)
straight

# %%
geodesic = model.interpolate(some[0], some[4], steps=16, path="geodesic", Z=Z)
geodesic

# %% [markdown]
# ## Beside blended pixels

# %% thumbnail
ends = model.decode(np.stack([some[0], some[4]])).astype(float)
blended = np.stack([(1 - t) * ends[0] + t * ends[1] for t in np.linspace(0, 1, 16)])
ways = {"pixels": blended, "straight": straight.samples, "geodesic": geodesic.samples}
fig, axes = plt.subplots(3, 16, figsize=(11, 2.3))
for row, (name, frames) in zip(axes, ways.items(), strict=True):
    for axis, frame in zip(row, frames, strict=True):
        axis.imshow(frame, cmap="gray_r", vmin=0, vmax=255)
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10)
plt.show()

# %% [markdown]
# Ink is black or it is not there. A ghost is grey. So we count the share of grey among what is inked, in the middle
# half of each way:

# %%
for name, frames in {"real digits": X[:1_000], **ways}.items():
    middle = np.asarray(frames if name == "real digits" else frames[4:12], float)
    grey = np.mean((middle > 64) & (middle < 192)) / np.mean(middle > 64)
    print(f"{name:12} {grey:.0%} of the ink is grey")

# %% [markdown]
# Blended pixels are three quarters grey. Both ways through the codes stay near the third that real handwriting has:
# every frame is a shape of its own. The geodesic changes a fifth less on its way; here the straight way would do.
#
# ## The animation
#
# A round trip through five digits by straight ways, which are at hand in milliseconds; a geodesic takes some seconds.
# It is a GIF; `walk` is an array of frames that any other format takes as well.

# %%
stops = [some[digit] for digit in (0, 6, 8, 9, 3)]
legs = zip(stops, stops[1:] + stops[:1], strict=True)
walk = np.concatenate([model.interpolate(a, b, steps=12).samples[:-1] for a, b in legs])
frames = [Picture.fromarray(255 - frame).resize((112, 112), Picture.Resampling.BICUBIC) for frame in walk]
file = io.BytesIO()
frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=80, loop=0)
Image(file.getvalue(), format="gif", alt="handwritten digits that turn into one another")

# %% [markdown]
# `model.sample` draws new codes, and `isthmus explore` walks live, with a slider for each number.
