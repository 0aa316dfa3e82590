"""A model behind LitServe, with batches: bench/serve.py runs this with a Python that has litserve and isthmus.

python bench/peers/litserve_encode.py FOLDER
"""

from __future__ import annotations

import base64
import socket
import sys
import threading
import time
from typing import Any

import litserve
import numpy as np

from isthmus import load


class Encode(litserve.LitAPI):
    """Codes of images of 28 x 28, which come as base64 in JSON, the kind of request that LitServe reads by itself."""

    def setup(self, device: str) -> None:
        self.model = load(sys.argv[1])

    def decode_request(self, request) -> np.ndarray:  # with a type LitServe takes it for a query
        return np.frombuffer(base64.b64decode(request["image"]), np.uint8).reshape(28, 28)

    def batch(self, images: list[np.ndarray]) -> np.ndarray:
        return np.stack(images)

    def predict(self, images: np.ndarray) -> np.ndarray:
        return self.model.encode(images)

    def unbatch(self, codes: np.ndarray) -> list[np.ndarray]:
        return list(codes)

    def encode_response(self, code: np.ndarray) -> dict[str, Any]:
        return {"code": code.tolist()}


def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    threading.Thread(target=say, args=(port,), daemon=True).start()
    server = litserve.LitServer(Encode(max_batch_size=64, batch_timeout=0.001), accelerator="cpu")
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="error")


def say(port: int) -> None:
    """Print the address once somebody answers there."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            print(f"at 127.0.0.1:{port} ", flush=True)
            return
        except OSError:
            time.sleep(0.1)


if __name__ == "__main__":
    main()
