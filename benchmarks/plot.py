"""Bars on a logarithmic scale, as an SVG that needs nothing else and follows the reader's light or dark."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape

Groups = dict[str, dict[str, float]]
"""Seconds by label, by the title of the group."""

LEFT, WIDTH, RIGHT = 310, 410, 60
BAR, GAP, HEAD = 14, 18, 62
COLOURS = {
    "light": ("#8c959f", "#0a6ed1", "#2da44e", "#bf8700", "#cf5b4a"),
    "dark": ("#768390", "#539bf5", "#57ab5a", "#c69026", "#e5735f"),
}
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .back { fill: #ffffff } .grid { stroke: #d0d7de } .title { font-weight: 600 } .end { text-anchor: end }
  @media (prefers-color-scheme: dark) { text { fill: #d1d7e0 } .back { fill: #151b23 } .grid { stroke: #3d444d } }
"""


def svg(groups: Groups) -> str:
    """The picture; each label has one colour throughout."""
    labels = list(dict.fromkeys(label for bars in groups.values() for label in bars))
    every = [seconds for bars in groups.values() for seconds in bars.values()]
    scale = _Scale(min(every), max(every))
    height = HEAD + sum(len(bars) * BAR + GAP for bars in groups.values())
    width = LEFT + WIDTH + RIGHT
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        "<title>Seconds of each run, on a logarithmic scale</title>",
        f"<style>{STYLE}{_colours(len(labels))}</style>",
        f'<rect class="back" width="{width}" height="{height}" rx="6"/>',
        *_legend(labels),
        *_grid(scale, height),
        *_bars(groups, labels, scale),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


class _Scale:
    """From seconds to a place across the picture: whole decades."""

    def __init__(self, least: float, most: float) -> None:
        self.first, self.last = math.floor(math.log10(least)), math.ceil(math.log10(most))

    def __call__(self, seconds: float) -> float:
        return LEFT + WIDTH * (math.log10(seconds) - self.first) / max(1, self.last - self.first)

    @property
    def decades(self) -> list[float]:
        return [10.0**power for power in range(self.first, self.last + 1)]


def _colours(count: int) -> str:
    light = "".join(f" .c{number} {{ fill: {COLOURS['light'][number]} }}" for number in range(count))
    dark = "".join(f" .c{number} {{ fill: {COLOURS['dark'][number]} }}" for number in range(count))
    return f" {light}\n  @media (prefers-color-scheme: dark) {{{dark} }}\n"


def _legend(labels: list[str]) -> Iterator[str]:
    at = 16
    for number, label in enumerate(labels):
        yield f'<rect class="c{number}" x="{at}" y="14" width="12" height="12" rx="2"/>'
        yield f'<text x="{at + 17}" y="24">{escape(label)}</text>'
        at += 40 + 7 * len(label)


def _grid(scale: _Scale, height: int) -> Iterator[str]:
    for seconds in scale.decades:
        x = scale(seconds)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{HEAD - 8}" y2="{height - 12}"/>'
        yield f'<text x="{x:.1f}" y="{HEAD - 14}" text-anchor="middle">{seconds:g} s</text>'


def _bars(groups: Groups, labels: list[str], scale: _Scale) -> Iterator[str]:
    y = HEAD
    for title, bars in groups.items():
        middle = y + 11 + (len(bars) - 1) * BAR / 2
        yield f'<text class="title end" x="{LEFT - 14}" y="{middle:.0f}">{escape(title)}</text>'
        for label, seconds in bars.items():
            yield from _bar(labels.index(label), seconds, scale(seconds), y)
            y += BAR
        y += GAP


def _bar(colour: int, seconds: float, end: float, y: int) -> Iterator[str]:
    width = max(1.0, end - LEFT)
    yield f'<rect class="c{colour}" x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR - 2}" rx="2"/>'
    yield f'<text x="{LEFT + width + 5:.1f}" y="{y + BAR - 3}">{seconds:.3g}</text>'
