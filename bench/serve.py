"""The service beside the bare model and beside a plain FastAPI endpoint, with clients on this machine.

python bench/serve.py [ready|latency|throughput|overload|reloads ...]
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from isthmus import AutoEncoder, datasets, load
from machine import machine

SECONDS = 10.0
CLIENTS = 64


def main(parts: list[str]) -> None:
    print(machine())
    with tempfile.TemporaryDirectory() as place:
        folder, images = Path(place) / "digits", datasets.load("mnist").test.images
        AutoEncoder(latent_dim=10, network="conv", epochs=1, random_state=0).fit(images[:2000]).save(folder)
        model, tests = load(folder), {"ready": ready, "latency": latency, "throughput": throughput}
        tests |= {"overload": overload, "reloads": reloads}
        for name in parts or list(tests):
            tests[name](folder, model, images)


@contextmanager
def server(*command: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that prints its address, and its port."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r":(\d+) ", process.stdout.readline())
        assert found
        yield process, int(found[1])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def ours(folder: Path) -> Any:
    return server(sys.executable, "-m", "isthmus", "serve", str(folder), "--port", "0")


def infer(image: np.ndarray) -> bytes:
    """An inference request for the code of one image, as bytes."""
    tensor = {"name": "input", "datatype": "UINT8", "shape": [1, 28, 28], "parameters": {"binary_data_size": 784}}
    wanted = [{"name": "code", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": [tensor], "outputs": wanted}).encode()
    extra = f"Inference-Header-Content-Length: {len(head)}\r\n"
    return post("/v2/models/digits/infer", head + image.tobytes(), extra)


def post(path: str, body: bytes, extra: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Load:
    """What clients saw. times : of answers with status 200, seconds. statuses : of all. wrong : answers that differ."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.wrong = 0

    def __str__(self) -> str:
        low, high = 1000 * np.quantile(self.times, [0.5, 0.99])
        statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(self.statuses.items()))
        return f"median {low:.2f} ms, p99 {high:.1f} ms, statuses {statuses}, wrong answers {self.wrong}"


async def one_client(port: int, requests: list[bytes], codes: np.ndarray, until: float, load: Load, first: int) -> None:
    """Ask one request after another, each image in turn, on one connection. codes : what is right; may be empty."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    number = first
    while time.monotonic() < until:
        index, number = number % len(requests), number + 1
        began = time.monotonic()
        writer.write(requests[index])
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        found = re.search(r"\ncontent-length: (\d+)", head)
        body = await reader.readexactly(int(found[1]) if found else 0)
        status = int(head.split()[1])
        load.statuses[status] += 1
        if status == 200:
            load.times.append(time.monotonic() - began)
            if len(codes):
                code = np.frombuffer(body[-40:], np.float32)
                load.wrong += not np.allclose(code, codes[index], rtol=1e-3, atol=1e-4)
        if "connection: close" in head:
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()


def measured(port: int, requests: list[bytes], codes: np.ndarray, clients: int, seconds: float = SECONDS) -> Load:
    async def all_clients() -> Load:
        load, until = Load(), time.monotonic() + seconds
        await asyncio.gather(*(one_client(port, requests, codes, until, load, 7 * i) for i in range(clients)))
        return load

    return asyncio.run(all_clients())


def ready(folder: Path, model: Any, images: np.ndarray) -> None:
    times = []
    for _ in range(3):
        began = time.monotonic()
        with ours(folder) as (_, port):
            asyncio.run(asyncio.wait_for(_is_ready(port), 60))
            times.append(time.monotonic() - began)
    print(f"ready: {', '.join(f'{seconds:.2f}' for seconds in times)} s after the command")


async def _is_ready(port: int) -> None:
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        writer.write(b"GET /v2/health/ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
        if b" 200 " in await reader.readline():
            return


def latency(folder: Path, model: Any, images: np.ndarray) -> None:
    bare = []
    for i in range(500):
        began = time.monotonic()
        model.encode(images[i : i + 1])
        bare.append(time.monotonic() - began)
    print(f"latency, bare model: median {1000 * np.median(bare):.2f} ms, p99 {1000 * np.quantile(bare, 0.99):.1f} ms")
    requests, codes = [infer(image) for image in images[:200]], model.encode(images[:200])
    with ours(folder) as (_, port):
        measured(port, requests, codes, 1, 1)
        print(f"latency, one client: {measured(port, requests, codes, 1, SECONDS / 2)}")


def throughput(folder: Path, model: Any, images: np.ndarray) -> None:
    began, rows = time.monotonic(), 0
    while time.monotonic() < began + SECONDS / 2:
        rows += len(model.encode(images[:256]))
    bare = rows / (time.monotonic() - began)
    print(f"throughput, bare model, batches of 256: {bare:,.0f} rows/s")
    codes = model.encode(images[:200])
    plain = [post("/encode", image.tobytes()) for image in images[:200]]
    for name, command, requests in (
        ("isthmus serve", ours(folder), [infer(image) for image in images[:200]]),
        ("plain FastAPI", server(sys.executable, __file__, "plain", str(folder)), plain),
    ):
        with command as (_, port):
            measured(port, requests, codes, CLIENTS, 1)
            load = measured(port, requests, codes, CLIENTS)
            rate = len(load.times) / SECONDS
            print(f"throughput, {name}, {CLIENTS} clients: {rate:,.0f} rows/s, {rate / bare:.2f} of bare; {load}")


def overload(folder: Path, model: Any, images: np.ndarray) -> None:
    requests, codes = [infer(image) for image in images[:200]], model.encode(images[:200])
    with ours(folder) as (process, port):
        measured(port, requests, codes, CLIENTS, 2)
        before = _memory(process.pid)
        load = measured(port, requests, codes, 1000, 2 * SECONDS)
        after = _memory(process.pid)
        again = measured(port, requests, codes, 1, 2)
    print(f"overload, 1,000 clients: {load}; memory {before} to {after} MB; one client after it: {again}")


def reloads(folder: Path, model: Any, images: np.ndarray) -> None:
    requests, codes = [infer(image) for image in images[:200]], model.encode(images[:200])

    async def loads(port: int, load: Load) -> Load:
        reload = [post("/v2/repository/models/digits/load", b"")]
        seen, until = Load(), time.monotonic() + 600
        clients = [asyncio.create_task(one_client(port, requests, codes, until, load, i)) for i in range(4)]
        for _ in range(200):
            await one_client(port, reload, codes[:0], time.monotonic() + 1e-3, seen, 0)
        for client in clients:
            client.cancel()
        return seen

    with ours(folder) as (process, port):
        measured(port, requests, codes, 4, 2)
        load, before = Load(), _memory(process.pid)
        seen = asyncio.run(loads(port, load))
        print(f"reloads: {dict(seen.statuses)}; clients beside: {load}; memory {before} to {_memory(process.pid)} MB")


def _memory(pid: int) -> int:
    """Resident MB of a process (Linux)."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) // 1024 if found else 0


def plain_endpoint(folder: str) -> None:
    """What one writes without a service: an endpoint that calls the model."""
    import uvicorn
    from fastapi import FastAPI, Request, Response
    from starlette.concurrency import run_in_threadpool

    from isthmus.serving.http.server import listening

    app, model, listener = FastAPI(), load(folder), listening("127.0.0.1", 0)

    async def encode(request: Request) -> Response:
        image = np.frombuffer(await request.body(), np.uint8).reshape(1, 28, 28).copy()
        code = await run_in_threadpool(model.encode, image)
        return Response(code.tobytes(), media_type="application/octet-stream")

    encode.__annotations__ = {"request": Request}  # which FastAPI cannot look up by name here
    app.post("/encode", response_model=None)(encode)
    print(f"at 127.0.0.1:{listener.getsockname()[1]} ", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False)).run(sockets=[listener])


if __name__ == "__main__":
    if sys.argv[1:2] == ["plain"]:
        plain_endpoint(sys.argv[2])
    else:
        main(sys.argv[1:])
