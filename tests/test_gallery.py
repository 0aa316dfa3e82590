"""The gallery: every notebook is what its source says, was executed without an error, and runs."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs nbformat and nbclient: pip install 'isthmus[dev]'")

GALLERY = Path(__file__).parents[1] / "docs" / "gallery"
BUILD = runpy.run_path(str(GALLERY / "build.py"), run_name="build")
SOURCES: list[Path] = BUILD["SOURCES"]
NEEDY = [source for source in SOURCES if "raise SystemExit" in source.read_text(encoding="utf-8")]
SHORTER = {  # trainings that are cut where they take longest, as tests/test_docs.py cuts those of pages
    "handwritten_digits": {"epochs=8": "epochs=3"},
    "latent_walk": {"epochs=8": "epochs=3"},
    "microscope_without_clean_data": {"epochs=5": "epochs=2"},
    "photographs_in_fewer_bytes": {"[:160]": "[:2]", "[::25]": "[::100]", "epochs=4": "epochs=1"},
    "spectra": {"epochs=50": "epochs=20"},
}
MOST_BYTES = 4 << 20  # of all notebooks together


def name_of(source: Path) -> str:
    return source.stem


def written(source: Path) -> Any:
    return nbformat.read(GALLERY / f"{source.stem}.ipynb", as_version=4)


@pytest.mark.parametrize("source", SOURCES, ids=name_of)
def test_a_notebook_is_what_its_source_says(source: Path) -> None:
    cells = [(cell.cell_type, cell.source) for cell in BUILD["notebook_of"](source).cells]
    assert [(cell.cell_type, cell.source) for cell in written(source).cells] == cells, "run `make gallery`"


@pytest.mark.parametrize("source", SOURCES, ids=name_of)
def test_a_notebook_was_executed_from_the_first_cell_to_the_last(source: Path) -> None:
    code = [cell for cell in written(source).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    text = (GALLERY / f"{source.stem}.ipynb").read_text(encoding="utf-8")
    assert not re.search(r"/(work|tmp|home|root)/", text), "a path of the machine that made it"


def test_there_is_one_of_each_and_all_are_small() -> None:
    notebooks = sorted(GALLERY.glob("*.ipynb"))
    assert [path.stem for path in notebooks] == [source.stem for source in SOURCES]
    assert len(notebooks) >= 8
    assert sum(path.stat().st_size for path in notebooks) < MOST_BYTES


def test_the_index_shows_every_notebook() -> None:
    index = (GALLERY / "index.md").read_text(encoding="utf-8")
    shown = re.findall(r"\[!\[([^\]]{20,})\]\(images/(\w+)\.png\)\]\((\w+)\.ipynb\)", index)
    assert sorted(name for _, name, _ in shown) == sorted(name for _, _, name in shown)
    assert sorted(name for _, name, _ in shown) == [source.stem for source in SOURCES]


@pytest.mark.parametrize("source", NEEDY, ids=name_of)
def test_a_notebook_without_its_data_says_what_it_needs(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path))
    cells = [cell.source for cell in BUILD["notebook_of"](source).cells if cell.cell_type == "code"]
    with pytest.raises(SystemExit, match=r"This notebook needs .* set ISTHMUS_DATA to a folder that holds \w+/"):
        exec(cells[0], {"__name__": "notebook"})


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES, ids=name_of)
def test_a_notebook_runs(source: Path, real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_DATA", str(real_data.resolve()))
    notebook = BUILD["notebook_of"](source)
    for long, short in SHORTER.get(source.stem, {}).items():
        assert any(long in cell.source for cell in notebook.cells)
        for cell in notebook.cells:
            cell.source = cell.source.replace(long, short)
    notebook = BUILD["executed"](notebook)
    assert BUILD["thumbnail"](notebook).startswith(b"\x89PNG")
