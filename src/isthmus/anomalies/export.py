"""A detector of tables as an ONNX file, with the scaling inside: cells go in, strangeness comes out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from isthmus.data.scaling import Scaler
from isthmus.data.table_scaling import TableScaler
from isthmus.estimators.export import need_onnx, plausible_samples, write_onnx
from isthmus.files import write_text
from isthmus.remote.paths import as_path

if TYPE_CHECKING:
    from isthmus.anomalies.detector import AnomalyDetector
    from isthmus.data.columns import Column

DETECTOR, DESCRIPTION = "detector.onnx", "detector.json"
_TOLERANCE = 1e-4  # of the largest value; squared distances between rows far out lose digits
_FAR = 50.0  # standard deviations at which the file is compared with torch, too: what is strange lies far out


class _Judge(nn.Module):
    """Rows (n, columns), as `TableSchema.encode` gives them -> strangeness (n,), and that of each column."""

    def __init__(self, module: nn.Module, scaler: Scaler) -> None:
        super().__init__()
        self.module, self.scaler = module, scaler

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        judged: tuple[Tensor, Tensor] = self.module(self.scaler.to_network(x))
        return judged


def export_onnx(detector: AnomalyDetector, folder: str | Path) -> tuple[Path, Path]:
    """Write detector.onnx, checked against onnxruntime to 1e-4, and detector.json, which says what goes in.

    The file takes X and gives the strangeness, which is minus `score_samples`, and that of each column. A row is of
    float64 (columns,): a number as it is, a date in seconds since 1970, a category by its place among the values that
    detector.json lists, NaN for a missing cell. The networks alone say what each column adds: `explain` also judges
    each row again without each of its cells, and may divide the strangeness differently.

    Raises MissingExtraError where onnx, onnxscript or onnxruntime are not installed, and IsthmusError for detectors of
    anything but tables.
    """
    need_onnx()
    folder, module, scaler = as_path(folder), detector.scorer_.module().cpu().eval(), detector.scorer_.scaler
    assert isinstance(scaler, TableScaler)
    gives = ("strangeness", "parts")
    path = write_onnx(_Judge(module, scaler), _examples(scaler), folder / DETECTOR, "X", gives, _TOLERANCE)
    description = {
        "input": "X",
        "outputs": {"strangeness": "higher is stranger", "parts": "what each column adds to it, roughly"},
        "threshold": -detector.offset_,
        "columns": [_described(column) for column in scaler.schema.used],
    }
    write_text(folder / DESCRIPTION, json.dumps(description, indent=2) + "\n")
    return path, folder / DESCRIPTION


def _examples(scaler: TableScaler) -> np.ndarray:
    """Rows to compare on: plausible ones, some far out, and some with a missing cell."""
    rows = plausible_samples(scaler, np.random.default_rng(0))
    far, holed = rows.copy(), rows.copy()
    for j, column in enumerate(scaler.schema.used):
        if not column.is_category:
            far[:, j] += _FAR * column.settings.get("width", column.settings["scale"])
    holed[:, 0] = np.nan
    return np.concatenate([rows, far, holed])


def _described(column: Column) -> dict[str, Any]:
    """What stands for the cells of a column."""
    described: dict[str, Any] = {"name": column.name, "kind": column.kind}
    listed = column.settings.get("values", column.settings.get("order"))
    if listed is None:
        return described | {"cell": "seconds since 1970-01-01" if column.kind == "date" else "the number"}
    if column.kind == "ordinal":
        return described | {"cell": "the place among values", "values": listed}
    return described | {"cell": f"the place among values; {len(listed)} for any other", "values": listed}
