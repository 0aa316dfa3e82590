"""Rows drawn by CTGAN or TVAE: bench/synthetic.py runs this in the environment of the `ctgan` package.

python bench/peers/ctgan_rows.py TRAIN.csv OUTPUT.csv {CTGAN,TVAE} SECONDS COUNT SEED CATEGORY [CATEGORY ...]

With the package's own settings, but for its number of epochs: training ends with the epoch in which its seconds of the
processor are over, the preparation of the data included. A missing category is one more. Prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import Any

import ctgan.synthesizers.ctgan
import ctgan.synthesizers.tvae
import pandas as pd
import torch
from ctgan import CTGAN, TVAE

EPOCHS = 100_000  # more than the seconds allow


class UntilTheEnd:
    """In place of the progress bar over the epochs: it stops when the seconds are over."""

    def __init__(self, end: float) -> None:
        self.end, self.epochs = end, 0

    def __call__(self, epochs: Iterable[int], **settings: Any) -> UntilTheEnd:
        return self

    def __iter__(self) -> Iterator[int]:
        while self.epochs == 0 or time.process_time() < self.end:
            yield self.epochs
            self.epochs += 1

    def set_description(self, text: str) -> None:
        pass


def main() -> None:
    train, output, kind, seconds, count, seed, *categories = sys.argv[1:]
    torch.set_num_threads(1)
    frame = pd.read_csv(train, keep_default_na=False, na_values=[""])
    frame[categories] = frame[categories].astype(object).where(frame[categories].notna(), "missing").astype(str)
    bar = UntilTheEnd(time.process_time() + float(seconds))
    for module in (ctgan.synthesizers.ctgan, ctgan.synthesizers.tvae):
        module.tqdm = bar
    model = {"CTGAN": CTGAN, "TVAE": TVAE}[kind](epochs=EPOCHS, enable_gpu=False)
    start = time.process_time()
    model.set_random_state(int(seed))
    model.fit(frame, categories)
    spent = time.process_time() - start
    rows = model.sample(int(count))
    rows[categories] = rows[categories].replace("missing", None)
    rows.to_csv(output, index=False)
    print(json.dumps({"version": version("ctgan"), "epochs": bar.epochs, "seconds": spent}))


if __name__ == "__main__":
    main()
