"""Stills: lines over time, heat map, calibration, distribution, bars; SVG without script.

Weighed against kept libraries on the sweep's heat map and a calibration chart; the figures are in
docs/architecture.md. Every still has a title, a summary in words, and a shape, a dash or a word
beside each colour that means something.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from septet._charts.svg import (
    Axis,
    Panel,
    document,
    figure_text,
    paint,
    percent_text,
    shown,
    stroke,
    text,
)

__all__ = [
    "Line",
    "Mark",
    "Pane",
    "bars",
    "calibration",
    "heat_map",
    "lines",
    "ranked_bars",
]

_LEFT_PX: Final = 62
_RIGHT_PX: Final = 12
_MAX_SIGNS: Final = 240
_NARROW_PX: Final = 700.0
_MARK_PATHS: Final = {
    "circle": "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0Z",
    "triangle": "M0-5L5 4H-5Z",
    "square": "M-4-4H4V4H-4Z",
    "diamond": "M0-5L5 0L0 5L-5 0Z",
    "cross": "M-4-5L0-1L4-5L5-4L1 0L5 4L4 5L0 1L-4 5L-5 4L-1 0L-5-4Z",
}


class Line(msgspec.Struct, frozen=True):
    """A line, or an area from zero."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    color: str = "accent"
    dash: str = ""
    area: bool = False
    steps: bool = False
    stack: str = ""  # areas of one stack lie on each other, in order


class Mark(msgspec.Struct, frozen=True):
    """A sign at a place, with words."""

    x: float
    y: float
    shape: str
    color: str
    words: str


class Pane(msgspec.Struct, frozen=True):
    """Lines that share a panel."""

    lines: Sequence[Line]
    title: str = ""
    write: Callable[[float], str] = figure_text
    share: float = 1.0
    zero: bool = False
    marks: Sequence[Mark] = ()


def _mark(panel: Panel, mark: Mark) -> str:
    at = f"{panel.x(mark.x):.1f} {panel.y(mark.y):.1f}"
    return (
        f'<path transform="translate({at})" d="{_MARK_PATHS[mark.shape]}" '
        f'fill="{paint(mark.color)}">'
        f"<title>{shown(mark.words, 120)}</title></path>"
    )


def _key(entries: Sequence[tuple[str, str, str]], left: float, y: float, most: float) -> str:
    """Return the names of lines, each beside its own stroke, in one row or as many as needed."""
    parts, x = [], left
    for name, color, dash in entries:
        room = 26 + 6.2 * min(len(name), 40)
        if x > left and x + room > most:
            x, y = left, y + 16
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        stroke = f'<path d="M{x:.1f} {y - 3.5:.1f}h14" stroke="{paint(color)}" stroke-width="3"'
        parts.append(f"{stroke}{dashed}/>{text(x + 19, y, name, 'start')}")
        x += room
    return "".join(parts)


def _stacked(pane: Pane) -> list[tuple[Line, list[float], list[float]]]:
    """Return each line with its lower and its upper edge."""
    sums: dict[str, list[float]] = {}
    found = []
    for line in pane.lines:
        upper = [float("nan") if v is None else float(v) for v in line.y]
        base = [0.0] * len(upper)
        if line.stack:
            base = sums.get(line.stack, base)
            upper = [a + (b if math.isfinite(b) else 0.0) for a, b in zip(base, upper, strict=True)]
            sums[line.stack] = upper
        found.append((line, base, upper))
    return found


def _drawn(panel: Panel, line: Line, base: list[float], upper: list[float]) -> str:
    if not line.area:
        return panel.line(line.x, upper, line.color, dash=line.dash, steps=line.steps)
    lower = [b if math.isfinite(u) else u for b, u in zip(base, upper, strict=True)]
    there = panel.path(line.x, upper, steps=line.steps)
    corners = [(x, b) for x, b in zip(line.x, lower, strict=True) if math.isfinite(b)]
    corners = _step_corners(corners) if line.steps else corners
    back = "".join(f"L{panel.x(x):.1f} {panel.y(b):.1f}" for x, b in corners[::-1])
    opacity = "0.85" if line.stack else "0.22"
    fill = f'<path d="{there}{back}Z" fill="{paint(line.color)}" fill-opacity="{opacity}"/>'
    return fill if line.stack else fill + stroke(there, line.color)


def _step_corners(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for x, y in points:
        if found:
            found.append((x, found[-1][1]))
        found.append((x, y))
    return found


def lines(
    title: str,
    words: str,
    panes: Sequence[Pane],
    *,
    width: float = 1040,
    height: float = 300,
    when: Sequence[tuple[float, str]] = (),
    across: Axis | None = None,
) -> str:
    """Return lines in panes that share one axis across: seconds since 1970, or `across`.

    `when` are times with words, drawn as dotted lines through every pane; those outside of the
    axis are left out.
    """
    names = [
        (each.name, each.color, each.dash)
        for pane in panes
        for each in pane.lines
        if sum(bool(line.name) for line in pane.lines) > 1 and each.name
    ]
    names = list(dict.fromkeys(names))
    key_rows = -(-sum(26 + 6.2 * min(len(n[0]), 40) for n in names) // (width - _LEFT_PX)) or 0
    top = 8 + 16 * key_rows
    xs = [x for pane in panes for line in pane.lines for x in line.x]
    shared = across or Axis(min(xs, default=0.0), max(max(xs, default=1.0), min(xs, default=0) + 1))
    bottom = 40 if shared.title else 24
    gap = 26
    room = height - top - bottom - gap * len(panes)
    total = sum(pane.share for pane in panes)
    body, y = [_key(names, _LEFT_PX, top, width) if names else ""], top + gap
    for place, pane in enumerate(panes):
        stacked = _stacked(pane)
        values = [v for _, _, upper in stacked for v in upper]
        up = Axis.of(values, pane.write, pane.title, zero=pane.zero)
        tall = room * pane.share / total
        panel = Panel(_LEFT_PX, y, width - _LEFT_PX - _RIGHT_PX, tall, shared, up)
        body.append(panel.rows(max(2, int(tall // 42))))
        body += [_drawn(panel, *each) for each in stacked]
        body += [_mark(panel, mark) for mark in pane.marks]
        inside = [each for each in when if shared.low <= each[0] <= shared.high]
        body += [_halt(panel, at, word) for at, word in inside]
        if place == len(panes) - 1:
            count = max(3, int(width // 150))
            body.append(panel.columns(count) if across else panel.times(count))
        y += tall + gap
    return document(width, height, title, words, "".join(body))


def _halt(panel: Panel, at: float, words: str) -> str:
    x = panel.x(at)
    return (
        f'<path d="M{x:.1f} {panel.top:.1f}v{panel.height:.1f}" stroke="{paint("bad")}" '
        f'stroke-dasharray="2 3"><title>{shown(words)}</title></path>'
    )


def calibration(
    title: str, words: str, rows: Sequence[tuple[float, float, float, float, float]]
) -> str:
    """Return the chart of calibration; rows are predicted, observed, count, low, high."""
    axis = Axis(0.0, 1.0, percent_text)
    panel = Panel(
        52, 26, 372, 250,
        Axis(0, 1, percent_text, "predicted probability of up"),
        Axis(axis.low, axis.high, percent_text, "observed share of ups"),
    )  # fmt: skip
    top = max((row[2] for row in rows), default=1.0) or 1.0
    body = [panel.rows(), panel.columns(5)]
    body.append(panel.line([0, 1], [0, 1], "neutral", dash="5 4", width=1.2))
    for predicted, observed, count, low, high in rows:
        x = panel.x(predicted)
        size = 3 + 6 * math.sqrt(count / top)
        body.append(
            f'<path d="M{x:.1f} {panel.y(low):.1f}V{panel.y(high):.1f}m-4 0h8M{x - 4:.1f} '
            f'{panel.y(low):.1f}h8" stroke="{paint("accent")}" stroke-opacity=".6" fill="none"/>'
            f'<circle cx="{x:.1f}" cy="{panel.y(observed):.1f}" r="{size:.1f}"'
            f' fill="{paint("accent")}"><title>predicted {percent_text(round(predicted, 3))}, '
            f"observed {percent_text(round(observed, 3))}, {count:,.0f} rows</title></circle>"
        )
    return document(440, 320, title, words, "".join(body))


def bars(
    title: str,
    words: str,
    edges: Sequence[float],
    values: Sequence[float],
    *,
    across: str,
    up: str,
    write: Callable[[float], str] = figure_text,
    write_up: Callable[[float], str] = figure_text,
    colors: Sequence[str] = (),
    marks: Sequence[tuple[float, str, str, str]] = (),
) -> str:
    """Return bars between edges; marks are a value, its words, a colour and a dash."""
    reach = [*edges, *(mark[0] for mark in marks)]
    room = 0.02 * (max(reach) - min(reach))
    axis = Axis(min(reach) - room, max(reach) + room, write, across)
    panel = Panel(52, 44, 376, 232, axis, Axis(0, max(values) * 1.05 or 1, write_up, up))
    body = [panel.rows(), panel.columns(5)]
    for place, value in enumerate(values):
        x, end, y = panel.x(edges[place]), panel.x(edges[place + 1]), panel.y(value)
        color = colors[place] if colors else "neutral"
        body.append(
            f'<rect x="{x + 0.5:.1f}" y="{y:.1f}" width="{max(end - x - 1, 0.5):.1f}" '
            f'height="{panel.top + panel.height - y:.1f}" fill="{paint(color)}" '
            f'fill-opacity="{0.85 if colors else 0.45}"><title>{shown(write(edges[place]))} to '
            f"{shown(write(edges[place + 1]))}: {shown(write_up(value))}</title></rect>"
        )
    for at, _, color, dash in marks:
        body.append(panel.line([at, at], [0, panel.up.high], color, dash=dash, width=2))
    body.append(_key([mark[1:] for mark in marks], 8, 12, 440))
    return document(440, 320, title, words, "".join(body))


def ranked_bars(
    title: str,
    words: str,
    rows: Sequence[tuple[str, float, float, float]],
    *,
    across: str,
    write: Callable[[float], str] = percent_text,
) -> str:
    """Return lying bars, largest first; rows are name, value, lowest and highest."""
    left = 16 + 6.2 * max((min(len(row[0]), 26) for row in rows), default=4)
    high = max((row[3] for row in rows), default=1.0) or 1.0
    axis = Axis(0, high * 1.04, write, across)
    panel = Panel(left, 6, 440 - left - 16, 22 * len(rows), axis, Axis(0, 1))
    body = [panel.columns(4)]
    for place, (name, value, low, most) in enumerate(rows):
        y = panel.top + 22 * place
        short = name if len(name) <= 26 else f"{name[:25]}\u2026"
        body.append(
            text(left - 6, y + 14.5, short, "end")
            + f'<rect x="{left:.1f}" y="{y + 4:.1f}" width="{panel.x(value) - left:.1f}" '
            f'height="14" fill="{paint("accent")}" fill-opacity=".8"><title>{shown(name)}: '
            f"{shown(write(round(value, 4)))}</title></rect>"
        )
        if most > low:
            body.append(
                f'<path d="M{panel.x(low):.1f} {y + 11:.1f}H{panel.x(most):.1f}" '
                f'stroke="{paint("soft")}" stroke-width="1.4"/>'
            )
    return document(440, 22 * len(rows) + 48, title, words, "".join(body))


def _signs(signs: Sequence[tuple[float, float, str]], wide: float) -> str:
    """Return the figures of cells, smaller where they need it; all of them, or none."""
    longest = max((len(sign) for _, _, sign in signs), default=0)
    size = next((size for size in (11, 9) if 0.58 * size * longest < wide), 0)
    if not size:
        return ""
    drawn = "".join(text(x, y, sign, color="ink") for x, y, sign in signs)
    return drawn if size == 11 else f'<g font-size="{size}">{drawn}</g>'


def heat_map(
    title: str,
    words: str,
    columns: Sequence[str],
    rows: Sequence[str],
    cell: Callable[[int, int], tuple[str, float, str, str] | None],
    *,
    across: str = "",
    up: str = "",
    ring: tuple[int, int] | None = None,
    width: float = 1040,
    scale: str = "",
) -> str:
    """Return a map; `cell(row, column)` gives a colour, an opacity, words and a sign, or None.

    Rows are drawn from the bottom up; `ring` is the (column, row) that stands out; `scale` is
    markup of a key, 16 high, drawn above.
    """
    left = 22 + 6.2 * max((min(len(name), 30) for name in rows), default=1)
    wide = (width - left - _RIGHT_PX) / max(len(columns), 1)
    tall = max(14.0, min(30.0, 400 / max(len(rows), 1)))
    below = 18.0 if up and scale and width < _NARROW_PX else 0.0  # no room for both on one line
    top, height = 30.0 + below, tall * len(rows)
    body = [text(left, 14 + below, up, "start") if up else ""]
    body.append(f'<g transform="translate({width - 300:.0f} 2)">{scale}</g>' if scale else "")
    size = f'width="{max(wide - 1, 0.5):.1f}" height="{tall - 1:.1f}"'
    cells: dict[str, list[str]] = {}
    signs: list[tuple[float, float, str]] = []
    for j in range(len(rows)):
        y = top + height - tall * (j + 1)
        for i in range(len(columns)):
            if (found := cell(j, i)) is None:
                continue
            color, opacity, label, sign = found
            cells.setdefault(color, []).append(
                f'<rect x="{left + wide * i:.1f}" y="{y:.1f}" {size} opacity="{opacity:.2g}">'
                f"<title>{shown(label, 200)}</title></rect>"
            )
            if sign:
                signs.append((left + wide * (i + 0.5), y + tall / 2 + 3.5, sign))
        if j % max(1, int(-(-12 // tall))) == 0:
            body.append(text(left - 6, y + tall / 2 + 3.5, rows[j], "end"))
    body += [f'<g fill="{paint(name)}">{"".join(each)}</g>' for name, each in cells.items()]
    if len(rows) * len(columns) <= _MAX_SIGNS:
        body.append(_signs(signs, wide))
    longest = max((len(name) for name in columns), default=1)
    every = max(1, math.ceil((6.4 * min(longest, 40) + 12) / max(wide, 0.1)))
    body += [
        text(left + wide * (i + 0.5), top + height + 15, columns[i])
        for i in range(0, len(columns), every)
    ]
    body.append(text(left + (width - left) / 2, top + height + 32, across) if across else "")
    if ring is not None:
        x, y = left + wide * (ring[0] + 0.5), top + height - tall * (ring[1] + 0.5)
        radius = min(tall, wide) * 0.36 + 2
        body += [
            f'<circle cx="{x - 0.5:.1f}" cy="{y - 0.5:.1f}" r="{radius + more:.1f}" fill="none" '
            f'stroke="{paint(color)}" stroke-width="2"/>'
            for color, more in (("card", 2), ("ink", 0))
        ]
    bottom = 40 if across else 22
    return document(width, top + height + bottom, title, words, "".join(body))
