"""The map's page with 70,000 images: its size, how long it takes to write and to open, and frames per second.

python bench/map_page.py [FOLDER of a trained map]

Without a map, images lie at places that a random projection gives them. There is no graphics processor here: Chromium
draws with the page's own painter, as it does on such machines. WebGL emulated by the processor, which the page refuses,
shows why; with a graphics processor WebGL needs the script's milliseconds alone.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, sync_playwright

import isthmus
from isthmus import datasets
from isthmus.manifold.drawn_map import draw_map
from isthmus.manifold.page import write_map_page
from isthmus.manifold.picture import write_map_pictures
from machine import machine, table

_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
_SECONDS = 4.0  # of every movement
_SIZES = ((1440, 900), (900, 700))
# The page refuses emulated WebGL; this makes it believe in a graphics processor
_PRETEND = "WebGLRenderingContext.prototype.getParameter = () => 'a graphics processor'"
# Moves the view in every frame, and counts them; what the page itself needs for one is measured beside it.
_MOVE = """([kind, seconds]) => new Promise((done) => {
  const start = performance.now(), spent = [];
  let frames = 0;
  const step = (now) => {
    const t = (now - start) / 1000;
    if (t > seconds) return done([frames / t, spent.sort((a, b) => a - b)[Math.floor(spent.length / 2)]]);
    frames++;
    waiting = true; // this painting is the frame's only one
    if (kind === "pan") look(0.5 + 0.2 * Math.sin(3 * t), 0.5 + 0.2 * Math.cos(2 * t), view.scale);
    else look(0.5, 0.5, fit * 2 ** (1.5 - 1.5 * Math.cos(2 * t)));
    const before = performance.now();
    paint();
    spent.push(performance.now() - before);
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""

_HOVER = """() => {
  const start = performance.now();
  for (let i = 0; i < 1000; i++) nearest(Math.random(), Math.random(), 0.02);
  return performance.now() - start;
}"""


class Scattered:
    """Images at places that a random projection gives them; a stand-in for a trained map."""

    def __init__(self, images: np.ndarray) -> None:
        self._images = images
        rng = np.random.default_rng(0)
        self._axes = rng.normal(size=(images[0].size, 2)).astype(np.float32) / 255
        self._places = self.transform(images)

    def scale(self, X: Any) -> np.ndarray:
        return np.asarray(X, np.float32)[:, None] / 255

    def transform(self, X: Any) -> np.ndarray:
        return np.asarray(X, np.float32).reshape(len(X), -1) @ self._axes

    def inverse_transform(self, Z: Any) -> np.ndarray:
        return self._images[[int(((self._places - z) ** 2).sum(axis=1).argmin()) for z in Z]]


def frames(browser: Browser, page_file: Path, painter: str, size: tuple[int, int]) -> dict[str, Any]:
    """Frames per second while the view moves and zooms, and what the script needs for one."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    if painter == "emulated WebGL":
        page.add_init_script(_PRETEND)
    start = time.perf_counter()
    page.goto(page_file.as_uri(), timeout=120_000)
    while not page.evaluate("view.scale > 0 && !waiting"):
        page.wait_for_timeout(10)
    opened = time.perf_counter() - start
    row: dict[str, Any] = {"painter": painter, "window": f"{size[0]} × {size[1]}", "opens in, s": f"{opened:.1f}"}
    for kind in ("pan", "zoom"):
        rate, spent = page.evaluate(_MOVE, [kind, _SECONDS])
        row |= {f"{kind}, frames/s": f"{rate:.0f}", f"{kind}, ms of script": f"{spent:.1f}"}
    found = page.evaluate(_HOVER)
    page.close()
    return row | {"hover, ms": f"{found / 1000:.3f}"}


def main() -> None:
    mnist = datasets.load("mnist")
    images = np.concatenate([mnist.train.images, mnist.test.images])
    labels = np.concatenate([mnist.train.labels, mnist.test.labels])
    model = isthmus.load(sys.argv[1], device="cpu") if len(sys.argv) > 1 else Scattered(images)
    with tempfile.TemporaryDirectory() as folder:
        times = [time.perf_counter()]
        drawn = draw_map(model, images, labels=labels, class_names=mnist.class_names)
        times.append(time.perf_counter())
        page_file = write_map_page(drawn, Path(folder) / "map.html", "mnist")
        times.append(time.perf_counter())
        write_map_pictures(drawn, folder, "mnist")
        times.append(time.perf_counter())
        map_s, page_s, pictures_s = np.diff(times)
        print(f"{machine()}\n")
        print(f"{len(images):,} images: {page_file.stat().st_size / 1e6:.1f} MB")
        print(f"placing and shrinking {map_s:.1f} s, page {page_s:.1f} s, two pictures {pictures_s:.1f} s\n")
        with sync_playwright() as p:
            browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=_ARGUMENTS)
            rows = [
                frames(browser, page_file, painter, size) for painter in ("plain", "emulated WebGL") for size in _SIZES
            ]
            print(f"Chromium {browser.version}\n\n{table(rows)}")
            browser.close()


if __name__ == "__main__":
    main()
