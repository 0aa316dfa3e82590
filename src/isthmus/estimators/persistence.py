"""A model with an encoder and a decoder as a folder, and in words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import nn

from isthmus.data.scaling import Scaler
from isthmus.device import in_best_memory_order
from isthmus.errors import IsthmusError
from isthmus.estimators.model_folder import StoredModel, best_validation, complete_model, load_model, save_model
from isthmus.networks import build, wrap
from isthmus.spec import NetworkSpec, TrainingSpec

if TYPE_CHECKING:
    from isthmus.estimators.encoder_decoder import Coder

Model = TypeVar("Model", bound="Coder")


def save(model: Coder, folder: str | Path) -> Path:
    """Write `model` to a folder."""
    tensors = {f"network.{k}": v.detach().cpu().numpy() for k, v in model.network_.state_dict().items()}
    tensors |= {f"scaler.{name}": array for name, array in model.scaler_.arrays().items()}
    names = getattr(model, "feature_names_in_", None)
    config = {
        "params": _json_params(model),
        "network": None if model.network_spec_ is None else model.network_spec_.to_dict(),
        "training": model.training_spec_.to_dict(),
        "scaler": model.scaler_.to_dict(),
        "seed": model.seed_,
        "seconds": getattr(model, "seconds_", 0.0),
        "feature_names": None if names is None else [str(name) for name in names],
    }
    stored = StoredModel(type(model).__name__, config, tensors, model.history_)
    return save_model(folder, stored, _card(model, Path(folder).name))


def load(cls: type[Model], folder: str | Path, network: tuple[nn.Module, nn.Module] | None, device: str) -> Model:
    """Read the model that `save` wrote."""
    stored = load_model(folder, cls.__name__)
    with complete_model(folder):
        return _restore(cls, stored, network, device)


def _restore(cls: type[Model], stored: StoredModel, network: tuple[nn.Module, nn.Module] | None, device: str) -> Model:
    config = stored.config
    params = {**config["params"], "device": device, "verbose": False}
    if network is not None:
        params["network"] = network
    model = cls(**params)
    arrays = {k.removeprefix("scaler."): v for k, v in stored.tensors.items() if k.startswith("scaler.")}
    model.scaler_ = Scaler.from_dict(config["scaler"], arrays)
    model.training_spec_ = TrainingSpec.from_dict(config["training"])
    model.network_spec_ = None
    if config["network"] is not None:
        model.network_spec_ = NetworkSpec.from_dict(config["network"])
        model.network_ = build(model.network_spec_, config["seed"])
    elif network is None:
        raise IsthmusError("this model was made of modules of your own; load it with network=(encoder, decoder)")
    else:
        output = "sigmoid" if "bce" in model.training_spec_.objective else "linear"
        model.network_ = wrap(*network, config["params"]["bottleneck"], model.scaler_.network_shape, output)
    weights = {
        k.removeprefix("network."): torch.from_numpy(v) for k, v in stored.tensors.items() if k.startswith("network.")
    }
    model.network_.load_state_dict(weights)
    in_best_memory_order(model.network_.eval(), len(model.scaler_.network_shape) + 1)
    model.seed_, model.seconds_, model.interrupted_ = config["seed"], config["seconds"], False
    model.history_ = [dict(entry) for entry in stored.history]
    if config["feature_names"] is not None:
        model.feature_names_in_ = np.asarray(config["feature_names"], dtype=object)
    if len(model.scaler_.sample_shape) == 1:
        model.n_features_in_ = model.scaler_.sample_shape[0]
    model._measure_code(model._place())
    return model


def describe(model: Coder) -> dict[str, str]:
    """Rows of a table: what the model is and how it was trained."""
    spec, training, scaler = model.network_spec_, model.training_spec_, model.scaler_
    shape = " × ".join(map(str, scaler.sample_shape))
    rows = {"samples": f"{shape}, {scaler.dtype}, scaling {scaler.kind!r}"}
    if spec is None:
        rows["network"] = "modules of your own"
    else:
        rows["network"] = f"{_layers(spec)}, {spec.activation}"
        if spec.network == "conv":
            rows["sampling"] = f"down {spec.downsample}, up {spec.upsample}, factor {spec.factor}"
    code, bottleneck = " × ".join(map(str, model.code_shape_)), getattr(spec or model, "bottleneck", "plain")
    rows["code"] = f"{code} ({int(np.prod(model.code_shape_)):,} numbers), {bottleneck} bottleneck"
    rows["parameters"] = f"{sum(p.numel() for p in model.network_.parameters()):,}"
    rows["objective"] = " + ".join(f"{w:g} {n}" if w != 1 else n for n, w in training.objective.items())
    if training.corruption:
        rows["corruption"] = training.corruption
    if training.consistency:
        rows["consistency"] = training.consistency
    rows["training"] = (
        f"{training.optimizer}, learning rate {training.learning_rate:g}, batches of {training.batch_size}, "
        f"{training.precision}, {getattr(model, 'seconds_', 0.0):.1f} s"
    )
    if model.history_:
        last = model.history_[-1]
        rows["run"] = f"{last['step']:,} steps, {last['epoch']:,} epochs"
    rows["seed"] = str(model.seed_)
    return rows


def _layers(spec: NetworkSpec) -> str:
    """Widths from the input to the code, as in "convolutional 32-64-128, fully connected 128-64"."""
    parts = {"convolutional": spec.channels, "fully connected": spec.hidden}
    return ", ".join(f"{kind} {'-'.join(map(str, widths))}" for kind, widths in parts.items() if widths) or "linear"


def _card(model: Coder, name: str) -> str:
    """The model card: what somebody who finds the folder needs to know."""
    rows = "\n".join(f"| {key} | {value} |" for key, value in describe(model).items())
    best, kind = best_validation(model.history_), type(model).__name__
    quality = "" if best is None else f"Best validation objective: {best:.6g} (scaled units).\n\n"
    return (
        f"# {name}\n\nMade with isthmus.\n\n| what | value |\n|---|---|\n{rows}\n\n{quality}"
        f"```python\nfrom isthmus import {kind}\n\nmodel = {kind}.load({name!r})\n"
        f"Z = model.transform(X)\nX2 = model.inverse_transform(Z)\n```\n\n"
        f"Files: `config.json` (settings), `model.safetensors` (weights), `training.jsonl` (the losses of the run). "
        f"Nothing in them is executed when the model is loaded.\n"
    )


def _json_params(model: Coder) -> dict[str, Any]:
    params = model.get_params(deep=False)
    params["random_state"] = model.seed_
    if isinstance(params.get("network"), tuple | list):
        params["network"] = "custom"
    params["device"] = str(params["device"])
    return {name: _plain(value) for name, value in params.items()}


def _plain(value: Any) -> Any:
    """NumPy numbers and sequences as JSON has them."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple | np.ndarray) else value
