"""The explorer with 70,000 points: seconds from the command to the page, how long a pointer waits for its
picture, and memory after many pages.

python bench/explorer.py      needs: pip install '.[explore,dev]', Chromium, MNIST
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

from isthmus import AutoEncoder, datasets
from machine import machine, table
from targets import QUICK, Target, note

MODEL = Path(__file__).parents[1] / ".bench" / "explorer" / "mnist-10"
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
MOVES = 20 if QUICK else 200
VISITS, FORGOTTEN = 60, 45  # pages that are asked for; seconds after which the server has forgotten them
PAUSES = (30, 100)  # milliseconds between moves of the pointer

# Notes the time of every question and of its answer where they happen: in the browser.
CLOCK = """() => {
  const models = [...Bokeh.documents[0]._all_models.values()]
  const channels = models.filter((m) => m.type === "CustomJS" && m.args.question != null)
  const {question, answer} = channels.find((m) => m.args.sliders.length === 0 && m.args.mode == null).args
  const asked = new Map()
  window.waits = []
  question.properties.data.change.connect(() => asked.set(question.data.numbers[0], performance.now()))
  answer.properties.data.change.connect(() => {
    const start = asked.get(answer.data.numbers[0])
    if (start == null) return
    const answered = performance.now() - start
    requestAnimationFrame(() => window.waits.push([answered, performance.now() - start]))
  })
}"""
POINTS = """() => [...Bokeh.documents[0]._all_models.values()]
  .filter((m) => m.type === "GlyphRenderer" && m.name === "points")[0].data_source.get_length()"""


def model() -> Path:
    """A model of ten numbers, trained unless it was before."""
    if not (MODEL / "config.json").exists():
        AutoEncoder(10, minutes=0.5, random_state=0).fit(datasets.load("mnist").train.images).save(MODEL)
    return MODEL


def main() -> None:
    mnist = datasets.load("mnist")
    chromium = shutil.which("chromium") or sys.exit("bench/explorer.py needs chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        data = Path(folder) / "all.npy"
        np.save(data, np.concatenate([mnist.train.images, mnist.test.images]))
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        command = [sys.executable, "-m", "isthmus", "explore", str(model()), str(data), "--no-browser"]
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            url = next(word for word in process.stdout.readline().split() if word.startswith("http"))
            rows, complete = measured(browser, url, start)
            rows += [] if QUICK else remembered(url, process.pid)
        finally:
            process.terminate()
            browser.close()
    print(f"{machine()}\n\n{table(rows)}")
    note(Target("explorer, from the command to all 70,000 points", complete, 4))


def measured(browser: Any, url: str, start: float) -> tuple[list[dict[str, Any]], float]:
    """Open the page as soon as its address is printed, wait for all points (the seconds), then move the pointer."""
    served = time.perf_counter() - start
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(url)
    page.locator(".picture img").first.wait_for()
    page.locator(".bk-Figure canvas").first.wait_for()
    drawn = time.perf_counter() - start
    while page.evaluate(POINTS) < 70_000:
        page.wait_for_timeout(100)
    complete = time.perf_counter() - start
    page.evaluate(CLOCK)
    rows = [
        {"what": "from the command to the address (s)", "figure": f"{served:.1f}"},
        {"what": "to a page that answers, with the first 2,048 points (s)", "figure": f"{drawn:.1f}"},
        {"what": "to all 70,000 points (s)", "figure": f"{complete:.1f}"},
    ]
    for pause in PAUSES:
        for what, waits in zip(("decoded and back", "painted"), moved(page, pause).T, strict=True):
            median, late = np.quantile(waits, (0.5, 0.95))
            rows.append(
                {
                    "what": f"a place asked, its picture {what}, moves every {pause} ms, median (95 of 100 below)",
                    "figure": f"{median:.0f} ms ({late:.0f} ms)",
                }
            )
    return rows, complete


def remembered(url: str, server: int) -> list[dict[str, Any]]:
    """Megabytes of the server before, during and after pages that are asked for and left."""
    found, before = [], resident(server)
    for _ in range(VISITS):
        with urllib.request.urlopen(url, timeout=60) as answer:
            answer.read()
    found.append(resident(server))
    time.sleep(FORGOTTEN)
    for _ in range(VISITS):
        with urllib.request.urlopen(url, timeout=60) as answer:
            answer.read()
    time.sleep(FORGOTTEN)
    found.append(resident(server))
    return [
        {"what": "memory of the server with one page (MB)", "figure": f"{before:.0f}"},
        {"what": f"with {VISITS} more pages", "figure": f"{found[0]:.0f}"},
        {"what": f"after {2 * VISITS} pages, all left", "figure": f"{found[1]:.0f}"},
    ]


def resident(process: int) -> float:
    """Megabytes of memory of a process."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def moved(page: Any, pause: int) -> np.ndarray:
    """Milliseconds (n, 2) from questions of the moving pointer to their answers and to the frames that show them."""
    page.evaluate("() => { window.waits = [] }")
    box = page.locator(".bk-Figure").bounding_box()
    for step in range(MOVES):
        share = 0.2 + 0.5 * step / MOVES
        page.mouse.move(box["x"] + share * box["width"], box["y"] + (0.3 + 0.3 * share) * box["height"])
        page.wait_for_timeout(pause)
    page.wait_for_timeout(1000)
    return np.array(page.evaluate("window.waits"))


if __name__ == "__main__":
    main()
