"""A contact sheet: samples, and the samples that are nearest to them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus.evaluation.theme import LIGHT, clipped
from isthmus.files import atomic_path

_SIDE, _GAP, _MARGIN = 96, 10, 24  # pixels of a picture, between pictures, and around
_TITLE, _BELOW, _BETWEEN = 30, 36, 10  # above all, below a picture for two lines, and between rows
_SPLIT = 28  # between a sample and its neighbours
_LETTERS = 13  # in a line below a picture


@dataclass(frozen=True)
class Tile:
    """A picture as PNG bytes, and two lines below it."""

    picture: bytes
    title: str
    detail: str


def contact_sheet(rows: Sequence[tuple[Tile, Sequence[Tile]]], path: Path) -> None:
    """A picture file with a row for each sample: the sample on the left, its neighbours on the right, nearest first."""
    from PIL import Image, ImageDraw, ImageFont

    most = max(len(neighbours) for _, neighbours in rows)
    step, tall = _SIDE + _GAP, _SIDE + _BELOW + _BETWEEN
    first = _MARGIN + _SIDE + _SPLIT
    size = (first + max(most, 1) * step - _GAP + _MARGIN, _MARGIN + _TITLE + len(rows) * tall + _MARGIN - _BETWEEN)
    sheet = Image.new("RGB", size, LIGHT.paper)
    draw, bold = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    draw.text((_MARGIN, _MARGIN - 4), "sample", fill=LIGHT.ink, font=bold)
    draw.text((first, _MARGIN - 4), "nearest, and how far", fill=LIGHT.ink, font=bold)
    for row, (sample, neighbours) in enumerate(rows):
        top = _MARGIN + _TITLE + row * tall
        draw.rounded_rectangle(
            (_MARGIN - 8, top - 8, _MARGIN + _SIDE + 8, top + _SIDE + _BELOW - 2), 8, fill=LIGHT.land
        )
        for column, tile in enumerate((sample, *neighbours)):
            left = _MARGIN if column == 0 else first + (column - 1) * step
            _paste(sheet, tile.picture, left, top)
            for line, (text, color) in enumerate(((tile.title, LIGHT.ink), (tile.detail, LIGHT.muted))):
                place = (left + _SIDE / 2, top + _SIDE + 11 + 16 * line)
                draw.text(
                    place,
                    clipped(text, _LETTERS) if text else "",
                    fill=color,
                    font=ImageFont.load_default(12),
                    anchor="mm",
                )
    with atomic_path(path) as temporary:
        sheet.save(temporary)


def _paste(sheet: object, picture: bytes, left: int, top: int) -> None:
    """A picture as large as fits into a square: enlarged in whole pixels, so that small ones stay sharp."""
    from PIL import Image

    assert isinstance(sheet, Image.Image)
    with Image.open(io.BytesIO(picture)) as opened:
        image = opened.convert("RGB")
    factor = _SIDE / max(image.size)
    method = Image.Resampling.NEAREST if factor >= 2 else Image.Resampling.LANCZOS
    width, height = (max(1, round(side * factor)) for side in image.size)
    sheet.paste(image.resize((width, height), method), (left + (_SIDE - width) // 2, top + (_SIDE - height) // 2))
