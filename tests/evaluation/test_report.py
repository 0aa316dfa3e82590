"""The report: its sections for every kind of data, one file, nothing loaded, nothing unescaped."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from PIL import Image

from isthmus.data.base import ArraySource
from isthmus.errors import IsthmusError
from isthmus.evaluation.figures.charts import loss_curves
from isthmus.evaluation.report import report

EVERYWHERE = {"reconstructions", "errors", "loss", "extremes", "map", "effects"}
FIGURES = {
    "images": {"map_pictures", "traversals", "classes"},
    "colour": {"map_pictures", "traversals", "classes"},
    "volumes": {"map_pictures", "traversals", "classes"},
    "signals": {"map_errors", "traversals", "classes"},
    "table": {"map_errors", "columns", "classes"},
    "wide": {"map_errors", "columns", "classes"},
}


@pytest.mark.parametrize("kind", FIGURES)
def test_every_kind_of_data_has_its_sections(
    check_page: Any, tmp_path: Path, stand_in: Any, kinds: dict[str, Any], kind: str
) -> None:
    samples, settings = kinds[kind]
    half = len(samples) // 2
    model = stand_in(samples[:half], 4, **settings)
    path = report(
        model, samples[half:], tmp_path / "model", train=samples[:half], labels=np.arange(len(samples) - half) % 3
    )
    assert path == tmp_path / "model" / "report.html"
    page = check_page(path)
    assert page.figures == EVERYWHERE | FIGURES[kind]
    text = " ".join(page.words)
    for phrase in (
        "Beside PCA",
        "Test error",
        "Share of variance kept",
        "StandIn.load('model')",
        "isthmus reconstruct",
    ):
        assert phrase in text
    assert ("SSIM" in text) == (kind in ("images", "colour", "volumes"))


def test_figures_of_the_page_are_measured(
    check_page: Any, quick: None, tmp_path: Path, stand_in: Any, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = digits
    model = stand_in(images[:1500], 10)
    path = report(model, images[1500:], tmp_path, train=images[:1500], labels=labels[1500:], title="Digits")
    words = check_page(path).words
    rebuilt = model.scale(model.inverse_transform(model.transform(images[1500:])))
    assert f"{np.square(rebuilt - model.scale(images[1500:])).mean():.4f}"[:6] in " ".join(words)
    assert "Digits" in words and "10.0" in words  # 5 × 2.0 seconds
    assert any("40 bytes as float32 for a sample of 64 bytes" in word for word in words)


HOSTILE = ["<script>alert(1)</script>", "$\\frac{1}$ & \"quotes\" 'single'", "]]>\x00\x1b[31m\u202e", "名前 😀", ""]


def test_hostile_names_are_escaped(
    check_page: Any, quick: None, tmp_path: Path, stand_in: Any, kinds: dict[str, Any]
) -> None:
    samples, settings = kinds["table"]
    model = stand_in(samples, 2, **settings)
    model.feature_names_in_ = np.array([*HOSTILE, "a", "b", "c", "d" * 500], dtype=object)
    model.describe = lambda: {"<b>network</b>": "<img src=x onerror=alert(1)>", "objective": "<i>mse</i>"}
    path = report(model, samples, tmp_path / "it's <b>", train=samples, labels=np.arange(len(samples)) % 5,
        class_names=HOSTILE, title="<h1 onclick='x()'>$title ${light}",
    )  # fmt: skip
    page = check_page(path)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "img", "b", "i"} and sum(tag == "h1" for tag, _ in page.tags) == 1
    assert "<h1 onclick='x()'>$title ${light}" in page.words
    assert "\x00" not in path.read_text() and "\u202e" not in path.read_text()


@pytest.mark.parametrize("n", [1, 2, 3, 25])
@pytest.mark.parametrize("kind", ["images", "signals", "table"])
def test_few_samples(
    check_page: Any, quick: None, tmp_path: Path, stand_in: Any, kinds: dict[str, Any], kind: str, n: int
) -> None:
    samples, settings = kinds[kind]
    model = stand_in(samples[:n], 2, **settings)
    page = check_page(report(model, samples[:n], tmp_path, train=samples[:n], labels=["one"] * n))
    assert "reconstructions" in page.figures and "classes" not in page.figures


@pytest.mark.parametrize("kind", ["images", "signals", "table"])
def test_constant_data(
    check_page: Any, quick: None, tmp_path: Path, stand_in: Any, kinds: dict[str, Any], kind: str
) -> None:
    samples, settings = kinds[kind]
    samples = np.full_like(samples, 7)
    page = check_page(report(stand_in(samples, 2, **settings), samples, tmp_path, train=samples))
    assert {"reconstructions", "loss"} == page.figures


@pytest.mark.parametrize("latent_dim", [1, 2])
def test_code_sizes(
    check_page: Any, quick: None, tmp_path: Path, stand_in: Any, digits: tuple[np.ndarray, np.ndarray], latent_dim: int
) -> None:
    images = digits[0][:200]
    page = check_page(report(stand_in(images, latent_dim), images, tmp_path, train=images))
    assert {"map", "map_pictures", "traversals", "effects"} <= page.figures
    assert ("map_decoded" in page.figures) == (latent_dim == 2)


def test_spatial_code(
    check_page: Any, quick: None, tmp_path: Path, stand_in: Any, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images = digits[0][:100]
    model = stand_in(images, 12, spatial=(2, 2, 3))
    words = " ".join(check_page(report(model, images, tmp_path, train=images)).words)
    assert "2 × 2 × 3" in words and "principal direction" in words and "(n, 2, 2, 3)" in words


@pytest.mark.parametrize("history", [[], [{"step": 1, "loss": float("nan"), "validation_loss": None}]])
def test_without_a_usable_history(
    check_page: Any, quick: None, tmp_path: Path, stand_in: Any, digits: tuple[np.ndarray, np.ndarray], history: Any
) -> None:
    images = digits[0][:60]
    for entry in history:
        entry |= {"seconds": 1.0, "samples_per_second": 10.0, "learning_rate": 0.1}
    model = stand_in(images)
    model.history_ = history
    page = check_page(report(model, images, tmp_path, train=images))
    assert "loss" not in page.figures


def test_the_lowest_validation_counts_though_no_step_came_before_it() -> None:
    told = {"epoch": 1, "seconds": 1.0, "samples_per_second": 10.0, "learning_rate": 0.1}
    losses = [(10, 0.5, 0.4), (20, 0.3, None), (20, 0.0, 0.2), (30, 0.2, 0.3)]  # as earlier versions have written them
    history = [{"step": step, "loss": loss, "validation_loss": held_out} | told for step, loss, held_out in losses]
    plate = loss_curves(history, "mse")
    assert plate is not None and "lowest at step 20 of 30: 0.200" in plate.caption


def test_more_classes_than_colours(
    check_page: Any, quick: None, tmp_path: Path, stand_in: Any, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images = digits[0][:150]
    labels = np.arange(150) % 40
    page = check_page(report(stand_in(images), images, tmp_path, train=images, labels=labels))
    assert "31 others" in page.words and any("16 worst of 40 classes" in word for word in page.words)


def test_figures_are_sharp_pictures(tmp_path: Path, stand_in: Any, digits: tuple[np.ndarray, np.ndarray]) -> None:
    report(stand_in(digits[0][:40]), digits[0][:40], tmp_path, train=digits[0][:40])
    files = [tmp_path / "figures" / name for name in ("reconstructions.png", "reconstructions-dark.png")]
    with Image.open(files[0]) as light, Image.open(files[1]) as dark:
        assert light.size == dark.size and light.width > 2000
        assert np.asarray(light).any() and not np.array_equal(np.asarray(light), np.asarray(dark))


def test_the_users_matplotlib_is_left_alone(
    tmp_path: Path, stand_in: Any, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images = digits[0][:40]
    with matplotlib.rc_context({"font.size": 31, "axes.facecolor": "red", "svg.fonttype": "path"}):
        before = dict(matplotlib.rcParams)
        report(stand_in(images), images, tmp_path, train=images)
        assert dict(matplotlib.rcParams) == before


def test_writing_twice_gives_the_same_files(
    tmp_path: Path, stand_in: Any, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = digits[0][:80], digits[1][:80]
    pages = []
    for _ in range(2):
        path = report(stand_in(images), images, tmp_path, train=images, labels=labels)
        pages.append([path.read_bytes(), *(f.read_bytes() for f in sorted((tmp_path / "figures").iterdir()))])
    assert pages[0] == pages[1]


def test_real_model_and_a_source_with_labels(
    check_page: Any, quick: None, tmp_path: Path, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    from isthmus import AutoEncoder
    from isthmus.data.base import ArraySource

    images, labels = digits
    model = AutoEncoder(latent_dim=3, network="dense", epochs=2, random_state=0).fit(images[:300])
    source = ArraySource(images[300:400], labels=labels[300:400])
    path = report(model, source, tmp_path / "report", train=images[:300], saved_as="models/digits-3")
    page = check_page(path)
    assert "classes" in page.figures
    assert any("AutoEncoder.load('digits-3')" in word for word in page.words)


def test_without_training_data_half_of_the_samples_stand_in_for_them(
    check_page: Any, quick: None, tmp_path: Path, stand_in: Any, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = digits[0][:81], digits[1][:81]
    words = " ".join(check_page(report(stand_in(images), images, tmp_path, labels=labels)).words)
    assert "measured on all 41 test samples" in words and "PCA was fitted to 40 training samples" in words
    with pytest.raises(IsthmusError, match=r"shape \(80,\); one for each of the 81 samples"):
        report(stand_in(images), images, tmp_path, labels=labels[1:])
    with pytest.raises(IsthmusError, match="takes at least 2"):
        report(stand_in(images), images[:1], tmp_path)


def test_signals_stay_lines_over_time_where_a_dense_network_saw_rows(
    check_page: Any, quick: None, tmp_path: Path, stand_in: Any, kinds: dict[str, Any]
) -> None:
    waves, _ = kinds["signals"]
    source = ArraySource(waves, name="/data/waves.npy")
    page = check_page(report(stand_in(waves, 4), source, tmp_path, train=waves))
    text = " ".join(page.words)
    assert "thin line is the original" in text and "sorted by value" not in text and "columns" not in page.figures
    assert "waves.npy" in page.words and datetime.date.today().isoformat() in page.words and "/data/" not in text


def test_on_a_phone_all_can_be_read_and_what_goes_on_can_be_seen(
    chromium: Any, quick: None, tmp_path: Path, stand_in: Any, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = digits
    path = report(stand_in(images[:300], 8), images[300:600], tmp_path, train=images[:300], labels=labels[300:600])
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    sizes = """[...document.querySelectorAll('figure svg')].map((svg) => svg.getBoundingClientRect().width
      / svg.viewBox.baseVal.width * Math.min(...[...svg.querySelectorAll('text')]
        .map((text) => parseFloat(getComputedStyle(text).fontSize))))"""
    assert min(page.evaluate(sizes)) > 9.5  # pixels of the smallest text
    going_on = "[...document.querySelectorAll('.scroll, .table')].filter((box) => box.scrollWidth > box.clientWidth)"
    assert page.evaluate(f"{going_on}.length") >= 2
    assert page.evaluate(f"{going_on}.every((box) => getComputedStyle(box).maskImage.includes('gradient'))")
    page.close()
