"""The site: it is built without a warning, its links lead somewhere, and everybody can read its pages everywhere."""

from __future__ import annotations

import base64
import json
import posixpath
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[1]
FOREIGN = ("http:", "https:", "mailto:", "data:")
# What people come for, and where the front page must lead them: (page, heading)
WANTED = [
    ("guide/applications.html", "denoise-tiffs-without-clean-data"),
    ("guide/why.html", "when-pca-wins"),
    ("file-format.html", "in-ten-years"),
    ("contributing.html", "add-an-up-sampling"),
]
# One of every kind: the front page, prose with pictures, wide tables, drawings, the two references
LOOKED_AT = [
    "index",
    "guide/applications",
    "guide/coming-from",
    "architecture",
    "reference/commands",
    "reference/Store",
]
CUT_OFF = """() => {
  const width = document.documentElement.clientWidth
  const scrolls = (e) => { for (; e; e = e.parentElement)
    if (/auto|scroll/.test(getComputedStyle(e).overflowX)) return true; return false }
  return [...document.querySelectorAll("article *, footer *")].filter((e) => {
    const {left, right, width: own} = e.getBoundingClientRect()
    return own > 0 && (right > width + 1 || left < -1) && !scrolls(e)
  }).map((e) => e.outerHTML.slice(0, 120)).concat(
    document.documentElement.scrollWidth > width ? [`the page is ${document.documentElement.scrollWidth} wide`] : [])
}"""
TOO_FAINT = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true}), known = new Map()
  const rgba = (color) => { if (!known.has(color)) { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color
    canvas.fillRect(0, 0, 1, 1); known.set(color, [...canvas.getImageData(0, 0, 1, 1).data].map((v) => v / 255)) }
    return known.get(color) }
  const over = (top, under, share) => top.slice(0, 3).map((v, i) => v * share + under[i] * (1 - share))
  const luminance = (rgb) => rgb.map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0)
  const background = (e) => { if (!e) return [1, 1, 1]
    const own = rgba(getComputedStyle(e).backgroundColor); return over(own, background(e.parentElement), own[3]) }
  const opacity = (e) => e ? getComputedStyle(e).opacity * opacity(e.parentElement) : 1
  const faint = new Map(), walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  for (let node; (node = walker.nextNode());) {
    const e = node.parentElement
    if (!node.textContent.trim() || !e.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue
    if (e.closest("script, style, [aria-hidden=true], .md-search, .md-skip")) continue
    const box = e.getBoundingClientRect()
    if (box.width < 2 || box.height < 2) continue
    const under = background(e), color = rgba(getComputedStyle(e).color)
    const [low, high] = [luminance(under), luminance(over(color, under, color[3] * opacity(e)))].sort((a, b) => a - b)
    const contrast = (high + 0.05) / (low + 0.05)
    const text = node.textContent.trim().slice(0, 40)
    if (contrast < 4.5) faint.set(`${e.tagName}.${e.className}`, `${contrast.toFixed(2)}: ${text}`)
  }
  return [...faint].map(([where, what]) => `${where} ${what}`)
}"""


class Html(HTMLParser):
    """What a page links to, what may be linked to in it, and its pictures."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links, self.loaded, self.names = list[str](), list[str](), set[str]()
        self.without_alt, self.of_article, self.inside = list[str](), list[str](), 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.names |= {given[name] for name in ("id", "name") if name in given}
        self.inside += tag == "article"
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
            self.of_article += [given["href"]] if self.inside else []
        elif tag == "link" and given.get("rel") not in ("canonical", "prev", "next"):
            self.loaded.append(given["href"])
        elif "src" in given:
            self.loaded.append(given["src"])
        if tag == "img" and not given.get("alt", "").strip():
            self.without_alt.append(given["src"])

    def handle_endtag(self, tag: str) -> None:
        self.inside -= tag == "article"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does."""
    folder = tmp_path_factory.mktemp("docs")
    command = [sys.executable, str(ROOT / "docs" / "generate" / "build_site.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Html]:
    """Every page, by its name in the site."""
    found = {path.relative_to(site).as_posix(): path for path in site.rglob("*.html")}
    return {name: Html(path.read_text(encoding="utf-8")) for name, path in found.items() if name != "404.html"}


def target(page: str, link: str) -> tuple[str, str]:
    """The page and the name in it to which a link of a page leads."""
    parts = urlsplit(link)
    path = posixpath.join(posixpath.dirname(page), unquote(parts.path)) if parts.path else page
    return posixpath.normpath(path), unquote(parts.fragment)


def own_links(page: str, links: list[str]) -> Iterator[tuple[str, str, str]]:
    """Links that stay in the site, with where they lead."""
    for link in links:
        if link and not link.startswith(FOREIGN):
            yield link, *target(page, link)


def test_every_link_leads_somewhere(site: Path, pages: dict[str, Html]) -> None:
    broken = []
    for name, page in pages.items():
        for link, path, anchor in own_links(name, page.links + page.loaded):
            path = f"{path}/index.html" if (site / path).is_dir() else path
            if not (site / path).exists() or (anchor and path in pages and anchor not in pages[path].names):
                broken.append(f"{name}: {link}")
    assert not broken


def test_the_check_of_links_finds_a_broken_one() -> None:
    assert target("guide/why.html", "../images/no.png#a") == ("images/no.png", "a")
    assert target("guide/why.html", "#top") == ("guide/why.html", "top")


def test_nothing_is_loaded_from_elsewhere(pages: dict[str, Html]) -> None:
    loaded = {f"{name}: {link}" for name, page in pages.items() for link in page.loaded if link.startswith(FOREIGN[:2])}
    assert not loaded


def test_every_picture_says_what_it_shows(pages: dict[str, Html]) -> None:
    assert not {name: page.without_alt for name, page in pages.items() if page.without_alt}


def test_the_site_is_small(site: Path) -> None:
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < 15e6


def test_every_page_is_at_most_three_clicks_away(pages: dict[str, Html]) -> None:
    seen, edge = {"index.html"}, {"index.html"}
    for _ in range(3):
        edge = {path for page in edge for _, path, _ in own_links(page, pages[page].links) if path in pages} - seen
        seen |= edge
    assert set(pages) == seen


@pytest.mark.parametrize(("page", "heading"), WANTED, ids=[heading for _, heading in WANTED])
def test_what_people_come_for_is_one_click_from_home(pages: dict[str, Html], page: str, heading: str) -> None:
    shown = own_links("index.html", pages["index.html"].of_article)
    assert (page, heading) in {(path, anchor) for _, path, anchor in shown}


def test_the_references_are_complete(site: Path) -> None:
    import typer

    import isthmus
    from isthmus.cli import app

    commands = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        assert f'id="isthmus-{name}"' in commands
        options = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
        assert not [option for option in options if option not in commands]
    index = (site / "reference" / "index.html").read_text(encoding="utf-8")
    assert not [name for name in isthmus.__all__ if name not in index and name != "__version__"]


def test_a_notebook_becomes_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs" / "generate")
    from gallery_pages import gallery_pages, with_notebooks

    picture = {"data": {"image/png": base64.b64encode(b"dots").decode(), "text/plain": "<Figure>"}}
    cells = [
        {"cell_type": "markdown", "source": ["# Dots\n", "A story."]},
        {"cell_type": "code", "source": "draw()", "outputs": [{"text": ["done\n"]}, picture]},
        {"cell_type": "code", "source": "table", "outputs": [{"data": {"text/html": "<table></table>"}}]},
    ]
    (tmp_path / "dots.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    pages = dict(gallery_pages(tmp_path))
    assert pages["gallery/dots-1-1.png"] == b"dots"
    for part in (
        "# Dots\nA story.",
        "```python\ndraw()\n```",
        "```text\ndone\n```",
        "](dots-1-1.png)",
        "<table></table>",
    ):
        assert part in pages["gallery/dots.md"]
    settings = (ROOT / "docs" / "mkdocs.yml").read_text(encoding="utf-8")
    assert "      - gallery/dots.md\n" in with_notebooks(settings, tmp_path)


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_pages_in_a_browser(site: Path, chromium: Any, mode: str, width: int) -> None:
    """Nothing from elsewhere, no error, nothing cut off, and text that can be told from what is behind it."""
    context = chromium.new_context(color_scheme=mode, viewport={"width": width, "height": 900})
    page, wrong = context.new_page(), list[str]()
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: wrong.append(asked.url) if asked.url.startswith(("http", "ws")) else None)
    for name in LOOKED_AT:
        page.goto((site / f"{name}.html").as_uri())
        wrong += [f"{name}, cut off: {found}" for found in page.evaluate(CUT_OFF)]
        wrong += [f"{name}, faint: {found}" for found in page.evaluate(TOO_FAINT)]
    context.close()
    assert not wrong


def test_pages_are_searched_without_a_server(site: Path, chromium: Any) -> None:
    page = chromium.new_page()
    page.goto((site / "index.html").as_uri())
    page.keyboard.press("Control+k")
    page.keyboard.type("Benjamini")
    page.get_by_role("link", name="Anomalies").first.wait_for()
    where = page.locator("menu li", has_text="Guide").first  # replaced while more is found: a style of nothing is ""
    found = (where.evaluate("(where) => getComputedStyle(where).color") for _ in range(1000))
    colour = next(filter(None, found))
    assert float(colour.rstrip(")").split(",")[-1]) > 0.6, "where a page is can hardly be read"
    page.close()
