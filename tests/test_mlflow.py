"""Models go to a store of MLflow's on this disk and come back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

mlflow = pytest.importorskip("mlflow", reason="needs MLflow: pip install 'isthmus[mlflow]'")

import isthmus.mlflow  # noqa: E402  # needs it, too
from isthmus import AnomalyDetector, AutoEncoder, datasets  # noqa: E402

X = datasets.load("digits").train.images[:200]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # a data base needs more than the light variant of MLflow
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "runs").as_uri())
    return tmp_path


def test_a_model_is_logged_and_loaded(store: Path) -> None:
    model = AutoEncoder(4, epochs=1, random_state=0).fit(X)
    with mlflow.start_run():
        uri = isthmus.mlflow.log_model(model, "digits").model_uri
    again = isthmus.mlflow.load_model(uri, device="cpu")
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    np.testing.assert_array_equal(mlflow.pyfunc.load_model(uri).predict(X), model.transform(X))
    names = {path.name for path in store.rglob("*") if path.is_file()}
    assert {"MLmodel", "config.json"} <= names and not [name for name in names if name.endswith((".pkl", ".pickle"))]


def test_a_detector_predicts(store: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(200, 3))
    detector = AnomalyDetector(epochs=1, random_state=0).fit(rows)
    isthmus.mlflow.save_model(detector, store / "saved")
    served = mlflow.pyfunc.load_model(str(store / "saved"))
    np.testing.assert_array_equal(served.predict(rows), detector.predict(rows))
