"""A model behind MLServer, with batches: bench/serve.py runs this with a Python that has mlserver and isthmus.

python bench/peers/mlserver_encode.py FOLDER
"""

from __future__ import annotations

import asyncio
import socket
import sys
import tempfile
import threading
import time

from mlserver import MLModel, MLServer
from mlserver.codecs import NumpyCodec
from mlserver.settings import ModelParameters, ModelSettings, Settings
from mlserver.types import InferenceRequest, InferenceResponse

from isthmus import load


class Encode(MLModel):
    """Codes of images of 28 x 28, as tensors of the Open Inference Protocol."""

    async def load(self) -> bool:
        self._model = load(self.settings.parameters.uri)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        code = self._model.encode(NumpyCodec.decode_input(payload.inputs[0]))
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("code", code)])


def main() -> None:
    ports = []
    for _ in range(3):
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports.append(free.getsockname()[1])
    settings = Settings(
        debug=False,
        host="127.0.0.1",
        http_port=ports[0],
        grpc_port=ports[1],
        metrics_port=ports[2],
        metrics_dir=tempfile.mkdtemp(),
        parallel_workers=0,  # the model in the server's process: one more would share two cores with the clients, too
        load_models_at_startup=False,
        logging_settings={"version": 1, "root": {"level": "ERROR"}},
    )
    model = ModelSettings(
        name="digits",
        implementation=Encode,
        max_batch_size=64,
        max_batch_time=0.001,
        parameters=ModelParameters(uri=sys.argv[1]),
    )
    threading.Thread(target=say, args=(ports[0],), daemon=True).start()
    asyncio.run(MLServer(settings).start(models_settings=[model]))


def say(port: int) -> None:
    """Print the address once the model answers there."""
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port)) as asked:
                asked.sendall(b"GET /v2/models/digits/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                if b" 200 " in asked.recv(100):
                    print(f"at 127.0.0.1:{port} ", flush=True)
                    return
        except OSError:
            pass
        time.sleep(0.1)


if __name__ == "__main__":
    main()
