"""What an auto-encoder is made of: frozen dataclasses, all validation, and their JSON.

A specification is complete: the rules that choose a size or a depth have run before it is built, so a model
that is loaded by a later version has the same layers even where the rules have changed since.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from isthmus import registry
from isthmus.errors import IsthmusError, unknown_name
from isthmus.typed_json import typed

OUTPUTS = ("linear", "sigmoid", "bounded")
DTYPES = (
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
)
_MOST_KERNEL = 1 << 24  # numbers that say how an up-sampling and the convolution after it become one
MOST_STAGES = 32  # down-samplings: beyond them any size is one
_NUMBER = r"\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+"
_CHOICE = re.compile(rf"(?P<name>[a-z][a-z0-9-]*?)(?::(?P<low>{_NUMBER})(?:-(?P<high>{_NUMBER}))?)?", re.IGNORECASE)


@dataclass(frozen=True)
class Choice:
    """A name with an optional number or range: ``"plain"``, ``"variational:0.1"``, ``"gaussian:0-0.6"``.

    `low` and `high` are None when no number is given (the named thing has a default); they are equal when one is.
    """

    name: str
    low: float | None = None
    high: float | None = None

    @classmethod
    def parse(cls, text: str | Choice, among: registry.Registry[Any]) -> Choice:
        """Read ``name``, ``name:number`` or ``name:low-high``; the name must be one of the registry's."""
        if isinstance(text, Choice):
            return text
        match = _CHOICE.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise IsthmusError(
                f"{among.kind} {text!r} is not of the form 'name', 'name:number' or 'name:low-high'. "
                f"Names: {', '.join(among.names())}"
            )
        low = None if match["low"] is None else float(match["low"])
        high = low if match["high"] is None else float(match["high"])
        if low is not None and high is not None and low > high:
            raise IsthmusError(f"{among.kind} {text!r} has a range that runs backwards; write the lower number first")
        return cls(among.check(match["name"].lower()), low, high)

    def value(self, default: float) -> float:
        """The number, or `default` where none is given; a range is refused."""
        if self.low != self.high:
            raise IsthmusError(f"{self} has a range where one number is needed, as in '{self.name}:{self.low:g}'")
        return default if self.low is None else self.low

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return self.name
        return f"{self.name}:{self.low:g}" + ("" if self.low == self.high else f"-{self.high:g}")


class Spec:
    """JSON in and out; unknown keys are refused, and NumPy's numbers become Python's."""

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            plain = to_json(value)
            object.__setattr__(self, f.name, tuple(plain) if isinstance(value, tuple) else plain)

    def to_dict(self) -> dict[str, Any]:
        """A dictionary of JSON values."""
        return {f.name: to_json(getattr(self, f.name)) for f in dataclasses.fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        read: Self = typed(values, cls, cls.__name__)
        return read


@dataclass(frozen=True)
class NetworkSpec(Spec):
    """The layers of one auto-encoder, every size resolved.

    sample_shape : (channels, *spatial) of one sample for "conv", (features,) for "dense".
    latent_dim : size of a flat code; None for a spatial code.
    latent_channels : channels of a spatial code; None for a flat code.
    hidden : widths of the encoder's fully connected hidden layers, first to last; the decoder mirrors them. In a
        "conv" network they lie between the last stage and a flat code.
    channels : channels after each down-sampling stage, first to last ("conv"); the decoder mirrors them.
    """

    network: str
    sample_shape: tuple[int, ...]
    latent_dim: int | None = None
    latent_channels: int | None = None
    hidden: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()
    factor: int = 2  # down- and up-sampling per stage
    kernel_size: int = 3
    activation: str = "silu"
    downsample: str = "stride"
    upsample: str = "nearest"
    bottleneck: str = "plain"
    projection: int | None = None  # principal components that a dense encoder is given in place of the features
    waves: int | None = None  # random Fourier features of a flat code that the decoder is given beside it
    remembered: int | None = None  # samples that an encoder without layers places new ones among ("dense")
    voters: int | None = None  # of these that it asks, the nearest
    output: str = "linear"  # "sigmoid" where the objective reads probabilities; "bounded" for black and white

    def __post_init__(self) -> None:
        super().__post_init__()
        registry.networks.check(self.network)
        registry.activations.check(self.activation)
        registry.downsamplings.check(self.downsample)
        registry.upsamplings.check(self.upsample)
        Choice.parse(self.bottleneck, registry.bottlenecks)
        if self.output not in OUTPUTS:
            raise unknown_name("output", self.output, OUTPUTS)
        if (self.latent_dim is None) == (self.latent_channels is None):
            raise IsthmusError(
                f"give either latent_dim (={self.latent_dim}) for a flat code or "
                f"latent_channels (={self.latent_channels}) for a spatial one"
            )
        check_sizes(self, "latent_dim", "latent_channels", "factor", "kernel_size", "projection", "waves")
        check_sizes(self, "remembered", "voters")
        check_sizes(self, "hidden", "channels", "sample_shape")
        if self.network == "dense":
            self._check_dense()
        elif self.network == "conv":
            self._check_conv()

    def _check_dense(self) -> None:
        if len(self.sample_shape) != 1:
            raise IsthmusError(f"a dense network takes samples of shape (features,), not {self.sample_shape}")
        if self.latent_dim is None:
            raise IsthmusError("a dense network has a flat code: give latent_dim, not latent_channels")
        if self.projection is not None and self.projection > self.num_features:
            raise IsthmusError(
                f"projection (={self.projection}) must not exceed the number of features (={self.num_features})"
            )
        given = {name: getattr(self, name) for name in ("projection", "remembered", "voters")}
        if (self.remembered is not None or self.voters is not None) and None in given.values():
            raise IsthmusError(f"remembered samples need all of projection, remembered and voters, not {given}")

    def _check_conv(self) -> None:
        if not 2 <= len(self.sample_shape) <= 4:
            raise IsthmusError(
                f"a convolutional network takes samples of shape (channels, *spatial) with 1 to 3 spatial "
                f"dimensions, not {self.sample_shape}"
            )
        if not self.channels:
            raise IsthmusError("a convolutional network needs at least one stage: give channels, as in (32, 64)")
        if self.kernel_size % 2 == 0:
            raise IsthmusError(f"kernel_size (={self.kernel_size}) must be odd, so that sizes are kept")
        if self.hidden and self.latent_dim is None:
            raise IsthmusError(
                f"hidden (={self.hidden}) layers lead to a flat code: give latent_dim, not latent_channels"
            )
        if self.waves and self.latent_dim is None:
            raise IsthmusError(
                f"waves (={self.waves}) are features of a flat code: give latent_dim, not latent_channels"
            )
        if self.factor < 2:
            raise IsthmusError(f"factor (={self.factor}) must be at least 2")
        if len(self.channels) > MOST_STAGES:
            raise IsthmusError(f"channels name {len(self.channels):,} stages; at most {MOST_STAGES} can be told apart")
        if (self.kernel_size * (self.kernel_size + self.factor - 1)) ** (len(self.sample_shape) - 1) > _MOST_KERNEL:
            raise IsthmusError(
                f"kernel_size (={self.kernel_size}) and factor (={self.factor}) are too large together for "
                f"{len(self.sample_shape) - 1} dimensions"
            )
        if self.upsample == "max-unpool" and self.downsample != "max-pool":
            raise IsthmusError(
                f"upsample='max-unpool' takes the indices of max-pooling: set downsample='max-pool' "
                f"(it is {self.downsample!r})"
            )

    @property
    def num_features(self) -> int:
        """Numbers in one sample."""
        return math.prod(self.sample_shape)

    @property
    def code_shape(self) -> tuple[int, ...]:
        """The shape of one code, its numbers last."""
        if self.latent_dim is not None:
            return (self.latent_dim,)
        assert self.latent_channels is not None
        return (*self.spatial_sizes[-1], self.latent_channels)

    @property
    def spatial_sizes(self) -> list[tuple[int, ...]]:
        """The spatial sizes before the first stage, after it, ..., after the last ("conv")."""
        return spatial_sizes(self.sample_shape[1:], len(self.channels), self.factor)


def check_sizes(spec: Spec, *names: str) -> None:
    """Refuse fields that are no whole numbers of at least 1, or tuples of such; None is left to others."""
    for name in names:
        value = getattr(spec, name)
        listed = isinstance(value, tuple)
        if value is not None and not all(is_integer(v) and v >= 1 for v in (value if listed else (value,))):
            wanted = "hold integers of at least 1" if listed else "be an integer of at least 1"
            raise IsthmusError(f"{name} (={value!r}) must {wanted}")


def spatial_sizes(spatial: tuple[int, ...], stages: int, factor: int) -> list[tuple[int, ...]]:
    """Sizes after 0, 1, ..., `stages` down-samplings; a size that does not divide is rounded up."""
    sizes = [tuple(spatial)]
    for _ in range(stages):
        sizes.append(tuple(-(-n // factor) for n in sizes[-1]))
    return sizes


@dataclass(frozen=True)
class TrainingSpec(Spec):
    """How an auto-encoder is trained, every choice resolved.

    Exactly one of `epochs` and `minutes` says where the run ends, and so where the learning rate reaches zero.
    """

    objective: Mapping[str, float]  # name -> weight; none where the trainer brings its own
    corruption: str | None = None
    consistency: str | None = None
    epochs: int | None = None
    minutes: float | None = None
    batch_size: int = 128
    optimizer: str = "adam"
    learning_rate: float = 3e-3
    weight_decay: float = 0.0
    gradient_clip: float | None = 1.0  # largest norm of the gradient; None for no limit
    patience: int | None = None  # validations without improvement before stopping early; None to run to the end
    precision: str = "float32"  # or "bfloat16": the type of matrix products and convolutions
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.objective != {}:
            object.__setattr__(self, "objective", parse_objective(self.objective))
        if self.corruption is not None:
            parse_corruption(self.corruption)
        if self.consistency is not None:
            Choice.parse(self.consistency, registry.augmentations).value(0.0)
        registry.optimizers.check(self.optimizer)
        if (self.epochs is None) == (self.minutes is None):
            raise IsthmusError(f"give either epochs (={self.epochs}) or minutes (={self.minutes})")
        for name in ("epochs", "batch_size", "patience"):
            value = getattr(self, name)
            if value is not None and not (is_integer(value) and value >= 1):
                raise IsthmusError(f"{name} (={value!r}) must be an integer of at least 1")
        for name in ("minutes", "learning_rate", "gradient_clip"):
            value = getattr(self, name)
            if value is not None and not (is_real(value) and value > 0):
                raise IsthmusError(f"{name} (={value!r}) must be a number above 0")
        if not (is_real(self.weight_decay) and self.weight_decay >= 0):
            raise IsthmusError(f"weight_decay (={self.weight_decay!r}) must be a number of at least 0")
        if self.precision not in ("float32", "bfloat16"):
            raise unknown_name("precision", self.precision, ("float32", "bfloat16"))


def parse_corruption(text: str | Choice) -> list[Choice]:
    """``"poisson:30+gaussian:0.05"`` as the list of its parts, names checked."""
    parts = [text] if isinstance(text, Choice) or not isinstance(text, str) else re.split(r"(?<!e)\+", text)
    return [Choice.parse(part, registry.corruptions) for part in parts]


def parse_objective(objective: str | Mapping[str, float]) -> dict[str, float]:
    """``"mse"`` or ``{"mse": 1, "ssim": 0.1}`` as a dictionary of weights, names checked."""
    weights = {objective: 1.0} if isinstance(objective, str) else objective
    if not isinstance(weights, Mapping) or not weights:
        raise IsthmusError(f"objective (={objective!r}) must be a name or a dictionary of names to weights")
    for name, weight in weights.items():
        Choice.parse(name, registry.objectives)
        if not (is_real(weight) and weight > 0):
            raise IsthmusError(f"the weight of objective {name!r} (={weight!r}) must be a number above 0")
    return {name: float(weight) for name, weight in weights.items()}


def is_integer(value: object) -> bool:
    """True for whole numbers of any integer type, NumPy's too, but not for booleans."""
    return not isinstance(value, bool) and hasattr(value, "__index__")


def is_real(value: object) -> bool:
    """True for finite numbers, NumPy's too, but not for booleans."""
    return not isinstance(value, bool) and hasattr(value, "__float__") and math.isfinite(float(value))


def check_dtype(name: object) -> str:
    """The NumPy name of a dtype of numbers, as it was given; IsthmusError for any other.

    >>> check_dtype("uint8")
    'uint8'
    """
    if not (isinstance(name, str) and name in DTYPES):
        raise unknown_name("dtype", name, DTYPES)
    return name


def to_json(value: Any) -> Any:
    """NumPy numbers, arrays, tuples and mappings as JSON has them; everything else as it is."""
    if isinstance(value, Mapping):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(v) for v in value]
    return value.tolist() if hasattr(value, "tolist") else value
