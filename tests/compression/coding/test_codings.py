"""What every model must do: give back exactly what it was given, in the same bits everywhere."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compression.coding.models import MODELS, example

from isthmus.compression.coding.context import Canvas, Context
from isthmus.compression.coding.exact import Layer, Tables
from isthmus.compression.coding.model import CodecModel
from isthmus.compression.coding.range_coder import RangeDecoder, RangeEncoder, Statics
from isthmus.errors import IsthmusError


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 4), height=st.integers(1, 13), width=st.integers(1, 17), seed=st.integers(0, 10**6))
def test_what_goes_in_comes_out(name: str, n: int, height: int, width: int, seed: int) -> None:
    images = example(name, n, height, width, seed)
    coding: Any = MODELS[name].coding
    assert coding.takes(images.shape[1:], images.dtype)
    decoded = coding.decode(coding.encode(images), images.shape)
    assert decoded.dtype == images.dtype
    np.testing.assert_array_equal(decoded, images)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("value", [0, 1, 255])
def test_constant_images_come_out_too(name: str, value: int) -> None:
    images = np.full_like(example(name, 2, 9, 8), value)
    coding: Any = MODELS[name].coding
    np.testing.assert_array_equal(coding.decode(coding.encode(images), images.shape), images)


@pytest.mark.parametrize("name", MODELS)
def test_damaged_bits_give_an_error_or_wrong_pixels_but_never_a_crash(name: str) -> None:
    images = example(name, 3, 9, 8)
    coding: Any = MODELS[name].coding
    data, rng = coding.encode(images), np.random.default_rng(0)
    for _ in range(40):
        broken = bytearray(data[: rng.integers(0, len(data) + 1)])
        for at in rng.integers(0, max(1, len(broken)), 3) if broken else []:
            broken[at] = rng.integers(0, 256)
        with contextlib.suppress(IsthmusError):
            assert coding.decode(bytes(broken), images.shape).shape == images.shape


_DIGEST = """
import sys, hashlib
sys.path.insert(0, sys.argv[1])
from models import MODELS, example
for name, model in MODELS.items():
    print(hashlib.sha256(model.coding.encode(example(name, 40, 9, 8))).hexdigest())
"""


@pytest.mark.parametrize(
    "environment",
    [
        {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"},
        {"OPENBLAS_CORETYPE": "Prescott", "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 X86_V3 X86_V4"},
        {"OPENBLAS_CORETYPE": "Haswell"},
    ],
    ids=lambda environment: " ".join(f"{k}={v}" for k, v in environment.items()),
)
def test_every_processor_writes_the_same_bits(environment: dict[str, str]) -> None:
    codings: dict[str, Any] = {name: model.coding for name, model in MODELS.items()}
    here = [hashlib.sha256(c.encode(example(name, 40, 9, 8))).hexdigest() for name, c in codings.items()]
    command = [sys.executable, "-W", "ignore", "-c", _DIGEST, str(Path(__file__).parent)]
    run = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert run.stdout.split() == here, run.stderr


def test_a_layer_is_exact_in_any_order_of_summation() -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(-127, 128, (500, 7)).astype(np.int8)
    x = rng.integers(-255, 256, (64, 500))
    layer = Layer(weight, np.ones(7, np.float32), np.zeros(7, np.float32))
    expected = np.clip(x @ weight.astype(np.int64), -32767, 32767)
    order = rng.permutation(500)
    np.testing.assert_array_equal(layer(x.astype(np.float32), hidden=False), expected)
    shuffled = Layer(weight[order], np.ones(7, np.float32), np.zeros(7, np.float32))
    np.testing.assert_array_equal(shuffled(x[:, order].astype(np.float32), hidden=False), expected)


def test_a_layer_that_could_be_inexact_is_refused() -> None:
    with pytest.raises(IsthmusError, match="must stay below 16,777,216"):
        Layer(np.full((600, 1), 127, np.int8), np.ones(1, np.float32), np.zeros(1, np.float32))
    with pytest.raises(IsthmusError, match="not finite"):
        Layer(np.ones((2, 1), np.int8), np.array([np.nan], np.float32), np.zeros(1, np.float32))


def test_counts_are_whole_positive_and_exact_in_float32() -> None:
    rng, tables = np.random.default_rng(0), Tables.make()
    outputs = rng.integers(-32767, 32768, (300, 9)).astype(np.float32)
    outputs[:100] = rng.integers(-500, 500, (100, 9))
    mixture = tables.mixture(outputs, rng.integers(0, 256, 300).astype(np.float32))
    high = mixture.high()
    rows = [tables.softmax(outputs), high, *(mixture.low(np.full(300, digit)) for digit in range(16))]
    for counts in rows:
        assert counts.dtype == np.float32
        assert (counts >= 1).all() and (counts == np.rint(counts)).all()
        assert counts.sum(1, dtype=np.float64).max() <= 1 << 24
    for digit in range(16):  # the lower digits add up to their upper one
        np.testing.assert_array_equal(rows[2 + digit].sum(1), high[:, digit])


def test_static_symbols_and_empty_messages_come_back() -> None:
    statics = Statics.of(np.array([3, 3, 5]), 9)
    range_encoder = RangeEncoder()
    range_encoder.encode_static(np.array([3, 8, 0]), statics)
    range_encoder.encode_static(np.array([0, 0]), Statics.uniform(1))
    range_decoder = RangeDecoder(range_encoder.finish())
    assert range_decoder.decode_static(3, statics).tolist() == [3, 8, 0]
    assert range_decoder.decode_static(2, Statics.uniform(1)).tolist() == [0, 0]
    assert RangeEncoder().finish() == b""


@pytest.mark.parametrize("context", [Context.disk(7.2, 8), Context.disk(3.9, 3), Context.disk(1.5, 2)])
def test_a_context_holds_only_pixels_of_earlier_steps(context: Context) -> None:
    canvas = Canvas(np.array([[6, 9], [1, 1], [4, 3]]), 1, context, -1)
    wave = canvas.wave()
    assert len(wave) == 6 * 9 + 1 + 4 * 3
    for number, step in enumerate(wave.steps()):
        assert (canvas.neighbours(wave.positions[step]) < number).all()
        canvas.values[wave.positions[step]] = number


@pytest.mark.parametrize("name", ["levels", "colour"])
@pytest.mark.parametrize("change", ["no tensors", "no config", "another kind", "wrong shape"])
def test_a_model_that_is_not_whole_is_one_clear_line(name: str, change: str) -> None:
    model = MODELS[name]
    kind, config, tensors = model.kind, dict(model.config), dict(model.tensors)
    if change == "no tensors":
        tensors = {k: v for k, v in tensors.items() if k.startswith("tables.")}
    elif change == "no config":
        config = {}
    elif change == "another kind":
        kind = "wavelets"
    else:
        tensors = {k: v[:-1] if k.endswith(".scale") else v for k, v in tensors.items()}
    with pytest.raises(IsthmusError):
        CodecModel(kind, config, tensors).coding  # noqa: B018
