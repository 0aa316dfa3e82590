"""A page of figures and tables: one HTML file that loads nothing, in light and in dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from isthmus import __version__
from isthmus.evaluation import figures
from isthmus.evaluation.figures import Plate, Print
from isthmus.evaluation.theme import DARK, LIGHT, MARK, clipped, css_variables
from isthmus.files import write_bytes, write_text


@dataclass(frozen=True)
class Headline:
    """What a reader wants to know first: a figure, what it is, its unit and a line more."""

    label: str
    figure: str
    unit: str
    detail: str


@dataclass(frozen=True)
class Section:
    """A heading, HTML such as a table, and figures after it."""

    heading: str
    plates: Sequence[Plate] = ()
    html: str = ""


def write_page(
    path: Path, *, title: str, lead: str, headlines: Sequence[Headline], sections: Sequence[Section], footer: str
) -> Path:
    """Write a page, and its figures as ``figures/NAME.png`` and ``figures/NAME-dark.png`` beside it."""
    body = "\n".join(_section(section, path.parent / "figures") for section in sections)
    page = Template(files(__package__).joinpath("report.html").read_text(encoding="utf-8")).substitute(
        version=escape(__version__),
        title=escape(printable(title)),
        light=css_variables(LIGHT),
        dark=css_variables(DARK),
        mark=MARK,
        lead=escape(lead),
        headlines="\n".join(_headline(headline) for headline in headlines),
        sections=body,
        footer=escape(f"{footer} Made with isthmus {__version__}."),
    )
    write_text(path, page)
    return path


def printable(text: str) -> str:
    """A line of text of bounded length."""
    return clipped(str(text), 200)


def count(number: int, what: str) -> str:
    """A number of things: ``1 sample``, ``1,000 samples``."""
    return f"{number:,} {what}" + "s" * (number != 1)


def _section(section: Section, folder: Path) -> str:
    prints = [figures.render(plate) for plate in section.plates]
    for rendered in prints:
        write_bytes(folder / f"{rendered.plate.name}.png", rendered.light)
        write_bytes(folder / f"{rendered.plate.name}-dark.png", rendered.dark)
    inside = section.html + "".join(_figure(rendered) for rendered in prints)
    return f'<section>\n<h2>{escape(section.heading)}</h2>\n<div class="plates">\n{inside}</div>\n</section>'


def _figure(rendered: Print) -> str:
    caption = escape(rendered.plate.caption)
    svg = rendered.svg.replace("<svg", f'<svg role="img" aria-label="{caption}"', 1)
    kind = ' class="wide"' if rendered.plate.wide else ""
    style = f' style="max-width: {1.25 * rendered.width:.0f}px"'
    return (
        f'<figure{kind} id="{rendered.plate.name}"><div class="scroll"{style}>{svg}</div>'
        f"<figcaption>{caption}</figcaption></figure>\n"
    )


def _headline(headline: Headline) -> str:
    unit = f"<small>{escape(headline.unit)}</small>" if headline.unit else ""
    return (
        f'<div><dt>{escape(headline.label)}</dt><dd class="figure">{escape(headline.figure)}{unit}</dd>'
        f'<dd class="detail">{escape(headline.detail)}</dd></div>'
    )
