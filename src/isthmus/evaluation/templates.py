"""HTML from templates: whatever is filled in is escaped."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from isthmus.evaluation.theme import clipped

_ENVIRONMENT = Environment(
    autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
)
_ENVIRONMENT.filters["line"] = lambda value: clipped(str(value), 200)


def render(package: str, name: str, **values: object) -> str:
    """The template ``NAME`` that lies in a package, filled in; a value of type Markup is HTML, all others are text.

    The filter `line` makes one printable line of bounded length of any text.
    """
    return _template(package, name).render(values)


@cache
def _template(package: str, name: str) -> Template:
    return _ENVIRONMENT.from_string(files(package).joinpath(name).read_text(encoding="utf-8"))
