"""Which kind a column is, where nobody says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isthmus.data.column_texts import nearly_spelled, spelled
from isthmus.data.column_types import is_binary, is_text

_FEW = 20  # different texts that are always categories
_MOST_DISTINCT = 0.5  # share of different texts from which on a column is free text or an identifier
_EXACT = 2**53  # whole numbers that float64 holds
_HARDLY_REPEATS = 0.9  # share of different whole numbers from which on they may be identifiers
_LARGE = 100_000  # from which on whole numbers may be issued ones ...
_CLOSE = 0.1  # ... where the middle half of them spans at most this share of their size
_NAMES_ID = re.compile(r"(?:^|.*[_\s\-.])(?:id|ids|uuid|guid|ssn)|.*[a-z]I[dD]", re.DOTALL)


@dataclass(frozen=True)
class Guess:
    """kind : a name of `column_kinds`. written : how text spells it, see `column_texts`. note : why, for people.

    odd : the first cell that is not what nearly all others are; because of it the column is left out.
    """

    kind: str
    note: str = ""
    written: dict[str, Any] = field(default_factory=dict)
    odd: str | None = None


def guess(name: str, known: Any, distinct: int, rows: int) -> Guess:
    """The kind of a column.

    known : its cells in a `plain` type without the missing ones, as an Arrow array. distinct : number of different
    values. rows : number of rows, those with missing cells included.
    """
    import pyarrow as pa

    type_ = known.type
    if not len(known):
        return Guess("ignore", "no value at all")
    if pa.types.is_nested(type_) or is_binary(type_):
        return Guess("ignore", f"holds {type_}")
    if pa.types.is_boolean(type_):
        return Guess("boolean")
    if pa.types.is_integer(type_):
        return _guess_integer(name, known, distinct, rows)
    if pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return Guess("number")
    if pa.types.is_duration(type_):
        return Guess("duration")
    if pa.types.is_date(type_) or pa.types.is_timestamp(type_) or pa.types.is_time(type_):
        return Guess("date")
    return _guess_text(known, distinct) if is_text(type_) else Guess("ignore", f"holds {type_}")


def _guess_integer(name: str, known: Any, distinct: int, rows: int) -> Guess:
    """Whole numbers are numbers, unless they count the rows or hardly repeat and look issued, as customers' do."""
    values = known.to_numpy()
    if values.max() > _EXACT or values.min() < -_EXACT:
        return Guess("ignore", "whole numbers beyond 2^53: identifiers")
    if distinct <= max(_FEW, _HARDLY_REPEATS * len(known)):
        return Guess("number")
    if distinct == rows and (np.diff(values) == 1).all():
        return Guess("ignore", "counts the rows")
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    is_issued = values.min() >= _LARGE and high - low <= _CLOSE * middle
    if is_issued or _NAMES_ID.fullmatch(name):
        return Guess("ignore", f"an identifier: {distinct:,} different numbers in {len(known):,} rows")
    return Guess("number")


def _guess_text(known: Any, distinct: int) -> Guess:
    """Text is numbers or dates where every cell is one; else categories, or left out where hardly one occurs twice."""
    import pyarrow.compute as pc

    found = spelled(known)
    if found is not None:
        kind, written, note = found
        return Guess(kind, note, written)
    if distinct > max(_FEW, _MOST_DISTINCT * len(known)):
        nearly = nearly_spelled(known)
        if nearly is not None:
            return Guess("ignore", f"{nearly[0]}, but for {nearly[1]!r}", odd=nearly[1])
        what = "free text" if pc.any(pc.match_substring(known.slice(0, 1000), " ")).as_py() else "an identifier"
        return Guess("ignore", f"{what}: {distinct:,} different texts in {len(known):,} rows")
    return Guess("category")
