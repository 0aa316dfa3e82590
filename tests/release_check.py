"""Builds the wheel and the sdist, installs each where nothing else is, and tries every command: `make release-check`.

python tests/release_check.py                                   both, with the versions of constraints.txt
python tests/release_check.py --constraints .ci/oldest.txt      this folder, with other versions
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]


def build() -> list[Path]:
    """The wheel and the sdist, which holds all that the wheel is built of, in dist/."""
    folder = ROOT / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "build", "--outdir", folder, ROOT], check=True)
    return sorted(folder.iterdir())


def try_out(what: str, constraints: Path) -> int:
    """Install something by pip into an environment of its own; returns how many commands failed there."""
    with tempfile.TemporaryDirectory(prefix="isthmus-release-") as place:
        venv.create(place, with_pip=True)
        programs = Path(place, "Scripts" if sys.platform == "win32" else "bin")
        pip = [str(programs / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, "--constraint", str(constraints), what], check=True, cwd=place)
        print(f"{what} with {constraints.name}", flush=True)
        return subprocess.run([sys.executable, ROOT / "tests" / "smoke.py", programs / "isthmus"]).returncode


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--constraints", type=Path, help="try this folder with the versions of this file")
    asked = parser.parse_args()
    if asked.constraints:
        return try_out(str(ROOT), asked.constraints.resolve())
    return max(try_out(str(file), ROOT / "constraints.txt") for file in build())


if __name__ == "__main__":
    sys.exit(main())
