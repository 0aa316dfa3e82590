"""Warnings about columns that can be read but may not mean what they seem to."""

from __future__ import annotations

import re
from typing import Any

from isthmus.data.column_types import is_text

_NINES = re.compile(r"-?(?:99|999+)(?:\.0)?")  # as people write for a missing number
_LEAST = 2  # cells that hold it
_MOST_COMPARED = 10_000  # different texts


def doubt(kind: str, known: Any, missing: int) -> str:
    """What is odd about a column, in one line; "" where nothing is.

    known : its cells without the missing ones, as an Arrow array of a `plain` type. missing : number of missing cells.
    """
    if kind == "number":
        return _missing_number(known)
    if kind not in ("category", "boolean") or not is_text(known.type):
        return ""
    texts = known.unique()
    if len(texts) == 1 and missing:
        return f"{texts[0].as_py()!r} or nothing: if nothing means no, write that into the table"
    return _alike(texts.to_pylist()) if len(texts) <= _MOST_COMPARED else ""


def _missing_number(known: Any) -> str:
    """-999 and the like, far from all other numbers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not (pa.types.is_integer(known.type) or pa.types.is_floating(known.type)):
        return ""
    ends = pc.min_max(known)
    for value in (ends["min"].as_py(), ends["max"].as_py()):
        if not _NINES.fullmatch(str(value)):
            continue
        others = known.filter(pc.not_equal(known, value))
        count = len(known) - len(others)
        if count < _LEAST or not len(others):
            continue
        rest = pc.min_max(others)
        low, high = float(rest["min"].as_py()), float(rest["max"].as_py())
        if min(abs(value - low), abs(value - high)) > high - low:
            return (
                f"{count:,} cells hold {value:g}, far from all others: if that means missing, say "
                f"missing_values=[{value:g}] (--missing-value {value:g})"
            )
    return ""


def _alike(texts: list[str]) -> str:
    """Two categories that differ only in capitals or in spaces."""
    seen: dict[str, str] = {}
    for text in sorted(texts):
        plain = " ".join(text.casefold().split())
        if plain in seen:
            return f"{seen[plain]!r} and {text!r} differ in capitals or spaces only, and count as two"
        seen[plain] = text
    return ""
