"""What a report of a bug needs to say of the machine: versions, platform, devices, threads and extras."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from isthmus import __version__

_REQUIREMENT = re.compile(r"([\w.-]+).*?(?:extra == ['\"](\w+)['\"])?$")
_NOT_OF_USERS = ("all", "bench", "dev")


def versions() -> dict[str, str]:
    """The versions of isthmus, Python, the system and the packages that isthmus always needs. Nothing is imported."""
    found = {"isthmus": __version__, "Python": platform.python_version(), "system": platform.platform()}
    return found | {name: _version(name) for name, extra in _requirements() if extra is None}


def about() -> dict[str, str]:
    """All of it; imports torch."""
    import torch

    found = versions()
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    gpus += ["Apple (mps)"] if torch.backends.mps.is_available() else []
    found["devices"] = ", ".join(["cpu", *gpus])
    found["threads"] = f"{torch.get_num_threads()} of {os.cpu_count()} processors"
    found |= {name: os.environ[name] for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES") if name in os.environ}
    extras: dict[str, list[str]] = {}
    for name, extra in _requirements():
        if extra is not None and extra not in _NOT_OF_USERS:
            extras.setdefault(extra, []).append(f"{name} {_version(name)}")
    return found | {f"[{extra}]": ", ".join(packages) for extra, packages in extras.items()}


def _requirements() -> Iterator[tuple[str, str | None]]:
    """The packages that isthmus names, each with the extra that needs it."""
    try:
        named = requires("isthmus") or ()
    except PackageNotFoundError:  # run from a folder that is not installed
        return
    for requirement in named:
        if found := _REQUIREMENT.match(requirement):
            yield found[1], found[2]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
