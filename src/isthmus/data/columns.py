"""The columns of a table: which kind each is, what will be done with it, and rows as numbers and back."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np

from isthmus.data.column_doubts import doubt
from isthmus.data.column_guessing import Guess, guess
from isthmus.data.column_kinds import ColumnKind, parse_kind
from isthmus.data.column_settings import check_settings
from isthmus.data.column_texts import converted, unconverted
from isthmus.data.column_types import categories_of, known, restored
from isthmus.errors import IsthmusError, of_a_file, unknown_name
from isthmus.registry import column_kinds
from isthmus.typed_json import typed


@dataclass(frozen=True)
class Column:
    """One column of a table.

    kind : a name of `column_kinds`. settings : what that kind measured. note : why it is of that kind, where that is
    not obvious. missing, distinct : cells without a value, and different values. example : one value.
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
    def is_category(self) -> bool:
        """Whether a cell can only be right or wrong, not nearly right."""
        return self.handler.block == "categories"

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
        elif (told := len(self.settings.get("values", ()))) < self.distinct and "values" in self.settings:
            extra = f"; the {told} commonest of {self.distinct:,} are told apart"
        return self.handler.summary + extra + (f" ({self.note})" if self.note else "")


@dataclass(frozen=True)
class TableSchema:
    """The columns of a table, in order, and how its rows become numbers.

    arrow : the Arrow schema; tables that come out have its types.

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

        kinds : kinds by column name, for columns whose kind is not to be guessed. markers : values that stand for a
        missing cell, beside those that people use in text ("?", "NA", ...).

        Raises IsthmusError for names that occur twice, unknown names or kinds, and where no column can be used.
        """
        names = table.column_names
        refuse_twice(names)
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

    def encode(self, table: Any, first_row: int = 0) -> np.ndarray:
        """The rows of a table as float64 (n, used columns): numbers, codes of categories, seconds; NaN where missing.

        Columns are found by name. first_row : the number of the table's first row in messages.

        Raises IsthmusError for a column that is missing or holds something else.
        """
        matrix = np.empty((table.num_rows, len(self.used)), np.float64)
        names = set(table.column_names)  # made anew each time they are asked for
        for j, column in enumerate(self.used):
            if column.name not in names:
                raise IsthmusError(f"the table lacks column {column.name!r}, which the model was trained with")
            matrix[:, j] = _encoded(column, table.column(column.name), first_row)
        return matrix

    def decode(self, matrix: np.ndarray, given: Any = None) -> Any:
        """Rows of numbers as an Arrow table with all columns, in their order and types.

        given : a table with as many rows, from which left-out columns are copied; without it they are empty.
        """
        import pyarrow as pa

        arrays, values = [], iter(matrix.T)
        names = set() if given is None else set(given.column_names)
        for column, type_ in zip(self.columns, self.arrow.types, strict=True):
            if column.is_used:
                decoded = unconverted(column.handler.decode(next(values), column.settings), column.settings)
                arrays.append(restored(decoded, type_, column.settings.get("categories", ())))
            elif column.name in names:
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

        columns = typed(values["columns"], tuple[Column, ...], "columns")
        for column in columns:
            column_kinds.check(column.kind)
            check_settings(column.name, column.settings)
        with of_a_file("the schema of the table cannot be read"):
            arrow = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(values["arrow"])))
        if arrow.names != [column.name for column in columns]:
            raise IsthmusError("the schema of the table has other columns than their settings")
        return cls(columns, arrow)


def holds_numbers(table: Any, kinds: Mapping[str, str] | None = None, markers: Sequence[Any] = ()) -> bool:
    """Whether all columns of an Arrow table are numbers without a hole, as matrices hold them; nothing is measured.

    kinds, markers : see `TableSchema.of`, which says what is wrong with a table or with these.
    """
    names, kinds = table.column_names, kinds or {}
    if table.num_rows == 0 or len({*names}) < len(names) or not {*kinds} <= {*names}:
        return False
    return all(_holds_numbers(name, table.column(name), kinds.get(name), markers) for name in names)


def refuse_twice(names: Sequence[str]) -> None:
    """Raise IsthmusError where two columns have one name."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise IsthmusError(f"the table has two columns of the name {name!r}; rename one of them")
        seen.add(name)


def _holds_numbers(name: str, array: Any, wanted: str | None, markers: Sequence[Any]) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    type_ = array.type
    numeric = pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_)
    if wanted not in (None, "number") or not (numeric or (wanted and pa.types.is_boolean(type_))):
        return False
    array = known(array, markers)
    if array.null_count or (pa.types.is_floating(type_) and pc.any(pc.is_inf(array)).as_py()):
        return False
    distinct = pc.count_distinct(array).as_py() if pa.types.is_integer(type_) else 0  # which only these ask for
    return wanted is not None or guess(name, array, distinct, len(array)).kind == "number"


def _column(name: str, array: Any, wanted: str | None, markers: Sequence[Any]) -> Column:
    """A column with its kind and what that measured."""
    import pyarrow as pa
    import pyarrow.compute as pc

    is_category = pa.types.is_dictionary(array.type)
    try:
        categories, rows, array = categories_of(array), len(array), known(array, markers)
        cells = array.drop_null()
        distinct = pc.count_distinct(cells).as_py() if len(cells) and not pa.types.is_nested(array.type) else 0
    except NotImplementedError as error:
        raise IsthmusError(f"column {name!r} holds {array.type}, which no kind of column takes") from error
    example = str(cells[0].as_py())[:40] if len(cells) else ""
    guessed = Guess("category") if is_category and len(cells) else guess(name, cells, distinct, rows)
    kind, written, note = guessed.kind, guessed.written, guessed.note
    if guessed.odd is not None:
        note += f" in row {pc.index(array, guessed.odd).as_py()}; make such cells numbers or dates, or missing"
    options: dict[str, Any] = {}
    if wanted is not None:
        (kind, options), note = parse_kind(name, wanted), ""
        written = written if kind in ("number", "date", "duration") else {}
        if not len(cells) and kind != "ignore":
            raise IsthmusError(f"column {name!r} has no value at all, and cannot be a {kind}")
    try:
        if kind != "ignore":
            _refuse_infinite(name, converted(array, written))
        settings = column_kinds[kind].measure(converted(cells, written), options) | written
    except IsthmusError:
        raise
    except (ValueError, TypeError, NotImplementedError) as error:
        raise IsthmusError(f"column {name!r} cannot be a {kind}: {' '.join(str(error).split())}") from error
    if kind != "ignore":
        settings |= {"markers": list(markers)} if markers else {}
        settings |= {"categories": categories} if categories else {}
    note = "; ".join(filter(None, (note, doubt(kind, converted(cells, written), array.null_count))))
    return Column(name, kind, rows, array.null_count, distinct, example, settings, note)


def _encoded(column: Column, given: Any, first_row: int) -> np.ndarray:
    """The cells of an Arrow column as float64 (n,), as `column` has it."""
    settings = column.settings

    def encoded(array: Any) -> np.ndarray:
        array = converted(array, settings)
        _refuse_infinite(column.name, array, first_row)
        return column.handler.encode(array, settings)

    array = known(given, settings.get("markers", ()))
    if array.null_count == len(array):  # of whatever type
        return np.full(len(array), np.nan)
    try:
        return encoded(array)
    except IsthmusError:
        raise
    except (ValueError, TypeError, NotImplementedError) as error:
        row = _first_wrong(array, encoded)
        raise IsthmusError(
            f"column {column.name!r} holds {array[row].as_py()!r} ({given.type}) in row {first_row + row}, where the "
            f"model was trained with a {column.kind}"
        ) from error


def _first_wrong(array: Any, encoded: Callable[[Any], np.ndarray]) -> int:
    """The first row of an array that cannot be encoded, where not all can."""
    import pyarrow.compute as pc

    good, bad = int(pc.index(array.is_valid(), True).as_py()), len(array)  # so many rows from the start can and cannot
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            encoded(array.slice(0, middle))
            good = middle
        except (ValueError, TypeError, NotImplementedError):
            bad = middle
    return good


def _refuse_infinite(name: str, array: Any, first_row: int = 0) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(array.type) and pc.any(found := pc.is_inf(array)).as_py():
        row = pc.index(found, True).as_py()
        raise IsthmusError(
            f"column {name!r} holds {array[row].as_py()} in row {first_row + row}; leave such rows out, or make them "
            f"missing with missing_values=[{array[row].as_py()}]"
        )
