"""The history of a training that may have several parts, as one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def in_parts(history: Sequence[Mapping[str, Any]]) -> list[list[dict[str, Any]]]:
    """The parts of a training, whose steps and seconds go on from those of the part before.

    history : entries with "epoch", "step" and "seconds"; a part begins where steps or seconds begin again. A step
    may have two entries: its own, and that of the validation after it.
    """
    parts: list[list[dict[str, Any]]] = []
    steps, seconds = 0, 0.0
    for i, entry in enumerate(history):
        if i == 0 or _begins_again(history[i - 1], entry):
            if parts:
                steps, seconds = parts[-1][-1]["step"], parts[-1][-1]["seconds"]
            parts.append([])
        parts[-1].append({**entry, "step": steps + entry["step"], "seconds": seconds + entry["seconds"]})
    return parts


def _begins_again(before: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    """Whether an entry belongs to another run than the one before it."""
    if entry["step"] < before["step"] or entry["seconds"] < before["seconds"]:
        return True
    return bool(entry["step"] == before["step"] and entry["epoch"] != before["epoch"])
