"""Shortest paths on surfaces whose geodesics are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from isthmus.latent.geodesic import decoded_steps, evenly, geodesic, spherical, straight
from isthmus.latent.uncertain_decoder import UncertainDecoder


def plane(z: Tensor) -> Tensor:
    return z @ torch.tensor([[3.0, 0, 0], [0, 1, 0]])


def sphere(z: Tensor) -> Tensor:
    """Longitude and latitude."""
    longitude, latitude = z.unbind(1)
    return torch.stack([latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin()], dim=1)


def cone(z: Tensor) -> Tensor:
    """Half as much paper as a disc needs: its geodesics are straight lines on the paper."""
    radius = z.square().sum(1).clamp_min(1e-12).sqrt()
    return torch.cat([z / 2, radius[:, None] * 0.75**0.5], dim=1)


def swiss_roll(z: Tensor) -> Tensor:
    t, height = z.unbind(1)
    return torch.stack([t * t.cos(), height, t * t.sin()], dim=1)


def arc_length(t: float) -> float:
    """Of the Archimedean spiral r = t, from 0."""
    return (t * np.hypot(1, t) + np.arcsinh(t)) / 2


def code(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


def length(path: np.ndarray, decode: Any) -> float:
    return float(decoded_steps(path, decode).sum())


def test_straight_lines_are_the_geodesics_of_a_plane() -> None:
    start, end = code(-1, 2), code(3, 1)
    np.testing.assert_allclose(geodesic(start, end, 9, plane), straight(start, end, 9), atol=1e-4)


@pytest.mark.parametrize("end", [(1.2, 0.8), (2.0, 1.0), (2.5, -0.3)])
def test_great_circles_are_the_geodesics_of_a_sphere(end: tuple[float, float]) -> None:
    start = code(-0.4, 0.9)
    a, b = sphere(torch.tensor(np.stack([start, code(*end)]))).numpy()
    path = geodesic(start, code(*end), 200, sphere)
    assert length(path, sphere) == pytest.approx(np.arccos(a @ b), rel=2e-3)
    on_circle = sphere(torch.from_numpy(path)).numpy() @ np.cross(a, b)
    np.testing.assert_allclose(on_circle, 0, atol=0.02)


def test_a_geodesic_of_a_cone_is_straight_on_its_paper() -> None:
    start, end = code(1, 0), code(0, 1)
    angle = np.pi / 2 * 0.5  # of the two lines to the tip, on the paper
    assert length(geodesic(start, end, 200, cone), cone) == pytest.approx(2 * np.sin(angle / 2), rel=2e-3)


def test_a_geodesic_of_a_swiss_roll_is_straight_when_it_is_unrolled() -> None:
    start, end = code(1, 0), code(12, 60)
    expected = np.hypot(arc_length(12) - arc_length(1), 60)
    path = geodesic(start, end, 400, swiss_roll)
    assert length(path, swiss_roll) == pytest.approx(expected, rel=2e-3)
    assert length(straight(start, end, 400), swiss_roll) > 1.02 * expected


def test_a_geodesic_keeps_its_ends_and_changes_at_a_constant_rate() -> None:
    start, end = code(5, 0), code(12, 10)
    path = geodesic(start, end, 20, swiss_roll)
    np.testing.assert_allclose(path[[0, -1]], [start, end], atol=1e-6)
    steps = decoded_steps(path, swiss_roll)
    assert np.ptp(steps) < 0.02 * steps.mean()
    walked = decoded_steps(straight(start, end, 20), swiss_roll)
    assert np.ptp(walked) > 0.4 * walked.mean()


def test_a_path_to_begin_with_leads_to_the_other_side_of_a_hill() -> None:
    def hill(z: Tensor) -> Tensor:
        return torch.cat([z, 4 * (-z.square().sum(1, keepdim=True)).exp()], dim=1)

    start, end = code(-2, 0.05), code(2, 0.05)
    below = np.stack([start, code(0, -2), end])
    above, other = geodesic(start, end, 50, hill), geodesic(start, end, 50, hill, through=below)
    assert above[:, 1].max() > 0.5
    assert other[:, 1].min() < -0.5
    assert length(above, hill) < length(straight(start, end, 50), hill)


def test_equal_ends_are_a_path_of_no_length() -> None:
    path = geodesic(code(1, 2), code(1, 2), 5, swiss_roll)
    np.testing.assert_allclose(path, np.tile(code(1, 2), (5, 1)), atol=1e-6)


def test_evenly_spaced_means_decoded_distance() -> None:
    corners = np.stack([code(0, 0), code(1, 0), code(1, 3)])  # 3 and 3 long where the plane is stretched
    expected = np.array([(0, 0), (0.5, 0), (1, 0), (1, 1.5), (1, 3)])
    np.testing.assert_allclose(evenly(corners, 5, plane), expected, atol=1e-6)


def test_spherical_paths_turn_about_the_origin() -> None:
    path = spherical(code(2, 0), code(0, 2), 7)
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), 2, rtol=1e-6)
    np.testing.assert_allclose(np.arctan2(path[:, 1], path[:, 0]), np.linspace(0, np.pi / 2, 7), atol=1e-6)
    for end in (code(4, 0), code(-2, 0), code(0, 0)):
        np.testing.assert_array_equal(spherical(code(2, 0), end, 5), straight(code(2, 0), end, 5))


def test_with_data_a_geodesic_goes_around_where_there_are_none() -> None:
    rng = np.random.default_rng(0)
    angles = rng.uniform(0, np.pi, 600)
    codes = (np.column_stack([np.cos(angles), np.sin(angles)]) + rng.normal(0, 0.05, (600, 2))).astype(np.float32)
    start, end = code(1, 0), code(-1, 0)

    def decode(z: Tensor) -> Tensor:
        return torch.cat([z, z], dim=1)  # flat: nothing but the data speaks against the straight line

    decoder_on_data = UncertainDecoder(codes, decode)
    path = geodesic(start, end, 50, decoder_on_data, decoder_on_data.path(start, end))
    np.testing.assert_allclose(path[[0, -1]], [start, end], atol=1e-6)
    assert np.abs(np.linalg.norm(path, axis=1) - 1).max() < 0.25
    assert np.linalg.norm(geodesic(start, end, 50, decode), axis=1).min() < 0.1
    assert length(path, decode) < length(decoder_on_data.path(start, end), decode)
    sigma = decoder_on_data(torch.tensor([[0.0, 1.0], [0.0, 0.0], [9.0, 9.0]]))[:, -1]
    assert sigma[0] < 0.3 * sigma[1] and sigma[1] <= sigma[2]


def test_without_a_way_over_the_data_there_is_no_path() -> None:
    codes = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    codes[50:] += 100
    assert UncertainDecoder(codes, plane).path(codes[0], codes[-1]) is None
    assert UncertainDecoder(codes, plane).path(codes[0], codes[1]) is not None
