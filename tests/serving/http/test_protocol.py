"""The Open Inference Protocol V2: what an unmodified client of Triton gets, and what wrong requests are told."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import requests
from tests.serving.http.conftest import Running, people
from tritonclient import http as triton

from isthmus.registry import estimators


@pytest.fixture(scope="module")
def client(server: Running) -> Any:
    with triton.InferenceServerClient(server.address) as client:
        yield client


def tensor(name: str, array: np.ndarray, datatype: str, binary: bool) -> Any:
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def test_client_learns_what_there_is(client: Any) -> None:
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("digits")
    assert client.get_server_metadata()["name"] == "isthmus"
    known = client.get_model_metadata("digits")
    assert known["inputs"] == [{"name": "input", "datatype": "UINT8", "shape": [-1, 8, 8]}]
    assert {"name": "code", "datatype": "FP32", "shape": [-1, 3]} in known["outputs"]
    assert {entry["name"] for entry in client.get_model_repository_index()} >= {"digits", "people", "codec"}


@pytest.mark.parametrize("binary", [False, True])
def test_client_gets_what_the_estimator_gives(client: Any, estimator: Any, digits: np.ndarray, binary: bool) -> None:
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("code", "reconstruction", "score")]
    got = client.infer("digits", [tensor("input", digits[:5], "UINT8", binary)], outputs=wanted, request_id="seven")
    model = estimator("digits")
    np.testing.assert_allclose(got.as_numpy("code"), model.transform(digits[:5]), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(got.as_numpy("reconstruction"), model.reconstruct(digits[:5]))
    np.testing.assert_allclose(got.as_numpy("score"), model.score_samples(digits[:5]), rtol=1e-5)
    assert got.get_response()["id"] == "seven"
    code = tensor("code", model.transform(digits[:2]), "FP32", binary)
    rebuilt = client.infer("digits", [code]).as_numpy("reconstruction")
    np.testing.assert_array_equal(rebuilt, model.reconstruct(digits[:2]))


@pytest.mark.parametrize(
    ("model", "outputs"), [("denoiser", ("cleaned", "std")), ("detector", ("score", "p_value", "anomaly"))]
)
def test_outputs_are_called_by_what_models_can(
    client: Any, estimator: Any, digits: np.ndarray, model: str, outputs: tuple[str, ...]
) -> None:
    rows = digits[:3] if model == "denoiser" else np.random.default_rng(1).normal(size=(3, 4))
    kind = "UINT8" if model == "denoiser" else "FP64"
    got = client.infer(model, [tensor("input", rows, kind, True)])
    here = estimator(model)
    expected = (
        here.denoise(rows, return_std=True)
        if model == "denoiser"
        else (here.score_samples(rows), here.p_values(rows), here.predict(rows) < 0)
    )
    for name, values in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(got.as_numpy(name), values, rtol=1e-4, atol=1e-4)


def test_maps_place_samples_and_rebuild_places(client: Any, estimator: Any, digits: np.ndarray) -> None:
    here, images = estimator("map"), tensor("input", digits[:4], "UINT8", True)
    places = client.infer("map", [images], outputs=[triton.InferRequestedOutput("code")]).as_numpy("code")
    np.testing.assert_allclose(places, here.transform(digits[:4]), rtol=1e-4, atol=1e-4)
    rebuilt = client.infer("map", [tensor("code", places, "FP32", True)]).as_numpy("reconstruction")
    assert rebuilt.shape == (4, 8, 8)
    np.testing.assert_allclose(rebuilt, here.inverse_transform(places), atol=1)


def test_every_estimator_is_asked_by_the_client(client: Any) -> None:
    served = {client.get_model_metadata(one["name"])["platform"] for one in client.get_model_repository_index()}
    assert served == {f"isthmus_{name}" for name in estimators}


def test_archives_come_as_bytes(client: Any, estimator: Any, digits: np.ndarray) -> None:
    got = client.infer("codec", [tensor("input", digits[:9], "UINT8", True)]).as_numpy("archive")
    np.testing.assert_array_equal(estimator("codec").decompress(got[0]), digits[:9])


def test_tables_are_a_tensor_a_column(client: Any, server: Running, estimator: Any) -> None:
    table = people(12)
    frame = {name: table.column(name) for name in table.column_names}
    ages = frame["age"].to_numpy().astype(np.float64)
    sexes = np.array([value.encode() for value in frame["sex"].to_pylist()], object)
    days = np.array([str(value).encode() for value in frame["since"].to_pylist()], object)
    columns = [
        tensor("age", ages, "FP64", True),
        tensor("sex", sexes, "BYTES", True),
        tensor("since", days, "BYTES", True),
        tensor("weight", frame["weight"].to_numpy(), "FP64", True),
    ]
    code = client.infer("people", columns, outputs=[triton.InferRequestedOutput("code")]).as_numpy("code")
    np.testing.assert_allclose(code, estimator("people").transform(table), rtol=1e-4, atol=1e-5)
    filled = client.infer("imputer", columns, outputs=[triton.InferRequestedOutput("filled")])
    expected = estimator("imputer").transform(table)
    np.testing.assert_array_equal(filled.as_numpy("filled.age"), expected.column("age").to_numpy())
    assert np.isnan(ages).any()
    holes = {"name": "sex", "datatype": "BYTES", "shape": [2], "data": [None, "f"]}
    others = [
        {"name": "age", "datatype": "INT64", "shape": [2], "data": [20, 30]},
        {"name": "since", "datatype": "BYTES", "shape": [2], "data": ["2020-02-01", None]},
        {"name": "weight", "datatype": "FP32", "shape": [2, 1], "data": [[15.5], [None]]},
    ]
    answer = server.infer("imputer", {"inputs": [holes, *others], "outputs": [{"name": "filled.sex"}]})
    assert answer.status_code == 200, answer.text
    (output,) = answer.json()["outputs"]
    assert output["name"] == "filled.sex" and output["data"][1] == "f" and output["data"][0] in ("f", "m")


def image(**changes: Any) -> dict[str, Any]:
    return {"name": "input", "datatype": "UINT8", "shape": [1, 8, 8], "data": [0] * 64, **changes}


WRONG = {
    "no JSON": ('{"inputs": [', 400, "not JSON"),
    "no inputs": ({}, 400, "inputs"),
    "no object": ([1], 400, "the body must be an object"),
    "deep": ("[" * 100_000, 400, "nested too deep"),
    "NaN": ('{"inputs": [NaN]}', 400, "NaN is no number"),
    "datatype": ({"inputs": [image(datatype="UINT9")]}, 400, "did you mean 'UINT8'"),
    "too few values": ({"inputs": [image(data=[0] * 63)]}, 400, "shape says [1, 8, 8]"),
    "ragged": ({"inputs": [image(shape=[2, 2], data=[[1, 2], [3]])]}, 400, "not in the shape"),
    "shape of another model": ({"inputs": [image(shape=[1, 4, 16])]}, 400, "trained on samples of shape (8, 8)"),
    "negative": ({"inputs": [image(data=[-1] * 64)]}, 400, "does not fit into UINT8"),
    "fraction": ({"inputs": [image(data=[0] * 63 + [0.5])]}, 400, "value 63 of data is 0.5"),
    "huge shape": ({"inputs": [image(shape=[10**9, 10**9])]}, 413, "at most"),
    "no rows": ({"inputs": [image(shape=[0, 8, 8], data=[])]}, 400, "0 rows"),
    "unknown input": ({"inputs": [image(name="inputs")]}, 400, "did you mean 'input'"),
    "twice": ({"inputs": [image(), image()]}, 400, "inputs[1]"),
    "unknown output": ({"inputs": [image()], "outputs": [{"name": "cod"}]}, 400, "did you mean 'code'"),
    "a file": ({"inputs": [image(datatype="BYTES", shape=[1], data=["/etc/passwd"])]}, 400, "takes UINT8, not texts"),
    "shared memory": (
        {"inputs": [image(parameters={"shared_memory_region": "r"})]}, 400, "shared memory is not supported"
    ),
    "time is over": ({"inputs": [image()], "parameters": {"timeout": -1}}, 400, "microseconds"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_request_is_told_in_one_line_what_is_wrong(server: Running, name: str) -> None:
    body, status, message = WRONG[name]
    text = body if isinstance(body, str) else json.dumps(body)
    answer = server.ask("POST", "/v2/models/digits/infer", data=text)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert message in error and "\n" not in error and "Traceback" not in error


def with_header(head: dict[str, Any], raw: bytes, length: int | str | None = None) -> dict[str, Any]:
    text = json.dumps(head).encode()
    headers = {"Inference-Header-Content-Length": str(len(text) if length is None else length)}
    return {"data": text + raw, "headers": headers}


def binary(size: Any) -> dict[str, Any]:
    return {"inputs": [{**image(parameters={"binary_data_size": size}), "data": None}]}


def test_bytes_that_are_not_what_the_header_says_are_refused(server: Running) -> None:
    for options, message in (
        (with_header(binary(64), b"\0" * 63), "63 bytes are left"),
        (with_header(binary(64), b"\0" * 65), "1 bytes follow"),
        (with_header(binary(63), b"\0" * 63), "has 64"),
        (with_header(binary(-1), b"\0" * 64), "binary_data_size is -1"),
        (with_header(binary(64), b"\0" * 64, 10**9), "must be at most"),
        (with_header(binary(64), b"\0" * 64, "-5"), "must be at most"),
        (with_header(binary(64), b"\0" * 64, 20), "not JSON"),
    ):
        answer = server.ask("POST", "/v2/models/digits/infer", **options)
        assert answer.status_code == 400 and message in answer.json()["error"], answer.text
    good = server.ask("POST", "/v2/models/digits/infer", **with_header(binary(64), b"\0" * 64))
    assert good.status_code == 200


def test_what_is_not_there_is_404(server: Running) -> None:
    for method, path in (
        ("GET", "/v2/models/nothing"),
        ("GET", "/v2/models/digits/versions/9"),
        ("POST", "/v2/models/nothing/infer"),
        ("POST", "/v2/repository/models/..%2Fdigits/load"),
        ("GET", "/nowhere"),
    ):
        answer = server.ask(method, path)
        assert answer.status_code == 404 and answer.json()["error"], path
    assert server.ask("PUT", "/v2").status_code == 405


def test_a_folder_is_never_named_by_a_request(server: Running) -> None:
    body = {"parameters": {"file:1/model": "", "config": "{}"}}
    answer = server.ask("POST", "/v2/repository/models/digits/load", json=body)
    assert answer.status_code == 400 and "the folder that the server was started with" in answer.json()["error"]
    assert server.ask("POST", "/v2/repository/models/digits/load").json() == {"name": "digits", "versions": ["1"]}


def test_a_page_of_another_site_gets_nothing(server: Running) -> None:
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
        answer = requests.get(f"{server.url}/v2", headers=headers, timeout=60)
        assert answer.status_code == 403 and answer.json()["error"]
    assert requests.get(f"{server.url}/v2", headers={"Origin": server.url}, timeout=60).status_code == 200


def mutated(rng: np.random.Generator, image: np.ndarray) -> dict[str, Any]:
    """A good request with some of its bytes, its length or its numbers changed."""
    request = with_header(binary(64), image.tobytes())
    data, headers = bytearray(request["data"]), request["headers"]
    kind = rng.integers(4)
    if kind == 0:
        for place in rng.integers(len(data) - 64, size=rng.integers(1, 6)):
            data[place] = rng.integers(256)
    elif kind == 1:
        del data[rng.integers(len(data)) :]
    elif kind == 2:
        headers = {"Inference-Header-Content-Length": str(rng.choice([0, 1, len(data) - 1, 2**40, -3]))}
    else:
        old, new = (
            (b"8, 8", b"64") if rng.integers(2) else (b"64", rng.choice([b"1e9", b"-64", b"99999999999999999999"]))
        )
        data = data.replace(old, bytes(new), 1)
        headers = {"Inference-Header-Content-Length": str(len(data) - 64)}
    return {"data": bytes(data), "headers": headers}


def test_mutated_requests_never_are_the_servers_fault(server: Running, digits: np.ndarray) -> None:
    rng, session, seen = np.random.default_rng(0), requests.Session(), set()
    good = with_header(binary(64), digits[0].tobytes())
    for _ in range(300):
        request = mutated(rng, digits[0])
        answer = session.post(f"{server.url}/v2/models/digits/infer", timeout=60, **request)
        assert answer.status_code < 500, (request, answer.text)
        seen.add(answer.status_code)
    assert 400 in seen and seen <= {200, 400, 413}
    assert session.post(server.url + "/v2/models/digits/infer", timeout=60, **good).status_code == 200
