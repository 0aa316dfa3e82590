"""`isthmus train-codec`, compress, decompress, verify and info, as a user types them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.cli.commandline import run

from isthmus import datasets

DIGITS = datasets.load("digits")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "digits-codec"
    status, said = run("train-codec", "digits", "--lossless", "--epochs", 2, "-q", "-o", folder)
    assert status == 0 and "bits per value" in said
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images of several kinds, in sub-folders, and files that are none."""
    folder, rng = tmp_path_factory.mktemp("data") / "photos", np.random.default_rng(0)
    (folder / "grey ones").mkdir(parents=True)
    for i, image in enumerate(DIGITS.test.images[:5]):
        Image.fromarray(image).save(folder / "grey ones" / f"{i}.png")
    colours = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    for name in ("a.bmp", "b.tif", "c.webp", "d.jpg"):
        options: dict[str, Any] = {"lossless": True} if name == "c.webp" else {}
        Image.fromarray(colours).save(folder / name, **options)
    Image.fromarray(rng.integers(0, 65536, (9, 9)).astype(np.uint16)).save(folder / "deep.png")
    Image.fromarray(rng.random((9, 9), np.float32)).save(folder / "float.tif")
    (folder / "broken.png").write_bytes(b"no image")
    (folder / "empty.txt").write_bytes(b"")
    return folder


def pixels(path: Path) -> np.ndarray | bytes:
    try:
        with Image.open(path) as image:
            return np.asarray(image)
    except OSError:
        return path.read_bytes()


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("embed", [True, False])
def test_a_folder_comes_back_as_a_folder(model: Path, photos: Path, tmp_path: Path, embed: bool) -> None:
    archive, back = tmp_path / "photos.isth", tmp_path / "back"
    status, said = run("compress", model, photos, "-o", archive, *(["--embed-model"] if embed else []))
    assert status == 0 and "13 samples" in said
    assert run("verify", archive, *([] if embed else ["--model", model]))[0] == 0
    status, said = run("decompress", archive, "-o", back, *([] if embed else ["--model", model]))
    assert status == 0, said
    assert files(back) == files(photos)
    for name in files(photos):
        np.testing.assert_array_equal(pixels(back / name), pixels(photos / name), err_msg=name)
    status, said = run("info", archive)
    assert status == 0 and "13 in" in said and "digits-codec" in said


def test_arrays_come_back_as_arrays(model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", DIGITS.test.images[:50])
    archive = tmp_path / "all.isth"
    assert run("compress", model, "digits:test", tmp_path / "mine.npy", "-o", archive)[0] == 0
    assert run("decompress", archive, "--model", model, "-o", tmp_path / "back")[0] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "back" / "digits-test.npy"), DIGITS.test.images)
    np.testing.assert_array_equal(np.load(tmp_path / "back" / "mine.npy"), DIGITS.test.images[:50])


def test_the_model_is_found_beside_the_archive(model: Path, tmp_path: Path) -> None:
    archive = model.parent / "beside.isth"
    assert run("compress", model, "digits:test", "-o", archive)[0] == 0
    assert run("verify", archive)[0] == 0
    moved = archive.rename(tmp_path / "elsewhere.isth")
    status, said = run("verify", moved)
    assert status == 1 and "'digits-codec'" in said and "--model" in said


def test_damage_is_listed_and_the_rest_comes_back(model: Path, photos: Path, tmp_path: Path) -> None:
    archive, back = tmp_path / "photos.isth", tmp_path / "back"
    run("compress", model, photos, "-o", archive)
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 64
    archive.write_bytes(data)
    status, said = run("decompress", archive, "--model", model, "-o", back)
    assert status == 1 and "damaged" in said
    assert 6 <= len(files(back)) < 13
    assert run("verify", archive, "--model", model)[0] == 1
    assert "damaged" in run("info", archive)[1]


def test_nothing_is_overwritten_unless_asked(model: Path, photos: Path, tmp_path: Path) -> None:
    archive, back = tmp_path / "photos.isth", tmp_path / "back"
    assert run("compress", model, photos, "-o", archive)[0] == 0
    status, said = run("compress", model, photos, "-o", archive)
    assert status == 1 and "--overwrite" in said
    back.mkdir()
    (back / "a.bmp").write_bytes(b"mine")
    status, said = run("decompress", archive, "--model", model, "-o", back)
    assert status == 1 and "a.bmp exists" in said
    assert (back / "a.bmp").read_bytes() == b"mine" and len(files(back)) == 13
    assert run("decompress", archive, "--model", model, "-o", back, "--overwrite")[0] == 0
    assert (back / "a.bmp").read_bytes() != b"mine"


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "C:\\evil.txt", "a/../../evil.txt"])
def test_an_archive_cannot_write_outside_its_folder(model: Path, tmp_path: Path, name: str) -> None:
    from isthmus import Codec
    from isthmus.compression.coding.chunks import Member

    archive = tmp_path / "evil.isth"
    with archive.open("wb") as file:
        Codec.load(model).write(file, [Member(None, (name, "txt"), b"evil")], name="m")
    status, said = run("decompress", archive, "--model", model, "-o", tmp_path / "back")
    assert status == 1 and "outside" in said
    assert not list(tmp_path.rglob("evil.txt"))


def test_the_wrong_model_and_other_files_are_refused(model: Path, photos: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert run("train-codec", "digits", "--lossless", "--epochs", 1, "--seed", 1, "-q", "-o", other)[0] == 0
    archive = tmp_path / "digits.isth"
    run("compress", model, "digits:test", "-o", archive)
    status, said = run("decompress", archive, "--model", other, "-o", tmp_path / "back")
    assert status == 1 and "give that one" in said
    status, said = run("verify", photos / "a.bmp")
    assert status == 1 and "not an isthmus archive" in said
    assert run("compress", tmp_path / "none", photos, "-o", tmp_path / "x.isth")[0] == 1
    assert not (tmp_path / "x.isth").exists()


@pytest.mark.parametrize("option", ["--mixed-sizes=crop", "--latent-dim=3", "--test=digits", "--noise=gaussian:0.1"])
def test_options_of_other_applications_are_refused(option: str, tmp_path: Path) -> None:
    status, said = run("train-codec", "digits", option, "-o", tmp_path / "model")
    assert status == 2 and said.startswith("isthmus: there is no option")
    assert not (tmp_path / "model").exists()


def test_an_objective_is_for_lossy_codecs(tmp_path: Path) -> None:
    status, said = run("train-codec", "digits", "--lossless", "--objective", "mse", "-o", tmp_path / "model")
    assert status == 2 and "lossy" in said
    status, said = run("train-codec", "digits", "--objective", "ms-sim", "-o", tmp_path / "model")
    assert status == 1 and "did you mean 'ms-ssim'" in said
    assert not (tmp_path / "model").exists()


def test_info_describes_a_codec(model: Path) -> None:
    status, said = run("info", model)
    assert status == 0 and "lossless, levels" in said


def test_lossy_archives_have_a_dial(tmp_path: Path) -> None:
    model, sizes = tmp_path / "lossy", []
    assert run("train-codec", "digits", "--epochs", 1, "-q", "-o", model)[0] == 0
    for quality in (1, 100):
        archive = tmp_path / f"{quality}.isth"
        assert run("compress", model, "digits:test", "-o", archive, "--quality", quality)[0] == 0
        assert run("verify", archive)[0] == 0
        sizes.append(archive.stat().st_size)
    assert sizes[0] < sizes[1]
    middle = (sizes[0] + sizes[1]) // 2
    target = tmp_path / "target.isth"
    status, said = run("compress", model, "digits:test", "-o", target, "--target-bytes", middle)
    assert status == 0, said
    assert target.stat().st_size < sizes[1]
    assert run("decompress", target, "-o", tmp_path / "back")[0] == 0
    assert np.load(tmp_path / "back" / "digits-test.npy").shape == DIGITS.test.images.shape
    status, said = run("compress", model, "digits:test", "-o", tmp_path / "x.isth", "--quality", 101)
    assert status == 1 and "from 1 to 100" in said


def test_an_archive_in_its_own_folder_does_not_hold_itself(model: Path, tmp_path: Path) -> None:
    folder, archive = tmp_path / "in", tmp_path / "in" / "all.isth"
    folder.mkdir()
    Image.fromarray(DIGITS.test.images[0]).save(folder / "a.png")
    for _ in range(2):
        assert run("compress", model, folder, "-o", archive, "--overwrite")[0] == 0
    assert run("decompress", archive, "--model", model, "-o", tmp_path / "out")[0] == 0
    assert files(tmp_path / "out") == {"a.png"}
