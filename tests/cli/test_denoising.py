"""`isthmus denoise` and `isthmus train-denoiser`, as a user types them."""

from __future__ import annotations

import builtins
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from scipy.io import wavfile
from tests.cli.commandline import run

from isthmus import Denoiser

QUICK = ("--size", "small", "-q")


def picture(seed: int, height: int = 60, width: int = 70) -> np.ndarray:
    """Waves, float64 from 0 to 255."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 60
    return 128 + 90 * np.sin(2 * np.pi * (rng.uniform(0.5, 2) * x + rng.uniform(0.5, 2) * y))


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noisy images of many kinds, and one that is none."""
    folder, rng = tmp_path_factory.mktemp("data") / "noisy", np.random.default_rng(0)
    (folder / "deeper").mkdir(parents=True)
    for i in range(8):
        values = np.clip(picture(i) + 25 * rng.standard_normal((60, 70)), 0, 255).round().astype(np.uint8)
        Image.fromarray(values).save(folder / f"{i}.png")
    text = PngInfo()
    text.add_text("Comment", "a day at sea")
    Image.fromarray(values).save(folder / "deeper" / "text.png", pnginfo=text, dpi=(300, 300))
    Image.fromarray(values.astype(np.uint16) * 257).save(folder / "deep.tif", compression="tiff_lzw")
    Image.fromarray(np.dstack([values] * 3 + [np.full_like(values, 99)])).save(folder / "see-through.png")
    Image.fromarray(np.dstack([values] * 3)).save(folder / "colour.jpg")
    Image.fromarray(values[:1, :1]).save(folder / "one.bmp")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    np.save(folder / "gaps.npy", np.where(rng.random((40, 40)) < 0.1, np.nan, 1.0))
    return folder


def test_a_folder_is_cleaned_by_what_is_learned_from_it(noisy: Path, tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    status, said = run("denoise", noisy, "-o", clean, "--epochs", 20, "--save-model", tmp_path / "m", *QUICK)
    assert status == 1 and "broken.png cannot be read" in said and "missing values left as they are" in said
    assert "Traceback" not in said
    files = {p.relative_to(noisy) for p in noisy.rglob("*") if p.is_file()}
    assert {p.relative_to(clean) for p in clean.rglob("*") if p.is_file()} == files - {Path("broken.png")}
    gaps = [np.isnan(np.load(folder / "gaps.npy")) for folder in (noisy, clean)]
    assert gaps[0].any() and np.array_equal(*gaps)
    before, after = (
        np.mean([((np.asarray(Image.open(f / f"{i}.png"), float) - picture(i)) ** 2).mean() for i in range(8)])
        for f in (noisy, clean)
    )
    assert after < 0.3 * before
    for name in ("deep.tif", "see-through.png", "colour.jpg", "one.bmp", "deeper/text.png"):
        old, new = Image.open(noisy / name), Image.open(clean / name)
        assert (old.mode, old.size, old.format) == (new.mode, new.size, new.format)
        assert old.info.get("dpi") == new.info.get("dpi") and old.info.get("compression") == new.info.get("compression")
    assert Image.open(clean / "deeper" / "text.png").text["Comment"] == "a day at sea"  # type: ignore[attr-defined]
    assert (np.asarray(Image.open(clean / "see-through.png"))[..., 3] == 99).all()
    assert (tmp_path / "clean-before-after.png").is_file()

    status, said = run("denoise", noisy, "-o", clean, *QUICK)
    assert status == 1 and "--overwrite" in said
    status, said = run("info", tmp_path / "m")
    assert status == 0 and "gaussian:" in said
    one = tmp_path / "one.png"
    assert run("denoise", tmp_path / "m", noisy / "0.png", "-o", one)[0] == 0
    assert np.array_equal(np.asarray(Image.open(one)), np.asarray(Image.open(clean / "0.png")))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that learned in a moment."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    waves = np.stack([picture(i, 16, 16) for i in range(64)]).astype(np.uint8)
    return Denoiser("gaussian:0.1", size="small", epochs=2, random_state=0).fit(waves).save(folder)


def test_one_bad_file_of_a_thousand(tiny: Path, tmp_path: Path) -> None:
    noisy, clean = tmp_path / "noisy", tmp_path / "clean"
    noisy.mkdir()
    for i in range(1000):
        Image.fromarray(picture(i, 16, 16).astype(np.uint8)).save(noisy / f"{i}.png")
    whole = (noisy / "517.png").read_bytes()
    (noisy / "517.png").write_bytes(whole[: len(whole) // 2])
    status, said = run("denoise", tiny, noisy, "-o", clean, "-q")
    assert status == 1 and "999 of 1,000 files" in said and "Traceback" not in said
    assert [line for line in said.splitlines() if "cannot be read" in line] == [
        line for line in said.splitlines() if "517.png" in line
    ]
    written = {path.name: path.read_bytes() for path in clean.iterdir()}
    assert set(written) == {f"{i}.png" for i in range(1000) if i != 517}

    status, said = run("denoise", tiny, noisy, "-o", clean, "-q")
    assert status == 1 and "--overwrite" in said
    assert {path.name: path.read_bytes() for path in clean.iterdir()} == written


def test_deviations_are_written_beside(tiny: Path, tmp_path: Path) -> None:
    noisy, model = tmp_path / "noisy", Denoiser.load(tiny)
    (noisy / "deeper").mkdir(parents=True)
    grey = picture(0, 20, 30).astype(np.uint8)
    Image.fromarray(grey).save(noisy / "deeper" / "grey.png")
    np.save(noisy / "colour.npy", np.dstack([grey] * 3))
    status, said = run("denoise", tiny, noisy, "-o", tmp_path / "clean", "--std", tmp_path / "std", "-q")
    assert status == 0, said
    for name, image in (("deeper/grey.png.npy", grey), ("colour.npy", np.dstack([grey] * 3))):
        std = np.load(tmp_path / "std" / name)
        assert std.dtype == np.float32
        np.testing.assert_allclose(std, model.denoise([image], return_std=True)[1][0], rtol=1e-5)

    one, stack = noisy / "deeper" / "grey.png", tmp_path / "stack.npy"
    assert run("denoise", tiny, one, "-o", tmp_path / "one.png", "--std", tmp_path / "one.npy", "-q")[0] == 0
    assert np.load(tmp_path / "one.npy").shape == (20, 30)
    np.save(stack, np.stack([grey, grey[::-1]]))
    assert run("denoise", tiny, stack, "-o", tmp_path / "a.npy", "--std", tmp_path / "b.npy", "-q")[0] == 0
    cleaned, std = model.denoise(np.load(stack), return_std=True)
    assert np.array_equal(np.load(tmp_path / "a.npy"), cleaned)
    np.testing.assert_allclose(np.load(tmp_path / "b.npy"), std, rtol=1e-5)

    status, said = run("denoise", tiny, noisy, "-o", tmp_path / "new", "--std", tmp_path / "std", "-q")
    assert status == 1 and "--overwrite" in said and not (tmp_path / "new").exists()


def test_training_on_clean_data(noisy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    status, said = run("train-denoiser", "digits", "--noise", "gaussian:0-0.3", "--epochs", 2, *QUICK, "-o", folder)
    assert status == 0 and "gaussian:0-0.3" in said
    status, said = run("denoise", folder, "digits:test", "-o", tmp_path / "x.npy")
    assert status == 0 and np.load(tmp_path / "x.npy").shape == (297, 8, 8)


def test_sums_of_corruptions_serve_auto_encoders_too(tmp_path: Path) -> None:
    train = ("train", "digits", "--epochs", 1, "-q", "--no-report", "-o", tmp_path / "m")
    assert run(*train, "--corruption", "poisson:30+gaussian:0.05")[0] == 0
    status, said = run(*train, "--corruption", "poisson:30+gausian:0.05")
    assert status != 0 and "gaussian" in said


def test_signals(tmp_path: Path) -> None:
    rng, t = np.random.default_rng(0), np.arange(2000) / 200
    tones = [np.sin(2 * np.pi * f * t) for f in (1.0, 1.7, 2.3)]
    folder = tmp_path / "noisy"
    folder.mkdir()
    for i, tone in enumerate(tones):
        values = 0.4 * tone + 0.1 * rng.standard_normal(len(t))
        wavfile.write(folder / f"{i}.wav", 8000, (values * 32767).clip(-32768, 32767).astype(np.int16))
    out = tmp_path / "clean"
    status, said = run("denoise", folder, "-o", out, "--epochs", 120, *QUICK)
    assert status == 0 and (tmp_path / "clean-before-after.png").is_file(), said
    for i, tone in enumerate(tones):
        rate, values = wavfile.read(out / f"{i}.wav")
        assert rate == 8000 and values.dtype == np.int16 and values.shape == (2000,)
        assert ((values / 32767 - 0.4 * tone) ** 2).mean() < 0.4 * 0.01

    table = tmp_path / "table.csv"
    np.savetxt(
        table, np.stack(tones, 1) + 0.2 * rng.standard_normal((2000, 3)), "%.6f", ",", header="a,b,c", comments=""
    )
    status, said = run("denoise", table, "-o", tmp_path / "clean.csv", "--epochs", 140, *QUICK)
    assert status == 0, said
    assert (tmp_path / "clean.csv").read_text().startswith("a,b,c\n")
    assert ((np.loadtxt(tmp_path / "clean.csv", delimiter=",", skiprows=1) - np.stack(tones, 1)) ** 2).mean() < 0.02


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere", "-o", "x"), "there is no file or folder 'nowhere'"),
        (("nowhere", "digits", "-o", "x.npy"), "does not exist"),
        (("digits", "-o", "x.npy", "--noise", "gausian"), "gaussian"),
        (("digits", "-o", "x.npy", "--size", "huge"), "large, medium, small"),
        (("model", "digits", "-o", "x.npy", "--minutes", "1"), "without a model"),
        (("digits", "-o", "x.npy", "--std", "y.png"), "must end in .npy"),
        (("digits", "-o", "x.npy", "--std", "x.npy"), "name two places"),
    ],
)
def test_one_clear_line(arguments: tuple, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    status, said = run("denoise", *arguments)
    assert status != 0 and message in " ".join(said.split()) and "Traceback" not in said


def test_a_folder_is_read_at_most_twice(noisy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: Counter[Path] = Counter()

    def counted(opener: Callable[..., Any]) -> Callable[..., Any]:
        def opened(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            if "r" in mode and not isinstance(file, int):
                reads[Path(file)] += 1
            return opener(file, mode, *arguments, **options)

        return opened

    monkeypatch.setattr(builtins, "open", counted(open))  # of Pillow, NumPy and SciPy
    monkeypatch.setattr(io, "open", counted(io.open))  # of pathlib
    status, said = run("denoise", noisy, "-o", tmp_path / "clean", "--epochs", 1, *QUICK)
    assert status == 1
    assert [line.count("broken.png") for line in said.splitlines() if "cannot be read" in line] == [1]
    assert {path: reads[path] for path in noisy.rglob("*.*")} == {
        path: 1 if path.name == "broken.png" else 2 for path in noisy.rglob("*.*")
    }


def test_outputs_are_checked_before_the_work(tmp_path: Path) -> None:
    Image.fromarray(picture(0).astype(np.uint8)).save(tmp_path / "a.png")
    np.save(tmp_path / "s.npy", np.zeros((4, 16, 16)))
    precious = tmp_path / "out-before-after.png"
    precious.write_text("not made by isthmus")
    status, said = run("denoise", tmp_path / "a.png", "-o", tmp_path / "out.png")
    assert status == 1 and "out-before-after.png exists" in said
    assert precious.read_text() == "not made by isthmus"
    for data, output in (("s.npy", "x.png"), ("a.png", "cleaned"), ("a.png", "a.wav"), ("a.png", "a.csv")):
        status, said = run("denoise", tmp_path / data, "-o", tmp_path / output)
        assert status == 2 and "must end in" in said
        assert not (tmp_path / output).exists()
