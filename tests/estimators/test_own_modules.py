"""Modules of one's own: copied as a pair, checked, and saved with what they share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from sklearn.base import clone
from torch import nn

from isthmus import AutoEncoder, IsthmusError
from isthmus.estimators.model_folder import read_config, weights_of
from isthmus.training.progress import Event


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_own_modules(tmp_path: Path) -> None:
    X = noise(50, 6, 6)

    def pair() -> tuple[nn.Module, nn.Module]:
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
        return encoder, nn.Sequential(nn.Linear(3, 36), nn.Unflatten(1, (1, 6, 6)))

    network = pair()
    weight = network[0].get_parameter("1.weight")
    before = weight.clone()
    model = AutoEncoder(network=network, epochs=3, random_state=0).fit(X)
    assert torch.equal(weight, before), "fit must not change its parameters"
    assert model.reconstruct(X).shape == X.shape
    model.save(tmp_path / "m")
    loaded = AutoEncoder.load(tmp_path / "m", network=pair())
    np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
    with pytest.raises(IsthmusError, match=r"network=\(encoder, decoder\)"):
        AutoEncoder.load(tmp_path / "m")
    with pytest.raises(IsthmusError, match=r"does not take samples|must be equal"):
        AutoEncoder(network=(nn.Linear(5, 2), nn.Linear(2, 5)), epochs=1).fit(X)


class Tied(nn.Module):
    """A decoder with the transposed weights of a linear encoder."""

    def __init__(self, encoder: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = encoder.weight, nn.Parameter(torch.zeros(encoder.in_features))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z @ self.weight + self.bias


def tied() -> tuple[nn.Linear, Tied]:
    encoder = nn.Linear(6, 2)
    return encoder, Tied(encoder)


def test_shared_weights_stay_shared(tmp_path: Path) -> None:
    X = noise(60, 6)
    cloned = clone(AutoEncoder(network=tied(), epochs=2, random_state=0))
    assert cloned.network[0].weight is cloned.network[1].weight
    model = cloned.fit(X, checkpoint=tmp_path / "c.safetensors")
    model.save(tmp_path / "m")
    loaded = AutoEncoder.load(tmp_path / "m", network=tied())
    for trained in (model, loaded):
        assert trained.network_.encoder.weight is trained.network_.decoder.weight
        assert trained.network_.num_parameters == 20
    np.testing.assert_array_equal(loaded.reconstruct(X), model.reconstruct(X))
    assert [
        name for name in load_file(tmp_path / "m" / weights_of(read_config(tmp_path / "m"))) if "weight" in name
    ] == ["network.encoder.weight"]
    with pytest.raises(IsthmusError, match=r"no decoder\.weight: give the modules that the model was made of"):
        AutoEncoder.load(tmp_path / "m", network=(nn.Linear(6, 2), nn.Linear(2, 6)))


def test_a_module_used_twice_is_resumed_to_the_same_bits(tmp_path: Path) -> None:
    twice = nn.Linear(4, 4)
    network = nn.Sequential(nn.Linear(6, 4), twice, nn.SiLU(), twice, nn.Linear(4, 2)), nn.Linear(2, 6)
    X = noise(60, 6)

    def fit(**options: Any) -> np.ndarray:
        codes: np.ndarray = AutoEncoder(network=network, epochs=4, random_state=0).fit(X, **options).transform(X)
        return codes

    def stop(event: Event) -> None:
        if event.entry.get("step", 0) >= 8:
            raise KeyboardInterrupt

    path = tmp_path / "c.safetensors"
    with pytest.raises(KeyboardInterrupt):
        fit(checkpoint=path, checkpoint_seconds=0, listeners=[stop])
    np.testing.assert_array_equal(fit(checkpoint=path, resume=True), fit())


def test_a_model_that_was_trained_with_shared_weights_apart_is_not_tied(tmp_path: Path) -> None:
    X = noise(30, 6)

    class Apart(Tied):
        def __init__(self) -> None:
            super().__init__(nn.Linear(6, 2))

    AutoEncoder(network=(nn.Linear(6, 2), Apart()), epochs=1, random_state=0).fit(X).save(tmp_path / "m")
    assert AutoEncoder.load(tmp_path / "m", network=(nn.Linear(6, 2), Apart())).transform(X).shape == (30, 2)
    with pytest.raises(IsthmusError, match="one tensor in the modules and two in the stored weights"):
        AutoEncoder.load(tmp_path / "m", network=tied())


def test_lazy_modules_get_their_sizes_and_weights_from_the_seed(tmp_path: Path) -> None:
    X = noise(30, 6)
    first, second = (
        AutoEncoder(network=(nn.LazyLinear(2), nn.LazyLinear(6)), epochs=1, random_state=0).fit(X) for _ in range(2)
    )
    np.testing.assert_array_equal(first.transform(X), second.transform(X))
    first.save(tmp_path / "m")
    loaded = AutoEncoder.load(tmp_path / "m", network=(nn.LazyLinear(2), nn.LazyLinear(6)))
    np.testing.assert_array_equal(first.transform(X), loaded.transform(X))


class Returning(nn.Module):
    """A linear module whose output goes through a function."""

    def __init__(self, n_in: int, n_out: int, change: Callable[..., Any]) -> None:
        super().__init__()
        self.linear, self.change = nn.Linear(n_in, n_out), change

    def forward(self, x: torch.Tensor) -> Any:
        return self.change(self.linear(x), self.training)


def view_of(encoder: nn.Linear) -> tuple[nn.Linear, nn.Linear]:
    decoder = nn.Linear(2, 6)
    decoder.weight = nn.Parameter(encoder.weight.data.T)
    return encoder, decoder


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ((nn.Identity(), nn.Identity()), "nothing to train"),
        ((Returning(6, 2, lambda y, _: y.detach()), nn.Linear(2, 6).requires_grad_(False)), "nothing would be learned"),
        ((nn.LSTM(6, 2), nn.Linear(2, 6)), "the encoder returns a tuple of 2"),
        ((nn.Linear(6, 2), Returning(2, 6, lambda y, _: (y, y))), "the decoder returns a tuple of 2"),
        ((nn.Linear(6, 2), Returning(2, 6, lambda y, training: y[:, :1] if training else y)), "in training the decode"),
        ((nn.Linear(6, 2), nn.Linear(2, 5)), r"the decoder returns shape \(1, 5\).*must be equal"),
        ((nn.Linear(6, 2), nn.Linear(3, 6)), r"the decoder does not take codes of shape \(2,\)"),
        ((nn.Flatten(0), nn.Linear(2, 6)), r"the encoder returns shape \(6,\)"),
        ((Returning(6, 2, lambda y, _: y.argmax(1, keepdim=True)), nn.Linear(1, 6)), "must return floats"),
        ((nn.Linear, nn.Linear), "must be torch modules, not a type"),
        (nn.Linear(6, 6), r"a pair \(encoder, decoder\)"),
        (view_of(nn.Linear(6, 2)), "of the modules share memory and are two"),
    ],
)
def test_modules_that_cannot_be_trained(network: Any, message: str) -> None:
    with pytest.raises(IsthmusError, match=message):
        AutoEncoder(network=network, epochs=1, random_state=0).fit(noise(40, 6))
