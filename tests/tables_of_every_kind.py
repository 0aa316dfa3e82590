"""Tables with a column of every kind, with and without holes, as each library holds them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

ROWS = 24
DAY = dt.datetime(2020, 1, 1)


def with_holes(cells: list[Any]) -> list[Any]:
    return [None if row % 5 == 2 else cell for row, cell in enumerate(cells)]


def cells() -> dict[str, list[Any]]:
    """Cells without holes, by what they are."""
    rng = np.random.default_rng(0)
    return {
        "whole": rng.integers(-50, 50, ROWS).tolist(),
        "real": rng.normal(size=ROWS).round(3).tolist(),
        "heavy": np.exp(rng.normal(size=ROWS) * 5).round(2).tolist(),
        "truth": (rng.random(ROWS) < 0.4).tolist(),
        "word": rng.choice(["oak", "elm", "ash"], ROWS).tolist(),
        "moment": [DAY + dt.timedelta(hours=int(h)) for h in rng.integers(0, 9000, ROWS)],
        "day": [DAY.date() + dt.timedelta(days=int(d)) for d in rng.integers(0, 900, ROWS)],
        "clock": [dt.time(int(h), int(m)) for h, m in rng.integers(0, 24, (ROWS, 2))],
        "span": [dt.timedelta(minutes=int(m)) for m in rng.integers(1, 900, ROWS)],
        "price": [Decimal(int(p)) / 100 for p in rng.integers(100, 9999, ROWS)],
    }


def arrow_types() -> dict[str, tuple[str, Any]]:
    """Names of columns to the cells that they hold, and their Arrow type."""
    return {
        "int8": ("whole", pa.int8()), "int64": ("whole", pa.int64()), "float32": ("real", pa.float32()),
        "float64": ("real", pa.float64()), "half": ("real", pa.float16()), "heavy": ("heavy", pa.float64()),
        "bool": ("truth", pa.bool_()), "string": ("word", pa.string()), "large": ("word", pa.large_string()),
        "dictionary": ("word", pa.dictionary(pa.int8(), pa.string())),
        "codes": ("whole", pa.dictionary(pa.int16(), pa.int64())),
        "s": ("moment", pa.timestamp("s")), "ns": ("moment", pa.timestamp("ns")),
        "zone": ("moment", pa.timestamp("us", "Europe/Berlin")), "date32": ("day", pa.date32()),
        "date64": ("day", pa.date64()), "time32": ("clock", pa.time32("s")), "time64": ("clock", pa.time64("us")),
        "span_s": ("span", pa.duration("s")), "span_ns": ("span", pa.duration("ns")),
        "decimal": ("price", pa.decimal128(9, 2)), "decimal256": ("price", pa.decimal256(40, 2)),
    }  # fmt: skip


def arrow(holes: bool) -> pa.Table:
    given = cells()
    columns = {}
    for name, (what, type_) in arrow_types().items():
        values = with_holes(given[what]) if holes else given[what]
        if pa.types.is_dictionary(type_):
            columns[name] = pa.array(values, type_.value_type).dictionary_encode().cast(type_)
        else:
            columns[name] = pa.array(values, pa.float64()).cast(type_) if what == "real" else pa.array(values, type_)
    return pa.table(columns)


def pandas_numpy(holes: bool) -> pd.DataFrame:
    """The types that pandas takes by itself: NumPy's, str, objects, categories."""
    given = {name: with_holes(values) if holes else values for name, values in cells().items()}
    frame = pd.DataFrame(given)
    frame["float32"] = frame["real"].astype("float32")
    frame["half"] = frame["real"].astype("float16")
    frame["kind"] = pd.Categorical(given["word"], ["unseen", "ash", "elm", "oak"], ordered=True)
    frame["code"] = pd.Categorical(given["whole"])
    frame["binned"] = pd.cut(frame["real"], 3)
    frame["object"] = pd.Series(given["word"], dtype=object)
    frame["zone"] = frame["moment"].dt.tz_localize("Asia/Tokyo")
    if not holes:
        frame["small"] = frame["whole"].astype("int8")
        frame["unsigned"] = frame["whole"].abs().astype("uint64")
    return frame


def pandas_nullable(holes: bool) -> pd.DataFrame:
    given = {name: with_holes(values) if holes else values for name, values in cells().items()}
    types = {"Int8": "whole", "Int64": "whole", "Float32": "real", "Float64": "real", "boolean": "truth"}
    return pd.DataFrame(
        {dtype: pd.array(given[what], dtype=dtype) for dtype, what in {**types, "string": "word"}.items()}
    )


def pandas_arrow(holes: bool) -> pd.DataFrame:
    table = arrow(holes)
    return pd.DataFrame({name: pd.arrays.ArrowExtensionArray(table.column(name)) for name in table.column_names})


def polars(holes: bool) -> pl.DataFrame:
    given = {name: with_holes(values) if holes else values for name, values in cells().items()}
    frame = pl.DataFrame(given)
    return frame.with_columns(
        frame["word"].cast(pl.Categorical).alias("category"),
        frame["word"].cast(pl.Enum(["never", "ash", "elm", "oak"])).alias("enum"),
        frame["whole"].cast(pl.Int16).alias("small"),
        frame["real"].cast(pl.Float32).alias("float32"),
        frame["moment"].dt.replace_time_zone("UTC").alias("zone"),
    )


LIBRARIES = {
    "arrow": arrow,
    "pandas-numpy": pandas_numpy,
    "pandas-nullable": pandas_nullable,
    "pandas-arrow": pandas_arrow,
    "polars": polars,
}


def types_of(frame: Any) -> dict[str, Any]:
    """The columns' names and types in their order, as the library has them."""
    if isinstance(frame, pa.Table):
        return dict(zip(frame.column_names, frame.schema.types, strict=True))
    return dict(frame.schema) if isinstance(frame, pl.DataFrame) else dict(frame.dtypes)


def column_of(frame: Any, name: str) -> list[Any]:
    """The cells of a column, None where missing."""
    column = frame.column(name) if isinstance(frame, pa.Table) else frame[name]
    values = column.to_pylist() if isinstance(frame, pa.Table) else column.to_list()
    return [None if value is None or value is pd.NaT or value is pd.NA or value != value else value for value in values]
