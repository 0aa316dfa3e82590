"""The map as one HTML file that needs no network: pan, zoom, hover, search, classes to show and to hide, a lasso."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from isthmus import __version__
from isthmus.evaluation.templates import render
from isthmus.evaluation.theme import DARK, LIGHT, MARK, clipped, css_variables, number
from isthmus.files import write_text
from isthmus.manifold.drawn_map import DrawnMap
from isthmus.remote.paths import as_path

_ACROSS = 32  # pictures along a sheet: 1,024 a sheet, which a browser unpacks in a few milliseconds
_GREYS = 16  # of grey pictures: half the bytes of 256, and no eye sees it in a thumbnail
_QUALITY = 75  # of coloured pictures


def write_map_page(drawn: DrawnMap, path: str | Path, title: str) -> Path:
    """Write the page, a single file without any reference outside itself; nothing in labels or names is executed."""
    script = "".join(
        files(__package__).joinpath(name).read_text(encoding="utf-8")
        for name in ("map_painters.js", "map.js", "map_tools.js")
    )
    text = render(
        __package__,
        "map.html.j2",
        version=__version__,
        title=clipped(title, 80),
        headline=drawn.headline,
        notes=_notes(drawn),
        data=Markup(json.dumps(_content(drawn), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")),
        mark=MARK,
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        light=css_variables(LIGHT),
        dark=css_variables(DARK),
    )
    path = as_path(path)
    write_text(path, text)
    return path


def _notes(drawn: DrawnMap) -> str:
    """What the reader should know about what is shown."""
    notes = []
    if len(drawn.points) < drawn.samples_given:
        notes.append(f"A random {len(drawn.points):,} of the {drawn.samples_given:,} samples are shown.")
    if drawn.scores is not None:
        notes.append(
            f"Trustworthiness and continuity, over {drawn.scores.k} neighbours: the share of neighbourhoods on the "
            "map that are real, and of real ones that are on the map."
        )
    if drawn.shrunk:
        height, width = drawn.previews.shape[1:3]
        notes.append(f"Pictures are shrunk to {width} × {height} pixels, to keep the page small.")
    notes.append(f"Made with isthmus {__version__}.")
    return " ".join(notes)


def _content(drawn: DrawnMap) -> dict[str, Any]:
    """What the script reads: places in shares of the frame, arrays as base64 in little-endian order."""
    content: dict[str, Any] = {
        "points": _packed((drawn.points - drawn.low) / drawn.side, "<f4"),
        "indices": _packed(drawn.indices, "<u4"),
        "files": [clipped(name, 80) for name in drawn.names],
        "form": drawn.form,
        "land": None,
        "classes": None,
        "low": drawn.low.tolist(),
        "side": float(drawn.side),
        "scales": [_scale(name, values) for name, values in drawn.values.items()],
    }
    if drawn.classes is not None:
        content["classes"] = {
            "of": _packed(drawn.classes.index, "<u4"),
            "names": [clipped(name, 60) for name in drawn.classes.names],
            "hues": drawn.hues,
            "anchors": ((drawn.anchors - drawn.low) / drawn.side).tolist() if drawn.hues else [],
        }
    if drawn.form == "pictures":
        height, width = drawn.previews.shape[1:3]
        content["sheets"] = {"across": _ACROSS, "width": width, "height": height, "uris": list(_sheets(drawn.previews))}
        content["land"] = None if drawn.land is None else _uri(Image.fromarray(drawn.land.mosaic()), "PNG")
    elif drawn.form == "lines":
        content["lines"] = {"of": _packed(drawn.previews, "u1"), "shape": drawn.previews.shape[1:]}
    else:
        content["values"] = {"of": _packed(drawn.previews, "<f4"), "columns": drawn.columns}
    return content


def _scale(name: str, values: np.ndarray) -> dict[str, Any]:
    """What points can be coloured by, in 255 levels; level 255 is a value that is missing.

    The ends are where all but one in a hundred values lie, so that a few strays do not make all others alike.
    """
    known = values[np.isfinite(values)].astype(np.float64)
    low, high = np.quantile(known, (0.005, 0.995)).tolist() if len(known) else (0.0, 0.0)
    share = (values - low) / ((high - low) or 1.0)
    level = np.where(np.isfinite(share), 254 * share.clip(0, 1), 255).round()
    return {"name": clipped(name, 40), "low": number(low), "high": number(high), "of": _packed(level, "u1")}


def _packed(array: np.ndarray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype=dtype).tobytes()).decode()


def _sheets(pictures: np.ndarray) -> Iterator[str]:
    """Pictures (n, height, width, 1 or 3) as data URIs of sheets, row by row."""
    height, width, channels = pictures.shape[1:]
    for start in range(0, len(pictures), _ACROSS**2):
        some = pictures[start : start + _ACROSS**2]
        rows = -(-len(some) // _ACROSS)
        sheet = np.zeros((rows * _ACROSS, height, width, channels), np.uint8)
        sheet[: len(some)] = some
        pixels = sheet.reshape(rows, _ACROSS, height, width, channels).swapaxes(1, 2)
        pixels = pixels.reshape(rows * height, _ACROSS * width, channels)
        if channels == 3:
            yield _uri(Image.fromarray(pixels), "JPEG", quality=_QUALITY)
            continue
        level = (pixels[..., 0].astype(np.uint16) * (_GREYS - 1) + 127) // 255
        image = Image.fromarray(level.astype(np.uint8), mode="P")
        image.putpalette([255 * grey // (_GREYS - 1) for grey in range(_GREYS) for _ in range(3)])
        yield _uri(image, "PNG", bits=4)


def _uri(image: Image.Image, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
