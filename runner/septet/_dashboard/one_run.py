"""What the page of one run shows, read from its folder when it is asked for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from septet._charts.stills import Line, Pane, lines
from septet._charts.svg import percent_text

if TYPE_CHECKING:
    import polars as pl

    from septet._store.run_folder import Run

__all__ = ["now_text", "order_view", "run_view"]

_POINTS: Final = 1_500
_DECISIONS: Final = 20
_ORDERS: Final = 30
_NS: Final = 1_000_000_000
_SVG_STYLE: Final = ' style="max-width:100%;height:auto"'
"""The policy allows no style in an attribute; the page's own style says the same."""


def run_view(run: Run) -> dict[str, Any]:
    """Return what a run holds and did: its standing, figures, last decisions and orders.

    Raises
    ------
    SeptetError
        If its folder cannot be read.
    """
    from septet._app.runs import positions_of, standing_of
    from septet._results.forward import forward_text

    summary = run.insist_listed()
    return {
        "summary": summary,
        "forward": forward_text(summary),
        "standing": standing_of(run),
        "open": positions_of(run),
        "chart": _equity_still(run),
        "decisions": _decisions(run),
        "orders": _last(run, "orders", _ORDERS),
        "halts": list(reversed(_halts(run))),
        "findings": run.findings,
    }


def order_view(run: Run, reference: str) -> dict[str, Any]:
    """Return why an order was made, or why there was none: the sentence, and what it rests on.

    Raises
    ------
    InputError
        If the run has no such order or decision.
    """
    from septet._app.runs import why_order
    from septet._report.why import sentence_of, value_text

    found = why_order(run, reference)
    decision = {**found["decision"], "threshold": found["threshold"], "model": found["model"]}
    fills = [(f"Fill {place}", fill) for place, fill in enumerate(found["fills"], start=1)]
    parts = [
        ("Decision", decision), ("Features", found["features"]), ("Size", found["sizing_inputs"]),
        ("Order", found["order"]), *fills, ("Bar", found["bar"]),
    ]  # fmt: skip
    tables = [
        (title, [(name, value_text(value)) for name, value in values.items()])
        for title, values in parts
        if values
    ]
    return {
        "sentence": sentence_of(found), "rule": found["rule"], "time": found["time"],
        "tables": tables, "trace": found["trace"], "left_out": found["left_out"],
    }  # fmt: skip


def _last(run: Run, name: str, most: int) -> list[dict[str, Any]]:
    """Return the last rows of a table, the latest first, with their times as text."""
    from septet._data.stamps import iso

    if not run.has(name):
        return []
    frame = run.collected(name, run.scan(name).tail(most))
    times = frame.get_column("time").to_physical().to_list()
    rows = zip(frame.to_dicts(), times, strict=True)
    return [{**row, "time": iso(time_ns)} for row, time_ns in rows][::-1]


def _decisions(run: Run) -> list[dict[str, Any]]:
    from septet._report.why import NOT_TRADED, value_text

    rows = []
    for row in _last(run, "decisions", _DECISIONS):
        rejected = str(row["rejected_by"] or "")
        why = NOT_TRADED.get(rejected, f"rejected by {rejected}" if rejected else "")
        if not why and row["capped_by"]:
            why = f"capped by {row['capped_by']}"
        rows.append(
            {
                "time": row["time"], "symbol": row["symbol"], "signal": row["signal"],
                "confidence": value_text(row["confidence"]),
                "requested": value_text(row["requested"]), "granted": value_text(row["granted"]),
                "why": why, "reference": f"{row['symbol']}@{row['time']}",
            }
        )  # fmt: skip
    return rows


def _halts(run: Run) -> list[dict[str, str]]:
    from septet._data.stamps import iso
    from septet._results.number_texts import halt_figures

    return [
        {
            "time": iso(each.time_ns), "rule": each.rule, "figures": halt_figures(each),
            "then": each.then, "resume": each.resume,
            "cleared": "" if each.resumed_ns is None else iso(each.resumed_ns),
        }
        for each in run.halts
    ]  # fmt: skip


def _equity_still(run: Run) -> str:
    """Draw equity over drawdown; nothing where there is no equity yet."""
    from septet._results.number_texts import percent

    if not run.has("equity"):
        return ""
    frame = run.table("equity", ["time", "equity", "drawdown"]).drop_nulls()
    if frame.height < 2:
        return ""
    seconds, equity = _points(frame, "equity", 1.0)
    deep_seconds, deep = _points(frame, "drawdown", -1.0)
    last, most = equity[-1], -min(deep)
    words = f"Equity is {last:,.2f} at the end; the deepest drawdown is {percent(most)}."
    drawn = lines(
        "Equity and drawdown",
        words,
        [
            Pane([Line("equity", seconds, equity)], "equity", share=2.0),
            Pane(
                [Line("drawdown", deep_seconds, deep, "loss", area=True)],
                "drawdown", write=percent_text, zero=True,
            ),
        ],
        height=360,
    )  # fmt: skip
    return drawn.replace(_SVG_STYLE, "", 1)


def _points(frame: pl.DataFrame, name: str, sign: float) -> tuple[list[float], list[float]]:
    """Return times and values of a line, thinned so that every extreme stays."""
    from septet._report.thinning import floats, stamps, thin_rows

    values = floats(frame, name)
    rows = thin_rows(values, _POINTS)
    return [float(t) / _NS for t in stamps(frame)[rows]], [sign * float(v) for v in values[rows]]


def now_text() -> str:
    """Write the time of the answer."""
    from septet._data.stamps import iso

    return iso(time.time_ns() // _NS * _NS)
