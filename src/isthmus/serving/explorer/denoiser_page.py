"""The page of a denoiser: noise by a slider, and what is left of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from isthmus.corruptions import Corruption
from isthmus.data.channels_last import channels_last, from_channels_last, sample_channel_axis
from isthmus.data.scaling import unit_of
from isthmus.evaluation.theme import number
from isthmus.serving.explorer.cards import Style
from isthmus.serving.explorer.labelled_data import LabelledData
from isthmus.serving.explorer.trial import PICTURE, Trial, TrialPage, quality, wiped
from isthmus.serving.explorer.views import Viewer
from isthmus.spec import Choice, parse_corruption

_ENDS = {"gaussian": 1.0, "rows": 1.0, "speckle": 1.0, "salt-and-pepper": 0.6, "masking": 0.9, "poisson": 100.0}
_BEYOND = 2.5  # times the strongest noise of the training: how far the slider goes
_STARTS = {"poisson": 1.0}


class DenoiserPage(TrialPage):
    """Noise is added to a sample and taken away again; at noise 0 the sample is cleaned as it is."""

    count, title, before = 4, "Noise, and what is left of it", "noisy"

    def __init__(self, model: Any, samples: LabelledData) -> None:
        self._model, style = model, Style()
        self._noise = _first(model.noise_)
        low, high = _STARTS.get(self._noise.name, 0.0), _ENDS.get(self._noise.name, 1.0)
        learned = self._noise.high or 0.25 * high
        end = max(min(high, _BEYOND * learned), learned)
        title, marked = f"{self._noise.name} noise", {}
        if self._noise.high:
            first = self._noise.low or 0.0
            title += f" (trained on {first:.2g}–{learned:.2g})" if first < learned else f" (trained on {learned:.2g})"
            ends = [f"{100 * (max(value, low) - low) / (end - low):.1f}%" for value in (first, learned)]
            marked = {"--from": ends[0], "--to": ends[1]}
        value = min(learned, end) if self._noise.name == "poisson" else 0.5 * learned
        look: dict[str, Any] = {"css_classes": ["trained"], "styles": marked} if marked else {}
        slider = style.slider(title, low, end, value, step=(end - low) / 100, format="0.00", **look)
        self._seed = 0
        again = style.button("Other noise")
        again.on_click(self._other)
        super().__init__(samples, [slider], style, again)

    def work(self, sample: np.ndarray, values: tuple[float, ...]) -> Trial:
        """Add noise, take it away, compare: in floats, so that nothing is clipped."""
        unit = unit_of(np.dtype(self._model.dtype_))  # the model's own: what it takes floats for
        factor = self._model.units_.factor(sample.dtype, float(sample.min()), float(sample.max()), self.name)
        clean = (sample * np.float64(factor)).astype(np.float32)
        noisy = self._with_noise(clean, unit, values[0])
        cleaned, std = (found[0] for found in self._model.denoise([noisy], return_std=True))
        axis = sample_channel_axis(sample.shape, self._model.channel_axis)
        viewer = Viewer.of([clean, noisy], axis, table=False)
        if viewer.kind != "signals":
            viewer = replace(viewer, low=0.0, high=unit)
        before, after = (float((((x - clean) / unit) ** 2).mean()) for x in (noisy, cleaned))
        pictures = [
            ("Sample", viewer.picture(clean, PICTURE), self.name),
            ("Noisy", viewer.picture(noisy, PICTURE), quality(before) if before else "as it is"),
            ("Denoised", wiped(viewer.picture(cleaned, PICTURE), viewer.picture(noisy, PICTURE)), quality(after)),
            ("Taken away", viewer.difference(noisy, cleaned, PICTURE), viewer.of_differences),
        ]
        expected = float(((std / unit) ** 2).mean())
        return Trial(
            pictures,
            [
                ("error before", number(before)),
                ("error after", number(after)),
                ("error that the model expects", number(expected)),
            ],
        )

    def _with_noise(self, clean: np.ndarray, unit: float, level: float) -> np.ndarray:
        if level == 0:
            return clean
        axis = sample_channel_axis(clean.shape, self._model.channel_axis)
        planes = np.moveaxis(channels_last(clean, axis), -1, 0)[None] / np.float32(unit)  # (1, C, *spatial)
        noise = Corruption(Choice(self._noise.name, level, level))
        generator = torch.Generator().manual_seed(self._seed)
        noisy = noise(torch.from_numpy(np.ascontiguousarray(planes)), generator).numpy() * np.float32(unit)
        noised: np.ndarray = from_channels_last(np.moveaxis(noisy, 1, -1), axis)[0]
        return noised

    def _other(self) -> None:
        self._seed += 1
        self.again()


def _first(noise: str | None) -> Choice:
    """The kind of noise that the slider adds: the first that the model has learned."""
    return Choice("gaussian") if noise is None else parse_corruption(noise)[0]
