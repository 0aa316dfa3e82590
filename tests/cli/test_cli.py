"""The command line as a user types it: mostly in this process, which has torch already, and now and then in its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.cli.commandline import ask

from isthmus.files import WORKPLACE
from isthmus.registry import bottlenecks, corruptions, networks, objectives, upsamplings

COMMANDS = (
    "train", "reconstruct", "embed", "similar", "evaluate", "export", "train-codec", "compress", "decompress",
    "verify", "train-denoiser", "denoise", "map", "info", "report", "explore",
)  # fmt: skip
TRAIN = ["--epochs", "2", "--quiet"]


def isthmus(*arguments: Any, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in this process."""
    with contextlib.chdir(cwd or Path.cwd()):
        said = ask(*arguments)
    return subprocess.CompletedProcess(arguments, said.status, said.out, said.err)


def process(*arguments: Any, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    environment = {**os.environ, "COLUMNS": "300", "NO_COLOR": "1", "TERM": "dumb"}
    return subprocess.run(
        [sys.executable, "-m", "isthmus", *map(str, arguments)],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "digits-4"
    done = process("train", "digits", "--latent-dim", "4", *TRAIN, "-o", folder)
    assert done.returncode == 0, done.stderr
    assert str(folder / "report.html") in done.stdout
    assert "PCA" in done.stdout
    return folder


def test_training_writes_a_model_and_a_report(model: Path) -> None:
    names = {path.name for path in model.iterdir()}
    assert {"config.json", "training.jsonl", "README.md", "report.html", "figures"} <= names
    assert "checkpoint.safetensors" not in names
    for line in (model / "training.jsonl").read_text().splitlines():
        assert json.loads(line)["loss"] > 0


def test_info(model: Path) -> None:
    done = isthmus("info", model)
    assert done.returncode == 0
    assert "convolutional" in done.stdout
    assert "8 × 8" in done.stdout


def test_embed_to_parquet_and_npy(model: Path, tmp_path: Path) -> None:
    assert isthmus("embed", model, "digits:test", "-o", tmp_path / "z.parquet").returncode == 0
    assert isthmus("embed", model, "digits:test", "-o", tmp_path / "z.npy").returncode == 0
    import pyarrow.parquet as pq

    table = pq.read_table(tmp_path / "z.parquet").to_pydict()
    assert list(table) == ["sample", "label", "code_0", "code_1", "code_2", "code_3"]
    codes = np.load(tmp_path / "z.npy")
    assert codes.shape == (297, 4)
    np.testing.assert_array_equal(codes[:, 2], np.float32(table["code_2"]))


def test_reconstruct_an_array(model: Path, tmp_path: Path) -> None:
    assert isthmus("reconstruct", model, "digits:test", "-o", tmp_path / "x.npy").returncode == 0
    rebuilt = np.load(tmp_path / "x.npy")
    assert rebuilt.shape == (297, 8, 8)
    assert rebuilt.dtype == np.uint8


def test_a_folder_of_images_comes_back_as_a_folder(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for kind, suffix in [("cat", "png"), ("dog", "jpg"), ("dog", "webp")]:
        (tmp_path / "photos" / kind).mkdir(parents=True, exist_ok=True)
        for i in range(4):
            Image.fromarray(rng.integers(0, 256, (15, 13, 3), np.uint8)).save(
                tmp_path / "photos" / kind / f"{i}.{suffix}"
            )
    done = isthmus("train", "photos", "--latent-dim", "3", *TRAIN, "-o", "model", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = isthmus("reconstruct", "model", "photos", "-o", "rebuilt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    before, after = (
        {p.relative_to(tmp_path / top) for p in (tmp_path / top).rglob("*.*")} for top in ("photos", "rebuilt")
    )
    assert before == after
    with Image.open(tmp_path / "rebuilt/cat/0.png") as image:
        assert image.size == (13, 15)


def test_report_on_other_data(model: Path, tmp_path: Path) -> None:
    done = isthmus("report", model, "digits:test", "--train", "digits", "-o", tmp_path / "r")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "r" / "report.html").stat().st_size > 10_000


def test_export(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    done = isthmus("export", model, "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "encoder.onnx").exists()
    assert (tmp_path / "decoder.onnx").exists()


def test_data_list() -> None:
    done = isthmus("data", "list")
    assert done.returncode == 0
    assert "fashion-mnist" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["train"], 2, "Missing argument"),
        (["train", "digits", "--latent-dimm", "4"], 2, "did you mean --latent-dim?"),
        (["train", "digits", "--lossless"], 2, "there is no option --lossless"),
        (["train", "digits", "--task", "codec", "--lossless"], 2, "isthmus train-codec DATA"),
        (["train", "digits", "--task=denoise"], 2, "isthmus train-denoiser DATA"),
        (["train", "digits", "--task", "codek"], 2, "did you mean 'codec'"),
        (["trian", "digits"], 2, "Did you mean 'train'"),
        (["train", "digits", "--upsample", "neares"], 2, "did you mean 'nearest'"),
        (["train", "digits", "--objective", "mse=x"], 2, "not a number"),
        (["train", "digits", "--objective", "msee"], 2, "ms-ssim"),
        (["train", "digits", "--latent-dim", "ten"], 2, "integer"),
        (["train", "digits", "--epochs", "1", "--minutes", "1"], 2, "not both"),
        (["train", "digits", "--hidden", "a,b"], 2, "integers"),
        (["train", "no-such-data", "-o", "m"], 1, "no-such-data"),
        (["train", "minst", "-o", "m"], 1, "mnist"),
        (["info", "no-such-model"], 1, "does not exist"),
        (["embed", "no-such-model", "digits", "-o", "z.txt"], 2, ".parquet"),
        (["reconstruct", "no-such-model", "digits", "-o", "z.npy"], 1, "does not exist"),
        (["data", "fetch", "minst"], 1, "mnist"),
        (["fly"], 2, "No such command"),
    ],
)
def test_misuse_is_one_clear_message(tmp_path: Path, arguments: list[str], status: int, message: str) -> None:
    done = isthmus(*arguments, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("isthmus: ")
    assert done.stderr.count("\n") == 1
    assert not any(tmp_path.iterdir()), "a failed command leaves nothing behind"


@pytest.mark.parametrize(("arguments", "status"), [(["train"], 2), (["info", "no-such-model"], 1)])
def test_a_process_ends_with_the_same_message_and_status(arguments: list[str], status: int) -> None:
    done, expected = process(*arguments), isthmus(*arguments)
    assert done.returncode == expected.returncode == status
    assert done.stderr == expected.stderr


def test_nothing_is_overwritten_unless_asked(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    for more in ([], ["--overwrite"], ["--resume"]):
        done = isthmus("train", "digits", *TRAIN, "-o", tmp_path / "mine", *more)
        assert done.returncode == 1, done.stdout
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_what_a_killed_run_left_is_no_dead_end(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / f"{WORKPLACE}dead").mkdir()
    (folder / f"{WORKPLACE}dead" / "checkpoint.safetensors").write_bytes(b"half")
    (folder / ".checkpoint.safetensors.abc.safetensors").write_bytes(b"half")  # of an earlier version
    done = isthmus("train", "digits", *TRAIN, "--no-report", "-o", folder)
    assert done.returncode == 0, done.stderr
    assert not [*folder.glob(f"{WORKPLACE}*"), *folder.glob(".checkpoint*")]
    done = isthmus("train", "digits", *TRAIN, "-o", folder, "--resume")
    assert done.returncode == 1
    assert "finished" in done.stderr


def test_resuming_what_never_began_begins(tmp_path: Path) -> None:
    done = isthmus("train", "digits", *TRAIN, "--no-report", "-o", tmp_path / "m", "--resume")
    assert done.returncode == 0, done.stderr
    assert "from the beginning" in done.stderr


def test_test_data_of_another_shape_are_refused_before_training(tmp_path: Path) -> None:
    np.save(tmp_path / "other.npy", np.zeros((5, 3, 3), np.uint8))
    done = isthmus("train", "digits", "--test", tmp_path / "other.npy", "-o", tmp_path / "m")
    assert done.returncode == 1
    assert "other.npy" in done.stderr
    assert not (tmp_path / "m").exists()


def test_help_names_every_choice() -> None:
    text = " ".join(isthmus("train", "--help").stdout.replace("│", " ").split())
    for registry in (networks, upsamplings, objectives, corruptions, bottlenecks):
        assert ", ".join(registry.names()) in text


@pytest.mark.parametrize(
    "command",
    [*COMMANDS, "data list", "data fetch"],
)
def test_every_help_has_an_example(command: str) -> None:
    done = isthmus(*command.split(), "--help")
    assert done.returncode == 0
    assert f"isthmus {command}" in done.stdout.split("Example")[1]


def test_help_does_not_wait_for_torch() -> None:
    code = "import sys; sys.argv = ['isthmus', 'train', '--help']\nfrom isthmus.cli import main\n"
    code += "try: main()\nexcept SystemExit: pass\nassert not {'torch', 'sklearn', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
