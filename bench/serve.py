"""The service beside the bare model, the floor of its server, a plain FastAPI endpoint and LitServe, on this machine.

python bench/serve.py [ready|floor|latency|half|throughput|overload|kills|reloads][=COUNT] ...
    [--litserve PYTHON] [--mlserver PYTHON]

COUNT : of starts, kills and reloads, or seconds of the others. PYTHON : one that has isthmus, and litserve or mlserver.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from http_load import Clients, Load, infer, infer_json, post
from isthmus import AutoEncoder, datasets, load
from machine import machine

CLIENTS = 64
JSON = "Content-Type: application/json\r\n"
PEERS = Path(__file__).parent / "peers"
COUNTS = {
    "ready": 3,
    "floor": 5,
    "latency": 5,
    "half": 20,
    "throughput": 10,
    "overload": 60,
    "kills": 100,
    "reloads": 200,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", default=list(COUNTS))
    parser.add_argument("--litserve", metavar="PYTHON")
    parser.add_argument("--mlserver", metavar="PYTHON")
    given = parser.parse_args()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as place:
        bench = Bench(Path(place) / "digits", given.litserve, given.mlserver)
        for part in given.parts:
            name, _, count = part.partition("=")
            getattr(bench, name)(int(count or COUNTS[name]))


@contextmanager
def server(*command: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that prints its address, and its port."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        found = next(filter(None, (re.search(r":(\d+) ", line) for line in process.stdout)))
        yield process, int(found[1])
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(120)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # LitServe leaves processes behind


class Bench:
    """Measurements of one small model. folder : for it. litserve, mlserver : Pythons that have these, or None."""

    def __init__(self, folder: Path, litserve: str | None, mlserver: str | None) -> None:
        images = datasets.load("mnist").test.images
        AutoEncoder(latent_dim=10, network="conv", epochs=1, random_state=0).fit(images[:2000]).save(folder)
        self.folder, self.images, self.model = folder, images, load(folder)
        self.litserve, self.mlserver = litserve, mlserver
        self.requests, self.right = [infer(image) for image in images[:200]], self.model.encode(images[:200])
        self.plain = [post("/encode", image.tobytes()) for image in images[:200]]

    def ours(self, *options: str) -> Any:
        return server(sys.executable, "-m", "isthmus", "serve", str(self.folder), "--port", "0", *options)

    def clients(self, port: int) -> Clients:
        return Clients(port, self.requests, self.right)

    def warm(self, port: int) -> None:
        self.clients(port).closed_loop(CLIENTS, 3)

    def ready(self, count: int) -> None:
        times = []
        for _ in range(count):
            began = time.monotonic()
            with self.ours() as (_, port):
                while not _is_ready(port):
                    time.sleep(0.01)
                times.append(time.monotonic() - began)
        print(f"ready: {', '.join(f'{seconds:.2f}' for seconds in times)} s after the command", flush=True)

    def floor(self, seconds: int) -> None:
        with server(sys.executable, __file__, "as-floor") as (process, port):
            self._loaded(
                "uvicorn and an application that returns bytes",
                process,
                Clients(port, self.plain, self.right[:0]),
                seconds,
            )

    def latency(self, seconds: int) -> None:
        bare: list[float] = []
        with self.ours() as (_, port):
            self.warm(port)
            for _ in range(seconds):  # in turn, for other programs to disturb both alike
                end = time.monotonic() + 0.5
                while time.monotonic() < end:
                    began = time.monotonic()
                    self.model.encode(self.images[len(bare) % 500][None])
                    bare.append(time.monotonic() - began)
                print(f"latency, one client: {self.clients(port).closed_loop(1, 1)}", flush=True)
        low, high = 1000 * np.quantile(bare, [0.5, 0.99])
        print(f"latency, bare model: median {low:.2f} ms, p99 {high:.1f} ms", flush=True)

    def half(self, seconds: int) -> None:
        with self.ours() as (_, port):
            self.warm(port)
            most = self.clients(port).closed_loop(CLIENTS, 5).rate
            print(f"half of {most:,.0f} requests/s: {self.clients(port).open_loop(most / 2, seconds)}", flush=True)

    def throughput(self, seconds: int) -> None:
        servers: list[tuple[str, Any, list[bytes]]] = [
            ("isthmus serve", self.ours(), self.requests),
            ("isthmus serve --workers 2", self.ours("--workers", "2"), self.requests),
            *(
                (
                    f"plain FastAPI, {way}",
                    server(sys.executable, __file__, "as-plain", str(self.folder), way),
                    self.plain,
                )
                for way in ("in its thread pool", "in its event loop")
            ),
        ]
        if self.litserve:
            texts = [
                post("/predict", json.dumps({"image": base64.b64encode(image).decode()}).encode(), JSON)
                for image in self.images[:200]
            ]
            servers.append(
                ("LitServe", server(self.litserve, str(PEERS / "litserve_encode.py"), str(self.folder)), texts)
            )
        if self.mlserver:
            lists = [infer_json(image) for image in self.images[:200]]
            servers.append(
                ("MLServer", server(self.mlserver, str(PEERS / "mlserver_encode.py"), str(self.folder)), lists)
            )
        for name, command, requests in servers:
            with command as (process, port):
                right = self.right if name.startswith(("isthmus", "plain")) else self.right[:0]  # others answer in JSON
                Clients(port, requests, right).closed_loop(CLIENTS, 3)
                for _ in range(2):
                    bare = self._bare(seconds / 4)
                    made = self._loaded(name, process, Clients(port, requests, right), seconds / 2)
                    print(
                        f"    beside the bare model's {bare:,.0f} rows/s in batches of 256: {made / bare:.2f}",
                        flush=True,
                    )

    def _bare(self, seconds: float) -> float:
        began, rows = time.monotonic(), 0
        while time.monotonic() < began + seconds:
            rows += len(self.model.encode(self.images[:256]))
        return rows / (time.monotonic() - began)

    def _loaded(self, name: str, process: subprocess.Popen[str], clients: Clients, seconds: float) -> float:
        """64 clients; the answers a second."""
        before = _cpu(process.pid)
        found = clients.closed_loop(CLIENTS, seconds)
        used = _cpu(process.pid) - before
        each = 1e6 * used / max(1, sum(found.statuses.values()))
        print(f"{name}, {CLIENTS} clients: {found}; {each:.0f} us of a processor a request", flush=True)
        return found.rate

    def overload(self, seconds: int) -> None:
        with self.ours() as (process, port):
            self.warm(port)
            most = self.clients(port).closed_loop(CLIENTS, 5).rate
            before = _memory(process.pid)
            found = self.clients(port).open_loop(3 * most, seconds)
            after, ended = _memory(process.pid), time.monotonic()
            print(f"three times {most:,.0f} requests/s: {found}; memory {before} to {after} MB", flush=True)
            one = self.clients(port).closed_loop(1, 1)
            print(f"    one client, {time.monotonic() - ended - 1:.2f} s after it: {one}", flush=True)

    def kills(self, count: int) -> None:
        total, statuses = Load(), []
        for _ in range(count):
            with self.ours() as (process, port):
                threading.Timer(1.5, process.send_signal, (signal.SIGTERM,)).start()
                found = self.clients(port).closed_loop(16, 60, back=False)
                statuses.append(process.wait(60))
            total.times += found.times
            total.statuses += found.statuses
            total.wrong, total.lost, total.seconds = (
                total.wrong + found.wrong,
                total.lost + found.lost,
                total.seconds + found.seconds,
            )
        print(f"{count} kills: {total}; exit statuses {set(statuses)}", flush=True)

    def reloads(self, count: int) -> None:
        with self.ours() as (process, port):
            self.warm(port)
            before, seen = _memory(process.pid), []

            def load_again() -> None:
                for _ in range(count):
                    asked = urllib.request.Request(
                        f"http://127.0.0.1:{port}/v2/repository/models/digits/load", method="POST"
                    )
                    with urllib.request.urlopen(asked, timeout=60) as answer:
                        seen.append(answer.status)

            loader = threading.Thread(target=load_again)
            loader.start()
            found = self.clients(port).closed_loop(4, 3600, until=lambda: not loader.is_alive())
            print(
                f"{seen.count(200)} reloads of {count}: {found}; memory {before} to {_memory(process.pid)} MB",
                flush=True,
            )


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=10) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


def _family(pid: int) -> list[int]:
    """A process and those that it started (Linux)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in _family(int(child)))]


def _cpu(pid: int) -> float:
    """Seconds of a processor that a process and those that it started have taken (Linux)."""
    found = 0.0
    for one in _family(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        found += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def _memory(pid: int) -> int:
    """Resident MB of a process (Linux)."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) // 1024 if found else 0


def _run(app: Any) -> None:
    """An application behind uvicorn, at a free port that is printed."""
    import uvicorn

    from isthmus.serving.http.server import listening

    listener = listening("127.0.0.1", 0)
    print(f"at 127.0.0.1:{listener.getsockname()[1]} ", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False)).run(sockets=[listener])


def floor_application() -> None:
    """The least that an application does: it reads the body and answers with bytes."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            while (await receive()).get("more_body"):
                pass
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"40")]})
            await send({"type": "http.response.body", "body": bytes(40)})

    _run(app)


def plain_endpoint(folder: str, way: str) -> None:
    """What one writes without a service: an endpoint that calls the model, in one of the two ways that FastAPI has."""
    from fastapi import FastAPI, Request, Response
    from starlette.concurrency import run_in_threadpool

    app, model = FastAPI(), load(folder)

    async def encode(request: Request) -> Response:
        image = np.frombuffer(await request.body(), np.uint8).reshape(1, 28, 28).copy()
        code = await run_in_threadpool(model.encode, image) if "pool" in way else model.encode(image)
        return Response(code.tobytes(), media_type="application/octet-stream")

    encode.__annotations__ = {"request": Request}  # which FastAPI cannot look up by name here
    app.post("/encode", response_model=None)(encode)
    _run(app)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["as-floor"]:
            floor_application()
        case ["as-plain", folder, way]:
            plain_endpoint(folder, way)
        case _:
            main()
