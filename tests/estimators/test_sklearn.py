"""scikit-learn's contract.

Every check of `check_estimator` runs on `AutoEncoder`, `ManifoldMap` and `Imputer`. scikit-learn itself skips one,
array-API input, unless SCIPY_ARRAY_API is set and the package array-api-strict is installed: it concerns estimators
that compute on such arrays, and ours compute on torch tensors of their own.

`Denoiser` differs on purpose in two things. The rows of a table are signals to it, which may be shorter or longer than
those it learned from, so it refuses no other number of features. And `score` compares with clean samples, not with
labels. `Codec` takes images, never tables, and its tags say so: scikit-learn's checks that fit nothing run, and what
the others check, as far as it makes sense, is checked on images.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from isthmus import AutoEncoder, Codec, Denoiser, Imputer, IsthmusError, ManifoldMap

DENOISER = Denoiser("gaussian:0.1", size="small", epochs=1, random_state=0)
OTHERWISE = {  # check: the error that it ends in, after all else in it has passed
    "check_n_features_in_after_fitting": (AssertionError, "does not check for consistency between input number"),
    "check_transformer_general": (AssertionError, "does not raise an error when the number of features"),
    "check_fit_score_takes_y": (IsthmusError, "score compares with clean samples"),
    "check_pipeline_consistency": (IsthmusError, "score compares with clean samples"),
}
WITHOUT_TABLES = [  # the checks that fit nothing
    estimator_checks.check_estimator_cloneable,
    estimator_checks.check_estimator_tags_renamed,
    estimator_checks.check_valid_tag_types,
    estimator_checks.check_estimator_repr,
    estimator_checks.check_no_attributes_set_in_init,
    estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
    estimator_checks.check_mixin_order,
    estimator_checks.check_parameters_default_constructible,
    estimator_checks.check_get_params_invariance,
    estimator_checks.check_set_params,
]


@parametrize_with_checks([AutoEncoder(epochs=2, random_state=0), ManifoldMap(hidden=(16,), epochs=2, random_state=0)])
def test_check_estimator(estimator: AutoEncoder | ManifoldMap, check: Any) -> None:
    if check.func.__name__ == "check_dataframe_column_names_consistency":  # columns in another order are put in ours
        with pytest.raises(AssertionError, match=r"DID NOT RAISE|Did not raise"):
            check(estimator)
        return
    check(estimator)


@parametrize_with_checks([Imputer(2, epochs=1, random_state=0)])
def test_imputer(estimator: Imputer, check: Any) -> None:
    check(estimator)


@parametrize_with_checks([DENOISER])
def test_denoiser(estimator: Denoiser, check: Any) -> None:
    name = check.func.__name__
    if name not in OTHERWISE:
        check(estimator)
        return
    error, message = OTHERWISE[name]
    with pytest.raises(error, match=message):
        check(estimator)


@pytest.mark.parametrize("check", WITHOUT_TABLES, ids=lambda check: check.__name__)
def test_codec(check: Any) -> None:
    check("Codec", Codec(epochs=1, random_state=0))


def test_codec_on_images() -> None:
    X, y = load_digits().images.astype(np.uint8)[:100] * 16, np.zeros(100)
    before, codec = X.copy(), Codec(epochs=1, random_state=0)
    with pytest.raises(NotFittedError):
        codec.compress(X)
    params = codec.get_params()
    assert codec.fit(X, y) is codec and codec.get_params() == params
    learned = {key: value for key, value in vars(codec).items() if key not in params}
    assert learned and all(key.endswith("_") for key in learned)
    data = codec.compress(X)
    assert np.array_equal(codec.decompress(data), X) and np.array_equal(X, before)
    assert {key: value for key, value in vars(codec).items() if key not in params} == learned
    assert deepcopy(codec).compress(X) == data
    assert clone(codec).fit(np.asfortranarray(X)).compress(X) == data
    assert codec.score(X) == pytest.approx(-8 * len(data) / X.size)


@pytest.fixture(scope="module")
def table() -> tuple[np.ndarray, np.ndarray]:
    return load_digits(return_X_y=True)


def test_pipeline(table: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = table
    pipeline = make_pipeline(
        StandardScaler(), AutoEncoder(16, epochs=15, random_state=0), LogisticRegression(max_iter=500)
    )
    assert pipeline.fit(X[:1500], y[:1500]).score(X[1500:], y[1500:]) > 0.8


def test_a_denoiser_in_a_pipeline_hands_labels_on(table: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = table
    pipeline = make_pipeline(clone(DENOISER), LogisticRegression(max_iter=200))
    assert pipeline.fit(X[:300], y[:300]).score(X[300:600], y[300:600]) > 0.8


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
    pandas.testing.assert_frame_equal(model.transform(frame[frame.columns[::-1]]), codes)  # columns have names
