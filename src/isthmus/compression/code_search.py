"""Which whole numbers are written for an image: not the nearest ones, but those that cost least in bits and error.

Rounding looks at one number at a time, and neither at what a number costs nor at what its neighbours already get wrong.
Readers see no difference: they decode whatever was written. Rate-distortion optimised quantisation: Sullivan and
Wiegand 1998, "Rate-distortion optimization for video compression", IEEE SPM 15(6); of learned codes, by gradients:
Campos et al. 2019, "Content adaptive optimization for neural image compression", CVPR workshops, arXiv:1906.01223.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.compression.coding.codes import MOST_CODE
from isthmus.compression.coding.context import Context
from isthmus.compression.coding.exact import SUBLEVEL, UNIT
from isthmus.compression.lossy_network import LossyNetwork, RateNetwork, nats_of

ROUNDS = 2  # four take twice the time and save a fifth more


class CodeSearch:
    """Rounds of small steps from the nearest whole numbers, on the cost that the network was trained for.

    The cost is bits + λ · squared error. In each round every number may go one up or down: its own bits are known, the
    rest of the cost (the picture, and the probabilities of the numbers coded after it) is expanded around the present
    numbers. Those of every other position take the step that pays, so that neighbours do not mend the same error twice.
    """

    def __init__(self, network: LossyNetwork, rate: RateNetwork, lambdas: tuple[float, float]) -> None:
        self._network, self._rate, self._lambdas = network, rate, lambdas

    @classmethod
    def of(cls, network: LossyNetwork, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> CodeSearch:
        """The search for codes of a stored model."""
        latents = config["latents"]
        context = Context(np.array(latents["window"], np.int32).reshape(-1, 2))
        rate = RateNetwork(context, latents["channels"], len(latents["groups"]), len(tensors["0.0.bias"]))
        rate.restore(tensors, UNIT, SUBLEVEL)
        low, high = config["lambdas"]
        return cls(network.requires_grad_(False), rate.requires_grad_(False), (low, high))

    @torch.inference_mode(False)
    def __call__(self, x: Tensor, quality: Tensor) -> Tensor:
        """Whole numbers (N, C, H, W) within ±127 for images (N, channels, height, width) in [0, 1]."""
        x, quality = x.clone(), quality.clone()  # what was made without gradients takes no part in any
        low, high = self._lambdas
        weight = (low * (high / low) ** quality)[:, None, None, None] * math.log(2)  # of an error, in nats
        curvature = weight * self._network.curvature(quality)
        codes = torch.round(self._network.scaled(x, quality))
        rows, columns = (torch.arange(n) for n in codes.shape[2:])
        for number in range(ROUNDS):
            steps = self._steps(x, codes, quality, weight, curvature)
            codes = codes + steps * ((rows[:, None] + columns + number) % 2 == 0)
        return codes

    def _steps(self, x: Tensor, codes: Tensor, quality: Tensor, weight: Tensor, curvature: Tensor) -> Tensor:
        """For each number the step that lowers the cost most: -1, 0 or 1."""
        codes = codes.detach().requires_grad_()
        with torch.enable_grad():
            mixtures = self._rate.mixtures(codes, quality)
            nats = nats_of(codes.detach(), mixtures)
            error = (self._network.reconstruct(codes, quality, x.shape[2:]) - x).square()
            (slope,) = torch.autograd.grad(nats.sum() + (weight * error).sum(), codes)
        steps, best = torch.zeros_like(codes), torch.zeros_like(codes)
        with torch.no_grad():
            for step in (-1, 1):
                own = (
                    (nats_of(codes + step, mixtures) - nats).view(*codes.permute(0, 2, 3, 1).shape).permute(0, 3, 1, 2)
                )
                change = own + step * slope + curvature
                change[(codes + step).abs() > MOST_CODE] = math.inf
                steps[change < best] = step
                best = torch.minimum(best, change)
        return steps
