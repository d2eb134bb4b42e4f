"""Bars as SVG, which a page shows as well on white as on black."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape

__all__ = ["Bar", "Group", "plot"]

_WIDTH, _LABELS, _BAR, _GAP, _TITLE = 860, 250, 16, 4, 34
_LONGEST = _WIDTH - _LABELS - 90
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.ours { fill: #4c9a2a }
.other { fill: #8b949e }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } }
"""


@dataclass(frozen=True)
class Bar:
    """One figure."""

    name: str
    value: float
    ours: bool


@dataclass(frozen=True)
class Group:
    """Figures that are set against one another, in one unit."""

    title: str
    unit: str
    bars: tuple[Bar, ...]


def plot(groups: Iterable[Group]) -> str:
    """The picture. In each group the longest bar has the whole width."""
    drawn: list[str] = []
    top = 0
    for group in groups:
        drawn += _drawn(group, top)
        top += _TITLE + len(group.bars) * (_BAR + _GAP)
    height = top + _GAP
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" role="img">'
    title = "<title>Processor time of each client; shorter is better</title>"
    return "\n".join((head, title, f"<style>{_STYLE}</style>", *drawn, "</svg>\n"))


def _drawn(group: Group, top: int) -> Iterator[str]:
    longest = max(bar.value for bar in group.bars)
    yield f'<text class="title" x="0" y="{top + 22}">{escape(group.title)}</text>'
    for number, bar in enumerate(group.bars):
        y = top + _TITLE + number * (_BAR + _GAP)
        width = max(bar.value / longest * _LONGEST, 1)
        kind = "ours" if bar.ours else "other"
        yield f'<text x="{_LABELS - 8}" y="{y + 13}" text-anchor="end">{escape(bar.name)}</text>'
        yield f'<rect class="{kind}" x="{_LABELS}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2"/>'
        value = f"{bar.value:,.0f}" if bar.value >= 100 else f"{bar.value:.1f}"
        yield f'<text x="{_LABELS + width + 6:.1f}" y="{y + 13}">{value} {escape(group.unit)}</text>'
