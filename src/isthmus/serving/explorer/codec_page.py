"""The page of a codec: quality by a slider, and the bytes of real files."""

from __future__ import annotations

from typing import Any

import numpy as np
from bokeh.models.widgets.sliders import Slider

from isthmus.compression.codec import DEFAULT_QUALITY
from isthmus.compression.formats import png_bytes
from isthmus.data.scaling import sample_channel_axis, unit_of
from isthmus.serving.explorer.cards import Style
from isthmus.serving.explorer.labelled_data import LabelledData
from isthmus.serving.explorer.trial import PICTURE, Trial, TrialPage, quality
from isthmus.serving.explorer.views import Viewer

_TOGETHER = 64  # samples of the same archive, over which its frame is spread
_MOST_VALUES = 1 << 20  # in these


class CodecPage(TrialPage):
    """A sample is compressed into an archive and read from it again."""

    count, title = 3, "Bytes, and what they hold"

    def __init__(self, model: Any, samples: LabelledData) -> None:
        self._model, style = model, Style()
        self._lossy = model.model_.kind == "lossy"
        slider = Slider(
            title="quality", start=1, end=100, step=1, value=DEFAULT_QUALITY, width=280, stylesheets=[style.sheet]
        )
        super().__init__(samples, [slider] if self._lossy else [], style)

    def work(self, sample: np.ndarray, values: tuple[float, ...]) -> Trial:
        """Compress, measure, read again."""
        options = {"quality": values[0]} if self._lossy else {}
        archive = self._model.compress([sample], **options)
        decoded = self._model.decompress(archive)[0]
        axis = sample_channel_axis(sample.shape, "auto")
        viewer = Viewer.of([sample], axis, table=False)
        error = float((((np.float64(decoded) - sample) / unit_of(sample.dtype)) ** 2).mean())
        pictures = [
            ("Sample", viewer.picture(sample, PICTURE), self.name),
            ("From the archive", viewer.picture(decoded, PICTURE), quality(error)),
            ("Difference", viewer.difference(decoded, sample, PICTURE), viewer.of_differences),
        ]
        sizes = [("bytes, a file of its own", f"{len(archive):,}")]
        if (many := self._many(sample)) is not None:
            each = len(self._model.compress(many, **options)) / len(many)
            sizes.append((f"bytes each, {len(many)} samples in one file", f"{each:,.1f}"))
        sizes += [("bytes as PNG", f"{png_bytes(sample):,}"), ("bytes of pixels", f"{sample.nbytes:,}")]
        return Trial(pictures, sizes)

    def _many(self, sample: np.ndarray) -> list[np.ndarray] | None:
        """Samples that would share a file, where the data hold enough of that size."""
        count = min(_TOGETHER, len(self.samples), _MOST_VALUES // max(1, sample.size))
        if count < 2:
            return None
        some = [self.samples[i] for i in range(count)]
        return some if all(s.shape == sample.shape and s.dtype == sample.dtype for s in some) else None
