"""What the report says its figures come to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from isthmus.evaluation.theme import number
from isthmus.evaluation.verdict import verdict


def measured(ours: float, pca: float, validations: tuple[float, ...] = ()) -> Any:
    history = [
        {"epoch": i + 1, "step": 100 * (i + 1), "seconds": float(i), "validation_loss": loss}
        for i, loss in enumerate(validations)
    ]
    return SimpleNamespace(error=ours, pca_error=pca, written=number, history=history)


@pytest.mark.parametrize(
    ("study", "says", "remedy"),
    [
        (measured(0.015, 0.0123), "PCA with as many numbers does better here: 0.0123 against 0.0150", "--minutes"),
        (measured(0.015, 0.0123, (3.0, 2.0, 2.5)), "PCA with as many numbers does better here", "smaller network"),
        (measured(0.0150, 0.0150), "PCA with as many numbers does as well here", "--minutes"),
        (measured(0.0123, 0.015, (3.0, 2.0)), "Better than PCA with as many numbers: 0.0123 against 0.0150", ""),
        (measured(0.0123, 0.015, (3.0, 2.0, 2.5)), "kept are those of step 200", "longer training does not help"),
        (measured(0.0123, 0.0), "PCA with as many numbers does better here", "--minutes"),
    ],
)
def test_the_verdict_says_what_is_seen_and_what_helps(study: Any, says: str, remedy: str) -> None:
    said = verdict(study)
    assert says in said and remedy in said
    assert ("rose from" in said) == (len(study.history) == 3)
