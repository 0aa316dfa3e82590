"""Models in MLflow: the folder that `save` writes, logged and loaded as it is. Nothing is pickled."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from isthmus import __version__, registry
from isthmus.errors import IsthmusError, MissingExtraError
from isthmus.estimators.loading import load

try:
    from mlflow import artifacts, models, pyfunc
except ImportError as error:
    raise MissingExtraError("MLflow", "mlflow") from error

FLAVOR = "isthmus"
_FOLDER = "model"  # within what MLflow keeps
_PREDICT = {"encode": "transform", "clean": "denoise", "fill": "transform", "detect": "predict"}


def log_model(model: Any, name: str = "model", **options: Any) -> Any:
    """Log a fitted model to MLflow's active run, or to a new one.

    model : any fitted estimator. name : of the logged model within the run. options : those of
    `mlflow.models.Model.log`, such as registered_model_name.

    Returns MLflow's ModelInfo, whose `model_uri` is what `load_model` takes.
    """
    return models.Model.log(artifact_path=None, name=name, flavor=sys.modules[__name__], model=model, **options)


def save_model(model: Any, path: str | Path, mlflow_model: Any = None) -> None:
    """Write a fitted model as an MLflow model folder."""
    described = models.Model() if mlflow_model is None else mlflow_model
    model.save(Path(path) / _FOLDER)
    described.add_flavor(FLAVOR, data=_FOLDER, isthmus_version=__version__)
    pyfunc.add_to_model(described, loader_module=__name__, data=_FOLDER)
    described.save(str(Path(path) / models.model.MLMODEL_FILE_NAME))


def load_model(model_uri: str, *, device: Any = "auto") -> Any:
    """The model at an MLflow address, such as "models:/digits/1" or "runs:/RUN/model".

    device : where it is to compute, as in `isthmus.load`. Nothing in the model's folder is executed.
    """
    return load(Path(artifacts.download_artifacts(artifact_uri=model_uri)) / _FOLDER, device=device)


def _load_pyfunc(path: str) -> Any:
    """What MLflow asks to predict."""
    model = load(path)
    can = registry.estimators.of(model).can
    found = [method for ability, method in _PREDICT.items() if ability in can]
    if not found:
        raise IsthmusError(f"a {type(model).__name__} predicts nothing; isthmus.mlflow.load_model gives it back")
    return SimpleNamespace(predict=getattr(model, found[0]))
