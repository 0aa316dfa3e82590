"""The explorer as a user meets it: in a browser, with a pointer."""

from __future__ import annotations

import base64
import io
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import numpy as np
import pytest
from PIL import Image
from tests.conftest import BROWSER_FLAGS, find_chromium

import isthmus
from isthmus.evaluation.theme import DARK, LIGHT

Server = Callable[..., str]

DROP = """(element, content) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0))
  const data = new DataTransfer()
  data.items.add(new File([bytes], "ring.png", {type: "image/png"}))
  const {left, top, width, height} = element.getBoundingClientRect()
  const where = {clientX: left + width / 2, clientY: top + height / 2}
  const options = {...where, bubbles: true, composed: true, cancelable: true, dataTransfer: data}
  for (const name of ["dragenter", "dragover", "drop"]) element.dispatchEvent(new DragEvent(name, options))
}"""


def ring() -> bytes:
    """A coloured picture of a ring, as a PNG file."""
    image, file = Image.new("RGB", (60, 40), "black"), io.BytesIO()
    for x in range(60):
        for y in range(40):
            if 9 < ((x - 30) ** 2 + (y - 20) ** 2) ** 0.5 < 15:
                image.putpixel((x, y), (255, 220, 200))
    image.save(file, "PNG")
    return file.getvalue()


def test_the_pointer_a_click_and_the_sliders(server: Server, explorer: Any) -> None:
    explorer.open(server("flat", "deep"))
    page, mouse = explorer.page, explorer.page.mouse
    chosen, seen = explorer.picture(), set[str]()
    for step in range(6):
        mouse.move(*explorer.place(0.25 + 0.08 * step, 0.5))
        seen.add(explorer.until(lambda: (now := explorer.picture()) not in seen | {chosen} and now))
    assert len(seen) == 6 and explorer.captions()[:2] == ["Decoded at the pointer", "Nearest sample on the map"]
    mouse.move(1400, 5)
    explorer.until(lambda: explorer.picture() == chosen)  # where one stands again

    mouse.click(*explorer.place(0.5, 0.5))
    mouse.move(1400, 5)
    clicked = explorer.until(lambda: (now := explorer.picture()) != chosen and now)
    near = page.locator("figcaption").all_inner_texts()
    distances = [float(text.split()[-1]) for text in near]
    assert (
        len(near) == 10 and distances == sorted(distances) and {text.split()[0] for text in near} <= set("0123456789")
    )

    page.locator(".noUi-handle").first.focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    explorer.until(lambda: explorer.picture() != clicked)
    page.get_by_text("Reset", exact=True).click()
    explorer.until(lambda: explorer.picture() == clicked)


def test_a_walk_is_drawn_and_played(server: Server, explorer: Any) -> None:
    explorer.open(server("flat", "deep"))
    page, mouse = explorer.page, explorer.page.mouse
    stands = explorer.captions()
    page.get_by_text("Draw a walk", exact=True).click()
    mouse.click(*explorer.place(0.3, 0.4))
    mouse.click(*explorer.place(0.6, 0.6))
    explorer.until(lambda: page.locator(".film img").count() == 20)
    played: set[str] = set()

    def more_than_five() -> bool:
        played.add(explorer.picture(2))
        return len(played) > 5

    explorer.until(more_than_five)
    for height, held in ((0.3, 0), (0.5, 600)):  # a drag that begins slowly is one too
        strip = page.locator(".film img").first.get_attribute("src")
        mouse.move(*explorer.place(0.2, height))
        mouse.down()
        page.wait_for_timeout(held)
        for step in range(12):
            mouse.move(*explorer.place(0.2 + 0.04 * step, height + 0.02 * (step % 4)))
        mouse.up()
        explorer.until(lambda: page.locator(".film img").first.get_attribute("src") != strip)  # noqa: B023
    button = page.locator(".film .bk-btn").first
    for choice in (None, "Geodesic"):  # which plays by itself, once its way is found
        if choice:
            page.get_by_text(choice, exact=True).click()
        explorer.until(lambda: button.inner_text().endswith("Pause"))
        button.click()
        explorer.until(lambda: button.inner_text().endswith("Play"))
    page.get_by_text("Clear", exact=True).click()
    explorer.until(lambda: page.locator(".film img").count() == 0)
    mouse.move(1400, 5)
    explorer.until(lambda: explorer.captions() == stands)  # in this mode clicks draw, and do not choose


@pytest.mark.parametrize("dropped", [True, False])
def test_a_file_of_ones_own(server: Server, explorer: Any, dropped: bool) -> None:
    explorer.open(server("flat", "deep"))
    page, before = explorer.page, explorer.picture(1)
    if dropped:
        page.locator(".filepond--root").evaluate(DROP, base64.b64encode(ring()).decode())
    else:
        page.locator("input[type=file]").set_input_files(
            {"name": "ring.png", "mimeType": "image/png", "buffer": ring()}
        )
    explorer.until(lambda: explorer.picture(1) != before)
    said = " ".join(one.inner_text() for one in page.locator(".note .bk-clearfix").all())
    for part in ("ring.png", "made grey", "cut to 40 × 40", "resized from 40 × 40 to 8 × 8", "error"):
        assert part in said
    shown = Image.open(io.BytesIO(base64.b64decode(explorer.picture(1).partition(",")[2])))
    pixels: Any = shown.load()
    assert shown.size == (8, 8) and pixels[4, 4] < 60 < pixels[4, 1]


def test_every_dropped_file_is_answered(server: Server, explorer: Any) -> None:
    explorer.open(server("flat", "deep"))
    page, claimed = explorer.page, npy(np.zeros((8, 8))).replace(b"(8, 8), }     ", b"(9999999, 9999), }")

    def drop(name: str, content: bytes, answer: str) -> None:
        page.locator("input[type=file]").set_input_files(
            {"name": name, "mimeType": "application/octet-stream", "buffer": content}
        )
        explorer.until(lambda: page.locator(".note", has_text=answer).count() == 1)

    dark, light = np.zeros((8, 8), np.uint8), np.full((8, 8), 250, np.uint8)
    before = explorer.picture(1)
    drop("a.npy", npy(dark), "a.npy: used as it is")
    first = explorer.until(lambda: (now := explorer.picture(1)) != before and now)
    drop("b.npy", npy(np.full((8, 8), np.nan, np.float32)), "b.npy holds 64 values that are no numbers")
    assert explorer.picture(1) == first
    drop("a.npy", npy(light), "a.npy: used as it is")
    explorer.until(lambda: explorer.picture(1) != first)  # of the same name, and not the same
    drop("c.npy", npy(np.zeros(3, [("a", "f4")])), "c.npy holds")
    drop("d.npy", claimed, "d.npy cannot be read as a .npy file: it claims 799,919,920,008 bytes")
    drop("e.png", b"", "e.png is empty")
    drop("f.exe", b"MZ", "f.exe is of no kind that can be dropped")
    drop("g.npy", npy(np.zeros((5, 7, 3, 2))), "the file holds an array of shape (5, 7, 3, 2)")


@pytest.mark.parametrize("name", ["denoiser", "codec"])
def test_what_a_page_without_a_map_cannot_take_is_said(server: Server, explorer: Any, name: str) -> None:
    explorer.open(server("denoiser", "codec"))
    page = explorer.page
    page.get_by_text(name, exact=True).first.click()
    page.get_by_text("bytes as PNG" if name == "codec" else "error that the model expects").wait_for()
    files = [("a.npy", npy(np.zeros((8, 8), [("a", "f4")]))), ("b.npy", npy(np.zeros((2, 2, 2, 2, 2), np.uint8)))]
    for file, content in files:
        field = page.locator("input[type=file]").last
        field.set_input_files({"name": file, "mimeType": "application/octet-stream", "buffer": content})
        explorer.until(lambda: page.locator(".note", has_text=file).count() > 0)  # noqa: B023


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_models_side_by_side(server: Server, explorer: Any) -> None:
    explorer.open(server("flat", "deep"))
    explorer.page.get_by_text("deep", exact=True).first.click()
    explorer.until(lambda: explorer.page.get_by_text("direction 16").count() == 1)
    picture = explorer.picture()
    explorer.page.mouse.move(*explorer.place(0.4, 0.4))
    explorer.until(lambda: explorer.picture() != picture)


def test_noise_and_quality_by_sliders(server: Server, explorer: Any) -> None:
    explorer.open(server("denoiser", "codec"))
    page = explorer.page

    def slide(key: str) -> None:
        before = explorer.picture(2 if key == "End" else 1)
        page.locator(".noUi-handle").first.focus()
        page.keyboard.press(key)
        explorer.until(lambda: explorer.picture(2 if key == "End" else 1) != before)

    def figures() -> list[float]:
        return [float(text.replace(",", "")) for text in page.locator(".figures b").all_inner_texts()]

    before, after, _ = figures()
    assert after < before
    slide("End")
    explorer.until(lambda: figures()[0] > before)
    page.get_by_text("codec", exact=True).first.click()
    explorer.until(lambda: page.get_by_text("bytes as PNG").count() == 1)
    sizes = []
    for key in ("Home", "End"):
        slide(key)
        sizes.append(explorer.until(lambda: (now := figures()[0]) not in sizes and now))
    assert sizes[0] < sizes[1] < 200


def test_trials_are_zoomed_wiped_and_told_and_fit_a_phone(server: Server, explorer: Any) -> None:
    explorer.open(server("denoiser", "codec"))
    page, mouse = explorer.page, explorer.page.mouse
    assert page.get_by_text("trained on 0–0.4").count() == 1
    mark = page.locator(".trained").evaluate(
        "(one) => ['--from', '--to'].map((name) => one.style.getPropertyValue(name))"
    )
    assert mark == ["0.0%", "40.0%"]  # of a slider that ends at 1
    shots = page.locator(".shot")
    widths = sum(shots.nth(i).bounding_box()["width"] for i in range(shots.count()))
    assert shots.count() == 4 and widths > 0.9 * 1440
    for handle, key in ((1, "End"), (2, "End")):
        page.locator(".noUi-handle").nth(handle).focus()
        page.keyboard.press(key)
    box = shots.nth(2).bounding_box()
    mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 0.5 * box["height"])
    looks = (
        "(one) => [getComputedStyle(one.shadowRoot.querySelector('img')).transform, one.style.getPropertyValue('--x')]"
    )
    explorer.until(lambda: shots.nth(0).evaluate(looks)[1].startswith("25"))  # all at the place of the pointer on one
    assert shots.nth(0).evaluate(looks)[0].startswith("matrix(12")
    clip = "(one) => getComputedStyle(one.shadowRoot.querySelector('.wipe > :last-child')).clipPath"
    explorer.until(
        lambda: shots.nth(2).evaluate(clip).replace(" ", "") in ("inset(0px)", "inset(0px0%0px0px)", "inset(0)")
    )
    page.get_by_text("codec", exact=True).first.click()
    explorer.until(lambda: page.locator(".curve circle").count() >= 7)  # one quality after another
    page.set_viewport_size({"width": 390, "height": 844})
    explorer.until(lambda: page.evaluate("document.documentElement.scrollWidth") == 390)
    tops = [shot.bounding_box()["y"] for shot in page.locator(".shot:visible").all()]
    assert tops[0] == tops[1] < tops[2]  # before and after side by side
    cards = page.locator(".card").last.bounding_box()
    curve = page.locator(".curve svg").bounding_box()
    assert curve["y"] + curve["height"] <= cards["y"] + cards["height"]


def test_a_negative_is_recognised_and_turned_round(server: Server, explorer: Any) -> None:
    explorer.open(server("flat", "deep"))
    page, digit = explorer.page, isthmus.datasets.load("digits").test.images[5]
    negative = {"name": "n.npy", "mimeType": "application/octet-stream", "buffer": npy(255 - digit)}
    page.locator("input[type=file]").set_input_files(negative)
    explorer.until(lambda: page.locator(".note", has_text="looks like a negative").count() == 1)
    shown = explorer.picture(1)
    page.get_by_text("Invert it", exact=True).click()
    explorer.until(lambda: explorer.picture(1) != shown)
    explorer.until(lambda: page.get_by_text("Invert it", exact=True).is_hidden())


def test_in_a_notebook(models: Path, explorer: Any) -> None:
    test = isthmus.datasets.load("digits").test
    cell = isthmus.explore({"flat": isthmus.load(models / "flat")}, test.images, test.labels)
    try:
        assert f'<iframe src="{cell.url}"' in cell._repr_html_()
        explorer.open(cell.url)
        picture = explorer.picture()
        explorer.page.mouse.move(*explorer.place(0.4, 0.4))
        explorer.until(lambda: explorer.picture() != picture)
    finally:
        explorer.page.goto("about:blank")
        cell.stop()


def test_dark_where_the_browser_is(server: Server, explorer: Any) -> None:
    colors = """() => [...Bokeh.documents[0]._all_models.values()]
      .filter((model) => model.type === "Figure").map((figure) => figure.background_fill_color.value
        ?? figure.background_fill_color)"""
    explorer.page.emulate_media(color_scheme="dark")
    explorer.open(server("flat", "deep"))
    explorer.until(lambda: explorer.page.evaluate(colors)[0] == DARK.paper)
    explorer.page.emulate_media(color_scheme="light")
    explorer.until(lambda: explorer.page.evaluate(colors)[0] == LIGHT.paper)


def test_other_sites_cannot_talk_to_it(server: Server) -> None:
    url = urlsplit(server("flat", "deep"))
    address, token = url.netloc, url.path.strip("/")
    good = f"/{token}/ws", address, f"http://{address}"
    cases = [
        (good, "101"),
        ((good[0], address, "http://evil.example"), "403"),
        ((good[0], f"evil.example:{url.port}", f"http://evil.example:{url.port}"), "403"),  # DNS rebinding
        (("/ws", address, good[2]), "403"),
        ((f"/{token[:-1]}/ws", address, good[2]), "403"),
    ]
    for (path, host, origin), status in cases:
        assert handshake(url, path, host, origin) == status, (path, host, origin)


def handshake(url: SplitResult, path: str, host: str, origin: str) -> str:
    """The status with which a request to open a web socket is answered."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        f"Origin: {origin}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Protocol: bokeh",
    ]
    with socket.create_connection((url.hostname, url.port), timeout=60) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection.recv(1024).split()[1].decode()


def test_without_the_token_or_under_another_name_nothing_is_told(models: Path, server: Server, chromium: Any) -> None:
    url = server("flat", "deep")
    address, port = url.rsplit("/", 2)[0], urlsplit(url).port
    flags = [*BROWSER_FLAGS, "--host-resolver-rules=MAP evil.example 127.0.0.1"]
    browser = chromium.browser_type.launch(executable_path=find_chromium(), args=flags)
    try:
        page = browser.new_page()
        page.goto(f"http://evil.example:{port}{urlsplit(url).path}")
        assert f"this server is not called evil.example:{port}" in page.inner_text("body")
        for path in ("", "/", "/metadata", "/autoload.js", "/static/js/bokeh.min.js", "/favicon.ico"):
            answer = page.goto(f"{address}{path}")
            assert answer.status == 403 and "it ends in a token" in page.inner_text("body"), path
        page.goto(url)
        page.locator(".picture img").first.wait_for()
    finally:
        browser.close()


@pytest.mark.parametrize("host", ["::1", "0.0.0.0"])
def test_other_addresses(models: Path, explorer: Any, host: str) -> None:
    command = [sys.executable, "-m", "isthmus", "explore", "flat", "digits:test", "--no-browser", "--host", host]
    process = subprocess.Popen(command, cwd=models, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stderr is not None
        url = next(word for word in process.stdout.readline().split() if word.startswith("http"))
        assert url.startswith("http://[::1]:" if host == "::1" else "http://localhost:")
        explorer.open(url)
        explorer.page.goto("about:blank")
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()
        assert process.wait(60) == 128 + signal.SIGTERM
        assert said.count("\n") == (host == "0.0.0.0") and ("other machines can reach" in said) == (host == "0.0.0.0")
    finally:
        process.kill()
