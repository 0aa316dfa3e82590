"""What a process takes from where it runs: the folder that relative paths begin in, and its settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path


def _settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("ISTHMUS_")}


@dataclass(frozen=True)
class Here:
    """Where this process is, so that paths and settings mean the same in a worker."""

    folder: Path = field(default_factory=Path.cwd)
    settings: Mapping[str, str] = field(default_factory=_settings)

    def enter(self) -> None:
        """Give a worker that folder and these settings; a node without the folder takes absolute paths and URLs."""
        os.environ.update(self.settings)
        with suppress(OSError):
            os.chdir(self.folder)
