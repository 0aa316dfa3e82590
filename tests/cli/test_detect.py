"""`isthmus train-detector` and `isthmus detect`, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tests.cli.commandline import ask

from isthmus import AnomalyDetector, load


def orders(n: int, seed: int) -> pd.DataFrame:
    """A price for each weight, a word, and an id."""
    rng = np.random.default_rng(seed)
    weight = rng.uniform(1, 9, n).round(2)
    return pd.DataFrame(
        {
            "order": [f"A-{seed}-{i}" for i in range(n)],
            "weight": weight,
            "price": (10 * weight + rng.normal(0, 1, n)).round(2),
            "land": rng.choice(["NL", "PL"], n),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """orders.csv, a detector of it, and new.csv, whose row 3 costs far too much."""
    folder = tmp_path_factory.mktemp("detect")
    orders(600, 0).to_csv(folder / "orders.csv", index=False)
    new = orders(40, 1)
    new.loc[3, "price"] = 9000.0
    new.to_csv(folder / "new.csv", index=False)
    new.to_parquet(folder / "new.parquet")
    said = ask("train-detector", folder / "orders.csv", "--epochs", 2, "-q", "-o", folder / "m")
    assert said.status == 0, said
    assert "normal samples alone" in said.out and "order numbers or names the rows" in said.err
    return folder


def test_the_strangest_rows_are_printed_and_all_are_written(folder: Path) -> None:
    said = ask("detect", folder / "m", folder / "new.csv", "--fdr", 0.4, "--top", 2, "-o", folder / "found.csv")
    assert said.status == 0, said
    assert said.out.startswith("1 of 40 rows is an anomaly at a false-discovery rate of 40 %\n")
    printed = [line for line in said.out.splitlines() if line.startswith("3 ")]
    assert len(printed) == 1 and "A-1-3" in printed[0] and "yes" in printed[0] and "9000 (not " in printed[0]
    assert "\x1b" not in said.out
    found = pd.read_csv(folder / "found.csv")
    assert list(found)[:5] == ["row", "order", "score", "p_value", "anomaly"]
    assert list(found["row"]) == list(range(40)) and list(found.index[found["anomaly"]]) == [3]
    assert found.loc[3, ["order", "column_1"]].tolist() == ["A-1-3", "price"] and float(found["value_1"][3]) == 9000
    assert found["column_1"].notna().sum() == 2  # anomalies, and what was printed
    detector, frame = load(folder / "m"), pd.read_csv(folder / "new.csv", index_col="order")
    np.testing.assert_allclose(found["score"], detector.score_samples(frame), rtol=1e-5)
    np.testing.assert_allclose(found["p_value"], detector.p_values(frame))
    np.testing.assert_array_equal(found["anomaly"], detector.detect(frame, fdr=0.4))


KEYS = ["row", "order", "score", "p_value", "anomaly"] + [
    f"{what}_{rank}" for rank in (1, 2, 3) for what in ("column", "share", "value", "expected")
]  # documented in docs/guide/anomalies.md: programs rely on them


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json", ".jsonl", ".xlsx"])
def test_every_format_holds_the_same(folder: Path, suffix: str) -> None:
    output = folder / f"same{suffix}"
    said = ask("detect", folder / "m", folder / "new.parquet", "--top", 1, "-q", "-o", output)
    assert said.status == 0, said
    match suffix:
        case ".parquet":
            found = pd.read_parquet(output)
        case ".csv":
            found = pd.read_csv(output)
        case ".json":
            found = pd.DataFrame(json.loads(output.read_text()))
        case ".jsonl":
            found = pd.DataFrame([json.loads(line) for line in output.read_text().splitlines()])
        case _:
            found = pd.read_excel(output)
    assert list(found) == KEYS and found["order"][3] == "A-1-3" and 0 < found["share_1"][3] <= 1
    assert found["anomaly"].dtype == bool and found.loc[3, "column_1"] == "price"
    assert float(found.loc[3, "value_1"]) == 9000 and abs(float(found.loc[3, "expected_1"])) < 200
    assert found["column_1"].isna().sum() == 39


def test_what_is_written_is_the_same_block_by_block(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts = folder / "whole.jsonl", folder / "parts.jsonl"
    assert ask("detect", folder / "m", folder / "new.csv", "-o", whole).status == 0
    monkeypatch.setattr("isthmus.anomalies.files._ROWS", 7)
    assert ask("detect", folder / "m", folder / "new.csv", "-o", parts).status == 0
    first, second = (pd.read_json(path, lines=True) for path in (whole, parts))
    pd.testing.assert_frame_equal(first, second)


def test_guilty_cells_are_coloured_where_there_are_colours(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    said = ask("detect", folder / "m", folder / "new.csv", "-q", "--top", 1)
    assert said.status == 0 and "\x1b[1;31m9000" in said.out


def test_without_a_model_it_learns_from_the_data(folder: Path) -> None:
    command = ["detect", folder / "new.csv", "--epochs", 2, "-q", "--save-model", folder / "learned", "--top", 1]
    said = ask(*command)
    assert said.status == 0, said
    assert "from " in said.out and "new.csv itself: samples of which some may be anomalies" in said.out
    assert any(line.startswith("3 ") and "9000" in line for line in said.out.splitlines())
    assert load(folder / "learned").contamination == "unknown"
    assert ask(*command).status == 1  # it would be overwritten
    said = ask("info", folder / "learned")
    assert said.status == 0 and "calibration" in said.out and "price" in said.out


def test_rows_of_numbers_without_names(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(300, 3))
    np.save(tmp_path / "x.npy", X)
    assert ask("train-detector", tmp_path / "x.npy", "--epochs", 2, "-q", "-o", tmp_path / "m").status == 0
    X[7, 2] = 1e3
    np.save(tmp_path / "y.npy", X)
    said = ask("detect", tmp_path / "m", tmp_path / "y.npy", "--top", 1)
    assert said.status == 0 and said.out.splitlines()[3].split()[0] == "7" and "x2" in said.out, said
    detector = load(tmp_path / "m")
    assert detector.score_samples(X).argmin() == 7
    assert isinstance(detector.explain(X).scores, np.ndarray)


def test_wrong_inputs_are_one_line(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(AnomalyDetector, "fit", None)  # no work
    (tmp_path / "empty.csv").write_text("")
    pd.read_csv("new.csv")[["weight"]].to_csv(tmp_path / "lacks.csv", index=False)
    for words, message in (
        (("detect", "nowhere.csv"), "no file or folder 'nowhere.csv'"),
        (("detect", "m"), "m is a model; name data after it"),
        (("detect", "new.csv", "m"), "m is a model; name it before the data"),
        (("detect", "m", "new.csv", "orders.csv"), "not 3 arguments"),
        (("detect", "orders.csv", "new.csv"), "orders.csv is not a model"),
        (("detect", "m", "new.csv", "--fdr", "2"), "--fdr 2 must be above 0 and below 1"),
        (("detect", "m", "new.csv", "--epochs", "3"), "are for learning, without a model"),
        (("detect", "m", "new.csv", "--kind", "table"), "are for learning, without a model"),
        (("detect", "m", "new.csv", "--sheet", "x.png"), "--sheet is for images, and the data were read as table"),
        (("detect", "new.csv", "--sheet", "x.png"), "--sheet is for images"),
        (("detect", "m", "new.csv", "--sheet", "x.gif"), "must end in .png"),
        (("detect", "m", "new.csv", "-o", "found.txt"), "must end in .csv or .parquet"),
        (("detect", "m", "new.csv", "-o", "new.csv"), "is what is read"),
        (("detect", "m", "new.csv", "-o", "orders.csv"), "give --overwrite"),
        (("detect", "m", tmp_path / "lacks.csv"), "lacks columns 'price', 'land'"),
        (("detect", "m", tmp_path / "empty.csv"), "empty.csv"),
        (("train-detector", tmp_path / "empty.csv", "-o", tmp_path / "e"), "empty.csv"),
        (("train-detector", "new.csv", "--contamination", "0.7"), "at most 0.5"),
        (("train-detector", "new.csv", "--contamination", "some"), "must be none, unknown or a share"),
        (("train-detector", "new.csv", "-o", "m"), "holds a model"),
        (("embed", "m", "new.csv", "-o", tmp_path / "x.npy"), "cannot encode"),
    ):
        said = ask(*words)
        assert said.status in (1, 2) and message in said.err, (words, said)
        assert "Traceback" not in said.err and said.err.count("isthmus: ") == 1


def test_columns_that_are_missing_may_count_as_unknown(folder: Path, tmp_path: Path) -> None:
    pd.read_csv(folder / "new.csv").drop(columns="land").to_csv(tmp_path / "lacks.csv", index=False)
    words = ("detect", folder / "m", tmp_path / "lacks.csv", "--missing-columns", "fill", "--top", 1)
    said = ask(*words, "-o", tmp_path / "found.parquet")
    assert said.status == 0 and any(line.startswith("3 ") for line in said.out.splitlines()), said
    assert pd.read_parquet(tmp_path / "found.parquet")["column_1"][3] == "price"


def test_a_model_of_another_kind_is_refused(folder: Path, tmp_path: Path) -> None:
    assert ask("train", folder / "new.csv", "--epochs", 1, "-q", "--no-report", "-o", tmp_path / "ae").status == 0
    said = ask("detect", tmp_path / "ae", folder / "new.csv")
    assert said.status == 1 and "cannot detect" in said.err and "AnomalyDetector" in said.err


def test_steps_of_a_series_are_judged_as_a_whole_and_known_by_their_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isthmus.anomalies.files._ROWS", 100)
    monkeypatch.chdir(tmp_path)
    t = np.arange(800)
    frame = pd.DataFrame(
        {
            "when": pd.date_range("2026-01-01", periods=800, freq="h"),
            "load": np.sin(t / 4) + 0.02 * np.random.default_rng(0).normal(size=800),
            "heat": np.cos(t / 4),
        }
    )
    frame.to_csv("usual.csv", index=False)
    frame.loc[500:505, "load"] = 5.0
    frame.to_csv("new.csv", index=False)
    np.save("line.npy", frame["load"].to_numpy())
    assert ask("train-detector", "usual.csv", "--kind", "series", "-q", "-o", "m").status == 0
    said = ask("detect", "m", "new.csv", "--top", 2, "-o", "found.csv")
    assert said.status == 0, said
    first, second = (line.split() for line in said.out.splitlines()[3:5])
    assert 500 <= int(first[0]) <= 505 and first[1] == "2026-01-21" and "5" in first and "(not" in first
    assert abs(int(second[0]) - int(first[0])) > 20
    found = pd.read_csv("found.csv")
    assert list(found)[:3] == ["row", "when", "score"] and len(found) == 800
    strange = found[found["anomaly"]]
    assert 500 in strange.index and (strange.loc[500:505, "column_1"] == "load").all()
    detector = load("m")
    np.testing.assert_allclose(found["score"], detector.score_samples(frame), rtol=1e-4)
    scores = detector.explain(frame.set_axis(range(100, 900))).scores
    assert list(scores.columns) == ["load", "heat"] and scores.index[0] == 100
    said = ask("detect", "line.npy", "--kind", "series", "--top", 1)
    assert said.status == 0 and 480 < int(said.out.splitlines()[4].split()[0]) < 525, said
    refused = ask("watch", "m", "new.csv")
    assert refused.status == 1 and "a detector of series" in refused.err and refused.err.count("isthmus: ") == 1


def test_images_have_a_sheet_and_the_place_where_they_are_strange(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    _, x = np.mgrid[:24, :24]
    for name, n in (("usual", 60), ("new", 6)):
        (tmp_path / name).mkdir()
        for i in range(n):
            pixels = 128 + 80 * np.sin(x / 3 + rng.uniform(0, 6)) + rng.normal(0, 4, (24, 24))
            if name == "new" and i == 4:
                pixels[8:14, 14:20] = 255
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(tmp_path / name / f"{i}.png")
    assert ask("train-detector", tmp_path / "usual", "--epochs", 3, "-q", "-o", tmp_path / "m").status == 0
    sheet, output = tmp_path / "sheet.png", tmp_path / "found.csv"
    said = ask("detect", tmp_path / "m", tmp_path / "new", "--top", 3, "--sheet", sheet, "-o", output)
    assert said.status == 0, said
    first = said.out.splitlines()[3]
    assert "4.png" in first and " y " in first
    found = pd.read_csv(output)
    assert [Path(name).name for name in found["file"]] == [f"{i}.png" for i in range(6)]
    assert found["strangest_y"].notna().sum() == 3 and found["score"].idxmin() == 4
    with Image.open(sheet) as picture:
        assert picture.format == "PNG" and picture.width > 500
    (tmp_path / "text.png").write_text("no image")
    Image.new("L", (30, 24)).save(tmp_path / "wide.png")
    names = [tmp_path / "text.png", *sorted((tmp_path / "new").iterdir()), "", "nowhere.png", tmp_path / "wide.png"]
    (tmp_path / "names.txt").write_text("\n".join(map(str, names)) + "\n")
    said = ask("watch", tmp_path / "m", tmp_path / "names.txt", "--p-value", 0.03)
    assert said.status == 0, said
    assert said.out.startswith("line 6: anomaly, p 0.0") and "4.png, strangest at x " in said.out
    assert "line 1 is left out" in said.err and "line 9 is left out: there is no file" in said.err
    assert "line 10 is left out" in said.err and "6 images, 1 alarm, 3 lines left out" in said.err
    said = ask("watch", tmp_path / "m", tmp_path / "names.txt", "--p-value", 0.03, "--json", "-q")
    alarm = json.loads(said.out)
    assert Path(alarm["file"]).name == "4.png" and 4 <= alarm["place"][0] <= 18 and 10 <= alarm["place"][1] <= 23
