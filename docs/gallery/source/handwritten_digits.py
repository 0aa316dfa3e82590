# %% [markdown]
# # Handwritten digits, end to end
#
# **The problem.** A drawer full of scanned digits, and a hundred of them labelled. What can be done with the rest?
#
# An auto-encoder learns ten numbers for each image from the images alone. We set them beside PCA with ten numbers, use
# them to learn from few labels, and look at the images that do not fit.

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from isthmus import AutoEncoder, datasets, evaluate_representation

digits = datasets.load("mnist")  # from the folder ISTHMUS_DATA, or else downloaded once
digits

# %% [markdown]
# ## Train
#
# Images get a convolutional network by default. A fully connected one is several times faster, and good enough for
# digits that are centred: 20,000 images, eight times over, take some seconds on a quiet machine. (This page was made
# on a busy one.)

# %%
X, X_test, y_test = digits.train.images[:20_000], digits.test.images, digits.test.labels
model = AutoEncoder(latent_dim=10, network="dense", epochs=8, random_state=0, verbose=True).fit(X)

# %% [markdown]
# A fitted model shows what it does: originals above, the code in the narrow place, and what the decoder rebuilds from
# nothing but the code.

# %%
model

# %% [markdown]
# ## Is it better than PCA?
#
# That should always be asked first. Everything is measured on images that neither has seen.

# %%
measured = evaluate_representation(model, X_test, y_test, train=X, y_train=digits.train.labels[:20_000], most=1_500)
measured

# %% [markdown]
# The error is little more than a third of PCA's, and a linear classifier reads more from the ten numbers than from all
# 784 pixels when it has 1,500 labels. With 60,000 labels and a convolutional network that would be the other way
# round: codes pay where labels are few.

# %%
labelled = np.random.default_rng(0).choice(len(X), 100, replace=False)
y_few = digits.train.labels[labelled]
pca = PCA(10, random_state=0).fit(X.reshape(len(X), -1) / 255)
features = {
    "784 pixels": (X[labelled].reshape(100, -1) / 255, X_test.reshape(len(X_test), -1) / 255),
    "10 numbers, PCA": tuple(pca.transform(part.reshape(len(part), -1) / 255) for part in (X[labelled], X_test)),
    "10 numbers, isthmus": (model.transform(X[labelled]), model.transform(X_test)),
}
for name, (few, test) in features.items():
    scale = few.std(axis=0) + 1e-6
    accuracy = LogisticRegression(max_iter=1_000).fit(few / scale, y_few).score(test / scale, y_test)
    print(f"{name:22} {accuracy:.1%} right after 100 labels")

# %% [markdown]
# ## Which images do not fit?
#
# `score_samples` is minus the error of each image. The lowest scores are the ones to look at by eye.

# %% thumbnail
worst = model.score_samples(X_test).argsort()[:10]
fig, axes = plt.subplots(2, 10, figsize=(10, 2.3))
for column, (before, after) in enumerate(zip(X_test[worst], model.reconstruct(X_test[worst]), strict=True)):
    for axis, picture in zip(axes[:, column], (before, after), strict=True):
        axis.imshow(picture, cmap="gray_r")
        axis.axis("off")
    axes[0, column].set_title(f"a {y_test[worst[column]]}", fontsize=9)
fig.suptitle("the ten worst of 10,000: original above, rebuilt below", fontsize=10, y=1.06)
plt.show()

# %% [markdown]
# Thick pens, blots and rare shapes: the decoder draws the nearest thing that it knows. These are the images to check,
# or to leave out of a training set.
#
# ## Keep it
#
# A model is a folder of JSON and safetensors. Nothing in it is executed when it is loaded, here or elsewhere.

# %%
from isthmus import load

folder = model.save("digits-10")
again = load(folder)
print(sorted(path.suffix for path in folder.iterdir()))
print("the same codes:", np.array_equal(again.transform(X_test[:100]), model.transform(X_test[:100])))

# %% [markdown]
# `model.report(X_test, "report/")` writes all of this and more as one HTML file, and a notebook shows it in place. On
# the command line: `isthmus train mnist --latent-dim 10`.
