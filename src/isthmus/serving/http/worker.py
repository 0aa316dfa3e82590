"""`python -m isthmus.serving.http.worker FD`: one of the processes that `workers` starts and talks to over a socket."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from functools import partial
from typing import Any

from isthmus.errors import IsthmusError
from isthmus.serving.http.limits import Refusal
from isthmus.serving.http.logs import json_logs
from isthmus.serving.http.repository import Repository
from isthmus.serving.http.server import listening, serve
from isthmus.serving.http.workers import Plan


class Link:
    """A worker's way to the process that started it. connection : a line of JSON for each message, both ways."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reloaded: asyncio.Queue[str | None] = asyncio.Queue()
        self._reloading = asyncio.Lock()

    def tell(self, **message: Any) -> None:
        """Send a message."""
        self._connection.sendall(json.dumps(message).encode() + b"\n")

    def plan(self) -> Plan:
        """The first message: what to serve."""
        line = b""
        while not line.endswith(b"\n"):  # a byte at a time, for nothing of what follows to be lost
            if not (byte := self._connection.recv(1)):
                raise EOFError
            line += byte
        return Plan.from_json(line.decode())

    async def reload(self, name: str) -> None:
        """Have all workers load a model's folder again; a `Refusal` where one cannot."""
        async with self._reloading:
            self.tell(reload=name)
            if (error := await self._reloaded.get()) is not None:
                raise Refusal(400, error)

    def begin(self, repository: Repository) -> None:
        """Say that requests are answered, and load models again when that is asked."""
        self.tell(ready=True)
        self._heeding = asyncio.ensure_future(self._heed(repository))

    async def _heed(self, repository: Repository) -> None:
        """Do what is asked until there is nobody to ask any more; then end as by SIGTERM."""
        reader, _ = await asyncio.open_connection(sock=self._connection.dup())
        async for line in reader:
            match json.loads(line):
                case {"load": str(name)}:
                    self.tell(loaded=await asyncio.to_thread(_error_of_loading, repository, name))
                case {"reloaded": error}:
                    self._reloaded.put_nowait(error)
        os.kill(os.getpid(), signal.SIGTERM)


def _error_of_loading(repository: Repository, name: str) -> str | None:
    try:
        repository.reload(name)
    except (IsthmusError, OSError) as error:
        return str(error)
    return None


def main(fd: int) -> int:
    """Serve what the process at the other end of a socket says; returns the exit status."""
    link = Link(socket.socket(fileno=fd))
    try:
        plan = link.plan()
        service = plan.service(link.reload)
        listener = listening(plan.host, plan.port, shared=True)  # last: who connects from now on waits for an answer
    except (IsthmusError, OSError) as error:
        link.tell(failed=str(error))
        return 1
    with json_logs():
        serve(service, listener, plan.limits, partial(link.begin, service.repository))
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
