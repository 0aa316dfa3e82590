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
    assert said.status == 0 and "decimal commas" in said.out and "3: a, b, c" in said.out
    (folder / "open.csv").write_text("7,8,9\n7,9,3\n6,9,8\n")
    command = ["train", folder / "open.csv", "--latent-dim", 1, "--epochs", 1, "-q", "--no-report", "-o", folder / "n"]
    said = ask(*command)
    assert said.status == 1 and "--csv 'header=yes' or --csv 'header=no'" in said.err and "open_source" not in said.err
    said = ask(*command, "--csv", "header=no")
    assert said.status == 0 and "no line of names" in said.err
    assert "did you mean 'header'" in ask(*command, "--csv", "heder=no", "--overwrite").err


def test_a_table_with_words_trains_as_it_is(folder: Path) -> None:
    FRAME.assign(kind="oak", note=[f"row {i} of some" for i in range(60)]).to_csv(folder / "words.csv", index=False)
    said = ask("train", folder / "words.csv", "--epochs", 1, "-q", "--no-report", "-o", folder / "w")
    assert said.status == 0, said
    assert "column 'note' is left out: free text: 60 different texts in 60 rows." in said.err
