"""How well scores of time steps find labelled stretches: VUS-PR, and events found at a rate of false alarms."""

from __future__ import annotations

import numpy as np

_THRESHOLDS = 250
_WEEK, _DAY = 7 * 86_400, 86_400


def stretches(labels: np.ndarray) -> np.ndarray:
    """First and last step of each run of true labels (n,), int64 (m, 2)."""
    edges = np.diff(np.concatenate([[0], labels.astype(np.int8), [0]]))
    return np.stack([np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1], 1)


def vus_pr(labels: np.ndarray, scores: np.ndarray, longest: int) -> float:
    """The volume under the surface of precision and recall (Paparrizos et al. 2022, PVLDB 15(11), section 4).

    labels : bool (n,). scores : (n,), higher is stranger. longest : of the buffers beside each stretch, over which the
    areas are averaged. Computed as in the authors' package TSB-AD, with running sums in place of its loops.
    """
    runs = stretches(labels)
    order = np.argsort(-scores, kind="stable")
    thresholds = scores[order][np.linspace(0, len(scores) - 1, _THRESHOLDS).astype(int)]
    flagged = np.searchsorted(-scores[order], -thresholds, side="right")
    inside = np.cumsum(labels[order])[flagged - 1]
    areas = []
    for buffer in range(longest + 1):
        around = _buffers(runs, len(scores), buffer)
        near = np.cumsum(np.where(labels, 0.0, around)[order])[flagged - 1]
        highest = np.array([scores[a : b + 1].max() for a, b in _joined(runs, len(scores), buffer)])
        exists = (highest[None] >= thresholds[:, None]).mean(1)
        recall = np.minimum((inside + near) / (labels.sum() + near / 2), 1) * exists
        areas.append(float(np.dot(np.diff(recall, prepend=0.0), (inside + near) / flagged)))
    return float(np.mean(areas))


def _buffers(runs: np.ndarray, n: int, buffer: int) -> np.ndarray:
    """How much of a label the steps beside stretches have, falling to both sides, (n,)."""
    result = np.zeros(n)
    for first, last in runs.tolist():
        after = np.arange(last + 1, min(last + buffer // 2 + 1, n))
        before = np.arange(max(first - buffer // 2, 0), first)
        result[after] += np.sqrt(1 - (after - last) / max(buffer, 1))
        result[before] += np.sqrt(1 - (first - before) / max(buffer, 1))
    return np.minimum(result, 1.0)


def _joined(runs: np.ndarray, n: int, buffer: int) -> list[tuple[int, int]]:
    """Stretches with their buffers, those that meet as one."""
    found: list[tuple[int, int]] = []
    for first, last in runs.tolist():
        first, last = max(first - buffer // 2, 0), min(last + buffer // 2, n - 1)
        found.append((found.pop()[0], last) if found and first <= found[-1][1] else (first, last))
    return found


def events_found(labels: np.ndarray, scores: np.ndarray, seconds: np.ndarray) -> float:
    """The share of stretches with an alarm, at the lowest threshold with at most one false alarm a week.

    After a false alarm there is none for a day. seconds : time of each step, (n,).
    """
    allowed, best = max(1.0, (seconds[-1] - seconds[0]) / _WEEK), 0.0
    for threshold in np.unique(np.quantile(scores, 1 - np.geomspace(1e-4, 0.5, 100)))[::-1]:
        if _false_alarms(seconds[(scores >= threshold) & ~labels], allowed) > allowed:
            break
        best = float(np.mean([(scores[a : b + 1] >= threshold).any() for a, b in stretches(labels)]))
    return best


def _false_alarms(times: np.ndarray, most: float) -> int:
    """Alarms at these times, counted until there are too many."""
    count, place = 0, 0
    while place < len(times) and count <= most:
        count, place = count + 1, int(np.searchsorted(times, times[place] + _DAY))
    return count
