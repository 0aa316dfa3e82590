"""How strange images and signals are to what was learned: as a whole, and value by value."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.anomalies.hidden_cells import SIZES, guesses
from isthmus.anomalies.image_features import blurred, distances, edge_features
from isthmus.data.tiles import tiles
from isthmus.device import in_best_memory_order
from isthmus.estimators.model_contents import parts_of
from isthmus.networks import restored
from isthmus.networks.unet import UNet, UNetSpec
from isthmus.training.task import in_memory_order
from isthmus.typed_json import typed_array

_SMOOTHING, _SMOOTHED = {1: 2.0, 2: 1.2, 3: 1.0}, 24  # of heat maps: in values by the number of axes, parts of a side
_TOP, _MOST_TOP = 0.05, 256  # share of a heat map's values, and how many, that count for the whole
_NEAREST = 2.0  # deviations below the usual distance that count as none
_LEAST = 1e-6  # of what logarithms are taken of


@dataclass(frozen=True)
class ImageJudge:
    """What one network and one bank of samples say of others.

    bank : edge features of the samples that were learned from, (m, F); None where samples may have any size. centre,
    spread : of the two statistics of `statistics` on samples that were learned from, (2,).
    """

    network: UNet
    bank: Tensor | None
    centre: Tensor
    spread: Tensor

    def strangeness(self, x: Tensor) -> Tensor:
        """How strange samples (N, C, *S) are, as a whole and by errors together, (N,), in deviations from the usual.

        It is the root of a sum of squares: the larger of the two counts most, so that a small defect, which hardly
        changes the whole, still shows.
        """
        apart, errors = ((statistics(self.network, self.bank, x) - self.centre) / self.spread).unbind(1)
        if self.bank is None:
            return errors
        return torch.hypot((apart + _NEAREST).clamp(min=0), errors.clamp(min=0))

    def heat(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The smoothed error of guesses for each value of samples (N, C, *S), and the guesses.

        1 is what the largest errors of a usual sample amount to."""
        errors, guess = _errors(self.network, x, thorough=True)
        return _smooth(errors) / self.centre[1].exp(), guess

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.centre.device

    def to(self, device: torch.device) -> ImageJudge:
        """The same on a device."""
        if self.device == device:
            return self
        bank = None if self.bank is None else self.bank.to(device)
        return ImageJudge(self.network.to(device), bank, self.centre.to(device), self.spread.to(device))

    def arrays(self) -> dict[str, np.ndarray]:
        """What a model's folder keeps; the bank in half precision."""
        found = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        found |= {"centre": self.centre, "spread": self.spread}
        if self.bank is not None:
            found["bank"] = self.bank.half()
        return {name: tensor.detach().cpu().numpy() for name, tensor in found.items()}

    @classmethod
    def of_arrays(cls, spec: UNetSpec, arrays: Mapping[str, np.ndarray]) -> ImageJudge:
        """The inverse of `arrays`. spec : of the network."""
        network = restored(spec.build, parts_of(arrays, "network", "centre", "spread", "bank")["network"])
        in_best_memory_order(network, spec.num_spatial_dims + 2)
        centre, spread = (torch.from_numpy(typed_array(arrays, name, "float32", 2)) for name in ("centre", "spread"))
        bank = torch.from_numpy(arrays["bank"]).float() if "bank" in arrays else None
        return cls(network, bank, centre, spread)


@torch.inference_mode()
def statistics(network: UNet, bank: Tensor | None, x: Tensor, *, skip: int = 0) -> Tensor:
    """Logarithms of the distance to the nearest of the bank and of the largest errors, (N, 2).

    skip : 1 where the samples are of the bank themselves.
    """
    errors = _smooth(_errors(network, x, thorough=False)[0].mean(1, keepdim=True)).flatten(1)
    count = min(_MOST_TOP, max(1, round(_TOP * errors.shape[1])))
    top = errors.topk(count).values.mean(1)
    apart = top if bank is None else distances(bank, edge_features(x), skip=skip)
    return torch.stack([apart, top], 1).clamp(min=_LEAST).log()


def _smooth(errors: Tensor) -> Tensor:
    """Errors (N, C, *S) as means with their neighbours: defects are larger than single values."""
    return blurred(errors, min(_SMOOTHING[errors.ndim - 2], max(errors.shape[2:]) / _SMOOTHED))


@torch.inference_mode()
def _errors(network: UNet, x: Tensor, *, thorough: bool) -> tuple[Tensor, Tensor]:
    """The mean squared error of guesses in variances of the data, and the mean guess; tile by tile where x is large."""
    errors, mean = torch.empty_like(x), torch.empty_like(x)
    for tile in _tiles(network, x):
        read, kept, place = ((..., *part) for part in tile)
        part = in_memory_order(x[read])
        made = torch.stack(guesses(network, part, thorough=thorough))
        error = (made - part).square().mean(0) / network.deviation**2
        errors[place] = error[kept]
        mean[place] = made.mean(0)[kept]
    return errors, mean


def _tiles(network: UNet, x: Tensor) -> Iterator[tuple[Any, ...]]:
    """Tiles that begin where cells of every size do."""
    largest = max(SIZES[x.ndim - 2])
    step = math.lcm(2 * largest, network.step)
    return tiles(x.shape[2:], x.shape[1], step, network.reach + 2 * largest)
