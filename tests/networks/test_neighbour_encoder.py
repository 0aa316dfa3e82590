"""An encoder that places samples among those it remembers."""

from __future__ import annotations

import torch

from isthmus.networks.neighbour_encoder import NeighbourEncoder


def encoder_of(samples: list[list[float]], codes: list[list[float]], voters: int) -> NeighbourEncoder:
    encoder = NeighbourEncoder(2, 2, projection=2, remembered=len(samples), voters=voters)
    encoder.projection.weight.copy_(torch.eye(2))
    encoder.projection.bias.zero_()
    encoder.remember(torch.tensor(samples), torch.tensor(codes), unit=0.2)
    return encoder


def test_a_remembered_sample_has_its_own_code() -> None:
    rng = torch.Generator().manual_seed(0)
    samples, codes = torch.randn(50, 2, generator=rng), torch.randn(50, 2, generator=rng)
    encoder = encoder_of(samples.tolist(), codes.tolist(), voters=5)
    torch.testing.assert_close(encoder(samples), codes, atol=1e-5, rtol=0)
    torch.testing.assert_close(encoder(samples[:1]), codes[:1], atol=1e-5, rtol=0)


def test_a_neighbour_from_elsewhere_on_the_map_does_not_pull() -> None:
    around = [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]
    encoder = encoder_of([*around, [0.0, -1.0], [9.0, 9.0]], [[1.0, 1.0]] * 3 + [[-3.0, 0.0], [50.0, 50.0]], voters=4)
    z = encoder(torch.zeros(1, 2))
    assert (z - 1).norm() < 0.02  # the plain mean is at (0, 0.75)
