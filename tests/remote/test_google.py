"""Google's storage, spoken to by gcsfs: a server of its protocol on this machine.

Run it with: pip install gcsfs gcp-storage-emulator
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import isthmus
from isthmus import AutoEncoder, IsthmusError
from isthmus.data.sources import open_source

NEEDED = "needs gcsfs and gcp-storage-emulator, which are not among the dependencies"
X = np.random.default_rng(0).normal(size=(60, 5))


@pytest.fixture(scope="module")
def gs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """gcsfs, and a bucket "data"."""
    pytest.importorskip("gcsfs", reason=NEEDED)
    emulator = pytest.importorskip("gcp_storage_emulator.server", reason=NEEDED)
    import fsspec

    server: Any = emulator.create_server("localhost", 0, in_memory=True, default_bucket="data")
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://localhost:{server._api._httpd.server_address[1]}")
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # asks for kinds of buckets over TLS
        patch.setenv("ISTHMUS_CACHE", str(tmp_path_factory.mktemp("cache")))
        fsspec.get_filesystem_class("gs").clear_instance_cache()
        yield fsspec.filesystem("gs")
        fsspec.get_filesystem_class("gs").clear_instance_cache()
    server.stop()


def test_data_and_models_lie_there(gs: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    gs.put(str(tmp_path / "x.npy"), "data/x.npy")
    pd.DataFrame(X, columns=list("abcde")).to_parquet(tmp_path / "t.parquet")
    gs.put(str(tmp_path / "t.parquet"), "data/t.parquet")
    np.testing.assert_array_equal(open_source("gs://data/t.parquet").take(np.arange(60)), X)
    for seed in (0, 1):  # the second takes the first one's place
        model = AutoEncoder(2, epochs=1, random_state=seed).fit("gs://data/x.npy")
        model.save("gs://data/model")
        loaded = isthmus.load("gs://data/model")
        np.testing.assert_array_equal(loaded.transform("gs://data/x.npy"), model.transform(X))


def test_what_is_not_there_is_one_line(gs: Any) -> None:
    with pytest.raises(IsthmusError, match=r"gs://data/nothing\.npy"):
        open_source("gs://data/nothing.npy")
    with pytest.raises(IsthmusError, match="there is no bucket 'no-bucket'"):
        open_source("gs://no-bucket/x.npy")
