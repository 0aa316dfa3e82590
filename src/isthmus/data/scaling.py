"""Between the user's data and what networks see: dtype, range and layout, and the way back.

Images, signals and integers are scaled by one range to [0, 1], or each channel by its own where channels are in
different units; numeric tables are standardised column by column.
Networks see float32 tensors of shape (N, channels, *spatial) or (N, features).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from isthmus.data.channels_last import sample_channel_axis
from isthmus.data.whole_numbers import AboveBase, above_base, find_base, onto_base
from isthmus.errors import IsthmusError, unknown_name
from isthmus.spec import check_dtype
from isthmus.typed_json import typed

if TYPE_CHECKING:
    import torch

    from isthmus.data.base import Source

_UPPER_HALF = 128  # of the values of a byte
_ROUNDINGS = 8  # spreads of so many rounding errors of the mean are none
ChannelAxis = int | Literal["auto"] | None
ScalingName = Literal["auto", "range", "standard"]
KINDS: tuple[str, ...] = get_args(ScalingName)
_SMALL = 2.0**-520  # brings every float64 to where it can be squared
_CHUNK_BYTES = 32 << 20
OWN_UNITS = 10  # all values together span so many times what those of one channel do: each is scaled by itself
_FOREIGN_UNITS = 1000  # the same for an axis of which nobody said that it holds channels


@dataclass(frozen=True)
class _Settings:
    """What of a scaler is JSON; see `Scaler`."""

    dtype: str
    sample_shape: tuple[int, ...]
    channel_axis: int | None
    flat: bool
    kind: str


@dataclass(frozen=True)
class Scaler:
    """An invertible map between samples as the user holds them and as networks see them.

    dtype : NumPy name of the user's dtype, which decoded samples get back.
    sample_shape : shape of one sample in the user's layout.
    channel_axis : axis of the channels within one sample; None where there is none.
    flat : whether networks see a sample as one row of features.
    offset, scale : arrays that broadcast over a sample in the user's layout; scaled = (x - offset) / scale.
    base : whole numbers of the user's dtype that are taken off before `offset`, where 64 bits hold more than float64
        can; else None.
    """

    dtype: str
    sample_shape: tuple[int, ...]
    channel_axis: int | None
    flat: bool
    kind: str
    offset: np.ndarray
    scale: np.ndarray
    base: np.ndarray | None = None

    @cached_property
    def _shifts(self) -> bool:
        return bool(self.offset.any())

    @cached_property
    def _stretches(self) -> bool:
        return bool((self.scale != 1).any())

    @property
    def network_shape(self) -> tuple[int, ...]:
        """Shape of one sample as networks see it."""
        if self.flat:
            return (math.prod(self.sample_shape),)
        if self.channel_axis is None:
            return (1, *self.sample_shape)
        spatial = [n for axis, n in enumerate(self.sample_shape) if axis != self.channel_axis]
        return (self.sample_shape[self.channel_axis], *spatial)

    def to_network(self, batch: torch.Tensor) -> torch.Tensor:
        """Samples in the user's layout and dtype, (N, *sample_shape), as a scaled float32 tensor (N, *network_shape).

        Colour images with the channels last become channels-first views: no copy, and the memory order that
        convolutions like best.
        """
        import torch

        wide = batch.dtype in (torch.float64, torch.int32, torch.int64, torch.uint32, torch.uint64)
        if self.base is not None:
            x = above_base(batch, self.base)
        else:
            x = batch.to(torch.float64 if wide else torch.float32)
        if self._shifts:
            x = x - torch.as_tensor(self.offset, dtype=x.dtype, device=x.device)
        if self._stretches:
            factor = torch.as_tensor(1.0 / self.scale, dtype=x.dtype, device=x.device)
            x = x * factor if x is batch else x.mul_(factor)
        x = x.to(torch.float32)
        if self.flat:
            return x.flatten(1)  # (N, *sample_shape) -> (N, features)
        return x.unsqueeze(1) if self.channel_axis is None else x.movedim(self.channel_axis + 1, 1)

    def to_user_units(self, x: torch.Tensor) -> torch.Tensor:
        """Scaled tensor (N, *network_shape) to the user's layout and units, (N, *sample_shape), not rounded."""
        import torch

        x = self._above_base(x)
        return x if self.base is None else x + torch.as_tensor(self.base.astype(np.float64), device=x.device)

    def _above_base(self, x: torch.Tensor) -> torch.Tensor:
        """`to_user_units`, before `base` is added."""
        import torch

        if self.flat:
            x = x.reshape(-1, *self.sample_shape)
        else:
            x = x.squeeze(1) if self.channel_axis is None else x.movedim(1, self.channel_axis + 1)
        dtype = np.dtype(self.dtype)
        wide = dtype.itemsize > 2 and dtype != np.float32 and x.device.type != "mps"
        x = x.to(torch.float64 if wide else torch.float32)
        if self._stretches:
            x = x * torch.as_tensor(self.scale, dtype=x.dtype, device=x.device)
        if self._shifts:
            x = x + torch.as_tensor(self.offset, dtype=x.dtype, device=x.device)
        return x

    def from_network(self, x: torch.Tensor) -> np.ndarray:
        """The inverse of `to_network`: scaled tensor (N, *network_shape) to an array of the user's layout and dtype.

        Integers are rounded and clipped to what the dtype can hold.
        """
        import torch

        dtype = np.dtype(self.dtype)
        scaled = self._above_base(x)
        if self.base is not None:
            return onto_base(scaled.cpu().numpy(), self.base)
        if dtype == np.uint8:  # every float32 from 0 to 255 is exact: rounded by torch, on all cores
            scaled = scaled.round_() if self._stretches else scaled.round()  # a stretched one is ours to change
            return scaled.clamp_(0, 255).to(torch.uint8).cpu().numpy()
        return to_dtype(scaled.cpu().numpy(), dtype)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; the arrays travel beside, through `arrays`."""
        return {
            "dtype": self.dtype,
            "sample_shape": list(self.sample_shape),
            "channel_axis": self.channel_axis,
            "flat": self.flat,
            "kind": self.kind,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays, by name."""
        arrays = {"offset": self.offset, "scale": self.scale}
        return arrays if self.base is None else arrays | {"base": self.base}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Scaler:
        """The inverse of `to_dict` and `arrays`."""
        read: _Settings = typed(values, _Settings, "scaler")
        axes = len(read.sample_shape)
        if min(read.sample_shape, default=1) < 1 or not (read.channel_axis is None or 0 <= read.channel_axis < axes):
            raise IsthmusError(f"samples of shape {read.sample_shape} have no channels on axis {read.channel_axis}")
        check_dtype(read.dtype)
        if read.kind not in KINDS:
            raise unknown_name("scaling", read.kind, KINDS)
        arrays = {name: arrays[name] for name in ("offset", "scale", "base") if name in arrays}
        if not {"offset", "scale"} <= arrays.keys():
            raise IsthmusError("the weights lack the offset or the scale of the samples")
        for name, array in arrays.items():
            if (
                array.dtype.kind not in "iuf"
                or np.broadcast_shapes(array.shape, read.sample_shape) != read.sample_shape
            ):
                raise IsthmusError(f"{name} of shape {array.shape} does not fit samples of shape {read.sample_shape}")
        offset, scale, base = arrays["offset"], arrays["scale"], arrays.get("base")
        return cls(read.dtype, read.sample_shape, read.channel_axis, read.flat, read.kind, offset, scale, base)

    @property
    def zero(self) -> np.ndarray:
        """What is 0 in scaled units, float64: `offset`, above `base` if there is one."""
        return self.offset if self.base is None else self.offset + self.base.astype(np.float64)


def fit_scaler(source: Source, *, flat: bool, kind: str = "auto", channel_axis: int | str | None = "auto") -> Scaler:
    """Choose and measure the scaling of a source in one streaming pass, and check every number.

    kind : "range" maps one range to [0, 1]: that of the dtype for booleans, and for uint8 where the data reach into its
        upper half, as pixels do and masks, labels and small counts do not; else the range of the data, or of each
        channel where channels have units of their own: where all together span over 10 times what one of them does.
        "standard" gives each column mean 0 and standard deviation 1; a constant column becomes 0. "auto" takes
        "standard" for tables (2-D data) other than uint8 and booleans, which hold pixels, and "range" for the rest.
    channel_axis : axis of the channels, counted with the sample axis as 0 (or from the end, as -1); None for no such
        axis. "auto" takes, in data of 4 and more dimensions, the last axis where it has at most 4 entries, else axis 1
        where that has at most 4. Where it finds none, the shorter one of axis 1 and the last is scaled as channels are
        if its entries are in different units beyond doubt: where they span 1,000 times what one of them does, or
        leave a gap of half the range between them.

    Raises IsthmusError for NaN and infinities, with their place.
    """
    if kind not in KINDS:
        raise unknown_name("scaling", kind, KINDS)
    sample_shape = tuple(source.shape[1:])
    pixels = source.dtype in (np.uint8, np.bool_)
    if kind == "auto":
        kind = "standard" if len(sample_shape) == 1 and not pixels else "range"
    axis = sample_channel_axis(sample_shape, channel_axis)
    given, base = source, find_base(source, columns=kind == "standard")
    if base is not None:
        source = AboveBase(source, base)
    if kind == "standard":
        offset, scale = _measure_columns(source)
    elif source.dtype == np.bool_:
        offset, scale = np.zeros(()), np.ones(())
    elif source.dtype == np.uint8:
        offset, scale = _measure_pixels(source)
    else:
        offset, scale = _measure_range(source, axis, undeclared=axis is None and channel_axis == "auto")
    return Scaler(np.dtype(given.dtype).name, sample_shape, axis, flat, kind, offset, scale, base)


def _chunks(source: Source) -> Any:
    per_sample = max(1, source.nbytes // max(1, len(source)))
    return source.chunks(max(1, _CHUNK_BYTES // per_sample))


def check_finite(source: Source, chunk: np.ndarray, start: int) -> None:
    """Raise an error that names the sample and the column of the first NaN or infinity in a chunk."""
    if chunk.dtype.kind != "f" or np.isfinite(chunk.sum(dtype=np.float64)):
        return
    bad = np.argwhere(~np.isfinite(chunk))
    if not len(bad):  # the sum overflowed, not the numbers
        return
    index, *place = bad[0].tolist()
    what = "NaN" if np.isnan(chunk[tuple(bad[0])]) else "infinity"
    if source.feature_names is not None and len(place) == 1:
        where = f"column {source.feature_names[place[0]]!r}"
    else:
        where = f"column {place[0]}" if len(place) == 1 else f"position {tuple(place)}"
    raise IsthmusError(
        f"{source.location(start + index)} holds {what} in {where}; remove such samples or fill them in "
        f"(sklearn.impute does that), since input must not contain NaN or infinity"
    )


def finite_sample(source: Source, index: int) -> np.ndarray:
    """One sample of a source, checked by `check_finite`."""
    sample = source[index]
    check_finite(source, sample[None], index)
    return sample


def _measure_pixels(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """The least value and the width of the range; all that a byte holds as soon as one is in its upper half."""
    low, high = math.inf, -math.inf
    for chunk in _chunks(source):
        low, high = min(low, float(chunk.min())), max(high, float(chunk.max()))
        if high >= _UPPER_HALF:
            return np.zeros(()), np.asarray(255.0)
    return np.asarray(low), np.asarray(high - low if high > low else 1.0)


def _measure_range(source: Source, axis: int | None, *, undeclared: bool) -> tuple[np.ndarray, np.ndarray]:
    """The least value and the width of the range, of all values or of each channel: see `fit_scaler`.

    axis : of the channels within a sample. undeclared : whether there is none because nobody said so.
    """
    shape, start = source.shape[1:], 0
    least, most = np.full(shape, math.inf), np.full(shape, -math.inf)
    for chunk in _chunks(source):
        check_finite(source, chunk, start)
        start += len(chunk)
        least, most = np.minimum(least, chunk.min(axis=0)), np.maximum(most, chunk.max(axis=0))
    low, high = least.min(), most.max()
    if undeclared and len(shape) > 1:
        axis = 0 if shape[0] < shape[-1] else len(shape) - 1
    if axis is not None:
        others = tuple(i for i in range(len(shape)) if i != axis)
        lows, highs = least.min(axis=others, keepdims=True), most.max(axis=others, keepdims=True)
        if in_own_units(lows.ravel(), highs.ravel(), undeclared=undeclared):
            low, high = lows, highs
    return np.asarray(low), np.where(high > low, high - low, 1.0)


def in_own_units(low: np.ndarray, high: np.ndarray, *, undeclared: bool) -> bool:
    """Whether channels, which span `low` to `high` (n,), are in different units. undeclared : only beyond doubt."""
    width, span = high - low, float(high.max() - low.min())
    varying = width[width > 0]
    if not undeclared:
        return bool(len(varying)) and OWN_UNITS * float(varying.min()) < span
    order = np.argsort(low)
    gaps = low[order][1:] - np.maximum.accumulate(high[order])[:-1]
    apart = len(gaps) > 0 and float(gaps.max()) > 0.5 * span
    return bool(len(varying)) and (apart or _FOREIGN_UNITS * float(varying.min()) < span)


@np.errstate(over="ignore", invalid="ignore")
def _measure_columns(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of every feature."""
    mean, deviation = _moments(source, 1.0)
    if not np.isfinite(deviation).all():  # too large to be squared, in float32 or at all
        fine, (means, deviations) = np.isfinite(deviation), _moments(source, _SMALL)
        mean, deviation = np.where(fine, mean, means / _SMALL), np.where(fine, deviation, deviations / _SMALL)
    return mean, divisor(deviation, mean, source.dtype if source.dtype.kind == "f" else np.dtype(np.float64))


def divisor(deviation: np.ndarray, mean: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Deviations to divide by: 1 where numbers of a dtype do not differ by more than they are rounded."""
    constant = deviation <= _ROUNDINGS * np.finfo(dtype).eps * np.abs(mean)  # a spread below this is no information
    return np.where(constant, 1.0, deviation)


def _moments(source: Source, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of every feature, multiplied by a factor, float64."""
    from sklearn.preprocessing import StandardScaler

    moments, start = StandardScaler(), 0
    for chunk in _chunks(source):
        check_finite(source, chunk, start)
        start += len(chunk)
        rows = chunk.reshape(len(chunk), -1)
        moments.partial_fit(rows if factor == 1 else rows * np.float64(factor))
    return moments.mean_.reshape(source.shape[1:]), np.sqrt(moments.var_).reshape(source.shape[1:])


def unit_of(dtype: np.dtype) -> float:
    """The user's unit in the data's own: the range of integers, 1 for floats and booleans.

    Also 1 for integers of 64 bits: they are NumPy's default for whole numbers, and no data fill their range.
    """
    if np.dtype(dtype).kind not in "iu" or np.dtype(dtype).itemsize == 8:
        return 1.0
    limits = np.iinfo(dtype)
    return float(limits.max) - float(limits.min)


def to_dtype(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Floats as values of a dtype: rounded and clipped where it holds integers."""
    if dtype.kind == "b":
        return values >= 0.5
    if dtype.kind not in "iu":
        return values.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    highest = float(limits.max)
    if int(highest) > limits.max:  # 64-bit limits are not float64 numbers: step down to the last that fits
        highest = float(np.nextafter(highest, 0))
    rounded: np.ndarray = np.clip(np.rint(values), float(limits.min), highest).astype(dtype)
    return rounded
