"""What the figures of a report come to: whether the model beats PCA, whether the run was too long, and what helps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from isthmus.evaluation.history import in_parts
from isthmus.evaluation.theme import number

_EQUAL = 0.005  # share of an error up to which two are the same
_WORSE = 0.01  # share by which a validation loss has risen when that is worth a word


class Measured(Protocol):
    """Errors of a model and of PCA with as many numbers in a code, and how the model was trained."""

    @property
    def error(self) -> float: ...

    @property
    def pca_error(self) -> float: ...

    def written(self, error: float) -> str: ...

    @property
    def history(self) -> Sequence[Mapping[str, Any]]: ...


def verdict(measured: Measured) -> str:
    """Plain sentences: how the model does against PCA with as many numbers, and what became of the best weights."""
    ours, theirs = measured.error, measured.pca_error
    figures = [measured.written(error) for error in (ours, theirs)]
    risen = _risen(measured.history)
    remedy = "more samples or a smaller network (--hidden, --channels)" if risen else "longer training (--minutes)"
    advice = f"{remedy} may help, or take PCA."
    if ours > theirs * (1 + _EQUAL):
        first = f"PCA with as many numbers does better here: {figures[1]} against {figures[0]}; {advice}"
    elif ours >= theirs * (1 - _EQUAL):
        first = f"PCA with as many numbers does as well here, {figures[1]}; {advice}"
    else:
        first = f"Better than PCA with as many numbers: {figures[0]} against {figures[1]}."
    return f"{first} {risen}".strip()


def _risen(history: Sequence[Mapping[str, Any]]) -> str:
    """That the last weights were worse than those that were kept; nothing where they were about the best."""
    parts = in_parts(history)
    validated = [entry for entry in parts[-1] if entry.get("validation_loss") is not None] if parts else []
    if not validated:
        return ""
    best, last = min(validated, key=lambda entry: entry["validation_loss"]), validated[-1]
    if last["validation_loss"] <= best["validation_loss"] + _WORSE * abs(best["validation_loss"]):
        return ""
    return (
        f"The weights that were kept are those of step {best['step']:,}: from there to the end of the run, at step "
        f"{last['step']:,}, the loss of held-out samples rose from {number(best['validation_loss'])} to "
        f"{number(last['validation_loss'])}, so that longer training does not help."
    )
