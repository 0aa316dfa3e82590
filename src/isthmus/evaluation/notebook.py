"""What a notebook shows of a model, of samples and of figures: cards in HTML that load nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from isthmus.evaluation.theme import DARK, LIGHT, MARK, css_variables

_NOTHING = Markup()


def card(
    title: str,
    lead: str = "",
    facts: Mapping[str, str | Sequence[str]] | None = None,
    *,
    columns: Sequence[str] = (),
    picture: Markup = _NOTHING,
    width: float = 0,
    chart: Markup = _NOTHING,
    code: str = "",
) -> str:
    """A card in the house style, which follows the notebook's theme.

    facts : names and values, one for each of `columns` where there are some. picture : HTML above them, as wide as the
    card or `width` pixels at most. chart : HTML beside them. code : text in a fold below.
    """
    from isthmus.evaluation.templates import render  # Jinja2 is not needed until a card is shown

    rows = [(name, [value] if isinstance(value, str) else value) for name, value in (facts or {}).items()]
    return render(
        __package__,
        "notebook.html.j2",
        light=css_variables(LIGHT),
        dark=css_variables(DARK),
        mark=MARK,
        title=title,
        lead=lead,
        facts=rows,
        columns=columns,
        picture=picture,
        width=width,
        chart=chart,
        code=code,
    )


def model_card(name: str, facts: Mapping[str, str], history: Sequence[Mapping[str, Any]], plate: Any, code: str) -> str:
    """A fitted model: the `Plate` that shows what it does, or None; what it is; how its losses fell.

    code : the parameters, as Python.
    """
    from isthmus.evaluation.figures.charts import loss_curves  # figures are slow to import
    from isthmus.evaluation.figures.style import render

    learned, shown = (
        loss_curves(history, facts.get("objective", "training loss")),
        None if plate is None else render(plate),
    )
    return card(
        name,
        "fitted",
        facts,
        picture=_NOTHING if shown is None else shown.svg,
        width=0 if shown is None else shown.width,
        chart=_NOTHING if learned is None else render(learned).svg,
        code=code,
    )
