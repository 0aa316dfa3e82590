"""`isthmus sample`: rows of tables, and samples of other models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.cli.commandline import ask

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {"sex": RNG.choice(["f", "m"], 200), "age": RNG.integers(18, 90, 200), "wage": RNG.normal(9, 2, 200).round(2)}
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    FRAME.to_csv(folder / "people.csv", index=False)
    FRAME[["age", "wage"]].astype(float).to_csv(folder / "numbers.csv", index=False)
    for name in ("people", "numbers"):
        said = ask(
            *("train", folder / f"{name}.csv", "--latent-dim", 2, "--epochs", 2),
            *("-q", "--no-report", "-o", folder / name),
        )
        assert said.status == 0, said
    return folder


def test_rows_of_a_table(folder: Path) -> None:
    output = folder / "new.csv"
    command = ["sample", folder / "people", "-n", 30, "-o", output, "--where", "sex=f", "--where", "age=30..40"]
    said = ask(*command, "--data", folder / "people.csv")
    assert said.status == 0, said
    assert "30 rows in" in said.out and "Privacy     copies of training rows: 0.00%" in said.out
    rows = pd.read_csv(output)
    assert rows.columns.tolist() == FRAME.columns.tolist() and len(rows) == 30
    assert (rows["sex"] == "f").all() and rows["age"].between(30, 40).all() and rows["age"].dtype == np.int64
    assert "give --overwrite" in ask(*command).err
    assert ask(*command, "--overwrite", "--seed", 0).status == 0
    pd.testing.assert_frame_equal(pd.read_csv(output), rows)
    said = ask("sample", folder / "people", "-n", 5, "-o", folder / "few.parquet", "--where", "age=..30")
    assert said.status == 0 and (pd.read_parquet(folder / "few.parquet")["age"] <= 30).all()


def test_samples_of_numbers_need_data(folder: Path) -> None:
    said = ask("sample", folder / "numbers", "-n", 7, "-o", folder / "n.csv")
    assert said.status == 1 and "this model needs --data" in said.err
    said = ask("sample", folder / "numbers", "-n", 7, "-o", folder / "n.csv", "--data", folder / "numbers.csv")
    assert said.status == 0, said
    assert pd.read_csv(folder / "n.csv").columns.tolist() == ["age", "wage"]
    said = ask("sample", folder / "numbers", "-n", 7, "-o", folder / "n.npy", "--data", folder / "numbers.csv")
    assert said.status == 0 and np.load(folder / "n.npy").shape == (7, 2)


def test_misuse(folder: Path) -> None:
    people = ("sample", folder / "people", "-n", 5)
    assert "must end in" in ask(*people, "-o", folder / "x.npy").err
    assert "must be NAME=VALUE" in ask(*people, "-o", folder / "x.csv", "--where", "sex").err
    assert "unknown value of column 'sex' 'x'" in ask(*people, "-o", folder / "x.csv", "--where", "sex=x").err
    said = ask("sample", folder / "numbers", "-n", 5, "-o", folder / "x.csv", "--where", "age=30")
    assert said.status == 2 and "--where and --copies are for models of tables with words" in said.err
    assert "is what is read" in ask(*people, "-o", folder / "people.csv", "--data", folder / "people.csv").err
