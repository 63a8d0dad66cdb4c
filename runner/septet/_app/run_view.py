"""The state of one run as a frozen value, for the terminal, the dashboard and the chat.

Texts in it come from the run's folder, which may be untrusted: a caller that shows one passes it
through `septet._text.one_line` and bounds its length.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from septet._app.run_parts import unless_damaged
from septet._app.runs import HALT_RULE, Standing

if TYPE_CHECKING:
    import polars as pl

    from septet._journal.fold import Fold
    from septet._store.run_folder import Run

__all__ = [
    "DecisionRow", "RunEvent", "HeldPosition", "OpenOrderRow", "RunView", "standing_words",
    "view_of_fold", "view_of_run", "view_of_stored",
]  # fmt: skip

DECISIONS: Final = 30
HAPPENINGS: Final = 30
_UNTIL: Final = {
    "manual": "a person resumes the run", "resume": "a person resumes the run",
    "septet resume": "a person resumes the run", "next_day": "the next day begins",
}  # fmt: skip
_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class HeldPosition:
    """A position: its value at the newest mark, its stop and its target.

    `stop` states who holds the stop. `stop_price` and `target_price` are the levels if known: of an
    order at the venue, else of the last decision.
    """

    symbol: str
    side: str
    quantity: float
    entry_price: float | None
    mark: float | None
    value: float | None
    share_of_equity: float | None
    profit: float | None
    stop: str
    stop_price: float | None
    target_price: float | None
    dust: bool


@dataclass(frozen=True, slots=True)
class OpenOrderRow:
    """An open order; `reference` is the argument for `septet why`."""

    reference: str
    symbol: str
    side: str
    kind: str
    quantity: float
    filled: float
    limit_price: float | None
    trigger_price: float | None
    state: str


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A decision, with the rule in `why` that rejected or capped it, or an empty text."""

    time: str
    symbol: str
    signal: str
    confidence: float | None
    requested: float
    granted: float
    why: str
    reference: str


@dataclass(frozen=True, slots=True)
class RunEvent:
    """A halt, a block or an alert: `level` is halt, block or that of the alert."""

    time: str
    level: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class RunView:
    """The state of a run, with all rows that are shown.

    `state` is running, halted (by a person, while a process runs it), stopped, failed, killed,
    unbegun or finished (a backtest), `state_text` the same in words. `blocks` name what blocks its
    entries; `entries` is the same in one line. Amounts are in `currency`; `drawdown`, `day_return`
    and `exposure` are fractions. `equity` is that of the last decision, at `equity_time`.
    `last_data_ns` is when the process last took in market data (wall time), `written_ns` when it
    last journalled anything; 0 where it never did. `problem` states defects of its journal and
    files, with a hint; `exit_status` that of a command that shows it. Without `is_held_known` its
    positions and open orders are unknown: for a backtest, or without a readable journal. They are
    then null in its document.
    """

    run_id: str
    strategy: str
    mode: str
    folder: Path
    state: str
    state_text: str
    blocks: tuple[str, ...]
    currency: str
    initial_capital: float
    equity: float | None
    equity_time: str
    drawdown: float | None
    max_drawdown: float | None
    day_profit: float | None
    day_return: float | None
    exposure: float | None
    trades: int
    market_time: str
    last_data_ns: int
    written_ns: int
    answer_s: float | None
    alerts: int
    positions: tuple[HeldPosition, ...]
    orders: tuple[OpenOrderRow, ...]
    decisions: tuple[DecisionRow, ...]
    events: tuple[RunEvent, ...]
    doubt: str = ""
    verdict: str = ""
    problem: str = ""
    exit_status: int = 0
    is_held_known: bool = True

    @property
    def is_running(self) -> bool:
        """Whether a process runs it."""
        return self.state in ("running", "halted")

    @property
    def entries(self) -> str:
        """Return in one line whether it may enter, and if not, why."""
        if self.state == "finished":
            return "none: a finished backtest"
        blocked = "; ".join(self.blocks)
        if not self.is_running:
            return f"none: no process runs it{'; then ' if blocked else ''}{blocked}"
        return blocked or "allowed"

    @property
    def total_return(self) -> float | None:
        """The return since its start."""
        if self.equity is None or not self.initial_capital:
            return None
        return self.equity / self.initial_capital - 1.0

    def document(self) -> dict[str, Any]:
        """Return it as plain data."""
        from septet._text import plain_json

        fields: dict[str, Any] = plain_json(asdict(self))
        if not self.is_held_known:
            fields |= {"positions": None, "orders": None}
        return {**fields, "entries": self.entries, "total_return": self.total_return}


def standing_words(standing: Standing) -> tuple[str, str, tuple[str, ...]]:
    """Return the state of a paper or live run, as word and as text, and what blocks its entries."""
    blocks = []
    if standing.halted is not None:
        name, reason = standing.halted
        blocks.append(f"halted by {name}: {reason}; septet resume clears it")
    elif standing.resumed is not None:
        name, reason = standing.resumed
        when = "in a moment" if standing.holder is not None else "at the next start"
        blocks.append(f"resumed by {name}: {reason}; it takes effect {when}")
    for block in standing.blocks:
        if standing.halted is not None and block.rule == HALT_RULE:
            continue  # the same halt, as the process recorded it
        text = f" ({block.text})" if block.text else ""
        until = _UNTIL.get(block.clears_when, block.clears_when)
        blocks.append(f"blocked by {block.rule} until {until}{text}")
    if standing.holder is not None:
        process, _, after_process = standing.holder.partition(" (strategy ")
        since = after_process.rpartition("), ")[2]
        state_text = f"running: {process}{', ' if since else ''}{since}"
        if standing.halt:
            state_text = f"halted by {standing.halt}; septet resume clears it ({state_text})"
    elif standing.doubt:
        state_text = f"not running: how it ended is not known: {standing.doubt}"
    elif standing.ended is None:
        state_text = (
            "not running: it was killed or crashed; start it with the same command to continue"
        )
    else:
        state_text = f"not running: {standing.ended or 'it never began'}"
    return standing.state, state_text, tuple(blocks)


def view_of_fold(folder: Path, fold: Fold, standing: Standing, last_data_ns: int) -> RunView:
    """Return the view of a paper or live run from the fold of its journal."""
    from septet._core.monitoring import LATENCY
    from septet._data.stamps import iso
    from septet._report.open_state import state_of_fold

    state, state_text, blocks = standing_words(standing)
    holding = state_of_fold(fold, doubt=standing.doubt, running=standing.holder is not None)
    initial = float(fold.head.facts.get("capital", 0.0))
    times = [row[0] for row in fold.equity]
    values = [row[1] for row in fold.equity]
    drawdown, deepest = _drawdowns(values, initial)
    day, day_return = _day(
        times, values, initial, str(fold.head.facts.get("time_zone", "UTC")),
        str(fold.head.facts.get("day_start", "00:00")),
    )  # fmt: skip
    answers = [row[3] for row in fold.readings[-200:] if row[2] == LATENCY]
    return RunView(
        run_id=fold.head.run_id, strategy=fold.head.strategy, mode=fold.head.mode, folder=folder,
        state=state, state_text=state_text, blocks=blocks, currency=holding["currency"],
        initial_capital=initial, equity=values[-1] if values else None,
        equity_time=iso(times[-1]) if times else "", drawdown=drawdown, max_drawdown=deepest,
        day_profit=day, day_return=day_return,
        exposure=fold.equity[-1][3] if fold.equity else None, trades=len(fold.trades.rows),
        market_time=holding["market_time"], last_data_ns=last_data_ns, written_ns=fold.last_at_ns,
        answer_s=answers[-1] if answers else None, alerts=len(fold.alerts),
        positions=tuple(_position(each, holding, _levels(fold)) for each in holding["positions"]),
        orders=tuple(_order(each) for each in holding["orders"]),
        decisions=_decisions_of_fold(fold), events=_events_of_fold(fold),
        doubt=standing.doubt,
    )  # fmt: skip


def view_of_run(run: Run) -> RunView:
    """Return the view of a run, be it a backtest or a paper or live run.

    Raises
    ------
    SeptetError
        If its folder cannot be read.
    """
    from septet._app.runs import standing_of
    from septet._journal.reader import understood
    from septet._store.journal_view import LiveRun
    from septet._store.run_condition import condition_of
    from septet._store.run_folder import JOURNAL

    run.require_summary()
    condition, standing = condition_of(run), standing_of(run)
    facts: dict[str, Any] = {
        "problem": condition.problem, "exit_status": condition.exit_status
    }  # fmt: skip
    if standing is None:
        return replace(view_of_stored(run), **facts)
    view = None
    if condition.is_held_known:
        live = run if isinstance(run, LiveRun) else LiveRun(run.folder)
        with understood(run.folder / JOURNAL):
            view = view_of_fold(run.folder, live.fold, standing, 0)
        if condition.figures == "journal" or condition.journal is None:
            return replace(view, **facts)
    return _view_without_journal(run, standing, view, facts)


def _view_without_journal(
    run: Run, standing: Standing, known: RunView | None, facts: Mapping[str, Any]
) -> RunView:
    """Return the view of a paper or live run with the figures of its files.

    Its journal is missing, unreadable or less complete. `held` has the positions and orders of the
    journal, if any.
    """
    state, text, blocks = standing_words(standing)
    view = replace(
        view_of_stored(run), state=state, state_text=text, blocks=blocks, doubt=standing.doubt,
        **facts,
    )  # fmt: skip
    if known is None:
        return view
    return replace(
        view, positions=known.positions, orders=known.orders, events=known.events,
        written_ns=known.written_ns, answer_s=known.answer_s, alerts=known.alerts,
        is_held_known=True,
    )  # fmt: skip


def view_of_stored(run: Run) -> RunView:
    """Return the view of a finished backtest, from its summary and its tables.

    Raises
    ------
    InputError
        If its folder cannot be read.
    """
    summary = run.require_summary()
    equity = unless_damaged(run, _equity_of, None)
    times = [] if equity is None else equity.get_column("time").to_physical().to_list()
    values = [] if equity is None else equity.get_column("equity").to_list()
    pairs = zip(times, values, strict=True)
    rows = [(at_ns, value) for at_ns, value in pairs if value is not None and value == value]
    times, values = [each[0] for each in rows], [each[1] for each in rows]
    initial, facts = float(summary["initial_capital"]), run.facts
    drawdown, deepest = _drawdowns(values, initial)
    deepest = summary["max_drawdown"] if deepest is None else deepest
    day, day_return = _day(times, values, initial, facts.time_zone, facts.day_start)
    exposures = [] if equity is None else equity.get_column("exposure").to_list()
    return RunView(
        run_id=run.run_id, strategy=str(summary["strategy"]), mode=str(summary["mode"]),
        folder=run.folder, state="finished", state_text="finished", blocks=(),
        currency=facts.currency, initial_capital=initial,
        equity=summary["final_equity"], equity_time=str(summary["end"]), drawdown=drawdown,
        max_drawdown=deepest, day_profit=day, day_return=day_return,
        exposure=exposures[-1] if exposures else None, trades=int(summary["trades"] or 0),
        market_time=str(summary["end"]), last_data_ns=0, written_ns=0, answer_s=None, alerts=0,
        positions=(), orders=(), decisions=unless_damaged(run, _decisions_of_run, ()),
        events=_events_of_run(run), verdict=str(summary.get("verdict") or ""),
        is_held_known=False,
    )  # fmt: skip


def _equity_of(run: Run) -> pl.DataFrame | None:
    return run.table("equity", ["time", "equity", "exposure"]) if run.has("equity") else None


def _drawdowns(values: Sequence[float], initial: float) -> tuple[float | None, float | None]:
    """Return the current and the deepest drawdown."""
    if not values:
        return None, None
    peak, now, deepest = initial, 0.0, 0.0
    for value in values:
        peak = max(peak, value)
        now = 1.0 - value / peak if peak > 0.0 else 0.0
        deepest = max(deepest, now)
    return now, deepest


def _day(
    times: Sequence[int], values: Sequence[float], initial: float, zone: str, day_start: str
) -> tuple[float | None, float | None]:
    """Return profit and return since the last equity of the previous day.

    The day of the last decision, by the time zone and day start of the strategy file.
    """
    from bisect import bisect_left

    if not times:
        return None, None
    hours, _, minutes = day_start.partition(":")
    offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
    place = ZoneInfo(zone)
    last = datetime.fromtimestamp(times[-1] // _NS, UTC).astimezone(place)
    midnight = datetime.combine((last.replace(tzinfo=None) - offset).date(), datetime.min.time())
    since = (midnight + offset).replace(tzinfo=place).astimezone(UTC)
    first = bisect_left(times, int(since.timestamp()) * _NS + 1)  # the previous day ends here
    base = values[first - 1] if first else initial
    profit = values[-1] - base
    return profit, profit / base if base > 0.0 else None


def _levels(fold: Fold) -> dict[str, dict[str, float]]:
    """Return the levels in each symbol's last decision that has them, by column."""
    import struct

    width = len(fold.features)
    columns = [(name, fold.features.index(name)) for name in _LEVELS if name in fold.features]
    by_symbol: dict[str, dict[str, float]] = {}
    if not columns:
        return by_symbol
    for rows_back, row in enumerate(reversed(fold.decisions[-len(fold.symbols) * 2 :])):
        end = len(fold.feature_bytes) - rows_back * 8 * width
        if fold.name(row[1]) in by_symbol or end <= 0:
            continue
        values = struct.unpack(f"<{width}d", fold.feature_bytes[end - 8 * width : end])
        by_symbol[fold.name(row[1])] = {name: values[column] for name, column in columns}
    return by_symbol


_LEVELS: Final = ("stop_price", "target_price")


def _level(levels: Mapping[str, float], name: str) -> float | None:
    value = levels.get(name)
    return value if value and math.isfinite(value) else None


def _position(
    each: Mapping[str, Any], state: Mapping[str, Any], levels: Mapping[str, Mapping[str, float]]
) -> HeldPosition:
    from septet._report.open_state import stop_text

    own_levels = levels.get(each["symbol"], {})
    sent = each["stop"]["trigger_price"]
    return HeldPosition(
        each["symbol"], each["side"], each["quantity"], each["entry_price"], each["mark"],
        each["value"], each["share_of_equity"], each["unrealised_pnl"],
        stop=stop_text(
            dict(each), simulated=state["simulated"], currency=state["currency"]
        ),
        stop_price=sent if sent is not None else _level(own_levels, "stop_price"),
        target_price=_level(own_levels, "target_price"), dust=bool(each["dust"]),
    )  # fmt: skip


def _order(each: Mapping[str, Any]) -> OpenOrderRow:
    kind = "protective stop" if each["protective_stop"] else each["type"]
    return OpenOrderRow(
        each["order_id"] or each["client_id"], each["symbol"], each["side"], kind,
        each["quantity"], each["filled"], each["limit_price"], each["trigger_price"],
        each["state"],
    )  # fmt: skip


def _why(rejected: str, capped: str) -> str:
    from septet._report.why import NOT_TRADED

    if rejected:
        return NOT_TRADED.get(rejected, f"rejected by {rejected}")
    return f"capped by {capped}" if capped else ""


def _decision(row: Sequence[Any], symbol: str) -> DecisionRow:
    """Return a decision of (time, symbol, signal, confidence, requested, granted, capped, rej.)."""
    from septet._data.stamps import iso

    time_ns, signal, confidence, requested, granted, capped, rejected = row
    known_confidence = confidence if confidence is not None and confidence == confidence else None
    time = iso(time_ns)
    return DecisionRow(
        time, symbol, str(signal), known_confidence, requested or 0.0, granted or 0.0,
        _why(str(rejected or ""), str(capped or "")), f"{symbol}@{time}",
    )  # fmt: skip


def _decisions_of_fold(fold: Fold) -> tuple[DecisionRow, ...]:
    """Return the last decisions, the latest first."""
    return tuple(
        _decision((row[0], row[4], row[3], row[5], row[6], row[7], row[8]), fold.name(row[1]))
        for row in reversed(fold.decisions[-DECISIONS:])
    )


def _decisions_of_run(run: Run) -> tuple[DecisionRow, ...]:
    if not run.has("decisions"):
        return ()
    frame = run.collected("decisions", run.scan("decisions").tail(DECISIONS))
    times = frame.get_column("time").to_physical().to_list()
    names = ("signal", "confidence", "requested", "granted", "capped_by", "rejected_by")
    rows = [
        _decision((time_ns, *(row[name] for name in names)), str(row["symbol"]))
        for row, time_ns in zip(frame.to_dicts(), times, strict=True)
    ]
    return tuple(reversed(rows))


def _events_of_fold(fold: Fold) -> tuple[RunEvent, ...]:
    """Return the last halts, blocks and alerts, the latest first."""
    from septet._data.stamps import iso

    rows: list[tuple[int, RunEvent]] = []
    for block in fold.blocks[-HAPPENINGS:]:
        level = "block" if block.then == "block_entries" else "halt"
        until = _UNTIL.get(block.clears_when, block.clears_when)
        ended = (
            f"until {until}" if block.cleared_ns is None else f"over since {iso(block.cleared_ns)}"
        )
        text = f"{ended}{': ' if block.text else ''}{block.text}"
        rows.append((block.time_ns, RunEvent(iso(block.time_ns), level, block.rule, text)))
    for alert in fold.alerts[-HAPPENINGS:]:
        symbol = f"{alert['symbol']}: " if alert["symbol"] else ""
        text = f"{symbol}{alert['text']}"
        at = RunEvent(iso(alert["at_ns"]), str(alert["level"]), str(alert["event"]), text)
        rows.append((alert["at_ns"], at))
    rows.sort(key=lambda each: each[0], reverse=True)
    return tuple(each for _, each in rows[:HAPPENINGS])


def _events_of_run(run: Run) -> tuple[RunEvent, ...]:
    from septet._data.stamps import iso
    from septet._results.number_texts import halt_figures

    return tuple(
        RunEvent(
            iso(each.time_ns), "halt", each.rule,
            f"{halt_figures(each)}; "
            + (f"over since {iso(each.resumed_ns)}" if each.resumed_ns else f"then {each.then}"),
        )
        for each in reversed(run.halts[-HAPPENINGS:])
    )  # fmt: skip
