"""Specifications: names, numbers and JSON."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from inspect import signature
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus import registry
from isthmus.anomalies import scorer
from isthmus.compression import codec, lossy_learning
from isthmus.data import folders
from isthmus.errors import IsthmusError
from isthmus.estimators.base import Fitting
from isthmus.evaluation import plots
from isthmus.latent import density
from isthmus.networks import unet
from isthmus.spec import Choice, NetworkSpec, TrainingSpec, spatial_sizes

CONV: dict[str, Any] = {"network": "conv", "sample_shape": (1, 28, 28), "latent_dim": 10, "channels": (32, 64)}
DENSE: dict[str, Any] = {"network": "dense", "sample_shape": (30,), "latent_dim": 2, "hidden": (16,)}
TRAINING: dict[str, Any] = {"objective": "mse", "epochs": 1}


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("gaussian", None, None),
        ("gaussian:0.25", 0.25, 0.25),
        ("gaussian:0-0.6", 0, 0.6),
        ("gaussian:1e-3", 1e-3, 1e-3),
    ],
)
def test_choice_reads_a_name_with_a_number_or_a_range(text: str, low: float | None, high: float | None) -> None:
    choice = Choice.parse(text, registry.corruptions)
    assert (choice.name, choice.low, choice.high) == ("gaussian", low, high)
    assert Choice.parse(str(choice), registry.corruptions) == choice


@pytest.mark.parametrize(
    "text", ["", "gaussian:", "gaussian:a", "gaussian:0.6-0", "gausian", ":1", "gaussian:1:2", 3, None]
)
def test_choice_refuses_what_it_cannot_read_in_one_line(text: Any) -> None:
    with pytest.raises(IsthmusError) as caught:
        Choice.parse(text, registry.corruptions)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_is_answered_with_the_nearest_and_all() -> None:
    with pytest.raises(IsthmusError, match=r"'neares'; did you mean 'nearest'\? One of: .*pixel-shuffle"):
        NetworkSpec(**CONV, upsample="neares")


def test_types_of_names_are_what_is_taken() -> None:
    for names, found in (
        (registry.ActivationName, registry.activations),
        (registry.DownsamplingName, registry.downsamplings),
        (registry.UpsamplingName, registry.upsamplings),
        (registry.OptimizerName, registry.optimizers),
        (registry.NetworkName, registry.networks),
        (registry.BackendName, ("local", *registry.backends)),
        (codec.ObjectiveName, lossy_learning.OBJECTIVES),
        (density.DensityName, density.DENSITIES),
        (folders.ImageMode, folders.IMAGE_MODES),
        (plots.ThemeName, plots._THEMES),
        (scorer.DetectorKind, scorer.KINDS),
        (unet.SizeName, unet.SIZES),
    ):
        assert set(get_args(names)) == set(found), names


@pytest.mark.parametrize("name", list(registry.estimators))
def test_fit_is_called_as_its_type_says(name: str) -> None:
    fits = (registry.estimators[name].estimator().fit, Fitting.__call__)
    ours, typed = ({p.name: (p.kind, p.default) for p in signature(fit).parameters.values()} for fit in fits)
    assert ours == typed


@pytest.mark.parametrize("name", list(registry.estimators))
def test_a_list_of_names_in_a_docstring_is_the_parameter_s_type(name: str) -> None:
    estimator = registry.estimators[name].estimator()
    types = get_type_hints(estimator.__init__)
    listed = re.findall(r"^    (\w+) : \{(.*)\}", str(estimator.__doc__), re.MULTILINE)
    for parameter, names in listed:
        assert names_in(types[parameter]) == set(re.findall(r'"(.*?)"', names)), parameter


def names_in(kind: Any) -> set[str]:
    """The names that a type allows."""
    if get_origin(kind) is Literal:
        return set(get_args(kind))
    return {name for part in get_args(kind) for name in names_in(part)}


@given(
    name=st.sampled_from(["gaussian", "salt-and-pepper"]),
    numbers=st.lists(st.floats(0, 1e6, allow_nan=False), min_size=0, max_size=2).map(sorted),
)
def test_choice_text_comes_back_the_same(name: str, numbers: list[float]) -> None:
    numbers = [float(f"{number:g}") for number in numbers]
    choice = Choice(name, *((numbers[0], numbers[-1]) if numbers else (None, None)))
    assert Choice.parse(str(choice), registry.corruptions) == choice


@pytest.mark.parametrize("spec", [NetworkSpec(**CONV), NetworkSpec(**DENSE), TrainingSpec(**TRAINING)])
def test_specs_survive_json(spec: NetworkSpec | TrainingSpec) -> None:
    assert type(spec).from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_unknown_fields_are_refused_with_the_nearest_known() -> None:
    with pytest.raises(IsthmusError, match="'latentdim'; did you mean 'latent_dim'"):
        NetworkSpec.from_dict({**NetworkSpec(**CONV).to_dict(), "latentdim": 3})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latent_dim": 0}, "latent_dim"),
        ({"latent_dim": None}, "latent_channels"),
        ({"latent_dim": 2.5}, "latent_dim"),
        ({"channels": ()}, "at least one stage"),
        ({"channels": (3, -1)}, "channels"),
        ({"kernel_size": 4}, "odd"),
        ({"factor": 1}, "factor"),
        ({"sample_shape": (1,)}, "spatial"),
        ({"upsample": "max-unpool"}, "max-pool"),
        ({"bottleneck": "plane"}, "plain"),
        ({"activation": "swish"}, "silu"),
        ({"output": "tanh"}, "sigmoid"),
    ],
)
def test_wrong_network_settings_name_what_is_wrong(changes: dict, message: str) -> None:
    with pytest.raises(IsthmusError, match=message):
        NetworkSpec(**{**CONV, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": None}, "epochs"),
        ({"minutes": 1.0}, "either epochs"),
        ({"epochs": True}, "epochs"),
        ({"learning_rate": -1}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"batch_size": 0}, "batch_size"),
        ({"objective": {"mse": 0}}, "weight"),
        ({"objective": "l2"}, "mse"),
        ({"corruption": "fog"}, "gaussian"),
        ({"precision": "float16"}, "bfloat16"),
        ({"optimizer": "sgd"}, "adam"),
    ],
)
def test_wrong_training_settings_name_what_is_wrong(changes: dict, message: str) -> None:
    with pytest.raises(IsthmusError, match=message):
        TrainingSpec(**{**TRAINING, **changes})


def test_sizes_are_rounded_up_at_every_stage() -> None:
    assert spatial_sizes((259, 180), 3, 2) == [(259, 180), (130, 90), (65, 45), (33, 23)]
    assert NetworkSpec(**CONV).spatial_sizes == [(28, 28), (14, 14), (7, 7)]


REGISTRIES = [value for value in vars(registry).values() if isinstance(value, registry.Registry)]


@pytest.mark.parametrize("found", REGISTRIES, ids=lambda r: r.kind)
def test_names_are_the_same_before_and_after_the_import(found: registry.Registry) -> None:
    declared = tuple(found._declared())
    assert declared
    for name in declared:
        assert found[name] is not None
        assert found.summary(name), f"{found.kind} {name!r} has no docstring"
    assert set(found.names()) == set(declared)


def test_listing_names_imports_no_torch() -> None:
    code = (
        "import sys, isthmus.cli, isthmus.spec as s; s.NetworkSpec('dense', (3,), latent_dim=1); "
        "assert 'torch' not in sys.modules and 'sklearn' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_specs_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        NetworkSpec(**CONV).latent_dim = 3  # type: ignore[misc]
