"""Columns of text that spell numbers or dates: how they are found, read, and written again as they came."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from isthmus.data.marked_numbers import marked_numbers, read_marked, write_marked
from isthmus.data.number_texts import is_number

NUMBER = "number"
CLOCK = "clock"  # spans of time
_ISO = "%Y-%m-%d"
_DAYS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%d-%b-%Y", "%d %b %Y", "%d %B %Y")
_SHORT_DAYS = ("%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%y", "%d-%b-%y")  # 69 is 1969
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_FORMS = tuple(day + clock for day in _DAYS for clock in _CLOCKS)
_SHORT_FORMS = tuple(day + clock for day in _SHORT_DAYS for clock in _CLOCKS)
_SPAN = r"^\d+:[0-5]\d(:[0-5]\d)?$"
_SOME = 1000  # cells that are looked at first
_MOSTLY = 0.8  # share of cells from which on the others are the exception


def spelled(known: Any) -> tuple[str, dict[str, Any], str] | None:
    """What a column of text without missing cells spells: the kind, how it is written, and a note; None for words.

    How it is written is for `converted` and `unconverted`: {"text": "number", ...}, {"text": "clock", ...}, or
    {"text": a format of strftime}.
    """
    import pyarrow.compute as pc

    known = pc.utf8_trim_whitespace(known)
    some = known.slice(0, _SOME)
    padded = pc.any(pc.match_substring_regex(some, r"^[+-]?0\d")).as_py()  # "007" is a code
    if not padded and _converts(some, {"text": NUMBER}) and _converts(known, {"text": NUMBER}):
        return "number", {"text": NUMBER}, "numbers written as text"
    marks = marked_numbers(known)
    if marks is not None:
        example = max(some.to_pylist(), key=len)
        value = read_marked(known.filter(pc.equal(known, example)).slice(0, 1), marks)[0].as_py()
        return "number", {"text": NUMBER, "marks": marks}, f"read as numbers: {example!r} is {value:.12g}"
    if pc.all(pc.match_substring_regex(known, _SPAN)).as_py():
        example = some[0].as_py()
        padded = pc.all(pc.match_substring_regex(some, r"^\d\d+:")).as_py()
        return "duration", {"text": CLOCK, "parts": example.count(":") + 1, "padded": padded}, "spans of time"
    form = next((f for f in _date_forms(some) if _converts(some, {"text": f}) and _converts(known, {"text": f})), None)
    return None if form is None else ("date", {"text": form}, f"read as {form}" + _doubt(known, form))


def nearly_spelled(known: Any) -> tuple[str, str] | None:
    """What most cells of a column of text are, "numbers" or "dates", and the first that is not; None for words."""
    import pyarrow.compute as pc

    some = pc.utf8_trim_whitespace(known.slice(0, _SOME)).to_pylist()
    cells = known.slice(0, _SOME).to_pylist()
    for what, right in [("numbers", [is_number(cell) for cell in some]), *_nearly_dates(some)]:
        if _MOSTLY <= sum(right) / len(right) < 1:
            return what, cells[right.index(False)]
    return None


def _nearly_dates(some: list[str]) -> Iterator[tuple[str, list[bool]]]:
    """Which cells are dates, in the form of one of them."""
    import pyarrow as pa

    for cell in some[:2]:
        for form in _date_forms(pa.array([cell])):
            if form.startswith(_ISO):
                yield "dates", [_converts(pa.array([text]), {"text": form}) for text in some]
            else:
                yield "dates", _days(pa.array(some), form, or_null=True).is_valid().to_pylist()


def _date_forms(some: Any) -> Sequence[str]:
    """The forms in which the dates of a column may be written, by its first cells."""
    import pyarrow.compute as pc

    if not pc.all(pc.match_substring_regex(some, r"\d{4}")).as_py():
        short = pc.all(pc.match_substring_regex(some, r"^\d\d?[./-](\d\d?|[A-Za-z]{3})[./-]\d\d\b")).as_py()
        return _SHORT_FORMS if short else ()
    iso = _iso_form(some[0].as_py())
    return (iso,) if iso else _FORMS


def converted(array: Any, settings: Mapping[str, Any]) -> Any:
    """Text as the numbers, spans or dates that it spells; a column that spells none of them comes back as it is."""
    import pyarrow as pa
    import pyarrow.compute as pc

    form = settings.get("text")
    if form is None or not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        return array
    array = pc.utf8_trim_whitespace(array)
    if form == NUMBER:
        return read_marked(array, settings["marks"]) if "marks" in settings else array.cast(pa.float64())
    if form == CLOCK:
        return _spans(array, settings["parts"])
    if form.startswith(_ISO):
        return array.cast(pa.timestamp("us", "UTC" if form.endswith("Z") else None))
    return _days(array, form)


def unconverted(array: Any, settings: Mapping[str, Any]) -> Any:
    """Numbers, spans and dates as text again, where they came as text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    form = settings.get("text")
    if form is None:
        return array
    if form == NUMBER:
        return pa.array([None if v is None else _number(v, settings) for v in array.to_pylist()], pa.string())
    if form == CLOCK:
        return pa.array([None if v is None else _clock(v, settings) for v in array.to_pylist()], pa.string())
    unit = "us" if settings["step"] < 1 else "s"  # strftime writes seconds to their unit
    return pc.strftime(array.cast(pa.timestamp(unit), safe=False), format=form)


def _days(array: Any, form: str, *, or_null: bool = False) -> Any:
    """Text in a form of strptime as times; ValueError, or null, for another one and for a day that no month has.

    C's strptime takes 31.02. for a day of March.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    read = pc.strptime(array, format=form, unit="us", error_is_null=or_null)
    again = pc.strftime(read.cast(pa.timestamp("s")), format=form)
    same = pc.equal(*(pc.replace_substring_regex(pc.utf8_lower(text), r"\b0(\d)", r"\1") for text in (array, again)))
    if or_null:
        return pc.if_else(same, read, None)
    if not pc.all(same).as_py():
        raise ValueError("it holds days that no month has, or another form")
    return read


def _number(value: float, settings: Mapping[str, Any]) -> str:
    if "marks" in settings:
        return write_marked(value, settings["marks"], settings["decimals"])
    return str(int(value) if settings.get("decimals") == 0 else value)


def _spans(array: Any, parts: int) -> Any:
    """Text like 2:05:00 (hours) or, of two parts, 5:30 (minutes) as spans of time."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pc.all(pc.match_substring_regex(array, rf"^\d+(:[0-5]\d){{{parts - 1}}}$")).as_py():
        raise ValueError("it holds cells in another form")
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    fields = pc.split_pattern(array, ":")
    seconds = pa.scalar(0, pa.int64())
    for part in range(parts):
        seconds = pc.add(pc.multiply(seconds, 60), pc.list_element(fields, part).cast(pa.int64()))
    return seconds.cast(pa.duration("s"))


def _clock(span: datetime.timedelta, settings: Mapping[str, Any]) -> str:
    seconds, cells = round(span.total_seconds()), []
    for _ in range(settings["parts"] - 1):
        seconds, rest = divmod(seconds, 60)
        cells.append(f"{rest:02d}")
    return ":".join([f"{seconds:02d}" if settings["padded"] else str(seconds), *reversed(cells)])


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
    short = "; years of two digits are 1969 to 2068" if "%y" in form else ""
    for day, month in (("%d/%m/", "%m/%d/"), ("%d-%m-", "%m-%d-"), ("%d.%m.", "%m.%d.")):
        turned = form.replace(day, month) if day in form else form.replace(month, day)
        if turned != form and _converts(known, {"text": turned}):
            return short + "; month and day could be exchanged"
    return short


def _converts(array: Any, settings: Mapping[str, Any]) -> bool:
    try:
        converted(array, settings)
    except (ValueError, NotImplementedError, TypeError):
        return False
    return True
