"""The map of a data set: its measurement, its picture, and its page in a browser."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from isthmus.errors import IsthmusError
from isthmus.evaluation.neighbourhood_preservation import NeighbourhoodScores
from isthmus.evaluation.theme import DARK
from isthmus.manifold.drawn_map import draw_map
from isthmus.manifold.page import write_map_page
from isthmus.manifold.picture import write_map_pictures

EVIL = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
PAINTED = """(which) => {
  const canvas = document.querySelector(which)
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
  let painted = 0
  for (let i = 3; i < data.length; i += 4) painted += data[i] > 0
  return painted / (canvas.width * canvas.height)
}"""  # the share of a canvas that is not see-through
SCORES = NeighbourhoodScores(0.9412, 0.9634, 15)


def content_of(path: Path) -> Any:
    """What the script of a page reads."""
    return json.loads(re.search(r'id="content">(.*?)</script>', path.read_text("utf-8"), re.DOTALL).group(1))


@pytest.fixture(scope="module")
def drawn(stand_in: Any, digits: tuple[np.ndarray, np.ndarray]) -> Any:
    images, labels = digits
    return draw_map(stand_in(images, 2), images, labels=labels, scores=SCORES)


def test_neighbours_follow_each_other_and_keep_their_numbers(
    drawn: Any, stand_in: Any, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = digits
    places = stand_in(images, 2).transform(images)
    assert sorted(drawn.indices) == list(range(len(images)))
    np.testing.assert_allclose(drawn.points, places[drawn.indices], rtol=1e-5)
    np.testing.assert_array_equal(drawn.classes.index, labels[drawn.indices])
    np.testing.assert_array_equal(drawn.previews[..., 0], images[drawn.indices])
    steps = np.linalg.norm(np.diff(drawn.points, axis=0), axis=1).mean()
    assert steps < 0.25 * np.linalg.norm(np.diff(places, axis=0), axis=1).mean()


def test_the_decoder_is_asked_only_where_there_are_samples(drawn: Any) -> None:
    shares = (drawn.points - drawn.low) / drawn.side
    size = drawn.land.size
    taken = {(size - 1 - int(size * y), int(size * x)) for x, y in shares}
    assert {tuple(cell) for cell in drawn.land.cells.tolist()} <= taken
    assert len(drawn.land.shown) == len(drawn.land.cells)
    alpha = drawn.land.mosaic()[..., 3]
    assert (alpha == 255).sum() == len(drawn.land.cells) * 64


def test_a_few_strays_do_not_shrink_the_map(stand_in: Any, digits: tuple[np.ndarray, np.ndarray]) -> None:
    images = digits[0][:500]
    model = stand_in(images, 2)
    model.transform = lambda X: np.concatenate([np.random.default_rng(0).normal(size=(len(X) - 1, 2)), [[1e6, 0]]])
    far = draw_map(model, images)
    assert far.side < 20 and far.outside == 1


@pytest.mark.parametrize("kind", ["images", "colour", "volumes", "signals", "table", "wide"])
def test_every_kind_of_data_has_a_map(tmp_path: Path, stand_in: Any, kinds: dict[str, Any], kind: str) -> None:
    samples, settings = kinds[kind]
    found = draw_map(stand_in(samples, 2, **settings), samples)
    form = {"signals": "lines", "wide": "lines", "table": "values"}.get(kind, "pictures")
    assert (found.form, len(found.previews)) == (form, len(samples))
    content = content_of(write_map_page(found, tmp_path / "map.html", kind))
    assert {"pictures": "sheets", "lines": "lines", "values": "values"}[form] in content
    assert (content["land"] is not None) == (form == "pictures")
    if kind == "table":
        shown = np.frombuffer(base64.b64decode(content["values"]["of"]), "<f4").reshape(len(samples), -1)
        np.testing.assert_allclose(shown, samples[found.indices][:, : shown.shape[1]], rtol=1e-6)


def test_a_model_without_a_plane_is_refused(stand_in: Any, digits: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(IsthmusError, match=r"2 numbers.*\(5,\)"):
        draw_map(stand_in(digits[0], 5), digits[0])


@pytest.mark.parametrize(("classes", "colored"), [(2, True), (20, True), (21, False)])
def test_twenty_classes_have_colours_and_each_colour_two_at_most(
    stand_in: Any, digits: tuple[np.ndarray, np.ndarray], classes: int, colored: bool
) -> None:
    images, _ = digits
    found = draw_map(stand_in(images, 2), images, labels=np.arange(len(images)) % classes)
    assert bool(found.hues) == colored
    assert all(found.hues.count(hue) <= 2 for hue in found.hues)


@pytest.mark.parametrize("labelled", [True, False])
def test_pictures_for_light_and_for_dark_pages(
    tmp_path: Path, stand_in: Any, digits: tuple[np.ndarray, np.ndarray], labelled: bool
) -> None:
    images, labels = np.concatenate([digits[0]] * 2), np.concatenate([digits[1]] * 2)
    found = draw_map(stand_in(images, 2), images, labels=labels if labelled else None, scores=SCORES)
    light, dark = write_map_pictures(found, tmp_path, "$digits$")
    for path, bright in ((light, True), (dark, False)):
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L"), np.float64)
        assert (pixels[:4].mean() > 128) == bright  # the paper
        assert pixels[200:-80, 80:1300].std() > 5  # and something on it
    assert sorted(p.name for p in tmp_path.iterdir()) == ["map-dark.png", "map.png"]


def test_pictures_of_a_million_pixels_become_thumbnails(tmp_path: Path, stand_in: Any) -> None:
    rng = np.random.default_rng(0)
    images = np.repeat(np.repeat(rng.integers(0, 256, (40, 4, 8), np.uint8), 32, 1), 32, 2)
    found = draw_map(stand_in(images, 2), images)
    assert found.previews.shape == (40, 32, 64, 1) and found.shrunk
    page = write_map_page(found, tmp_path / "map.html", "large")
    assert page.stat().st_size < 200_000 and "shrunk to 64 × 32" in page.read_text("utf-8")


# In a browser


def until(page: Any, condition: Any) -> None:
    """Wait until an expression holds; Playwright's own waiting evaluates text in the page, which the page forbids."""
    end = time.monotonic() + 30
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"never: {condition}"
        page.wait_for_timeout(20)


@pytest.fixture
def visit(chromium: Any) -> Iterator[Any]:
    """Open a page, which must ask for nothing and say nothing to the console."""
    pages, said, asked = [], [], []

    def open_page(path: Path, script: Any = None, **context: Any) -> Any:
        page = chromium.new_page(viewport={"width": 1100, "height": 760}, **context)
        if script is not None:
            page.add_init_script(script)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        until(page, "view.scale > 0 && !waiting")
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert said == []
    assert all(url.startswith(("file:", "data:")) for url in asked)


@pytest.fixture(scope="module")
def page_file(drawn: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return write_map_page(drawn, tmp_path_factory.mktemp("map") / "map.html", "digits")


def on_screen(page: Any, sample: Any) -> Any:
    """Where a sample of the data is, and the view's scale."""
    script = "(s) => { const i = indices.indexOf(s); return toScreen(points[2 * i], points[2 * i + 1]) }"
    x, y = page.evaluate(script, sample)
    box = page.locator("#map").bounding_box()
    return box["x"] + x, box["y"] + y


def test_the_pointer_shows_a_sample(visit: Any, page_file: Path, digits: tuple[np.ndarray, np.ndarray]) -> None:
    page = visit(page_file)
    assert page.locator("#card").is_hidden()
    page.mouse.move(*on_screen(page, 1234))
    card = page.locator("#card")
    card.wait_for(state="visible")
    found = int(card.get_attribute("data-index"))
    assert card.locator("strong").inner_text() == str(digits[1][found])
    assert f"sample {found}" in card.inner_text()
    until(page, "sheets.every((sheet) => sheet.complete)")
    picture = "card.querySelector('canvas').getContext('2d').getImageData(0, 0, 128, 128).data"
    pixels = page.evaluate(f"[...{picture}].filter((_, i) => i % 4 == 0)")
    shown = np.array(pixels, float).reshape(8, 16, 8, 16).mean(axis=(1, 3))
    np.testing.assert_allclose(shown, digits[0][found], atol=9)  # 16 greys
    box = page.locator("#map").bounding_box()
    page.mouse.move(box["x"] + 3, box["y"] + 3)
    card.wait_for(state="hidden")


def test_wheel_drag_keys_and_buttons_move_the_view(visit: Any, page_file: Path) -> None:
    page = visit(page_file)
    before = page.evaluate("({...view})")
    x, y = on_screen(page, 77)
    page.mouse.move(x, y)
    page.mouse.wheel(0, -400)
    until(page, f"view.scale > {1.5 * before['scale']}")
    assert np.allclose(on_screen(page, 77), (x, y), atol=3)  # what is below the pointer stays there
    page.mouse.down()
    page.mouse.move(x + 90, y + 40, steps=4)
    page.mouse.up()
    assert np.allclose(on_screen(page, 77), (x + 90, y + 40), atol=3)
    page.click("#reset")
    until(page, f"Math.abs(view.scale - {before['scale']}) < 1 && Math.abs(view.x - 0.5) < 1e-3")
    page.focus("#map")
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("view.scale") > before["scale"] and page.evaluate("view.x") > 0.5
    page.keyboard.press("Enter")
    page.locator("#card").wait_for(state="visible")
    page.keyboard.press("Escape")
    page.locator("#card").wait_for(state="hidden")


def test_the_legend_hides_and_isolates_classes(
    visit: Any, page_file: Path, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    page = visit(page_file)
    key = page.locator(".class").nth(3)
    assert key.inner_text().split() == ["3", str((digits[1] == 3).sum())]
    x, y = on_screen(page, int(np.flatnonzero(digits[1] == 3)[0]))
    key.click()
    assert key.get_attribute("aria-pressed") == "false"
    page.mouse.move(x, y)
    page.wait_for_timeout(50)
    assert page.evaluate("shown < 0 || classes.of[shown] !== 3")
    key.dblclick()
    assert page.evaluate("[...hidden].sort()") == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    page.click("#all")
    assert page.evaluate("hidden.size") == 0


def test_search_finds_a_sample_and_says_when_there_is_none(visit: Any, page_file: Path) -> None:
    page = visit(page_file)
    page.fill("#find input", "1,500")
    page.press("#find input", "Enter")
    page.locator("#card[data-index='1500']").wait_for(state="visible")
    page.fill("#find input", "99999")
    page.press("#find input", "Enter")
    assert "no sample 99999" in page.locator("#said").inner_text()


def test_the_decoded_land_lies_below_the_names(visit: Any, page_file: Path) -> None:
    page = visit(page_file)
    page.check("#switch input")
    until(page, "land.naturalWidth > 0 && land.style.transform")
    assert page.locator("#land").bounding_box()["width"] == pytest.approx(page.evaluate("view.scale"), abs=1)


def test_text_of_labels_files_and_columns_stays_text(
    visit: Any, tmp_path: Path, stand_in: Any, kinds: dict[str, Any]
) -> None:
    samples, settings = kinds["table"]
    found = draw_map(stand_in(samples, 2, **settings), samples, labels=np.array([EVIL, "b"] * 100))
    page = visit(write_map_page(found, tmp_path / "map.html", EVIL))
    page.mouse.move(*on_screen(page, 0))
    page.locator("#card").wait_for(state="visible")
    assert page.locator("h1").inner_text().startswith("<script>")
    assert page.title().startswith("<script>") and page.evaluate("document.images.length") == 1  # the land
    assert page.evaluate("document.scripts.length") == 1


@pytest.mark.parametrize("hardware", [True, False])
def test_both_painters_paint_every_class_and_signals_are_lines(
    visit: Any, tmp_path: Path, stand_in: Any, kinds: dict[str, Any], hardware: Any
) -> None:
    samples, settings = kinds["signals"]
    found = draw_map(stand_in(samples, 2, **settings), samples, labels=np.arange(len(samples)) % 2)
    path = write_map_page(found, tmp_path / "map.html", "waves")
    pretend = "WebGLRenderingContext.prototype.getParameter = () => 'a graphics processor'"
    page = visit(path, script=pretend if hardware else None, color_scheme="dark")
    page.evaluate("paint()")
    if not hardware:
        assert page.evaluate("painter.ratio()") == 1
    pixels = np.asarray(Image.open(io.BytesIO(page.locator("#map").screenshot())).convert("RGB"), int)
    for color in DARK.classes[:2]:
        wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(pixels - wanted).max(axis=2) < 60).sum() > 100
    page.mouse.move(*on_screen(page, 5))
    page.locator("#card canvas").wait_for(state="visible")


def test_the_decoders_layer_lies_below_the_points(visit: Any, page_file: Path) -> None:
    page = visit(page_file)
    page.check("#switch input")
    until(page, "land.naturalWidth > 0 && land.style.transform && !waiting")
    order = "[...document.querySelectorAll('#map > *')].map((one) => one.id || one.tagName)"
    assert page.evaluate(order)[:2] == ["land", "CANVAS"]
    assert 0.01 < page.evaluate(PAINTED, "canvas:not(.over)") < 0.5  # points, and the layer between them


def test_keys_and_hovering_go_on_after_a_click_and_there_is_a_way_back(visit: Any, page_file: Path) -> None:
    page = visit(page_file)
    page.mouse.click(*on_screen(page, 1234))
    kept = page.evaluate("indices[kept]")
    far = "Math.hypot(points[2 * i] - points[2 * kept], points[2 * i + 1] - points[2 * kept + 1]) > 0.3"
    other = page.evaluate(f"indices.find((_, i) => {far})")
    page.mouse.move(*on_screen(page, other))
    until(page, "shown >= 0 && shown !== kept")
    page.mouse.move(1000, 5)  # off the map
    until(page, "shown === kept")
    assert int(page.locator("#card").get_attribute("data-index")) == kept
    page.locator(".class").first.click()  # which takes the focus
    before = page.evaluate("view.x")
    for key in ["+"] * 2 + ["ArrowRight"] * 30:
        page.keyboard.press(key)
    assert page.evaluate("view.x") > before
    page.locator("#nothing").wait_for(state="visible")
    page.click("#back")
    page.locator("#nothing").wait_for(state="hidden")
    assert page.evaluate("hidden.size") == 0


def test_a_lasso_or_a_label_selects_and_the_selection_is_exported(
    visit: Any, page_file: Path, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    page = visit(page_file)
    page.fill("#find input", "7")
    page.press("#find input", "Enter")
    until(page, "selected !== null")
    assert page.evaluate("indices.filter((_, i) => selected[i]).length") == (digits[1] == 7).sum()
    assert page.locator("#howmany").inner_text() == f"{(digits[1] == 7).sum()} selected"
    page.focus("#map")
    page.keyboard.press("Escape")
    assert page.evaluate("selected === null") and page.locator("#picked").is_hidden()
    box = page.locator("#map").bounding_box()
    left, top = box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"]
    right, bottom = left + 0.4 * box["width"], top + 0.4 * box["height"]
    page.click("#lasso")
    page.mouse.move(left, top)
    page.mouse.down()
    for corner in ((right, top), (right, bottom), (left, bottom), (left, top)):
        page.mouse.move(*corner, steps=3)
    page.mouse.up()
    until(page, "selected !== null")
    places = page.evaluate("[...indices].map((s, i) => [s, ...toScreen(points[2 * i], points[2 * i + 1])])")
    inside = [s for s, x, y in places if left < x + box["x"] < right and top < y + box["y"] < bottom]
    with page.expect_download() as download:
        page.click("#export")
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text("utf-8"))))
    assert [int(row["sample"]) for row in rows] == sorted(inside) and 0 < len(rows) < len(digits[1])
    assert all(row["label"] == str(digits[1][int(row["sample"])]) for row in rows)


def test_points_are_coloured_by_columns_and_by_error_and_thumbnails_come_when_near(
    visit: Any, tmp_path: Path, drawn: Any, page_file: Path, stand_in: Any, kinds: dict[str, Any]
) -> None:
    samples, settings = kinds["table"]
    model = stand_in(samples, 2, **settings)
    found = draw_map(model, samples)
    assert list(found.values) == ["reconstruction error", *(f"column {i}" for i in range(9))]
    rebuilt = model.scale(model.inverse_transform(model.transform(samples)))
    error = np.square(rebuilt - model.scale(samples)).mean(axis=1)[found.indices]
    np.testing.assert_allclose(found.values["reconstruction error"], error, rtol=1e-3)
    page = visit(write_map_page(found, tmp_path / "map.html", "table"))
    page.select_option("#by", label="column 3")
    lowest, highest = (int(pick(samples[:, 3][found.indices])) for pick in (np.argmin, np.argmax))
    ends = page.evaluate("(at) => at.map((i) => [...colors().slice(4 * i, 4 * i + 3)])", [lowest, highest])
    assert ends == page.evaluate("[rgb('--cool'), rgb('--warm')]")
    page = visit(page_file)
    page.evaluate("look(points[0], points[1], 12 * fit)")
    until(page, "view.scale > 11 * fit && !waiting && sheets.every((sheet) => sheet.complete)")
    assert page.evaluate(PAINTED, ".over") > 0.002


def test_texts_that_spreadsheets_compute_stay_text(visit: Any, page_file: Path) -> None:
    page = visit(page_file)
    assert page.evaluate("""[csvField("=1+1"), csvField(-2.5), csvField('a "b", c')]""") == [
        "'=1+1", "-2.5", '"a ""b"", c"'
    ]  # fmt: skip
