"""Model folders of strangers, for every estimator: refused in one line, before they cost anything."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.hostile.archives import GOLDEN
from tests.hostile.model_folders import cases, reseal

from isthmus import load
from isthmus.errors import IsthmusError
from isthmus.estimators.model_folder import CONFIG, weights_of
from isthmus.registry import estimators

DEEP = "[" * 100_000 + "]" * 100_000
ALTERED: list[tuple[str, tuple[str, ...], Any]] = [
    ("denoiser-clean", ("network", "blocks"), [100_000, 1]),
    ("denoiser-clean", ("network", "widths"), [2048, 2048]),
    ("denoiser-clean", ("network", "num_spatial_dims"), 10**9),
    ("denoiser-clean", ("dtype",), "S"),
    ("table", ("network", "hidden"), [20_000, 20_000]),
    ("conv", ("network", "channels"), [2048, 2048]),
    ("conv", ("network", "factor"), 10**6),
    ("spatial", ("network", "sample_shape"), [1, 10**6, 10**6]),
    ("conv", ("scaler", "dtype"), "i4,f8"),
    ("map", ("network", "latent_dim"), 10**400),
    ("imputer", ("params", "members"), 10**6),
    ("imputer", ("factors",), 10**9),
    ("columns", ("seed",), "7"),
    ("columns", ("format",), True),
    ("columns", ("estimator",), ["AutoEncoder"]),
    ("codec-tones", ("model", "channels"), 10**6),
    ("codec-lossy-patches", ("model", "network", "hidden"), 20_000),
]


@pytest.mark.parametrize(("name", "place", "value"), ALTERED, ids=lambda part: str(part)[:40])
def test_settings_that_ask_for_too_much_are_refused_at_once(
    tmp_path: Path, name: str, place: tuple[str, ...], value: Any
) -> None:
    folder = Path(shutil.copytree(GOLDEN / name / "model", tmp_path / "model"))
    config = json.loads((folder / CONFIG).read_text())
    holder, weights = config, folder / weights_of(config)
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    reseal(folder, config, weights)
    start = time.process_time()
    with pytest.raises(IsthmusError) as caught:
        load(folder, device="cpu")
    assert "\n" not in str(caught.value)
    assert time.process_time() - start < 10, "the work was done before it was refused"


def test_json_that_is_nested_deep_is_refused(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(GOLDEN / "conv" / "model", tmp_path / "model"))
    (folder / CONFIG).write_text(DEEP)
    with pytest.raises(IsthmusError, match="nested too deep"):
        load(folder)


def test_altered_folders_of_every_estimator_end_in_our_error_or_a_model() -> None:
    source, seen = cases(np.random.default_rng(5)), set()
    for _ in range(150):
        name, folder, read = next(source)
        seen.add(json.loads((GOLDEN / name / "model" / CONFIG).read_text())["estimator"])
        try:
            read(folder)
        except IsthmusError as error:
            assert "\n" not in str(error)
    assert seen >= set(estimators)
