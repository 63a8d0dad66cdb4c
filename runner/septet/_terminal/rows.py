"""The texts of the screen: the head of a run, and the rows of its tables.

Every text of the run passes `cell`, which escapes control characters and bounds its length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from septet._text import one_line, shortened

if TYPE_CHECKING:
    from septet._app.run_follow import Look
    from septet._app.run_view import RunView

__all__ = ["TABLES", "Row", "cell", "head_lines", "stale_line", "tables_of"]

_LONG: Final = 400
TABLES: Final = {
    "positions": ("POSITION", "SIDE", "QUANTITY", "ENTRY", "MARK", "PROFIT", "STOP", "TARGET"),
    "orders": ("OPEN ORDER", "SYMBOL", "SIDE", "TYPE", "QUANTITY", "FILLED", "PRICE", "STATE"),
    "decisions": ("DECISION", "SYMBOL", "SIGNAL", "CONF.", "GRANTED", "WHY"),
    "events": ("HALT OR ALERT", "LEVEL", "NAME", "TEXT"),
    "log": ("LOG", "LEVEL", "EVENT", "TEXT"),
}
"""The tables of the screen and their columns; the first column names the table."""
_NONE: Final = {
    "positions": "holds nothing", "orders": "none", "decisions": "none yet", "events": "none",
    "log": "empty",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table; `reference` is an argument of `septet why`, `detail` the whole text."""

    cells: tuple[str, ...]
    reference: str = ""
    detail: str = ""


def cell(value: object, most: int = _LONG) -> str:
    """Format a value as one line of at most about `most` characters."""
    return shortened(one_line(value), most)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.8g}"


def _clock(stamp: str) -> str:
    """Return a time as month, day and clock time, which fit into a row."""
    return f"{stamp[5:10]} {stamp[11:19]}" if len(stamp) >= 19 else cell(stamp, 40)


def _time(stamp: str) -> str:
    """Return the clock time only: the lines of a log are from the last minutes or hours."""
    return stamp[11:19] if len(stamp) >= 19 else cell(stamp, 40)


def _age(since_ns: int, now_ns: int) -> str:
    from septet._results.number_texts import duration

    return f"{duration(max(0.0, round((now_ns - since_ns) / 1e9)))} ago" if since_ns else "never"


def head_lines(view: RunView | None, now_ns: int, name: str) -> list[str]:
    """Return the lines above the tables: the run, its blocks, its equity."""
    from septet._results.number_texts import money, percent

    if view is None:
        return [cell(name, 70), "not read yet"]
    day, currency = view.day_return, cell(view.currency, 12)
    run_text = f"{cell(view.run_id, 30)}  {cell(view.mode, 10)}  {cell(view.strategy, 16)}"
    blocked = "BLOCKED: " if view.is_running and view.blocks else ""
    lines = [
        run_text,
        f"State    {cell(view.state_text)}",
        f"Entries  {blocked}{cell(view.entries)}",
        f"Equity   {money(view.equity, currency)}   Day "
        f"{money(view.day_profit, '', signed=True)} ({percent(day, 2, signed=True)})   Drawdown "
        f"{percent(view.drawdown)}   Exposure {percent(view.exposure)}",
    ]
    if view.state == "finished":
        lines.append(f"Trades   {view.trades:,}   {cell(view.verdict, 100)}")
    else:
        answer = "" if view.answer_s is None else f"   Answer {view.answer_s * 1e3:,.0f} ms"
        lines.append(
            f"Data     {_age(view.last_data_ns, now_ns)}   Written "
            f"{_age(view.written_ns, now_ns)}{answer}   Trades {view.trades:,}   "
            f"Alerts {view.alerts:,}"
        )
    if view.doubt:
        lines.append(f"DOUBT    {cell(view.doubt)}")
    if view.problem:
        lines.append(f"PROBLEM  {cell(view.problem)}")
    return lines


def stale_line(look: Look | None, now_ns: int) -> str:
    """Return why the screen does not show the present state; empty if it does."""
    from septet._results.number_texts import duration

    if look is None or look.is_current:
        return ""
    if look.view is None:
        return f"NOT SHOWN: {cell(look.problem)}"
    return f"STALE, {duration(round(look.age_s(now_ns)))} old: {cell(look.problem)}"


def tables_of(view: RunView, log: list[dict[str, str]]) -> dict[str, list[Row]]:
    """Return the rows of every table; an empty table has a row that says so."""
    tables = {
        "positions": _positions(view), "orders": _orders(view), "decisions": _decisions(view),
        "events": [
            _row((_clock(each.time), each.level, each.name, each.text), detail=each.text)
            for each in view.events
        ],
        "log": [
            _row((_time(each["time"]), each["level"], each["event"], each["text"]),
                 detail=f"{each['time']} {each['text']}")
            for each in log
        ],
    }  # fmt: skip
    return {name: rows or [Row((_NONE[name],))] for name, rows in tables.items()}


def _row(cells: tuple[object, ...], reference: str = "", detail: str = "") -> Row:
    return Row(tuple(cell(each) for each in cells), reference, detail)


def _positions(view: RunView) -> list[Row]:
    from septet._results.number_texts import money

    rows = []
    for each in view.positions:
        stop = "none" if each.stop.startswith("none:") else "watched"
        stop = stop if each.stop_price is None else _number(each.stop_price)
        side = f"{each.side} (dust)" if each.dust else each.side
        cells = (
            each.symbol, side, _number(each.quantity), _number(each.entry_price),
            _number(each.mark), money(each.profit, "", signed=True), stop,
            _number(each.target_price),
        )  # fmt: skip
        rows.append(_row(cells, detail=f"{each.symbol}: stop {each.stop}"))
    return rows


def _orders(view: RunView) -> list[Row]:
    rows = []
    for each in view.orders:
        price = each.limit_price if each.limit_price is not None else each.trigger_price
        cells = (
            each.reference, each.symbol, each.side, each.kind, _number(each.quantity),
            _number(each.filled), _number(price), each.state.replace("_", " "),
        )  # fmt: skip
        rows.append(_row(cells, each.reference))
    return rows


def _decisions(view: RunView) -> list[Row]:
    rows = []
    for each in view.decisions:
        confidence = "-" if each.confidence is None else f"{each.confidence:.3g}"
        cells = (
            _clock(each.time), each.symbol, each.signal, confidence, _number(each.granted),
            each.why or "-",
        )  # fmt: skip
        rows.append(_row(cells, each.reference))
    return rows
