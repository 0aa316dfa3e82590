"""How likely the cells of a table are under an auto-encoder: scores of rows, and the share of each column."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from isthmus.data.table_scaling import TableScaler

_LEAST_DEVIATION = 0.01  # of a feature: less would make a rounding error an event


def residual_deviations(scaler: TableScaler, reconstructions: Iterable[tuple[Tensor, Tensor]]) -> np.ndarray:
    """The root of the mean squared error of each feature, float32 (width,), where cells are known.

    reconstructions : rows as a network sees them, and its outputs, batch by batch.
    """
    total, count = torch.zeros(scaler.width, dtype=torch.float64), torch.zeros(scaler.width, dtype=torch.float64)
    for x, outputs in reconstructions:
        x, outputs = x.cpu(), outputs.float().cpu()
        known = ~scaler.missing(x)[:, scaler.owner]
        total += ((outputs - x)[:, : scaler.width].double().square() * known).sum(0)
        count += known.sum(0)
    deviations = (total / count.clamp(min=1)).sqrt().clamp(min=_LEAST_DEVIATION)
    return deviations.float().numpy()


def cell_scores(
    scaler: TableScaler, reconstructions: Iterable[tuple[Tensor, Tensor]], deviations: np.ndarray
) -> np.ndarray:
    """Nats of each cell, float32 (n, columns): 0 where it is missing.

    Numbers and dates have normal errors with their deviations in standardised units, categories the probabilities
    that the network gives them.
    """
    scale = torch.from_numpy(deviations)
    parts = [scaler.log_likelihoods(out.float().cpu(), x.cpu(), scale).numpy() for x, out in reconstructions]
    return np.concatenate(parts) if parts else np.zeros((0, len(scaler.schema.used)), np.float32)
