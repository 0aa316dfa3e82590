"""What a file of samples is, whatever its format: samples that can be replaced while everything else stays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from isthmus.errors import IsthmusError

GAPS = "missing values left as they are"
Clean = Callable[[np.ndarray], np.ndarray]  # gives an array of the same shape and dtype


class SampleFile(ABC):
    """A file that holds a sample or, as a stack does, several.

    path : of the file. notes : what `rewrite` leaves alone and what it cannot keep, a few words each.
    sound : whether these are sound, whose silence and full scale the format defines.
    signal : whether its samples are signals (length, channels), not images (height, width[, channels]) or other arrays.
    """

    signal = False
    sound = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []

    @abstractmethod
    def samples(self) -> Iterator[np.ndarray]:
        """The samples; values that are missing (NaN, nodata) are filled from their neighbours."""

    @abstractmethod
    def rewrite(self, target: Path, clean: Clean) -> None:
        """Write the same file again with every sample as `clean` gives it.

        What is missing stays missing, and where no value changes, no byte does. The suffix of `target` says in which
        format.
        """

    def check_target(self, target: Path) -> None:
        """Raise IsthmusError where `rewrite` cannot write a file of that name, being in another format."""
        if target.suffix.lower() != self.path.suffix.lower():
            raise IsthmusError(f"{target} must end in {self.path.suffix}: the format that is written")

    @abstractmethod
    def layout(self, parts: Iterator[np.ndarray]) -> np.ndarray:
        """Arrays in the shapes of the samples, float32, in the place of all values that the file holds; 0 elsewhere."""

    def _without_nan(self, values: np.ndarray, clean: Clean, *, channels: bool) -> np.ndarray:
        """`around_gaps` of NaN, with a note."""
        missing = np.isnan(values) if values.dtype.kind == "f" else None
        if missing is not None and missing.any():
            self.note(GAPS)
        return around_gaps(values, missing, clean, channels=channels)

    def note(self, text: str) -> None:
        """Remember a note, once."""
        if text not in self.notes:
            self.notes.append(text)


def around_gaps(values: np.ndarray, missing: np.ndarray | None, clean: Clean, *, channels: bool) -> np.ndarray:
    """`clean(values)` with what is missing filled before and put back after.

    missing : boolean array in the shape of `values`, or None. Samples without any value are left as they are.
    channels : whether the last axis counts channels, which are filled each from its own values.
    """
    if missing is None or not missing.any():
        return clean(values)
    if missing.all():
        return values
    if channels:
        full = np.stack([_filled(values[..., i], missing[..., i]) for i in range(values.shape[-1])], -1)
    else:
        full = _filled(values, missing)
    return np.where(missing, values, clean(full))


def _filled(values: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """What is missing, as the nearest value that is not; 0 where all is."""
    from scipy.ndimage import distance_transform_edt

    if missing.all():
        return np.zeros_like(values)
    found: np.ndarray = values[tuple(distance_transform_edt(missing, return_distances=False, return_indices=True))]
    return found


def each_group(array: np.ndarray, groups: Sequence[slice | int], clean: Clean) -> np.ndarray:
    """A copy of an array with groups of its last axis cleaned, each as a sample of its own; the others stay."""
    result = array.copy()
    for group in groups:
        result[..., group] = clean(np.ascontiguousarray(array[..., group]))
    return result


def collected(visit: Callable[[Clean], object]) -> list[np.ndarray]:
    """The samples that `visit` hands to the function that it is given."""
    found: list[np.ndarray] = []

    def keep(sample: np.ndarray) -> np.ndarray:
        found.append(sample)
        return sample

    visit(keep)
    return found
