"""Static HTML for notebooks: tables and a line chart, without scripts, every value escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

from septet._charts.stills import Line, Pane, lines
from septet._text import one_line, shortened

if TYPE_CHECKING:
    import polars as pl

    from septet.errors import Problem

__all__ = ["curve", "frame_table", "heading", "page", "pairs", "paragraph", "problem_list", "table"]

_LONGEST_CELL: Final = 200
_MOST_ROWS: Final = 60
_MOST_COLUMNS: Final = 16
_POINTS: Final = 300
_WIDTH: Final = 600
_HEIGHT: Final = 160
_CELL: Final = "padding:2px 10px 2px 0;text-align:left"


def page(*parts: str) -> str:
    """Join parts; the colours follow the reader's theme."""
    style = "font-family:sans-serif;color:currentColor;overflow-x:auto"
    return f'<div style="{style}">{"".join(parts)}</div>'


def _shown(value: object, most: int = _LONGEST_CELL) -> str:
    """Format a value as one short, escaped line."""
    return escape(shortened(one_line(value), most))


def heading(text: object) -> str:
    """Return a heading."""
    return f'<p style="margin:4px 0"><strong>{_shown(text)}</strong></p>'


def paragraph(text: object) -> str:
    """Return a paragraph; the text may be long, as verdicts are."""
    return f'<p style="margin:4px 0;max-width:70em">{_shown(text, 2_000)}</p>'


def pairs(values: Iterable[tuple[str, object]]) -> str:
    """Return a table of names and values, one pair in a row."""
    rows = "".join(
        f'<tr><th scope="row" style="{_CELL};font-weight:normal">{_shown(name)}</th>'
        f'<td style="{_CELL}">{_shown("" if value is None else value)}</td></tr>'
        for name, value in values
    )
    return f"<table><tbody>{rows}</tbody></table>"


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], total: int | None = None) -> str:
    """Return a table of at most 60 rows; `total` is the number of rows there are."""
    head = "".join(f'<th scope="col" style="{_CELL}">{_shown(each, 60)}</th>' for each in columns)
    body = "".join(
        "<tr>"
        + "".join(f'<td style="{_CELL}">{_shown(_text(value), 60)}</td>' for value in row)
        + "</tr>"
        for row in rows[:_MOST_ROWS]
    )
    count = len(rows) if total is None else total
    unlisted = count - min(len(rows), _MOST_ROWS)
    note = paragraph(f"and {unlisted:,} more rows") if unlisted > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{note}"


def frame_table(frame: pl.DataFrame) -> str:
    """Return the first rows and columns of a frame."""
    head = frame.select(frame.columns[:_MOST_COLUMNS]).head(_MOST_ROWS)
    return table(head.columns, head.rows(), frame.height)


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,.6g}" if isinstance(value, float) else str(value)


def problem_list(problems: Sequence[Problem]) -> str:
    """Return a list of problems: each with its place, what was expected and found, and the hint."""
    items = "".join(f"<li>{_problem(each)}</li>" for each in problems[:_MOST_ROWS])
    unlisted = len(problems) - _MOST_ROWS
    note = paragraph(f"and {unlisted:,} more problems") if unlisted > 0 else ""
    return f"<ul>{items}</ul>{note}"


def _problem(problem: Problem) -> str:
    first, *further_lines = str(problem).splitlines() or [""]
    return _shown(first, 400) + "".join(
        f'<p style="margin:0">{_shown(line.strip(), 300)}</p>' for line in further_lines[:3]
    )


def curve(values: Sequence[float], seconds: Sequence[float], title: str) -> str:
    """Return values over time as SVG, reduced to the lowest and highest of each span."""
    points_known = [
        (at, value) for at, value in zip(seconds, values, strict=True) if value == value
    ]
    if len(points_known) < 2:
        return ""
    points = [value for _, value in points_known]
    drawn = _thinned(points)
    words = f"From {points[0]:,.6g} to {points[-1]:,.6g}, between {min(points):,.6g} and "
    words += f"{max(points):,.6g}."
    line = Line("", [points_known[at][0] for at, _ in drawn], [value for _, value in drawn])
    return lines(title, words, [Pane([line])], width=_WIDTH, height=_HEIGHT)


def _thinned(points: Sequence[float]) -> list[tuple[int, float]]:
    """Return the first and last value, and the lowest and highest of each span, in order."""
    if len(points) <= 2 * _POINTS:
        return list(enumerate(points))
    step = -(-len(points) // _POINTS)
    thinned = {0: points[0], len(points) - 1: points[-1]}
    for start in range(0, len(points), step):
        part = range(start, min(start + step, len(points)))
        for at in (min(part, key=points.__getitem__), max(part, key=points.__getitem__)):
            thinned[at] = points[at]
    return sorted(thinned.items())
