"""Things that are found by name: up-samplings, objectives, corruptions, ...

A new kind of up-sampling is one function with one decorator in ``networks/upsample.py``; the command line's
choices, the tables in the docs and the contract tests all find it here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from isthmus.errors import IsthmusError, unknown_name
from isthmus.imports import import_module

if TYPE_CHECKING:  # names are listed without waiting for torch
    from torch import Tensor, nn
    from torch.optim import Optimizer

T = TypeVar("T")

# The names as types, so that a type checker finds a misspelt one; tests/test_spec.py holds them to the registries.
ActivationName = Literal["silu", "relu", "gelu", "elu", "leaky-relu", "tanh", "softplus", "identity"]
DownsamplingName = Literal["stride", "max-pool", "avg-pool"]
UpsamplingName = Literal[
    "nearest", "bilinear", "bicubic", "lanczos3", "lanczos5", "area", "transposed", "pixel-shuffle", "max-unpool",
    "zero-insertion",
]  # fmt: skip
OptimizerName = Literal["adam", "muon"]
NetworkName = Literal["dense", "conv"]
BackendName = Literal["local", "ray"]


class Registry(Generic[T]):
    """Named objects that are defined in one module.

    The module is imported at the first look-up, not before: validating a name or listing the choices for
    ``--help`` must not wait for torch. Until then the names are read off the module's decorators.
    """

    def __init__(self, kind: str, attribute: str, module: str) -> None:
        self.kind = kind  # what one of these is called in messages
        self._attribute = attribute  # the registry's own name, as it appears in the decorators
        self._module = module
        self._objects: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator: ``@upsamplings.register("nearest")``."""

        def decorate(obj: T) -> T:
            if name in self._objects:
                raise RuntimeError(f"{self.kind} {name!r} is registered twice")
            self._objects[name] = obj
            return obj

        return decorate

    def names(self) -> tuple[str, ...]:
        """All names in the order of their definition."""
        declared = () if self._module in sys.modules else self._declared()
        return tuple(dict.fromkeys((*declared, *self._objects)))

    def check(self, name: str) -> str:
        """Return `name`, or raise an error that lists the valid names."""
        if name not in self.names():
            raise unknown_name(self.kind, name, self.names())
        return name

    def __getitem__(self, name: str) -> T:
        import_module(self._module)
        self.check(name)
        return self._objects[name]

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def summary(self, name: str) -> str:
        """The first line of the object's docstring, for help texts and the docs."""
        return (self[name].__doc__ or "").strip().split("\n")[0]

    def _declared(self) -> list[str]:
        path = Path(__file__).parent.joinpath(*self._module.split(".")[1:]).with_suffix(".py")
        # not parsed: the syntax trees of all these modules would take a fifth of the time of `isthmus --help`
        decorator = rf'^@{self._attribute}\.register\("([^"]+)"\)'
        return re.findall(decorator, path.read_text(encoding="utf-8"), re.MULTILINE)


upsamplings: Registry[Callable[..., nn.Module]] = Registry("up-sampling", "upsamplings", "isthmus.networks.upsample")
downsamplings: Registry[Callable[..., nn.Module]] = Registry(
    "down-sampling", "downsamplings", "isthmus.networks.downsample"
)
activations: Registry[Callable[[], nn.Module]] = Registry("activation", "activations", "isthmus.networks.blocks")
bottlenecks: Registry[Any] = Registry("bottleneck", "bottlenecks", "isthmus.networks.bottleneck")
networks: Registry[Callable[..., tuple[nn.Module, nn.Module]]] = Registry(
    "network", "networks", "isthmus.networks.autoencoder"
)
objectives: Registry[Callable[..., Tensor]] = Registry("objective", "objectives", "isthmus.objectives")
corruptions: Registry[Callable[..., Tensor]] = Registry("corruption", "corruptions", "isthmus.corruptions")
augmentations: Registry[Callable[..., Tensor]] = Registry("augmentation", "augmentations", "isthmus.augmentations")
optimizers: Registry[Callable[..., list[Optimizer]]] = Registry(
    "optimizer", "optimizers", "isthmus.training.optimizers"
)
backends: Registry[Callable[..., Any]] = Registry("backend", "backends", "isthmus.cluster.training")
column_kinds: Registry[Any] = Registry("kind of column", "column_kinds", "isthmus.data.column_kinds")
named_datasets: Registry[Callable[[], Any]] = Registry("data set", "named_datasets", "isthmus.data.datasets")


@dataclass(frozen=True)
class EstimatorEntry:
    """What is known of an estimator before its module is imported.

    name : of the class. module : where it is. can : "encode" (transform), "decode" (inverse_transform, reconstruct),
    "clean" (denoise), "compress" (and decompress), "fill" (holes), "detect" (anomalies).
    extra : the optional packages it needs, by the extra's name.
    """

    name: str
    module: str
    can: frozenset[str]
    extra: str | None = None

    def estimator(self) -> type[Any]:
        """The class."""
        found: type[Any] = getattr(import_module(self.module), self.name)
        return found


class Estimators:
    """The estimators by name. A new application is a folder and one line below."""

    def __init__(self) -> None:
        self._entries: dict[str, EstimatorEntry] = {}

    def register(self, name: str, module: str, *can: str, extra: str | None = None) -> None:
        """Add an estimator."""
        self._entries[name] = EstimatorEntry(name, module, frozenset(can), extra)

    def __getitem__(self, name: str) -> EstimatorEntry:
        if name not in self._entries:
            raise unknown_name("estimator", name, self._entries)
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def of(self, model: object) -> EstimatorEntry:
        """The entry of a model, or of the class that its class is derived from."""
        for base in type(model).__mro__:
            if base.__name__ in self._entries:
                return self._entries[base.__name__]
        raise IsthmusError(f"a {type(model).__name__} is no estimator of isthmus; give one of: {', '.join(self)}")

    def that(self, *can: str) -> list[str]:
        """The names of the estimators that can do all of this."""
        return [name for name, entry in self._entries.items() if entry.can.issuperset(can)]


estimators = Estimators()
estimators.register("AnomalyDetector", "isthmus.anomalies.detector", "detect")
estimators.register("AutoEncoder", "isthmus.estimators.autoencoder", "encode", "decode")
estimators.register("Codec", "isthmus.compression.codec", "compress", extra="compress")
estimators.register("Denoiser", "isthmus.denoising.denoiser", "clean")
estimators.register("Imputer", "isthmus.tables.imputer", "fill")
estimators.register("ManifoldMap", "isthmus.manifold.manifold_map", "encode", "decode")
