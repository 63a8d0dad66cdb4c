"""The charts of a run: stills, and the data of those that pan and zoom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from septet._charts import stills, time_chart
from septet._charts.stills import Line, Mark, Pane
from septet._charts.svg import figure_text, percent_text
from septet._report.thinning import thin_rows
from septet._report.weights import NAMED_SYMBOLS
from septet._results.number_texts import count, date, number, percent

if TYPE_CHECKING:
    from septet._data.bars import Floats

__all__ = [
    "calibration_still",
    "curve_chart",
    "drift_map",
    "health_still",
    "importance_still",
    "price_chart",
    "rolling_still",
    "weights_still",
]

STILL_POINTS: Final = 500
_LEVEL_LINES: Final = (
    ("stop_price", "stop", "bad", False),
    ("target_price", "target", "accent", True),
    ("add_price", "resting add", "contrast", True),
)
DRIFT_COLUMNS: Final = 90
DRIFT_ROWS: Final = 24
_LEVELS: Final = {"ok": 0, "warn": 1, "block": 2, "retrain": 3, "halt": 4}
_VERDICT_MARKS: Final = {
    "warn": ("triangle", "caution"),
    "block": ("square", "bad"),
    "retrain": ("diamond", "contrast"),
    "halt": ("cross", "bad"),
}
_CELL_COLORS: Final = ("accent", "caution-mark", "bad", "contrast", "bad")
_CELL_SIGNS: Final = ("", "\u25b2", "\u25a0", "\u25c6", "\u2715")


def _array(values: Sequence[float | None]) -> Floats:
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


def _halts(data: Mapping[str, Any]) -> list[tuple[float, str]]:
    return [(halt["t"] / 1000, f"halt: {halt['rule']}") for halt in data["halts"]]


def _thinned(x: Floats, columns: Sequence[Floats]) -> tuple[list[float], list[list[float]]]:
    rows = np.unique(
        np.concatenate(
            [thin_rows(np.nan_to_num(values), STILL_POINTS) for values in columns]
            or [np.zeros(0, np.int64)]
        )
    )
    return x[rows].tolist(), [values[rows].tolist() for values in columns]


def _curve_panes(data: Mapping[str, Any]) -> tuple[Floats, list[dict[str, Any]]]:
    """Return the times, and panes of (name, values, look)."""
    curve = data["curve"]
    seconds = np.array(curve["t"], dtype=np.int64) // 1000
    time, rows = np.unique(seconds, return_index=True)
    equity, hold = _array(curve["equity"])[rows], _array(curve["hold"])
    hold = hold[rows] if len(hold) else hold
    is_separate = len(hold) > 0 and np.ptp(hold[np.isfinite(hold)]) > 3 * np.ptp(equity)
    equity_line = ("equity", equity, {"kind": "line", "color": "accent"})
    hold_line = ("buy and hold", hold, {"kind": "line", "color": "neutral", "dash": True})
    unit = data["currency"]
    panes = [{"title": f"equity, {unit}", "unit": unit, "share": 3, "lines": [equity_line]}]
    if is_separate:
        equity_again = ("equity ", equity, equity_line[2])
        panes.append(
            {"title": f"both, {unit}", "unit": unit, "share": 2, "lines": [hold_line, equity_again]}
        )
    elif len(hold):
        panes[0]["lines"].append(hold_line)
    fall = ("drawdown", _array(curve["drawdown"])[rows], {"kind": "area", "color": "contrast"})
    panes.append({"title": "drawdown", "unit": "%", "share": 1.2, "lines": [fall]})
    exposures = curve["exposure"]
    at = np.searchsorted(np.array(exposures["t"], dtype=np.int64) // 1000, time, side="right") - 1
    sides = []
    for name, color in (("long", "accent"), ("short", "contrast")):
        values = _array(exposures[name])
        if np.nan_to_num(values).any():
            reached = np.where(at >= 0, values[np.maximum(at, 0)], 0.0)
            sides.append((name, reached, {"kind": "area", "color": color, "steps": True}))
    if sides:
        panes.append({"title": "exposure", "unit": "%", "share": 1, "lines": sides})
    return time.astype(np.float64), panes


def curve_chart(data: Mapping[str, Any]) -> tuple[str, dict[str, Any] | None]:
    """Return markup and data of equity, drawdown and exposure."""
    import polars as pl

    if not data["curve"]["t"]:
        return '<p class="empty">No equity was recorded.</p>', None
    time, panes = _curve_panes(data)
    flat = [each for pane in panes for each in pane["lines"]]
    xs, columns = _thinned(time, [values for _, values, _ in flat])
    drawn = iter(columns)
    still_panes = [
        Pane(
            [
                Line(
                    name.strip(), xs, next(drawn), look["color"],
                    "5 4" if look.get("dash") else "", look["kind"] == "area",
                    bool(look.get("steps")),
                )
                for name, _, look in pane["lines"]
            ],
            pane["title"],
            percent_text if pane["unit"] == "%" else figure_text,
            pane["share"],
            pane["unit"] == "%",
        )
        for pane in panes
    ]  # fmt: skip
    equity, fall = flat[0][1], next(v for name, v, _ in flat if name == "drawdown")
    summary = (
        f"Equity from {number(float(equity[0]))} to {number(float(equity[-1]))} {data['currency']},"
        f" {_span(time)}; deepest drawdown {percent(float(-np.nanmin(fall)))}."
    )
    title = "Equity against buy and hold, drawdown, exposure"
    still = stills.lines(title, summary, still_panes, height=480, when=_halts(data))
    frame = pl.DataFrame({"t": time, **{f"c{k}": flat[k][1] for k in range(len(flat))}})
    column = iter(range(len(flat)))
    chart = {
        "levels": time_chart.levels(frame, {f"c{k}": "last" for k in range(len(flat))}),
        "panes": [
            {
                "unit": pane["unit"],
                "share": pane["share"],
                "series": [
                    {"name": name, "column": f"c{next(column)}", **look}
                    for name, _, look in pane["lines"]
                ],
            }
            for pane in panes
        ],
        "marks": _halt_marks(data),
    }
    key = _key([(n.strip(), look) for n, _, look in flat if n != "equity "])
    return key + time_chart.figure("chart-curve", title, summary, still), chart


def _key(lines: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Return names beside the stroke of each line; names are ours."""
    items = []
    for name, look in lines:
        dash = ' stroke-dasharray="5 3"' if look.get("dash") else ""
        stroke = f'<path d="M0 4h18" stroke="var(--{look["color"]})" stroke-width="3"{dash}/>'
        items.append(
            f'<li><svg width="18" height="8" aria-hidden="true">{stroke}</svg> {name}</li>'
        )
    return f'<ul class="key">{"".join(items)}</ul>'


def _span(time: Floats) -> str:
    return f"{date(int(time[0]) * 10**9)} to {date(int(time[-1]) * 10**9)}"


def _halt_marks(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"t": halt["t"] // 1000, "kind": "halt", "text": str(halt["rule"])}
        for halt in data["halts"]
    ]


def _trade_marks(trades: Mapping[str, Any], currency: str) -> list[dict[str, Any]]:
    marks = []
    for row, side in enumerate(trades["side"]):
        entry, net = trades["entry"][row], trades["pnl"][row]
        marks.append(
            {
                "t": trades["entry_t"][row] // 1000,
                "kind": "short" if side == "short" else "long",
                "text": f"{side} in at {entry:g}",
                "trade": row,
            }
        )
        if trades["reason"][row] != "open":
            marks.append(
                {
                    "t": trades["exit_t"][row] // 1000,
                    "kind": "gain" if net > 0 else "loss",
                    "text": f"{side} out at {trades['exit'][row]:g}, net {net:g} {currency}, "
                    f"{trades['reason'][row]}",
                    "trade": row,
                }
            )
    steps = trades["steps"]
    for row, time, price, up, reason in zip(
        *(steps[name] for name in ("row", "t", "price", "up", "reason")), strict=True
    ):
        is_short = trades["side"][row] == "short"
        kind = ("more-short" if is_short else "more-long") if up else "less"
        words = reason.replace("_", " ") or ("more" if up else "less")
        text = f"{words} at {price:g}"
        marks.append({"t": time // 1000, "kind": kind, "text": text, "trade": row})
    return sorted(marks, key=lambda mark: mark["t"])


def _price_series(levels: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return candles, and a stepped line for each level of the position."""
    lines = [
        {
            "kind": "line", "column": name, "name": text, "color": color, "dash": dash,
            "steps": True, "thin": True,
        }
        for name, text, color, dash in _LEVEL_LINES
        if name in levels
    ]  # fmt: skip
    return [{"kind": "candles", "name": "price"}, *lines]


def price_chart(data: Mapping[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """Return markup of the price chart and the data of each symbol."""
    import polars as pl

    charts = []
    for item in data["price"]:
        columns = {name: _array(item[name]) for name in "ohlc"}
        frame = pl.DataFrame({"t": np.array(item["t"], dtype=np.int64) // 1000, **columns})
        frame = frame.rename({"o": "open", "h": "high", "l": "low", "c": "close"})
        frame = frame.with_columns(
            pl.Series(name, _array(values)) for name, values in item["levels"].items()
        )
        frame = frame.unique("t", keep="last", maintain_order=True)
        rules = {"open": "first", "high": "max", "low": "min", "close": "last"}
        rules |= dict.fromkeys(item["levels"], "last")
        first, last = data["first_decision"] // 1000, int(frame["t"][-1])
        charts.append(
            {
                "levels": time_chart.levels(frame, rules),
                "joined": item["joined"],
                "span": [int(max(frame["t"][0], first - 0.03 * (last - first))), last],
                "panes": [{"unit": item["unit"], "series": _price_series(item["levels"])}],
                "marks": [*_trade_marks(item["trades"], data["currency"]), *_halt_marks(data)],
            }
        )
    item = data["price"][0]
    close, time = _array(item["c"]), np.array(item["t"], dtype=np.float64) / 1000
    xs, (ys,) = _thinned(time, [close])
    summary = (
        f"{item['symbol']} from {close[0]:g} to {close[-1]:g} {item['unit']}, {_span(time)}; "
        f"{count(item['trades']['all'])} trades."
    )
    title = "Price with entries and exits"
    pane = Pane([Line("close", xs, ys, "neutral")], item["unit"], marks=_still_marks(item))
    still = stills.lines(title, summary, [pane], height=420, when=_halts(data))
    return time_chart.figure("chart-price", title, summary, still, walks=True), charts


def _still_marks(item: Mapping[str, Any]) -> list[Mark]:
    trades = item["trades"]
    rows = range(len(trades["side"])) if len(trades["side"]) <= 150 else ()
    steps = trades["steps"]
    inside = range(len(steps["row"])) if len(rows) and len(steps["row"]) <= 300 else ()
    return [
        Mark(
            steps["t"][k] / 1000, steps["price"][k],
            "triangle" if steps["up"][k] else "diamond",
            "accent" if steps["up"][k] else "contrast",
            steps["reason"][k].replace("_", " ") or "fill",
        )
        for k in inside
    ] + [
        Mark(trades["entry_t"][k] / 1000, trades["entry"][k], "triangle", "accent",
        f"{trades['side'][k]} in")
        for k in rows
    ] + [
        Mark(
            trades["exit_t"][k] / 1000, trades["exit"][k],
            "circle" if trades["pnl"][k] > 0 else "square",
            "contrast", f"out, {trades['pnl'][k]:g}",
        )
        for k in rows
        if trades["reason"][k] != "open"
    ]  # fmt: skip


def rolling_still(data: Mapping[str, Any]) -> str:
    """Return the rolling Sharpe ratio, and beta where there is one."""
    figures = data["rolling"]
    time = np.array(figures["t"], dtype=np.float64) / 1000
    named = [("Sharpe ratio", figures["sharpe"], "accent")]
    named += [("beta", figures["beta"], "contrast")] if figures["beta"] else []
    xs, columns = _thinned(time, [_array(values) for _, values, _ in named])
    panes = [
        Pane([Line(name, xs, ys, color)], name)
        for (name, _, color), ys in zip(named, columns, strict=True)
    ]
    last = _array(figures["sharpe"])
    finite = last[np.isfinite(last)]
    lowest, highest = number(float(finite.min())), number(float(finite.max()))
    summary = f"Sharpe ratio between {lowest} and {highest}."
    height = 150 * len(panes) + 20
    return stills.lines(
        "Rolling Sharpe and beta", summary, panes, height=height, when=_halts(data)
    )  # fmt: skip


def weights_still(data: Mapping[str, Any]) -> str:
    """Return held weights above target weights, by symbol."""
    weights = data["weights"]
    panes = []
    for name in ("held", "target"):
        part = weights[name]
        if not part["rows"]:
            continue
        x = [t / 1000 for t in part["t"]]
        panes.append(
            Pane(
                [
                    Line(
                        weights["names"][row["name"]], x, [v or 0.0 for v in row["values"]],
                        "neutral" if weights["others"] and row["name"] == len(weights["names"]) - 1
                        else f"series-{row['name'] + 1}",
                        area=True, steps=True, stack=row["side"],
                    )
                    for row in part["rows"]
                ],
                name,
                percent_text,
                zero=True,
            )
        )  # fmt: skip
    summary = f"Shares of equity of {', '.join(weights['names'])}."
    return stills.lines(
        "Weights held and asked for, by symbol", summary, panes, height=230 * len(panes) + 20,
        when=_halts(data),
    )  # fmt: skip


def calibration_still(data: Mapping[str, Any]) -> str:
    """Return the chart of observed shares by predicted probability."""
    rows = data["calibration"]
    distance = percent(max(abs(row[0] - row[1]) for row in rows))
    summary = (
        f"{len(rows)} bins; the largest distance between predicted and observed is {distance}."
    )
    return stills.calibration("Predicted probabilities against observed shares", summary, rows)


def importance_still(data: Mapping[str, Any]) -> str:
    """Return the importance of features."""
    importance = data["importance"]
    rows = [
        (
            name,
            importance["mean"][k] or 0.0,
            importance["low"][k] or 0.0,
            importance["high"][k] or 0.0,
        )
        for k, name in enumerate(importance["features"])
    ]
    summary = f"Largest: {rows[0][0]}, {percent(rows[0][1])}."
    return stills.ranked_bars("Importance of features", summary, rows, across="share of importance")


def drift_map(data: Mapping[str, Any]) -> str:
    """Return the stability index of features over time; the worst value of each time span."""
    metrics = sorted(data["psi"], key=lambda metric: -max((v or 0.0) for v in metric["value"]))[
        :DRIFT_ROWS
    ]
    stamps = np.unique(np.concatenate([metric["t"] for metric in metrics]))
    width = min(DRIFT_COLUMNS, len(stamps))
    edges = stamps[np.linspace(0, len(stamps) - 1, width + 1).astype(int)[:-1]]
    cells: dict[tuple[int, int], tuple[str, float, str, str]] = {}
    best: dict[tuple[int, int], tuple[int, float]] = {}
    for row, metric in enumerate(metrics[::-1]):
        columns = np.searchsorted(edges, metric["t"], side="right") - 1
        for k, at in enumerate(columns.tolist()):
            level = _LEVELS.get(metric["verdict"][k], 0)
            value, bound = metric["value"][k] or 0.0, metric["threshold"][k]
            rank = (level, value)
            if rank < best.get((row, at), (-1, 0.0)):
                continue
            best[row, at] = rank
            near = min(0.95, value / bound) if bound else 0.0
            opacity = 0.75 if level else 0.08 + 0.5 * near
            limit = f", threshold {bound:.3f}" if bound else ""
            cells[row, at] = (
                _CELL_COLORS[level],
                opacity,
                f"{date(int(metric['t'][k]) * 10**6)}: PSI {value:.3f}{limit}: "
                f"{metric['verdict'][k] or 'ok'}",
                _CELL_SIGNS[level],
            )
    names = [
        metric["metric"].removeprefix("psi:").removeprefix("psi.")
        + (f" {metric['symbol']}" if metric["symbol"] else "")
        for metric in metrics[::-1]
    ]
    acted = sum(1 for level, _ in best.values() if level)
    summary = (
        f"{len(metrics)} rows over time; {acted} of {len(cells)} stretches passed a threshold."
    )
    return stills.heat_map(
        "Population stability index over time", summary,
        [date(int(t) * 10**6) for t in edges], names, lambda j, i: cells.get((j, i)),
    )  # fmt: skip


def health_still(data: Mapping[str, Any], metric: str) -> str:
    """Return one metric over time with its thresholds and verdicts, one colour for each symbol."""
    lines, marks = [], []
    by_symbol = [readings for readings in data["health"] if readings["metric"] == metric]
    for index, readings in enumerate(by_symbol):
        x = [t / 1000 for t in readings["t"]]
        color = "accent" if len(by_symbol) == 1 else f"series-{index % NAMED_SYMBOLS + 1}"
        dash = "" if index < NAMED_SYMBOLS else "7 3"
        lines.append(
            Line(readings["symbol"] or metric, x, _array(readings["value"]).tolist(), color, dash)
        )
        if readings["compared"]:
            lines.append(Line("", x, _array(readings["compared"]).tolist(), color, "1 3"))
        for at, value, verdict in zip(x, readings["value"], readings["verdict"], strict=True):
            if verdict in _VERDICT_MARKS and value is not None:
                shape, color = _VERDICT_MARKS[verdict]
                marks.append(Mark(at, value, shape, color, f"{verdict}: {value:.4g}"))
    bound = _array(by_symbol[0]["threshold"])
    if np.isfinite(bound).any():
        x = [t / 1000 for t in by_symbol[0]["t"]]
        lines.append(Line("", x, bound.tolist(), "bad", "5 4", steps=True))
    summary = f"{len(marks)} points with a verdict that is not ok."
    pane = Pane(lines, marks=marks)
    return stills.lines(f"{metric} over time", summary, [pane], width=340, height=170)
