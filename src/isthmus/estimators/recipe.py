"""The rules that choose what the user left open: the network's size and how it is trained.

The figures behind each default are in docs/benchmarks.md.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from isthmus.data.channels_last import sample_channel_axis
from isthmus.data.sample_kinds import SampleKind, kind_of
from isthmus.data.scaling import Scaler, fit_scaler
from isthmus.data.sources import Source
from isthmus.data.table_scaling import TableScaler
from isthmus.device import has_fast_bfloat16
from isthmus.errors import IsthmusError
from isthmus.estimators.latent_dim import knee_dimension
from isthmus.networks import default_channels, default_hidden
from isthmus.registry import networks
from isthmus.spec import NetworkSpec, TrainingSpec, is_integer
from isthmus.training.feed import as_tensor
from isthmus.training.run import Length

if TYPE_CHECKING:
    import torch


LENGTH = Length(samples=400_000, least_steps=600, least_epochs=3)
_BATCH_SIZES = {"conv": (16, 64), "dense": (16, 128)}  # smallest and largest; a step of a small network is overhead
_MOST_NUMBERS = 1 << 21  # in a batch: large images come in small batches, which bounds the memory of a step
_LEAST_SIDE = 4  # of what is convolved
_LEARNING_RATES = {"adam": 3e-3, "muon": 0.04}
_PROBED_SAMPLES, _PROBED_NUMBERS = 5_000, 1 << 25  # at most, of the samples that are looked at
_TABLE_DECAY, _TABLE_RATE = 0.1, 0.03  # of weights; for tables with columns of any kind: few rows, many features
_SMALL_CODE = 16
_TINY_CODE, _TINY_CODE_RATE = 4, 0.02  # up to so many numbers, which leave out most of a sample: learn more slowly
_WAVES = 64  # Fourier features of so tiny a code, for which many different samples lie close to each other
_AT_THE_ENDS = 0.25  # share of values at 0 and 1 from which on data count as black and white


class Choices(Protocol):
    """What the rules read: the parameters of an `AutoEncoder`, its scaler and its seed."""

    latent_dim: Any
    network: Any
    latent_channels: int | None
    hidden: Any
    channels: Any
    kernel_size: int
    factor: int
    activation: str
    downsample: str
    upsample: str
    bottleneck: str
    objective: Any
    corruption: str | None
    consistency: str | None
    kind: str
    scaling: str
    epochs: int | None
    minutes: float | None
    batch_size: int | None
    optimizer: str
    learning_rate: float | None
    weight_decay: float | None
    gradient_clip: float | None
    patience: int | None
    channel_axis: Any
    precision: str
    scaler_: Scaler
    seed_: int


def read_as(model: Choices, source: Source) -> SampleKind:
    """What samples are read as; for the user's own modules, unless `kind` is given: rows a table, others images."""
    if not isinstance(model.network, str) and model.kind == "auto":
        return SampleKind("table" if len(source.shape) == 2 else "images", model.channel_axis)
    return kind_of(source, model.kind, model.channel_axis)


def sees_rows(model: Choices, sample_shape: tuple[int, ...], kind: SampleKind) -> bool:
    """Whether the network takes rows of features: for tables, and for what is too small or too deep to convolve."""
    if not isinstance(model.network, str):
        return kind.name == "table"
    if model.network != "auto":
        return model.network != "conv"
    axis = sample_channel_axis(sample_shape, kind.channel_axis)
    spatial = [n for i, n in enumerate(sample_shape) if i != axis]
    return kind.name == "table" or len(spatial) > 3 or min(spatial) < _LEAST_SIDE


def scaler_of(model: Choices, source: Source) -> Scaler:
    """How samples are scaled: one range for signals and images, each column of a table by itself."""
    kind = read_as(model, source)
    scaling = model.scaling
    if scaling == "auto" and kind.name == "signals":
        scaling = "range"
    if scaling == "auto" and kind.name == "table" and source.dtype not in (np.uint8, np.bool_):
        scaling = "standard"
    flat = sees_rows(model, source.shape[1:], kind)
    return fit_scaler(source, flat=flat, kind=scaling, channel_axis=kind.channel_axis)


def latent_dim(model: Choices, source: Source) -> int | None:
    """Size of the code: the user's, or where PCA of some samples has its knee; None for a spatial code."""
    if model.latent_channels is not None:
        return None
    if model.latent_dim != "auto":
        if not is_integer(model.latent_dim):
            raise IsthmusError(f"latent_dim (={model.latent_dim!r}) must be an integer of at least 1, or 'auto'")
        return int(model.latent_dim)
    return knee_dimension(_probe(model, source))


def output(model: Choices, source: Source, latent_dim: int | None) -> str:
    """How the decoder ends: "bounded" where many values lie at the ends of the range, as of ink on paper.

    Only where these ends are natural: for pixels of 8 bits or booleans, and for numbers that span just 0 to 1. Not
    beside the penalty of a variational code, whose weight is that of the squared error's own gradient. And not for
    codes of up to 4 numbers: what they leave out is grey, and a linear output follows the error's own gradient.
    """
    if latent_dim is not None and latent_dim <= _TINY_CODE:
        return "linear"
    scaler = model.scaler_
    if scaler.kind != "range":
        return "linear"
    natural = source.dtype in (np.uint8, np.bool_) or (not scaler.offset.any() and (scaler.scale == 1).all())
    if not natural or str(model.bottleneck).startswith("variational"):
        return "linear"
    values = _probe(model, source)
    return "bounded" if ((values <= 0) | (values >= 1)).mean() >= _AT_THE_ENDS else "linear"


def _probe(model: Choices, source: Source) -> np.ndarray:
    """Some samples as the network sees them, in rows."""
    n, features = len(source), math.prod(source.shape[1:])
    count = min(n, _PROBED_SAMPLES, max(1, _PROBED_NUMBERS // features))
    rows = np.sort(np.random.default_rng(model.seed_).choice(n, count, replace=False)) if count < n else np.arange(n)
    return model.scaler_.to_network(as_tensor(source.take(rows))).flatten(1).numpy()


def network_spec(model: Choices, sample_shape: tuple[int, ...], latent_dim: int | None, output: str) -> NetworkSpec:
    """The layers for samples of that shape, as the network sees them."""
    kind = str(model.network)
    if kind == "auto":
        kind = "dense" if len(sample_shape) == 1 else "conv"
    networks.check(kind)
    if (
        latent_dim is not None
        and latent_dim > math.prod(sample_shape)
        and not str(model.bottleneck).startswith("sparse")
    ):
        raise IsthmusError(
            f"latent_dim (={latent_dim}) must not exceed the number of features (={math.prod(sample_shape)}): such a "
            f"code has nothing to leave out; only bottleneck='sparse' makes use of it"
        )
    hidden: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()
    if kind == "dense":
        hidden = default_hidden(sample_shape[0], latent_dim or 1) if model.hidden is None else _widths(model, "hidden")
    else:
        channels = default_channels(sample_shape) if model.channels is None else _widths(model, "channels")
        if latent_dim is not None:
            hidden = conv_hidden(latent_dim) if model.hidden is None else _widths(model, "hidden")
        elif model.hidden is not None:
            hidden = _widths(model, "hidden")
    return NetworkSpec(
        network=kind,
        sample_shape=tuple(sample_shape),
        latent_dim=latent_dim,
        latent_channels=model.latent_channels,
        hidden=hidden,
        channels=channels,
        factor=model.factor,
        kernel_size=model.kernel_size,
        activation=model.activation,
        downsample=model.downsample,
        upsample=model.upsample,
        bottleneck=model.bottleneck,
        waves=_WAVES if kind == "conv" and latent_dim is not None and latent_dim <= _TINY_CODE else None,
        output=output,
    )


def training_spec(model: Choices, network: NetworkSpec | None, n_train: int, device: torch.device) -> TrainingSpec:
    """How to train on `n_train` samples."""
    features = math.prod(model.scaler_.network_shape)
    kind = "dense" if network is None else network.network
    batch_size = default_batch_size(kind, n_train, features) if model.batch_size is None else model.batch_size
    epochs, minutes = model.epochs, model.minutes
    if epochs is None and minutes is None:
        epochs = LENGTH.epochs(n_train, n_train // batch_size)
    optimizer = model.optimizer
    if optimizer == "auto":
        optimizer = "adam" if network is None else "muon"
    learning_rate = model.learning_rate
    if learning_rate is None:
        learning_rate = 1e-3 if network is None else _LEARNING_RATES.get(optimizer, 1e-3)
        if optimizer == "muon" and network is not None:
            if (network.latent_dim or network.num_features) <= _TINY_CODE:
                learning_rate = _TINY_CODE_RATE
            elif isinstance(model.scaler_, TableScaler):
                learning_rate = _TABLE_RATE
    weight_decay = model.weight_decay
    if weight_decay is None:
        weight_decay = _TABLE_DECAY if isinstance(model.scaler_, TableScaler) else 0.0
    precision = model.precision
    if precision == "auto":
        precision = "bfloat16" if has_fast_bfloat16(device) else "float32"
    return TrainingSpec(
        objective=model.objective,
        corruption=model.corruption,
        consistency=model.consistency,
        epochs=epochs,
        minutes=minutes,
        batch_size=batch_size,
        optimizer=optimizer,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        gradient_clip=model.gradient_clip,
        patience=model.patience,
        precision=precision,
        seed=model.seed_,
    )


def _widths(model: Choices, name: str) -> tuple[int, ...]:
    value = getattr(model, name)
    try:
        return tuple(value)
    except TypeError:
        raise IsthmusError(f"{name} (={value!r}) must be a sequence of integers such as (64, 32)") from None


def conv_hidden(latent_dim: int) -> tuple[int, ...]:
    """Widths between the last convolution and a flat code: 128 and 64 for up to 16 numbers, none for more.

    They help to fold much into few numbers, and are in the way of many.
    """
    return (128, 64) if latent_dim <= _SMALL_CODE else ()


def default_batch_size(network: str, n_train: int, features: int) -> int:
    """A twentieth of the samples, rounded down to a power of two from 16 to 64 ("conv") or 128 ("dense").

    Samples of many numbers come fewer at a time, which bounds the memory of a step.
    """
    smallest, largest = _BATCH_SIZES.get(network, _BATCH_SIZES["dense"])
    size = min(largest, max(smallest, n_train // 20), max(1, _MOST_NUMBERS // features))
    return 1 << int(math.log2(size))
