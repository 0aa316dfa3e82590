"""Digits drawn by pythae: bench/latent_space.py runs this in pythae's environment.

python bench/peers/pythae_samples.py DATA.npz OUTPUT.npy {ae,vae} LATENT_DIM SECONDS COUNT SEED

As pythae's documentation has it: `AE` with its `GaussianMixtureSampler` (10 components), or `VAE` with its
`NormalSampler`; `BaseTrainer` with Adam, learning rate 1e-3, batches of 64. The layers are the convolutional ones of
bench/peers/pythae_mnist.py. Training ends when its seconds of the processor are over. Prints one line of JSON.
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
from pythae.models import AE, VAE, AEConfig, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseEncoder
from pythae.samplers import GaussianMixtureSampler, NormalSampler
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from pythae_mnist import Decoder, Encoder, networks
from torch import nn


class VariationalEncoder(BaseEncoder):
    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: torch.Tensor) -> ModelOutput:
        mean, log_variance = self.layers(x).chunk(2, dim=1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class StopAfter(TrainingCallback):
    def __init__(self, seconds: float) -> None:
        self.end, self.steps = time.process_time() + seconds, 0

    def on_train_step_end(self, training_config: BaseTrainerConfig, **kwargs: object) -> None:
        self.steps += 1
        if time.process_time() > self.end:
            raise StopIteration


def main() -> None:
    path, output, kind, latent_dim, seconds, count, seed = sys.argv[1:]
    logging.disable(logging.INFO)
    torch.manual_seed(int(seed))
    np.random.seed(int(seed))  # noqa: NPY002  # pythae's sampler draws from the global generator
    with np.load(path) as data:
        train = torch.from_numpy(data["train"]).unsqueeze(1).float() / 255
    size = {"input_dim": (1, 28, 28), "latent_dim": int(latent_dim)}
    if kind == "ae":
        encoder, decoder = networks("conv", size["latent_dim"])
        model = AE(AEConfig(**size), Encoder(encoder), Decoder(decoder))
    else:
        encoder, decoder = networks("conv", size["latent_dim"], numbers_per_latent=2)
        model = VAE(VAEConfig(**size), VariationalEncoder(encoder), Decoder(decoder))
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(
            output_dir=folder, num_epochs=1000, learning_rate=1e-3, per_device_train_batch_size=64, seed=int(seed)
        )
        stop = StopAfter(float(seconds))
        dataset = BaseDataset(train, torch.zeros(len(train)))
        trainer = BaseTrainer(model, dataset, training_config=config, callbacks=[stop])
        with contextlib.suppress(StopIteration):
            trainer.train()
    model.eval()
    start = time.process_time()
    with torch.inference_mode():
        if kind == "ae":
            sampler = GaussianMixtureSampler(model)
            sampler.fit(train)
        else:
            sampler = NormalSampler(model)
        drawn = sampler.sample(num_samples=int(count))
    np.save(output, (drawn[:, 0].clamp(0, 1) * 255).round().to(torch.uint8).numpy())
    figures = {"steps": stop.steps, "seconds to fit and draw": time.process_time() - start}
    print("\n" + json.dumps(figures | {"version": version("pythae")}))


if __name__ == "__main__":
    main()
