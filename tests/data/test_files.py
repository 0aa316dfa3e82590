"""IDX, npy and npz files, TIFF stacks and Zarr arrays as sources."""

from __future__ import annotations

import builtins
import gzip
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from isthmus import AutoEncoder
from isthmus.data.files import read_idx
from isthmus.data.sources import open_source
from isthmus.errors import IsthmusError, MissingExtraError

X = np.random.default_rng(0).integers(0, 60000, (9, 6, 5)).astype(np.uint16)
IDX_CODES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}


def idx_bytes(array: np.ndarray) -> bytes:
    code = IDX_CODES[f"{array.dtype.kind}{array.dtype.itemsize}"]
    header = bytes([0, 0, code, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@given(
    st.sampled_from(sorted(IDX_CODES)).flatmap(
        lambda code: hnp.arrays(np.dtype(code), hnp.array_shapes(min_dims=2, max_dims=4, max_side=4))
    ),
    st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_idx_round_trip(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, packed: bool) -> None:
    path = tmp_path_factory.mktemp("idx") / ("data.idx.gz" if packed else "data")
    path.write_bytes(gzip.compress(idx_bytes(array), 1) if packed else idx_bytes(array))
    source = open_source(path)
    np.testing.assert_array_equal(source.take(np.arange(len(array))), array)
    assert source.dtype == array.dtype and (source.resident() is not None) == packed


def test_idx_finds_its_labels(check_contract: Any, tmp_path: Path) -> None:
    images, labels = np.zeros((5, 3, 2), np.uint8), np.arange(5, dtype=np.uint8)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(idx_bytes(images))
    assert open_source(path).labels is None
    beside = tmp_path / "train-labels-idx1-ubyte.gz"
    beside.write_bytes(gzip.compress(idx_bytes(labels)))
    np.testing.assert_array_equal(open_source(path).labels, labels)
    check_contract(open_source(path), images)
    beside.write_bytes(gzip.compress(idx_bytes(labels[:4])))
    with pytest.raises(IsthmusError, match="has 4 labels for the 5 samples"):
        open_source(path)


WHOLE = idx_bytes(X.astype(np.uint8))


@pytest.mark.parametrize(
    "damaged",
    [
        WHOLE[:-1],
        WHOLE + b"x",
        WHOLE[:9],
        WHOLE[:4] + b"\xff\xff\xff\xff" * 3 + WHOLE[16:],
        gzip.compress(WHOLE[:-1]),
        gzip.compress(WHOLE + b"x"),
        gzip.compress(WHOLE)[:-9],
        gzip.compress(WHOLE)[:-8] + b"12345678",
        gzip.compress(WHOLE[:4] + b"\xff\xff\xff\xff" * 3 + WHOLE[16:]),
    ],
)
def test_a_damaged_idx_file(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / "x-ubyte"
    path.write_bytes(damaged)
    with pytest.raises(IsthmusError, match=re.escape(str(path))):
        open_source(path)


def test_idx_header_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\1\2\3\4")
    with pytest.raises(IsthmusError, match="begins with the bytes 01 02 03 04"):
        read_idx(tmp_path / "x")


@given(
    st.sampled_from(["?", "u1", "<i2", ">i4", "<f2", ">f4", "<f8", "<u8"]).flatmap(
        lambda code: hnp.arrays(np.dtype(code), hnp.array_shapes(min_dims=2, max_dims=4, max_side=4))
    ),
    st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_npy_round_trip(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, fortran: Any) -> None:
    path = tmp_path_factory.mktemp("npy") / "x.npy"
    np.save(path, np.asfortranarray(array) if fortran else array)
    source = open_source(str(path))
    np.testing.assert_array_equal(source.take(np.arange(len(array))), array)
    assert source.shape == array.shape and source.dtype.isnative and source.resident() is None


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((100, 1000)))
    source = open_source(path)
    with path.open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(IsthmusError, match="has become shorter"):
        source.take([50])


def test_npy_locations_and_damage(check_contract: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, X)
    check_contract(open_source(path), X)
    assert open_source(path).location(3) == f"sample 3 of {path}"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(IsthmusError, match=r"x\.npy cannot be read as a \.npy file"):
        open_source(path)
    np.save(path, np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(IsthmusError, match="object"):
        open_source(path)
    path.write_bytes(b"")
    with pytest.raises(IsthmusError):
        open_source(path)


GROWTH = """
import sys
from pathlib import Path
import numpy as np
from isthmus.data import base
from isthmus.data.sources import open_source

def resident_mb():
    line = next(l for l in Path("/proc/self/status").read_text().splitlines() if l.startswith("VmRSS"))
    return int(line.split()[1]) // 1024

base._MAPPED_BYTES = 1 << 23  # so that little has to be touched
data = np.load(sys.argv[1], mmap_mode="r") if sys.argv[2] == "mapped" else sys.argv[1]
source = open_source(data)
source.take(np.arange(32))
rng, before, most = np.random.default_rng(0), resident_mb(), 0
for _ in range(30):
    source.take(rng.integers(0, len(source), 32))
    most = max(most, resident_mb() - before)
print(most)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("how", ["by path", "mapped"])
def test_a_large_file_is_read_in_flat_memory(tmp_path: Path, how: str) -> None:
    n, side = 50_000, 224  # 2.5 GB of holes
    path = tmp_path / "x.npy"
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (n, side, side)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + n * side * side)
    result = subprocess.run([sys.executable, "-c", GROWTH, str(path), how], capture_output=True, text=True, check=True)
    assert int(result.stdout) < 30  # where 48 MB are touched


def test_npz(check_contract: Any, tmp_path: Path) -> None:
    path, table, y = tmp_path / "a.npz", np.random.default_rng(0).normal(size=(7, 3)), np.arange(7)

    def labels(**arrays: Any) -> Any:
        np.savez(path, **arrays)
        check_contract(open_source(path), table)
        return open_source(path).labels

    assert labels(whatever=table) is None
    np.testing.assert_array_equal(labels(X=table, y=y), y)
    np.testing.assert_array_equal(labels(images=table, labels=y.astype(str)), y.astype(str))
    np.testing.assert_array_equal(labels(embedding=table, target=y.astype(float)), y)
    assert labels(X=table, y=y[:3]) is None  # of other samples
    assert labels(X=table, y=y + 0.5) is None  # no labels
    assert labels(X=table, ids=y) is None


def test_npz_with_several_arrays(check_contract: Any, tmp_path: Path) -> None:
    path = tmp_path / "mnist.npz"
    train, test = np.zeros((6, 2, 2), np.uint8), np.ones((4, 2, 2), np.uint8)
    np.savez(path, x_train=train, y_train=np.arange(6), x_test=test, y_test=np.arange(4))
    message = "its arrays: x_train, y_train, x_test, y_test; say which one, as in '.*mnist.npz:x_train'"
    with pytest.raises(IsthmusError, match=message):
        open_source(path)
    source = open_source(f"{path}:x_test")
    check_contract(source, test)
    np.testing.assert_array_equal(source.labels, np.arange(4))
    with pytest.raises(IsthmusError, match="'x_tests'; did you mean 'x_test'"):
        open_source(f"{path}:x_tests")
    np.savez(path)
    with pytest.raises(IsthmusError, match="its arrays: none"):
        open_source(path)
    path.write_bytes(b"PK nonsense")
    with pytest.raises(IsthmusError, match=r"cannot be read as a \.npz file"):
        open_source(path)


@pytest.mark.parametrize(
    ("arrays", "named"),
    [
        ({"x": np.arange(5.0), "t": np.arange(4.0), "u": np.ones((4, 5))}, "u"),
        ({"x": np.ones((4, 5)), "y": np.arange(4)}, "x"),
        ({"x": np.ones((4, 5)), "y": np.ones((4, 5)), "u": np.ones((4, 5))}, None),
        ({"X": np.ones((4, 5)), "coords": np.ones((4, 2))}, "X"),
        ({"images": np.ones((4, 5, 5)), "data": np.ones((4, 5))}, None),
    ],
)
def test_a_coordinate_is_not_taken_for_samples(tmp_path: Path, arrays: Any, named: str | None) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    if named is not None:
        assert open_source(tmp_path / "a.npz").shape == arrays[named].shape
        return
    with pytest.raises(IsthmusError, match=f"its arrays: {', '.join(arrays)}; say which one"):
        open_source(tmp_path / "a.npz")


def test_npz_runs_no_pickle(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=np.array([{}, {}]))
    with pytest.raises(IsthmusError, match="allow_pickle"):
        open_source(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib"},
        {"byteorder": ">"},
        {"imagej": True},
        {"bigtiff": True},
        {"predictor": True, "compression": "zlib"},
    ],
)
def test_tiff_stacks(check_contract: Any, tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, X, **options)
    source = open_source(path)
    check_contract(source, X)
    assert source.resident() is None and source.location(4) == f"sample 4 of {path}"


@pytest.mark.parametrize("shape", [(4, 8, 9, 3), (4, 3, 8, 9)])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff_stacks_with_more_axes(
    check_contract: Any, tmp_path: Path, shape: tuple[int, ...], compression: Any
) -> None:
    array = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    planes = "contig" if shape[-1] == 3 else "separate"
    tifffile.imwrite(tmp_path / "x.tiff", array, compression=compression, photometric="rgb", planarconfig=planes)
    check_contract(open_source(tmp_path / "x.tiff"), array)


def test_single_tiffs(check_contract: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, X[0])
    check_contract(open_source(path), X[:1])
    tifffile.imwrite(path, X[0].astype(np.float64))  # Pillow cannot
    check_contract(open_source(path), X[:1].astype(np.float64))
    tifffile.imwrite(path, np.zeros((5, 6, 3), np.uint8))
    assert open_source(path).shape == (1, 5, 6, 3)
    bands = np.arange(300, dtype=np.float64).reshape(5, 6, 10)
    tifffile.imwrite(path, bands, photometric="minisblack", planarconfig="separate")  # one image, band by band
    check_contract(open_source(path), np.moveaxis(bands, 0, -1)[None])


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_and_unequal_tiffs(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    path.write_bytes(b"II*\0 nonsense")
    with pytest.raises(IsthmusError, match="cannot be read as an image"):
        open_source(path)
    with tifffile.TiffWriter(path) as file:
        file.write(X[0], metadata=None)
        file.write(X[0, :3], metadata=None)
    with pytest.raises(IsthmusError, match="2 series of images, of shapes"):
        open_source(path)
    tifffile.imwrite(path, X, compression="zlib")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        start = file.pages[5].dataoffsets[0]
    content[start : start + 10] = b"\0" * 10
    path.write_bytes(content)
    with pytest.raises(IsthmusError, match=r"sample 5 of .*x\.tif cannot be read"):
        open_source(path).take([5])


def test_zarr(check_contract: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    zarr.create_array(path, data=X, chunks=(4, 6, 5))
    check_contract(open_source(path), X)
    zarr.create_array(tmp_path / "v2", data=X, chunks=(4, 6, 5), zarr_format=2)
    check_contract(open_source(tmp_path / "v2"), X)


@pytest.mark.parametrize("packed", [False, True])
def test_zarr_groups(check_contract: Any, tmp_path: Path, packed: bool) -> None:
    path = tmp_path / ("x.zip" if packed else "x.zarr")
    store: Any = zarr.storage.ZipStore(path, mode="w") if packed else path
    group = zarr.create_group(store)
    group.create_array("images", data=X, chunks=(4, 6, 5))
    group.create_array("labels", data=np.arange(9))
    group.create_array("deep/other", data=X[:2])
    if packed:
        store.close()
    source = open_source(path)
    check_contract(source, X)
    np.testing.assert_array_equal(source.labels, np.arange(9))
    check_contract(open_source(f"{path}:deep/other"), X[:2])
    with pytest.raises(IsthmusError, match="unknown array"):
        open_source(f"{path}:nothing")


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_as_xarray_writes_it(tmp_path: Path, version: Any) -> None:
    group = zarr.create_group(tmp_path / "x.zarr", zarr_format=version)
    packed = np.array([[1, -99, 3], [4, 5, 6]], np.int16)
    attributes: dict[str, Any] = {"scale_factor": 0.5, "add_offset": 10.0, "coordinates": "area"}
    attributes |= {"_FillValue": -99} if version == 3 else {"_ARRAY_DIMENSIONS": ["time", "x"]}
    fill: dict[str, Any] = {} if version == 3 else {"fill_value": -99}
    names: dict[str, Any] = {"dimension_names": ["time", "x"]} if version == 3 else {}
    made = group.create_array("t2m", shape=packed.shape, dtype="int16", attributes=attributes, **names, **fill)
    made[:] = packed
    for name, size in (("x", 3), ("time", 2)):
        more: dict[str, Any] = (
            {"dimension_names": [name]} if version == 3 else {"attributes": {"_ARRAY_DIMENSIONS": [name]}}
        )
        group.create_array(name, shape=(size,), dtype="float64", **more)
    group.create_array("area", shape=packed.shape, dtype="float64")
    source = open_source(tmp_path / "x.zarr")
    assert source.dtype == np.float32
    np.testing.assert_array_equal(source.take([1, 0]), [[12, 12.5, 13], [10.5, np.nan, 11.5]])
    group.create_array("rain", shape=packed.shape, dtype="float64")
    with pytest.raises(IsthmusError, match="its arrays: area, rain, t2m, time, x; say which one"):
        open_source(tmp_path / "x.zarr")


class Dataset:
    """What an xarray Dataset looks like from outside."""

    data_vars = {"t2m": None, "rain": None}


def test_several_arrays_of_xarray_are_named() -> None:
    for read in (open_source, AutoEncoder(2).fit):
        with pytest.raises(IsthmusError, match=r"arrays by name \(t2m, rain\): give one of them"):
            read(Dataset())


def test_a_zip_file_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("a.png", b"")
    with pytest.raises(IsthmusError, match="of no kind that can be read"):
        open_source(tmp_path / "x.zip")


@pytest.mark.parametrize(("package", "name"), [("tifffile", "TIFF stacks"), ("zarr", "Zarr arrays")])
def test_optional_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, name: str) -> None:
    tifffile.imwrite(tmp_path / "x.tif", X)
    zarr.create_array(tmp_path / "x.zarr", data=X)
    real = builtins.__import__

    def without(module: Any, *args: Any, **kwargs: Any) -> Any:
        if module == package:
            raise ImportError(module)
        return real(module, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=rf"{name} needs.*pip install 'isthmus\[formats\]'$"):
        open_source(tmp_path / ("x.tif" if package == "tifffile" else "x.zarr"))


def test_real_files(real_data: Path) -> None:
    source = open_source(real_data / "mnist" / "t10k-images-idx3-ubyte.gz")
    assert source.shape == (10_000, 28, 28) and source.labels[:4].tolist() == [7, 2, 1, 0]
    for path in (real_data / "adbench").glob("*.npz"):
        table = open_source(path)
        assert set(table.labels) == {0, 1} and table.take([0]).shape == (1, *table.shape[1:])
