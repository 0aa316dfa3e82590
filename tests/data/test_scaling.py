"""Scaling: any dtype, range and layout, there and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from isthmus.data.scaling import Scaler, fit_scaler
from isthmus.data.sources import open_source
from isthmus.errors import IsthmusError
from isthmus.training.feed import as_tensor


def fit(X: np.ndarray, **options: Any) -> Scaler:
    return fit_scaler(open_source(X), **{"flat": X.ndim == 2, **options})


def round_trip(X: np.ndarray, scaler: Scaler) -> np.ndarray:
    return scaler.from_network(scaler.to_network(as_tensor(X)))


@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "int16", "int32", "uint32", "int64", "bool", "float32", "float64"]
)
@pytest.mark.parametrize(
    ("shape", "options", "network_shape"),
    [
        ((5, 7), {}, (7,)),
        ((5, 6, 7), {}, (1, 6, 7)),
        ((5, 6, 7), {"flat": True}, (42,)),
        ((5, 6, 7, 3), {}, (3, 6, 7)),
        ((5, 3, 6, 7), {"channel_axis": 1}, (3, 6, 7)),
        ((5, 6, 7, 8), {}, (1, 6, 7, 8)),
        ((5, 4, 6, 7, 2), {}, (2, 4, 6, 7)),
        ((5, 9, 2), {"channel_axis": -1}, (2, 9)),
    ],
)
def test_data_comes_back_with_dtype_range_and_layout(
    dtype: str, shape: tuple, options: dict, network_shape: tuple
) -> None:
    rng = np.random.default_rng(0)
    X = (rng.random(shape) * 200).astype(dtype)
    scaler = fit(X, **options)
    assert scaler.network_shape == network_shape
    x = scaler.to_network(as_tensor(X))
    assert tuple(x.shape) == (5, *network_shape)
    assert x.dtype == torch.float32
    back = round_trip(X, scaler)
    assert back.dtype == X.dtype
    np.testing.assert_allclose(back, X, rtol=1e-5, atol=1e-4) if X.dtype.kind == "f" else np.testing.assert_array_equal(
        back, X
    )
    again = Scaler.from_dict(scaler.to_dict(), scaler.arrays())
    np.testing.assert_array_equal(round_trip(X, again), back)


def test_images_span_zero_to_one_and_columns_are_standardised() -> None:
    images = np.array([[[0, 255]], [[51, 102]]], np.uint8)
    torch.testing.assert_close(fit(images).to_network(as_tensor(images)).flatten(), torch.tensor([0, 1, 0.2, 0.4]))
    table = np.random.default_rng(0).normal([1e6, 3, 7], [5, 1e-6, 0], (4000, 3))
    x = fit(table).to_network(as_tensor(table))
    torch.testing.assert_close(x.mean(0), torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(x.std(0), torch.tensor([1.0, 1.0, 0.0]), atol=1e-3, rtol=0)


def test_pixels_in_rows_are_scaled_as_pixels() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    assert fit(rows).kind == "range"
    assert fit(rows.astype(float)).kind == "standard"
    assert fit(rows.astype(float), kind="range").kind == "range"


def test_decoded_integers_are_rounded_and_kept_in_range() -> None:
    scaler = fit(np.full((1, 2, 2), 255, np.uint8))
    decoded = scaler.from_network(torch.tensor([[[[-3.0, 0.4999], [0.501, 9.0]]]]))
    np.testing.assert_array_equal(decoded, np.array([[[0, 127], [128, 255]]], np.uint8))


@given(hnp.arrays(st.sampled_from([np.int64, np.uint64, np.int32, np.uint16]), (3, 4)))
@settings(max_examples=60, deadline=None)
def test_any_integers_survive_without_overflow(X: np.ndarray) -> None:
    back = round_trip(X, fit(X))
    assert back.dtype == X.dtype
    spread = float(X.max()) - float(X.min())
    assert (np.abs(back.astype(float) - X.astype(float)) <= 1 + 1e-6 * max(spread, np.abs(X.astype(float)).max())).all()


def test_statistics_do_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    X = np.random.default_rng(1).normal(100, 3, (1000, 5))
    whole = fit(X)
    monkeypatch.setattr("isthmus.data.scaling._CHUNK_BYTES", 1000)
    parts = fit(X)
    np.testing.assert_allclose(parts.offset, whole.offset, rtol=1e-12)
    np.testing.assert_allclose(parts.scale, whole.scale, rtol=1e-12)


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")])
def test_holes_in_the_data_are_named(value: float, word: str) -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"age": [1.0, 2.0, 3.0], "height": [1.0, value, 2.0]})
    with pytest.raises(IsthmusError, match=rf"row 1.* holds {word} in column 'height'"):
        fit_scaler(open_source(table), flat=True)


@pytest.mark.parametrize("axis", [0, 4, -4, "last", 1.0])
def test_a_wrong_channel_axis_is_refused(axis: Any) -> None:
    with pytest.raises(IsthmusError, match="channel_axis"):
        fit(np.zeros((2, 3, 4, 5)), channel_axis=axis)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float64"])
def test_masks_labels_and_counts_are_no_pixels(dtype: str) -> None:
    images = (np.arange(4 * 5 * 5).reshape(4, 5, 5) % 17).astype(dtype)  # 0 to 16, as scikit-learn's digits
    scaler = fit(images)
    assert float(scaler.scale) == 16
    assert float(scaler.to_network(as_tensor(images)).max()) == 1
    np.testing.assert_array_equal(round_trip(images, scaler), images)
    images[0, 0, 0] = 128  # pixels: one is brighter than half of what a byte holds
    assert float(fit(images).scale) == (255 if dtype == "uint8" else 128)


def test_a_spread_that_is_small_beside_the_mean_is_no_constant() -> None:
    rng = np.random.default_rng(0)
    nanoseconds = np.int64(1_700_000_000_000_000_000) + np.arange(200) * 10_000_000
    table = np.c_[nanoseconds, rng.integers(0, 100, 200)]
    scaled = fit(table).to_network(as_tensor(table)).numpy()
    assert np.abs(scaled).max() < 5
    assert scaled.std(axis=0) == pytest.approx(1, abs=1e-3)
    identifiers = np.c_[5e12 + rng.normal(0, 3000, 200), np.full(200, 1e9)]
    scaled = fit(identifiers).to_network(as_tensor(identifiers)).numpy()
    assert scaled[:, 0].std() == pytest.approx(1, abs=1e-3)
    assert not scaled[:, 1].any()
    assert not fit(np.full((50, 2), 0.1, np.float32)).to_network(torch.full((50, 2), 0.1)).abs().max() > 1e-3


def sensors(scale: float = 500) -> np.ndarray:
    """Signals (n, 32, 2) in °C and Pa, ruled by one phase."""
    t, phase = np.linspace(0, 6, 32), np.random.default_rng(0).uniform(0, 6, (60, 1))
    return np.stack([20 + np.sin(t + phase), 101_300 + scale * np.cos(t + phase)], axis=-1)


@pytest.mark.parametrize(
    ("X", "axis"),
    [
        (sensors(), "auto"),
        (sensors(), -1),
        (sensors().transpose(0, 2, 1), 1),
        (sensors().transpose(0, 2, 1), "auto"),
        (np.repeat(sensors()[:, :, None], 9, axis=2), "auto"),
        (np.tile(sensors().astype(np.float32), 3), -1),
    ],
    ids=["unsaid", "last", "first", "first, unsaid", "images", "six"],
)
def test_channels_in_their_own_units_are_scaled_each_by_itself(X: np.ndarray, axis: Any) -> None:
    scaler = fit(X, channel_axis=axis)
    scaled = scaler.to_network(as_tensor(X)).numpy()
    assert scaled.min() == pytest.approx(0, abs=1e-6) and scaled.max() == pytest.approx(1, abs=1e-6)
    each = X.std(axis=tuple(i for i in range(X.ndim) if X.shape[i] not in (2, 6)))
    back = round_trip(X, scaler).astype(float) - X
    assert np.abs(back).max() < 1e-5 * each.max()
    width = scaler.scale.ravel()
    assert len(width) == len(each) and (width < 4 * each).all()


@pytest.mark.parametrize(
    "X",
    [
        np.random.default_rng(0).random((20, 9, 9, 3)) * [1, 0.5, 0.2],  # colours
        np.random.default_rng(0).random((20, 9, 9, 4)) * [1, 1, 1, 0] + [0, 0, 0, 1],  # transparency
        np.random.default_rng(0).random((20, 9, 2)) * [1, 0.01],  # nobody says that these are channels
        np.random.default_rng(0).integers(0, 2, (20, 9, 9, 3)).astype(np.uint8) * np.array([255, 9, 1], np.uint8),
    ],
    ids=["colours", "transparency", "unsaid", "bytes"],
)
def test_channels_in_one_unit_are_scaled_by_one_range(X: np.ndarray) -> None:
    assert fit(X).scale.shape == ()


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
@pytest.mark.parametrize("start", [2**62, 2**63 - 1000, -(2**63), 2**64 - 1000])
def test_whole_numbers_of_64_bits_are_exact(dtype: str, start: int) -> None:
    if not np.iinfo(dtype).min <= start <= np.iinfo(dtype).max:
        pytest.skip("beyond the dtype")
    small = np.random.default_rng(0).integers(0, 90, (200, 2)).astype(dtype)
    X = small + np.array([start, 0], dtype)
    scaler = fit(X)
    scaled = scaler.to_network(as_tensor(X))
    torch.testing.assert_close(scaled, fit(small).to_network(as_tensor(small)))
    stored = Scaler.from_dict(scaler.to_dict(), scaler.arrays())
    np.testing.assert_array_equal(stored.from_network(scaled), X)
    ends = stored.from_network(torch.tensor([[1e30, 0], [-1e30, 0]]))[:, 0]
    assert ends.tolist() == [np.iinfo(dtype).max, np.iinfo(dtype).min]


@given(
    st.floats(-12, 12),
    st.floats(-12, 12),
    st.sampled_from(["float32", "float64"]),
    st.sampled_from([(40, 4), (8, 9, 5)]),
)
@settings(max_examples=40, deadline=None)
def test_any_unit_is_scaled_to_the_same_numbers(size: float, offset: float, dtype: str, shape: tuple[int, ...]) -> None:
    """X · s + o, with an offset of up to 1e12 deviations where the dtype can hold it, is to a network what X is."""
    X = np.random.default_rng(0).normal(size=shape)
    offset = min(offset, 5 if dtype == "float32" else 12)
    moved = ((X + 10**offset) * 10**size).astype(dtype)
    scaler = fit(moved)
    scaled = scaler.to_network(as_tensor(moved))
    expected = fit(X).to_network(as_tensor(X))
    rounding = float(np.finfo(dtype).eps) * 10 ** max(offset, 0)
    np.testing.assert_allclose(scaled, expected, atol=1e-5 + 4 * rounding)
    np.testing.assert_allclose(round_trip(moved, scaler), moved, rtol=2e-6, atol=2e-6 * 10**size)


@pytest.mark.parametrize(("dtype", "size"), [("float32", 1e30), ("float64", 1e30), ("float64", 1e300)])
def test_large_numbers_are_standardised(dtype: str, size: float) -> None:
    table = (np.random.default_rng(0).normal(size=(50, 3)) * [size, 1, size]).astype(dtype)
    torch.testing.assert_close(fit(table).to_network(as_tensor(table)).std(0, correction=0), torch.ones(3))
