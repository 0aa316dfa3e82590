"""An encoder and a decoder as ONNX files, with the scaling inside: they take and give the user's own data."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from isthmus.data.scaling import Scaler
from isthmus.data.table_scaling import TableScaler
from isthmus.errors import IsthmusError, MissingExtraError
from isthmus.files import atomic_path
from isthmus.networks import AutoEncoderNetwork
from isthmus.remote.paths import as_path

if TYPE_CHECKING:
    from isthmus.estimators.autoencoder import AutoEncoder

ENCODER, DECODER = "encoder.onnx", "decoder.onnx"
TOLERANCE = 1e-5  # largest difference to torch, as a share of the largest value


class _Encode(nn.Module):
    """X in the user's units, (n, *sample_shape) -> Z (n, *code_shape)."""

    def __init__(self, network: AutoEncoderNetwork, scaler: Scaler) -> None:
        super().__init__()
        self.network, self.scaler = network, scaler

    def forward(self, x: Tensor) -> Tensor:
        return self.network.encode(self.scaler.to_network(x)).movedim(1, -1)


class _Decode(nn.Module):
    """Z (n, *code_shape) -> X' (n, *sample_shape), float32 in the user's units, not rounded."""

    def __init__(self, network: AutoEncoderNetwork, scaler: Scaler) -> None:
        super().__init__()
        self.network, self.scaler = network, scaler

    def forward(self, z: Tensor) -> Tensor:
        return self.scaler.to_user_units(self.network.decode(z.movedim(-1, 1))).to(torch.float32)


def export_onnx(model: AutoEncoder, folder: str | Path) -> tuple[Path, Path]:
    """Write encoder.onnx and decoder.onnx, and check both against onnxruntime to 1e-5.

    The encoder takes X as the model was trained on it (same dtype and layout, any number of samples) and gives Z; the
    decoder takes Z and gives X' as float32 in the data's own units, before rounding to integers.
    Raises MissingExtraError where onnx, onnxscript or onnxruntime are not installed, and IsthmusError where the
    exported file does not compute the same, and for models of tables with columns of several kinds.
    """
    if isinstance(model.scaler_, TableScaler):
        raise IsthmusError("a model of tables with words, dates or holes cannot be exported: ONNX takes numbers only")
    need_onnx()
    folder = as_path(folder)
    network, scaler = model.network_.cpu().eval(), model.scaler_
    rng = np.random.default_rng(0)
    samples = plausible_samples(scaler, rng)
    with torch.inference_mode():
        codes = _Encode(network, scaler)(torch.from_numpy(samples)).numpy()
    return (
        write_onnx(_Encode(network, scaler), samples, folder / ENCODER, "X", ("Z",)),
        write_onnx(_Decode(network, scaler), codes, folder / DECODER, "Z", ("X",)),
    )


def need_onnx() -> None:
    """Raise MissingExtraError where ONNX files cannot be written and checked."""
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("ONNX export", "onnx") from error


def plausible_samples(scaler: Scaler, rng: np.random.Generator) -> np.ndarray:
    """Three samples in the user's units, of no meaning."""
    scaled = torch.from_numpy(rng.random((3, *scaler.network_shape), dtype=np.float32))
    return np.ascontiguousarray(scaler.from_network(scaled))


def write_onnx(
    module: nn.Module,
    example: np.ndarray,
    path: Path,
    takes: str,
    gives: Sequence[str],
    tolerance: float = TOLERANCE,
) -> Path:
    """Write a module that takes a free number of samples, and compare the file with torch.

    takes, gives : names of what goes in and of what comes out, a tensor or a tuple of them. tolerance : the largest
    difference to torch, as a share of the largest value.
    """
    import onnxruntime

    x = torch.from_numpy(example)
    with torch.inference_mode():
        out = module(x)
    expected = [one.numpy() for one in (out if isinstance(out, tuple) else (out,))]
    with atomic_path(path) as temporary, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        for name in ("torch.onnx", "onnxscript", "onnx_ir"):
            logging.getLogger(name).setLevel(logging.ERROR)
        program = torch.onnx.export(
            module,
            (x,),
            dynamo=True,
            input_names=[takes],
            output_names=list(gives),
            dynamic_shapes=({0: torch.export.Dim("n")},),
            custom_translation_table={torch.ops.aten.asinh.default: _asinh, torch.ops.aten.sinh.default: _sinh},
            verbose=False,
        )
        assert program is not None
        program.save(temporary, external_data=False)
        session = onnxruntime.InferenceSession(temporary.read_bytes(), providers=["CPUExecutionProvider"])
        for part in (slice(None), slice(0, 1)):  # another number of samples, too
            for found, right in zip(session.run(None, {takes: example[part]}), expected, strict=True):
                _compare(found, right[part], path, tolerance)
    return path


def _asinh(x: Any) -> Any:
    """arsinh x = sign x · log(|x| + √(x² + 1)): onnxruntime has no arsinh of float64."""
    from onnxscript import opset18 as op

    one = op.CastLike(op.Constant(value_float=1.0), x)  # type: ignore[type-var]
    return op.Mul(op.Sign(x), op.Log(op.Add(op.Abs(x), op.Sqrt(op.Add(op.Mul(x, x), one)))))


def _sinh(x: Any) -> Any:
    """sinh x = (eˣ - e⁻ˣ) / 2, which onnxruntime lacks for float64, too."""
    from onnxscript import opset18 as op

    half = op.CastLike(op.Constant(value_float=0.5), x)  # type: ignore[type-var]
    return op.Mul(op.Sub(op.Exp(x), op.Exp(op.Neg(x))), half)


def _compare(found: np.ndarray, expected: np.ndarray, path: Path, tolerance: float) -> None:
    allowed = tolerance * max(1.0, float(np.abs(expected).max()))
    difference = float(np.abs(found - expected).max())
    if found.shape != expected.shape or not difference <= allowed:
        raise IsthmusError(
            f"{path.name} does not compute what the model computes: shape {found.shape} for {expected.shape}, "
            f"difference {difference:.2g} where {allowed:.2g} is allowed; the file was not written"
        )
