"""Things that are found by name: up-samplings, objectives, corruptions, ...

A new kind of up-sampling is one function with one decorator in ``networks/upsample.py``; the command line's
choices, the tables in the docs and the contract tests all find it here.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from isthmus.errors import unknown_name

T = TypeVar("T")


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
        """Return `name`, or raise an error that lists the right ones."""
        if name not in self.names():
            raise unknown_name(self.kind, name, self.names())
        return name

    def __getitem__(self, name: str) -> T:
        importlib.import_module(self._module)
        self.check(name)
        return self._objects[name]

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def summary(self, name: str) -> str:
        """The first line of the object's docstring, for help texts and the docs."""
        return (self[name].__doc__ or "").strip().split("\n")[0]

    def _declared(self) -> Iterator[str]:
        package = Path(__file__).parent
        path = package.joinpath(*self._module.split(".")[1:]).with_suffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id=self._attribute), attr="register"),
                    args=[ast.Constant(value=str(name))],
                ):
                    yield name


upsamplings: Registry = Registry("up-sampling", "upsamplings", "isthmus.networks.upsample")
downsamplings: Registry = Registry("down-sampling", "downsamplings", "isthmus.networks.downsample")
activations: Registry = Registry("activation", "activations", "isthmus.networks.blocks")
bottlenecks: Registry = Registry("bottleneck", "bottlenecks", "isthmus.networks.bottleneck")
networks: Registry = Registry("network", "networks", "isthmus.networks.autoencoder")
objectives: Registry = Registry("objective", "objectives", "isthmus.objectives")
corruptions: Registry = Registry("corruption", "corruptions", "isthmus.corruptions")
augmentations: Registry = Registry("augmentation", "augmentations", "isthmus.augmentations")
optimizers: Registry = Registry("optimizer", "optimizers", "isthmus.training.optimizers")
named_datasets: Registry = Registry("data set", "named_datasets", "isthmus.data.datasets")
