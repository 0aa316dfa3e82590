"""Writes the golden models of tables with columns of every kind that are not there yet; see make_models.py.

python tests/golden/make_table_models.py
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from isthmus import AutoEncoder, Imputer

MODELS = Path(__file__).parent / "models"


def rows(n: int = 300) -> Any:
    """Words, numbers, dates, yes or no and an identifier, which hang together, with holes."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=n), rng.integers(0, 3, n)
    columns: dict[str, list[Any]] = {
        "size": (a + b).round(2).tolist(),
        "count": rng.poisson(np.exp(a)).tolist(),
        "kind": np.array(["oak", "elm", "ash"])[b].tolist(),
        "day": [dt.date(2020, 1, 1) + dt.timedelta(days=int(100 * x)) for x in a],
        "old": (a > 0).tolist(),
        "id": [f"tree {i}" for i in range(n)],
    }
    gone = {name: rng.random(n) < (0 if name == "id" else 0.15) for name in columns}
    return pa.table({name: pa.array(cells, mask=gone[name]) for name, cells in columns.items()})


def main() -> None:
    torch.set_num_threads(1)
    table = rows()
    train, new = table.slice(0, 280), table.slice(280)
    columns = AutoEncoder(2, hidden=(16, 8), epochs=20, random_state=0)
    imputer = Imputer(2, epochs=20, random_state=0)
    models: dict[str, tuple[Any, str]] = {"columns": (columns, "reconstruct"), "imputer": (imputer, "transform")}
    for name, (model, method) in models.items():
        folder = MODELS / name
        if folder.exists():
            continue
        model.fit(train).save(folder / "model")
        pq.write_table(new, folder / "input.parquet")
        pq.write_table(getattr(model, method)(new), folder / f"{method}.parquet")
        if name == "columns":
            np.save(folder / "codes.npy", model.transform(new))


if __name__ == "__main__":
    main()
