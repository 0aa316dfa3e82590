"""The gallery: a page for each notebook in docs/gallery."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PICTURES = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif"}


def output(data: dict[str, Any], name: str, alt: str) -> tuple[str, dict[str, bytes]]:
    """What a cell gave: Markdown, and the picture that it shows.

    data : the contents by their MIME types. name : of a picture's file, without its suffix.
    """
    for kind, suffix in PICTURES.items():
        if kind in data:
            return f"![{alt}]({name}.{suffix})\n\n", {f"gallery/{name}.{suffix}": base64.b64decode("".join(data[kind]))}
    if "text/html" in data:
        return f'<div class="notebook-html">\n{"".join(data["text/html"])}\n</div>\n\n', {}
    text = "".join(data.get("text/plain", [])).rstrip()
    return (f"```text\n{text}\n```\n\n" if text else ""), {}


def notebook(path: Path) -> Iterator[tuple[str, str | bytes]]:
    """The page of a notebook, and its pictures."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    title = "".join(cells[0]["source"]).partition("\n")[0].lstrip("# ")
    text = ""
    for number, cell in enumerate(cells):
        source = "".join(cell["source"]).strip()
        if cell["cell_type"] == "markdown":
            text += source + "\n\n"
            continue
        text += f"```python\n{source}\n```\n\n" if source else ""
        for place, given in enumerate(cell["outputs"]):
            data = given.get("data") or {"text/plain": given.get("text", [])}
            shown, files = output(data, f"{path.stem}-{number}-{place}", f"{title}: what the cell above gives")
            text += shown
            yield from files.items()
    yield f"gallery/{path.stem}.md", text


def with_notebooks(navigation: str, folder: Path) -> str:
    """The site's settings, with the notebooks of a folder below the gallery's index."""
    pages = "".join(f"      - gallery/{path.stem}.md\n" for path in sorted(folder.glob("*.ipynb")))
    return navigation.replace("  - Gallery: gallery/index.md\n", f"  - Gallery:\n      - gallery/index.md\n{pages}")


def gallery_pages(folder: Path) -> Iterator[tuple[str, str | bytes]]:
    """Names and contents of the notebooks' pages and pictures."""
    for path in sorted(folder.glob("*.ipynb")):
        yield from notebook(path)
