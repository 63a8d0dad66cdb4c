"""Projects the plan's log and arrays into the tables of a run's folder; nothing is decided here."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from septet._data.stamps import iso
from septet._kernel import layout, ledger
from septet._results.result import HaltEvent
from septet._shell.monitor_actions import Act
from septet._shell.session import Session
from septet._store.tables import coded

__all__ = [
    "Outcome",
    "Ran",
    "decisions_of",
    "entries_of_open",
    "equity_of",
    "fills_of",
    "halts_of",
    "mean_exposure",
    "orders_of",
    "rebalance_notes",
    "trades_of",
]

_LEDGER: Any = ledger
"""The plain text of the compiled rules; steps carry no types."""
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
TYPES = ("market", "limit", "stop", "stop_limit")
STATES = {
    0: "open",
    layout.STATUS_PARTIAL: "partially_filled",
    layout.STATUS_FILLED: "filled",
    layout.STATUS_CANCELLED: "cancelled",
    layout.STATUS_EXPIRED: "expired",
}
SIGNALS = ("none", "short", "flat", "long")


class Outcome(msgspec.Struct):
    """The outcome of a run: the log, decisions and curve over the decided times."""

    LI: Ints
    LF: Floats
    F: Floats
    D: npt.NDArray[np.int8]
    G: Floats
    state: Any

    def rows(self, kind: int) -> npt.NDArray[np.int64]:
        """Return the rows of the log of one kind."""
        return np.flatnonzero(self.LI[:, 0] == kind)


class Ran(NamedTuple):
    """The results of one run: its outcome, its models, and its seconds without training.

    `acts` are the actions of monitors, each with its decision time.
    """

    outcome: Outcome
    learned: Any
    seconds: float
    acts: Sequence[tuple[int, Act]] = ()


def _symbols(session: Session, codes: Ints) -> Any:
    return coded(codes, list(session.market.symbols))


def _reasons(session: Session, codes: Any) -> Any:
    """Return the names of reason codes; -1 becomes an empty text."""
    names = [*session.plan.assembly.reasons, ""]
    numbers = np.asarray(codes, dtype=np.int64)
    return coded(np.where(numbers < 0, len(names) - 1, numbers), names)


def _quantity(session: Session, outcome: Outcome, rows: Ints, units: Floats) -> Floats:
    scale = outcome.state.B[:, layout.SCALE]
    return np.asarray(units / scale[outcome.LI[rows, 2]])


def order_ids(numbers: Ints) -> list[str]:
    """Return order ids as texts: ``o17``."""
    return [f"o{number + 1}" for number in numbers.tolist()]


def orders_of(session: Session, outcome: Outcome) -> dict[str, Any]:
    """Return one row per order, with its last state and the reason why it ended."""
    rows = outcome.rows(layout.ORDER)
    LI, LF = outcome.LI[rows], outcome.LF[rows]
    status, ended, filled = _ends(outcome, LI[:, 3])
    reasons = session.plan.assembly.reasons
    return {
        "time": LI[:, 1],
        "symbol": _symbols(session, LI[:, 2]),
        "order_id": order_ids(LI[:, 3]),
        "type": coded(LI[:, 4], TYPES),
        "side": coded((LF[:, 0] < 0).astype(np.int64), ("buy", "sell")),
        "quantity": _quantity(session, outcome, rows, np.abs(LF[:, 0])),
        "filled": _quantity(session, outcome, rows, filled),
        "limit_price": LF[:, 1],
        "trigger_price": LF[:, 2],
        "status": coded(status, tuple(STATES.values())),
        "reason": _reasons(session, LI[:, 5]),
        "ended_by": coded(ended + 1, ("", *reasons)),
        "decision_price": LF[:, 3],
        "confidence": LF[:, 4],
        "probability_up": LF[:, 5],
        "sizing_inputs": _sizing(session, LF),
    }


def _ends(outcome: Outcome, numbers: Ints) -> tuple[Ints, Ints, Floats]:
    """Return per order its index in `STATES`, why it ended early (or -1), and filled units.

    Rows of the log are in time order; of several rows about one order the last one counts.
    """
    by_number = np.argsort(numbers, kind="stable")

    def places(rows: Ints) -> Ints:
        wanted = outcome.LI[rows, 3]
        positions: Ints = by_number[np.searchsorted(numbers, wanted, sorter=by_number)]
        assert (numbers[positions] == wanted).all(), "a row is about an order that is not there"
        return positions

    status = np.zeros(len(numbers), np.int64)
    ended = np.full(len(numbers), -1, np.int64)
    fills = outcome.rows(layout.FILL)
    status[places(fills)] = list(STATES).index(layout.STATUS_PARTIAL)
    filled = np.zeros(len(numbers))
    np.add.at(filled, places(fills), np.abs(outcome.LF[fills, 0]))
    rows = outcome.rows(layout.STATUS)
    code_of = np.zeros(max(STATES) + 1, np.int64)
    code_of[list(STATES)] = np.arange(len(STATES))
    codes = outcome.LI[rows, 4]
    status[places(rows)] = code_of[codes]
    given_up = rows[(codes == layout.STATUS_CANCELLED) | (codes == layout.STATUS_EXPIRED)]
    ended[places(given_up)] = outcome.LI[given_up, 5]
    return status, ended, filled


def _sizing(session: Session, LF: Floats) -> list[str]:
    """Return the finite inputs of the sizing rule as JSON, one text per order."""
    names = ["equity", *session.plan.assembly.explained]
    values = LF[:, 6 : 6 + len(names)]
    lines = values.tolist()
    if np.isfinite(values).all():  # JSON formats floats like Python
        form = ", ".join(f"{json.dumps(name)}: ".replace("%", "%%") + "%r" for name in names)
        return [f"{{{form % tuple(line)}}}" for line in lines]
    return [
        json.dumps({n: v for n, v in zip(names, line, strict=True) if math.isfinite(v)})
        for line in lines
    ]


def fills_of(session: Session, outcome: Outcome, venue: str, *, before: int = 0) -> dict[str, Any]:
    """One row a fill, after `before` others; a fee in what is received is in the base currency."""
    rows = outcome.rows(layout.FILL)
    LI, LF = outcome.LI[rows], outcome.LF[rows]
    scale = outcome.state.B[:, layout.SCALE][LI[:, 2]]
    withheld = (np.abs(LF[:, 0]) - np.abs(LF[:, 3])) / scale
    received = withheld > 0
    currencies = [symbol.partition("/")[0] for symbol in session.market.symbols]
    currencies.append(session.strategy.account.currency)
    quote = len(currencies) - 1
    return {
        "time": LI[:, 1],
        "symbol": _symbols(session, LI[:, 2]),
        "venue": coded(np.zeros(len(rows), np.int64), [venue]),
        "order_id": order_ids(LI[:, 3]),
        "trade_id": [f"f{before + n + 1}" for n in range(len(rows))],
        "side": coded((LF[:, 0] < 0).astype(np.int64), ("buy", "sell")),
        "quantity": _quantity(session, outcome, rows, np.abs(LF[:, 0])),
        "price": LF[:, 1],
        "fee": np.where(received, withheld, LF[:, 2]),
        "fee_currency": coded(np.where(received, LI[:, 2], quote), currencies),
        "fee_quote": LF[:, 2],
        "liquidation": np.nan_to_num(LF[:, 5]),
        "liquidity": coded(LI[:, 4], ("taker", "maker")),
    }


def trades_of(session: Session, outcome: Outcome, *, over: bool = True) -> dict[str, Any]:
    """Return one row per closed trade; at the end of a run, also open positions and dust.

    Both are marked at the last close, so that all results sum to the change in equity.
    """
    rows = outcome.rows(layout.TRADE)
    LI, LF = outcome.LI[rows], outcome.LF[rows]
    reasons = session.plan.assembly.reasons
    open_trades = _still_held(session, outcome.state, len(reasons)) if over else {}

    def column(name: str, closed: Any) -> Any:
        return np.concatenate((closed, open_trades[name])) if open_trades else closed

    sides = column("side", LI[:, 5])
    return {
        "symbol": _symbols(session, column("k", LI[:, 2])),
        "side": coded((sides < 0).astype(np.int64), ("long", "short")),
        "entry_time": column("entry_ns", LI[:, 3]),
        "entry_price": column("entry_price", LF[:, 1]),
        "exit_time": column("exit_ns", LI[:, 1]),
        "exit_price": column("exit_price", LF[:, 2]),
        "quantity": column("quantity", LF[:, 3]),
        "pnl": column("pnl", LF[:, 4]),
        "fees": column("fees", LF[:, 5]),
        "funding": column("funding", LF[:, 6]),
        "liquidation": column("liquidation", LF[:, 7]),
        "slippage": column("slippage", LF[:, 8]),
        "exit_reason": coded(column("reason", LI[:, 4]), [*reasons, "open", "dust"]),
    }


def entries_of_open(session: Session, outcome: Outcome) -> dict[str, int]:
    """Return the entry times (UTC, ns) of open trades, by symbol."""
    integers, names = outcome.state.I, session.market.symbols
    held = np.flatnonzero(integers[:, layout.OPEN_SIDE]).tolist()
    return {names[k]: int(integers[k, layout.TRADE_NS]) for k in held}


def _still_held(session: Session, state: Any, reason: int) -> dict[str, Any]:
    """Return columns of open trades (`reason`), then of dust (`reason` + 1), at the last close."""
    B, integers = state.B, state.I
    side = integers[:, layout.OPEN_SIDE]
    k = np.flatnonzero(side)
    scale, mark = B[:, layout.SCALE], B[:, layout.MARK]
    units, average = B[k, layout.UNITS], B[k, layout.AVERAGE]
    costs = B[k, layout.TRADE_FEES], B[k, layout.TRADE_FUNDING], B[k, layout.TRADE_LIQUIDATION]
    gross = B[k, layout.TRADE_GROSS] + units / scale[k] * (mark[k] - average)
    entry, exit_price, quantity = _as_if_closed(B[k], mark[k])
    dust = np.where(side == 0, B[:, layout.UNITS], 0.0)
    dust_pnl = dust / scale * mark - B[:, layout.DUST_COST]
    dust_rows = np.flatnonzero((dust_pnl != 0.0) | (dust != 0.0) | (B[:, layout.DUST_FEES] != 0.0))
    zeros = np.zeros(len(dust_rows))
    end = np.full(len(k) + len(dust_rows), session.aligned.T[layout.KNOWN, -1], np.int64)
    columns = {
        "k": (k, dust_rows), "side": (side[k], np.where(dust[dust_rows] < 0.0, -1, 1)),
        "entry_ns": (integers[k, layout.TRADE_NS], end[len(k) :]),
        "entry_price": (entry, mark[dust_rows]), "exit_price": (exit_price, mark[dust_rows]),
        "quantity": (quantity, np.abs(dust[dust_rows]) / scale[dust_rows]),
        "pnl": (gross - costs[0] - costs[1] - costs[2], dust_pnl[dust_rows]),
        "fees": (costs[0], B[dust_rows, layout.DUST_FEES]),
        "funding": (costs[1], B[dust_rows, layout.DUST_FUNDING]), "liquidation": (costs[2], zeros),
        "slippage": (B[k, layout.TRADE_SLIPPAGE], B[dust_rows, layout.DUST_SLIPPAGE]),
        "reason": (np.full(len(k), reason), np.full(len(dust_rows), reason + 1)),
    }  # fmt: skip
    return {**{name: np.concatenate(pair) for name, pair in columns.items()}, "exit_ns": end}


def _as_if_closed(B: Floats, mark: Floats) -> tuple[Floats, Floats, Floats]:
    """Return mean entry and exit prices and quantities of open trades, as if sold at `mark`."""
    scale, closed = B[:, layout.SCALE], B[:, layout.CLOSED_UNITS]
    units = np.abs(B[:, layout.UNITS])
    entry, exit_price = np.empty(len(B)), np.empty(len(B))
    for n in range(len(B)):
        row, weight, open_units = B[n], float(closed[n]), float(units[n])
        closed_average, entry_average = (
            float(row[layout.CLOSED_AVERAGE]),
            float(row[layout.AVERAGE]),
        )
        sold = float(row[layout.EXIT_NOTIONAL]) / (weight / scale[n]) if weight else mark[n]
        entry[n] = _LEDGER.mean_price(closed_average, weight, entry_average, open_units)
        exit_price[n] = _LEDGER.mean_price(sold, weight, mark[n], open_units)
    return entry, exit_price, (closed + units) / scale


def mean_exposure(session: Session, outcome: Outcome) -> float | None:
    """Return the mean of |notional| / equity, as the run summed it if its curve is only equity."""
    if len(outcome.G) > 1:
        return None
    state = outcome.state
    times = session.aligned.times - session.first - int(state.C[layout.UNVALUED])
    return float(state.A[layout.EXPOSED]) / times if times else None


def equity_of(session: Session, outcome: Outcome) -> dict[str, Any]:
    """Return one row for each decision time from the first on."""
    first = session.first
    equity = outcome.G[layout.G_EQUITY, first:]
    peak = np.maximum.accumulate(np.maximum(equity, session.strategy.account.capital))
    table = {"time": session.aligned.T[layout.KNOWN, first:], "equity": equity}
    if len(outcome.G) > 1:  # without tables the curve is only equity
        table["cash"] = outcome.G[layout.G_CASH, first:]
        table["exposure"] = outcome.G[layout.G_EXPOSURE, first:] / equity
    return {**table, "drawdown": 1.0 - equity / peak}


def decisions_of(session: Session, outcome: Outcome) -> dict[str, Any]:
    """Return a row per symbol and decision time: features, prediction, signal, size, rejection."""
    assembly = session.plan.assembly
    count = len(session.market.symbols)
    ks, rows, times = _decided(session)
    single = count == 1

    def column(row: int, array: Any = outcome.F) -> Any:
        if single:
            return array[0, row, rows[0] : rows[-1] + 1] if len(rows) else array[0, row, :0]
        return np.asarray(array[ks, row, rows])

    table: dict[str, Any] = {"time": times, "symbol": _symbols(session, ks)}
    for name, row in assembly.shown.items():
        table[name] = column(row)
    for name in assembly.levels:
        table[name] = np.where(table[name] == 0.0, np.nan, table[name])
    at = assembly.decision_row
    model = assembly.model_row
    signal = column(layout.D_SIGNAL, outcome.D)
    confidence = column(at + layout.F_CONFIDENCE)
    table["probability_up"] = column(model) if model is not None else np.full(len(rows), np.nan)
    table["confidence"] = np.where(signal & layout.CERTAIN, 1.0, confidence)
    table["signal"] = coded(signal & layout.SIGNAL, SIGNALS)
    table["requested"] = column(at + layout.F_REQUESTED)
    table["granted"] = column(at + layout.F_GRANTED)
    table["capped_by"] = _reasons(session, column(layout.D_CAPPED, outcome.D) - 1)
    table["rejected_by"] = _reasons(session, column(layout.D_REJECTED, outcome.D) - 1)
    table["late"] = column(layout.D_LATE, outcome.D) != 0
    return table


def _decided(session: Session) -> tuple[Ints, Ints, Ints]:
    """Return the symbol, row and time of every decision, in order of time, then of the universe."""
    known_ns = session.aligned.T[layout.KNOWN, session.first :]
    if len(session.market.symbols) == 1:
        rows = session.aligned.T[layout.ROW, session.first :]
        return np.zeros(len(rows), np.int64), rows, known_ns
    grid = session.aligned.bar_rows[:, session.first :].T
    t, k = np.nonzero(grid >= 0)
    return k.astype(np.int64), grid[t, k], known_ns[t]


def rebalance_notes(session: Session, outcome: Outcome) -> list[str]:
    """Return sentences about rebalances: the number made, and those that waited, with reasons."""
    rows = outcome.rows(layout.REBALANCE)
    if session.plan.facts.schedule is None:
        return []
    codes, reasons = outcome.LI[rows, 4], session.plan.assembly.reasons
    named = np.array([reasons[code] for code in codes.tolist()], dtype=object)
    rebalances = int((named == "rebalance").sum())
    notes = [f"{rebalances:,} rebalances were made"]
    for why in sorted({*named.tolist()} - {"rebalance"}):
        count = int((named == why).sum())
        notes.append(f"a rebalance that was due could not act whole at {count:,} times: {why}")
    if len(named) and named[-1] != "rebalance":
        times = outcome.LI[rows, 1]
        since = times[np.flatnonzero(named == "rebalance")[-1]] if rebalances else times[0]
        notes.append(
            f"no rebalance was made after {iso(int(since))}: the next one waited to the end "
            f"({named[-1]}), and what was held stayed whatever its rank or weight"
        )
    if scaled := int(outcome.LI[rows, 5].sum()):
        notes.append(f"given weights were above gross and scaled down at {scaled:,} rebalances")
    return notes


def rebalance_waits(session: Session, outcome: Outcome) -> dict[str, int]:
    """Return how often each reason kept a due rebalance from acting; empty if one was made."""
    if session.plan.facts.schedule is None:
        return {}
    reasons = session.plan.assembly.reasons
    codes = outcome.LI[outcome.rows(layout.REBALANCE), 4].tolist()
    counted = Counter(reasons[code] for code in codes)
    return {} if counted["rebalance"] else dict(counted.most_common())


def halts_of(session: Session, outcome: Outcome) -> list[HaltEvent]:
    """Return every halt that tripped, with the event that cleared it."""
    events: list[HaltEvent] = []
    blocks = list(session.plan.assembly.halts)
    kinds = outcome.LI[:, 0]
    for row in np.flatnonzero((kinds == layout.HALT) | (kinds == layout.CLEAR)).tolist():
        kind = kinds[row]
        if kind == layout.HALT:
            name, block = blocks[int(outcome.LI[row, 3])]
            events.append(_halt(name, block, int(outcome.LI[row, 1]), outcome.LF[row]))
        elif kind == layout.CLEAR:
            name, _ = blocks[int(outcome.LI[row, 3])]
            for number in reversed(range(len(events))):
                if events[number].rule == name and events[number].resumed_ns is None:
                    fields = {
                        each: getattr(events[number], each) for each in events[number].__slots__
                    }
                    events[number] = HaltEvent(**{**fields, "resumed_ns": int(outcome.LI[row, 1])})
                    break
    return events


def _halt(name: str, block: Any, time_ns: int, line: Floats) -> HaltEvent:
    from septet_schemas.units import format_duration

    equity, peak, day_base, losses = (float(each) for each in line[:4])
    parameters, resume = block.declaration.parameters, block.extra["resume"]
    counts = "losses_in_a_row" in parameters
    limit = getattr(block.config, "count" if counts else "above", math.nan)
    return HaltEvent(
        time_ns=time_ns,
        rule=name,
        value=losses if counts else 1.0 - equity / (day_base if "day_base" in parameters else peak),
        threshold=float(limit),
        metric="losses_in_a_row" if counts else "",
        then=block.extra["then"],
        resume=resume if isinstance(resume, str) else format_duration(resume),
    )
