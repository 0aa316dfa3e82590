"""The processes that a torchrun has started."""

from __future__ import annotations

from pathlib import Path


def workers(parent: int) -> dict[int, int]:
    """The numbers of the processes of a torchrun, by their ranks."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and f"PPid:\t{parent}\n" in (folder / "status").read_text():
                words = dict(word.partition("=")[::2] for word in (folder / "environ").read_text().split("\0"))
                if "RANK" in words:
                    found[int(words["RANK"])] = int(folder.name)
        except OSError:  # it has ended
            continue
    return found
