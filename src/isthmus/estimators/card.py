"""The card of a model: what somebody who finds its folder, here or on a hub, needs to know."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sized
from typing import Any

from isthmus.data.base import Source
from isthmus.files import printable
from isthmus.remote.paths import as_path
from isthmus.words import count


def what_of(data: Any) -> str | None:
    """What a model learns from, in words: a name without folders, and how many samples; None where neither is known.

    Examples
    --------
    >>> from isthmus.estimators.card import what_of
    >>> import numpy as np
    >>> what_of("measurements/june.csv"), what_of(np.zeros((1200, 8)))
    ('june.csv', '1,200 samples')
    """
    if isinstance(data, str | os.PathLike):
        return printable(as_path(data).name)
    if not isinstance(data, Sized):
        return None
    samples = count(len(data), "sample")
    return f"{printable(as_path(data.name).name)}, {samples}" if isinstance(data, Source) else samples


def model_card(
    name: str, kind: str, described: Mapping[str, str], usage: str, trained_on: str | None, loss: float | None
) -> str:
    """The card as Markdown, with the tags and metrics that hubs read at its top.

    kind : the estimator's name. described : rows of a table. usage : lines of Python. trained_on : see `what_of`.
    loss : of the best validation.
    """
    rows = "\n".join(f"| {key} | {value} |" for key, value in described.items())
    return (
        f"{_metadata(name, kind, trained_on, loss)}"
        f"# {name}\n\nMade with isthmus.\n\n| what | value |\n|---|---|\n{rows}\n\n"
        f"```python\nfrom isthmus import {kind}\n\nmodel = {kind}.load({name!r})\n{usage}\n```\n\n"
        f"Files: `config.json` (settings), `model-*.safetensors` (weights), `training.jsonl` (losses).\n"
        f"Nothing in them is executed when the model is loaded.\n"
    )


def _metadata(name: str, kind: str, trained_on: str | None, loss: float | None) -> str:
    """The part between dashes: YAML, of which JSON is a part."""
    words = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in kind).lstrip("-")
    facts: dict[str, Any] = {"library_name": "isthmus", "tags": list(dict.fromkeys(("isthmus", "auto-encoder", words)))}
    if loss is not None:
        data = trained_on or "unnamed data"
        metric = {"type": "loss", "name": "best validation loss", "value": loss}
        result = {
            "task": {"type": "unsupervised-learning"},
            "dataset": {"type": data, "name": data},
            "metrics": [metric],
        }
        facts["model-index"] = [{"name": name, "results": [result]}]
    return "---\n" + "".join(f"{key}: {json.dumps(value)}\n" for key, value in facts.items()) + "---\n\n"
