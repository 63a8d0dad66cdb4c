"""The charts of a sweep, as stills: map, line, distribution, ranks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from septet._charts import stills
from septet._charts.stills import Line, Mark, Pane
from septet._charts.svg import Axis, figure_text, paint, percent_text, text

if TYPE_CHECKING:
    from septet._data.bars import Floats

__all__ = ["WIDTH", "line_still", "map_still", "ranks_still", "spread_still"]

WIDTH: Final = 1040.0
_SHARES: Final = ("total_return", "win_rate", "max_drawdown")


def _write(data: Mapping[str, Any], value: float | None) -> str:
    if value is None:
        return "n/a"
    return f"{100 * value:.1f} %" if data["goal"] in _SHARES else f"{value:.2f}"


def _axis_text(data: Mapping[str, Any], value: float) -> str:
    return percent_text(value) if data["goal"] in _SHARES else figure_text(value)


def _shades(data: Mapping[str, Any], rows: list[list[float | None]]) -> tuple[float, float]:
    """Return the values with no colour and with full colour; both sides of zero are coloured."""
    known = [v for row in rows for v in row if v is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    if not data["more_is_better"]:
        return min(0.0, low), high
    if low < 0 < high and data["goal"] != "profit_factor":
        return 0.0, max(-low, high)
    return (high, low) if high <= 0 else (low, high)


def _look(data: Mapping[str, Any], value: float, bare: float, full: float) -> tuple[str, float]:
    share = min(1.0, abs(value - bare) / (abs(full - bare) or 1.0))
    is_good = data["more_is_better"] and value >= bare
    color = "accent" if is_good else "contrast"
    return color, 0.06 + 0.6 * share


def _scale(data: Mapping[str, Any], rows: list[list[float | None]]) -> str:
    """Return the legend of the colours: five steps with the ends labelled."""
    known = [v for row in rows for v in row if v is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    bare, full = _shades(data, rows)
    steps = np.linspace(low, high, 9).tolist()
    cells = "".join(
        f'<rect x="{70 + 14 * k}" y="2" width="13" height="10" '
        f'fill="{paint(color)}" opacity="{opacity:.2f}"/>'
        for k, (color, opacity) in enumerate(_look(data, value, bare, full) for value in steps)
    )
    return (
        text(64, 11, _write(data, low), "end") + cells + text(202, 11, _write(data, high), "start")
    )


def map_still(
    data: Mapping[str, Any], m: Mapping[str, Any], show: str, *, width: float = WIDTH
) -> str:
    """Return the map of two keys; `show` is best or middle."""
    across, up = data["axes"][m["x"]], data["axes"][m["y"]]
    bare, full = _shades(data, m[show])

    def cell(j: int, i: int) -> tuple[str, float, str, str] | None:
        value = m[show][j][i]
        if value is None:
            return None
        at = f"{across['name']} {across['labels'][i]}, {up['name']} {up['labels'][j]}: "
        words = f"{at}best {_write(data, m['best'][j][i])}, setting {m['setting'][j][i]}"
        if m["of"][j][i] > 1:
            words += f"; middle {_write(data, m['middle'][j][i])} of {m['of'][j][i]}"
        return *_look(data, value, bare, full), words, _write(data, value)

    best = data["best"]
    ring = (best["places"][m["x"]], best["places"][m["y"]]) if best else None
    title = f"{data['goal_name']}, {show} of each place: {across['name']} across, {up['name']} up"
    words = f"{len(across['labels'])} by {len(up['labels'])} places."
    if best:
        words += f" The best setting, {best['setting']}, has {_write(data, best['value'])}."
    return stills.heat_map(
        title, words, across["ticks"], up["ticks"], cell,
        across=across["name"], up=up["name"], ring=ring, scale=_scale(data, m[show]),
        width=width,
    )  # fmt: skip


def _floats(values: list[float | None]) -> Floats:
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


def line_still(data: Mapping[str, Any], *, width: float = WIDTH) -> str:
    """Return the goal over the one key that has more than one value."""
    row = data["line"]
    y = _floats(row["y"]).tolist()
    marks, best = [], data["best"]
    if len(y) <= 300:
        marks = [
            Mark(x, v, "circle", "accent", f"{name}, setting {setting}: {_write(data, v)}")
            for x, v, name, setting in zip(row["x"], y, row["text"], row["setting"], strict=True)
            if np.isfinite(v)
        ]
    if best and best["setting"] in row["setting"]:
        at = row["setting"].index(best["setting"])
        words = f"best: {row['text'][at]}, {_write(data, best['value'])}"
        marks.append(Mark(row["x"][at], y[at], "diamond", "ink", words))
    pane = Pane(
        [Line(data["goal_name"], row["x"], y)], data["goal_name"],
        lambda v: _axis_text(data, v), marks=marks,
    )  # fmt: skip
    words = f"{len(y)} settings." + (
        f" The best has {_write(data, best['value'])}." if best else ""
    )
    return stills.lines(
        f"{data['goal_name']} over {row['title']}", words, [pane], height=360, width=width,
        across=Axis.of(row["x"], figure_text, row["title"]),
    )  # fmt: skip


def spread_still(data: Mapping[str, Any]) -> str:
    """Return the distribution of the goal, with median, best and the best expected by chance."""
    s = data["spread"]
    marks = [(s["middle"], f"middle {_write(data, s['middle'])}", "soft", "6 4")]
    if data["expected_maximum"] is not None:
        by_chance = data["expected_maximum"]
        marks.append((by_chance, f"by chance {_write(data, by_chance)}", "contrast", "2 3"))
    if data["best"]:
        value = data["best"]["value"]
        marks.append((value, f"best {_write(data, value)}", "accent", ""))
    words = f"{sum(s['counts'])} settings: {'; '.join(mark[1] for mark in marks)}."
    return stills.bars(
        f"Distribution of the {data['goal_name']}", words, s["edges"], s["counts"],
        across=data["goal_name"], up="settings", write=lambda v: _axis_text(data, v), marks=marks,
    )  # fmt: skip


def ranks_still(data: Mapping[str, Any]) -> str:
    """Return the rank that the best of one half had in the other half."""
    ranks = data["ranks"]
    edges = np.linspace(0, 100, len(ranks) + 1).tolist()
    half = len(ranks) // 2
    words = f"{100 * sum(ranks[:half]):.1f} % of splits are not above the middle, at 50."
    return stills.bars(
        "Where the best of one half stood in the other", words, edges, ranks,
        across="place in the other half: 0 is worst, 100 is best", up="share of splits",
        write_up=percent_text, colors=["contrast"] * half + ["accent"] * (len(ranks) - half),
        marks=[(50.0, "middle", "soft", "6 4")],
    )  # fmt: skip
