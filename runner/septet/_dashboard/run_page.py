"""What the page of one run shows beside its state: charts, tables, health, returns by month."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from septet._app.run_parts import unless_damaged
from septet._app.run_view import RunView, view_of_run
from septet._dashboard.charts import curve_figure, price_figure, symbols_of
from septet._dashboard.health import health_rows, monitor_rows
from septet._dashboard.trade_page import last_trades

if TYPE_CHECKING:
    from septet._store.run_folder import Run

__all__ = ["now_text", "order_view", "resting_lines", "run_view"]

_ORDERS: Final = 30
_NS: Final = 1_000_000_000


def run_view(run: Run) -> dict[str, Any]:
    """Return the state of a run under `run`, and what else the page shows of it.

    Raises
    ------
    SeptetError
        If its folder cannot be read.
    """
    from septet._report.months import MONTHS, month_rows
    from septet._results.forward import forward_text

    view = view_of_run(run)
    return {
        "run": view,
        "summary": run.summary,
        "forward": forward_text(run.summary),
        "month_names": MONTHS,
        "months": unless_damaged(run, month_rows, []) if view.state == "finished" else [],
        "charts": unless_damaged(run, partial(_charts, view=view), {}),
        "symbols": unless_damaged(run, symbols_of, []),
        "trades": unless_damaged(run, last_trades, []),
        "health": unless_damaged(run, health_rows, []),
        "monitors": unless_damaged(run, monitor_rows, []),
        "report": (run.folder / "report.html").is_file(),
        "orders": unless_damaged(run, partial(_last, name="orders", most=_ORDERS), []),
        "findings": run.findings,
    }


def order_view(run: Run, reference: str) -> dict[str, Any]:
    """Return why an order was made, or why there was none: the sentence, and what it rests on.

    Raises
    ------
    InputError
        If the run has no such order or decision.
    """
    from septet._app.runs import problem_of_run, why_order
    from septet._report.why import parts_of, sentence_of, value_text

    found = why_order(run, reference)
    tables = [
        (title, [(name, value_text(value)) for name, value in values.items()])
        for title, values in parts_of(found)
    ]
    return {
        "sentence": sentence_of(found), "rule": found["rule"], "time": found["time"],
        "tables": tables, "trace": found["trace"], "left_out": found["left_out"],
        "problem": problem_of_run(run),
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


def resting_lines(view: RunView, symbol: str) -> list[dict[str, Any]]:
    """Return the prices of the open orders of a symbol, with words."""
    found = []
    for each in view.orders:
        price = each.trigger_price if each.limit_price is None else each.limit_price
        if each.symbol == symbol and price is not None:
            found.append({"price": price, "text": f"{each.kind} {each.side} {each.quantity:g}"})
    return found


def _charts(run: Run, view: RunView) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the charts that are shown first, by their element's id: markup and data."""
    symbols = symbols_of(run)
    found = {
        "chart-price": price_figure(run, symbols[0], lines=resting_lines(view, symbols[0]))
        if symbols else None,
        "chart-curve": curve_figure(run),
    }  # fmt: skip
    return {name: each for name, each in found.items() if each is not None}


def now_text() -> str:
    """Write the time of the answer."""
    from septet._data.stamps import iso

    return iso(time.time_ns() // _NS * _NS)
