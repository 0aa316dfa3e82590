"""isthmus: auto-encoders for people who hold data without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "AutoEncoder",
    "Codec",
    "Denoiser",
    "IsthmusError",
    "ManifoldMap",
    "__version__",
    "datasets",
    "explore",
    "load",
]

_PUBLIC = {
    "AutoEncoder": ("isthmus.estimators.autoencoder", "AutoEncoder"),
    "Codec": ("isthmus.compression.codec", "Codec"),
    "Denoiser": ("isthmus.denoising.denoiser", "Denoiser"),
    "IsthmusError": ("isthmus.errors", "IsthmusError"),
    "ManifoldMap": ("isthmus.manifold.manifold_map", "ManifoldMap"),
    "datasets": ("isthmus.data.datasets", None),
    "explore": ("isthmus.serving.explorer.explorer", "explore"),
    "load": ("isthmus.estimators.loading", "load"),
}

if TYPE_CHECKING:
    from isthmus.compression.codec import Codec
    from isthmus.data import datasets
    from isthmus.denoising.denoiser import Denoiser
    from isthmus.errors import IsthmusError
    from isthmus.estimators.autoencoder import AutoEncoder
    from isthmus.estimators.loading import load
    from isthmus.manifold.manifold_map import ManifoldMap
    from isthmus.serving.explorer.explorer import explore


def __getattr__(name: str) -> Any:
    """Import a public name at its first use: ``import isthmus`` itself does not wait for torch."""
    import importlib

    if name not in _PUBLIC:
        raise AttributeError(f"module 'isthmus' has no attribute {name!r}")
    module_name, attribute = _PUBLIC[name]
    module = importlib.import_module(module_name)
    value = module if attribute is None else getattr(module, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
