"""The boundary between the command line and its user: every error is one line, and says whose it is.

Exit status: 0 done; 1 the data or the work failed; 2 the command was misused; 70 a bug in isthmus; 128 + n stopped by
signal n.
"""

from __future__ import annotations

import difflib
import logging
import os
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

import typer

from isthmus.cli.about import versions
from isthmus.cli.processes import only_first_speaks, speaker
from isthmus.errors import IsthmusError, ReadingError
from isthmus.training.stopping import Stopped, command_signals

FAILED, MISUSED, BUG = 1, 2, 70
_UsageError: Any = typer.BadParameter.__mro__[1]  # typer does not export it, and where it lies depends on the version
_OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")  # torch has no type for all of them


def run(command: Callable[[], Any]) -> int:
    """Run a command; returns the exit status, after one line on stderr where the command failed.

    ISTHMUS_TRACEBACK=1 shows the traceback, too.
    """
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong with a file is said in our one line
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # names of files need not be UTF-8
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            with command_signals(), only_first_speaks():
                return command() or 0
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Stopped as stopped:
        with only_first_speaks():
            print(f"isthmus: stopped by {signal.Signals(stopped.signal).name}", file=sys.stderr)
        return 128 + stopped.signal
    except Exception as error:
        return _tell(error)


def _warn(message: Warning | str, *place: Any, **more: Any) -> None:
    """A warning in one line, without the place in the code."""
    print(f"isthmus: {' '.join(str(message).split())}", file=sys.stderr)


def _tell(error: Exception) -> int:
    if isinstance(error, typer.Abort) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # typer takes every EOFError for the end of what the user types
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error, file=sys.stderr)
        return MISUSED
    if os.environ.get("ISTHMUS_TRACEBACK"):
        traceback.print_exception(error)
    if isinstance(error, _UsageError):
        message, status = usage(error), MISUSED
    elif isinstance(error, ReadingError):  # of a command that does not take what its text advises
        message, status = error.fact, FAILED
    elif isinstance(error, IsthmusError):
        message, status = str(error), FAILED
    elif isinstance(error, OSError):
        message, status = _of_system(error), FAILED
    elif is_out_of_memory(error):
        message, status = f"not enough memory: {error}", FAILED
    else:
        message, status = _bug(error), BUG
    who = speaker(error)
    if who is not None:
        print(f"isthmus: {who}{' '.join(message.split()) or type(error).__name__}", file=sys.stderr)
    return status


def usage(error: Any) -> str:
    """What is wrong with a command line, with the nearest known option where one is unknown."""
    context = error.ctx
    message = " ".join(error.format_message().split()).removeprefix("Invalid value: ")
    command = context.command_path if context is not None else "isthmus"
    unknown = getattr(error, "option_name", "")
    if unknown and message.startswith("No such option"):
        known = [flag for parameter in context.command.params for flag in parameter.opts]
        near = difflib.get_close_matches(unknown, known, n=1)
        message = f"there is no option {unknown}" + (f"; did you mean {near[0]}?" if near else "")
    return f"{message.rstrip('.')} (see {command} --help)"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the CPU or an accelerator ran out of memory."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _OUT_OF_MEMORY)


def _of_system(error: OSError) -> str:
    """What the operating system refused, without its number."""
    if error.filename is None or error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}"


def _bug(error: Exception) -> str:
    """Write the traceback to a file; a line that names it and where to send it."""
    said = " ".join(str(error).split())[:200]
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return f"this is a bug in isthmus ({what}). {_written(error)} Please report it{_tracker()}"


def _written(error: Exception) -> str:
    """Where the traceback is: a new file in the folder for temporary ones or, where that fails, in the current one."""
    described = versions() | {"command": " ".join(sys.argv)}
    text = _lines(described) + "\n" + "".join(traceback.format_exception(error))
    for folder in (None, Path.cwd()):
        try:
            handle, name = tempfile.mkstemp(prefix="isthmus-bug-", suffix=".txt", dir=folder)
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except OSError:
            continue
        return f"The traceback is in {name}."
    return "ISTHMUS_TRACEBACK=1 shows the traceback."


def _tracker() -> str:
    """Where bugs are reported, by the package's own metadata."""
    try:
        urls = [line.split(", ", 1) for line in metadata("isthmus").get_all("Project-URL") or ()]
    except PackageNotFoundError:
        urls = []
    return next((f" at {url}" for label, url in urls if label in ("Issues", "Bug tracker")), " to the authors")


def _lines(described: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\n" for name, value in described.items())
