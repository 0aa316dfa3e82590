"""Why a sample is strange, as a piece of HTML: rows cell by cell, images and signals place by place."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from markupsafe import Markup

from isthmus.anomalies.guilt import explained, guiltiest
from isthmus.anomalies.strangest import explained_samples
from isthmus.data.sources import Source
from isthmus.data.table_source import TableSource
from isthmus.evaluation.table_text import shown
from isthmus.evaluation.theme import LIGHT, clipped, signed_alpha
from isthmus.serving.explorer.views import Viewer, image

_SIDE = 190  # pixels of a picture
_STRONGEST = 0.995  # quantile of the strangeness of pixels that has the full colour


class Explanations(Protocol):
    """Says why the sample of a number is strange."""

    def __call__(self, index: int) -> Markup: ...


class Rows:
    """A row's columns from the guiltiest on: the value, what was expected, and the share of the strangeness."""

    def __init__(self, model: Any, table: TableSource) -> None:
        self._model, self._table = model, table

    def __call__(self, index: int) -> Markup:
        row = self._table.subset(np.array([index]))
        share, expected = explained(self._model, row)
        (shares,), (guilty,) = share, guiltiest(share)
        line = Markup('<tr><th title="{}">{}</th><td title="{}"{}>{}</td><td title="{}">{}</td><td>{:.1%}</td></tr>')
        mark, lines = Markup(' class="wrong"'), []
        for j in np.argsort(-shares, kind="stable").tolist():
            name = row.schema.used[j].name
            value, guess = (shown(table.column(name)[0].as_py()) for table in (row.table, expected))
            wrong = mark if j in guilty else ""
            lines.append(line.format(name, clipped(name, 24), value, wrong, value, guess, guess, shares[j]))
        head = Markup("<tr><th></th><td>value</td><td>expected</td><td>share</td></tr>")
        return Markup('<div class="row blame"><table>{}{}</table></div>').format(head, Markup("").join(lines))


class Places:
    """An image or a signal, what was expected, and where it is strange."""

    def __init__(self, model: Any, source: Source) -> None:
        self._model, self._source = model, source

    def __call__(self, index: int) -> Markup:
        (sample,), (expected,), (heat,) = explained_samples(self._model, self._source, np.array([index]))
        viewer = Viewer.of([sample], sample.ndim - 1, table=False)
        if sample.ndim == 2:
            where = Viewer.of([heat[:, None]], 1, table=False).picture(heat[:, None], _SIDE)
        else:
            top = max(float(np.quantile(heat, _STRONGEST)), 1e-12)
            flat = heat[len(heat) // 2] if heat.ndim == 3 else heat
            where = image(signed_alpha(np.clip(flat, 0, None), top, LIGHT), _SIDE)
        pictures = (viewer.picture(sample, _SIDE), viewer.picture(expected, _SIDE), where)
        figure = Markup("<figure>{}<figcaption>{}</figcaption></figure>")
        captions = ("as it is", "expected", "strange there")
        shown_beside = (figure.format(picture, said) for picture, said in zip(pictures, captions, strict=True))
        return Markup('<div class="figures">{}</div>').format(Markup("").join(shown_beside))
