"""What a notebook shows: a card of a fitted model, the page of a report, pictures of samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.base import BaseEstimator

from isthmus import AutoEncoder, ManifoldMap, datasets, evaluate_representation, load, plots
from isthmus.data.shown import drawn, facts_html
from isthmus.data.sources import open_source
from isthmus.data.table_source import open_table
from isthmus.errors import IsthmusError
from isthmus.evaluation.notebook import card
from isthmus.registry import estimators

MODELS = Path(__file__).parents[1] / "golden" / "models"
GOLDEN = [folder / "model" for folder in sorted(MODELS.glob("*")) if folder.name != "custom"]
DIGITS = datasets.load("digits")
cards = pytest.mark.skipif(not hasattr(BaseEstimator, "_html_repr"), reason="scikit-learn shows its own diagram")


@pytest.fixture(scope="module")
def model() -> AutoEncoder:
    return AutoEncoder(4, network="dense", hidden=(16,), epochs=3, random_state=0).fit(DIGITS.train.images)


@cards
def test_a_fitted_model_is_a_card_with_its_samples(model: AutoEncoder) -> None:
    shown = model._repr_html_()
    assert shown.count("<image") == 12  # six samples, and what comes back
    for text in ("reconstruction", "best validation", "parameters", "training steps", "AutoEncoder(epochs=3"):
        assert text in shown
    assert "<script" not in shown and "http://" not in shown.replace("http://www.w3.org", "")
    assert len(shown) < 100_000


@cards
def test_a_model_before_it_is_fitted_is_scikit_learns_diagram() -> None:
    assert "sk-container" in AutoEncoder(4)._repr_html_()


@cards
def test_samples_are_never_saved(model: AutoEncoder, tmp_path: Path) -> None:
    again = load(model.save(tmp_path / "model"))
    shown = again._repr_html_()
    assert "best validation" in shown and "<image" not in shown


@cards
def test_every_estimator_has_a_card() -> None:
    models = {type(model).__name__: model for model in map(load, GOLDEN)}
    assert models.keys() == set(estimators)
    for name, model in models.items():
        shown = model._repr_html_()
        assert f"<b>{name}</b>" in shown and all(fact in shown for fact in model.describe())


@cards
def test_a_map_shows_its_samples_too() -> None:
    fitted = ManifoldMap(hidden=(8,), epochs=1, random_state=0).fit(DIGITS.train.images[:100])
    assert fitted._repr_html_().count("<image") == 12


@cards
def test_the_card_of_a_table_says_no_word_as_html() -> None:
    import pandas as pd

    frame = pd.DataFrame({"<script>": np.arange(40.0), "b": ["x", "<i>"] * 20})
    assert "<script" not in AutoEncoder(1, epochs=1, random_state=0).fit(frame)._repr_html_()
    assert "<script" not in card("<script>", "<script>", {"<script>": "<script>"}, code="<script>")
    assert "<script" not in facts_html("<script>", {"<script>": "<script>"})


def test_a_report_is_a_path_that_shows_its_page(model: AutoEncoder, tmp_path: Path) -> None:
    path: Any = model.report(DIGITS.test.images[:60], tmp_path / "report")
    shown = path._repr_html_()
    assert shown.startswith("<iframe sandbox ") and shown.count('srcdoc="&lt;!doctype html&gt;') == 1
    assert path.parent._repr_html_() is None
    assert isinstance(path, Path) and path == tmp_path / "report" / "report.html"


def test_evaluations_data_sets_and_paths_can_be_read(model: AutoEncoder) -> None:
    measured = evaluate_representation(model, DIGITS.test.images, DIGITS.test.labels)
    first, *lines = repr(measured).splitlines()
    assert first.split() == ["code", "PCA", "raw", "data"]
    assert len(lines) == len(measured.rows()) and lines[0].startswith("linear probe, accuracy")
    assert "<td>" in measured._repr_html_()
    assert repr(DIGITS) == "<Dataset digits: 1,500 training and 297 test images of 8 × 8, uint8, 10 classes>"
    assert repr(DIGITS.test) == "<Split: 297 images of 8 × 8, uint8, with labels>"
    Z = model.transform(DIGITS.test.images)
    path, grid = model.interpolate(Z[0], Z[1], steps=5), model.latent_grid(Z, 4)
    assert repr(path).startswith("<LatentPath: 5 codes of shape (4,), length ")
    assert repr(grid) == "<LatentGrid: 4 × 4 codes of shape (4,)>"
    assert all(shown._repr_html_().count("<img") == 1 for shown in (DIGITS, DIGITS.test, path, grid))
    nine = DIGITS.test.images[:9]
    off, near = model.off_manifold(nine, DIGITS.test.images), model.neighbours(nine, Z, k=3)
    assert repr(off).startswith("<OffManifold: 9 samples; median error ")
    assert repr(near).startswith("<TrainingNeighbours: 3 neighbours of each of 9 samples; nearest at ")
    assert repr(model.fit_density(Z, random_state=0)) == "<Mixture over codes of shape (4,)>"


def test_sources_can_be_read(tmp_path: Path) -> None:
    import pandas as pd

    digits = open_source("digits:test")
    assert repr(digits) == "<ArraySource digits:test: 297 samples of shape (8, 8), uint8, with labels>"
    shown = digits._repr_html_()
    assert shown.count("<img") == 1
    assert all(f">{text}</td>" in shown for text in ("297", "8 × 8", "uint8", "10 classes"))
    assert "may differ" in open_source([np.zeros((2, 3)), np.zeros((4, 5))], on_mixed_sizes="keep")._repr_html_()
    pd.DataFrame({"<b>": [1.0, 2], "word": ["x", "y"]}).to_csv(tmp_path / "table.csv", index=False)
    table: Any = open_table(tmp_path / "table.csv")
    shown = table._repr_html_()
    assert "&lt;b&gt;" in shown and "<b>" not in shown.replace(f"<b>{tmp_path}", "", 1) and "<svg" not in shown


@pytest.mark.parametrize(
    ("shape", "mark"),
    [((3, 8, 9), "<img"), ((3, 8, 9, 3), "<img"), ((3, 2, 8, 9), "<img"), ((3, 5, 8, 9), "<img"),
     ((3, 30), "<svg"), ((3, 30, 2), "<svg"), ((0, 8, 8), "")],
)  # fmt: skip
def test_samples_of_every_kind_are_drawn(shape: tuple[int, ...], mark: str) -> None:
    assert drawn(np.random.default_rng(0).normal(size=shape), 8).startswith(mark)


def test_words_are_not_drawn() -> None:
    assert drawn(np.array([["a", "b"]], object), 8) == ""


def test_figures_are_matplotlibs_own(model: AutoEncoder) -> None:
    images, labels = DIGITS.test.images, DIGITS.test.labels
    drawn = [plots.reconstructions(model, images, columns=4), plots.losses(model), plots.codes(model, images, labels)]
    for figure in (*drawn, plots.losses(model, theme="dark")):
        assert isinstance(figure, Figure)
        png, size = figure._repr_png_()  # type: ignore[attr-defined]
        assert png.startswith(b"\x89PNG") and size["width"] > 100
    with pytest.raises(IsthmusError, match="theme 'dork'"):
        plots.losses(model, theme="dork")  # type: ignore[arg-type]
