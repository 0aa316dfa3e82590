"""Does what the Dockerfile says without an engine, in a fresh virtual environment: `make image-check`.

python tests/dockerfile_steps.py [--no-extra-index]     where the index of torch's builds for processors is out of reach

Only what .dockerignore lets pass is there to build from. The server runs as the image's user where this one is root
and that one may run Python, until the health check is well and a request is answered.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
INSTALLED = "/opt/isthmus"
PATIENCE = 120  # seconds until the service must be well


def steps(text: str) -> list[tuple[str, str]]:
    """Instructions with their words; comments left out, continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    return [
        (word.upper(), rest) for word, _, rest in (line.strip().partition(" ") for line in joined.splitlines()) if word
    ]


def build(found: list[tuple[str, str]], place: Path, extra_index: bool) -> None:
    """Copy and run what the first stage does, in `place`."""
    source = place / "source"
    source.mkdir()
    for word, rest in found:
        names = rest.split()
        if word == "COPY" and not names[0].startswith("--from"):
            for name in names[:-1]:
                copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
                copy(ROOT / name, source / name)
        elif word == "RUN":
            command = rest.replace(INSTALLED, str(place / "isthmus")).replace("python -m", f"{sys.executable} -m", 1)
            if not extra_index:
                command = re.sub(r"--extra-index-url \S+", "", command)
            subprocess.run(["sh", "-ec", command], check=True, cwd=source)


def ask(found: list[tuple[str, str]], place: Path) -> None:
    """Start the service on a model, wait for its health check, ask it, and have it end."""
    final = dict(found)
    models, program = place / "models", str(place / "isthmus")
    python = f"{program}/bin/python"
    train = "import numpy as np, isthmus; X = np.random.default_rng(0).normal(size=(99, 4)); "
    train += "isthmus.AutoEncoder(2, epochs=1, random_state=0).fit(X).save('models/rows')"
    subprocess.run([python, "-c", train], check=True, cwd=place)
    for path in (place, models, *models.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    entry = [word.replace(INSTALLED, program) for word in json.loads(final["ENTRYPOINT"])]
    check = [word.replace(INSTALLED, program) for word in json.loads(final["HEALTHCHECK"].partition("CMD ")[2])]
    user = user_of(int(final["USER"]), python)
    env = dict(pair.split("=", 1) for word, pair in found if word == "ENV")
    token = "0123456789abcdef0123456789abcdef"
    (place / "models").chmod(0o755)
    (models / "token").write_text(token)
    server = subprocess.Popen([*entry, "rows", "--token-file", "token"], cwd=models, env=env, **user)
    try:
        until = time.monotonic() + PATIENCE
        while subprocess.run(check, stderr=subprocess.DEVNULL).returncode:
            assert server.poll() is None and time.monotonic() < until, "the service is not well"
        body = json.dumps({"inputs": [{"name": "input", "datatype": "FP64", "shape": [1, 4], "data": [0, 1, 2, 3]}]})
        port = entry[entry.index("--port") + 1]
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v2/models/rows/infer", body.encode())
        request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)["model_name"] == "rows"
    finally:
        server.send_signal(signal.SIGTERM)
        status = server.wait(60)
    assert status in (0, -signal.SIGTERM, 128 + signal.SIGTERM), status
    print(f"built, well, asked as user {final['USER'] if user else os.getuid()}, and ended with status {status}")


def user_of(number: int, python: str) -> dict[str, Any]:
    """What has a process run as a user; nothing where that cannot be."""
    user: dict[str, Any] = {"user": number, "group": number, "extra_groups": []}
    try:
        subprocess.run([python, "-c", ""], check=True, **user)
    except PermissionError:  # to become another, or to reach this Python
        return {}
    return user


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--no-extra-index", action="store_true")
    given = parser.parse_args()
    found = steps((ROOT / "Dockerfile").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="isthmus-image-") as place:
        build(found, Path(place), not given.no_extra_index)
        ask(found, Path(place))


if __name__ == "__main__":
    main()
