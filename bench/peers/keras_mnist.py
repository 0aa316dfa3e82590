"""A Keras auto-encoder on MNIST until it reaches a test error: bench/time_to_quality.py runs it in Keras' environment.

python bench/peers/keras_mnist.py DATA.npz {conv,dense} SEED MARK LIMIT

Keras as its guides use it: `fit` on float32 arrays, Adam, batches of 64. The error on the test images is looked at
every 50 steps; that time is not counted. Prints one line of JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

STEPS_BETWEEN_LOOKS = 50


def convolutional() -> keras.Model:
    """Three stride-2 convolutions, a code of 10, nearest up-sampling with convolutions."""
    return keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            *(layers.Conv2D(n, 3, strides=2, padding="same", activation="relu") for n in (32, 64, 128)),
            layers.Flatten(),
            layers.Dense(10),
            layers.Dense(4 * 4 * 128, activation="relu"),
            layers.Reshape((4, 4, 128)),
            layers.UpSampling2D(2),
            layers.Cropping2D(((0, 1), (0, 1))),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.UpSampling2D(2),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.UpSampling2D(2),
            layers.Conv2D(1, 3, padding="same"),
        ]
    )


def dense() -> keras.Model:
    """784-500-250-10 and back."""
    return keras.Sequential(
        [
            layers.Input((784,)),
            *(layers.Dense(n, activation="relu") for n in (500, 250)),
            layers.Dense(10),
            *(layers.Dense(n, activation="relu") for n in (250, 500)),
            layers.Dense(784, activation="sigmoid"),
        ]
    )


class StopAtMark(keras.callbacks.Callback):
    """Stops at the mark or the time limit, and counts the seconds of training alone."""

    def __init__(self, test: np.ndarray, mark: float, limit: float) -> None:
        super().__init__()
        self.test, self.mark, self.limit = test, mark, limit
        self.seconds, self.steps, self.error, self.best = 0.0, 0, float("inf"), float("inf")

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.clock = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.steps += 1
        if self.steps % STEPS_BETWEEN_LOOKS:
            return
        self.seconds += time.perf_counter() - self.clock
        rebuilt = np.concatenate([self.model.predict_on_batch(x) for x in np.array_split(self.test, 10)])
        self.error = float(((rebuilt - self.test) ** 2).mean())
        self.best = min(self.best, self.error)
        if self.error <= self.mark or self.seconds > self.limit:
            self.model.stop_training = True
            raise StopIteration
        self.clock = time.perf_counter()


def main() -> None:
    path, network, seed, mark, limit = sys.argv[1:]
    keras.utils.set_random_seed(int(seed))
    with np.load(path) as data:
        train, test = data["train"], data["test"]
    shape = (-1, 28, 28, 1) if network == "conv" else (-1, 784)
    train, test = (x.reshape(shape).astype(np.float32) / 255 for x in (train, test))
    model = convolutional() if network == "conv" else dense()
    model.compile(optimizer="adam", loss="mse", jit_compile=os.environ.get("KERAS_JIT") == "1")
    stop = StopAtMark(test, float(mark), float(limit))
    with contextlib.suppress(StopIteration):
        model.fit(train, train, batch_size=64, epochs=1000, verbose=0, callbacks=[stop])
    figures = {"seconds": stop.seconds, "error": stop.error, "best": stop.best, "steps": stop.steps}
    print(json.dumps(figures | {"version": keras.__version__}))


if __name__ == "__main__":
    main()
