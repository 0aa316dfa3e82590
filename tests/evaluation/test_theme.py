"""The palette: ten classes that everybody can tell apart, on light and on dark pages."""

from __future__ import annotations

import numpy as np
import pytest

from isthmus.evaluation.theme import DARK, LIGHT, Theme

# What a dichromat sees, in linear RGB (Machado, Oliveira and Fernandes 2009, severity 1)
VISIONS = {
    "trichromat": np.eye(3),
    "protanope": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranope": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanope": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
# OKLab (Ottosson 2020): linear RGB to cones, and the cube roots of those to lightness and two opponent colours
CONES = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
     [0.0883024619, 0.2817188376, 0.6299787005]]
)  # fmt: skip
OPPONENTS = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
     [0.0259040371, 0.7827717662, -0.8086757660]]
)  # fmt: skip
LEAST = 0.09  # in OKLab; ten of Matplotlib's colours come to 0.007, eight of Okabe and Ito's to 0.076


def linear(color: str) -> np.ndarray:
    """#rrggbb as linear RGB, (3,)."""
    share = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def contrast(a: str, b: str) -> float:
    """WCAG's contrast ratio."""
    low, high = sorted(linear(color) @ (0.2126, 0.7152, 0.0722) for color in (a, b))
    return float((high + 0.05) / (low + 0.05))


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_no_two_classes_look_alike(theme: Theme, vision: str) -> None:
    seen = np.clip([VISIONS[vision] @ linear(color) for color in theme.classes], 0, 1)
    places = np.cbrt(seen @ CONES.T) @ OPPONENTS.T
    apart = np.linalg.norm(places[:, None] - places, axis=2)[np.triu_indices(10, 1)]
    assert len(theme.classes) == 10 and apart.min() > LEAST


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_classes_and_text_stand_out_from_the_paper(theme: Theme) -> None:
    assert min(contrast(color, theme.paper) for color in theme.classes) >= 3
    for text in (theme.ink, theme.muted):
        for ground in (theme.paper, theme.land):
            assert contrast(text, ground) >= 4.5, (text, ground)
