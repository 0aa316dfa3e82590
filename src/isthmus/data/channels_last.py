"""Signals, images and volumes in the user's layout as arrays (*spatial, channels), and back."""

from __future__ import annotations

import numpy as np

from isthmus.errors import IsthmusError

_MOST_CHANNELS = 4  # an outer axis of up to this size holds colour channels, unless the user says otherwise


def sample_channel_axis(sample_shape: tuple[int, ...], channel_axis: int | str | None) -> int | None:
    """The axis of the channels within one sample, from the user's `channel_axis` (see `fit_scaler`)."""
    dimensions = len(sample_shape) + 1
    if channel_axis is None:
        return None
    if channel_axis == "auto":
        if dimensions >= 4 and sample_shape[-1] <= _MOST_CHANNELS:
            return dimensions - 2
        return 0 if dimensions >= 4 and sample_shape[0] <= _MOST_CHANNELS else None
    if not isinstance(channel_axis, int) or channel_axis == 0 or not -dimensions < channel_axis < dimensions:
        raise IsthmusError(
            f"channel_axis (={channel_axis!r}) must be 'auto', None or an axis of data with {dimensions} dimensions "
            f"other than 0, which counts samples"
        )
    return channel_axis % dimensions - 1


def channels_last(sample: np.ndarray, axis: int | None) -> np.ndarray:
    """A sample in the user's layout as (*spatial, channels); or several, (n, *spatial, channels).

    axis : that of the channels; None where there is none, and then one is added.
    """
    return sample[..., None] if axis is None else np.moveaxis(sample, axis, -1)


def from_channels_last(samples: np.ndarray, axis: int | None) -> np.ndarray:
    """Samples (n, *spatial, channels) back in the user's layout.

    axis : that of the channels within one sample; None where there is none, and then the single channel is dropped.
    """
    if axis is None:
        return samples[..., 0]
    return np.ascontiguousarray(np.moveaxis(samples, -1, axis + 1))


def has_alpha(samples: np.ndarray) -> bool:
    """Whether the last of four channels of an 8- or 16-bit image (..., channels) says how transparent it is."""
    return samples.shape[-1] == 4 and samples.dtype in (np.uint8, np.uint16)


def grey_if_equal(samples: np.ndarray) -> np.ndarray:
    """One channel in place of three that are the same: a grey image in a format that knows colours only."""
    if samples.shape[-1] == 3 and all(np.array_equal(samples[..., 0], samples[..., i]) for i in (1, 2)):
        return samples[..., :1]
    return samples
