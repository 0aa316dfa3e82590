"""Text tables, as a user types their names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.cli.commandline import ask

FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=["a", "b", "c"]).round(3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    FRAME.to_csv(folder / "t.csv", sep=";", decimal=",")
    said = ask("train", folder / "t.csv", "--latent-dim", 2, "--epochs", 1, "-q", "--no-report", "-o", folder / "m")
    assert said.status == 0, said
    assert "columns between ';', decimal commas, names in line 1, the unnamed column numbers" in said.err
    return folder


@pytest.mark.filterwarnings("default")
def test_columns_are_matched_by_name(folder: Path) -> None:
    FRAME.assign(kind="oak")[["c", "kind", "a", "b"]].to_csv(folder / "turned.csv", index=False)
    for name in ("t", "turned"):
        said = ask("embed", folder / "m", folder / f"{name}.csv", "-o", folder / f"{name}.npy")
        assert said.status == 0, said
    np.testing.assert_array_equal(np.load(folder / "t.npy"), np.load(folder / "turned.npy"))
    assert "isthmus: " in said.err and "columns that the model was not trained with are left out: 'kind'" in said.err
    FRAME[["a", "b"]].to_csv(folder / "fewer.csv", index=False)
    said = ask("evaluate", folder / "m", folder / "fewer.csv", "-o", folder)
    assert said.status == 1 and "has no column 'c'" in said.err and "Traceback" not in said.err


def test_how_a_file_is_read_is_told_and_can_be_said(folder: Path) -> None:
    said = ask("info", folder / "t.csv")
    assert said.status == 0 and "decimal commas" in said.out and "unnamed column numbers" in said.out
    assert [line.split()[:2] for line in said.out.splitlines()[-3:]] == [[name, "number"] for name in "abc"]
    (folder / "open.csv").write_text("7,8,9\n7,9,3\n6,9,8\n")
    command = ["train", folder / "open.csv", "--latent-dim", 1, "--epochs", 1, "-q", "--no-report", "-o", folder / "n"]
    said = ask(*command)
    assert said.status == 1 and "--csv 'header=yes' or --csv 'header=no'" in said.err and "open_source" not in said.err
    said = ask(*command, "--csv", "header=no")
    assert said.status == 0 and "no line of names" in said.err
    assert "did you mean 'header'" in ask(*command, "--csv", "heder=no", "--overwrite").err


def test_a_table_with_words_trains_as_it_is(folder: Path) -> None:
    FRAME.assign(kind="oak", note=[f"row {i} of some" for i in range(60)]).to_csv(folder / "words.csv", index=False)
    said = ask("train", folder / "words.csv", "--epochs", 1, "-q", "--no-report", "-o", folder / "w2")
    assert said.status == 0, said
    assert "column 'note' is left out: free text: 60 different texts in 60 rows." in said.err


def test_a_command_advises_nothing_that_it_does_not_take(folder: Path) -> None:
    FRAME.assign(kind="oak").to_csv(folder / "words.csv", index=False)
    said = ask("map", folder / "words.csv", "-o", folder / "w")
    assert "'kind'" in said.err and "--drop-column" in said.err and "drop_columns" not in said.err


@pytest.fixture(scope="module")
def mixed(folder: Path) -> Path:
    """A model of a table with words and holes: m2, of mixed.csv."""
    words = np.where(FRAME["a"] > 0, "up", "down")
    frame = FRAME.assign(kind=words, id=[f"n{i}" for i in range(len(FRAME))])
    frame.loc[::4, "b"] = np.nan
    frame.to_csv(folder / "mixed.csv", index=False)
    said = ask("train", folder / "mixed.csv", "--latent-dim", 2, "--epochs", 1, "-q", "-o", folder / "m2")
    assert said.status == 0 and "column 'id' is left out: an identifier" in said.err, said
    assert "what is left of the error of means" in said.out and (folder / "m2" / "report.html").is_file()
    return folder


def test_info_lists_columns_as_told(mixed: Path) -> None:
    said = ask("info", mixed / "mixed.csv", "--column", "kind=ignore", "--missing-value", "0.126")
    lines = {line.split()[0]: line for line in said.out.splitlines() if line}
    assert (
        "15 (25%)" in lines["b"] and "1 (2%)" in lines["a"] and "as told" in lines["kind"] and "left out" in lines["id"]
    )
    lines = {line.split()[0]: line for line in ask("info", mixed / "m2").out.splitlines() if line}
    assert "one-hot" in lines["kind"] and "code" in lines
    assert "for the file of a table" in ask("info", mixed / "m2", "--column", "a=ignore").err


def test_every_command_takes_a_table_or_says_why_not(mixed: Path) -> None:
    model, data = mixed / "m2", mixed / "mixed.csv"
    assert ask("embed", model, data, "-o", mixed / "codes.parquet").status == 0
    assert ask("reconstruct", model, data, "-o", mixed / "rebuilt.csv").status == 0
    rebuilt = pd.read_csv(mixed / "rebuilt.csv")
    assert list(rebuilt) == [*FRAME, "kind", "id"] and len(rebuilt) == 60 and set(rebuilt["kind"]) <= {"up", "down"}
    assert rebuilt["id"][3] == "n3" and rebuilt["b"].notna().all()
    assert ".parquet" in ask("reconstruct", model, data, "-o", mixed / "rebuilt.npy").err
    assert "error left" in ask("evaluate", model, data, "-o", mixed / "evaluation").out
    assert ask("report", model, data, "-o", mixed / "again").status == 0
    assert ask("export", model, "-o", mixed / "onnx").status == 1


def test_an_imputer_has_a_report(mixed: Path) -> None:
    command = ["impute", mixed / "mixed.csv", "-o", mixed / "filled.csv", "--epochs", 1, "-q"]
    said = ask(*command, "--report", mixed / "holes", "--save-model", mixed / "imputer")
    assert said.status == 0 and "15 cells" in said.out and (mixed / "holes" / "report.html").is_file()
    assert ask("report", mixed / "imputer", mixed / "mixed.csv", "-o", mixed / "holes2").status == 0
    assert "Imputer, which has no ONNX files; these have: AutoEncoder" in ask("export", mixed / "imputer").err


@pytest.mark.filterwarnings("default")
def test_a_missing_column_can_be_filled(mixed: Path) -> None:
    pd.read_csv(mixed / "mixed.csv").drop(columns="a").to_csv(mixed / "fewer.csv", index=False)
    command = ["embed", mixed / "m2", mixed / "fewer.csv", "-o", mixed / "fewer.npy", "--overwrite"]
    said = ask(*command)
    assert said.status == 1 and "lacks column 'a'" in said.err and "--missing-columns fill" in said.err
    said = ask(*command, "--missing-columns", "fill")
    assert said.status == 0 and "count as unknown: 'a'" in said.err, said
    assert "did you mean 'fill'" in ask(*command, "--missing-columns", "fil").err
    assert "words, dates or holes" in ask("embed", mixed / "m", *command[2:], "--missing-columns", "fill").err
