"""Text tables in every dialect: what pandas writes is read as pandas reads it, or refused."""

from __future__ import annotations

import csv
import string
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from isthmus.data.sources import open_source
from isthmus.errors import IsthmusError

WORDS = st.text(string.ascii_letters + " _-#;,.|\t'\"äß€\n", min_size=1, max_size=6).filter(
    lambda word: word.strip() == word and any(letter.isalpha() for letter in word)
)
FLOATS = st.one_of(st.floats(-1e6, 1e6), st.floats(allow_nan=True, allow_infinity=False), st.just(np.nan))
WHOLE = st.integers(-(2**53), 2**53)


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    """Frames of numbers with gaps, whose columns are called by words or, where they are several, by numbers."""
    n, k = draw(st.integers(1, 30)), draw(st.integers(1, 6))
    columns = [draw(st.lists(draw(st.sampled_from([FLOATS, WHOLE])), min_size=n, max_size=n)) for _ in range(k)]
    first, step = draw(st.integers(0, 3000)), draw(st.sampled_from([1, 2, 5]))
    names: list[Any] = draw(st.lists(WORDS, min_size=k, max_size=k, unique=True))
    if n > 2 and k > 2 and draw(st.booleans()):
        start, apart = draw(st.sampled_from([(0, 1), (first, step), (first, 0.5)]))
        names = [start + apart * i for i in range(k)]
    return pd.DataFrame(dict(enumerate(columns))).set_axis(names, axis=1)


OPTIONS = st.fixed_dictionaries({
    "sep": st.sampled_from([",", ";", "\t", "|", " ", ":", "~"]),
    "decimal": st.sampled_from([".", ","]),
    "header": st.booleans(),
    "index": st.booleans(),
    "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    "quotechar": st.sampled_from(['"', "'"]),
    "na_rep": st.sampled_from(["", "NA", "NaN", "null", "?", "-", "missing"]),
    "encoding": st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    "float_format": st.sampled_from([None, "%.3f", "%.2f", "%g", "%.17g", "%.4e"]),
    "lineterminator": st.sampled_from(["\n", "\r\n", "\r"]),
    "compression": st.sampled_from([None, None, None, "gzip", "bz2", "xz", "zip"]),
})  # fmt: skip


def as_pandas_reads(path: Path, options: dict[str, Any]) -> np.ndarray:
    same = {name: options[name] for name in ("sep", "decimal", "quotechar", "encoding", "compression")}
    index = 0 if options["index"] and options["header"] else None  # without names nobody can see that it is one
    header = 0 if options["header"] else None
    frame = pd.read_csv(
        path, index_col=index, header=header, float_precision="round_trip", na_values=["?", "-"], **same
    )
    return frame.to_numpy(float)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=100, deadline=None)
@given(frame=frames(), options=OPTIONS)
def test_what_pandas_writes_is_read_as_pandas_reads_it_or_refused(
    tmp_path_factory: pytest.TempPathFactory, frame: pd.DataFrame, options: dict[str, Any]
) -> None:
    assume(options["header"] or options["decimal"] == "." or frame.shape[1] > 1)  # "1,5" may be a row of two numbers
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    try:
        frame.to_csv(path, **options)
        expected = as_pandas_reads(path, options)
    except (ValueError, csv.Error):  # pandas cannot write it, or does not read it as numbers
        assume(False)
    try:
        source = open_source(path)
    except IsthmusError as error:
        assert "\n" not in str(error)
        return
    seen = source.take(np.arange(len(source))).astype(float)
    told = f"{options} {vars(source)['dialect']}\n{frame.to_csv(**options | {'compression': None})!r}"
    np.testing.assert_array_equal(seen, expected, err_msg=told)
