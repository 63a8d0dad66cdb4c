"""Folds a journal's entries into the rows of a run's tables: a projection that decides nothing."""

from __future__ import annotations

import json
import math
import struct
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from septet import messages as m
from septet._journal.fill_rows import FILL_COLUMNS, correct_rows
from septet._journal.journal_format import Entry, Head
from septet._journal.open_orders import OpenOrders
from septet._journal.trades import Instrument, TradeBook

__all__ = ["Block", "Fold", "OrderRow", "order_id"]

NAN: Final = math.nan
ADOPTED: Final = "adopted"
GIVEN_UP: Final = ("cancelled", "expired", "rejected")
BAR: Final = ("open_ns", "known_ns", "open", "high", "low", "close", "volume")


def _or_nan(value: float | None) -> float:
    return NAN if value is None else value


def order_id(number: int) -> str:
    """Return the id of an order as it is shown: ``o17``."""
    return f"o{number + 1}"


@dataclass(slots=True)
class OrderRow:
    """Current state of an order of the strategy, or of a protective stop at the venue."""

    order_id: str
    time_ns: int
    symbol: int
    kind: str = "market"
    side: str = ""
    quantity: float = 0.0
    limit_price: float = NAN
    trigger_price: float = NAN
    reason: str = ""
    decision_price: float = NAN
    confidence: float = NAN
    probability_up: float = NAN
    status: str = "intent"
    ended: str = ""
    filled: float = 0.0
    sent: bool = False
    placed: bool = False
    sizing: Mapping[str, float] = field(default_factory=dict)

    def reduce(self, reduces: bool) -> None:
        """Remove the confidence from a reduction: it applies to entries only."""
        if reduces:
            self.confidence = self.probability_up = NAN

    @property
    def ended_by(self) -> str:
        """Return why the order was given up, or nothing."""
        return self.ended if self.status in GIVEN_UP else ""


@dataclass
class Block:
    """A halt or a block of the guards, and when it was cleared."""

    time_ns: int
    rule: str
    then: str
    clears_when: str
    equity: float
    text: str
    cleared_ns: int | None = None
    by: str = ""


class Fold:
    """Rows of every table, entry by entry. Symbols are numbers in universe order."""

    def __init__(self, head: Head) -> None:
        facts = head.facts
        self.head = head
        self.symbols = [str(name) for name in facts.get("symbols", [])]
        self.features = [str(name) for name in facts.get("features", [])]
        self.seq = 0
        self.first_at_ns = self.last_at_ns = 0
        self.market_ns = head.origin_ns
        self.bars: dict[int, dict[str, list[Any]]] = {}
        self.decisions: list[tuple[Any, ...]] = []
        self.feature_bytes = bytearray()
        self.equity: list[tuple[int, float, float, float]] = []
        self.orders: dict[str, OrderRow] = {}
        self.open_orders = OpenOrders()
        self.fills: list[tuple[Any, ...]] = []
        self.models: list[dict[str, Any]] = []
        self.readings: list[tuple[Any, ...]] = []
        self.blocks: list[Block] = []
        self.alerts: list[dict[str, Any]] = []
        self.resumed: m.Operated | None = None
        self.answered_alerts = 0
        self.invalid_answers: dict[str, m.InvalidAnswer] = {}
        self.sessions = 0
        instruments: Mapping[str, Any] = facts.get("instruments", {})
        self.min_notionals = {
            k: float(instruments.get(name, {}).get("min_notional", 0.0))
            for k, name in enumerate(self.symbols)
        }
        self.trades = TradeBook(
            {k: Instrument.of(instruments.get(name, {})) for k, name in enumerate(self.symbols)}
        )
        self._closes: dict[int, float] = {}
        self._waiting: dict[int, deque[float]] = {}
        self._marks: dict[int, float] = {}
        self._valued: dict[int, float] = {}
        self._marks_quotes = _has_venue_fills(head)
        self._last_decided: dict[int, m.Decided] = {}
        self._executed: dict[tuple[int, str], m.Filled] = {}
        self._event: m.Event | None = None
        self._takes: dict[type, Callable[[Any], None]] = {
            m.Started: self._started, m.Ticked: self._ticked, m.BarClosed: self._bar,
            m.DecisionTimeReached: self._decision_time, m.Filled: self._filled,
            m.Quoted: self._market, m.Printed: self._market,
            m.FiltersChanged: self._filters, m.ModelReady: self._model,
            m.Submit: self._submit, m.Amend: self._amend, m.Decided: self._decided,
            m.Ruled: self._ruled, m.Placed: self._placed, m.Changed: self._changed,
            m.Traded: self._traded, m.Corrected: self._corrected,
            m.Funded: self._funded, m.Tripped: self._tripped,
            m.Cleared: self._cleared, m.Alerted: self._alerted, m.Watched: self._watched,
            m.InvalidAnswer: self._invalid_answer, m.Operated: self._operated,
        }  # fmt: skip

    def take(self, entries: Iterable[Entry]) -> Fold:
        """Process entries, in order; return itself."""
        for entry in entries:
            self.seq = entry.seq
            self.first_at_ns = self.first_at_ns or entry.at_ns
            self.last_at_ns = entry.at_ns
            event = self._event = entry.event
            handler = self._takes.get(type(event))
            if handler is not None:
                handler(event)
            for command in entry.commands if entry.commands_json != b"[]" else ():
                handler = self._takes.get(type(command))
                if handler is not None:
                    handler(command)
        return self

    # ------------------------------------------------------------ events

    def _started(self, event: m.Started) -> None:
        self.sessions = event.session
        self.market_ns = max(self.market_ns, event.market_ns)

    def _ticked(self, event: m.Ticked) -> None:
        self.market_ns = max(self.market_ns, event.market_ns)

    def _bar(self, event: m.BarClosed) -> None:
        columns = self.bars.setdefault(event.symbol, {name: [] for name in BAR})
        for name in BAR:
            columns[name].append(getattr(event, name))
        self._closes[event.symbol] = event.close
        self._waiting.setdefault(event.symbol, deque()).append(event.close)

    def _decision_time(self, event: m.DecisionTimeReached) -> None:
        """Mark the next bar of each symbol at a decision time, as the ledger does."""
        self.market_ns = max(self.market_ns, event.time_ns)
        for k in event.present:
            waiting = self._waiting.get(k)
            close = waiting.popleft() if waiting else None
            if close is not None and (event.decides or self.equity):
                self._marks[k] = close

    def _market(self, event: m.Quoted | m.Printed) -> None:
        self.market_ns = max(self.market_ns, event.market_ns)
        if self._marks_quotes:
            if isinstance(event, m.Quoted):
                self._marks[event.symbol] = 0.5 * (event.bid + event.ask)
            else:
                self._marks[event.symbol] = event.price

    def _filled(self, event: m.Filled) -> None:
        self.market_ns = max(self.market_ns, event.market_ns)
        self._executed[event.symbol, event.trade_id] = event

    def _filters(self, event: m.FiltersChanged) -> None:
        if not event.listed:
            return
        instrument = self.trades.instruments.setdefault(event.symbol, Instrument())
        instrument.lot = event.lot
        self.min_notionals[event.symbol] = event.min_notional

    def _model(self, event: m.ModelReady) -> None:
        self.models.append(
            {
                "number": event.number, "model_id": event.fingerprint[:12],
                "fingerprint": event.fingerprint, "trained_to_ns": event.trained_to_ns,
                "ready_ns": event.ready_ns, "expires_ns": event.expires_ns, "folder": event.folder,
            }
        )  # fmt: skip

    # ------------------------------------------------------------ decisions

    def _decided(self, row: m.Decided) -> None:
        width = 8 * len(self.features)
        if len(row.features) != width:
            count = len(row.features) // 8
            raise ValueError(f"a decision has {count} features, the head names {width // 8}")
        self._last_decided[row.symbol] = row
        self.feature_bytes += row.features
        up = NAN if row.probability_up is None else row.probability_up
        self.decisions.append(
            (
                row.time_ns, row.symbol, up, row.confidence, row.signal, row.requested,
                row.granted, row.capped_by, row.rejected_by, row.late,
            )
        )  # fmt: skip

    def _ruled(self, row: m.Ruled) -> None:
        self.equity.append((row.time_ns, row.equity, row.cash, row.exposure))
        self._valued = dict(self._marks)

    def _tripped(self, row: m.Tripped) -> None:
        self.blocks.append(
            Block(self.market_ns, row.rule, row.then, row.clears_when, row.equity, row.text)
        )

    def _cleared(self, row: m.Cleared) -> None:
        for block in reversed(self.blocks):
            if block.rule == row.rule and block.cleared_ns is None:
                block.cleared_ns, block.by = self.market_ns, row.by
                return

    def _operated(self, event: m.Operated) -> None:
        if event.action == "resume":  # a person has seen the alerts so far, and resumes
            self.resumed, self.answered_alerts = event, len(self.alerts)

    def _alerted(self, row: m.Alerted) -> None:
        symbol = self.name(row.symbol) if row.symbol >= 0 else ""
        self.alerts.append(
            {
                "at_ns": self.last_at_ns, "level": row.level, "event": row.event,
                "text": row.text, "symbol": symbol,
            }
        )  # fmt: skip

    def _invalid_answer(self, row: m.InvalidAnswer) -> None:
        self.invalid_answers[row.rule] = row  # it counts from the start of the run

    def _watched(self, row: m.Watched) -> None:
        symbol = self.name(row.symbol) if row.symbol >= 0 else ""
        compared = row.value if row.compared is None else row.compared
        self.readings.append(
            (
                row.time_ns, symbol, row.metric, _or_nan(row.value), _or_nan(row.threshold),
                row.verdict, row.window, _or_nan(compared),
            )
        )  # fmt: skip

    # ------------------------------------------------------------ orders

    def _order(self, number: int, client_id: str, symbol: int, trace: str = "") -> OrderRow:
        key = order_id(number) if number >= 0 else client_id
        row = self.orders.get(key)
        if row is None:
            row = self.orders[key] = OrderRow(key, self._decided_ns(trace), symbol)
            row.decision_price = self._closes.get(symbol, NAN)
            decided = self._last_decided.get(symbol)
            if decided is not None:
                row.confidence = decided.confidence
                row.probability_up = (
                    NAN if decided.probability_up is None else decided.probability_up
                )
        return row

    def _decided_ns(self, trace: str) -> int:
        """Return when an order was decided, from its trace; otherwise the market time."""
        moment = trace.rpartition("@")[2]
        return int(moment) if moment.isascii() and moment.isdigit() else self.market_ns

    def _placed(self, order: m.Placed) -> None:
        self.open_orders.place(order)
        key = order_id(order.order)
        row = self.orders[key] = OrderRow(key, order.time_ns, order.symbol)
        row.kind, row.side, row.quantity = order.order_type, order.side, order.quantity
        row.limit_price = _or_nan(order.limit_price)
        row.trigger_price = _or_nan(order.trigger_price)
        row.reason, row.decision_price = order.reason, order.decision_price
        row.confidence = _or_nan(order.confidence)
        row.probability_up = _or_nan(order.probability_up)
        row.sizing, row.placed = order.sizing, True

    def _submit(self, command: m.Submit) -> None:
        self.open_orders.submit(command)
        row = self._order(command.parent, command.client_id, command.symbol, command.trace)
        if row.sent or row.placed:
            return  # another child: the row describes their parent order
        row.sent = True
        row.reduce(command.reduces)
        row.kind, row.side, row.quantity = command.order_type, command.side, command.quantity
        row.limit_price = NAN if command.limit_price is None else command.limit_price
        row.trigger_price = NAN if command.trigger_price is None else command.trigger_price
        row.reason = command.reason or row.reason

    def _amend(self, command: m.Amend) -> None:
        self.open_orders.amend(command)
        self._order(command.parent, command.new_client_id, command.symbol, command.trace)

    def _changed(self, row: m.Changed) -> None:
        self.open_orders.change(row)
        order = self._order(row.order, row.client_id, row.symbol, row.trace)
        order.status, order.ended = row.state, row.reason
        if row.state in ("intent", "open") and not order.reason:
            order.reason = row.reason

    def _traded(self, row: m.Traded) -> None:
        self.open_orders.trade(row)
        executed = self._executed.pop((row.symbol, row.trade_id), None)
        client_id = executed.client_id if executed is not None else ""
        order = self.orders.get(client_id)  # a protective stop: its row has the venue's id
        if order is None and row.order < -1:  # by no order of this journal
            order = OrderRow(client_id, row.market_ns, row.symbol, decision_price=row.price)
        order = order or self._order(row.order, client_id, row.symbol, row.trace)
        net_units, gross, fee_quote = self._moved(row, executed)
        if not order.sent and not order.placed:  # filled inside: nothing was submitted
            order.reduce(net_units * self.trades.units(row.symbol) < 0.0)
            order.side, order.quantity = row.side, order.quantity + gross
        if order.status in ("intent", "open"):
            order.status = "partially_filled"
        order.filled += gross
        venue = executed.venue if executed is not None else str(self.head.facts.get("venue", ""))
        self.fills.append(
            (
                row.market_ns, row.symbol, venue, order.order_id, row.trade_id, row.side, gross,
                row.price, row.fee, row.fee_currency, fee_quote, row.liquidation,
                "maker" if row.maker else "taker",
            )
        )  # fmt: skip
        reason, distance = row.reason or order.reason, row.price - order.decision_price
        signed = gross if row.side == "buy" else -gross
        slippage = distance * signed if distance == distance else 0.0
        self.trades.fill(
            row.symbol, net_units, row.price, fee_quote, row.market_ns, reason, slippage,
            row.liquidation,
        )  # fmt: skip

    def _corrected(self, row: m.Corrected) -> None:
        """Show the fill or the fee that the venue states in place of the presumed one."""
        quantity, k = row.quantity if row.side == "buy" else -row.quantity, row.symbol
        if row.units:
            units = float(round(row.units * self.trades.scale(k)))
            self.trades.fill(k, units, row.price, 0.0, row.market_ns, ADOPTED)
        fee = row.fee_quote - (row.fee_booked or 0.0)
        self.trades.correct(
            k, quantity, row.booked_price, row.price, fee, row.booked_ns, row.fee_revalued
        )
        correct_rows(self.fills, row)

    def _funded(self, row: m.Funded) -> None:
        self.trades.fund(row.symbol, row.amount)

    def _moved(self, row: m.Traded, executed: m.Filled | None) -> tuple[float, float, float]:
        """Return signed net units, the quantity before a fee in the base, the fee in the quote."""
        scale = self.trades.scale(row.symbol)
        net_units = float(round(row.position * scale)) - self.trades.units(row.symbol)
        gross, fee_quote = abs(net_units), row.fee
        if row.fee_currency == self.base(row.symbol):
            fee_units = float(round(row.fee * scale))
            gross += fee_units if row.side == "buy" else -fee_units
            if executed is not None:
                fee_units = abs(float(round(executed.quantity * scale)) - abs(net_units))
            # the value of the withheld units is the ledger's, bit for bit
            fee_quote = (fee_units / scale if fee_units else row.fee) * row.price
        elif row.fee_currency != self.quote(row.symbol):
            fee_quote = row.fee_quote or 0.0
        return net_units, gross / scale if executed is None else executed.quantity, fee_quote

    # ------------------------------------------------------------ names

    def name(self, symbol: int) -> str:
        """Return the name of a symbol, or its number if the head does not list it."""
        return self.symbols[symbol] if symbol < len(self.symbols) else f"symbol {symbol}"

    def base(self, symbol: int) -> str:
        """Base currency of a symbol."""
        return self.name(symbol).partition("/")[0]

    def quote(self, symbol: int) -> str:
        """Return the quote currency of a symbol, or the account's if its name has none."""
        currency = self.name(symbol).partition("/")[2].partition(":")[0]
        return currency or str(self.head.facts.get("currency", ""))

    def mark(self, symbol: int) -> float:
        """Return the mark price of a symbol: the newest quote or close; NaN without one."""
        return self._marks.get(symbol, self._closes.get(symbol, NAN))

    # ------------------------------------------------------------ tables

    @property
    def end_ns(self) -> int:
        """Return the last decision time, or the start of the journal if there was none."""
        return self.equity[-1][0] if self.equity else self.first_ns

    @property
    def first_ns(self) -> int:
        """Return the first decision time, or the start of the journal if there was none."""
        return self.equity[0][0] if self.equity else self.head.origin_ns

    def decision_columns(self) -> dict[str, list[Any]]:
        """Columns of the table `decisions`, features included."""
        names = (
            "time", "symbol", "probability_up", "confidence", "signal", "requested", "granted",
            "capped_by", "rejected_by", "late",
        )  # fmt: skip
        table = _columns(names, self.decisions)
        table["symbol"] = [self.name(symbol) for symbol in table["symbol"]]
        width = len(self.features)
        values = struct.unpack(f"<{len(self.feature_bytes) // 8}d", self.feature_bytes)
        for row, feature in enumerate(self.features):
            table[feature] = list(values[row::width])
        return table

    def monitoring_columns(self) -> dict[str, list[Any]]:
        """Columns of the table `monitoring`, in order of time."""
        names = ("time", "symbol", "metric", "value", "threshold", "verdict", "window", "compared")
        return _columns(names, sorted(self.readings, key=lambda each: each[0]))

    def order_columns(self) -> dict[str, list[Any]]:
        """Columns of the table `orders`."""
        names = (
            "time", "symbol", "order_id", "type", "side", "quantity", "filled", "limit_price",
            "trigger_price", "status", "reason", "ended_by", "decision_price", "confidence",
            "probability_up", "sizing_inputs",
        )  # fmt: skip
        rows = [
            (
                row.time_ns, self.name(row.symbol), row.order_id, row.kind, row.side, row.quantity,
                self._filled_quantity(row), row.limit_price, row.trigger_price, row.status,
                row.reason, row.ended_by, row.decision_price, row.confidence, row.probability_up,
                json.dumps(row.sizing),
            )
            for row in self.orders.values()
        ]  # fmt: skip
        return _columns(names, rows)

    def _filled_quantity(self, row: OrderRow) -> float:
        """Filled quantity of an order in whole units, as a backtest sums it."""
        scale = self.trades.scale(row.symbol)
        return float(round(row.filled * scale)) / scale

    def fill_columns(self) -> dict[str, list[Any]]:
        """Columns of the table `fills`."""
        table = _columns(FILL_COLUMNS, self.fills)
        table["symbol"] = [self.name(symbol) for symbol in table["symbol"]]
        return table

    def trade_columns(self) -> dict[str, list[Any]]:
        """Columns of the table `trades`, open positions last."""
        names = (
            "symbol", "side", "entry_time", "entry_price", "exit_time", "exit_price", "quantity",
            "pnl", "fees", "funding", "liquidation", "slippage", "exit_reason",
        )  # fmt: skip
        table = _columns(
            names, self.trades.rows + self.trades.still_open(self._valued, self.end_ns)
        )
        table["symbol"] = [self.name(symbol) for symbol in table["symbol"]]
        return table

    def equity_columns(self) -> dict[str, list[Any]]:
        """Columns of the table `equity`."""
        table = _columns(("time", "equity", "cash", "exposure"), self.equity)
        peak, fallen = float(self.head.facts.get("capital", 0.0)), []
        for equity in table["equity"]:
            peak = max(peak, equity)
            fallen.append(1.0 - equity / peak)
        return {**table, "drawdown": fallen}


def _has_venue_fills(head: Head) -> bool:
    """Whether a venue fills the orders of the run; the engine then marks at quotes."""
    resolved = head.facts.get("resolved", {})
    fills = resolved.get("execution", {}).get("simulation", {}).get("fills", "next_open")
    return head.mode == "live" or str(fills) != "next_open"


def _columns(names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> dict[str, list[Any]]:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return {name: list(column) for name, column in zip(names, columns, strict=True)}
