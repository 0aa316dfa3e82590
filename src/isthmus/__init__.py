"""isthmus: auto-encoders for people who hold data without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "AnomalyDetector",
    "AutoEncoder",
    "Codec",
    "Denoiser",
    "DriftMonitor",
    "Imputer",
    "IsthmusError",
    "ManifoldMap",
    "Store",
    "__version__",
    "datasets",
    "evaluate_representation",
    "explore",
    "load",
    "load_density",
    "open_source",
    "plots",
    "set_max_expansion",
]

_PUBLIC = {
    "AnomalyDetector": ("isthmus.anomalies.detector", "AnomalyDetector"),
    "AutoEncoder": ("isthmus.estimators.autoencoder", "AutoEncoder"),
    "Codec": ("isthmus.compression.codec", "Codec"),
    "Denoiser": ("isthmus.denoising.denoiser", "Denoiser"),
    "DriftMonitor": ("isthmus.anomalies.drift", "DriftMonitor"),
    "Imputer": ("isthmus.tables.imputer", "Imputer"),
    "IsthmusError": ("isthmus.errors", "IsthmusError"),
    "ManifoldMap": ("isthmus.manifold.manifold_map", "ManifoldMap"),
    "Store": ("isthmus.latent.store", "Store"),
    "datasets": ("isthmus.data.datasets", None),
    "evaluate_representation": ("isthmus.evaluation.representation", "evaluate_representation"),
    "explore": ("isthmus.serving.explorer.explorer", "explore"),
    "load": ("isthmus.estimators.loading", "load"),
    "load_density": ("isthmus.latent.density", "load_density"),
    "open_source": ("isthmus.data.sources", "open_source"),
    "plots": ("isthmus.evaluation.plots", None),
    "set_max_expansion": ("isthmus.data.limits", "set_max_expansion"),
}

if TYPE_CHECKING:
    from isthmus.anomalies.detector import AnomalyDetector
    from isthmus.anomalies.drift import DriftMonitor
    from isthmus.compression.codec import Codec
    from isthmus.data import datasets
    from isthmus.data.limits import set_max_expansion
    from isthmus.data.sources import open_source
    from isthmus.denoising.denoiser import Denoiser
    from isthmus.errors import IsthmusError
    from isthmus.estimators.autoencoder import AutoEncoder
    from isthmus.estimators.loading import load
    from isthmus.evaluation import plots
    from isthmus.evaluation.representation import evaluate_representation
    from isthmus.latent.density import load_density
    from isthmus.latent.store import Store
    from isthmus.manifold.manifold_map import ManifoldMap
    from isthmus.serving.explorer.explorer import explore
    from isthmus.tables.imputer import Imputer
else:  # a type checker must not take every name for one that there is

    def __getattr__(name: str) -> Any:
        """Import a public name at its first use: ``import isthmus`` itself does not wait for torch."""
        from isthmus.imports import import_module

        if name not in _PUBLIC:
            raise AttributeError(f"module 'isthmus' has no attribute {name!r}")
        module_name, attribute = _PUBLIC[name]
        module = import_module(module_name)
        value = module if attribute is None else getattr(module, attribute)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
