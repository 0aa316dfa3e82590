"""Rows that arrive line by line."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from isthmus import IsthmusError
from isthmus.anomalies.stream import RowReader, lines_of
from isthmus.data.table_source import TableSource, open_table

FRAME = pd.DataFrame(
    {
        "size": [1.5, 2.0, np.nan, 4.0],
        "count": [1, 2, 3, 4],
        "colour": ["red", "blue", "red", "blue"],
        "kept": [True, False, True, True],
        "since": pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"]),
    }
)


def reader() -> RowReader:
    table = open_table(FRAME)
    assert table is not None
    return RowReader(table.schema)


def numbered(text: str) -> list[tuple[int, bytes]]:
    return [line for lines in lines_of(io.BytesIO(text.encode())) for line in lines]


def test_lines_come_whole_whatever_the_pieces() -> None:
    class Dripping(io.BytesIO):
        def read1(self, size: int | None = -1) -> bytes:
            return self.read(3)

    text = b"a,b\r\n1,2\n\n3,4"
    assert [line for lines in lines_of(Dripping(text)) for line in lines] == [
        (1, b"a,b"), (2, b"1,2"), (3, b""), (4, b"3,4"),
    ]  # fmt: skip


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_csv_is_read_as_the_file_would_be(mark: str) -> None:
    text = FRAME.assign(other="x")[["since", "other", "kept", "colour", "count", "size"]].to_csv(
        sep=mark, index=False, decimal="," if mark == ";" else "."
    )
    arrived = reader().read(numbered(text))
    expected = open_table(FRAME)
    assert arrived.samples is not None and expected is not None
    assert arrived.lines == [2, 3, 4, 5] and not arrived.wrong
    np.testing.assert_array_equal(arrived.samples.take(range(4)), expected.take(range(4)))
    assert isinstance(arrived.samples, TableSource)
    assert arrived.samples.table.column("other").to_pylist() == ["x"] * 4


def test_json_lines_may_lack_cells() -> None:
    arrived = reader().read(
        numbered('{"size": 2, "colour": "red", "kept": true}\n{"count": "3", "since": "2024-03-01"}')
    )
    assert arrived.samples is not None and arrived.lines == [1, 2]
    values = arrived.samples.take([0, 1])
    assert np.isnan(values).sum() == 5 and values[0, 0] == 2 and values[1, 1] == 3


def test_a_wrong_line_is_named_and_the_others_are_read() -> None:
    names = "size,count,colour,kept,since"
    lines = ["1,1,red,true,2024-01-01", "1,x,red,true,2024-01-01", "1,1", "1,1,red,true,soon", "inf,1,red,true,"]
    arrived = reader().read([*numbered("\n".join([names, *lines])), (7, b"\xff\xfe,,,,")])
    assert arrived.lines == [2]
    assert arrived.wrong == {
        3: "column 'count' holds 'x', which is no number",
        4: "it has 2 cells, and the line of names 5",
        5: "column 'since' holds 'soon', which is no date",
        6: arrived.wrong[6],
        7: "it is no UTF-8 text (byte 1)",
    }
    assert arrived.wrong[6].startswith("column 'size' holds inf;")
    wrong = reader().read(numbered('{"size": 1}\n[1]\n{"size": [1]}\n{"siz')).wrong
    assert list(wrong) == [2, 3, 4] and "holds a list" in wrong[3] and "is no JSON" in wrong[4]


def test_the_line_of_names_must_have_all_columns() -> None:
    with pytest.raises(IsthmusError, match=r"line 1 must name the columns, and lacks 'size'.*'1,2,3'"):
        reader().read([(1, b"1,2,3")])
