"""Models, archives, maps, reports and results are written to a bucket, and read from there, as on a disk."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.cli.commandline import run
from tests.remote.conftest import KEY, SECRET

from isthmus import AutoEncoder, load
from isthmus.errors import IsthmusError
from isthmus.files import atomic_folder, write_text

FEW = ["--epochs", "1", "--quiet"]


def keys(s3: Any, prefix: str) -> list[str]:
    found = s3.client.list_objects_v2(Bucket="data", Prefix=prefix).get("Contents", [])
    return [entry["Key"].removeprefix(prefix) for entry in sorted(found, key=lambda entry: entry["LastModified"])]


@pytest.fixture(scope="module")
def images(s3: Any, digits: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("images") / "digits.npy"
    np.save(path, digits[0][:300])
    return str(s3.upload(path, "digits.npy"))


@pytest.fixture(scope="module")
def model(s3: Any, images: str) -> str:
    """Trained by a command from a bucket into a bucket."""
    folder = "s3://data/model"
    status, said = run("train", images, "--latent-dim", 4, *FEW, "-o", folder)
    assert status == 0 and folder in said, said
    return folder


def test_a_model_in_a_bucket_is_the_model_on_a_disk(s3: Any, images: str, digits: Any, tmp_path: Path) -> None:
    there = AutoEncoder(4, epochs=1, random_state=0).fit(images)
    here = AutoEncoder(4, epochs=1, random_state=0).fit(digits[0][:300])
    assert str(there.save("s3://data/a/model")) == "s3://data/a/model"
    here.save(tmp_path / "model")
    assert {"config.json", "README.md", "training.jsonl"} < set(keys(s3, "a/model/"))
    assert not [name for name in keys(s3, "a/model/") if name.startswith(".")]
    np.testing.assert_array_equal(load("s3://data/a/model").transform(images), here.transform(digits[0][:300]))


def test_the_configuration_comes_after_the_weights(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from isthmus.remote.paths import RemotePath

    sent, upload = [], RemotePath.upload

    def noted(path: RemotePath, file: Path) -> None:
        sent.append(path.name)
        upload(path, file)

    monkeypatch.setattr(RemotePath, "upload", noted)
    AutoEncoder(2, epochs=1, random_state=0).fit(np.eye(20)).save("s3://data/order")
    assert sent[0].startswith("model-") and sent[1:] == ["config.json", "training.jsonl", "README.md"]


def test_a_trained_model_leaves_no_checkpoint_and_no_secret(s3: Any, model: str) -> None:
    names = keys(s3, "model/")
    assert {"config.json", "training.jsonl", "README.md", "report.html"} < set(names)
    assert not [name for name in names if "checkpoint" in name]
    for name in names:
        content = s3.client.get_object(Bucket="data", Key=f"model/{name}")["Body"].read()
        assert SECRET.encode() not in content and KEY.encode() not in content


def test_results_are_those_on_a_disk(s3: Any, images: str, model: str, tmp_path: Path) -> None:
    for name in ("codes.npy", "codes.parquet"):
        for place in ("s3://data/results", tmp_path):
            status, said = run("embed", model, images, "-o", f"{place}/{name}")
            assert status == 0, said
    content = s3.client.get_object(Bucket="data", Key="results/codes.npy")["Body"].read()
    assert content == (tmp_path / "codes.npy").read_bytes()
    table = pq.read_table(io.BytesIO(s3.client.get_object(Bucket="data", Key="results/codes.parquet")["Body"].read()))
    assert table.equals(pq.read_table(tmp_path / "codes.parquet"))
    assert table["sample"][0].as_py() == f"sample 0 of {images}"
    status, said = run("embed", model, images, "-o", "s3://data/results/codes.npy")
    assert status == 1 and "give --overwrite" in said
    assert run("embed", model, images, "-o", "s3://data/results/codes.npy", "--overwrite")[0] == 0


def test_commands_that_write_folders(s3: Any, images: str, model: str, tmp_path: Path) -> None:
    for arguments in (
        ["reconstruct", model, images, "-o", "s3://data/rebuilt.npy"],
        ["embed", model, images, "-o", "s3://data/parts"],
        ["report", model, images, "-o", "s3://data/report"],
        ["map", images, *FEW, "-o", "s3://data/map"],
        ["train-codec", images, "--lossless", *FEW, "-o", "s3://data/codec"],
        ["compress", "s3://data/codec", images, "-o", "s3://data/digits.isth"],
        ["verify", "s3://data/digits.isth"],
        ["decompress", "s3://data/digits.isth", "--model", "s3://data/codec", "-o", "s3://data/unpacked"],
        ["info", model], ["info", images], ["info", "s3://data/digits.isth"],
    ):  # fmt: skip
        status, said = run(*arguments)
        assert status == 0, (arguments, said)
    assert {"report.html", "figures/originals.png"} & set(keys(s3, "report/"))
    assert keys(s3, "parts/") == ["part-00000.parquet"]
    unpacked = np.load(io.BytesIO(s3.client.get_object(Bucket="data", Key="unpacked/digits.npy")["Body"].read()))
    original = np.load(io.BytesIO(s3.client.get_object(Bucket="data", Key="digits.npy")["Body"].read()))
    np.testing.assert_array_equal(unpacked, original)


def test_a_folder_takes_the_place_of_another(s3: Any) -> None:
    for content in ("old", "new"):
        with atomic_folder("s3://data/store") as made:
            made.mkdir()
            (made / content).write_text(content)
            (made / "last").write_text("x")
    assert set(keys(s3, "store/")) == {"new", "last"}


def test_what_fails_is_not_written(s3: Any) -> None:
    with pytest.raises(RuntimeError), atomic_folder("s3://data/failed") as made:
        made.mkdir()
        (made / "a").write_text("a")
        raise RuntimeError
    assert keys(s3, "failed") == []
    with pytest.raises(IsthmusError, match=r"^cannot write s3://nowhere-at-all/a: there is no bucket 'nowhere"):
        write_text("s3://nowhere-at-all/a", "x")
    with pytest.raises(IsthmusError, match=r"^cannot write http://127.0.0.1/a: http:// is for reading"):
        write_text("http://127.0.0.1/a", "x")


def test_a_run_is_resumed_from_a_bucket(s3: Any, digits: Any) -> None:
    X, checkpoint = digits[0][:200], "s3://data/checkpoint.safetensors"
    whole = AutoEncoder(2, epochs=2, random_state=0).fit(X)

    class Killed(Exception):
        pass

    def kill(event: Any) -> None:
        if event.kind == "entry" and event.entry["epoch"] >= 1:
            raise Killed

    with pytest.raises(Killed):
        AutoEncoder(2, epochs=2, random_state=0).fit(X, checkpoint=checkpoint, checkpoint_seconds=0, listeners=[kill])
    assert "checkpoint.safetensors" in keys(s3, "")
    resumed = AutoEncoder(2, epochs=2, random_state=0).fit(X, checkpoint=checkpoint, resume=True)
    np.testing.assert_array_equal(resumed.transform(X), whole.transform(X))


def test_a_damaged_model_in_a_bucket_is_refused(s3: Any, digits: Any) -> None:
    AutoEncoder(2, epochs=1, random_state=0).fit(digits[0][:50]).save("s3://data/damaged")
    config = json.loads(s3.client.get_object(Bucket="data", Key="damaged/config.json")["Body"].read())
    config["parameters"] = {}
    s3.client.put_object(Bucket="data", Key="damaged/config.json", Body=json.dumps(config).encode())
    with pytest.raises(IsthmusError, match=r"^s3://data/damaged is damaged"):
        load("s3://data/damaged")
