"""The ONNX file of a detector says what the detector says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.anomalies.test_detector import people
from tests.cli.commandline import ask

from isthmus import AnomalyDetector, IsthmusError, load


@pytest.mark.slow
def test_of_a_table_with_columns_of_every_kind(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from isthmus.anomalies.export import export_onnx

    rng = np.random.default_rng(0)
    train, rows = (people(300, seed).assign(income=np.exp(rng.normal(0, 3, 300))) for seed in (0, 1))
    detector = AnomalyDetector(epochs=2, random_state=0).fit(train)
    rows.loc[:9, "height"], rows.loc[5:14, "smoker"] = 1e4, "never seen"
    path, description = export_onnx(detector, tmp_path)
    said = json.loads(description.read_text())
    assert [column["name"] for column in said["columns"]] == list(rows.columns)
    session = onnxruntime.InferenceSession(path)
    for some in (rows, rows[:1]):
        strangeness, parts = session.run(None, {"X": as_said(some, said)})
        expected = -detector.score_samples(some)
        off = np.abs(strangeness - expected) / expected
        assert off.max() < 1e-5
        np.testing.assert_allclose(parts.sum(1), strangeness, rtol=1e-5)
        assert (parts >= 0).all()
    flagged = strangeness > said["threshold"]
    assert (flagged == (detector.predict(rows[:1]) == -1)).all()


@pytest.mark.slow
def test_the_command_writes_what_gives_the_same_scores(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    people(200, 0).to_csv(tmp_path / "people.csv", index=False)
    done = ask("train-detector", tmp_path / "people.csv", "--epochs", 1, "-q", "-o", tmp_path / "m")
    assert done.status == 0, done
    done = ask("export", tmp_path / "m", "-o", tmp_path / "onnx")
    assert done.status == 0, done
    assert done.out.split() == [str(tmp_path / "onnx" / name) for name in ("detector.onnx", "detector.json")]
    detector, rows = load(tmp_path / "m"), people(100, 1)
    said = json.loads((tmp_path / "onnx" / "detector.json").read_text())
    session = onnxruntime.InferenceSession(tmp_path / "onnx" / "detector.onnx")
    strangeness, _ = session.run(None, {"X": as_said(rows, said)})
    assert np.quantile(np.abs(strangeness / -detector.score_samples(rows) - 1), 0.99) < 1e-5


def as_said(rows: pd.DataFrame, said: dict) -> np.ndarray:
    """Rows as the file's description has them, by hand."""
    columns = []
    for column in said["columns"]:
        cells = rows[column["name"]]
        if "values" in column:
            places = {value: place for place, value in enumerate(column["values"])}
            columns.append([np.nan if pd.isna(cell) else places.get(cell, len(places)) for cell in cells])
        elif column["kind"] == "date":
            columns.append([np.nan if pd.isna(cell) else cell.timestamp() for cell in cells])
        else:
            columns.append(cells)
    return np.stack([np.asarray(column, np.float64) for column in columns], 1)


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from isthmus.anomalies.export import export_onnx

    detector = AnomalyDetector(kind="series", random_state=0).fit(np.sin(np.arange(300) / 5))
    with pytest.raises(IsthmusError, match="cannot be written as ONNX; those of tables can"):
        export_onnx(detector, tmp_path)
