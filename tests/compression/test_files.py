"""Files to archives and back, in Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.compression.coding.models import MODELS, lossy_model

from isthmus import Codec, datasets
from isthmus.compression.coding.chunks import Member
from isthmus.compression.coding.model import CodecModel
from isthmus.compression.description import archive_facts
from isthmus.compression.files import Packed, Unpacked, pack, unpack, verify

GREY = (np.add.outer(np.arange(40), np.arange(50)) * 2).astype(np.uint8)


def codec_of(model: CodecModel) -> Codec:
    codec = Codec("lossy" if model.kind == "lossy" else "lossless")
    codec.model_ = model
    return codec


def there_and_back(
    inputs: list[Path | str], tmp_path: Path, model: CodecModel = MODELS["grey"]
) -> tuple[Packed, Unpacked]:
    archive = tmp_path / "all.isth"
    packed = pack(codec_of(model), list(map(str, inputs)), archive, embed_model=True)
    assert not verify(archive).problems
    return packed, unpack(archive, tmp_path / "back", hidden=True)


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_folders_come_back_as_folders(tmp_path: Path) -> None:
    images = datasets.load("digits").test.images[:6]
    folder = tmp_path / "digits"
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i}.png")
    (folder / "notes.txt").write_text("six digits")
    codec = Codec(epochs=1, random_state=0).fit(datasets.load("digits").train.images)
    archive = tmp_path / "digits.isth"

    packed = pack(codec, [str(folder)], archive, embed_model=True, name="digits")
    assert (packed.samples, packed.plain_bytes) == (7, images.nbytes + len("six digits"))
    assert archive_facts(archive).samples == 7
    assert verify(archive).samples == 7 and not verify(archive).problems

    unpacked = unpack(archive, tmp_path / "back")
    assert unpacked.samples == 7 and not unpacked.problems
    assert (tmp_path / "back" / "notes.txt").read_text() == "six digits"
    for i, image in enumerate(images):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "back" / f"{i}.png")), image)
    assert len(unpack(archive, tmp_path / "back").problems) == 7, "nothing is overwritten unless asked"


def test_names_that_the_file_system_allows_come_back(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    wanted = {
        "12:30:00.png",
        "a:b.png",
        "C_/a.png",
        "back\\slash.png",
        "x" * 250 + ".png",
        "n\u00e4h.png",
        "\udcff.png",
    }
    for name in wanted | {"C:/a.png"}:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(GREY).save(folder / name) if name != "C_/a.png" else None
    packed, unpacked = there_and_back([folder], tmp_path)
    assert names(tmp_path / "back") == wanted and not unpacked.problems
    assert len(packed.notes) == 2 and "is called 'C_/a.png'" in packed.notes[0], "and the empty folder is named"


def test_inputs_of_one_name_get_two(tmp_path: Path) -> None:
    for place in ("one", "two"):
        (tmp_path / place / "data").mkdir(parents=True)
        Image.fromarray(GREY).save(tmp_path / place / "data" / "a.png")
        np.savez(tmp_path / place / "x.npz", x=np.stack([GREY] * 3), y=np.arange(3), z=np.arange(2))
    data, npz = ([tmp_path / place / name for place in ("one", "two")] for name in ("data", "x.npz"))
    packed, unpacked = there_and_back([*data, *npz, f"{npz[0]}:x"], tmp_path)
    arrays = {"x.npy", "x-labels.npy", "x-2.npy", "x-labels-2.npy", "x-x.npy", "x-x-labels.npy"}
    assert names(tmp_path / "back") == {"data/a.png", "data-2/a.png"} | arrays and not unpacked.problems
    np.testing.assert_array_equal(np.load(tmp_path / "back" / "x-labels.npy"), np.arange(3))
    assert sum("is called" in note for note in packed.notes) == 3 and "1 more of its arrays" in " ".join(packed.notes)


def test_with_loss_a_photograph_comes_back_as_png_unless_the_name_is_taken(tmp_path: Path) -> None:
    folder, exif = tmp_path / "in", Image.Exif()
    folder.mkdir()
    exif[0x0112] = 6
    noise = np.random.default_rng(0).integers(0, 256, (64, 90), dtype=np.uint8)
    for name in ("a.jpg", "b.jpg"):
        Image.fromarray(noise).save(folder / name, quality=95, exif=exif, dpi=(300, 300), comment="told")
    Image.fromarray(noise).save(folder / "c.png")
    Image.fromarray(noise).convert("P").save(folder / "d.png")
    (folder / "b.jpg.png").write_bytes(b"mine")
    packed, unpacked = there_and_back([folder], tmp_path, lossy_model())
    back = tmp_path / "back"
    assert names(back) == {"a.jpg.png", "b.jpg", "b.jpg.png", "c.png", "d.png"} and not unpacked.problems
    with Image.open(back / "a.jpg.png") as image:
        assert image.getexif()[0x0112] == 6 and image.text == {"Comment": "told"}  # type: ignore[attr-defined]
        assert round(image.info["dpi"][0]) == 300
    for name in ("b.jpg", "b.jpg.png", "d.png"):
        assert (back / name).read_bytes() == (folder / name).read_bytes(), name
    assert (back / "c.png").stat().st_size != (folder / "c.png").stat().st_size
    assert "whose name is taken (b.jpg)" in packed.notes[-1] and "palette" in packed.notes[-1]


def test_what_no_archive_should_hold_does_not_keep_the_rest_back(tmp_path: Path) -> None:
    archive, five = tmp_path / "evil.isth", GREY.reshape(20, 20, 5)
    hostile = [
        Member(None, ("../evil", ""), b"evil"),
        Member(GREY[:5], ("no suffix", "")),
        Member(five, ("five channels", "tif")),
        Member(GREY[:6], ("frame.png", "png"), None, {"before": 3}),
        Member(GREY[:7], ("frame.png", "png"), None, {"what": "else", "png": True}),
        Member(GREY[:8], ("x" * 300, "png")),
        Member(GREY[:9], (".", "npy")),
        Member(GREY[:9], ("A.png", "png")),
        Member(GREY[:10], ("A.png", "png")),
    ]
    with archive.open("wb") as file:
        codec_of(MODELS["grey"]).write(file, hostile, embed_model=True)
    unpacked = unpack(archive, tmp_path / "back")
    assert names(tmp_path / "back") == {"no suffix.png", "A.png", "A-2.png"} and unpacked.samples == 3
    assert len(unpacked.problems) == 7 and not list(tmp_path.glob("evil"))
    assert "two files 'A.png'" in unpacked.problems[-1]


def test_nothing_is_left_out_in_silence(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "empty").mkdir(parents=True)
    for name in ("a.jfif", "b.gif", "c.png", ".hidden"):
        Image.fromarray(GREY).save(folder / name, "JPEG" if name == "a.jfif" else "GIF" if name == "b.gif" else "PNG")
    (folder / "link").symlink_to(tmp_path)
    packed, _ = there_and_back([folder], tmp_path)
    assert names(tmp_path / "back") == {"a.jfif", "b.gif", "c.png", ".hidden"}
    assert "of another format (b.gif)" in packed.notes[-1]
    assert [note.rpartition(" is ")[2] for note in packed.notes[:2]] == [
        "an empty folder; left out",
        "a link; left out",
    ]


def test_pillow_bounds_no_image_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    (tmp_path / "in").mkdir()
    Image.fromarray(GREY).save(tmp_path / "in" / "a.png")
    packed = pack(codec_of(MODELS["grey"]), [str(tmp_path / "in")], tmp_path / "all.isth")
    assert packed.plain_bytes == GREY.nbytes and not packed.notes
