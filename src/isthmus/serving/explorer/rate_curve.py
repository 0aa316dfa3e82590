"""What quality costs for one sample: bits per value and decibels at several qualities, as a drawing."""

from __future__ import annotations

from dataclasses import dataclass, field

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

QUALITIES = (10, 25, 40, 55, 70, 85, 95)  # that are tried one after another
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _MARGIN = 640, 230, 46, 48, 12  # pixels


@dataclass
class RateCurve:
    """points : bits per value and decibels by quality. other : bits per value of what is compared with, and its name.

    >>> curve = RateCurve()
    >>> curve.points.update({10: (0.2, 27.0), 90: (1.4, 38.0)})
    >>> "decibels" in curve.drawing(90)
    True
    """

    points: dict[float, tuple[float, float]] = field(default_factory=dict)
    other: tuple[float, str] | None = None

    def missing(self) -> float | None:
        """The next quality to try; None where all have been."""
        return next((float(quality) for quality in QUALITIES if quality not in self.points), None)

    def drawing(self, here: float) -> Markup:
        """The curve as an SVG element. here : the quality that is marked. Nothing where there are fewer than two."""
        known = sorted((rate, quality, db) for quality, (rate, db) in self.points.items() if db < float("inf"))
        if len(known) < 2:
            return Markup("")
        rates, heights = [rate for rate, _, _ in known], [db for _, _, db in known]
        x_ticks = MaxNLocator(5).tick_values(0, 1.1 * max(rates))
        y_ticks = MaxNLocator(4).tick_values(min(heights), max(heights))

        def at(rate: float, db: float) -> tuple[float, float]:
            across = (rate - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
            up = (db - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
            return (
                _LEFT + across * (_WIDTH - _LEFT - _MARGIN),
                _HEIGHT - _BOTTOM - up * (_HEIGHT - _BOTTOM - _MARGIN),
            )

        parts = [_label(_LEFT, y + 4, f"{tick:g}", "end", -8) + _line(_LEFT, y, _WIDTH - _MARGIN, y, "grid")
                 for tick in y_ticks for _, y in [at(0, tick)]]  # fmt: skip
        parts += [_label(at(tick, 0)[0], _HEIGHT - _BOTTOM + 16, f"{tick:g}", "middle") for tick in x_ticks]
        if self.other is not None and self.other[0] <= x_ticks[-1]:
            x = at(self.other[0], 0)[0]
            parts += [
                _line(x, _MARGIN, x, _HEIGHT - _BOTTOM, "other"),
                _label(x, _MARGIN + 8, self.other[1], "end", -6),
            ]
        places = [(*at(rate, db), quality) for rate, quality, db in known]
        line = Markup('<polyline class="line" points="{}"/>')
        parts.append(line.format(" ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)))
        dot = Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{}"><title>quality {:g}</title></circle>')
        parts += [
            dot.format("here" if quality == here else "dot", x, y, 6 if quality == here else 3.5, quality)
            for x, y, quality in places
        ]
        parts.append(
            _label(_WIDTH / 2, _HEIGHT - 6, "bits per value, and decibels (PSNR) upwards, by quality", "middle")
        )
        drawing = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="Rate and distortion">{}</svg>')
        return drawing.format(_WIDTH, _HEIGHT, Markup("").join(parts))


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    line = Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>')
    return line.format(kind, x1, y1, x2, y2)


def _label(x: float, y: float, text: str, anchor: str, dx: float = 0) -> Markup:
    label = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
    return label.format(x + dx, y, anchor, text)
