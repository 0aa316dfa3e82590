"""What a number means: the units of the training data, and what is done with others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import wavfile

from isthmus import AutoEncoder, Denoiser, ManifoldMap, load
from isthmus.data.scaling import fit_scaler
from isthmus.data.sources import open_source
from isthmus.data.units import Units, check_units, sound_scale
from isthmus.denoising.files import FileCleaner, learn
from isthmus.errors import IsthmusError

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (12, 8, 8), dtype=np.uint8)
DEEP = BYTES.astype(np.uint16) * 257
FRACTIONS = BYTES / 255
NAMED = r"holds \w+ from .* to .*, and the model learned from \w+ from .* to "


def clean(images: np.ndarray) -> Denoiser:
    return Denoiser("gaussian:0.1", size="small", epochs=1, random_state=0, device="cpu").fit(images)


@pytest.fixture(scope="module", params=["AutoEncoder", "Denoiser", "loaded"])
def on_bytes(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What maps images to images, learned from bytes."""
    if request.param == "AutoEncoder":
        return AutoEncoder(2, epochs=1, random_state=0, device="cpu").fit(BYTES).reconstruct
    model = clean(BYTES)
    return (model if request.param == "Denoiser" else load(model.save(tmp_path_factory.mktemp("bytes") / "m"))).denoise


def test_another_depth_is_converted_and_comes_back_in_its_own(on_bytes: Any) -> None:
    narrow, deep = on_bytes(BYTES).astype(float), on_bytes(DEEP)
    assert deep.dtype == np.uint16
    np.testing.assert_allclose(deep / 257, narrow, atol=1)
    black_and_white = BYTES > 127
    assert on_bytes(black_and_white).dtype == bool
    whole = on_bytes(BYTES.astype(np.int64))  # whole numbers that fit are what they are
    np.testing.assert_array_equal(whole.clip(0, 255), narrow)


@pytest.mark.parametrize(
    "images",
    [
        BYTES.astype(np.uint16) * 16,  # 12 bits in 16
        (BYTES.astype(np.int16) * 8 - 1000),
        BYTES.astype(np.int32) * 257,
        BYTES.astype(np.int64) * 257,
    ],
    ids=["12 in 16", "int16", "int32", "int64"],
)
def test_other_units_are_refused_with_both_ranges(on_bytes: Any, images: np.ndarray) -> None:
    with pytest.raises(IsthmusError, match=NAMED):
        on_bytes(images)


@pytest.mark.parametrize(
    ("learned", "given"),
    [
        (BYTES, FRACTIONS),
        (BYTES.astype(float), FRACTIONS),
        (BYTES.astype(float), BYTES),  # which stand for 0 to 1
        (FRACTIONS, BYTES.astype(float)),
        (BYTES.astype(np.uint16) * 16, DEEP),
        (BYTES.astype(np.uint16) * 16, BYTES),
        (20 + FRACTIONS, 293 + FRACTIONS),  # °C and K
    ],
    ids=[
        "0..1 for bytes",
        "0..1 for 0..255",
        "bytes for 0..255",
        "0..255 for 0..1",
        "16 for 12",
        "8 for 12",
        "K for °C",
    ],
)
def test_a_denoiser_refuses_what_it_would_misread(learned: np.ndarray, given: np.ndarray) -> None:
    units = Units.of([learned])
    with pytest.raises(IsthmusError, match=NAMED):
        factor = units.factor(given.dtype, float(given.min()), float(given.max()), "X")
        units.check(given * factor, "X", given=given)


def test_a_mild_excess_outliers_and_the_dark_are_fine() -> None:
    cases: list[tuple[np.ndarray, np.ndarray]] = [
        (FRACTIONS, 1.8 * FRACTIONS - 0.5),
        (FRACTIONS, np.where(np.arange(12 * 64).reshape(12, 8, 8) == 7, 1e6, FRACTIONS)),
        (FRACTIONS, np.zeros((1, 8, 8))),
        (BYTES, np.zeros((1, 8, 8))),
        (BYTES, BYTES // 100),
        (FRACTIONS * 1e4, FRACTIONS + 90),  # a dark frame, above its pedestal
    ]
    for learned, given in cases:
        Units.of([learned]).check(given, "X")


def test_a_table_may_hold_anything_but_a_whole_batch_in_another_unit() -> None:
    table = RNG.normal(50, 10, (40, 4))
    scaler = fit_scaler(open_source(table), flat=True)
    check_units(scaler, 1e9 * table[:5], "X")
    check_units(scaler, table + 1000, "X")
    check_units(scaler, np.c_[1e6 * table[:, :2], table[:, 2:]], "X")
    with pytest.raises(IsthmusError, match=r"other units .* column 0 goes from .* where the model learned 4\d.* ± "):
        check_units(scaler, 1000 * table, "X")


def test_a_map_refuses_other_units() -> None:
    model = ManifoldMap(hidden=(8,), epochs=1, random_state=0, device="cpu").fit(FRACTIONS.repeat(3, 0))
    with pytest.raises(IsthmusError, match=NAMED):
        model.transform(FRACTIONS * 255)


def test_what_a_decoder_gives_is_scaled_whatever_its_range() -> None:
    model = AutoEncoder(2, epochs=1, random_state=0, device="cpu").fit(10 * FRACTIONS)
    grey = np.full((1, 8, 8), 0.5) + 0.01 * FRACTIONS[:1]  # as a decoder does that has hardly learned
    assert np.ptp(model.scale(grey)) > 0
    with pytest.raises(IsthmusError, match=NAMED):
        model.transform(grey)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32"])
def test_sound_is_sound_in_every_depth(dtype: str, tmp_path: Path) -> None:
    """A model of one depth cleans recordings of any other alike."""
    time = np.arange(512) / 512
    wave = 0.3 * np.sin(2 * np.pi * 9 * time) + RNG.normal(0, 0.03, (4, 512))
    for name, depth in [("learned", dtype), ("same", "float32"), ("other", "uint8")]:
        (tmp_path / name).mkdir()
        silence, loud = sound_scale(np.dtype(depth))
        for i, values in enumerate(silence + wave * min(loud, max(1, loud - 1))):
            rounded = values if depth == "float32" else np.rint(values)
            wavfile.write(tmp_path / name / f"{i}.wav", 8000, rounded.astype(depth))
    model = Denoiser("gaussian:0.03", learn_from="noisy", size="small", epochs=1, random_state=0, device="cpu")
    learn(model, tmp_path / "learned")
    found = []
    for name, depth in [("same", "float32"), ("other", "uint8")]:
        done = FileCleaner(model, tmp_path / f"{name}-clean").files([tmp_path / name / "0.wav"], tmp_path / name)
        assert not done.bad
        values = wavfile.read(tmp_path / f"{name}-clean" / "0.wav")[1]
        assert values.dtype == depth
        silence, loud = sound_scale(np.dtype(depth))
        found.append((values - silence) / loud)
    np.testing.assert_allclose(found[0], found[1], atol=0.02)
    assert abs(found[0] - wave[0]).max() < 0.2


MASKED = np.ma.masked_greater(FRACTIONS, 0.9)


@pytest.mark.parametrize(
    "X",
    [
        MASKED,
        MASKED[:, 0],
        MASKED[:, 0].filled(-9999) * np.ma.masked_array(1, mask=True),
        list(MASKED),
        [list(MASKED[0])],
    ],
    ids=["images", "rows", "all of it", "list of images", "list of lists"],
)
@pytest.mark.parametrize("estimator", [AutoEncoder(2, epochs=1), Denoiser("gaussian:0.1", epochs=1)], ids=["ae", "d"])
def test_what_is_masked_is_never_learned(X: Any, estimator: Any) -> None:
    with pytest.raises(IsthmusError, match=r"and here (1 value is|\d+ values are) masked"):
        estimator.fit(X)


def test_a_mask_of_nothing_is_no_matter() -> None:
    np.testing.assert_array_equal(open_source(np.ma.masked_array(FRACTIONS)).take([0, 1]), FRACTIONS[:2])
