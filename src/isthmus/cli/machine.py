"""What programs read of a command: one JSON value on standard output, and nothing else there."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import typer

from isthmus.estimators.model_folder import best_validation


@contextlib.contextmanager
def output_of(as_json: bool) -> Iterator[Callable[[Any], None]]:
    """What is called with the result of a command, which it prints as JSON where that is wanted.

    Then everything else that is printed on the way, for people, goes to standard error.
    """
    out = sys.stdout
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        yield lambda value: typer.echo(to_text(value), file=out) if as_json else None


def run_figures(seed: int | None, seconds: float, history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A training run in figures. history : its entries."""
    last = history[-1] if history else {}
    return {
        "seed": seed,
        "seconds": seconds,
        "steps": last.get("step"),
        "epochs": last.get("epoch"),
        "best_validation_loss": best_validation(history),
    }


def to_text(value: Any) -> str:
    """A value of JSON as text; numbers that JSON does not have, as NaN, are null.

    Examples
    --------
    >>> from isthmus.cli.machine import to_text
    >>> print(to_text({"error": float("nan")}))
    {
      "error": null
    }
    """
    return json.dumps(_known(value), indent=2, ensure_ascii=False, allow_nan=False)


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _known(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_known(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
