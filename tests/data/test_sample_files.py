"""Files whose samples are replaced, and of which everything else stays."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from scipy.io import wavfile
from tests.data.file_kinds import NOISE, SHAPE, write_all

from isthmus.data.sample_file import SampleFile
from isthmus.data.sample_files import open_sample
from isthmus.errors import IsthmusError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    write_all(folder)
    return folder


def reversed_rows(sample: np.ndarray) -> np.ndarray:
    return sample[::-1].copy()


def rewritten(path: Path, target: Path, clean: object = reversed_rows) -> SampleFile:
    file = open_sample(path)
    target.write_bytes(b"")  # the temporary file of an atomic write
    file.rewrite(target, clean)  # type: ignore[arg-type]
    return file


def test_what_does_not_change_comes_back_byte_for_byte(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        target = tmp_path / path.name
        rewritten(path, target, lambda sample: sample)
        assert target.read_bytes() == path.read_bytes(), path.name


def test_samples_are_replaced(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        target = tmp_path / path.name
        file = rewritten(path, target)
        old, new = list(file.samples()), list(open_sample(target).samples())
        assert len(old) == len(new) > 0, path.name
        for before, after in zip(old, new, strict=True):
            assert before.dtype == after.dtype and before.shape == after.shape, path.name
            if "gaps" in path.name or "nan" in path.name or "nodata" in path.name:
                continue
            error = np.abs(after.astype(float) - before[::-1])
            if path.suffix == ".csv":  # gaps stay where they were
                assert np.mean(error[np.arange(80) % 11 != 5] < 1e-4) > 0.9, path.name
            elif path.suffix in (".jpg", ".jpeg"):
                assert error.mean() < 20, path.name
            else:
                assert not error.any(), path.name


def test_tags_of_tiff_files_stay(folder: Path, tmp_path: Path) -> None:
    places = {273, 279, 324, 325}
    for path in folder.glob("*.tif"):
        rewritten(path, tmp_path / path.name)
        with tifffile.TiffFile(path) as old, tifffile.TiffFile(tmp_path / path.name) as new:
            old.pages.useframes = new.pages.useframes = False
            pages: list[list[Any]] = [list(file.pages) for file in (old, new)]
            changed = places | ({259, 262, 317, 530} if path.name in ("jpeg.tif", "fax.tif") else set())
            tags = [[(t.code, str(t.value)) for page in p for t in page.tags if t.code not in changed] for p in pages]
            assert tags[0] == tags[1], path.name
            assert [series.shape for series in old.series] == [series.shape for series in new.series]
            assert old.imagej_metadata == new.imagej_metadata and old.ome_metadata == new.ome_metadata


def test_what_is_no_light_is_left_alone(folder: Path, tmp_path: Path) -> None:
    rewritten(folder / "alpha.tif", tmp_path / "alpha.tif")
    found = tifffile.imread(tmp_path / "alpha.tif")
    assert np.array_equal(found[..., 3], NOISE[..., 3]) and np.array_equal(found[..., :3], NOISE[::-1, :, :3])
    file = rewritten(folder / "pyramid.tif", tmp_path / "pyramid.tif")
    assert file.notes == ["1 reduced copies or masks left as they were"]
    for name, missing in (("nodata.tif", NOISE[..., 0] == 7), ("nan.tif", NOISE[..., 0] < 40)):
        file = rewritten(folder / name, tmp_path / name, lambda sample: sample + 1)
        old, new = tifffile.imread(folder / name), tifffile.imread(tmp_path / name)
        np.testing.assert_array_equal(new, np.where(missing, old, old + 1))
        assert all(np.isfinite(sample).all() and (sample != 7).all() for sample in file.samples())
        assert file.notes == ["missing values left as they are"]
    for name in ("RGBA.png", "LA.png", "RGBA-True.webp", "deep-4.png", "deep-2.png"):
        shapes = [sample.shape for sample in open_sample(folder / name).samples()]
        assert shapes == ([SHAPE] if name in ("LA.png", "deep-2.png") else [(*SHAPE, 3)])


def test_white_is_zero_and_few_bits_are_shown_as_light(folder: Path) -> None:
    samples = {
        name: next(open_sample(folder / f"{name}.tif").samples()) for name in ("white-is-zero", "bits", "twelve-bits")
    }
    np.testing.assert_array_equal(samples["white-is-zero"], 255 - NOISE[..., 0])
    assert set(np.unique(samples["bits"])) == {0, 255} and samples["bits"].dtype == np.uint8
    np.testing.assert_array_equal(samples["twelve-bits"], np.rint(NOISE[..., 0].astype(float) * 15 * 65535 / 4095))


def test_everything_beside_pixels_stays(folder: Path, tmp_path: Path) -> None:
    for name in (
        "RGB.png",
        "I;16.png",
        "LA.png",
        "1.png",
        "RGB.jpg",
        "CMYK.jpg",
        "L.jpg",
        "RGB-True.webp",
        "RGBA-False.webp",
    ):
        file = rewritten(folder / name, tmp_path / name)
        with Image.open(folder / name) as old, Image.open(tmp_path / name) as new:
            assert (old.mode, old.size, old.format) == (new.mode, new.size, new.format)
            assert old.getexif() == new.getexif() and old.getexif()[0x010F] == "maker"
            assert old.info == new.info, name
        if name.endswith("png"):
            assert b"prVt" in (tmp_path / name).read_bytes() and file.notes == []
    for name in ("animated.png", "animated.webp"):
        rewritten(folder / name, tmp_path / name)
        with Image.open(folder / name) as old, Image.open(tmp_path / name) as new:
            assert old.n_frames == new.n_frames == 3  # type: ignore[attr-defined]
            for frame in range(3):
                for image in (old, new):
                    image.seek(frame)
                    image.load()
                assert old.info["duration"] == new.info["duration"]


def test_what_cannot_stay_is_said(folder: Path, tmp_path: Path) -> None:
    said = {
        "P.png": "a palette of 8 bits became colour of 8 bits",
        "RGB.jpg": "JPEG encoded anew, at quality 95",
        "several.jpg": "pictures after the first of an .mpo not kept",
        "jpeg.tif": "JPEG compression became deflate, which loses nothing",
        "fax.tif": "CCITTFAX4 compression became deflate, which loses nothing",
    }
    for name, note in said.items():
        assert note in rewritten(folder / name, tmp_path / name).notes
    unchanged = rewritten(folder / "jpeg.tif", tmp_path / "same.tif", lambda sample: sample)
    assert unchanged.notes == []


@pytest.mark.filterwarnings("ignore::scipy.io.wavfile.WavFileWarning")
def test_sound_keeps_its_chunks(folder: Path, tmp_path: Path) -> None:
    for path in folder.glob("*.wav"):
        rewritten(path, tmp_path / path.name)
        old, new = path.read_bytes(), (tmp_path / path.name).read_bytes()
        start = old.index(b"data") + 8
        stop = start + struct.unpack("<I", old[start - 4 : start])[0]
        assert old[:start] == new[:start] and old[stop:] == new[stop:]
        assert old[start:stop] != new[start:stop]
        if "i3" in path.name:
            np.testing.assert_array_equal(wavfile.read(tmp_path / path.name)[1], wavfile.read(path)[1][::-1])


def test_text_keeps_its_dialect(tmp_path: Path) -> None:
    path, target = tmp_path / "a.csv", tmp_path / "b.csv"
    lines = ['"Zeit";"Wert, mV";Zustand;Zahl']
    for i, value in enumerate(np.sin(np.arange(99) / 5) + 0.1 * (-1.0) ** np.arange(99)):
        number = f"{value:.3f}".replace(".", ",")
        lines.append(f'"{i},5"; {number};{"an" if i % 2 else "aus"};{7 * (i // 9 % 2) + i % 3 * 40}')
    lines[40] = '"39,5"; n/a;;'
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    file = rewritten(path, target, lambda sample: sample + 1)
    assert file.notes[0] == "columns left alone: Zeit (rises), Zustand (words), Zahl (labels)"
    old, new = path.read_bytes().decode().split("\r\n"), target.read_bytes().decode().split("\r\n")
    assert old[0] == new[0] and old[40] == new[40] and len(old) == len(new)
    for a, b in zip(old[1:40], new[1:40], strict=True):
        x, y = a.split(";"), b.split(";")
        assert x[0] == y[0] and x[2:] == y[2:]
        assert y[1][0] == " " and float(y[1].replace(",", ".")) == pytest.approx(float(x[1].replace(",", ".")) + 1)
        assert len(y[1].split(",")[1]) == 3


@pytest.mark.parametrize(
    ("head", "line"),
    [
        ("t   v\n", "  {i}    {v:7.3f} \n"),
        ("sep=;\r\nt;v\r\n", "{i};{v:.3f}\r\n"),
        ("# said, before\n# t,v\n", "{i},{v:.3f}\n"),
        ("My table\n\nt,v,w\n", "{i},{v:.3f},{i}\n"),
        ("t,v,\r", "{i},{v:.3f},\r"),
        ("'t'\t'v\n1'\n", "'{i}'\t'{v:.3f}'\n"),
        ("", "{i},{v:.3f}\n"),
    ],
)
def test_every_dialect_comes_back(head: str, line: str, tmp_path: Path) -> None:
    values = np.sin(np.arange(80) / 9)
    (tmp_path / "a.csv").write_bytes(
        (head + "".join(line.format(i=i, v=v) for i, v in enumerate(values)))[:-1].encode()
    )
    rewritten(tmp_path / "a.csv", tmp_path / "b.csv", lambda sample: sample)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    rewritten(tmp_path / "a.csv", tmp_path / "b.csv", lambda sample: -sample)
    old, new = ((tmp_path / name).read_text().split() for name in ("a.csv", "b.csv"))
    assert len(old) == len(new) and old != new
    (sample,) = open_sample(tmp_path / "b.csv").samples()
    np.testing.assert_allclose(sample[:, 0], -values, atol=6e-4)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("rises", 1.7e9 + np.arange(200) / 100),
        ("falls", -(np.arange(200.0) ** 2)),
        ("rises", np.sort(np.random.default_rng(0).normal(size=200))),
        ("counts", np.arange(200) % 20),
        ("labels", np.random.default_rng(0).integers(0, 3, 200)),
        ("constant", np.ones(200)),
        ("rows unrelated", np.random.default_rng(0).normal(size=200)),
        ("rows unrelated", np.random.default_rng(0).integers(10_000, 99_999, 200)),
    ],
)
def test_only_signals_are_cleaned(name: str, column: np.ndarray, tmp_path: Path) -> None:
    signal = np.sin(np.arange(200) / 9) + np.random.default_rng(1).normal(0, 0.3, 200)
    pd.DataFrame({"x": column, "v": signal}).to_csv(tmp_path / "a.csv", index=False)
    file = rewritten(tmp_path / "a.csv", tmp_path / "b.csv")
    assert file.notes == [f"columns left alone: x ({name})"]
    old, new = pd.read_csv(tmp_path / "a.csv"), pd.read_csv(tmp_path / "b.csv")
    assert (old.x == new.x).all()
    np.testing.assert_allclose(new.v, signal[::-1], atol=1e-8)
    pd.DataFrame({"x": column}).to_csv(tmp_path / "c.csv", index=False)
    with pytest.raises(IsthmusError, match="no column that is a signal: x"):
        open_sample(tmp_path / "c.csv")


@pytest.mark.parametrize(
    ("head", "cells", "note"),
    [
        ("a;b;c", ['"1,234"', "999"], "numbers that can be read in two ways"),  # thousands, or fractions?
        ("a;b;c", ["1.234", "999"], "numbers that can be read in two ways"),  # beside decimal commas
        ("a;b;c", ["1,5", "1.5"], "numbers that can be read in two ways"),
        ("ä;b;c", ["12:30", "1"], "words"),
        ("a;b;c", ["", "NA"], "empty"),
    ],
)
def test_numbers_in_doubt_are_left_alone(head: str, cells: list[str], note: str, tmp_path: Path) -> None:
    signal = np.sin(np.arange(90) / 9)
    values = [f"{value:.2f}".replace(".", ",") for value in signal]
    lines = [head, *(f"{cells[i % 2]};{value};x" for i, value in enumerate(values))]
    (tmp_path / "a.csv").write_text("\n".join(lines), encoding="utf-8")
    file = rewritten(tmp_path / "a.csv", tmp_path / "b.csv")
    assert file.notes == [f"columns left alone: {head[0]} ({note}), c (words)"]
    old, new = ((tmp_path / name).read_text("utf-8").splitlines() for name in ("a.csv", "b.csv"))
    assert [line.split(";")[0] for line in old] == [line.split(";")[0] for line in new] and old != new


def test_another_format_is_refused_or_written_whole(folder: Path, tmp_path: Path) -> None:
    for name, other in (("RGBA.png", "a.jpg"), ("I;16.png", "a.webp"), ("deep-3.png", "a.tif"), ("CMYK.jpg", "a.png")):
        with pytest.raises(IsthmusError, match="cannot hold"):
            open_sample(folder / name).check_target(tmp_path / other)
    for name, other in (("imagej.tif", "a.png"), ("RGB.png", "a.wav"), ("0.csv", "a.npy"), ("i2-1-False.wav", "a.csv")):
        with pytest.raises(IsthmusError, match="must end in"):
            open_sample(folder / name).check_target(tmp_path / other)
    Image.fromarray(NOISE[..., 0]).save(tmp_path / "a.gif")
    with pytest.raises(IsthmusError, match="must end in"):
        open_sample(tmp_path / "a.gif").check_target(tmp_path / "b.gif")
    rewritten(tmp_path / "a.gif", tmp_path / "gif.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "gif.png"))[..., 0], NOISE[::-1, :, 0])
    file = rewritten(folder / "RGB.jpg", tmp_path / "a.png")
    assert "go from JPEG to PNG" in file.notes[0]
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG" and image.getexif()[0x010F] == "maker"
        assert image.info["icc_profile"] == b"a profile"


def test_deviations_have_the_shape_of_the_values(folder: Path) -> None:
    shapes = {
        "1.png": SHAPE,
        "RGBA.png": (*SHAPE, 4),
        "CMYK.jpg": (*SHAPE, 4),
        "animated.webp": (3, *SHAPE, 4),
        "imagej.tif": (6, *SHAPE),
        "planes-big-u2-zstd.tif": (*SHAPE, 3),
        "bands.tif": (*SHAPE, 5),
        "i3-2-True.wav": (NOISE.size // 6, 2),
        "one-axis.npy": SHAPE[:1],
    }
    for name, shape in shapes.items():
        file = open_sample(folder / name)
        ones = [np.ones(sample.shape, np.float32) for sample in file.samples()]
        found = file.layout(iter(ones))
        assert found.shape == shape and found.dtype == np.float32
        assert found.all() or (
            name in ("RGBA.png", "animated.webp") and found[..., :3].all() and not found[..., 3].any()
        )


def test_damaged_files_are_named(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, NOISE[..., 0], compression="deflate")
    wrong = {
        "a.png": b"\x89PNG\r\n\x1a\n",
        "a.tif": b"II*\0",
        "b.tif": buffer.getvalue()[:-100],
        "a.wav": b"RIFF\0\0\0\0WAVE",
        "a.npy": b"",
        "a.csv": b"",
        "a.bmp": b"BM",
    }
    for name, content in wrong.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(IsthmusError, match=name) as caught:
            list(open_sample(tmp_path / name).samples())
        assert "0x" not in str(caught.value)
