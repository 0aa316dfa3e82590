"""Fill a matrix by miceforest, in an environment of its own: pip install miceforest==6.0.5 lightgbm==4.5.0.

python bench/peers/miceforest_impute.py IN.npz OUT.npy, where IN has X (n, columns) with NaN and categories (columns,),
0 for columns of numbers.
"""

import sys

import miceforest
import numpy as np
import pandas as pd


def complete(columns: dict, matching: str) -> pd.DataFrame:
    kernel = miceforest.ImputationKernel(
        pd.DataFrame(columns), random_state=0, num_datasets=1, mean_match_strategy=matching
    )
    kernel.mice(5, verbose=False, num_threads=1)
    return kernel.complete_data(0)


def main(source: str, target: str) -> None:
    with np.load(source) as file:
        X, categories = file["X"], file["categories"]
    columns = {f"c{j}": pd.Categorical(x) if categories[j] else x for j, x in enumerate(X.T)}
    try:
        filled = complete(columns, "normal")
    except ValueError:  # its default matches logits, which are infinite where a category is certain
        filled = complete(columns, "fast")
    np.save(target, np.stack([filled[name].astype(float).to_numpy() for name in columns], 1))


if __name__ == "__main__":
    main(*sys.argv[1:])
