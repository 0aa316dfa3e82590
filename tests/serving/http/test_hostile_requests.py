"""Requests as an attacker would send them; `python bench/hostile_requests.py 10000` sends more."""

from __future__ import annotations

from itertools import islice

import numpy as np
from tests.hostile.http_attack import ask, attack
from tests.hostile.http_requests import BOMBS, bombs, post, requests, with_archive
from tests.serving.http.conftest import Running


def test_altered_requests_are_refused_and_the_server_goes_on(server: Running) -> None:
    """That none of them is a bug is seen where the server ends."""
    port, rng = int(server.address.rpartition(":")[2]), np.random.default_rng(0)
    with_archive(ask(port, post("/models/codec/compress", b"[[[0,9],[7,1]]]", "application/json"))[1])
    small = (case for case in requests(rng) if not case[0].startswith("bomb"))
    seen = attack(port, islice(small, 210))
    seen.wrong += attack(port, (bombs(rng) for _ in BOMBS[::5])).wrong
    assert not seen.wrong
    assert {400, 404, 413, 415, 422} <= seen.statuses.keys()
    assert ask(port, post("/models/detector/score", b"[[0,0,0,0]]", "application/json"))[0] == 200
