"""What tables would unpack to, by what their files say of themselves, before they are read; see `limits`."""

from __future__ import annotations

import os
import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from isthmus.data.limits import check_columns, check_expansion, largest
from isthmus.remote.ranges import opened

_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 8, "FLOAT": 4, "DOUBLE": 8}  # of Parquet's types, in memory
_ROWS = 1 << 16
_MAGIC = b"ARROW1"  # at both ends of an Arrow file, and not of a stream
_RECORDS, _DICTIONARY = 3, 2  # kinds of Arrow messages
_CELL = re.compile(rb'\br="([A-Z]{1,3})(\d{1,7})"')  # in the sheet of a workbook
_PIECE = 1 << 20


def check_parquet(path: Path) -> None:
    """Refuse a Parquet file of too many columns, or that unpacks to far more than its own size."""
    import pyarrow.parquet as pq

    with opened(path) as raw:
        metadata, size = pq.read_metadata(raw), path.stat().st_size
    check_columns(metadata.num_columns)
    texts, total = [], 0
    for number in range(metadata.num_columns):
        column = metadata.schema.column(number)
        groups = range(metadata.num_row_groups) if column.max_repetition_level else ()
        values = sum(metadata.row_group(group).column(number).num_values for group in groups) or metadata.num_rows
        if column.physical_type == "BYTE_ARRAY":
            texts.append(column.path)
        total += values * _WIDTHS.get(column.physical_type, max(1, column.length))
    check_expansion(path, size, total)
    packed = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    if texts and metadata.num_rows * packed > largest(size):  # were each text as long as all that is stored
        _check_texts(path, size, texts)


def _check_texts(path: Path, size: int, columns: list[str]) -> None:
    """Refuse texts that are stored once for many rows, and far longer than the file where each has its own."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    total = 0
    with opened(path) as raw, pq.ParquetFile(raw, read_dictionary=columns, pre_buffer=False) as file:
        for batch in file.iter_batches(_ROWS, columns=columns, use_threads=False):
            for column in batch.columns:
                if pa.types.is_dictionary(column.type):
                    lengths = pc.cast(pc.binary_length(column.dictionary), pa.int64())
                    total += pc.sum(lengths.take(column.indices)).as_py() or 0
                else:
                    total += column.nbytes
            check_expansion(path, size, total)


def check_arrow(path: Path) -> None:
    """Refuse an Arrow file or stream of too many columns, or that unpacks to far more than its own size."""
    import pyarrow as pa

    size, total = path.stat().st_size, 0
    with pa.memory_map(os.fspath(path)) as file:
        columns = _arrow_schema(file)
        check_columns(columns)
        for message in _arrow_messages(file, size):
            total += _arrow_size(message, columns)
            check_expansion(path, size, total)


def _arrow_schema(file: Any) -> int:
    """The number of columns."""
    import pyarrow as pa

    file.seek(0)
    is_file = file.read(len(_MAGIC)) == _MAGIC
    file.seek(0)
    with (pa.ipc.open_file if is_file else pa.ipc.open_stream)(file) as batches:
        return len(batches.schema)


def _arrow_messages(file: Any, size: int) -> Iterator[Any]:
    """The messages with values, as a reader of the whole file comes by them."""
    import pyarrow as pa

    file.seek(0)
    if file.read(len(_MAGIC)) != _MAGIC:
        file.seek(0)
        stream = pa.ipc.MessageReader.open_stream(file)
        while True:
            try:
                yield stream.read_next_message()
            except StopIteration:
                return
    file.seek(size - len(_MAGIC) - 4)
    (length,) = struct.unpack("<i", file.read(4))
    file.seek(size - len(_MAGIC) - 4 - length)
    footer = _FlatTable.root(file.read(length))
    for blocks in (2, 3):  # dictionaries and records: where they lie, and how long they are
        for place in footer.structs(blocks, 24):
            file.seek(struct.unpack_from("<q", footer.content, place)[0])
            yield pa.ipc.read_message(file)


def _arrow_size(message: Any, columns: int) -> int:
    """Bytes of what a message holds once it is unpacked; a cell has one at least, as those of columns of nothing."""
    head = _FlatTable.root(message.metadata.to_pybytes())
    kind = head.number(1, "<B")
    records = head.table(2)
    if kind == _DICTIONARY:
        records = records and records.table(1)
    if kind not in (_RECORDS, _DICTIONARY) or records is None:
        return 0
    total, is_packed = records.number(0, "<q") * columns, records.table(3) is not None
    for place in records.structs(2, 16):
        offset, length = struct.unpack_from("<qq", records.content, place)
        if is_packed and length >= 8:
            (unpacked,) = struct.unpack("<q", message.body[offset : offset + 8])
            length = max(length, unpacked)
        total += max(0, length)
    return total


class _FlatTable:
    """A table of FlatBuffers, in which Arrow's messages are written (google.github.io/flatbuffers, "Internals")."""

    def __init__(self, content: bytes, place: int) -> None:
        self.content, self._place = content, place
        self._fields = place - struct.unpack_from("<i", content, place)[0]

    @classmethod
    def root(cls, content: bytes) -> _FlatTable:
        return cls(content, struct.unpack_from("<I", content)[0])

    def _at(self, field: int) -> int:
        """Where a field lies; 0 where it is not given."""
        (size,) = struct.unpack_from("<H", self.content, self._fields)
        if 4 + 2 * field >= size:
            return 0
        (offset,) = struct.unpack_from("<H", self.content, self._fields + 4 + 2 * field)
        return self._place + offset if offset else 0

    def number(self, field: int, form: str) -> int:
        place = self._at(field)
        return int(struct.unpack_from(form, self.content, place)[0]) if place else 0

    def table(self, field: int) -> _FlatTable | None:
        place = self._at(field)
        return _FlatTable(self.content, place + struct.unpack_from("<I", self.content, place)[0]) if place else None

    def structs(self, field: int, size: int) -> range:
        """Where the structs of a vector lie."""
        place = self._at(field)
        if not place:
            return range(0)
        place += struct.unpack_from("<I", self.content, place)[0]
        (count,) = struct.unpack_from("<I", self.content, place)
        return range(place + 4, place + 4 + count * size, size)


def check_workbook(path: Path) -> None:
    """Refuse a workbook whose parts, or whose sheets up to their last cell, are far larger than the file."""
    size = path.stat().st_size
    with zipfile.ZipFile(path) as book:
        check_expansion(path, size, sum(part.file_size for part in book.infolist()))
        for part in book.infolist():
            if part.filename.lower().startswith("xl/worksheets/"):
                with book.open(part) as sheet:
                    check_expansion(path, size, 8 * _cells(sheet))


def _cells(sheet: Any) -> int:
    """The number of cells from the first to the last of a sheet, empty ones too."""
    columns, rows, rest = 0, 0, b""
    while piece := sheet.read(_PIECE):
        for letters, digits in _CELL.findall(rest + piece):
            rows = max(rows, int(digits))
            columns = max(columns, _number(letters))
        rest = piece[-20:]
    return rows * columns


def _number(letters: bytes) -> int:
    """The number of a column: 27 for AA."""
    number = 0
    for letter in letters:
        number = 26 * number + letter - 64
    return number
