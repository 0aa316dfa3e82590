"""Files from strangers: code in them never runs, and what they claim or unpack to is held against what they are."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import zarr
from PIL import Image
from tests.cli.commandline import run

import isthmus
from isthmus import IsthmusError, open_source
from isthmus.data import limits
from isthmus.data.sample_files import READABLE, open_sample
from isthmus.data.table_source import open_table
from isthmus.latent.store import Origin, Rows, Store, write_store


class Runs:
    """What writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self._marker,)


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("numcodecs.pickles.ALLOW_UNSAFE_PICKLE_DECODE", True, raising=False)  # as older versions had it
    marker = tmp_path / "was-run"
    pickle.loads(pickle.dumps(Runs(marker)))  # noqa: S301
    assert marker.exists()  # that is what must not happen
    marker.unlink()
    return marker


def pickles(marker: Path, folder: Path) -> Iterator[Path]:
    """Files and folders that hold a pickle where somebody may unpickle it."""
    runs, payload = Runs(marker), pickle.dumps(Runs(marker))
    objects = np.array([[runs], [runs]], object)
    np.save(folder / "objects.npy", objects, allow_pickle=True)
    np.savez(folder / "samples.npz", X=objects)
    np.savez(folder / "labels.npz", X=np.zeros((2, 3)), y=objects[:, 0])
    np.savez(folder / "beside.npz", X=np.zeros((2, 3)), other=objects)
    for suffix in (
        ".npy",
        ".npz",
        ".png",
        ".tif",
        ".wav",
        ".csv",
        ".parquet",
        ".feather",
        ".jsonl",
        ".xlsx",
        ".zip",
        ".gz",
    ):
        (folder / f"plain{suffix}").write_bytes(payload)
    yield from _arrow_files(payload, folder)
    yield from _zarr_folders(payload, folder)
    Image.new("L", (8, 8)).save(folder / "tagged.tif", tiffinfo={270: payload.decode("latin-1"), 65000: payload})
    yield from (path for path in folder.iterdir() if path.is_file())


def _arrow_files(payload: bytes, folder: Path) -> Iterator[Path]:
    """An extension type that PyArrow once unpickled, and metadata of pandas that speak of pickles."""
    kind = {"ARROW:extension:name": b"arrow.py_extension_type", "ARROW:extension:metadata": payload}
    column = {"name": "a", "field_name": "a", "pandas_type": "pickle", "numpy_type": "object", "metadata": None}
    about = {"columns": [column], "index_columns": [], "column_indexes": []}
    schema = pa.schema([pa.field("a", pa.binary(), metadata=kind), pa.field("b", pa.float64(), metadata=kind)])
    table = pa.table([[payload] * 3, [1.0, 2.0, 3.0]], schema.with_metadata({"pandas": json.dumps(about)}))
    pa.parquet.write_table(table, folder / "extension.parquet")
    pa.feather.write_feather(table, folder / "extension.feather")
    with pa.ipc.new_stream(folder / "extension.arrows", table.schema) as stream:
        stream.write_table(table)
    yield from ()


def _zarr_folders(payload: bytes, folder: Path) -> Iterator[Path]:
    """Codecs of pickles in both versions of Zarr: on samples and on labels, as filter, compressor and codec."""
    run, text = {"id": "pickle"}, {"filters": [{"id": "vlen-utf8"}], "dtype": "|O", "fill_value": ""}
    settings: dict[str, dict[str, Any]] = {
        "filter": {"filters": [run]},
        "compressor": {"compressor": run},
        "text-filter": text | {"filters": [{"id": "vlen-utf8"}, run]},
        "text-compressor": text | {"compressor": run},
    }
    for name, setting in settings.items():
        for array in ("", "y"):
            path = folder / f"{name}{array}.zarr"
            root = zarr.open_group(path, mode="w", zarr_format=2)
            root.create_array("X", data=np.zeros((2, 3)), chunks=(2, 3))
            root.create_array("y", data=np.zeros(2, "i8"), chunks=(2,))
            place = path / (array or "X")
            about = json.loads((place / ".zarray").read_text())
            (place / ".zarray").write_text(json.dumps(about | {"compressor": None, "filters": None} | setting))
            for block in ("0.0", "0"):
                (place / block).write_bytes(payload)
            yield path
    path = folder / "version-3.zarr"
    zarr.create_array(path, data=np.zeros((2, 3)), chunks=(2, 3))
    about = json.loads((path / "zarr.json").read_text())
    about["codecs"] = [{"name": "numcodecs.pickle", "configuration": {}}]
    (path / "zarr.json").write_text(json.dumps(about))
    (path / "c" / "0").mkdir(parents=True)
    (path / "c" / "0" / "0").write_bytes(payload)
    yield path


READERS: list[Callable[[Path], Any]] = [
    lambda path: open_source(path).take([0, 1]),
    lambda path: open_source([path], on_mixed_sizes="keep")[0],
    lambda path: open_source(f"{path}:y").take([0]),
    lambda path: open_table(path, None),
    lambda path: open_table(path, labels="b"),
    lambda path: list(open_sample(path).samples()) if path.suffix in READABLE else None,
]


def test_a_pickle_is_never_run_by_a_reader(marker: Path, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    seen = 0
    for path in pickles(marker, tmp_path / "files"):
        for read in READERS:
            with suppress(IsthmusError):
                read(path)
            assert not marker.exists(), path
        seen += 1
    assert seen > 20


@pytest.mark.parametrize("name", ["objects.npy", "labels.npz", "text-filtery.zarr", "version-3.zarr"])
def test_a_pickle_is_never_run_by_a_command(name: str, marker: Path, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    list(pickles(marker, tmp_path / "files"))
    path = tmp_path / "files" / name
    for command in (["train", str(path), "--epochs", "1"], ["denoise", str(path), "--epochs", "1"]):
        status, said = run(*command, "-o", str(tmp_path / f"out-{command[0]}.npy"))
        assert not marker.exists() and said.count("\n") <= 3 and status in (0, 1), said
        assert status == 0 or "isthmus: " in said


def test_a_pickle_in_the_place_of_weights_is_never_run(marker: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    isthmus.AutoEncoder(2, epochs=1, random_state=0).fit(np.random.default_rng(0).random((20, 4))).save(model)
    for path in [one for one in model.rglob("*") if one.is_file()]:
        whole = path.read_bytes()
        path.write_bytes(pickle.dumps(Runs(marker)))
        with suppress(IsthmusError):
            isthmus.load(model)
        path.write_bytes(whole)
    assert not marker.exists()


def test_a_pickle_in_a_store_of_codes_is_never_run(marker: Path, tmp_path: Path) -> None:
    lancedb, codes = pytest.importorskip("lancedb"), np.eye(3, dtype=np.float32)
    write_store(tmp_path / "made.lance", [Rows(["a", "b", "c"], codes)], Origin("model", "0" * 64))
    payload = pickle.dumps(Runs(marker), 0)  # in ASCII, as metadata must be
    made = lancedb.connect(tmp_path).open_table("made").to_arrow()
    kind = {"ARROW:extension:name": b"arrow.py_extension_type", "ARROW:extension:metadata": payload}
    fields = [pa.field(f.name, f.type, metadata=kind) for f in made.schema]
    fields[made.schema.get_field_index("sample")] = pa.field("sample", pa.binary(), metadata=kind)
    columns = [[payload] * 3 if f.name == "sample" else made[f.name] for f in fields]
    schema = pa.schema(fields, {**made.schema.metadata, b"pandas": payload})
    lancedb.connect(tmp_path).create_table("extension", pa.table(columns, schema))

    def read(path: Path) -> None:
        with suppress(IsthmusError):
            Store(path).nearest(codes, k=2)
        assert not marker.exists(), path

    read(tmp_path / "extension.lance")
    parts = [path for path in (tmp_path / "made.lance").rglob("*") if path.is_file()]
    assert len(parts) > 1
    for path in parts:
        whole = path.read_bytes()
        path.write_bytes(payload)
        read(tmp_path / "made.lance")
        path.write_bytes(whole)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that small files reach."""
    monkeypatch.setattr(limits, "FREE", 1 << 20)
    monkeypatch.setattr("isthmus.data.stacks.FREE", 1 << 20)


def bombs(folder: Path) -> Iterator[Path]:
    """Files that unpack to 2 to 4 MB, a hundred times their size and more."""
    zeros = np.zeros((500, 1000))
    text = "\n".join([",".join("ab"), *[",".join("11")] * 1_000_000])
    (folder / "t.csv.gz").write_bytes(gzip.compress(text.encode()))
    (folder / "t.jsonl.gz").write_bytes(gzip.compress(b'{"a":1,"b":2}\n' * 200_000))
    with zipfile.ZipFile(folder / "t.csv.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("t.csv", text)
    np.savez_compressed(folder / "t.npz", X=zeros)
    header = bytes([0, 0, 8, 2]) + np.array([2000, 2000], ">u4").tobytes()
    (folder / "t-idx2-ubyte.gz").write_bytes(gzip.compress(header + bytes(4_000_000)))
    flat = pa.table({f"c{i}": np.zeros(50_000) for i in range(10)})
    pa.parquet.write_table(flat, folder / "t.parquet")
    pa.parquet.write_table(pa.table({"a": ["x" * 40_000] * 100, "b": range(100)}), folder / "text.parquet")
    pa.feather.write_feather(flat, folder / "t.feather", compression="zstd")
    with pa.ipc.new_stream(folder / "t.arrows", flat.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as to:
        to.write_table(flat)
    for suffix in ("png", "gif", "webp", "tif"):
        Image.new("L", (2000, 2000)).save(folder / f"t.{suffix}", compression="tiff_adobe_deflate", lossless=True)
    zarr.create_array(folder / "t.zarr", shape=(4, 1 << 20), chunks=(4, 1 << 20), dtype="f8")
    _far_cell(folder / "t.xlsx")
    yield from sorted(folder.iterdir())


def _far_cell(path: Path) -> None:
    """A workbook whose only other cell is its last one."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active["A1"], book.active["XFD1048576"] = "a", 2
    book.save(path)


def test_what_unpacks_to_far_too_much_is_refused_before_it_is(small: None, tmp_path: Path) -> None:
    names = []
    for path in bombs(tmp_path):
        with pytest.raises(IsthmusError, match=r"unpacks to .* more than 100 times is refused. If you trust it, call"):
            open_source(path)
        names.append(path.name)
    assert len(names) == 15


@pytest.mark.parametrize("name", ["table.csv.zip", "samples.zarr.zip"])
def test_a_zip_archive_of_a_version_to_come_is_one_line(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / name, "w") as made:
        made.writestr("zarr.json", "a,b\n1,2\n")
    content = bytearray((tmp_path / name).read_bytes())
    content[content.rindex(b"PK\x01\x02") + 6] = 255
    (tmp_path / name).write_bytes(content)
    with pytest.raises(IsthmusError) as caught:
        open_source(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_what_one_trusts_is_read(small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_expansion", [100.0])
    path = tmp_path / "t.npz"
    np.savez_compressed(path, X=np.zeros((500, 1000)))
    out = ("train", str(path), "--epochs", "1", "-o", str(tmp_path / "model"))
    assert "--max-expansion 1" in run(*out)[1] and run("--max-expansion", "2000", *out)[0] == 0
    monkeypatch.setattr(limits, "_expansion", [100.0])
    isthmus.set_max_expansion(2000)
    assert open_source(path).shape == (500, 1000)
    for wrong in (0, -1, float("nan")):
        with pytest.raises(IsthmusError, match="give a number from 1 on"):
            isthmus.set_max_expansion(wrong)


def test_a_table_of_a_million_columns_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text(",".join(f"c{i}" for i in range(1_000_000)) + "\n" + ",".join(["1"] * 1_000_000))
    with pytest.raises(IsthmusError, match="it has 1,000,000 columns, and tables of up to 100,000 are read"):
        open_source(path)


def test_formats_that_pillow_knows_and_we_do_not_name_are_not_tried(tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "EPS")  # which Pillow hands to another program
    path = tmp_path / "picture.png"
    path.write_bytes(picture.getvalue())
    for read in READERS[:2]:
        with pytest.raises(IsthmusError, match=r"picture.png cannot be read as an image"):
            read(path)
