"""Sums of several processes in memory that they share."""

from __future__ import annotations

import multiprocessing as mp
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from isthmus.training.shared_sum import Offer, SharedSum, taken

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs memory files, which Linux has")
SIZE, COUNT, TURNS = 3, 1000, 50


def numbers(rank: int, turn: int) -> torch.Tensor:
    return torch.arange(COUNT) * 0.1 + rank * turn / 7


def work(address: list[str], rank: int, turns: int, told: Any) -> None:
    """What another process does."""
    memory = taken(address, SharedSum.nbytes(COUNT, SIZE))
    assert memory is not None
    told.put(_sums(SharedSum(memory, rank, SIZE, COUNT), rank, turns, told))


def _sums(shared: SharedSum, rank: int, turns: int, told: Any) -> list[list[float]]:
    told.put(rank)  # its number is in the memory
    found = []
    for turn in range(turns):
        mine = numbers(rank, turn)
        shared.add(mine)
        found.append(mine.tolist())
    return found


def test_all_processes_find_the_same_sums_turn_after_turn() -> None:
    offer, context = Offer(SharedSum.nbytes(COUNT, SIZE)), mp.get_context("spawn")
    told: Any = context.Queue()
    others = [context.Process(target=work, args=(offer.address, rank, TURNS, told)) for rank in (1, 2)]
    for other in others:
        other.start()
    shared = SharedSum(offer.memory, 0, SIZE, COUNT)
    assert {told.get(), told.get()} == {1, 2}
    offer.close()  # all have it
    mine = _sums(shared, 0, TURNS, mp.get_context("spawn").SimpleQueue())
    assert told.get() == told.get() == mine
    for turn, found in enumerate(mine):
        torch.testing.assert_close(torch.tensor(found), sum(numbers(rank, turn) for rank in range(SIZE)))
    for other in others:
        other.join()


def test_the_end_of_another_process_is_noticed() -> None:
    offer, context = Offer(SharedSum.nbytes(COUNT, SIZE)), mp.get_context("spawn")
    told: Any = context.Queue()
    others = [context.Process(target=work, args=(offer.address, rank, turns, told)) for rank, turns in ((1, 2), (2, 1))]
    for other in others:
        other.start()
    shared = SharedSum(offer.memory, 0, SIZE, COUNT)
    assert {told.get(), told.get()} == {1, 2}
    shared.add(numbers(0, 0))
    with pytest.raises(ConnectionError, match=r"process \d+ has ended"):
        shared.add(numbers(0, 1))  # number 2 does not come to this one
    for other in others:
        other.kill()
        other.join()


def test_only_memory_of_the_one_who_offers_is_taken(tmp_path: Path) -> None:
    offer, nbytes = Offer(SharedSum.nbytes(COUNT, SIZE)), SharedSum.nbytes(COUNT, SIZE)
    path, nonce = offer.address
    assert taken([path, nonce], nbytes) is not None
    assert taken([path, "00" * 16], nbytes) is None
    for content in (b"", bytes(nbytes)):
        (tmp_path / "other").write_bytes(content)
        assert taken([str(tmp_path / "other"), nonce], nbytes) is None
    offer.close()
    assert taken([path, nonce], nbytes) is None
