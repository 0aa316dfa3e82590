"""Between the user's images or signals and what networks see of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.data.base import Source, evenly_spread
from isthmus.data.channels_last import channels_last, from_channels_last, grey_if_equal, has_alpha, sample_channel_axis
from isthmus.data.in_memory import loaded, refuse_masked
from isthmus.data.one_shape import in_one_shape
from isthmus.data.sample_kinds import kind_of
from isthmus.data.scaling import finite_sample, to_dtype, unit_of
from isthmus.data.sources import open_source
from isthmus.data.units import Units
from isthmus.errors import IsthmusError
from isthmus.training.crops import CropFeed
from isthmus.training.selection import commonest_kind
from isthmus.typed_json import typed

_MOST_VALUES = 1 << 27  # of the samples that are learned from
_LEAST_SIDE = 4
_BATCH = 128


def open_samples(X: Any, *, image_mode: str | None = None, any_size: bool = False) -> Source:
    """The user's samples, of one shape where they have one, or of several.

    image_mode : the mode in which image files of one size are read. any_size : whether samples may differ in shape.
    """
    X = loaded(X)
    refuse_masked(X)
    samples = open_source(X, on_mixed_sizes="keep")
    if not any_size:
        samples = in_one_shape(samples, image_mode)
    if len(samples) == 0:
        raise IsthmusError(f"{samples.name} holds 0 samples; at least 1 is needed")
    return samples


@dataclass(frozen=True)
class ImageLayout:
    """How samples are laid out.

    shape : of every sample; None where they may have any size. channel_axis : within a sample of one shape; None where
    there is none. num_spatial_dims, channels : as networks see them, without transparency. units : of what was learned
    from.
    """

    shape: tuple[int, ...] | None
    channel_axis: int | None
    num_spatial_dims: int
    channels: int
    units: Units

    @classmethod
    def of(cls, samples: Source, kind: str, seed: int) -> tuple[ImageLayout, list[np.ndarray]]:
        """The layout of samples, and those that are learned from as arrays (*spatial, channels)."""
        if samples.uniform:
            shape = samples.shape[1:]
            axis = sample_channel_axis(shape, kind_of(samples, kind, "auto").channel_axis)
            count = max(2, _MOST_VALUES // int(np.prod(shape)))
            chosen = evenly_spread(len(samples), count).tolist()
            arrays = [_planes(finite_sample(samples, index), axis)[0] for index in chosen]
        else:
            shape, axis = None, None

            def read(index: int) -> np.ndarray:
                sample = finite_sample(samples, index)
                return grey_if_equal(_planes(sample, _free_axis(sample.shape, kind == "signals"))[0])

            arrays = commonest_kind(len(samples), read, _kind, seed=seed, most_values=_MOST_VALUES)
        d = arrays[0].ndim - 1
        least = min(min(array.shape[:-1]) for array in arrays)
        if not 1 <= d <= 3 or least < _LEAST_SIDE:
            raise IsthmusError(
                f"samples of shape {arrays[0].shape[:-1]} cannot be judged: that takes 1 to 3 axes beside channels, of "
                f"at least {_LEAST_SIDE} values each"
            )
        return cls(shape, axis, d, arrays[0].shape[-1], Units.of(arrays)), arrays

    @property
    def scale(self) -> float:
        """What brings samples in the units of the training data to those of networks."""
        return 1 / unit_of(np.dtype(self.units.dtype))

    def open(self, X: Any) -> Source:
        """New samples; of another size they are refused, where what was learned from had one size."""
        samples = open_samples(X, image_mode=self._image_mode, any_size=self.shape is None)
        if self.shape is not None and samples.shape[1:] != self.shape:
            seen = samples.shape[1:] if samples.uniform else "several shapes"
            raise IsthmusError(
                f"samples of {samples.name} have {seen if isinstance(seen, str) else f'shape {seen}'}, but the model "
                f"was trained on samples of shape {self.shape}; one that learns from several sizes takes any"
            )
        return samples

    @property
    def _image_mode(self) -> str | None:
        """What image files are read in, so that they have the shape of what was learned from; None: as they are."""
        if self.shape is None or self.num_spatial_dims != 2 or self.units.dtype != "uint8":
            return None
        return {2: "grey", 3: {3: "rgb", 4: "rgba"}.get(self.shape[-1])}[len(self.shape)]

    def to_network(self, block: np.ndarray) -> Tensor:
        """Samples (n, ...) of one shape as a float32 tensor (n, channels, *spatial)."""
        planes = _planes(block, self._axis(block.shape[1:]), several=True)[0]
        d, name = planes.ndim - 2, "what is to be judged"
        if d != self.num_spatial_dims:
            raise IsthmusError(
                f"samples of shape {block.shape[1:]} have {d} dimensions beside channels, but the model was trained "
                f"with {self.num_spatial_dims}"
            )
        factor = self.units.factor(block.dtype, float(planes.min()), float(planes.max()), name)
        values = planes if factor == 1 else planes * np.float64(factor)
        self.units.check(values, name, given=planes)
        if values.shape[-1] != self.channels:
            if 1 not in (values.shape[-1], self.channels):
                raise IsthmusError(
                    f"samples have {values.shape[-1]} channels, but the model was trained on {self.channels}"
                )
            values = np.broadcast_to(values.mean(-1, keepdims=True), (*values.shape[:-1], self.channels))
        return torch.from_numpy(np.moveaxis(values, -1, 1).astype(np.float32) * np.float32(self.scale))

    def from_network(self, x: Tensor, block: np.ndarray) -> np.ndarray:
        """A tensor (n, channels, *spatial) in the layout and units of the user's samples (n, ...)."""
        axis = self._axis(block.shape[1:])
        planes, alpha = _planes(block, axis, several=True)
        factor = self.units.factor(block.dtype, float(planes.min()), float(planes.max()), "what is to be judged")
        values = np.moveaxis(x.double().cpu().numpy(), 1, -1) / (self.scale * factor)
        if values.shape[-1] != planes.shape[-1]:
            values = np.broadcast_to(values.mean(-1, keepdims=True), planes.shape)
        values = to_dtype(values, block.dtype)
        return from_channels_last(values if alpha is None else np.concatenate([values, alpha], -1), axis)

    def of_parts(self, x: Tensor, block: np.ndarray) -> np.ndarray:
        """Scores of values, a tensor (n, channels, *spatial), in the layout of the user's samples (n, ...), float32.

        Signals have one for each time step and channel, images and volumes one for each pixel: the channels' mean.
        """
        if self.num_spatial_dims > 1:
            return np.ascontiguousarray(x.mean(1).cpu().numpy())
        return from_channels_last(np.moveaxis(x.cpu().numpy(), 1, -1), self._axis(block.shape[1:]))

    def batches(self, arrays: Sequence[np.ndarray], device: torch.device) -> Iterator[Tensor]:
        """Arrays (*spatial, channels) as tensors (n, channels, *spatial) on a device, in order."""
        feed = CropFeed(arrays, None, self.scale, 1)
        count = len(arrays) if self.shape is None else -(-len(arrays) // _BATCH)
        yield from (x.to(device) for x in feed.batches(np.array_split(np.arange(len(arrays)), count)))

    def _axis(self, sample_shape: Sequence[int]) -> int | None:
        if self.shape is not None:
            return self.channel_axis
        return _free_axis(sample_shape, self.num_spatial_dims == 1)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "shape": None if self.shape is None else list(self.shape),
            "channel_axis": self.channel_axis,
            "num_spatial_dims": self.num_spatial_dims,
            "channels": self.channels,
            **self.units.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ImageLayout:
        """The inverse of `to_dict`."""
        shape: tuple[int, ...] | None = typed(values["shape"], tuple[int, ...] | None, "shape")
        axis: int | None = typed(values["channel_axis"], int | None, "channel_axis")
        dims, channels = (typed(values[name], int, name) for name in ("num_spatial_dims", "channels"))
        if shape is not None and (min(shape, default=0) < 1 or not (axis is None or 0 <= axis < len(shape))):
            raise IsthmusError(f"samples of shape {shape} have no channels on axis {axis}")
        return cls(shape, axis, dims, channels, Units.from_dict(values))


def _planes(sample: np.ndarray, axis: int | None, *, several: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
    """A sample, or several, as (*spatial, channels) without transparency, and that."""
    planes = channels_last(sample, axis if axis is None else axis + several)
    return (planes[..., :-1], planes[..., -1:]) if has_alpha(planes) else (planes, None)


def _free_axis(sample_shape: Sequence[int], signals: bool) -> int | None:
    """The axis of channels in a sample that may have any size."""
    if signals and len(sample_shape) == 2:
        return int(np.argmin(sample_shape))
    return sample_channel_axis(tuple(sample_shape), "auto")


def _kind(sample: np.ndarray) -> tuple[int, str, int]:
    """What samples that are learned together share."""
    return sample.ndim, sample.dtype.str, sample.shape[-1]
