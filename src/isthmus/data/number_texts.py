"""Numbers as people write them in text: with a decimal point or comma, thousands set apart, and marks for gaps."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any

MISSING = (
    "", "NA", "N/A", "n/a", "NaN", "nan", "NAN", "-NaN", "-nan", "null", "NULL", "None", "<NA>", "#N/A", "#N/A N/A",
    "#NA", "1.#IND", "1.#QNAN", "-1.#IND", "-1.#QNAN", "?", "-",
)  # fmt: skip
MISSING_WORDS = ("", "?", "NA", "N/A", "NaN", "nan", "null", "NULL", "<NA>")  # "None" and "-" may be words of their own
_THOUSANDS = (",", ".", " ", "\u00a0", "\u202f", "'", "’")
_ENDS = "0123456789.,yYfF"  # of numbers, and of infinity
_SPACES = " \u00a0\u202f"


@dataclass(frozen=True)
class Notation:
    """How a number is written. decimal : "." or ",". thousands : what is between groups of three digits, or None."""

    decimal: str = "."
    thousands: str | None = None

    @property
    def pattern(self) -> str:
        """A regular expression of a whole number. Where groups are set apart, all long numbers have them."""
        digits, point = r"\d+", re.escape(self.decimal)
        if self.thousands is not None:
            alone = r"\d{1,4}" if self.thousands in _SPACES else r"\d{1,3}"  # ISO 80000 leaves four digits together
            digits = rf"(?:[1-9]\d{{0,2}}(?:{re.escape(self.thousands)}\d{{3}})+|{alone})"
        number = rf"(?:{digits}(?:{point}\d*)?|{point}\d+)(?:[eE][+\-−]?\d+)?|(?i:inf(?:inity)?)"
        return rf"^[+\-−]?(?:{number})$"


PLAIN = Notation()
NOTATIONS = tuple(Notation(d, t) for d, t in product(".,", (None, *_THOUSANDS)) if d != t)


@functools.cache
def _compiled(notation: Notation) -> re.Pattern[str]:
    return re.compile(notation.pattern, re.ASCII)


def is_number(text: str) -> bool:
    """Whether a text is a number in any notation."""
    if _compiled(PLAIN).match(text):  # most are
        return True
    return text[-1:] in _ENDS and any(_compiled(notation).match(text) for notation in NOTATIONS)


def fitting_notations(texts: Iterable[str]) -> frozenset[Notation]:
    """The notations in which all of these texts are numbers."""
    left = set(NOTATIONS)
    for text in texts:
        left = {notation for notation in left if _compiled(notation).match(text)}
        if not left:
            break
    return frozenset(left)


def trimmed(column: Any) -> Any:
    """An Arrow column of text without spaces around, and null for what marks a gap among numbers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.is_in(text, value_set=pa.array(MISSING, text.type)), None, text)


def column_notations(column: Any) -> frozenset[Notation]:
    """The notations in which all of a `trimmed` Arrow column are numbers; none of a column of words, or of nothing."""
    import pyarrow.compute as pc

    filled = column.drop_null()
    head = filled.slice(0, 200).to_pylist()
    found = fitting_notations(head) if head else frozenset()
    return frozenset(n for n in found if pc.all(pc.match_substring_regex(filled, n.pattern)).as_py())


def as_numbers(column: Any, notation: Notation) -> Any:
    """A `trimmed` Arrow column of numbers in this notation as int64 where all are whole, else as float64."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if notation.thousands is not None:
        column = pc.replace_substring(column, notation.thousands, "")
    column = pc.replace_substring(pc.replace_substring(column, notation.decimal, "."), "−", "-")
    column = pc.replace_substring_regex(column, r"^\+", "")
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:
        return column.cast(pa.float64())
