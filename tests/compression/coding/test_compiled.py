"""Compiled loops and NumPy give the same bytes and the same images, whatever is coded and on whichever processor."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compression.coding.models import MODELS, example, lossy_model

from isthmus.compression.coding import chunks, compiled
from isthmus.compression.coding.archive import Reader
from isthmus.compression.coding.codes import CodesCoding
from isthmus.compression.coding.compiled.networks import Network, run_chain
from isthmus.compression.coding.compiled.range_coding import RangeCoder
from isthmus.compression.coding.exact import Layer, Tables
from isthmus.compression.coding.model import CodecModel
from isthmus.compression.coding.range_coder import RangeDecoder, RangeEncoder, Statics
from isthmus.errors import IsthmusError

GOLDEN = Path(__file__).parents[2] / "golden"
LOSSY = lossy_model()
CODES = CodesCoding(LOSSY.config["latents"], LOSSY.tensors, Tables.make())


@contextmanager
def loops(are_compiled: bool) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "pays", lambda values: are_compiled)
        yield


def both(function: Any, *args: Any) -> list[Any]:
    """What a function gives with NumPy and with compiled loops: the result, or the error's message."""
    results = []
    for are_compiled in (False, True):
        with loops(are_compiled):
            try:
                results.append(function(*args))
            except IsthmusError as error:
                results.append(str(error))
    return results


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 4), height=st.integers(1, 13), width=st.integers(1, 17), seed=st.integers(0, 10**6))
def test_images_become_the_same_bytes_and_come_back(name: str, n: int, height: int, width: int, seed: int) -> None:
    coding: Any = MODELS[name].coding
    images = example(name, n, height, width, seed)
    reference, data = both(coding.encode, images)
    assert data == reference
    for decoded in both(coding.decode, data, images.shape):
        np.testing.assert_array_equal(decoded, images)


@settings(max_examples=15, deadline=None)
@given(shape=st.tuples(*[st.integers(1, 7)] * 3), spread=st.sampled_from([1, 10, 127]), seed=st.integers(0, 10**6))
def test_codes_become_the_same_bytes_and_come_back(shape: tuple[int, int, int], spread: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(-spread, spread + 1, (*shape, CODES.channels)).astype(np.int16)
    reference, data = both(CODES.encode, codes, seed % 256)
    assert data == reference
    for decoded in both(CODES.decode, data, shape, seed % 256):
        np.testing.assert_array_equal(decoded, codes)


@pytest.mark.parametrize("name", MODELS)
def test_damaged_bits_give_the_same_wrong_images_or_the_same_error(name: str) -> None:
    coding: Any = MODELS[name].coding
    images = example(name, 3, 9, 8)
    data, rng = coding.encode(images), np.random.default_rng(0)
    for _ in range(20):
        broken = bytearray(data[: rng.integers(0, len(data) + 1)])
        for at in rng.integers(0, max(1, len(broken)), 3) if broken else []:
            broken[at] = rng.integers(0, 256)
        np.testing.assert_array_equal(*both(coding.decode, bytes(broken), images.shape))


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.isth")), ids=lambda path: path.stem)
def test_golden_archives_are_read_alike(path: Path) -> None:
    reader = Reader(io.BytesIO(path.read_bytes()))
    assert reader.model is not None and reader.chunks
    coding = CodecModel.from_bytes(reader.model).coding
    for number in range(len(reader.chunks)):  # what is decoded has its checksum
        reference, found = both(chunks.decode, reader.chunk(number), coding)
        assert isinstance(found, np.ndarray), found
        np.testing.assert_array_equal(found, reference)


@settings(max_examples=40, deadline=None)
@given(symbols=st.lists(st.integers(0, 4), max_size=400), common=st.integers(0, 4), share=st.integers(1, 1 << 22))
def test_the_range_coder_is_that_of_constriction(symbols: list[int], common: int, share: int) -> None:
    counts = np.ones(5, np.int64)
    counts[common] = share
    statics, given_symbols = Statics(counts), np.array(symbols, np.int64)
    reference, coder = RangeEncoder(), RangeCoder.writing(len(symbols))
    for one in (reference, coder):
        one.encode_static(given_symbols, statics)
    data = coder.finish()
    assert data == reference.finish()
    for reader in (RangeCoder.reading(data), RangeDecoder(data)):
        assert reader.decode_static(len(symbols), statics).tolist() == symbols


@pytest.mark.parametrize("last", range(5))
def test_words_that_wait_for_a_carry_are_those_of_constriction(last: int) -> None:
    statics, waited = Statics(np.array([3, 5, 7, 11, 13])), []
    for n in range(20, 80):  # symbols around a place between two words, so that the words before it stay open
        symbols = np.append(RangeDecoder(b"\x80").decode_static(n, statics), [last] * 3)
        reference, coder = RangeEncoder(), RangeCoder.writing(len(symbols))
        coder.encode_static(symbols[:-3], statics)
        waited.append(int(coder.state[4]))
        coder.encode_static(symbols[-3:], statics)
        reference.encode_static(symbols, statics)
        assert coder.finish() == reference.finish()
    assert max(waited) > 2


@pytest.mark.parametrize(("rows", "widths"), [(1, (3, 1)), (7, (36, 96, 9)), (6, (81, 50, 256))])
def test_layers_are_exact(rows: int, widths: tuple[int, ...]) -> None:
    rng = np.random.default_rng(rows)
    chain = []
    for inputs, outputs in pairwise(widths):
        weight = rng.integers(-127, 128, (inputs, outputs)).astype(np.int8)
        scale, bias = rng.random((2, outputs), np.float32)
        chain.append(Layer(weight, scale / 100, bias * 100))
    network, x = Network.of([chain], zero=255, bytes_each=2), rng.integers(-255, 256, (rows, widths[0]))
    expected, room, inputs = x.astype(np.float32), network.room(rows), int(network.layers[0, 0])
    for layer in chain:
        expected = layer(expected, hidden=layer is not chain[-1])
    halves = np.concatenate([(x + 256) >> 1, (x + 255) >> 1], 1)
    room.features[: rows * inputs].reshape(rows, inputs)[:, : 2 * widths[0]] = halves
    apart = run_chain(network, 0, rows, room)
    np.testing.assert_array_equal(room.outputs[: rows * apart].reshape(rows, apart)[:, : widths[-1]], expected)


_CODE = """
import io, pathlib, sys
import numpy as np
from isthmus.compression.coding import compiled
from isthmus.compression.coding.archive import Reader
from isthmus.compression.coding.model import CodecModel

model = Reader(io.BytesIO(pathlib.Path(sys.argv[1]).read_bytes())).model
coding = CodecModel.from_bytes(model).coding
images = np.random.default_rng(0).integers(0, 60000, (3, 20, 30)).astype(np.uint16)
data = coding.encode(images)
print("numba" in sys.modules)
compiled.pays = lambda values: True
assert coding.encode(images) == data
assert (coding.decode(data, images.shape) == images).all()
"""


def test_a_processor_without_vectors_writes_the_same_bits_and_small_work_waits_for_no_compiler(tmp_path: Path) -> None:
    plain = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", _CODE, str(GOLDEN / "v2-16-bits.isth")]
    run = subprocess.run(command, env={**os.environ, **plain}, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "False"  # where few values are coded, Numba is not even imported
    assert not list(tmp_path.rglob("*"))  # Numba keeps what it compiled by pickle, were it asked to


def test_loops_are_compiled_once_numpy_has_worked_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_JIT", "not imported")
    monkeypatch.setattr(compiled, "_compiles", lambda: True)
    monkeypatch.setattr(compiled, "_coded", 0)
    assert [compiled.pays(compiled._PAYS // 3 + 1) for _ in range(4)] == [False, False, True, True]


@pytest.mark.parametrize("without", ["sys.modules['numba'] = None", "os.environ['NUMBA_DISABLE_JIT'] = '1'"])
def test_numpy_does_the_work_where_numba_does_not(without: str) -> None:
    code = f"import os, sys; {without}; from isthmus.compression.coding.compiled import pays; sys.exit(pays(1 << 30))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
