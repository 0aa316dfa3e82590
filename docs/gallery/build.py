"""The gallery's notebooks from their sources: `python docs/gallery/build.py [NAME ...]` executes them and writes both.

A source is Python in cells, as editors know it: `# %%` begins code, and `# %% [markdown]` text in comments. Its last
picture becomes the thumbnail, unless a cell is marked `# %% thumbnail`.
"""

from __future__ import annotations

import base64
import io
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

GALLERY = Path(__file__).parent
SOURCES = sorted((GALLERY / "source").glob("*.py"))
_CELL = re.compile(r"^# %%(.*)\n", re.MULTILINE)
_SECONDS = 7_200  # that a cell may take, on a busy machine
_THUMBNAIL = (400, 240)  # pixels, at most


def notebook_of(source: Path) -> Any:
    """The notebook of a source, without outputs."""
    _, *parts = _CELL.split(source.read_text(encoding="utf-8"))
    cells = []
    for i, (kind, text) in enumerate(zip(parts[::2], parts[1::2], strict=True)):
        if kind.strip() == "[markdown]":
            words = "\n".join(line.removeprefix("#").removeprefix(" ") for line in text.strip().splitlines())
            cells.append(nbformat.v4.new_markdown_cell(words, id=f"cell-{i}"))
        else:
            tags = {"tags": ["thumbnail"]} if kind.strip() == "thumbnail" else {}
            cells.append(nbformat.v4.new_code_cell(text.strip(), id=f"cell-{i}", metadata=tags))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def executed(notebook: Any) -> Any:
    """A notebook, executed in an empty folder; raises where a cell fails."""
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook, timeout=_SECONDS, resources={"metadata": {"path": folder}}, record_timing=False
        )
        client.execute()
    notebook.metadata = nbformat.from_dict({"kernelspec": notebook.metadata.kernelspec})
    return notebook


def thumbnail(notebook: Any) -> bytes:
    """The notebook's picture for the index, as PNG."""
    chosen = [cell for cell in notebook.cells if "thumbnail" in cell.metadata.get("tags", ())] or notebook.cells
    pictures = [
        output.data["image/png"]
        for cell in chosen
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    ]
    with Image.open(io.BytesIO(base64.b64decode(pictures[-1]))) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail(_THUMBNAIL, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.quantize(64).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def main(names: list[str]) -> None:
    """Build the notebooks of these names, or all."""
    if "ISTHMUS_DATA" in os.environ:
        os.environ["ISTHMUS_DATA"] = str(Path(os.environ["ISTHMUS_DATA"]).resolve())
    for source in SOURCES:
        if names and source.stem not in names:
            continue
        print(source.stem, flush=True)
        notebook = executed(notebook_of(source))
        nbformat.write(notebook, GALLERY / f"{source.stem}.ipynb")
        (GALLERY / "images" / f"{source.stem}.png").write_bytes(thumbnail(notebook))


if __name__ == "__main__":
    main(sys.argv[1:])
