"""The live core: one event in, commands out; no clock, no I/O, nothing unseeded.

It connects the engine, which decides, the order manager, which executes decisions, and the
guards, which block entries. The journal holds its events and its commands; the same events give
the same commands, byte for byte.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, get_args

import msgspec

from septet import messages as m
from septet._core import engine_messages, fees
from septet._core import events as core
from septet._core import ledger_changes as ledger
from septet._core.account_check import Account
from septet._core.checked_rules import new_invalid_answers
from septet._core.checks import Checks
from septet._core.core_snapshot import CoreKept
from septet._core.engine import Engine
from septet._core.guards import Guards
from septet._core.missed_span import MissedSpan
from septet._core.monitoring import Latency, Monitoring
from septet._core.orders import (
    Booked,
    Corrected,
    Ended,
    FeeReported,
    NeverSentOrder,
    Orders,
    Outcome,
    StopEnded,
    Triggered,
    trade_key,
)
from septet._core.retraining import Retraining
from septet._core.unsellable import as_before, before_filters, filters_alarm, is_dust, unsold
from septet._core.venue_fills import VenueFillsEngine
from septet._core.wiring import IntakePort, ModelPort, Names, OrderRules
from septet._kernel import layout

__all__ = ["LiveCore"]

UNSOLD: Final = ("too_small", "flat", "gone")
SAFE_MODE: Final = "safe_mode"
TRACES: Final = 1_024
"""Newest orders whose trace is remembered for their fills."""


class LiveCore:
    """The live core of one strategy.

    Parameters
    ----------
    names
        Names of the engine's codes and numbers.
    engine
        Makes decisions and books fills; a `VenueFillsEngine` if a venue fills the orders.
    intake, models
        Turn bars into columns; return the model that is current (None without a model).
    guards
        The active blocks of entries.
    rules
        Properties of each order besides those that the engine decides.
    orders, checks
        The order manager and its last check; None where fills happen inside the engine.
    monitoring
        The monitors of the run; they may block entries.
    """

    def __init__(
        self, names: Names, engine: Engine, intake: IntakePort, models: ModelPort | None,
        guards: Guards, rules: OrderRules, orders: Orders | None = None,
        checks: Checks | None = None, monitoring: Monitoring | None = None,
    ) -> None:  # fmt: skip
        self.names, self.engine, self.intake, self.models = names, engine, intake, models
        self.guards, self.rules = guards, rules
        self.orders, self.checks, self.monitoring = orders, checks, monitoring
        self.retraining = Retraining(names.training_times, models, on_drift=names.on_drift)
        self.latency = Latency(rules.latency_alarm_ns)
        self._scales = [engine.scale(k) for k in range(len(names.symbols))]
        self.session, self.market_ns, self._now_ns = 0, 0, 0
        self._fills, self._flattens, self._missed = 0, False, MissedSpan()
        self._stops: dict[int, int] = {}
        self._dust: dict[int, float] = {}
        self._traces: dict[int, str] = {}
        self._out: list[m.Command] = []
        self._handlers: dict[type[m.Event], Callable[[Any], None]] = {
            **dict.fromkeys(get_args(m.EVENTS), self._venue),
            m.Started: self._started,
            m.Ticked: self._ticked,
            m.Operated: self._operated,
            m.BarClosed: self._bar,
            m.Gapped: self._gap,
            m.SeriesPoint: intake.point,
            m.DecisionTimeReached: self._decision_time,
            m.Quoted: self._quoted,
            m.Printed: self._printed,
            m.Holdings: self._holdings,
            m.FiltersChanged: self._filters,
            m.ModelReady: self._model,
            m.ModelFailed: self._model,
        }

        self._outcomes: dict[type[Outcome], Callable[[Any], None]] = {
            Booked: self._booked, Ended: self._ended,
            Corrected: partial(self._change_ledger, ledger.correct),
            FeeReported: lambda outcome: self._correct_fee(outcome.key, outcome.fill),
            Triggered: self._triggered, StopEnded: self._stop_ended,
            NeverSentOrder: lambda outcome: self._trip_safe_mode(outcome.text),
        }  # fmt: skip

    def handle(self, event: m.Event) -> list[m.Command]:
        """Process one event; return the commands that follow from it, in order."""
        self._out = []
        self._now_ns = event.at_ns
        self._handlers[type(event)](event)
        if self.orders is not None:  # their findings come before their requests
            self._out += self.orders.proceed(event.at_ns, self._apply)
            self._out += self.latency.take(event, self._out, self.market_ns)
        self._out += new_invalid_answers(self.engine)
        return self._out

    # ------------------------------------------------------------------ the run

    def _started(self, event: m.Started) -> None:
        self.session, begins = event.session, self.market_ns == 0
        self._out += self._missed.begin(event, self)
        self.market_ns = max(self.market_ns, event.market_ns)
        self._venue(event)
        if begins:  # otherwise the next decision asks, once the missed bars have arrived
            self._train(self.retraining.due(event.market_ns))

    def _ticked(self, event: m.Ticked) -> None:
        self.market_ns = max(self.market_ns, event.market_ns)
        self._venue(event)
        if isinstance(self.engine, VenueFillsEngine):
            for k in range(len(self.names.symbols)):
                dust = is_dust(self._dust, self.checks, self.guards, k, self.engine.held(k))
                if self.engine.exit_to_retry(k) >= 0 and not dust:
                    self._carry(self.engine.go_on(k, self.market_ns))

    def _operated(self, event: m.Operated) -> None:
        self.market_ns = max(self.market_ns, event.market_ns)
        if event.action == "halt" and event.name == SAFE_MODE:
            # no process watches the run: entries are cancelled, protective stops stay
            self._trip_safe_mode(event.reason)
            self._carry(self.engine.halt(self.market_ns, flatten=False))
            return
        self._venue(event)
        if event.action in ("halt", "flatten"):
            self._flattens |= event.action == "flatten"  # a later plain halt does not weaken it
            self._carry(self.engine.halt(self.market_ns, flatten=self._flattens))
            left = unsold(self.engine, self.checks, self.orders, self.guards)
            for k, text in left if self._flattens else ():
                self._alert("critical", "unsellable", text, k)
        elif event.action == "resume":
            self._flattens = False
            self._carry(self.engine.resume(self.market_ns))
            self._out += self.monitoring.resume() if self.monitoring is not None else ()
        elif event.action == "stop" and (how := self.rules.on_shutdown) != "keep":
            self._carry(self.engine.wind_down(self.market_ns, flatten=how == "flatten"))

    # ------------------------------------------------------------------ market data

    def _bar(self, event: m.BarClosed) -> None:
        self.intake.bar(event)
        self._out += self._missed.bar(event, self.names)
        if self.checks is not None and event.source != "history":
            k, low, high, close = event.symbol, event.low, event.high, event.close
            self.checks.closed(k, low, high, close, event.at_ns, event.volume)

    def _gap(self, event: m.Gapped) -> None:
        text = f"{event.reason}: the windows go on without the bars from {event.first_ns}"
        self._alert("warning", "gap", text, event.symbol)

    def _decision_time(self, event: m.DecisionTimeReached) -> None:
        if event.time_ns > self.market_ns:
            self.market_ns = event.time_ns
        if not event.present:  # the rules do not see a time at which no symbol delivered
            return
        engine, names, out = self.engine, self.names, self._out
        monitoring, drift_ns = self.monitoring, None
        port = None if monitoring is None else monitoring.port
        commands = engine.handle(self.intake.decision_time(event), port)
        if monitoring is not None:
            monitored, drift_ns = monitoring.commands(engine.equity)
            out += monitored
        if not event.decides:
            self._carry(commands)
            return
        for k in event.present:
            if (row := engine.decision(k)) is not None:
                trace = f"{names.symbols[k]}@{row.time_ns}"  # ties bar, decision, order, fills
                out.append(engine_messages.decided(row, names, trace))
        curve = engine.curve()
        out.append(engine_messages.ruled(curve))
        if port is not None:
            port.ruled(curve)
        self._valued()
        self._carry(commands)
        for k in event.present:
            self._test_close(k, event)
            self._protect(k)
        if drift_ns is not None:
            self._train(self.retraining.drift(drift_ns, event.time_ns))
        self._train(self.retraining.due(event.time_ns))

    def _quoted(self, event: m.Quoted) -> None:
        k, bid, ask = event.symbol, event.bid, event.ask
        middle = 0.5 * (bid + ask)
        if event.market_ns > self.market_ns:
            self.market_ns = event.market_ns
        if self.orders is not None and self.checks is not None:
            if not self.checks.quoted(k, bid, ask, event.at_ns):
                return
            self.orders.quoted(event)
        held = self.engine.held(k)
        self._mark(k, middle, *((bid, ask) if held > 0.0 else (ask, bid)), held)

    def _printed(self, event: m.Printed) -> None:
        k, price = event.symbol, event.price
        self.market_ns = max(self.market_ns, event.market_ns)
        if self.checks is not None:
            self.checks.printed(k, price, event.at_ns)
        self._mark(k, price, price, price, self.engine.held(k))

    def _mark(self, k: int, price: float, leave: float, enter: float, held: float) -> None:
        """Mark a symbol between bars. A stop that rests at a venue is triggered by the venue."""
        engine, orders = self.engine, self.orders  # the shadow replaces the engine: keep none
        if not isinstance(engine, VenueFillsEngine):
            return
        if held == 0.0 and engine.mark_flat(k, price, self.market_ns):
            return
        dust = is_dust(self._dust, self.checks, self.guards, k, held)
        if dust or (orders and held and orders.is_left_to_stop(k, leave, held, self._now_ns)):
            leave = math.nan
        lacks_stop = engine.adds_between and orders is not None and orders.lacks_stop(k)
        if (leave != leave and not dust) or self.guards.blocked(k) or lacks_stop:
            enter = math.nan  # this does not end an add, which waits
        commands = engine.mark(k, price, leave, self.market_ns, enter)
        self._valued()
        self._carry(commands)

    def _test_close(self, k: int, event: m.DecisionTimeReached) -> None:
        """Test the levels watched here on a close, where no quote is fresh, or bars disagree."""
        engine, held = self.engine, self.engine.held(k)
        if self.checks is None or not isinstance(engine, VenueFillsEngine):
            return
        close, quote = float(engine.state.B[k][layout.MARK]), self.checks.symbols[k].quote
        if not event.late and quote.compare(close, event.at_ns):
            self._alert("error", "contradicted_quotes", quote.contradiction(close), k)
        if held != 0.0 and not quote.is_fresh(event.at_ns):
            self._mark(k, close, close, math.nan, held)

    def _valued(self) -> None:
        self.guards.equity = equity = self.engine.equity
        if self.checks is not None:
            self.checks.equity = equity

    # ------------------------------------------------------------------ models

    def _model(self, event: m.ModelReady | m.ModelFailed) -> None:
        if self.models is not None:
            self.models.take(event)
        if self.monitoring is not None:
            self.monitoring.port.model(event)
        if isinstance(event, m.ModelFailed):
            self._alert("warning", "retrain", f"window {event.number} gave no model: {event.text}")
        self._train(self.retraining.arrived(event.number, self.market_ns))

    def _train(self, requests: Sequence[m.Train | m.Alerted]) -> None:
        for request in requests:
            self._out.append(request)
            if self.monitoring is not None and isinstance(request, m.Train):
                self.monitoring.port.asked(request)

    # ------------------------------------------------------------------ venues

    def _venue(self, event: m.Event) -> None:
        """Pass an event of a venue to the guards and the orders."""
        if isinstance(event, m.Filled):
            self.market_ns = max(self.market_ns, event.market_ns)
            prices = [each.price for each in self.checks.symbols] if self.checks else []
            event = fees.with_expected_fee(event, self.names, self.rules.fees, prices)
        if isinstance(event, m.Unreadable):
            self._alert("error", "unreadable", f"{event.about}: {event.text}", event.symbol)
        self._out += self.guards.handle(event)
        if self.orders is not None:
            self.orders.handle(event)

    def _filters(self, event: m.FiltersChanged) -> None:
        """Update the engine's filters: sizes, and what counts as flat."""
        before = before_filters(self.engine, self.checks, self.guards, event.symbol)
        self._venue(event)
        if isinstance(self.engine, VenueFillsEngine) and event.listed:
            self.engine.set_filters(event)
            self._change_ledger(ledger.take_up_dust, event.symbol)
        self._out += filters_alarm(
            self.engine, self.checks, self.orders, self.guards, event, before
        )
        self._out += as_before(self.checks, self.guards, event, before)

    def _holdings(self, event: m.Holdings) -> None:
        """Compare the books with the account's balances."""
        if self.orders is None or self.checks is None:
            return
        self.orders.handle(event)
        self._out += self.guards.read(event)
        if event.unread:
            return
        adopt, close = (
            partial(self._change_ledger, change) for change in (ledger.adopt, ledger.close_gone)
        )
        adopts = adopt if event.first and self.rules.adopts else None
        account = Account(self.names, self.guards, self.orders, self.checks)
        self._out += account.compare(event, self.engine, close, self._correct_fee, adopts)
        self._out += self.guards.expected_fees.ask(event.at_ns)

    def _change_ledger(self, book: ledger.Booking, *given: Any) -> None:
        """Book a change of the ledger that no order made, and protect what is held after it."""
        change = book(self.engine, *given, self.names, self._scales, self.market_ns)
        if change is None:
            return
        k, rows, commands = change
        self._out += rows
        self._valued()
        self._carry(commands)
        if self.orders is not None:
            self.orders.touch(k)
        self._protect(k)

    def _correct_fee(self, key: str, told: m.Filled | None = None) -> None:
        """Book the fee of a fill in place of the expected one; see `ledger.correct_fee`."""
        self._change_ledger(ledger.correct_fee, self.guards.expected_fees, key, told)

    def _apply(self, outcome: Outcome) -> None:
        """Apply an outcome of the order manager to the engine."""
        if (apply := self._outcomes.get(type(outcome))) is not None:
            apply(outcome)

    def _booked(self, outcome: Booked) -> None:
        """Book a fill: net units, and the fee in the quote currency."""
        engine = self.engine
        assert isinstance(engine, VenueFillsEngine)
        k, fill = outcome.symbol, outcome.fill
        units, net_units, fee = fees.booked(outcome.quantity, fill, self._scales[k], self.names)
        self._out += fees.unread(fill)
        order = self._stops.get(k, -1) if outcome.parent == -1 else outcome.parent
        at_ns = fill.market_ns or self.market_ns  # shown by the account only: booked at this time
        commands = engine.fill(k, order, units, fill.price, net_units, fee, fill.maker, at_ns)
        key = trade_key(fill, outcome.client_id)
        self.guards.expected_fees.add(key, fill, self.names.base[k], order, at_ns)
        if self.orders is not None and not fill.market_ns:
            self.orders.booked_at(outcome.client_id, fill.trade_id, at_ns)
        self._valued()
        self._carry(commands, fill)
        self._protect(k)

    def _ended(self, outcome: Ended) -> None:
        engine = self.engine
        assert isinstance(engine, VenueFillsEngine)
        k, status = outcome.symbol, engine_messages.STATUS_OF[outcome.state]
        self._carry(engine.end(k, outcome.parent, status, self.market_ns))
        if outcome.reason in UNSOLD:  # not requested again until it may be sent
            self._dust[k] = engine.held(k)

    def _triggered(self, outcome: Triggered) -> None:
        """Give a stop that fills at the venue the number of an order of the strategy."""
        k, engine = outcome.symbol, self.engine
        assert isinstance(engine, VenueFillsEngine)
        commands = engine.trigger(k, max(engine.protection(k)[1], 0), self.market_ns)
        for command in commands:
            if isinstance(command, core.NewOrder):
                self._stops[k] = command.order
        self._carry([command for command in commands if not isinstance(command, core.NewOrder)])

    def _stop_ended(self, outcome: StopEnded) -> None:
        """Send the unfilled rest of a triggered stop as a separate exit."""
        k, engine = outcome.symbol, self.engine
        assert isinstance(engine, VenueFillsEngine)
        order = self._stops.pop(k, -1)
        if order >= 0:
            self._carry(engine.end(k, order, layout.STATUS_CANCELLED, self.market_ns))
            self._carry(engine.go_on(k, self.market_ns))

    def _protect(self, k: int) -> None:
        """Request the stop at the venue at the engine's level, if stops rest there."""
        engine = self.engine
        if not self.rules.protects or self.orders is None:
            return
        assert isinstance(engine, VenueFillsEngine)
        held = engine.held(k)
        level = engine.protection(k)[0] if held else math.nan
        requested = (held, level) if level == level else (0.0, 0.0)
        self.orders.protect(k, *requested, trace=f"{self.names.symbols[k]}@{self.market_ns}")

    # ------------------------------------------------------------------ from the engine

    def _carry(self, commands: Sequence[core.Command], fill: m.Filled | None = None) -> None:
        """Execute the engine's commands, in order."""
        for command in commands:
            match command:
                case core.NewOrder():
                    self._place(command)
                case core.OrderEnded():
                    self._order_ended(command)
                case core.Traded():
                    self._traded(command, fill)
                case core.Funded():
                    self._out.append(engine_messages.funded(command))
                case core.Halted():
                    self._out += engine_messages.tripped(command, self.names)
                case core.Cleared():
                    self._out.append(engine_messages.cleared(command, self.names))

    def _place(self, order: core.NewOrder) -> None:
        scale = self._scales[order.symbol]
        trace = f"{self.names.symbols[order.symbol]}@{order.time_ns}"
        placed = engine_messages.placed(order, self.names, scale, trace)
        self._out.append(placed)
        self._traces[order.order] = trace
        if len(self._traces) > TRACES:
            del self._traces[next(iter(self._traces))]
        if self.orders is None:
            reason = placed.reason
            row = engine_messages.changed(order.order, order.symbol, "open", reason, trace)
            self._out.append(row)
            return
        parent = engine_messages.parent(order, placed, scale, self.rules, self._now_ns)
        self.orders.place(parent, self._now_ns)

    def _order_ended(self, each: core.OrderEnded) -> None:
        reason = self.names.reasons[each.reason]
        if self.orders is not None:
            self.orders.request_cancel(each.order, reason, self._now_ns)
            return
        trace = self._traces.get(each.order, "")
        self._out.append(engine_messages.ended(each, reason, trace))

    def _traded(self, each: core.Traded, fill: m.Filled | None) -> None:
        scale = self._scales[each.symbol]
        self._fills += fill is None
        trace, name = self._traces.get(each.order, ""), f"f{self._fills}"
        row = engine_messages.traded(each, self.names, scale, trace, fill=fill, name=name)
        self._out.append(row)

    def _trip_safe_mode(self, text: str) -> None:
        self._out += self.guards.trip(SAFE_MODE, self._now_ns, text=text)

    def _alert(self, level: Any, event: str, text: str, symbol: int = -1) -> None:
        self._out.append(m.Alerted(level=level, event=event, text=text, symbol=symbol))

    def may_send(self, client_id: str) -> bool:
        """Whether an order that was not sent yet may still be sent; changes nothing."""
        return self.orders is None or self.orders.may_send(client_id)

    # ------------------------------------------------------------------ continuing

    def snapshot(self) -> bytes:
        """Return all state needed to continue as if it had not stopped."""
        orders, checks, models = self.orders, self.checks, self.models
        state = CoreKept(
            engine=self.engine.snapshot(), guards=self.guards.snapshot(),
            orders=orders.snapshot() if orders is not None else b"",
            checks=checks.snapshot() if checks is not None else b"", intake=self.intake.snapshot(),
            models=models.snapshot() if models is not None else b"", session=self.session,
            monitoring=self.monitoring.snapshot() if self.monitoring is not None else b"",
            sent=self.latency.sent, market_ns=self.market_ns, flattens=self._flattens,
            windows=self.retraining.windows, fills=self._fills, stops=self._stops,
            traces=self._traces, dust=self._dust, missed=self._missed,
        )  # fmt: skip
        return msgspec.msgpack.encode(state)

    def restore(self, data: bytes) -> None:
        """Restore a snapshot of a core of the same strategy."""
        state = msgspec.msgpack.decode(data, type=CoreKept)
        self.engine.restore(state.engine)
        if self.orders is not None and self.checks is not None:
            self.orders.restore(state.orders)
            self.checks.restore(state.checks)
        self.guards.restore(state.guards)
        self.intake.restore(state.intake)
        if self.models is not None:
            self.models.restore(state.models)
        self.session, self.market_ns, self._fills = state.session, state.market_ns, state.fills
        self.retraining.restore(state.windows)
        self._flattens, self.latency.sent = state.flattens, state.sent
        if self.monitoring is not None:
            self.monitoring.restore(state.monitoring)
        self._stops, self._traces = state.stops, state.traces
        self._dust, self._missed = state.dust, state.missed
