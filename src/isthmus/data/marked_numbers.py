"""Numbers in text with marks around them: a currency, a percent sign, a unit, brackets around what is negative."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from isthmus.data.number_texts import PLAIN, Notation, as_numbers, column_notations

_CODES = "EUR|USD|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CZK|HUF|BRL|CAD|AUD|NZD|ZAR|MXN|TRY|KRW"
_CURRENCY = rf"(?:[A-Z]{{0,3}}[$€£¥₹₽₩₺₫฿₪]|{_CODES})"
_SPACE = r"[ \u00a0\u202f]"
_DIGITS = r"\d(?:[\d.,'’ \u00a0\u202f]*\d)?|[.,]\d+"
_CELL = re.compile(
    rf"(?P<open>\(?)(?P<first>[+\-−]?)(?P<before>{_CURRENCY}{_SPACE}?)?(?P<second>[+\-−]?)(?P<digits>{_DIGITS})"
    rf"(?P<after>{_SPACE}?[^\d\s()+\-−.,:'’][^\d()]{{0,11}}?)?(?P<last>[\-−]?)(?P<close>\)?)"
)
_SOME = 1000  # cells that are looked at first
_FEW = 20  # different texts that may be codes: 1A, 2A, ...
_MINUS = "[-−]"


def marked_numbers(known: Any) -> dict[str, Any] | None:
    """How an Arrow column of text, without missing cells or spaces around, writes numbers with marks; None for words.

    JSON values: before, after : the marks. decimal, thousands : of the notation. places : digits after the decimal
    mark, or None where they differ. negative : the form of what is below zero, as in "(5)", "5-", "-$5", "$-5".

    A thousand is told from three decimals by the currency; without one, None where nothing tells them apart.

    >>> import pyarrow as pa
    >>> form = marked_numbers(pa.array(["1.234,50 €", "-3,99 €"]))
    >>> form["after"], form["decimal"], read_marked(pa.array(["1.234,50 €", "-3,99 €"]), form).to_pylist()
    (' €', ',', [1234.5, -3.99])
    """
    found = [_CELL.fullmatch(cell) for cell in known.slice(0, _SOME).to_pylist()]
    cells = [cell for cell in found if cell is not None]
    if not cells or len(cells) < len(found):
        return None
    form: dict[str, Any] = {"negative": _negative(cells)}
    for side in ("before", "after"):
        marks = Counter(cell[side] or "" for cell in cells)
        if len({mark.strip() for mark in marks}) > 1:
            return None
        form[side] = marks.most_common(1)[0][0]
    if _may_be_codes(known, form["after"], cells):
        return None
    parts = _parts(known, form)
    if parts is None:
        return None
    digits = parts.field("digits")
    notation = _notation(digits, is_money=re.search(_CURRENCY, form["before"] + form["after"]) is not None)
    if notation is None:
        return None
    places = {len(cell["digits"].partition(notation.decimal)[2]) for cell in cells}
    form |= {"decimal": notation.decimal, "thousands": notation.thousands}
    return form | {"places": places.pop() if len(places) == 1 else None}


def read_marked(array: Any, form: Mapping[str, Any]) -> Any:
    """Text as the numbers that it spells, null where it is missing; ValueError for a cell that spells none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = _parts(array, form)
    if parts is None:
        raise ValueError("it holds cells in another form")
    numbers = as_numbers(parts.field("digits"), Notation(form["decimal"], form["thousands"])).cast(pa.float64())
    signs = pc.binary_join_element_wise(*(parts.field(name) for name in ("open", "first", "second", "last")), "")
    return pc.if_else(pc.match_substring_regex(signs, rf"\(|{_MINUS}"), pc.negate(numbers), numbers)


def write_marked(value: float, form: Mapping[str, Any], decimals: int | None) -> str:
    """A number as the column writes it. decimals : that it keeps to, where the column has no places of its own."""
    places = form["places"] if form["places"] is not None else decimals
    digits = f"{abs(value):,.{places}f}" if places is not None else f"{abs(value):,}"
    if form["places"] is None and "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    digits = digits.translate({ord(","): form["thousands"] or "", ord("."): form["decimal"]})
    bare: str = form["before"] + digits + form["after"]
    if value >= 0:
        return bare
    match form["negative"]:
        case "(5)":
            return f"({bare})"
        case "5-":
            return f"{bare}-"
        case "$-5":
            return f"{form['before']}-{digits}{form['after']}"
        case minus:
            return f"{minus[0]}{bare}"


def _negative(cells: list[re.Match[str]]) -> str:
    if any(cell["open"] for cell in cells):
        return "(5)"
    if any(cell["last"] for cell in cells):
        return "5-"
    if any(cell["before"] and cell["second"] in ("-", "−") for cell in cells):
        return "$-5"
    return "−5" if any(cell["first"] == "−" for cell in cells) else "-5"


def _may_be_codes(known: Any, after: str, cells: list[re.Match[str]]) -> bool:
    """Whether letters right after few different whole numbers may be part of a code: 1A, 2A."""
    import pyarrow.compute as pc

    glued = bool(after) and after[0].isalpha() and all(cell["digits"].isdecimal() for cell in cells)
    padded = any(len(cell["digits"]) > 1 and cell["digits"].isdecimal() and cell["digits"][0] == "0" for cell in cells)
    return padded or (glued and pc.count_distinct(known).as_py() <= _FEW)


def _parts(array: Any, form: Mapping[str, Any]) -> Any:
    """The open, first, second, digits, last of each cell, as an Arrow struct; None where a cell has another form."""
    import pyarrow as pa
    import pyarrow.compute as pc

    before, after = (re.escape(form[side].strip()) for side in ("before", "after"))
    gap = r"[ \x{00a0}\x{202f}]?"
    digits = _DIGITS.replace(r"\u00a0", r"\x{00a0}").replace(r"\u202f", r"\x{202f}")
    pattern = (
        rf"^(?P<open>\(?)(?P<first>[+\-−]?){before}{gap}(?P<second>[+\-−]?)(?P<digits>{digits}){gap}{after}"
        rf"(?P<last>[\-−]?)\)?$"
    )
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    parts = pc.extract_regex(array, pattern=pattern)
    if parts.null_count > array.null_count:
        return None
    fields = [pc.if_else(parts.is_valid(), parts.field(i), None) for i in range(parts.type.num_fields)]
    return pa.StructArray.from_arrays(fields, names=[field.name for field in parts.type])


def _notation(digits: Any, *, is_money: bool) -> Notation | None:
    """The notation of a column of numbers without signs; None where two give other values."""
    import pyarrow.compute as pc

    found = column_notations(digits)
    pointed = Notation(",", ".")
    if PLAIN in found and is_money and pointed in found and _all_in_groups(digits, pointed):
        return pointed if pc.any(pc.match_substring(digits, ".")).as_py() else PLAIN  # 1.234 € has no tenths of a cent
    if PLAIN in found:
        return PLAIN
    whole = [notation for notation in found if notation.thousands is not None and _all_in_groups(digits, notation)]
    if whole:  # 1,234: three decimals, or a thousand
        fits = [n for n in whole if is_money or not any(o.decimal == n.thousands for o in found)]
        return min(fits, key=str) if fits else None
    return min(found, key=lambda n: (n.thousands is not None, str(n)), default=None)


def _all_in_groups(digits: Any, notation: Notation) -> bool:
    """Whether no number has a decimal mark."""
    import pyarrow.compute as pc

    return not pc.any(pc.match_substring(digits, notation.decimal)).as_py()
