"""The history of a training that may have several parts, as one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def in_parts(history: Sequence[Mapping[str, Any]]) -> list[list[dict[str, Any]]]:
    """The parts of a training, whose steps and seconds go on from those of the part before.

    history : entries with "step" and "seconds"; a part begins where the step does not rise.
    """
    parts: list[list[dict[str, Any]]] = []
    steps, seconds = 0, 0.0
    for i, entry in enumerate(history):
        if i == 0 or entry["step"] <= history[i - 1]["step"]:
            if parts:
                steps, seconds = parts[-1][-1]["step"], parts[-1][-1]["seconds"]
            parts.append([])
        parts[-1].append({**entry, "step": steps + entry["step"], "seconds": seconds + entry["seconds"]})
    return parts
