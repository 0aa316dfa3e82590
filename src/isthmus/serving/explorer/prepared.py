"""A model and its data, opened once for all sessions of its page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import PurePath
from typing import Any

from markupsafe import Markup

from isthmus.data.channels_last import sample_channel_axis
from isthmus.data.folders import OnMixedSizes
from isthmus.data.sources import Source
from isthmus.data.table_scaling import TableScaler
from isthmus.data.table_source import TableSource
from isthmus.errors import IsthmusError, MissingExtraError
from isthmus.evaluation.opening import open_for_model
from isthmus.evaluation.theme import MARK
from isthmus.registry import estimators
from isthmus.serving.explorer.atlas import Atlas, ProjectionName
from isthmus.serving.explorer.labelled_data import LabelledData
from isthmus.words import count

_MOST_JUDGED = 70_000  # samples of a detector's page: more take too long to wait for


@dataclass(frozen=True)
class Prepared:
    """A model with its data, and what all sessions of its page share.

    build : makes the page of one session. words : the model and its data in a line. stop : ends work in the background.
    """

    build: Callable[[], Any]
    words: str
    stop: Callable[[], None] = lambda: None


def prepared(
    model: Any, X: Any, y: Any = None, class_names: Any = None, projection: ProjectionName = "pca"
) -> Prepared:
    """A model and its data, opened as that model takes them.

    projection : how codes of more than two numbers are mapped, see `Atlas`; models without codes have no use for it.

    Raises IsthmusError where the model has no page, or the labels do not fit.
    """
    can = estimators.of(model).can
    page = next((page for ability, page in _PAGES.items() if ability in can), None)
    if page is None:
        raise IsthmusError(f"a {type(model).__name__} has no page; give one that can {', '.join(_PAGES)}")
    need_panel()
    data = None if X is None else page.open(model, X)
    samples = LabelledData.of(data, y, class_names)
    return _encoder_decoder(model, samples, projection) if "decode" in can else page.prepare(model, samples)


def opened(model: Any, X: Any, mixed_sizes: OnMixedSizes = "refuse") -> Source:
    """Data as a model takes them: the columns of tables are matched by name."""
    return open_for_model(model, X, mixed_sizes)


def _encoder_decoder(model: Any, samples: LabelledData, projection: ProjectionName = "pca") -> Prepared:
    from isthmus.serving.explorer.table_rows import TableViewer
    from isthmus.serving.explorer.views import Viewer

    atlas = Atlas(model, samples, projection)
    shape, scaler = model.scaler_.sample_shape, model.scaler_
    axis = scaler.channel_axis if scaler.channel_axis is not None else sample_channel_axis(shape, "auto")
    names = [str(name) for name in getattr(model, "feature_names_in_", ())]
    words = _words(model, count(atlas.numbers, "number"), samples)
    if isinstance(scaler, TableScaler):
        if samples.data is None:
            raise IsthmusError("the page of a model of tables shows rows of a table: give one, as data")
        viewer: Viewer = TableViewer.of_table(scaler)
    else:
        some = samples.some() or list(atlas.decode(atlas.directions.codes(_spread(atlas.directions))))
        viewer = Viewer.of(some, axis, table=len(shape) == 1 and scaler.flat, names=names)
    atlas.start()
    return Prepared(partial(_page_of_codes, atlas, viewer), words, atlas.stop)


def _page_of_codes(atlas: Atlas, viewer: Any) -> Any:
    from isthmus.serving.explorer.encoder_decoder_page import EncoderDecoderPage  # Panel is slow to import

    return EncoderDecoderPage(atlas, viewer).layout


def _denoiser(model: Any, samples: LabelledData) -> Prepared:
    from isthmus.serving.explorer.denoiser_page import DenoiserPage

    return Prepared(lambda: DenoiserPage(model, samples).layout, _words(model, "", samples))


def _codec(model: Any, samples: LabelledData) -> Prepared:
    from isthmus.serving.explorer.codec_page import CodecPage

    return Prepared(lambda: CodecPage(model, samples).layout, _words(model, "", samples))


def _detector(model: Any, samples: LabelledData) -> Prepared:
    import numpy as np

    from isthmus.anomalies.findings import Findings
    from isthmus.anomalies.names import named
    from isthmus.serving.explorer.detector_page import DetectorPage
    from isthmus.serving.explorer.explanations import Places, Rows

    if samples.data is None:
        raise IsthmusError("the page of a detector shows how strange samples are: give some, as data")
    if model.kind_ == "series":
        return _detector_of_series(model, samples.data)
    words = _words(model, "", samples)
    if len(samples) > _MOST_JUDGED:
        samples = samples.spread(_MOST_JUDGED)
        words += f", of which {_MOST_JUDGED:,} are shown"
    data = samples.data
    assert data is not None
    findings = Findings.of(model, data)
    explain = Rows(model, data) if isinstance(data, TableSource) else Places(model, data)

    def title(index: int) -> str:
        (name,) = named(model, data, np.array([index]))
        return samples.with_class(name, index)

    return Prepared(lambda: DetectorPage(model, findings, explain, title).layout, words)


def _detector_of_series(model: Any, series: Any) -> Prepared:
    """series : a list of `Series`."""
    from isthmus.anomalies.findings import Findings
    from isthmus.serving.explorer.detector_page import DetectorPage
    from isthmus.serving.explorer.series_explanations import Steps

    findings = Findings.of(model, series)
    steps = Steps(model, series, findings)
    words = f"{type(model).__name__} · {count(len(findings), 'time step')}"
    return Prepared(lambda: DetectorPage(model, findings, steps, steps.title, steps.tour()).layout, words)


def _words(model: Any, code: str, samples: LabelledData) -> str:
    source = samples.data
    data = "no data" if source is None else f"{count(len(source), 'sample')} of {PurePath(source.name).name}"
    return " · ".join(part for part in (type(model).__name__, code, data) if part)


@dataclass(frozen=True)
class _Page:
    """A kind of page. open : the user's data as a model takes them. prepare : a model and its data."""

    open: Callable[[Any, Any], Source]
    prepare: Callable[[Any, LabelledData], Prepared]


_PAGES = {  # by what a model can do; the first that fits is taken
    "decode": _Page(opened, _encoder_decoder),
    "clean": _Page(partial(opened, mixed_sizes="keep"), _denoiser),
    "compress": _Page(partial(opened, mixed_sizes="keep"), _codec),
    "detect": _Page(lambda model, X: model.scorer_.open(X, model), _detector),
}


def assembled(pages: Mapping[str, Prepared]) -> Any:
    """One session's page: a tab for each model."""
    import panel as pn

    from isthmus.serving.explorer.cards import Style, follow_the_browser

    follow_the_browser()
    style = Style()
    kind = "model" if len(pages) == 1 else "model tabbed"

    def titled(name: str, page: Prepared) -> Any:
        sign = Markup('<svg viewBox="0 0 22 34" aria-hidden="true"><path d="{}"/></svg>').format(MARK)
        head = style.text(sign + Markup("<h1>{}<span>{}</span></h1>").format(name, page.words), "head")
        return style.box(kind, head, page.build(), column=True)

    if len(pages) == 1:
        (name, page), *_ = pages.items()
        return titled(name, page)
    return pn.Tabs(
        *((name, titled(name, page)) for name, page in pages.items()),
        dynamic=True,
        sizing_mode="stretch_both",
        stylesheets=[style.sheet.css],
    )


def need_panel() -> None:
    """Say in one line how to install what the pages need, where it is missing; nothing is imported yet."""
    if any(find_spec(name) is None for name in ("bokeh", "panel")):
        raise MissingExtraError("the explorer", "explore")


def _spread(directions: Any) -> Any:
    """A few places between the ends of all directions."""
    import numpy as np

    shares = np.random.default_rng(0).uniform(0.25, 0.75, (32, len(directions.low)))
    return directions.low + shares * (directions.high - directions.low)
