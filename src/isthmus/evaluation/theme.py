"""How isthmus looks: colours by purpose in two themes, and how figures and names are written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_LIGHT_CLASSES = (
    "#3564fa", "#b78a03", "#a81c21", "#928f9c", "#832db4",
    "#9364a0", "#6a0907", "#b25f3e", "#46576e", "#1696ee",
)  # fmt: skip
_DARK_CLASSES = (
    "#2689ff", "#fbb329", "#cc2239", "#40bee6", "#c54bbe",
    "#a4948a", "#f46b16", "#edfb5e", "#137875", "#51f8f1",
)  # fmt: skip

# The package's sign, two lands and the isthmus between them: a path of SVG in a box of 22 by 34
MARK = (
    "M2 0H20Q22 0 22 2V8C22 13 14 11 14 15V19C14 23 22 21 22 26V32Q22 34 20 34H2Q0 34 0 32V26C0 21 8 23 8 19V15"
    "C8 11 0 13 0 8V2Q0 0 2 0Z"
)


@dataclass(frozen=True)
class Theme:
    """Colours by purpose.

    cool, warm : below and above the middle; cool is also the package's own colour.
    classes : far apart, for every kind of colour vision (distances in OKLab).
    """

    name: str
    paper: str
    ink: str
    muted: str
    faint: str
    land: str
    cool: str
    warm: str
    classes: tuple[str, ...]


LIGHT = Theme(
    name="light",
    paper="#fcfbf7",
    ink="#1b2430",
    muted="#5c6672",
    faint="#dcd8cc",
    land="#ece5d3",
    cool="#12897d",
    warm="#d9622b",
    classes=_LIGHT_CLASSES,
)
DARK = Theme(
    name="dark",
    paper="#12171d",
    ink="#e9ebee",
    muted="#9ca6b2",
    faint="#333c47",
    land="#2b333d",
    cool="#2db3a3",
    warm="#ef7d49",
    classes=_DARK_CLASSES,
)


def theme_colors(theme: Theme) -> dict[str, str]:
    """CSS variable names to colours."""
    plain = {name: getattr(theme, name) for name in ("paper", "ink", "muted", "faint", "land", "cool", "warm")}
    return plain | {f"class-{i}": color for i, color in enumerate(theme.classes)}


def css_variables(theme: Theme) -> str:
    """The colours as declarations for a style sheet."""
    return " ".join(f"--{name}: {color};" for name, color in theme_colors(theme).items())


def signed_alpha(values: np.ndarray, limit: float, theme: Theme) -> np.ndarray:
    """Values between −limit and limit as colours that fade into any paper: uint8 (*shape, 4)."""
    share = np.clip(np.nan_to_num(values / limit if limit > 0 else values * 0.0), -1, 1)
    cool, warm = (np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) for color in (theme.cool, theme.warm))
    rgb = np.where(share[..., None] < 0, cool, warm)
    return np.concatenate([rgb, 255 * np.abs(share)[..., None]], axis=-1).round().astype(np.uint8)


def number(value: float) -> str:
    """A measured figure with three significant digits."""
    if not np.isfinite(value):
        return "∞" if value > 0 else "–"
    if value == 0:
        return "0"
    if abs(value) < 1e-4 or abs(value) >= 1e6:
        return f"{value:.2e}".replace("-", "−")
    decimals = max(0, 2 - int(np.floor(np.log10(abs(value)))))
    return f"{value:,.{decimals}f}".replace("-", "−")


def share(value: float) -> str:
    """A measured share in percent, with three significant digits."""
    return f"{number(100 * value)}\u00a0%"


def clipped(text: str, most: int = 22) -> str:
    """One line of printable text of at most `most` characters: the middle of a longer one is left out."""
    line = "".join(c if c.isprintable() else " " for c in text).strip() or "(empty)"
    tail = most // 3
    return line if len(line) <= most else f"{line[: most - 1 - tail].rstrip()}…{line[-tail:].lstrip()}"
