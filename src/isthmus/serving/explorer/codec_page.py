"""The page of a codec: quality by a slider, and the bytes of real files."""

from __future__ import annotations

from typing import Any

import numpy as np
import panel as pn

from isthmus.compression.codec import DEFAULT_QUALITY
from isthmus.compression.formats import png_bytes
from isthmus.data.channels_last import sample_channel_axis
from isthmus.data.scaling import unit_of
from isthmus.evaluation.metrics import decibels
from isthmus.serving.explorer.cards import Style, as_html
from isthmus.serving.explorer.labelled_data import LabelledData
from isthmus.serving.explorer.live import beside, outcome_of
from isthmus.serving.explorer.rate_curve import RateCurve
from isthmus.serving.explorer.trial import PICTURE, Trial, TrialPage, quality, wiped
from isthmus.serving.explorer.views import Viewer

_TOGETHER = 64  # samples of the same archive, over which its frame is spread
_MOST_VALUES = 1 << 20  # in these


class CodecPage(TrialPage):
    """A sample is compressed into an archive and read from it again."""

    count, title, before = 3, "Bytes, and what they hold", "sample"

    def __init__(self, model: Any, samples: LabelledData) -> None:
        self._model, style = model, Style()
        self._trying: RateCurve | None = None  # of which a quality is being tried
        self._lossy = model.model_.kind == "lossy"
        slider = style.slider("quality", 1, 100, DEFAULT_QUALITY)
        self._curve, self._curve_of, self._quality = RateCurve(), np.zeros(0), float(DEFAULT_QUALITY)
        self._drawing = style.text(kind="curve")
        self.below = (self._drawing,) if self._lossy else ()
        super().__init__(samples, [slider] if self._lossy else [], style)
        if self._lossy and pn.state.curdoc is not None:
            pn.state.onload(self._try_more)

    def work(self, sample: np.ndarray, values: tuple[float, ...]) -> Trial:
        """Compress, measure, read again."""
        options = {"quality": values[0]} if self._lossy else {}
        archive, decoded, error = self._sent(sample, options)
        axis = sample_channel_axis(sample.shape, "auto")
        viewer = Viewer.of([sample], axis, table=False)
        if sample is not self._curve_of:
            png = 8 * png_bytes(sample) / sample.size
            self._curve, self._curve_of = RateCurve(other=(png, f"PNG, {png:.2g}")), sample
        if self._lossy:
            self._quality = values[0]
            self._curve.points[values[0]] = 8 * len(archive) / sample.size, decibels(error)
        before, after = (viewer.picture(one, PICTURE) for one in (sample, decoded))
        pictures = [
            ("Sample", before, self.name),
            ("From the archive", wiped(after, before), quality(error)),
            ("Difference", viewer.difference(decoded, sample, PICTURE), viewer.of_differences),
        ]
        sizes = [("bytes, a file of its own", f"{len(archive):,}")]
        if (many := self._many(sample)) is not None:
            each = len(self._model.compress(many, **options)) / len(many)
            sizes.append((f"bytes each, {len(many)} samples in one file", f"{each:,.1f}"))
        sizes += [("bytes as PNG", f"{png_bytes(sample):,}"), ("bytes of pixels", f"{sample.nbytes:,}")]
        return Trial(pictures, sizes)

    def _sent(self, sample: np.ndarray, options: dict[str, float]) -> tuple[bytes, np.ndarray, float]:
        """The archive of a sample, what comes out of it, and its mean squared error."""
        archive = self._model.compress([sample], **options)
        decoded = self._model.decompress(archive)[0]
        return archive, decoded, float((((np.float64(decoded) - sample) / unit_of(sample.dtype)) ** 2).mean())

    def _show(self, trial: Trial | None) -> None:
        super()._show(trial)
        self._drawing.text = as_html(self._curve.drawing(self._quality))
        if self._drawing.document is not None:
            self._try_more()

    def _try_more(self) -> None:
        """Try the next quality beside the page, until the curve is whole or another sample is looked at."""
        sample, curve = self._curve_of, self._curve
        quality = curve.missing() if self._lossy and sample.size else None
        if quality is None or self._trying is curve:
            return
        self._trying = curve

        def tried() -> tuple[float, float]:
            archive, _, error = self._sent(sample, {"quality": quality})
            return 8 * len(archive) / sample.size, decibels(error)

        def known(point: tuple[float, float]) -> None:
            self._trying = None
            curve.points[quality] = point
            self._drawing.text = as_html(self._curve.drawing(self._quality))
            self._try_more()

        beside(self._drawing, lambda: outcome_of(tried, known, self._say), lambda outcome: outcome())

    def _many(self, sample: np.ndarray) -> list[np.ndarray] | None:
        """Samples that would share a file, where the data hold enough of that size."""
        count = min(_TOGETHER, len(self.samples), _MOST_VALUES // max(1, sample.size))
        if count < 2:
            return None
        some = [self.samples[i] for i in range(count)]
        return some if all(s.shape == sample.shape and s.dtype == sample.dtype for s in some) else None
