"""A chart over time: its script, its markup and its data in packed columns and levels of detail.

The script takes a figure of the page and JSON, and knows nothing else of the page:

    septetTimeChart(figure, data)      -> a promise of the chart

`data` has `levels` (finest first; each `step` and `columns`, where `t` is seconds since 1970 and
`open high low close` are what candles draw), `panes` (each `series`, with `kind` candles, line,
area or columns, the `column` it draws and its `name`), `marks` (`t`, `kind` long, short, gain,
loss or halt, `text`, and `trade`, the number that entry and exit of a trade share), where there
are any `lines` (`price`, `text`) across the whole width, `span` if less than all is shown first,
and `logo` false where the page itself names the library. The chart has `append(row)`,
`addMark(mark)`, `setMarks(marks)` and `rule(lines)` for what arrives. It holds 5,000 bars at most:
panning and zooming change the part, and the level, that it holds.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from septet._text import one_line, shortened

if TYPE_CHECKING:
    import polars as pl

__all__ = ["figure", "levels", "library", "pack", "script", "style", "unpack"]

# A level joins this many bars of the one before; the coarsest has no more than this many.
BARS_PER_JOIN: Final = 4
COARSEST_BARS: Final = 2_000
_DIGITS: Final = 7
_MAX_STEP: Final = 2**31 - 1
_DEFLATE_LEVEL: Final = 6  # 9 takes eighteen times as long, and leaves one byte in a hundred less
_LONGEST_NAME: Final = 120
_MOVES: Final = (
    ("all", "all", "all: the whole span (0)"),
    ("in", "+", "Zoom in (+)"),
    ("out", "\u2212", "Zoom out (-)"),
    ("left", "\u2190", "Earlier (left arrow)"),
    ("right", "\u2192", "Later (right arrow)"),
)
_WALK: Final = (
    ("previous", "\u2190 trade", "Previous trade (p)"),
    ("next", "trade \u2192", "Next trade (n)"),
)


@cache
def library() -> str | None:
    """Return the text of lightweight-charts; None where septet was built without it."""
    place = files("septet._charts").joinpath("assets", "lightweight-charts.js")
    return place.read_text(encoding="utf-8") if place.is_file() else None


@cache
def script() -> str:
    """Return the script that defines `septetTimeChart`."""
    return files("septet._charts").joinpath("assets", "time-chart.js").read_text(encoding="utf-8")


@cache
def style() -> str:
    """Return the style of the markup; it uses the page's colours (`--ink`, `--accent`, ...)."""
    return files("septet._charts").joinpath("assets", "time-chart.css").read_text(encoding="utf-8")


def figure(name: str, title: str, summary: str, still: str, *, walks: bool = False) -> str:
    """Build the markup of a chart: buttons, the place it is drawn into, and words.

    Parameters
    ----------
    name : str
        The element's id.
    title, summary : str
        What is drawn, and what it shows, in words; both are escaped.
    still : str
        SVG that is shown until the script draws, and where it does not.
    walks : bool
        Whether there are buttons to the next and the previous trade.
    """
    moves = (*_MOVES, *_WALK) if walks else _MOVES
    buttons = "".join(
        f'<button type="button" data-move="{move}" aria-label="{label}" title="{label}">'
        f"{sign}</button>"
        for move, sign, label in moves
    )
    label = escape(shortened(one_line(title), _LONGEST_NAME))
    words = escape(shortened(one_line(summary), 2_000))
    own = escape(name)
    return (
        f'<figure class="time-chart" id="{own}" data-time-chart="{own}">'
        f'<figcaption class="note" id="{own}-summary">{words} <span data-note></span></figcaption>'
        f'<div class="moves buttons" hidden>{buttons}</div>'
        '<p data-legend aria-hidden="true"></p>'
        f'<div data-canvas tabindex="0" role="group" aria-label="{label}" '
        f'aria-describedby="{own}-summary">{still}</div>'
        '<p role="status" aria-live="polite"></p>'
        "<details data-rows hidden><summary>The rows shown, as a table</summary>"
        f'<div data-table tabindex="0" role="region" aria-label="Rows of {label}"></div></details>'
        "</figure>"
    )


def _deflated(values: np.ndarray[Any, Any]) -> str:
    """Write four-byte values as planes of bytes, lowest first, compressed, in base64."""
    planes = np.ascontiguousarray(values).view(np.uint8).reshape(-1, 4).T
    packer = zlib.compressobj(_DEFLATE_LEVEL, zlib.DEFLATED, -15)
    return base64.b64encode(packer.compress(planes.tobytes()) + packer.flush()).decode("ascii")


def _as_float32(numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return numbers as float32; those beyond what that holds become the largest that it does."""
    most = float(np.finfo(np.float32).max)
    found: np.ndarray[Any, Any] = np.clip(numbers, -most, most).astype("<f4")
    return found


def pack(values: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Pack a column: seven digits as differences of integers, or float32 where it has gaps."""
    numbers = np.asarray(values, dtype=np.float64)
    largest = float(np.max(np.abs(numbers))) if len(numbers) else 0.0
    if not np.isfinite(largest) or largest > 1e15:
        return {"kind": "float", "data": _deflated(_as_float32(numbers))}
    whole = bool(np.all(numbers == np.round(numbers)))
    power = 0 if whole or largest == 0 else _DIGITS - 1 - int(np.floor(np.log10(largest)))
    scale = 10.0 ** min(max(power, 0), 15)
    steps = np.diff(np.round(numbers * scale).astype(np.int64), prepend=0)
    if len(steps) and int(np.max(np.abs(steps))) > _MAX_STEP:
        return {"kind": "float", "data": _deflated(_as_float32(numbers))}
    return {"kind": "int", "scale": scale, "data": _deflated(steps.astype("<i4"))}


def levels(frame: pl.DataFrame, rules: Mapping[str, str]) -> list[dict[str, Any]]:
    """Build levels of detail from a frame sorted by time.

    Parameters
    ----------
    frame : polars.DataFrame
        Column `t`, seconds since 1970, and what is drawn.
    rules : mapping
        Column to how bars are joined: `first`, `last`, `max`, `min`, `sum` or `mean`.
    """
    import polars as pl

    found: list[dict[str, Any]] = []
    part, step = frame.select("t", *rules), 1
    while True:
        columns = {name: pack(part.get_column(name).to_numpy()) for name in part.columns}
        found.append({"step": step, "columns": columns})
        if part.height <= COARSEST_BARS:
            return found
        joined = [getattr(pl.col(name), rule)() for name, rule in rules.items()]
        group = (pl.int_range(pl.len()) // BARS_PER_JOIN).alias("_group")
        part = (
            part.group_by(group, maintain_order=True)
            .agg(pl.col("t").first(), *joined)
            .drop("_group")
        )
        step *= BARS_PER_JOIN


def unpack(packed: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Return the values of a packed column."""
    planes = np.frombuffer(zlib.decompress(base64.b64decode(packed["data"]), -15), dtype=np.uint8)
    raw = np.ascontiguousarray(planes.reshape(4, -1).T)
    if packed["kind"] == "float":
        return raw.view("<f4").ravel().astype(np.float64)
    return np.asarray(np.cumsum(raw.view("<i4").ravel(), dtype=np.int64) / packed["scale"])
