"""ONNX files compute what the model computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.estimators.test_autoencoder import FAST, noise

from isthmus import AutoEncoder


@pytest.mark.parametrize(
    ("X", "params"),
    [
        (noise(20, 12, 12), {}),
        (noise(20, 11, 9, 3), {"upsample": "bicubic"}),
        (noise(20, 6, dtype="float64"), {}),
        (
            noise(20, 11, 9),
            {"latent_dim": "auto", "latent_channels": 2, "upsample": "pixel-shuffle", "downsample": "max-pool"},
        ),
    ],
)
def test_onnx_files_compute_the_same(tmp_path: Path, X: np.ndarray, params: dict) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from isthmus.estimators.export import export_onnx

    model = AutoEncoder(**{"latent_dim": 3, **FAST, **params}).fit(X)
    encoder, decoder = export_onnx(model, tmp_path)
    codes = model.transform(X)
    (found,) = onnxruntime.InferenceSession(encoder).run(None, {"X": X})
    np.testing.assert_allclose(found, codes, atol=1e-5 * max(1, np.abs(codes).max()))
    (rebuilt,) = onnxruntime.InferenceSession(decoder).run(None, {"Z": codes})
    expected = model.inverse_transform(codes)
    tolerance = 0.51 if X.dtype.kind == "u" else 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(rebuilt.clip(0, 255) if X.dtype.kind == "u" else rebuilt, expected, atol=tolerance)
