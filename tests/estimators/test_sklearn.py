"""scikit-learn's contract.

Every check of `check_estimator` runs. scikit-learn itself skips one, array-API input, unless SCIPY_ARRAY_API is set
and the package array-api-strict is installed: it concerns estimators that compute on such arrays, and ours computes
on torch tensors of its own.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from isthmus import AutoEncoder


@parametrize_with_checks([AutoEncoder(epochs=2, random_state=0)])
def test_check_estimator(estimator: AutoEncoder, check) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def table() -> tuple[np.ndarray, np.ndarray]:
    return load_digits(return_X_y=True)


def test_pipeline(table: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = table
    pipeline = make_pipeline(
        StandardScaler(), AutoEncoder(16, epochs=15, random_state=0), LogisticRegression(max_iter=500)
    )
    assert pipeline.fit(X[:1500], y[:1500]).score(X[1500:], y[1500:]) > 0.8


def test_grid_search_finds_the_larger_code(table: tuple[np.ndarray, np.ndarray]) -> None:
    X, _ = table
    search = GridSearchCV(AutoEncoder(epochs=10, random_state=0), {"latent_dim": [1, 12]}, cv=2).fit(X[:600])
    assert search.best_params_ == {"latent_dim": 12}


def test_clone_and_set_params(table: tuple[np.ndarray, np.ndarray]) -> None:
    model = AutoEncoder(4, objective={"mse": 1, "mae": 0.1}, hidden=(32,), epochs=1, random_state=0)
    copy = clone(model).set_params(latent_dim=3)
    assert copy.get_params() == {**model.get_params(), "latent_dim": 3}
    assert not hasattr(clone(model.fit(table[0][:50])), "network_")


def test_pandas_output(table: tuple[np.ndarray, np.ndarray]) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(table[0][:60], columns=[f"p{i}" for i in range(64)], index=range(100, 160))
    model = AutoEncoder(3, epochs=1, random_state=0).set_output(transform="pandas").fit(frame)
    codes = model.transform(frame)
    assert list(codes.columns) == ["autoencoder0", "autoencoder1", "autoencoder2"]
    assert list(codes.index) == list(frame.index)
    with pytest.raises(ValueError, match="feature names"):
        model.transform(frame[frame.columns[::-1]])
