"""A model and its data, opened once for all sessions of its page."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

from isthmus.data.channels_last import open_samples
from isthmus.data.images import Images
from isthmus.data.scaling import sample_channel_axis
from isthmus.data.sources import Source, open_source
from isthmus.errors import IsthmusError, MissingExtraError
from isthmus.serving.explorer.atlas import Atlas
from isthmus.serving.explorer.labelled_data import LabelledData

Page = Callable[[], Any]


class Prepared:
    """A model with its data, and what all sessions of its page share.

    build : makes the page of one session. words : the model in words.
    """

    def __init__(self, model: Any, samples: LabelledData) -> None:
        need_panel()
        self.model, self.samples = model, samples
        self._atlas: Atlas | None = None
        if hasattr(model, "inverse_transform"):
            self.build = self._encoder_decoder_page()
        elif hasattr(model, "denoise"):
            from isthmus.serving.explorer.denoiser_page import DenoiserPage

            self.build = lambda: DenoiserPage(model, samples).layout
        elif hasattr(model, "decompress"):
            from isthmus.serving.explorer.codec_page import CodecPage

            self.build = lambda: CodecPage(model, samples).layout
        else:
            raise IsthmusError(
                f"a {type(model).__name__} cannot be explored; give an AutoEncoder, ManifoldMap, Denoiser or Codec"
            )

    def stop(self) -> None:
        """Leave what is not done."""
        if self._atlas is not None:
            self._atlas.stop()

    def words(self) -> str:
        """The model and its data in a line."""
        source = self.samples.data
        data = "no data" if source is None else f"{len(source):,} samples of {PurePath(source.name).name}"
        if self._atlas is None:
            return f"{type(self.model).__name__} · {data}"
        numbers = f"{self._atlas.numbers:,} number" + ("s" if self._atlas.numbers != 1 else "")
        return f"{type(self.model).__name__} · {numbers} · {data}"

    def _encoder_decoder_page(self) -> Page:
        from isthmus.serving.explorer.encoder_decoder_page import EncoderDecoderPage
        from isthmus.serving.explorer.views import Viewer

        model, samples = self.model, self.samples
        atlas = self._atlas = Atlas(model, samples)
        shape, scaler = model.scaler_.sample_shape, model.scaler_
        axis = scaler.channel_axis if scaler.channel_axis is not None else sample_channel_axis(shape, "auto")
        names = [str(name) for name in getattr(model, "feature_names_in_", ())]
        some = samples.some() or list(atlas.decode(atlas.directions.codes(_spread(atlas.directions))))
        viewer = Viewer.of(some, axis, table=len(shape) == 1, names=names)
        return lambda: EncoderDecoderPage(atlas, viewer).layout


def prepared(model: Any, X: Any, y: Any = None, class_names: Any = None) -> Prepared:
    """A model and its data, opened as that model takes them."""
    if X is None or isinstance(X, Source | Images):
        data = X
    elif hasattr(model, "inverse_transform"):
        data = open_source(X)
    else:
        data = open_samples(X)
    return Prepared(model, LabelledData.of(data, y, class_names))


def assembled(pages: Mapping[str, Prepared]) -> Any:
    """One session's page: a tab for each model."""
    import panel as pn

    from isthmus.serving.explorer.cards import Style, follow_the_browser

    follow_the_browser()
    style = Style()
    kind = "model" if len(pages) == 1 else "model tabbed"

    def titled(name: str, page: Prepared) -> Any:
        head = style.text(f"<h1>{html.escape(name)}<span>{html.escape(page.words())}</span></h1>", "head")
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
    """Import what the pages need, or say in one line how to install it.

    `panel.extension` would do more: it changes settings of the whole process, and writes into a notebook's cell.
    """
    try:
        import panel
        import panel.models.file_dropper  # noqa: F401  (Bokeh knows its scripts from then on)
    except ImportError as error:
        raise MissingExtraError("the explorer", "explore") from error


def _spread(directions: Any) -> Any:
    """A few places between the ends of all directions."""
    import numpy as np

    shares = np.random.default_rng(0).uniform(0.25, 0.75, (32, len(directions.low)))
    return directions.low + shares * (directions.high - directions.low)
