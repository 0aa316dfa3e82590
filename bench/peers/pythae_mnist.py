"""A pythae auto-encoder on MNIST until it reaches a test error: bench/time_to_quality.py runs it in its environment.

python bench/peers/pythae_mnist.py DATA.npz {conv,dense} SEED MARK LIMIT

pythae as its documentation uses it: `AE` with an encoder and a decoder of one's own, `BaseTrainer` with Adam, learning
rate 1e-3, batches of 64. The error on the test images is looked at every 50 steps; that time is not counted. Prints one
line of JSON.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import tempfile
import time
from importlib.metadata import version

import numpy as np
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import AE, AEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import nn

STEPS_BETWEEN_LOOKS = 50


class Encoder(BaseEncoder):
    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: torch.Tensor) -> ModelOutput:
        return ModelOutput(embedding=self.layers(x))


class Decoder(BaseDecoder):
    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, z: torch.Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z))


class Crop(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :, :7, :7]


def networks(name: str, latent_dim: int = 10, numbers_per_latent: int = 1) -> tuple[nn.Module, nn.Module]:
    """The layers of bench/peers/keras_mnist.py."""
    code_size = latent_dim * numbers_per_latent
    if name == "dense":
        encoder = [
            nn.Flatten(),
            nn.Linear(784, 500),
            nn.ReLU(),
            nn.Linear(500, 250),
            nn.ReLU(),
            nn.Linear(250, code_size),
        ]
        decoder = [
            nn.Linear(latent_dim, 250),
            nn.ReLU(),
            nn.Linear(250, 500),
            nn.ReLU(),
            nn.Linear(500, 784),
            nn.Sigmoid(),
        ]
        return nn.Sequential(*encoder), nn.Sequential(*decoder, nn.Unflatten(1, (1, 28, 28)))
    encoder = []
    for n_in, n_out in ((1, 32), (32, 64), (64, 128)):
        encoder += [nn.Conv2d(n_in, n_out, 3, 2, 1), nn.ReLU()]
    up = nn.Upsample(scale_factor=2)
    decoder = [nn.Linear(latent_dim, 2048), nn.ReLU(), nn.Unflatten(1, (128, 4, 4)), up, Crop()]
    decoder += [
        nn.Conv2d(128, 64, 3, 1, 1),
        nn.ReLU(),
        up,
        nn.Conv2d(64, 32, 3, 1, 1),
        nn.ReLU(),
        up,
        nn.Conv2d(32, 1, 3, 1, 1),
    ]
    return nn.Sequential(*encoder, nn.Flatten(), nn.Linear(2048, code_size)), nn.Sequential(*decoder)


class StopAtMark(TrainingCallback):
    """Stops at the mark or the time limit, and counts the seconds of training alone."""

    def __init__(self, model: AE, test: torch.Tensor, mark: float, limit: float) -> None:
        self.model, self.test, self.mark, self.limit = model, test, mark, limit
        self.seconds, self.steps, self.error, self.best = 0.0, 0, float("inf"), float("inf")
        self.clock = time.perf_counter()

    def on_train_step_end(self, training_config: BaseTrainerConfig, **kwargs: object) -> None:
        self.steps += 1
        if self.steps % STEPS_BETWEEN_LOOKS:
            return
        self.seconds += time.perf_counter() - self.clock
        self.model.eval()
        with torch.inference_mode():
            errors = [self.model({"data": x}).recon_x.sub(x).square().mean() for x in self.test.split(1000)]
        self.model.train()
        self.error = float(torch.stack(errors).mean())
        self.best = min(self.best, self.error)
        if self.error <= self.mark or self.seconds > self.limit:
            raise StopIteration
        self.clock = time.perf_counter()


def main() -> None:
    path, network, seed, mark, limit = sys.argv[1:]
    logging.disable(logging.INFO)
    torch.manual_seed(int(seed))
    with np.load(path) as data:
        train, test = (torch.from_numpy(data[part]).unsqueeze(1).float() / 255 for part in ("train", "test"))
    encoder, decoder = networks(network)
    model = AE(AEConfig(input_dim=(1, 28, 28), latent_dim=10), Encoder(encoder), Decoder(decoder))
    stop = StopAtMark(model, test, float(mark), float(limit))
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(
            output_dir=folder, num_epochs=1000, learning_rate=1e-3, per_device_train_batch_size=64, seed=int(seed)
        )
        dataset = BaseDataset(train, torch.zeros(len(train)))
        trainer = BaseTrainer(model, dataset, training_config=config, callbacks=[stop])
        stop.clock = time.perf_counter()
        with contextlib.suppress(StopIteration):
            trainer.train()
    figures = {"seconds": stop.seconds, "error": stop.error, "best": stop.best, "steps": stop.steps}
    print("\n" + json.dumps(figures | {"version": version("pythae")}))


if __name__ == "__main__":
    main()
