"""Columns of text that spell numbers or dates: how they are found, read, and written again as they came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NUMBER = "number"
_ISO = "%Y-%m-%d"
_DAYS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%d-%b-%Y", "%d %b %Y")
_CLOCKS = ("", " %H:%M", " %H:%M:%S")
_SOME = 1000  # cells that are looked at first


def spelled(known: Any) -> tuple[str, dict[str, Any], str] | None:
    """What a column of text without missing cells spells: the kind, how it is written, and a note; None for words.

    How it is written is for `converted` and `unconverted`: {"text": "number"}, or {"text": a format of strftime}.
    """
    import pyarrow.compute as pc

    some = known.slice(0, _SOME)
    padded = pc.any(pc.match_substring_regex(some, r"^\s*[+-]?0\d")).as_py()  # "007" is a code
    if not padded and _converts(some, {"text": NUMBER}) and _converts(known, {"text": NUMBER}):
        return "number", {"text": NUMBER}, "numbers written as text"
    if not pc.all(pc.match_substring_regex(some, r"\d{4}")).as_py():  # no year, or one of two digits
        return None
    iso = _iso_form(some[0].as_py())
    for form in [iso] if iso else [day + clock for day in _DAYS for clock in _CLOCKS]:
        if _converts(some, {"text": form}) and _converts(known, {"text": form}):
            return "date", {"text": form}, f"read as {form}" + _doubt(known, form)
    return None


def converted(array: Any, settings: Mapping[str, Any]) -> Any:
    """Text as the numbers or dates that it spells; a column that is none comes back as it is."""
    import pyarrow as pa
    import pyarrow.compute as pc

    form = settings.get("text")
    if form is None or not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        return array
    array = pc.utf8_trim_whitespace(array)
    if form == NUMBER:
        return array.cast(pa.float64())
    if form.startswith(_ISO):
        return array.cast(pa.timestamp("us", "UTC" if form.endswith("Z") else None))
    return pc.strptime(array, format=form, unit="us", error_is_null=False)


def unconverted(array: Any, settings: Mapping[str, Any]) -> Any:
    """Numbers and dates as text again, where they came so."""
    import pyarrow as pa
    import pyarrow.compute as pc

    form = settings.get("text")
    if form is None:
        return array
    if form == NUMBER:
        whole = settings.get("decimals") == 0
        return pa.array([None if v is None else str(int(v) if whole else v) for v in array.to_pylist()], pa.string())
    unit = "us" if settings["step"] < 1 else "s"  # strftime writes seconds to their unit
    return pc.strftime(array.cast(pa.timestamp(unit), safe=False), format=form)


def _iso_form(cell: str) -> str:
    """How an ISO 8601 date is written, as of strftime; "" for something else."""
    import re

    found = re.fullmatch(r"\d{4}-\d\d-\d\d(?:([T ])\d\d:\d\d(:\d\d)?(?:[.,]\d+)?(Z|[+-]\d\d:?\d\d)?)?", cell.strip())
    if found is None:
        return ""
    between, seconds, zone = found.groups()
    clock = f"{between}%H:%M" + (":%S" if seconds else "") if between else ""
    return _ISO + clock + ("Z" if zone else "")


def _doubt(known: Any, form: str) -> str:
    """What else the dates could be."""
    if form.endswith("Z"):
        return ", in UTC"
    for day, month in (("%d/%m/", "%m/%d/"), ("%d-%m-", "%m-%d-"), ("%d.%m.", "%m.%d.")):
        turned = form.replace(day, month) if day in form else form.replace(month, day)
        if turned != form and _converts(known, {"text": turned}):
            return "; month and day could be exchanged"
    return ""


def _converts(array: Any, settings: Mapping[str, Any]) -> bool:
    try:
        converted(array, settings)
    except (ValueError, NotImplementedError, TypeError):
        return False
    return True
