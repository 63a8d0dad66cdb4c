"""What the page of one run shows, read from its folder when it is asked for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from septet._dashboard.charts import curve_figure, price_figure, symbols_of
from septet._dashboard.health import health_rows, monitor_rows
from septet._dashboard.one_trade import last_trades

if TYPE_CHECKING:
    from septet._store.run_folder import Run

__all__ = ["now_text", "order_view", "resting_lines", "run_view"]

_DECISIONS: Final = 20
_ORDERS: Final = 30
_NS: Final = 1_000_000_000


def run_view(run: Run) -> dict[str, Any]:
    """Return what a run holds and did: its standing, figures, last decisions and orders.

    Raises
    ------
    SeptetError
        If its folder cannot be read.
    """
    from septet._app.runs import positions_of
    from septet._report.months import MONTHS, month_rows
    from septet._results.forward import forward_text

    summary = run.insist_listed()
    standing = _standing(run)
    return {
        "summary": summary,
        "forward": forward_text(summary),
        "standing": standing,
        "month_names": MONTHS,
        "months": month_rows(run) if standing is None else [],
        "open": positions_of(run),
        "charts": _charts(run),
        "symbols": symbols_of(run),
        "trades": last_trades(run),
        "health": health_rows(run),
        "monitors": monitor_rows(run),
        "report": (run.folder / "report.html").is_file(),
        "decisions": _decisions(run),
        "orders": _last(run, "orders", _ORDERS),
        "halts": list(reversed(_halts(run))),
        "findings": run.findings,
    }


def _standing(run: Run) -> dict[str, Any] | None:
    """Return the state of a paper or live run, in the words that every view of it shows."""
    from septet._app.run_view import standing_words
    from septet._app.runs import standing_of

    standing = standing_of(run)
    if standing is None:
        return None
    state, text, blocks = standing_words(standing)
    return {"state": state, "text": text, "blocks": blocks}


def order_view(run: Run, reference: str) -> dict[str, Any]:
    """Return why an order was made, or why there was none: the sentence, and what it rests on.

    Raises
    ------
    InputError
        If the run has no such order or decision.
    """
    from septet._app.runs import why_order
    from septet._report.why import parts_of, sentence_of, value_text

    found = why_order(run, reference)
    tables = [
        (title, [(name, value_text(value)) for name, value in values.items()])
        for title, values in parts_of(found)
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


def resting_lines(run: Run, symbol: str) -> list[dict[str, Any]]:
    """Return the prices of the open orders of a symbol, with words."""
    from septet._app.runs import positions_of

    found = []
    for each in (positions_of(run) or {}).get("orders", ()):
        price = each["trigger_price"] if each["limit_price"] is None else each["limit_price"]
        if each["symbol"] == symbol and price is not None:
            kind = "protective stop" if each["protective_stop"] else each["type"]
            found.append({"price": price, "text": f"{kind} {each['side']} {each['quantity']:g}"})
    return found


def _charts(run: Run) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the charts that are shown first, by their element's id: markup and data."""
    symbols = symbols_of(run)
    found = {
        "chart-price": price_figure(run, symbols[0], lines=resting_lines(run, symbols[0]))
        if symbols else None,
        "chart-curve": curve_figure(run),
    }  # fmt: skip
    return {name: each for name, each in found.items() if each is not None}


def now_text() -> str:
    """Write the time of the answer."""
    from septet._data.stamps import iso

    return iso(time.time_ns() // _NS * _NS)
