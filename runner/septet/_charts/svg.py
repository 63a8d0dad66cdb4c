"""Elements, scales and axes of a still: SVG without script that follows the reader's theme.

Colours are variables of the page (`--accent`, `--soft`, ...) with `currentColor` behind them, so
that the same text is right on a light page, a dark one, in a notebook and on paper.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

import msgspec

from septet._text import one_line, shortened

__all__ = [
    "Axis", "Panel", "document", "figure_text", "paint", "percent_text", "stroke", "text", "ticks",
]  # fmt: skip

LONGEST_NAME: Final = 40
_LONGEST_LABEL: Final = 60
_LONGEST_TITLE: Final = 120
_LONGEST_WORDS: Final = 600
_STEPS: Final = (1, 2, 2.5, 5, 10)
_DAY: Final = 86_400.0
_TIME_STEPS: Final = (
    60, 300, 900, 1_800, 3_600, 10_800, 21_600, 43_200,
    _DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY,
)  # fmt: skip
_MONTH_STEPS: Final = (1, 2, 3, 6, 12, 24, 60, 120)


def paint(name: str) -> str:
    """Return a colour of the page; on a page that has none of that name, the text's own."""
    return f"var(--{name}, currentColor)"


def shown(value: object, most: int = LONGEST_NAME) -> str:
    """Escape a name to one short line."""
    return escape(shortened(one_line(value), most))


def figure_text(value: float) -> str:
    """Write a figure of an axis, with k and M for thousands and millions."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if sign == 'k' else size):.6g}{sign}"
    return f"{value:.6g}"


def percent_text(value: float) -> str:
    """Write a share of an axis."""
    return f"{100 * value:.6g} %"


def text(x: float, y: float, words: object, anchor: str = "middle", color: str = "soft") -> str:
    """Return a small text."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{paint(color)}">'
        f"{shown(words, _LONGEST_LABEL)}</text>"
    )


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round values inside a range, about as many as asked for, and two at the least."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low] if math.isfinite(low) else []
    found = _round_values(low, high, max(count, 1))
    return found if len(found) > 1 else _round_values(low, high, 2 * max(count, 2))


def _round_values(low: float, high: float, count: int) -> list[float]:
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((each * power for each in _STEPS if each * power >= rough * 0.999), 10 * power)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


def time_ticks(low: float, high: float, count: int = 6) -> list[tuple[float, str]]:
    """Return times and their words, from seconds since 1970, UTC."""
    rough = (high - low) / max(count, 1)
    step = next((each for each in _TIME_STEPS if each >= rough), None)
    if step is None:
        return _month_ticks(low, high, rough)
    form = "%H:%M" if high - low < 2 * _DAY else "%d %b %H:%M" if step < _DAY else "%d %b %Y"
    places = range(math.ceil(low / step), math.floor(high / step) + 1)
    return [(k * step, datetime.fromtimestamp(k * step, UTC).strftime(form)) for k in places]


def _month_ticks(low: float, high: float, rough: float) -> list[tuple[float, str]]:
    months = next((n for n in _MONTH_STEPS if n * 30 * _DAY >= rough), _MONTH_STEPS[-1])
    found: list[tuple[float, str]] = []
    month = datetime.fromtimestamp(low, UTC).year * 12
    while True:
        year, rest = divmod(month, 12)
        if year > 9_000:
            return found
        at = datetime(year, rest + 1, 1, tzinfo=UTC)
        if at.timestamp() > high:
            return found
        if at.timestamp() >= low:
            found.append((at.timestamp(), at.strftime("%Y" if months >= 12 else "%b %Y")))
        month += months


class Axis(msgspec.Struct, frozen=True):
    """A range of values, and how they are written."""

    low: float
    high: float
    write: Callable[[float], str] = figure_text
    title: str = ""

    @staticmethod
    def of(
        values: Sequence[float],
        write: Callable[[float], str] = figure_text,
        title: str = "",
        *,
        zero: bool = False,
    ) -> Axis:
        """Return the axis that holds all finite values, with a little room."""
        known = [value for value in values if math.isfinite(value)] or [0.0]
        known += [0.0] if zero else []
        low, high = min(known), max(known)
        room = 0.04 * (high - low) or abs(high) * 0.04 or 1.0
        below = 0.0 if zero and low == 0 and high > 0 else room
        above = 0.0 if zero and high == 0 and low < 0 else room
        return Axis(low - below, high + above, write, title)


class Panel(msgspec.Struct, frozen=True):
    """A rectangle of the still, with an axis each way."""

    left: float
    top: float
    width: float
    height: float
    across: Axis
    up: Axis

    def x(self, value: float) -> float:
        """Return the place of a value across."""
        return self.left + self.width * (value - self.across.low) / (
            self.across.high - self.across.low
        )

    def y(self, value: float) -> float:
        """Return the place of a value upwards."""
        return (
            self.top
            + self.height
            - self.height * (value - self.up.low) / (self.up.high - self.up.low)
        )

    def rule(self, value: float, *, name: str = "grid") -> str:
        """Return a line across at a value."""
        y = self.y(value)
        return (
            f'<path d="M{self.left:.1f} {y:.1f}h{self.width:.1f}" stroke="{paint(name)}" '
            'stroke-opacity=".6"/>'
        )

    def rows(self, count: int = 5) -> str:
        """Return the lines and figures of the axis upwards, and its title above."""
        marks = ticks(self.up.low, self.up.high, count)
        lines = "".join(
            self.rule(v) + text(self.left - 6, self.y(v) + 3.5, self.up.write(v), "end")
            for v in marks
        )
        title = text(self.left, self.top - 6, self.up.title, "start") if self.up.title else ""
        return lines + title

    def columns(self, count: int = 6) -> str:
        """Return the figures of the axis across."""
        return self._below([(v, self.across.write(v)) for v in ticks(*self._span(), count)])

    def times(self, count: int = 6) -> str:
        """Return the dates below, where the axis across is seconds since 1970."""
        return self._below(time_ticks(*self._span(), count))

    def _span(self) -> tuple[float, float]:
        return self.across.low, self.across.high

    def _below(self, marks: Sequence[tuple[float, str]]) -> str:
        y = self.top + self.height
        line = f'<path d="M{self.left:.1f} {y:.1f}h{self.width:.1f}" stroke="{paint("line")}"/>'
        words = "".join(
            f'<path d="M{self.x(v):.1f} {y:.1f}v4" stroke="{paint("line")}"/>'
            + text(self.x(v), y + 16, word)
            for v, word in marks
        )
        middle = self.left + self.width / 2
        title = text(middle, y + 32, self.across.title) if self.across.title else ""
        return line + words + title

    def path(self, xs: Sequence[float], ys: Sequence[float], *, steps: bool = False) -> str:
        """Return the commands of a line; a value that is not finite is a gap."""
        left, width, first = self.left, self.width, self.across.low
        across = self.across.high - first
        bottom, height, low = self.top + self.height, self.height, self.up.low
        up = self.up.high - low
        form, is_finite = "H%.1fV%.1f" if steps else "L%.1f %.1f", math.isfinite
        parts, pen = [], False
        for x, y in zip(xs, ys, strict=True):  # `x` and `y` written out: there are thousands
            if not is_finite(y):
                pen = False
                continue
            at = left + width * (x - first) / across, bottom - height * (y - low) / up
            parts.append((form if pen else "M%.1f %.1f") % at)
            pen = True
        return "".join(parts)

    def line(
        self,
        xs: Sequence[float],
        ys: Sequence[float],
        color: str,
        *,
        dash: str = "",
        width: float = 1.5,
        steps: bool = False,
    ) -> str:
        """Return a line through values."""
        return stroke(self.path(xs, ys, steps=steps), color, dash=dash, width=width)


def stroke(commands: str, color: str, *, dash: str = "", width: float = 1.5) -> str:
    """Return a line of the commands of `Panel.path`."""
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<path d="{commands}" fill="none" stroke="{paint(color)}" '
        f'stroke-width="{width:g}" stroke-linejoin="round"{dashed}/>'
    )


def document(width: float, height: float, title: str, words: str, body: str) -> str:
    """Return a whole still: its title and its summary in words come first, for screen readers."""
    return (
        f'<svg class="still" xmlns="http://www.w3.org/2000/svg" role="img" '
        f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" '
        'font-family="inherit" font-size="11" style="max-width:100%;height:auto">'
        f"<title>{shown(title, _LONGEST_TITLE)}</title><desc>{shown(words, _LONGEST_WORDS)}</desc>"
        f"{body}</svg>"
    )
