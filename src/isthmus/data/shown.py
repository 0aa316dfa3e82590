"""Samples as small pictures in HTML, and what a notebook shows of data."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping

import numpy as np

from isthmus.data.channels_last import channels_last, sample_channel_axis

_GAP = 2  # pixels of the pictures themselves, between them
_SIDE = 64  # of a page's pixels, that a picture is wide
_MOST_PIXELS = 128  # along a side of a picture: more cannot be seen
_LINE = 40  # of a page's pixels, that a signal is high
_MOST_POINTS = 128


def drawn(samples: np.ndarray, columns: int) -> str:
    """Samples in rows of `columns` as HTML: images as pictures, the middle slices of volumes, signals as lines.

    samples : array (n, *sample) in the user's layout. What is no array of numbers comes out as "".
    """
    if samples.dtype.kind not in "biuf" or not 2 <= samples.ndim <= 5 or not len(samples):
        return ""
    axis = sample_channel_axis(samples.shape[1:], "auto")
    planes = channels_last(samples, None if axis is None else axis + 1)  # (n, *spatial, channels)
    if planes.ndim == 3 or (planes.ndim == 4 and min(planes.shape[1:3]) < 4):
        return _lines(planes.reshape(len(planes), planes.shape[1], -1), columns)
    while planes.ndim > 4:
        planes = planes[:, planes.shape[1] // 2]
    shrink = -(-max(planes.shape[1:3]) // _MOST_PIXELS)
    pixels = _pixels(planes[:, ::shrink, ::shrink, : 3 if planes.shape[-1] >= 3 else 1])
    return _image(_side_by_side(pixels, columns), min(columns, len(pixels)) * _SIDE)


def _pixels(planes: np.ndarray) -> np.ndarray:
    """(n, height, width, channels) as uint8: the range of the bytes, or of the values."""
    if planes.dtype == np.uint8:
        return planes
    values = np.nan_to_num(planes.astype(np.float64))
    low, high = (float(v) for v in np.quantile(values, (0.001, 0.999)))
    scaled: np.ndarray = np.clip((values - low) / max(high - low, 1e-12), 0, 1) * 255
    return scaled.round().astype(np.uint8)


def _side_by_side(pixels: np.ndarray, columns: int) -> np.ndarray:
    """One picture (height, width, 4) of all, with transparent gaps."""
    n, height, width, _ = pixels.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    sheet = np.zeros((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 4), np.uint8)
    for i, picture in enumerate(pixels):
        top, left = i // columns * (height + _GAP), i % columns * (width + _GAP)
        sheet[top : top + height, left : left + width, :3] = picture  # grey is spread over the three
        sheet[top : top + height, left : left + width, 3] = 255
    return sheet


def _image(sheet: np.ndarray, width: int) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    style = "max-width: 100%; image-rendering: pixelated"
    return f'<img alt="samples" width="{width}" style="{style}" src="data:image/png;base64,{data}">'


def _lines(signals: np.ndarray, columns: int) -> str:
    """Signals (n, length, channels) as lines, three channels of each at most."""
    values = np.nan_to_num(signals[:, :: -(-signals.shape[1] // _MOST_POINTS), :3].astype(np.float64))
    low, high = float(values.min()), float(values.max())
    y = _LINE - 3 - (_LINE - 6) * (values - low) / max(high - low, 1e-12)
    x = np.linspace(2, _SIDE - 2, values.shape[1])
    columns, shapes = min(columns, len(values)), []
    for i, signal in enumerate(y):
        left, top = i % columns * _SIDE, i // columns * _LINE
        for channel in signal.T:
            points = " ".join(f"{left + a:.0f},{top + b:.1f}" for a, b in zip(x, channel, strict=True))
            shapes.append(f'<polyline points="{points}" fill="none" stroke="currentColor"/>')
    size = f'width="{columns * _SIDE}" height="{-(-len(y) // columns) * _LINE}"'
    return f'<svg {size} role="img" aria-label="signals">{"".join(shapes)}</svg>'


def facts_html(title: str, facts: Mapping[str, object], picture: str = "") -> str:
    """A heading, a picture that is HTML already, and a table of names and values."""
    rows = "".join(
        f'<tr><th style="text-align: left; white-space: nowrap">{html.escape(name)}</th>'
        f'<td style="text-align: left">{html.escape(str(value))}</td></tr>'
        for name, value in facts.items()
    )
    return f"<div><b>{html.escape(title)}</b><div>{picture}</div><table>{rows}</table></div>"
