"""The columns of a table: which kind each is, what will be done with it, and rows as numbers and back."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np

from isthmus.data.column_kinds import ColumnKind, parse_kind
from isthmus.errors import IsthmusError, unknown_name
from isthmus.registry import column_kinds

MARKERS = ("", "?", "-", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "none", "#N/A")  # of missing cells
_FEW = 20  # different texts that are always categories
_MOST_DISTINCT = 0.5  # share of different texts from which on a column is free text or an identifier
_EXACT = 2**53  # whole numbers that float64 holds
_DATE_FORMATS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d")


@dataclass(frozen=True)
class Column:
    """One column of a table.

    kind : a name of `column_kinds`. settings : what that kind measured. note : why it is of that kind, where that is
    not plain. missing, distinct : cells without a value, and different values. example : one value.
    """

    name: str
    kind: str
    rows: int
    missing: int
    distinct: int
    example: str
    settings: dict[str, Any] = field(default_factory=dict)
    note: str = ""

    @property
    def is_used(self) -> bool:
        """Whether a network sees it."""
        return self.handler.block is not None

    @property
    def handler(self) -> type[ColumnKind]:
        """What encodes and decodes it."""
        found: type[ColumnKind] = column_kinds[self.kind]
        return found

    @property
    def treatment(self) -> str:
        """What is done with it, in words."""
        extra = ""
        if "width" in self.settings:
            extra = ", tails pulled in by a signed logarithm"
        elif self.settings.get("periods"):
            extra = f": {', '.join(self.settings['periods'])}"
        return self.handler.summary + extra + (f" ({self.note})" if self.note else "")


@dataclass(frozen=True)
class TableSchema:
    """The columns of a table, in order, and how its rows become numbers.

    arrow : the Arrow schema, which types of what comes out follow.

    Examples
    --------
    >>> import pyarrow as pa
    >>> table = pa.table({"colour": ["red", "blue", None, "red"], "size": [1.5, None, 2.0, 4.5]})
    >>> schema = TableSchema.of(table)
    >>> [column.kind for column in schema.columns]
    ['category', 'number']
    >>> schema.encode(table)
    array([[0. , 1.5],
           [1. , nan],
           [nan, 2. ],
           [0. , 4.5]])
    >>> schema.decode(schema.encode(table)).equals(table)
    True
    """

    columns: tuple[Column, ...]
    arrow: Any = field(compare=False)

    @classmethod
    def of(cls, table: Any, kinds: Mapping[str, str] | None = None, markers: Sequence[Any] = ()) -> Self:
        """The schema of an Arrow table.

        kinds : kinds by name that are not to be guessed. markers : values that stand for a missing cell, beside
        those that people use in text ("?", "NA", ...).

        Raises IsthmusError for names that occur twice, unknown names or kinds, and where no column can be used.
        """
        names = table.column_names
        twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
        if twice is not None:
            raise IsthmusError(f"the table has two columns of the name {twice!r}; rename one of them")
        for name in kinds or {}:
            if name not in names:
                raise unknown_name("column", name, names)
        if table.num_rows == 0:
            raise IsthmusError("the table has 0 rows; at least 1 is needed")
        columns = tuple(_column(name, table.column(name), (kinds or {}).get(name), markers) for name in names)
        if not any(column.is_used for column in columns):
            reasons = "; ".join(f"{column.name!r}: {column.note}" for column in columns[:4])
            raise IsthmusError(f"no column of the table can be used ({reasons}); say what they are with column_kinds=")
        return cls(columns, table.schema)

    @cached_property
    def used(self) -> tuple[Column, ...]:
        """The columns that a network sees."""
        return tuple(column for column in self.columns if column.is_used)

    @property
    def left_out(self) -> tuple[Column, ...]:
        """The others."""
        return tuple(column for column in self.columns if not column.is_used)

    @property
    def is_plain(self) -> bool:
        """Whether all columns are numbers without a hole, as matrices hold them."""
        return all(c.kind == "number" and not c.missing and "text" not in c.settings for c in self.columns)

    def encode(self, table: Any) -> np.ndarray:
        """The rows of a table as float64 (n, used columns): numbers, codes of categories, seconds; NaN where missing.

        Columns are found by name. Raises IsthmusError for a column that is missing or holds something else.
        """
        matrix = np.empty((table.num_rows, len(self.used)), np.float64)
        for j, column in enumerate(self.used):
            if column.name not in table.column_names:
                raise IsthmusError(f"the table lacks column {column.name!r}, which the model was trained with")
            try:
                array = _known(table.column(column.name), column.settings.get("markers", ()))
                matrix[:, j] = column.handler.encode(_converted(array, column.settings), column.settings)
            except (ValueError, TypeError, NotImplementedError) as error:
                raise IsthmusError(
                    f"column {column.name!r} holds {table.column(column.name).type} where the model was trained with "
                    f"a {column.kind}: {' '.join(str(error).split())}"
                ) from error
        wrong = np.argwhere(np.isinf(matrix))
        if len(wrong):
            row, j = wrong[0]
            raise IsthmusError(f"column {self.used[j].name!r} holds {matrix[row, j]} in row {row}")
        return matrix

    def decode(self, matrix: np.ndarray, given: Any = None) -> Any:
        """Rows of numbers as an Arrow table with all columns, in their order and types.

        given : table with as many rows, of which columns that are left out are taken; without it they hold nothing.
        """
        import pyarrow as pa

        arrays, values = [], iter(matrix.T)
        for column, type_ in zip(self.columns, self.arrow.types, strict=True):
            if column.is_used:
                decoded = _unconverted(column.handler.decode(next(values), column.settings), column.settings)
                arrays.append(_cast(decoded, type_))
            elif given is not None and column.name in given.column_names:
                arrays.append(given.column(column.name))
            else:
                arrays.append(pa.nulls(len(matrix), type_))
        return pa.Table.from_arrays(arrays, schema=self.arrow)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        schema = base64.b64encode(self.arrow.serialize().to_pybytes()).decode("ascii")
        return {"columns": [asdict(column) for column in self.columns], "arrow": schema}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        import pyarrow as pa

        arrow = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(values["arrow"])))
        return cls(tuple(Column(**column) for column in values["columns"]), arrow)


def _column(name: str, array: Any, wanted: str | None, markers: Sequence[Any]) -> Column:
    """A column with its kind and what that measured."""
    import pyarrow.compute as pc

    rows = len(array)
    is_category = _is_dictionary(array.type)
    array = _known(array, markers)
    known = array.drop_null()
    nested = _is_nested(array.type)
    distinct = 0 if nested or not len(known) else pc.count_distinct(known).as_py()
    example = str(known[0].as_py())[:40] if len(known) else ""
    kind, options, conversion, note = (
        ("category", {}, {}, "") if is_category and len(known) else _guess(array, known, distinct)
    )
    if wanted is not None:
        (kind, options), note = parse_kind(name, wanted), ""
        conversion = conversion if (kind in ("number", "date")) == bool(conversion) else {}
        if not len(known) and kind != "ignore":
            raise IsthmusError(f"column {name!r} has no value at all, and cannot be a {kind}")
    try:
        settings = column_kinds[kind].measure(_converted(known, conversion), options) | conversion
    except (ValueError, TypeError, NotImplementedError, KeyError) as error:
        raise IsthmusError(f"column {name!r} cannot be a {kind}: {' '.join(str(error).split())}") from error
    if markers and kind != "ignore":
        settings["markers"] = list(markers)
    return Column(name, kind, rows, array.null_count, distinct, example, settings, note)


def _guess(array: Any, known: Any, distinct: int) -> tuple[str, dict[str, Any], dict[str, Any], str]:
    """The kind of a column, its options, how its text becomes numbers or dates, and why."""
    import pyarrow as pa

    type_ = array.type
    if not len(known):
        return "ignore", {}, {}, "no value at all"
    if _is_nested(type_) or pa.types.is_binary(type_):
        return "ignore", {}, {}, f"holds {type_}"
    if pa.types.is_boolean(type_):
        return "boolean", {}, {}, ""
    if pa.types.is_integer(type_):
        return _guess_integer(known, distinct, len(array))
    if pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return "number", {}, {}, ""
    if pa.types.is_temporal(type_):
        return ("number" if pa.types.is_duration(type_) else "date"), {}, {}, ""
    return _guess_text(known, distinct)


def _guess_integer(known: Any, distinct: int, rows: int) -> tuple[str, dict[str, Any], dict[str, Any], str]:
    import pyarrow.compute as pc

    bounds = pc.min_max(known).as_py()
    if distinct == rows > _FEW and bounds["max"] - bounds["min"] == rows - 1:
        values = known.to_numpy()
        if (np.diff(values) == 1).all():
            return "ignore", {}, {}, "counts the rows"
    if max(abs(bounds["min"]), abs(bounds["max"])) > _EXACT:
        return "ignore", {}, {}, "whole numbers beyond 2^53: identifiers"
    return "number", {}, {}, ""


def _guess_text(known: Any, distinct: int) -> tuple[str, dict[str, Any], dict[str, Any], str]:
    """Text is numbers or dates where every cell is one; else categories, or left out where hardly one occurs twice."""
    import pyarrow.compute as pc

    sample = known.slice(0, 1000)
    leading_zero = pc.any(pc.match_substring_regex(sample, r"^[+-]?0\d")).as_py()
    if not leading_zero and _converts(known, {"text": "number"}):
        return "number", {}, {"text": "number"}, "numbers written as text"
    for form in ("iso", *_DATE_FORMATS):
        if _converts(sample, {"text": form}) and _converts(known, {"text": form}):
            other = {"%d/%m/%Y": "%m/%d/%Y", "%m/%d/%Y": "%d/%m/%Y"}.get(form)
            doubt = other is not None and _converts(known, {"text": other})
            return (
                "date",
                {},
                {"text": form},
                f"read as {form}" + ("; month and day could be exchanged" if doubt else ""),
            )
    if distinct > max(_FEW, _MOST_DISTINCT * len(known)):
        what = "free text" if pc.any(pc.match_substring(sample, " ")).as_py() else "an identifier"
        return "ignore", {}, {}, f"{what}: {distinct:,} different texts in {len(known):,} rows"
    return "category", {}, {}, ""


def _converts(array: Any, conversion: Mapping[str, Any]) -> bool:
    try:
        _converted(array, conversion)
    except (ValueError, NotImplementedError, TypeError):
        return False
    return True


def _converted(array: Any, settings: Mapping[str, Any]) -> Any:
    """Text as the numbers or dates that it spells."""
    import pyarrow as pa
    import pyarrow.compute as pc

    form = settings.get("text")
    if form is None:
        return array
    if form == "number":
        return array.cast(pa.float64())
    if form == "iso":
        return array.cast(pa.timestamp("us"))
    return pc.strptime(array, format=form, unit="us", error_is_null=False)


def _unconverted(array: Any, settings: Mapping[str, Any]) -> Any:
    """Numbers and dates as text again, where they came so."""
    import pyarrow as pa
    import pyarrow.compute as pc

    form = settings.get("text")
    if form is None:
        return array
    if form == "number":
        whole = settings.get("decimals") == 0
        return pa.array([None if v is None else str(int(v) if whole else v) for v in array.to_pylist()], pa.string())
    daily = settings["step"] % 86_400 == 0
    return pc.strftime(array, format=("%Y-%m-%d" if daily else "%Y-%m-%dT%H:%M:%S") if form == "iso" else form)


def _known(array: Any, markers: Sequence[Any]) -> Any:
    """A column, no dictionary, in which text and values that stand for nothing are missing, as NaN is."""
    import pyarrow as pa
    import pyarrow.compute as pc

    array = array.cast(array.type.value_type) if pa.types.is_dictionary(array.type) else array
    if pa.types.is_floating(array.type) and pc.any(pc.is_nan(array)).as_py():
        array = pc.if_else(pc.is_nan(array), None, array)
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        found = pc.is_in(pc.utf8_trim_whitespace(array), pa.array([*MARKERS, *map(str, markers)], array.type))
    elif pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        found = pc.is_in(
            array, pa.array([m for m in markers if isinstance(m, int | float)]).cast(array.type, safe=False)
        )
    else:
        return array
    return pc.if_else(found, None, array) if pc.any(found).as_py() else array


def _is_dictionary(type_: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_dictionary(type_))


def _is_nested(type_: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_nested(type_))


def _cast(array: Any, type_: Any) -> Any:
    """An array in the type of its column; a dictionary keeps its index type."""
    import pyarrow as pa

    if array.type == type_:
        return array
    if pa.types.is_dictionary(type_):
        return array.cast(type_.value_type).dictionary_encode().cast(type_)
    if pa.types.is_time(type_):
        microseconds = array.cast(pa.int64())
        return microseconds.cast(pa.time64("us")).cast(type_, safe=False)
    return array.cast(type_, safe=False)
