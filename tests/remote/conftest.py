"""A real S3 server on this machine, and what lies in it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

KEY, SECRET = "AKIAISTHMUSTESTS", "a-secret-that-nobody-may-see"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An S3 server with the bucket "data". client : boto3's. upload : a file or a folder. cache : of what was read."""
    moto = pytest.importorskip("moto.server", reason="needs moto: pip install 'isthmus[dev]'")
    boto3 = pytest.importorskip("boto3")
    fsspec = pytest.importorskip("fsspec")
    pytest.importorskip("s3fs", reason="needs s3fs: pip install 'isthmus[remote]'")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_EC2_METADATA_DISABLED": "true",
            "ISTHMUS_CACHE": str(cache),
        }.items():
            patch.setenv(name, value)
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        client = boto3.client("s3")
        client.create_bucket(Bucket="data")

        def upload(path: Path, name: str) -> str:
            files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
            for file in files:
                key = f"{name}/{file.relative_to(path).as_posix()}" if path.is_dir() else name
                client.upload_file(str(file), "data", key)
            return f"s3://data/{name}"

        yield SimpleNamespace(client=client, upload=upload, cache=cache, address=os.environ["AWS_ENDPOINT_URL"])
    server.stop()
    fsspec.get_filesystem_class("s3").clear_instance_cache()
