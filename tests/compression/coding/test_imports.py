"""Reading an archive that lost nothing must not need torch: all of `coding` does without it."""

from __future__ import annotations

import subprocess
import sys

_IMPORT_ALL = """
import importlib, pkgutil, sys
import isthmus.compression.coding as coding
for module in pkgutil.iter_modules(coding.__path__, coding.__name__ + "."):
    importlib.import_module(module.name)
    print(module.name.rpartition(".")[2])
assert "torch" not in sys.modules
"""


def test_coding_imports_no_torch() -> None:
    run = subprocess.run([sys.executable, "-c", _IMPORT_ALL], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert {"archive", "chunks", "context", "exact", "range_coder"} <= set(run.stdout.split())
