"""Image files and folders of them as sources."""

from __future__ import annotations

import os
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, features

from isthmus.data.sources import open_source
from isthmus.errors import IsthmusError, IsthmusWarning

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 255, (6, 8)).astype(np.uint8)
COLOUR = RNG.integers(0, 255, (6, 8, 3)).astype(np.uint8)
CLEAR = RNG.integers(0, 255, (6, 8, 4)).astype(np.uint8)
DEEP = RNG.integers(0, 65535, (6, 8)).astype(np.uint16)
FLOAT = RNG.random((6, 8)).astype(np.float32)


def save(array: np.ndarray, path: Path, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


@pytest.mark.parametrize(
    ("array", "suffix", "options"),
    [
        (GREY, "png", {}),
        (COLOUR, "png", {}),
        (CLEAR, "png", {}),
        (DEEP, "png", {}),
        (GREY, "bmp", {}),
        (COLOUR, "bmp", {}),
        (GREY, "tif", {}),
        (COLOUR, "tiff", {"compression": "tiff_lzw"}),
        (DEEP, "tif", {}),
        (DEEP.astype(">u2"), "tif", {}),
        (FLOAT, "tif", {}),
        (DEEP.astype(np.int32), "tif", {}),
        pytest.param(
            COLOUR,
            "webp",
            {"lossless": True},
            marks=pytest.mark.skipif(not features.check("webp"), reason="Pillow without WebP"),
        ),
    ],
)
def test_lossless_formats(
    check_contract: Any, tmp_path: Path, array: np.ndarray, suffix: str, options: dict[str, Any]
) -> None:
    for i in range(3):
        save(array + np.asarray(i, array.dtype), tmp_path / f"{i}.{suffix}", **options)
    expected = np.stack([array + np.asarray(i, array.dtype) for i in range(3)])
    source = open_source(tmp_path)
    check_contract(source, expected)
    assert source.location(1) == str(tmp_path / f"1.{suffix}")
    check_contract(open_source(tmp_path / f"0.{suffix.upper()}".lower()), expected[:1])


def test_jpeg(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(32), np.arange(40)).astype(np.uint8)
    save(smooth, tmp_path / "a.JPG", quality=95)
    source = open_source(tmp_path)
    assert source.shape == (1, 32, 40)
    assert np.abs(source.take([0])[0].astype(int) - smooth).max() < 5


def test_order_labels_and_what_is_passed_over(tmp_path: Path) -> None:
    for name in ("b/10.png", "b/2.png", "b/deep/1.png", "a10/1.png", "a2/1.png"):
        save(GREY, tmp_path / name)
    (tmp_path / "readme.txt").write_text("no image")
    for name in (".hidden.png", ".cache/1.png", "__MACOSX/1.png", "b/._2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"rubbish")
    source = open_source(str(tmp_path))
    found = [os.path.relpath(source.location(i), tmp_path).replace(os.sep, "/") for i in range(len(source))]
    assert found == ["a2/1.png", "a10/1.png", "b/2.png", "b/10.png", "b/deep/1.png"]
    assert source.labels.tolist() == ["a2", "a10", "b", "b", "b"]
    save(GREY, tmp_path / "top.png")
    assert open_source(tmp_path).labels is None


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    save(GREY, tmp_path / "elsewhere" / "1.png")
    (tmp_path / "photos").mkdir()
    try:
        (tmp_path / "photos" / "link").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "photos")
    except OSError:
        pytest.skip("cannot make links here")
    assert len(open_source(tmp_path / "photos")) == 1


def test_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(IsthmusError, match=r"holds no images \(\.png, .*; it is empty"):
        open_source(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"")
    with pytest.raises(IsthmusError, match="it holds train-images-idx3-ubyte"):
        open_source(tmp_path)


def test_modes_widen_to_what_holds_them_all(tmp_path: Path) -> None:
    save(GREY, tmp_path / "1.png")
    Image.fromarray(GREY > 99).save(tmp_path / "2.png")
    source = open_source(tmp_path)
    np.testing.assert_array_equal(source.take([0, 1]), [GREY, np.where(GREY > 99, 255, 0)])
    Image.fromarray(COLOUR).quantize(256).save(tmp_path / "3.png")  # with a palette
    np.testing.assert_array_equal(open_source(tmp_path).take([0, 2]), [np.repeat(GREY[..., None], 3, 2), COLOUR])
    Image.fromarray(CLEAR[..., :2].copy()).save(tmp_path / "4.png")  # grey and alpha
    Image.fromarray(GREY).save(tmp_path / "5.png", transparency=7)
    source = open_source(tmp_path)
    assert source.shape == (5, 6, 8, 4)
    opaque, transparent = source.take([2])[0], source.take([3])[0]
    np.testing.assert_array_equal(opaque, np.dstack([COLOUR, np.full((6, 8), 255)]))
    np.testing.assert_array_equal(transparent, CLEAR[..., [0, 0, 0, 1]])
    assert open_source(tmp_path, image_mode="grey").shape == (5, 6, 8)
    assert open_source(tmp_path, image_mode="rgb").shape == (5, 6, 8, 3)


def test_depths_that_cannot_be_mixed(tmp_path: Path) -> None:
    save(COLOUR, tmp_path / "1.png")
    save(DEEP, tmp_path / "2.png")
    with pytest.raises(
        IsthmusError, match=r"mixes .*2\.png \(16-bit grey\) and .*1\.png \(8-bit colour\); .*image_mode='grey'"
    ):
        open_source(tmp_path)
    np.testing.assert_array_equal(open_source(tmp_path, image_mode="grey").take([1])[0], DEEP >> 8)
    assert open_source(tmp_path, image_mode="rgba").shape == (2, 6, 8, 4)
    save(FLOAT, tmp_path / "3.tif")
    with pytest.raises(IsthmusError, match=r"mixes .*"):
        open_source(tmp_path)
    with pytest.raises(IsthmusError, match=r"3\.tif has values of floating-point grey"):
        open_source(tmp_path, image_mode="grey")
    with pytest.raises(IsthmusError, match="unknown image_mode 'gray'; did you mean 'grey'"):
        open_source(tmp_path, image_mode="gray")  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, suffix: str, orientation: int) -> None:
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :16] = 250, 20, 20  # a red corner, a green one and a blue one
    upright[:16, 32:] = 20, 250, 20
    upright[16:, :16] = 20, 20, 250
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the Transpose that brings it into this orientation
    image = Image.fromarray(upright)
    if orientation > 1:
        image = image.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"quality": 95} if suffix in ("jpg", "webp") else {}
    image.save(tmp_path / f"a.{suffix}", exif=exif, **options)
    save(upright, tmp_path / f"b.{suffix}", **({"quality": 95} if suffix in ("jpg", "webp") else {}))
    taken = open_source(tmp_path).take([0, 1])
    assert taken.shape == (2, 32, 48, 3)
    assert np.abs(taken[0].astype(int) - upright)[4:12, 4:12].max() < 30
    assert np.abs(taken[0].astype(int) - upright)[20:28, 4:12].max() < 30
    assert np.abs(taken[0].astype(int) - upright)[4:12, 36:44].max() < 30


def test_mixed_sizes(check_contract: Any, tmp_path: Path) -> None:
    for name in ("1", "2", "3"):
        save(GREY, tmp_path / f"{name}.png")
    save(np.full((4, 9), 7, np.uint8), tmp_path / "4.png")
    with pytest.raises(IsthmusError) as caught:
        open_source(tmp_path)
    message = str(caught.value)
    assert "images of 2 sizes" in message and "'crop'" in message and "'resize'" in message
    assert "1.png (8×6)" in message and "4.png (9×4)" in message and "\n" not in message
    cropped = open_source(tmp_path, on_mixed_sizes="crop")
    check_contract(cropped, np.stack([GREY[1:5]] * 3 + [np.full((4, 8), 7, np.uint8)]))
    resized = open_source(tmp_path, on_mixed_sizes="resize")
    check_contract(resized, np.stack([GREY] * 3 + [np.full((6, 8), 7, np.uint8)]))
    with pytest.raises(IsthmusError, match="unknown on_mixed_sizes 'croop'; did you mean 'crop'"):
        open_source(tmp_path, on_mixed_sizes="croop")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [GREY, COLOUR, CLEAR, DEEP, FLOAT, DEEP.astype(np.int32)])
def test_every_mode_is_resized_and_turned(tmp_path: Path, value: Any) -> None:
    flat = np.full_like(value, value.flat[0] if value.ndim == 2 else 200)
    suffix = "tif" if value.dtype.kind in "fi" else "png"
    for i, part in enumerate((flat, flat[:4], flat[:2, :6])):
        save(part, tmp_path / f"{i}.{suffix}")
    source = open_source(tmp_path, on_mixed_sizes="resize")
    assert source.shape == (3, 4, 8, *value.shape[2:])  # the medians: no size is that of most
    np.testing.assert_allclose(source.take([0, 1, 2]), np.stack([flat[:4]] * 3), rtol=1e-6)


def test_damaged_images_are_named(tmp_path: Path) -> None:
    for i in range(3):
        save(RNG.integers(0, 255, (40, 40)).astype(np.uint8), tmp_path / f"{i}.png")
    whole = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(whole[:-600])  # its header is fine
    source = open_source(tmp_path)
    with pytest.raises(IsthmusError, match=r"1\.png cannot be read as an image: .*truncated") as caught:
        source.take([0, 1, 2])
    assert "\n" not in str(caught.value)
    (tmp_path / "1.png").unlink()
    with pytest.raises(IsthmusError, match=r"1\.png cannot be read as an image: No such file"):
        source.take([1])
    for content in (b"", b"not an image", whole[:20]):
        (tmp_path / "1.png").write_bytes(content)
        with pytest.raises(IsthmusError, match=r"1\.png cannot be read as an image"):
            open_source(tmp_path)
    save(GREY, tmp_path / "1.png")
    with pytest.raises(IsthmusError, match=r"1\.png .*8×6 now and was 40×40 before"):
        source.take([1])


DEEP_COLOUR = RNG.integers(0, 65535, (6, 8, 4)).astype(np.uint16)
BANDS = RNG.integers(0, 255, (6, 8, 5)).astype(np.uint8)


def deep_png(pixels: np.ndarray, path: Path, *, interlaced: bool = False, key: Any = None) -> None:
    """A PNG of 16 bits a channel, with every row filter; Pillow writes grey ones only."""
    h, w, c = pixels.shape
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    data = bytearray()
    for x, y, dx, dy in passes if interlaced else [(0, 0, 1, 1)]:
        part = pixels[y::dy, x::dx]
        above = np.zeros((part.shape[1] * 2 * c,), int)
        for number, line in enumerate(part.astype(">u2")) if part.size else ():
            row = np.frombuffer(line.tobytes(), np.uint8).astype(int)
            left, corner = (np.concatenate([np.zeros(2 * c, int), v])[: len(row)] for v in (row, above))
            guess = left + above - corner
            a, b, d = abs(guess - left), abs(guess - above), abs(guess - corner)
            paeth = np.where((a <= b) & (a <= d), left, np.where(b <= d, above, corner))
            filters = [0 * row, left, above, (left + above) // 2, paeth]
            data += bytes([number % 5]) + ((row - filters[number % 5]) % 256).astype(np.uint8).tobytes()
            above = row

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", w, h, 16, {2: 4, 3: 2, 4: 6}[c], 0, 0, interlaced)
    transparent = b"" if key is None else chunk(b"tRNS", np.array(key, ">u2").tobytes())
    parts = [chunk(b"IHDR", header), transparent, chunk(b"IDAT", zlib.compress(bytes(data))), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def tiff(pixels: np.ndarray, path: Path, **options: Any) -> None:
    colours = {"photometric": "rgb"} if pixels.shape[2:] in ((3,), (4,)) else {"photometric": "minisblack"}
    tifffile.imwrite(path, pixels, **(colours | {"planarconfig": "contig"} if pixels.ndim == 3 else {}) | options)


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"compression": "zlib", "predictor": True}])
@pytest.mark.parametrize("alpha", [False, True])
def test_16_bits_a_channel_in_tiff(check_contract: Any, tmp_path: Path, alpha: bool, options: dict[str, Any]) -> None:
    pixels = DEEP_COLOUR if alpha else DEEP_COLOUR[..., :3]
    tiff(pixels, tmp_path / "1.tif", extrasamples=["unassalpha"] if alpha else None, **options)
    tiff(pixels[::-1], tmp_path / "2.tif", extrasamples=["unassalpha"] if alpha else None, **options)
    check_contract(open_source(tmp_path), np.stack([pixels, pixels[::-1]]))
    check_contract(open_source(tmp_path / "1.tif"), pixels[None])


@pytest.mark.parametrize("interlaced", [False, True])
def test_16_bits_a_channel_in_png(check_contract: Any, tmp_path: Path, interlaced: bool) -> None:
    colour, clear, grey = DEEP_COLOUR[..., :3], DEEP_COLOUR, DEEP_COLOUR[..., :2]
    deep_png(colour, tmp_path / "1.png", interlaced=interlaced)
    check_contract(open_source(tmp_path), colour[None])
    deep_png(clear, tmp_path / "2.png", interlaced=interlaced)
    deep_png(grey, tmp_path / "3.png", interlaced=interlaced)
    deep_png(colour, tmp_path / "4.png", interlaced=interlaced, key=colour[2, 3])
    save(DEEP, tmp_path / "5.png")
    opaque = np.full((6, 8), 65535, np.uint16)
    hole = opaque.copy()
    hole[(colour == colour[2, 3]).all(-1)] = 0
    expected = [np.dstack([colour, opaque]), clear, grey[..., [0, 0, 0, 1]], np.dstack([colour, hole]),
                np.dstack([DEEP, DEEP, DEEP, opaque])]  # fmt: skip
    check_contract(open_source(tmp_path), np.stack(expected))
    np.testing.assert_array_equal(open_source(tmp_path, image_mode="rgb").take([0])[0], colour >> 8)
    (tmp_path / "5.png").unlink()
    save(COLOUR, tmp_path / "6.png")
    with pytest.warns(IsthmusWarning, match=r"16 bits a channel, as .*\.png, are read at 8 bits"):
        mixed = open_source(tmp_path)
    np.testing.assert_array_equal(mixed.take([0])[0], np.dstack([colour, opaque]) >> 8)


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "int32", "uint32", "float16", "float32", "float64"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("turned", [False, True])
def test_every_depth_of_tiff_alone_and_in_a_folder(
    check_contract: Any, tmp_path: Path, dtype: str, byteorder: Any, turned: bool
) -> None:
    raw = RNG.integers(0, 256, (6, 8, 8)).astype(np.uint8)
    grey = raw.view(dtype)[..., 0] if dtype[0] != "f" else RNG.normal(size=(6, 8)).astype(dtype)  # all values that are
    tags = [(274, "H", 1, 6, True)] if turned else []
    tifffile.imwrite(tmp_path / "1.tif", grey, byteorder=byteorder, extratags=tags, metadata=None)
    upright = np.rot90(grey, 3) if turned else grey
    check_contract(open_source(tmp_path), upright[None])
    check_contract(open_source(tmp_path / "1.tif"), upright[None])


def test_bands_that_are_no_colours(check_contract: Any, tmp_path: Path) -> None:
    for bands, photometric in ((BANDS, "minisblack"), (BANDS, "rgb"), (BANDS[..., :4], "rgb"), (BANDS * 1.0, "rgb")):
        extra = ["unspecified"] * (bands.shape[-1] - (3 if photometric == "rgb" else 1))
        tiff(bands, tmp_path / "1.tif", photometric=photometric, extrasamples=extra)
        check_contract(open_source(tmp_path), bands[None])
        check_contract(open_source(tmp_path / "1.tif"), bands[None])
    with pytest.raises(IsthmusError, match=r"1\.tif has values of float64 with 5 channels, .* cannot hold"):
        open_source(tmp_path, image_mode="rgb")
    small = np.full((3, 8, 5), 77, np.uint8)
    tiff(BANDS, tmp_path / "1.tif", photometric="minisblack", extrasamples=["unspecified"] * 4)
    tiff(small, tmp_path / "2.tif", photometric="minisblack", extrasamples=["unspecified"] * 4)
    np.testing.assert_array_equal(open_source(tmp_path, on_mixed_sizes="crop").take([0])[0], BANDS[1:4])
    resized = open_source(tmp_path, on_mixed_sizes="resize")
    np.testing.assert_array_equal(resized.take([1])[0], np.full(resized.shape[1:], 77, np.uint8))


def test_what_pillow_would_shorten_is_refused_without_tifffile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiff(BANDS, tmp_path / "1.tif", photometric="rgb", extrasamples=["unspecified"] * 2)
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(IsthmusError, match=r"1\.tif, whose values .* pip install 'isthmus\[formats\]'$"):
        open_source(tmp_path)


def test_tiff_stacks_in_a_folder_are_their_images(check_contract: Any, tmp_path: Path) -> None:
    stack = RNG.integers(0, 255, (5, 6, 8)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "2.tif", stack)
    tifffile.imwrite(tmp_path / "4.tif", stack + 1, imagej=True)
    for name in ("1.png", "3.png", "5.png"):
        save(GREY, tmp_path / name)
    source = open_source(tmp_path)
    check_contract(source, np.concatenate([GREY[None], stack, GREY[None], stack + 1, GREY[None]]))
    assert source.location(2).endswith("2.tif") and source.location(12) == str(tmp_path / "5.png")
    tifffile.imwrite(tmp_path / "6.tif", stack[:, 1:])
    with pytest.raises(IsthmusError, match=r"of shape \(6, 8\) and uint8 .* and of \(5, 8\) and uint8 .*6\.tif"):
        open_source(tmp_path)


def test_formats_beside_one_another(tmp_path: Path) -> None:
    save(GREY, tmp_path / "1.png")
    save(GREY, tmp_path / "2.jfif", format="JPEG", quality=100)
    save(GREY, tmp_path / "3.gif")
    assert len(open_source(tmp_path)) == 3
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    for name in ("4.gif", "5.png", "6.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        assert open_source(tmp_path / name).shape == (2, 6, 8, 3)
    (tmp_path / "7.heic").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("")
    with pytest.warns(IsthmusWarning, match=r"passed over.*: 1 \.heic, 3 animations, as .*4\.gif$"):
        assert len(open_source(tmp_path)) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    for folder in (b"\xe9t\xe9", b"hiver"):
        save(GREY, tmp_path / os.fsdecode(folder) / os.fsdecode(b"caf\xe9.png"))
    source = open_source(tmp_path)
    np.testing.assert_array_equal(source.take([0, 1]), [GREY, GREY])
    assert source.labels.tolist() == ["hiver", "\\xe9t\\xe9"]
    assert source.location(1) == rf"{tmp_path}/\xe9t\xe9/caf\xe9.png"
    assert open_source(source.paths[1].parent).name == rf"{tmp_path}/\xe9t\xe9"


def test_images_that_pillow_takes_for_an_attack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # 48 pixels are more than twice as many
    Image.fromarray(GREY).save(tmp_path / "1.png")
    tifffile.imwrite(tmp_path / "2.tif", GREY)
    deep_png(DEEP_COLOUR, tmp_path / "deep.png")
    for name in ("1.png", "2.tif"):
        np.testing.assert_array_equal(open_source(tmp_path / name).take([0])[0], GREY)
    assert open_source(tmp_path / "deep.png")[0].shape == (6, 8, 4)
    assert open_source(tmp_path, on_mixed_sizes="keep")[0].shape == (6, 8)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_real_folders(real_data: Path) -> None:
    cifar = open_source(real_data / "cifar10")
    assert cifar.shape == (10_000, 32, 32, 3) and cifar.dtype == np.uint8
    assert dict(zip(*np.unique(cifar.labels, return_counts=True), strict=True))["truck"] == 1000
    assert open_source(real_data / "bsd400").shape == (400, 180, 180)
    photographs = real_data / "bsds500"
    with pytest.raises(IsthmusError, match=r"read them with .*on_mixed_sizes"):
        open_source(photographs)
    assert open_source(photographs, on_mixed_sizes="crop").shape == (200, 321, 321, 3)
    assert open_source(photographs, on_mixed_sizes="resize").take([0]).shape == (1, 321, 481, 3)


@pytest.mark.parametrize("written", [{"imagej": True}, {"truncate": True}], ids=["ImageJ", "one page"])
def test_a_stack_in_one_page_is_a_stack(tmp_path: Path, written: dict[str, bool]) -> None:
    tifffile = pytest.importorskip("tifffile")
    stack = np.random.default_rng(0).integers(0, 255, (5, 6, 7), np.uint8)
    tifffile.imwrite(tmp_path / "stack.tif", stack, **written)
    np.testing.assert_array_equal(open_source(tmp_path / "stack.tif").take(range(5)), stack)
