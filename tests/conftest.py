"""What the tests share."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the networks are tiny: more threads would only wait for one another

import numpy as np
import pytest
from PIL import Image
from sklearn.decomposition import PCA

# A shell's job in the background hears neither of these, nor would the processes that tests start.
for name in {"SIGINT", "SIGHUP"} & set(dir(signal)):
    if signal.getsignal(getattr(signal, name)) is signal.SIG_IGN:
        signal.signal(getattr(signal, name), signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)

BROWSER_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the real data sets; a test that needs it is skipped where it is absent."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    root = Path(os.environ.get("ISTHMUS_DATA") or beside)
    if not root.is_dir():
        pytest.skip("needs the real data sets: set ISTHMUS_DATA to a folder that holds mnist/, cifar10/, ...")
    return root


def find_chromium() -> str | None:
    """Where Chromium is installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Headless Chromium; tests that need it are skipped where it is not installed."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'isthmus[dev]'")
    path = find_chromium()
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=BROWSER_FLAGS)
        yield browser
        browser.close()


class StandIn:
    """PCA with what the report and the map ask of a model.

    spatial : gives codes a shape. channels_last : whether colours are on the last axis.
    """

    def __init__(
        self,
        X: np.ndarray,
        latent_dim: int = 4,
        *,
        standard: bool = False,
        channels_last: bool = False,
        signals: bool = False,
        spatial: Any = None,
    ) -> None:
        self.sample_shape, self.dtype = X.shape[1:], X.dtype
        self.channels_last, self.signals, self.spatial = channels_last, signals, spatial
        self.offset: Any
        self.divisor: Any
        if standard:
            self.offset, self.divisor = X.mean(0), np.where(X.std(0) > 0, X.std(0), 1)
        else:
            self.offset, self.divisor = (0, 255) if X.dtype == np.uint8 else (X.min(), np.ptp(X) or 1)
        scaled = self.scale(X)
        self.network_shape = scaled.shape[1:]
        flat = scaled.reshape(len(X), -1)
        self.pca = PCA(min(latent_dim, *flat.shape), random_state=0) if len(X) > 1 else None
        self.mean, self.latent_dim = flat.mean(0), latent_dim
        if self.pca is not None:
            with np.errstate(all="ignore"):
                self.pca.fit(flat)
        self.history_ = [self._entry(step) for step in range(1, 6)]

    @staticmethod
    def _entry(step: int) -> Any:
        return {
            "epoch": step, "step": 100 * step, "loss": 0.1 / step, "validation_loss": 0.12 / step,
            "learning_rate": 0.003 * (1 - step / 5), "samples_per_second": 5000.0, "seconds": 2.0 * step,
        }  # fmt: skip

    def scale(self, X: np.ndarray) -> Any:
        scaled = ((np.asarray(X, dtype=np.float64) - self.offset) / self.divisor).astype(np.float32)
        if self.channels_last:
            return np.moveaxis(scaled, -1, 1)
        return scaled[:, None] if self.signals or scaled.ndim > 2 else scaled

    def transform(self, X: np.ndarray) -> Any:
        flat = self.scale(X).reshape(len(X), -1)
        if self.pca is None:
            return np.zeros((len(X), self.latent_dim), np.float32)
        codes = self.pca.transform(flat).astype(np.float32)
        return codes if self.spatial is None else codes.reshape(len(X), *self.spatial)

    def inverse_transform(self, Z: Any) -> Any:
        flat = np.reshape(Z, (len(Z), -1))
        rebuilt = np.tile(self.mean, (len(Z), 1)) if self.pca is None else self.pca.inverse_transform(flat)
        rebuilt = rebuilt.reshape(-1, *self.network_shape)
        if self.channels_last:
            rebuilt = np.moveaxis(rebuilt, 1, -1)
        values = rebuilt.reshape(-1, *self.sample_shape) * self.divisor + self.offset
        return np.clip(values.round(), 0, 255).astype(np.uint8) if self.dtype == np.uint8 else values.astype(self.dtype)

    def describe(self) -> Any:
        return {"network": "PCA", "code": f"{self.latent_dim} numbers", "objective": "mse"}


@pytest.fixture(scope="session")
def stand_in() -> Any:
    return StandIn


@pytest.fixture(scope="session")
def digits() -> Any:
    """The digits of scikit-learn: uint8 images (1797, 8, 8), and their labels."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return (data.images * 15.9).astype(np.uint8), data.target


@pytest.fixture(scope="session")
def kinds(digits: tuple[np.ndarray, np.ndarray]) -> Any:
    """One small data set of every kind: (samples, settings of the stand-in)."""
    rng = np.random.default_rng(0)
    images = digits[0][:300]
    colour = np.stack([images, 255 - images, images // 2], axis=-1)
    phase = rng.uniform(0, 6, (120, 1))
    waves = np.sin(np.linspace(0, 12, 80) + phase).astype(np.float32)
    table = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 9)) + 0.1 * rng.normal(size=(200, 9)) + 50
    wide = rng.normal(size=(60, 4)) @ rng.normal(size=(4, 55))
    volumes = np.repeat(images[:60, None], 6, axis=1)
    return {
        "images": (images, {}),
        "colour": (colour, {"channels_last": True}),
        "volumes": (volumes, {}),
        "signals": (waves, {"signals": True}),
        "table": (table, {"standard": True}),
        "wide": (wide, {"standard": True}),
    }


class Page(HTMLParser):
    """Collects tags, figures and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.figures, self.words = set[str](), list[str]()
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.feed(text)

    def handle_starttag(self, tag: Any, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "figure":
            self.figures.add(dict(attrs)["id"])

    def handle_data(self, data: Any) -> None:
        self.words.append(data)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """PNG files of one transparent pixel: for tests that look at the page."""
    from isthmus.evaluation.figures import style

    buffer = io.BytesIO()
    Image.new("RGBA", (1, 1)).save(buffer, "PNG")
    monkeypatch.setattr(style, "_png", lambda figure: buffer.getvalue())


@pytest.fixture(scope="session")
def check_page() -> Any:
    """Checks what holds for every report, and gives the page."""
    return _checked_page


def _checked_page(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert "http" not in text and "@import" not in text and "<script" not in text
    for tag, attrs in page.tags:
        assert tag not in {"link", "iframe", "object", "embed"}
        assert not any(name.startswith("on") for name in attrs)
        for name in ("src", "href", "xlink:href", "srcset"):
            assert attrs.get(name, "#").startswith(("#", "data:image/png;base64,"))
    assert not re.search(r"url\((?!#)", text)
    assert len(text) < 3_000_000
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(svg)  # well-formed
    files = {file.name for file in (path.parent / "figures").iterdir()}
    assert files == {f"{name}{theme}.png" for name in page.figures for theme in ("", "-dark")}
    for file in (path.parent / "figures").iterdir():
        with Image.open(file) as image:
            assert image.format == "PNG" and image.mode == "RGBA"
            assert np.asarray(image)[-1, 0, 3] == 0  # a transparent page
    assert not list(path.parent.rglob(".*"))
    return page
