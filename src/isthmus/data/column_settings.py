"""Column settings from untrusted files: the type of each, and how large it may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.errors import IsthmusError
from isthmus.typed_json import typed

_TYPES: dict[str, Any] = {
    "mean": float,
    "scale": float,
    "low": float,
    "high": float,
    "centre": float,
    "width": float,
    "step": float,
    "decimals": int | None,
    "order": list[str],
    "values": list[bool | int | float | str],
    "counts": list[int],
    "of_day": bool,
    "periods": list[str],
    "lengths": list[float],
    "text": str,
    "parts": int,
    "padded": bool,
    "markers": list[bool | int | float | str],
}
_RANGES = {"decimals": (0, 20), "parts": (1, 4)}
_MOST = {"counts": 256, "lengths": 8}  # entries: a table has a place for each in every column


def check_settings(name: str, settings: Mapping[str, Any]) -> None:
    """Raise IsthmusError where the settings of column `name` are none that a kind of column could measure.

    >>> check_settings("size", {"mean": 1.5, "counts": [3, 4]})
    >>> check_settings("size", {"decimals": 10**9})
    Traceback (most recent call last):
    isthmus.errors.IsthmusError: column 'size': decimals (=1000000000) must be from 0 to 20
    """
    where = f"column {name[:60]!r}"
    for key, value in settings.items():
        typed(value, _TYPES.get(key, Any), f"{where}: {key}")
        low, high = _RANGES.get(key, (None, None))
        if low is not None and high is not None and value is not None and not low <= value <= high:
            raise IsthmusError(f"{where}: {key} (={value}) must be from {low} to {high}")
        if key in _MOST and len(value) > _MOST[key]:
            raise IsthmusError(f"{where}: {key} has {len(value):,} entries; at most {_MOST[key]} are told apart")
        if key in ("scale", "width", "step") and not value > 0:
            raise IsthmusError(f"{where}: {key} (={value}) must be above 0")
        if key == "counts" and min(value, default=-1) < 0:
            raise IsthmusError(f"{where}: counts must be numbers of rows, and at least one")
    if "values" in settings and len(settings["values"]) >= len(settings.get("counts", ())):
        raise IsthmusError(f"{where}: it has {len(settings['values']):,} values and as many counts or fewer")
