from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

from isthmus import AnomalyDetector, IsthmusError, datasets, load
from isthmus.anomalies.hidden_cells import cell_sizes, colouring, guesses, hide
from isthmus.anomalies.image_features import distances, edge_features
from isthmus.anomalies.image_layout import ImageLayout
from isthmus.anomalies.image_scorer import ImageScorer
from isthmus.networks.unet import UNet

DIGITS = datasets.load("digits")
IMAGES = np.concatenate([DIGITS.train.images, DIGITS.test.images])
LABELS = np.concatenate([DIGITS.train.labels, DIGITS.test.labels])
ORDER = np.random.default_rng(0).permutation(len(IMAGES))
IMAGES, LABELS = IMAGES[ORDER], LABELS[ORDER]
THREES, OTHER_THREES = np.split(IMAGES[LABELS == 3], [120])


@pytest.fixture(scope="module")
def detector() -> AnomalyDetector:
    return AnomalyDetector(epochs=30, random_state=0).fit(THREES)


def layout_of(detector: AnomalyDetector) -> ImageLayout:
    assert isinstance(detector.scorer_, ImageScorer)
    return detector.scorer_.layout


def planted(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images with a bright line of three pixels across the border of the digit, and where it is."""
    defect = np.zeros(images.shape, bool)
    defect[:, 1:4, 0] = True
    return np.where(defect, 255, images).astype(np.uint8), defect


def test_other_digits_are_stranger(detector: AnomalyDetector) -> None:
    assert detector.kind_ == "images"
    others = IMAGES[LABELS != 3][:300]
    strange = -detector.score_samples(np.concatenate([OTHER_THREES, others]))
    assert roc_auc_score(np.repeat([0, 1], [len(OTHER_THREES), len(others)]), strange) > 0.97


def test_few_samples_are_each_set_aside_in_turn(detector: AnomalyDetector) -> None:
    assert len(detector.calibration_.scores) == len(THREES) < 400
    p = detector.p_values(OTHER_THREES)
    assert 0.3 < p.mean() < 0.7


def test_a_heat_map_shows_a_defect(detector: AnomalyDetector) -> None:
    images, defect = planted(OTHER_THREES)
    parts = detector.explain(images)
    assert parts.scores.shape == images.shape and parts.scores.dtype == np.float32
    assert parts.expected.shape == images.shape and parts.expected.dtype == images.dtype
    assert roc_auc_score(defect.ravel(), parts.scores.ravel()) > 0.9
    assert parts.expected[defect].mean() < 128


def test_another_size_is_an_error(detector: AnomalyDetector) -> None:
    with pytest.raises(IsthmusError, match=r"shape \(16, 4\).*trained on samples of shape \(8, 8\)"):
        detector.score_samples(np.zeros((3, 16, 4), np.uint8))
    with pytest.raises(IsthmusError, match="several shapes"):
        detector.score_samples([np.zeros((8, 8), np.uint8), np.zeros((9, 8), np.uint8)])


def test_files_of_one_size_are_learned_as_an_array_of_them_is(detector: AnomalyDetector, tmp_path: Path) -> None:
    for i, image in enumerate(THREES):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    of_files = AnomalyDetector(epochs=30, random_state=0).fit(tmp_path)
    layout, same = layout_of(of_files), layout_of(detector)
    assert layout == same and layout.shape == (8, 8)
    expected = detector.score_samples(OTHER_THREES)
    colours = [Image.fromarray(image).convert("RGB") for image in OTHER_THREES[:3]]  # read as grey, as those were
    for number, image in enumerate(colours):
        image.save(tmp_path / f"{number}.png")
    assert np.allclose(of_files.score_samples([tmp_path / f"{i}.png" for i in range(3)]), expected[:3], rtol=1e-4)
    assert np.allclose(of_files.score_samples(list(OTHER_THREES)), expected, rtol=1e-4)  # a list of arrays
    Image.new("L", (9, 8)).save(tmp_path / "wide.png")
    with pytest.raises(IsthmusError, match=r"shape \(8, 9\)"):
        of_files.score_samples([tmp_path / "wide.png"])


def test_signals_in_files_are_signals_of_one_length_or_of_several(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for lengths, folder in (([64] * 30, tmp_path / "same"), ([64, 70, 80] * 10, tmp_path / "several")):
        folder.mkdir()
        for i, n in enumerate(lengths):
            wave = np.sin(np.arange(n) / 3 + rng.uniform(0, 6)) + 0.05 * rng.normal(size=n)
            np.save(folder / f"{i}.npy", np.stack([wave, -wave], -1).astype(np.float32))
        detector = AnomalyDetector(epochs=3, random_state=0).fit(folder)
        layout = layout_of(detector)
        assert detector.kind_ == "signals" and layout.num_spatial_dims == 1
        assert (layout.shape is None) == (len(set(lengths)) > 1)
        strange = np.load(folder / "2.npy")
        strange[30:33, 1] += 3
        np.save(tmp_path / "strange.npy", strange)
        (heat,) = detector.explain([tmp_path / "strange.npy"]).scores
        assert heat.shape == strange.shape and abs(heat[:, 1].argmax() - 31) < 4


def test_a_model_in_a_folder_says_the_same(detector: AnomalyDetector, tmp_path: Path) -> None:
    detector.save(tmp_path / "model")
    again = load(tmp_path / "model")
    images = DIGITS.test.images[:20]
    assert np.allclose(again.score_samples(images), detector.score_samples(images), atol=1e-4)
    assert np.allclose(again.explain(images).scores, detector.explain(images).scores, rtol=1e-4)


def test_photographs_may_have_any_size() -> None:
    rng = np.random.default_rng(0)

    def waves(height: int, width: int) -> np.ndarray:
        y, x = np.mgrid[:height, :width]
        return (127 + 80 * np.sin(0.7 * x + 0.4 * y + rng.uniform(0, 6)) + rng.normal(0, 5, y.shape)).astype(np.uint8)

    detector = AnomalyDetector(epochs=10, random_state=0).fit([waves(40 + i, 60 - i) for i in range(16)])
    images = [waves(70, 50), waves(30, 90)]
    images[1][10:18, 20:28] = waves(60, 60).T[:8, :8]
    parts = detector.explain(images)
    assert [scores.shape for scores in parts.scores] == [(70, 50), (30, 90)]
    assert [sample.shape for sample in parts.expected] == [(70, 50), (30, 90)]
    scores = detector.score_samples(images)
    assert scores[1] < scores[0]
    assert np.unravel_index(parts.scores[1].argmax(), (30, 90))[1] in range(16, 32)


def test_signals_are_judged_by_time_and_channel() -> None:
    rng = np.random.default_rng(0)
    signals = np.sin(np.arange(64) / 3 + rng.uniform(0, 6, (60, 1))) + 0.05 * rng.normal(size=(60, 64))
    signals = np.stack([signals, -signals], -1).astype(np.float32)
    detector = AnomalyDetector(epochs=30, random_state=0).fit(signals)
    assert detector.kind_ == "signals"
    strange = signals[:5].copy()
    strange[:, 30:33, 1] += 2
    parts = detector.explain(strange)
    assert parts.scores.shape == parts.expected.shape == strange.shape
    assert (np.abs(parts.scores[:, :, 1].argmax(1) - 31) <= 3).all()
    assert (detector.score_samples(strange) < detector.score_samples(signals[:5])).all()


@pytest.mark.parametrize("d", [1, 2, 3])
def test_each_value_is_guessed_without_itself(d: int) -> None:
    torch.manual_seed(0)
    network = UNet(d, 1, 1, (4, 8), (1, 1)).eval()
    for parameter in network.parameters():
        parameter.data = parameter.data + 0.1 * torch.randn(parameter.shape)
    x = torch.rand(1, 1, *[20] * d)
    place = (0, 0, *[7] * d)
    changed = x.clone()
    changed[place] += 1
    with torch.inference_mode():
        for a, b in zip(guesses(network, x, thorough=True), guesses(network, changed, thorough=True), strict=True):
            assert a[place] == b[place]
            assert (a != b).any()


def test_cells_have_others_around_them() -> None:
    colours = colouring((8, 8), 2, (0, 1), torch.device("cpu"))
    assert colours.unique().tolist() == [0, 1, 2, 3]
    hidden = colours == 0
    x = torch.full((1, 1, 8, 8), 3.0)
    assert torch.allclose(hide(x, hidden, 2), x)
    assert cell_sizes((28, 28)) == (2, 4, 8)
    assert cell_sizes((8, 8)) == (2,)


def test_edges_know_neither_brightness_nor_contrast() -> None:
    x = torch.rand(4, 2, 20, 17)
    rows = edge_features(x)
    assert torch.allclose(rows.norm(dim=1), torch.ones(4))
    assert torch.allclose(rows, edge_features(0.5 + 0.1 * x), atol=1e-5)
    assert distances(rows, rows, skip=0)[0] < distances(rows, rows, skip=1)[0]
