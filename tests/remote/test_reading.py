"""What lies in a bucket is read as what lies on a disk."""

from __future__ import annotations

import gzip
import io
import tarfile
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from PIL import Image

from isthmus import open_source
from isthmus.errors import IsthmusError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 9), np.uint8)
TABLE = pa.table({"a": [1.5, 2.0, 3.25], "b": [1, 2, 3], "c": [0.5, 0.25, 0.125]})


def npz(path: Path) -> None:
    np.savez(path, X=IMAGES, y=np.arange(6))


def idx(path: Path) -> None:
    path.write_bytes(b"\0\0\x08\x03" + np.array(IMAGES.shape, ">u4").tobytes() + IMAGES.tobytes())


def packed_idx(path: Path) -> None:
    idx(path)
    path.write_bytes(gzip.compress(path.read_bytes()))


def text(path: Path) -> None:
    path.write_text("a;b\n1,5;2\n2,25;3\n")


def packed_text(path: Path) -> None:
    path.write_bytes(gzip.compress(b"a,b\n1.5,2\n2.25,3\n"))


def lines(path: Path) -> None:
    path.write_text('{"a": 1.5, "b": 2}\n{"a": 2.5, "b": 3}\n')


def excel(path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("openpyxl")
    pandas.DataFrame({"a": [1.5, 2.5], "b": [3, 4]}).to_excel(path, index=False)


def sound(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.arange(100, dtype="<i2").tobytes())


def stack(path: Path) -> None:
    pytest.importorskip("tifffile").imwrite(path, IMAGES)


def packed_stack(path: Path) -> None:
    pytest.importorskip("tifffile").imwrite(path, IMAGES, compression="zlib", photometric="minisblack")


def folder(path: Path) -> None:
    for number, image in enumerate(IMAGES):
        place = path / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number}.png")


def sounds(path: Path) -> None:
    path.mkdir()
    for number in range(3):
        sound(path / f"{number}.wav")


def zarr(path: Path) -> None:
    array = pytest.importorskip("zarr").create_array(str(path), shape=IMAGES.shape, chunks=(2, 8, 9), dtype="uint8")
    array[:] = IMAGES


def zarr_group(path: Path) -> None:
    group = pytest.importorskip("zarr").open_group(str(path), mode="w")
    group.create_array("X", data=IMAGES)
    group.create_array("y", data=np.arange(6))


def npy_shards(path: Path) -> None:
    path.mkdir()
    for number, part in enumerate(np.array_split(IMAGES, [1, 3])):
        np.save(path / f"part-{number + 9}.npy", part)


def tar_shards(path: Path) -> None:
    """Two shards of images with labels, whose names sort as numbers do."""
    path.mkdir()
    for shard, numbers in (("s-9.tar", [0, 1]), ("s-10.tar", [2, 3, 4, 5])):
        with tarfile.open(path / shard, "w") as file:
            for number in numbers:
                picture = io.BytesIO()
                Image.fromarray(IMAGES[number]).save(picture, "PNG")
                for name, content in (
                    (f"{number:03}.png", picture.getvalue()), (f"{number:03}.cls", str(number % 2).encode()),
                    (f"{number:03}.json", b"{}"),
                ):  # fmt: skip
                    member = tarfile.TarInfo(name)
                    member.size = len(content)
                    file.addfile(member, io.BytesIO(content))


def tar_of_arrays(path: Path) -> None:
    with tarfile.open(path, "w") as file:
        for number, image in enumerate(IMAGES):
            array = io.BytesIO()
            np.save(array, image.astype(np.float32))
            member = tarfile.TarInfo(f"sub/{number:03}.x.npy")
            member.size = len(array.getvalue())
            file.addfile(member, io.BytesIO(array.getvalue()))


def parquet_folder(path: Path) -> None:
    path.mkdir()
    for number in range(3):
        pq.write_table(TABLE.slice(number, 1), path / f"part-{number}.parquet")
    (path / "_SUCCESS").write_text("")


def hive(path: Path) -> None:
    for year in (2024, 2025):
        (path / f"year={year}").mkdir(parents=True)
        pq.write_table(TABLE, path / f"year={year}" / "a.parquet")


def lists_in_parquet(path: Path) -> None:
    """Nested lists in three row groups, with labels."""
    type_ = pa.list_(pa.list_(pa.uint8(), 9), 8)
    pq.write_table(
        pa.table({"image": pa.array(IMAGES.tolist(), type_), "label": list("abcabc")}), path, row_group_size=2
    )


def pictures_in_parquet(path: Path) -> None:
    """Two files as a hub keeps them: the bytes of images and their names."""
    path.mkdir()
    for number, part in enumerate(np.array_split(IMAGES, 2)):
        contents = []
        for image in part:
            picture = io.BytesIO()
            Image.fromarray(image).save(picture, "PNG")
            contents.append({"bytes": picture.getvalue(), "path": "x.png"})
        pq.write_table(pa.table({"image": contents, "label": [1, 2, 3]}), path / f"train-{number}.parquet")


def tensors_in_parquet(path: Path) -> None:
    pq.write_table(pa.table({"x": pa.FixedShapeTensorArray.from_numpy_ndarray(IMAGES)}), path)


READERS: dict[str, Callable[[Path], Any]] = {
    "a.npy": lambda path: np.save(path, IMAGES),
    "a.npz": npz,
    "images-idx3": idx,
    "images-idx3.gz": packed_idx,
    "a.csv": text,
    "a.csv.gz": packed_text,
    "a.jsonl": lines,
    "a.xlsx": excel,
    "a.parquet": lambda path: pq.write_table(TABLE, path),
    "a.feather": lambda path: pyarrow.feather.write_feather(TABLE, path),
    "a.wav": sound,
    "a.tif": stack,
    "packed.tif": packed_stack,
    "a.png": lambda path: Image.fromarray(IMAGES[0]).save(path),
    "folder": folder,
    "sounds": sounds,
    "shards": npy_shards,
    "tars": tar_shards,
    "a.tar": tar_of_arrays,
    "parts": parquet_folder,
    "hive": hive,
    "lists.parquet": lists_in_parquet,
    "pictures": pictures_in_parquet,
    "tensors.parquet": tensors_in_parquet,
    "a.zarr": zarr,
    "group.zarr": zarr_group,
}


@pytest.mark.parametrize("name", READERS)
def test_every_reader_gives_from_a_bucket_what_it_gives_from_a_disk(name: str, s3: Any, tmp_path: Path) -> None:
    READERS[name](tmp_path / name)
    here, there = open_source(tmp_path / name), open_source(s3.upload(tmp_path / name, f"readers/{name}"))
    assert there.shape == here.shape and there.dtype == here.dtype and there.kind == here.kind
    order = np.random.default_rng(0).permutation(len(here))
    np.testing.assert_array_equal(there.take(order), here.take(order))
    np.testing.assert_array_equal(there.labels, here.labels)
    assert there.feature_names == here.feature_names
    assert there.location(0) == here.location(0).replace(str(tmp_path), "s3://data/readers")


SHARDS: dict[str, Callable[[Path], Any]] = {
    "shards": npy_shards, "tars": tar_shards, "a.tar": tar_of_arrays, "lists.parquet": lists_in_parquet,
    "pictures": pictures_in_parquet, "tensors.parquet": tensors_in_parquet,
}  # fmt: skip


def test_shards_are_one_sequence_of_samples(tmp_path: Path) -> None:
    order = np.array([5, 0, 3, 3, 1])
    for name, make in SHARDS.items():
        make(tmp_path / name)
        source = open_source(tmp_path / name)
        np.testing.assert_array_equal(source.take(order), IMAGES[order])
    np.testing.assert_array_equal(open_source(tmp_path / "tars").labels, np.arange(6) % 2)
    assert open_source(tmp_path / "lists.parquet").labels.tolist() == list("abcabc")
    assert open_source(tmp_path / "pictures").labels.tolist() == [1, 2, 3, 1, 2, 3]
    assert open_source(tmp_path / "tars").location(5) == f"005.png of {tmp_path}/tars/s-10.tar"
    assert open_source(tmp_path / "shards").location(1) == f"sample 0 of {tmp_path}/shards/part-10.npy"


def test_a_partition_is_a_column(tmp_path: Path) -> None:
    hive(tmp_path / "table")
    source = open_source(tmp_path / "table")
    assert source.feature_names == ("a", "b", "c", "year")
    np.testing.assert_array_equal(source.take(np.arange(6))[:, 3], [2024] * 3 + [2025] * 3)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_large_partitioned_table_is_streamed(
    elsewhere: bool, s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from isthmus.data import table_streaming
    from isthmus.data.table_source import StreamedTable, open_table
    from isthmus.remote import ranges

    hive(tmp_path / "table")
    whole = open_table(tmp_path / "table")
    monkeypatch.setattr(table_streaming, "LARGEST_READ_WHOLE", 1)
    monkeypatch.setattr(ranges, "LARGEST_COPIED", 1)
    path = s3.upload(tmp_path / "table", "large/table") if elsewhere else tmp_path / "table"
    streamed = open_table(path)
    assert isinstance(streamed, StreamedTable) and whole.schema == streamed.schema
    np.testing.assert_array_equal(streamed.take(np.arange(6)), whole.take(np.arange(6)))
    assert streamed.subset(np.array([4, 1])).table.equals(whole.table.take([4, 1]))


def test_files_of_other_columns_are_no_table(tmp_path: Path) -> None:
    pq.write_table(TABLE, tmp_path / "a.parquet")
    pq.write_table(TABLE.drop_columns(["b"]), tmp_path / "b.parquet")
    with pytest.raises(IsthmusError, match=r"a.parquet and .*b.parquet have other columns \(b\)"):
        open_source(tmp_path)


@pytest.mark.parametrize("kept", [True, False])
def test_a_large_object_is_read_by_blocks(kept: bool, s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from isthmus.remote import ranges

    monkeypatch.setattr(ranges, "LARGEST_COPIED", 1000)
    monkeypatch.setattr(ranges, "_BLOCK", 4096)
    if not kept:  # half of the cache does not hold it
        monkeypatch.setenv("ISTHMUS_CACHE_GB", "1e-5")
    X = np.random.default_rng(0).normal(size=(500, 7, 3))
    np.save(tmp_path / "X.npy", X)
    source = open_source(s3.upload(tmp_path / "X.npy", f"large/X-{kept}.npy"))
    blocks = list(s3.cache.glob("*/*"))
    order = np.random.default_rng(1).permutation(500)[:20]
    np.testing.assert_array_equal(source.take(order), X[order])
    assert (len(list(s3.cache.glob("*/*"))) > len(blocks)) == kept
    np.testing.assert_array_equal(source.take(np.arange(500)), X)
