"""What every reader of files shares: one clear error for a file that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from isthmus.errors import IsthmusError, unknown_name

_SAMPLE_NAMES = ("X", "images", "data")  # x alone may be one of several axes
_LABEL_NAMES = ("y", "labels", "label", "targets", "target")


@contextmanager
def reading(path: Path | str, kind: str) -> Iterator[None]:
    """Turn whatever a damaged file makes a library raise into one line that names the file."""
    try:
        yield
    except (IsthmusError, ImportError):
        raise
    except Exception as error:  # which types these are is up to a dozen decoders
        strerror = error.strerror if isinstance(error, OSError) else None
        reason = (strerror or " ".join(str(error).split()) or type(error).__name__)[:300]
        raise IsthmusError(f"{path} cannot be read as {kind}: {reason}") from error


def choose_array(axes: Mapping[str, int], path: Path, member: str | None) -> tuple[str, str | None]:
    """Which of a file's arrays holds the samples and which may hold their labels.

    axes : the number of axes of each. Samples need two or more, so that a coordinate named x is not taken for them.
    """
    names = list(axes)
    if member is not None:
        if member not in names:
            raise unknown_name(f"array of {path}", member, names)
        chosen = member
    else:
        rest = [name for name in names if name.lower() not in _LABEL_NAMES]
        candidates = [name for name in rest if axes[name] > 1] or rest
        usual = [name for name in _SAMPLE_NAMES if name in candidates]
        if len(usual or candidates) != 1:
            listed = ", ".join(names) if names else "none"
            example = f"; say which one, as in '{path}:{(usual or candidates)[0]}'" if candidates else ""
            raise IsthmusError(f"{path} must hold one array of samples; its arrays: {listed}{example}")
        chosen = (usual or candidates)[0]
    partner = [f"y{chosen[1:]}"] if chosen[:1] in ("x", "X") else []
    labels = [name for name in names if name in partner or name.lower() in _LABEL_NAMES]
    return chosen, next(iter(labels), None)
