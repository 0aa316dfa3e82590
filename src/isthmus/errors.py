"""The one exception that users see."""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class IsthmusError(ValueError):
    """What a user can put right: one line that says what is wrong, the value seen and what would be right."""


class IsthmusWarning(UserWarning):
    """What a user should know while the work goes on: one line."""


def warn(message: str) -> None:
    """Say something in one line, once for each text and place in the user's own code."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "isthmus":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, IsthmusWarning, stacklevel=level)


class MissingExtraError(IsthmusError, ImportError):
    """A feature needs packages that are not installed; the message names the command that installs them."""

    def __init__(self, feature: str, extra: str, *packages: str) -> None:
        """extra : an extra of isthmus, by its name in pyproject.toml. packages : those that no extra brings."""
        wanted = " ".join((f"'isthmus[{extra}]'", *packages))
        super().__init__(f"{feature} needs an optional package; install it with: pip install {wanted}")


class ReadingError(IsthmusError):
    """Data that can be read once the user says how.

    fact : what is wrong. python, options : what the user can add in Python, and on the command line in commands that
    read data.
    """

    def __init__(self, fact: str, python: str, options: str) -> None:
        super().__init__(f"{fact}; {python}")
        self.fact, self.options = fact, options


class LostProcessError(IsthmusError):
    """One of the processes that work together does not answer any more."""

    def __init__(self, message: str = "another process of this run has ended or does not answer any more") -> None:
        super().__init__(message)


class WrongTypeError(IsthmusError, TypeError):
    """Data of a type that cannot be used."""


@contextmanager
def sklearn_validation() -> Iterator[None]:
    """Turn scikit-learn's error about the user's data into ours, with the same message in one line."""
    try:
        yield
    except IsthmusError:
        raise
    except (ValueError, TypeError) as error:
        message = " ".join(str(error).partition("\n[[")[0].split())  # without the data
        raise (WrongTypeError if isinstance(error, TypeError) else IsthmusError)(message) from error


@contextmanager
def of_a_file(what: str, *, ours: bool = False) -> Iterator[None]:
    """Turn whatever the content of a file raises into our error, in one line that begins with `what`.

    ours : whether errors that are ours already begin with it, too.

    An untrusted file can hold anything, and each library raises its own types for nonsense; that of the range coder,
    written in Rust, panics with something that is not even an Exception.
    """
    try:
        yield
    except IsthmusError as error:
        if not ours:
            raise
        raise IsthmusError(f"{what}: {error}") from error
    except FileNotFoundError:
        raise
    except MemoryError as error:
        raise IsthmusError(f"{what}: it takes more memory than there is") from error
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        said = " ".join(str(error).split())[:200]
        raise IsthmusError(f"{what}: {said or type(error).__name__}") from error


def unknown_name(kind: str, name: object, known: Iterable[str]) -> IsthmusError:
    """The error for a name that does not exist, with the nearest known name and all of them."""
    known = sorted(known)
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return IsthmusError(f"unknown {kind} {name!r}{hint} One of: {', '.join(known)}")
