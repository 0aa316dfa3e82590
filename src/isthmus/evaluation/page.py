"""A page of figures and tables: one HTML file that loads nothing, in light and in dark."""

from __future__ import annotations

import datetime
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from isthmus import __version__
from isthmus.evaluation.figures.style import Plate, Print, render
from isthmus.evaluation.history import in_parts
from isthmus.evaluation.templates import render as render_template
from isthmus.evaluation.theme import DARK, LIGHT, MARK, css_variables, number
from isthmus.files import write_bytes, write_text
from isthmus.remote.paths import RemotePath

if TYPE_CHECKING:
    _Base = Path
else:
    _Base = type(Path())  # before Python 3.12 only the concrete class can have subclasses
_FRAME = 720  # pixels, the height of a report in a notebook
_UNNAMED = ("", "table", "array", "list")  # what sources are called that have no name


class ReportPath(_Base):
    """The path of a report on this machine; a notebook shows the page itself."""

    def _repr_html_(self) -> str | None:
        if not self.is_file():  # removed, or made from such a path, as its folder is
            return None
        page = html.escape(self.read_text(encoding="utf-8"))
        size = f'width="100%" height="{_FRAME}" style="border: 0"'
        return f'<iframe sandbox title="report" {size} srcdoc="{page}"></iframe>'


@dataclass(frozen=True)
class Headline:
    """What a reader wants to know first: a figure, what it is, its unit and one more line."""

    label: str
    figure: str
    unit: str
    detail: str


@dataclass(frozen=True)
class Row:
    """A line of a table: figures as text; best : the place of the best figure, where there is one."""

    label: str
    cells: Sequence[str]
    best: int | None = None


@dataclass(frozen=True)
class Table:
    """Figures side by side. columns : what the cells of each row are. counts : columns of a listing with numbers."""

    columns: Sequence[str]
    rows: Sequence[Row]
    counts: Sequence[str] = ()


@dataclass(frozen=True)
class Cell:
    """A cell of a sample. shade : how strongly it is coloured, 0 to 1. note : something more, in small type."""

    text: str
    shade: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class Samples:
    """Rows of the user's table, turned on their side: a line for each of its columns.

    heads : what each sample is called, and something more. parts : what the cells of one sample are, as in
    ("original", "rebuilt"). lines : the name of a column, and the cells of all samples. warns : whether colour says
    that a cell is wrong.
    """

    heads: Sequence[tuple[str, str]]
    parts: Sequence[str]
    lines: Sequence[tuple[str, Sequence[Cell]]]
    warns: bool = True


@dataclass(frozen=True)
class Section:
    """A heading and what is below it, in this order.

    text : a sentence or two. samples : rows of the user's table. listing : words in columns. table : figures side by
    side. facts : names and values. examples : code by its heading. plates : figures.
    """

    heading: str
    plates: Sequence[Plate] = ()
    table: Table | None = None
    text: str = ""
    samples: Samples | None = None
    listing: Table | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    examples: Mapping[str, str] = field(default_factory=dict)


def write_page(
    path: Path,
    *,
    title: str,
    data: str,
    lead: str,
    headlines: Sequence[Headline],
    sections: Sequence[Section],
    footer: str,
    verdict: str = "",
) -> Path:
    """Write a page, and its figures as ``figures/NAME.png`` and ``figures/NAME-dark.png`` beside it.

    data : what the source of the samples is called; the page names it, and the day.
    verdict : what the figures come to, in plain sentences, above them. Returns the path, which a notebook shows as the
    page.
    """
    page = render_template(
        __package__,
        "page.html.j2",
        version=__version__,
        title=title,
        light=css_variables(LIGHT),
        dark=css_variables(DARK),
        mark=MARK,
        data="" if data in _UNNAMED else PurePath(data).name,
        today=datetime.date.today().isoformat(),
        lead=lead,
        verdict=verdict,
        headlines=headlines,
        sections=[(section, _printed(section.plates, path.parent / "figures")) for section in sections],
        footer=f"{footer} Made with isthmus {__version__}.",
    )
    write_text(path, page)
    return path if isinstance(path, RemotePath) else ReportPath(path)


def _printed(plates: Sequence[Plate], folder: Path) -> list[Print]:
    """Plates as the page shows them; their PNG files are written into a folder."""
    prints = [render(plate) for plate in plates]
    for printed in prints:
        write_bytes(folder / f"{printed.plate.name}.png", printed.light)
        write_bytes(folder / f"{printed.plate.name}-dark.png", printed.dark)
    return prints


def saving(name: str, saved_as: Path | None) -> str:
    """The first line of a page's example in Python: it saves the model, where that has no folder yet."""
    return "" if saved_as is not None else f"{name}.save({name!r})  # on the command line: --save-model {name}\n"


def training_headline(history: Sequence[Mapping[str, Any]]) -> list[Headline]:
    """How long a model was trained; nothing where no run is known."""
    if not history:
        return []
    last = in_parts(history)[-1][-1]
    figure, unit = _duration(float(last["seconds"]))
    return [
        Headline(
            "Training", figure, unit, f"{last['step']:,} steps, {last['samples_per_second']:,.0f} samples a second"
        )
    ]


def _duration(seconds: float) -> tuple[str, str]:
    if seconds < 60:
        return f"{seconds:.1f}", "s"
    if seconds < 3600:
        return f"{int(seconds // 60)}:{int(seconds % 60):02d}", "min"
    return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}", "h"


def times_smaller(other: float, ours: float) -> tuple[str, str]:
    """How many times smaller, or larger, ours is: a figure and its unit."""
    if ours <= other:
        return number(other / max(ours, 1e-30)), "× smaller"
    return number(ours / max(other, 1e-30)), "× larger"
