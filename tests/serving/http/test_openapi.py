"""What is said of the service: every endpoint keeps to its description, and what the page on production shows works."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from PIL import Image
from schemathesis import Case, GenerationMode, openapi
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.serving.http.conftest import PATIENCE, Running, people

CHECKS: Any = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
MODELS = {"denoise": "denoiser", "impute": "imputer", "score": "detector", "explain": "people", "sample": "people",
          "map": "people", "compress": "codec", "decompress": "codec"}  # fmt: skip
PAGE = (Path(__file__).parents[3] / "docs" / "guide" / "in-production.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Rows and files")[2].partition("\n## ")[0]
SHOWN = "http://127.0.0.1:8000"
FEW = settings(
    max_examples=5,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_endpoint_keeps_to_its_description(server: Running, mode: GenerationMode) -> None:
    """Whatever is sent, right or wrong by the description: 503 is the only error of the server's own."""

    def ask(case: Case) -> None:
        if "name" in case.path_parameters:
            case.path_parameters["name"] = MODELS.get(case.operation.path.rpartition("/")[2], "digits")
        answer = case.call(timeout=PATIENCE)
        assert answer.status_code < 500 or answer.status_code == 503, answer.text
        case.validate_response(answer, checks=CHECKS)

    described: Any = openapi.from_url(f"{server.url}/openapi.json")
    operations = [found.ok() for found in described.get_all_operations()]
    assert len(operations) > 20
    for operation in operations:
        with suppress(Unsatisfiable):  # where there is nothing that could be wrong
            FEW(given(case=operation.as_strategy(mode))(ask))()


def test_every_endpoint_has_an_example_that_is_answered(server: Running) -> None:
    paths = server.ask("GET", "/openapi.json").json()["paths"]
    verbs = {path.rpartition("/")[2]: found["post"] for path, found in paths.items() if path.startswith("/models/")}
    assert len(verbs) == 12
    for verb, described in verbs.items():
        body = described["requestBody"]["content"].get("application/json")
        if body is None:
            assert verb == "decompress"
        elif verb != "similar":  # which needs a store
            model = {"encode": "people", "reconstruct": "people"}.get(verb) or MODELS.get(verb, "digits")
            answer = server.ask("POST", f"/models/{model}/{verb}", json=body["example"])
            assert answer.status_code == 200, f"{verb}: {answer.text}"
            shown = described["responses"]["200"]["content"].get("application/json")
            assert shown is None or type(shown["example"]) is type(answer.json())


def test_the_page_of_the_endpoints_loads_nothing_from_elsewhere(server: Running) -> None:
    page = server.ask("GET", "/docs").text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(loaded) == 3 and all(address.startswith("/docs/") for address in loaded)
    assert not re.findall(r"https?://", page)
    for address in loaded:
        answer: requests.Response = server.ask("GET", address)
        assert answer.status_code == 200 and len(answer.content) > 500


@pytest.fixture
def folder(digits: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files are that the page names."""
    for name, image in zip(("7.png", "9.png"), digits, strict=False):
        Image.fromarray(image).save(tmp_path / name)
    pyarrow.csv.write_csv(people(30), tmp_path / "people.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_what_the_page_asks_with_curl_is_answered(server: Running, folder: Path) -> None:
    lines = [line for block in re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL) for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("curl ") and "similar" not in line]  # which needs a store
    assert len(commands) == 12
    for command in commands:
        words = shlex.split(command.replace(SHOWN, server.url))
        done = subprocess.run([*words, "--fail-with-body", "--silent"], capture_output=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout!r}{done.stderr!r}"
    for written in ("decoded.png", "rebuilt.png", "clean.png"):
        Image.open(folder / written).verify()
    assert "" not in (folder / "filled.csv").read_text().splitlines()[1].split(",")
    assert (folder / "digits.zip").read_bytes().startswith(b"PK")


def test_what_the_page_asks_in_python_is_answered(server: Running, folder: Path) -> None:
    (code,) = re.findall(r"```py\n(.*?)```", SECTION, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code.replace(SHOWN, server.url), "page", "exec"), names)
    assert isinstance(names["decoded"], bytes) and names["decoded"].startswith(b"\x89PNG")
