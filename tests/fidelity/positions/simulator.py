"""The reference simulator: one loop over decision times, in the order of the rules.

At one T: the bar just ended, then delistings, levels, equity and halts, members, exits, takes,
and last entries, adds, rebalances. It is written from the rules alone, slow and plain.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.exact_fraction import Fraction
from tests.fidelity.positions import trading_hours
from tests.fidelity.positions.account import RoundTrip, Trade
from tests.fidelity.positions.bar_match import match_bars, tighten_stop
from tests.fidelity.positions.checks import fill_of, is_last
from tests.fidelity.positions.exact import exact
from tests.fidelity.positions.expression import is_true
from tests.fidelity.positions.grid import rest_grid
from tests.fidelity.positions.levels import read_level
from tests.fidelity.positions.market import Market
from tests.fidelity.positions.orders import Fill, Finding, Order
from tests.fidelity.positions.rebalance import act_if_due
from tests.fidelity.positions.schedule import instants, local_time
from tests.fidelity.positions.settings import Grid, Halt, Signal, Strategy, check
from tests.fidelity.positions.state import State
from tests.fidelity.positions.steps import (
    add_at_time,
    buy_regularly,
    cancel_outside,
    enter,
    refused_entry,
    take_at_time,
    turn,
)
from tests.fidelity.positions.targets import Targets
from tests.fidelity.positions.universe import book_out_delisted, update_members

__all__ = ["Result", "simulate"]


@dataclass(frozen=True)
class Result:
    """What a run leaves: targets, orders, fills, trades (open ones last), equity."""

    rebalances: list[Targets]
    orders: list[Order]
    fills: list[Fill]
    trades: list[Trade]
    open_trades: list[Trade]
    round_trips: list[RoundTrip]
    findings: list[Finding]
    curve: list[tuple[int, Fraction]]
    benchmark: list[tuple[int, Fraction]]
    capital: Fraction

    @property
    def win_rate(self) -> Fraction | None:
        """Return the share of closed trades that won, after fees."""
        wins = sum(trade.result > 0 for trade in self.trades)
        return Fraction(wins, len(self.trades)) if self.trades else None

    @property
    def round_trip_win_rate(self) -> Fraction | None:
        """Return the share of first-in first-out round trips that won, after fees."""
        wins = sum(each.result > 0 for each in self.round_trips)
        return Fraction(wins, len(self.round_trips)) if self.round_trips else None

    @property
    def losses_in_a_row(self) -> int:
        """Return how many closed trades at the end have lost."""
        count = 0
        for trade in reversed(self.trades):
            if trade.result >= 0:
                break
            count += 1
        return count


def simulate(s: Strategy, market: Market) -> Result:
    """Run a strategy over a market."""
    check(s)
    run = State(s, market)
    before: int | None = None
    first = s.start_ns if s.start_ns is not None else market.times()[0]
    for time_ns in market.times():
        run.now_ns = time_ns
        _step(run, before, decides=time_ns >= first)
        before = time_ns
    opened = run.account.open_trades(run.marks, run.now_ns)
    return Result(
        run.rebalances, run.orders, run.fills, run.account.trades, opened,
        run.account.round_trips, run.findings, run.curve, run.benchmark, exact(s.capital),
    )  # fmt: skip


def _step(run: State, before: int | None, *, decides: bool) -> None:
    here = [name for name in run.market.symbols if run.market.row(name, run.now_ns) is not None]
    match_bars(run, here)
    _count_blocks(run, here)
    for symbol in here:
        bar = run.market.bar(symbol, run.now_ns)
        assert bar is not None
        run.marks[symbol] = bar.close
    book_out_delisted(run)
    for symbol in here:
        trade = run.trade.get(symbol)
        if trade is not None:
            level = read_level(run.s.stops, trade.side, run.words(symbol))
            tighten_stop(run, symbol, level)
    run.equity = run.account.equity(run.marks)
    if not decides:
        return
    run.curve.append((run.now_ns, run.equity))
    _mark_benchmark(run)
    update_members(run, before)
    _halt(run)
    signals = {symbol: _signal(run, symbol) for symbol in here}
    _retry_exits(run)
    _rearm(run, signals)
    turning = _exits(run, signals)
    for symbol in here:
        if symbol not in turning:
            take_at_time(run, symbol)
    cancel_outside(run)
    _increases(run, before, signals, turning)
    run.signals_before = signals


def _mark_benchmark(run: State) -> None:
    """The benchmark is bought at the first decision, without costs."""
    name = run.s.benchmark
    if name is None or name not in run.marks:
        return
    first = run.market.last_close(name, run.curve[0][0])
    if first is not None:
        run.benchmark.append((run.now_ns, exact(run.s.capital) * run.marks[name] / first))


# ------------------------------------------------------------------------------ step 6: halts


def _halt(run: State) -> None:
    """Trip at >= on equity of this T; the peak counts since the start or the last clearing."""
    halt = run.s.halt
    if halt is None:
        return
    if halt.of == "daily_loss":
        _halt_of_the_day(run, halt)
        return
    resumes = halt.resume is not None and run.halted_ns is not None
    if resumes and run.now_ns - (run.halted_ns or 0) >= (halt.resume or 0) * run.market.bar_ns:
        run.halted_ns, run.peak = None, run.equity
    run.peak = max(run.peak, run.equity)
    if run.halted_ns is not None or run.peak - run.equity < exact(halt.above) * run.peak:
        return
    _trip(run, halt)


def _halt_of_the_day(run: State, halt: Halt) -> None:
    """Trip at >= on equity of the first T of the day in `time_zone`; clear on the next day."""
    day = local_time(run.now_ns, run.s.time_zone).date().toordinal()
    if day != run.day:
        run.day, run.day_base, run.halted_ns = day, run.equity, None
    if run.halted_ns is None and run.day_base - run.equity >= exact(halt.above) * run.day_base:
        _trip(run, halt)


def _trip(run: State, halt: Halt) -> None:
    run.halted_ns = run.now_ns
    run.report("", halt.of, "halt")
    for symbol in run.market.symbols:
        if halt.then == "flatten":
            run.close(symbol, halt.of)
            continue
        for order in run.increases(symbol):  # an entry that was sent goes on
            if order.tag[0] in ("add", "grid") and order.kind != "market":
                run.end(order, "cancelled", halt.of, run.now_ns)


# ------------------------------------------------------------------------------ step 7: exits


def _signal(run: State, symbol: str) -> float | None:
    """Return the wanted side, 0.0 for an exit, None for no signal.

    `exit_if` beats entries; long and short both true is none.
    """
    signal, portfolio = run.s.signal, run.s.portfolio
    exit_if = portfolio.exit_if if portfolio is not None else None
    if isinstance(signal, Signal):
        exit_if = exit_if or signal.exit_if
    words = run.words(symbol)
    if is_true(exit_if, words):
        return 0.0
    if not isinstance(signal, Signal):
        return None
    long, short = is_true(signal.long_if, words), is_true(signal.short_if, words)
    if long == short:
        return None
    return 1.0 if long else -1.0


def _retry_exits(run: State) -> None:
    """Send exits that wait, where they are worth enough by now: such an exit waits no longer."""
    for symbol in run.market.symbols:
        if symbol in run.exits_to_retry and run.market.row(symbol, run.now_ns) is not None:
            if run.all_is_sent(symbol):  # the volume of a bar has left a rest of a stop
                del run.exits_to_retry[symbol]
            else:
                run.close(symbol, run.exits_to_retry[symbol])


def _exits(run: State, signals: dict[str, float | None]) -> set[str]:
    """Exits act always: the close of the hours, `exit_if`, the opposite signal.

    Returns the symbols that an opposite signal turns around, where shorts are allowed: that is an
    entry. One that is refused whatever its size is an exit.
    """
    turning = set[str]()
    for symbol in run.market.symbols:
        held = run.held(symbol)
        if _hours_end(run, symbol):  # what is on its way into a position is cancelled as well
            before = run.increases(symbol)
            if not before or run.held(symbol).units or run.market.decides(symbol, run.now_ns):
                run.close(symbol, "flat_at_close")
        wanted = signals.get(symbol)
        if wanted is None:
            continue
        signal = run.s.signal
        if wanted == 0.0:
            run.close(symbol, "exit")
            continue
        opposite = isinstance(signal, Signal) and signal.opposite
        entering = {1 if o.units > 0 else -1 for o in run.increases(symbol)}
        if not opposite or not (held.side == -wanted or -wanted in entering):
            continue
        if wanted in entering and run.reversal(symbol) is not None:  # it turns already
            continue
        if run.s.account == "spot" or not held.side:
            run.close(symbol, "opposite")
            continue
        run.cancel_increases(symbol, "opposite", run.now_ns)
        if held.side == -wanted and run.leaving(symbol) < abs(held.units):
            turning.add(symbol)
    for symbol in sorted(turning):
        if refused := refused_entry(run, symbol, -run.held(symbol).side):
            run.report(symbol, refused, "entry")
            run.close(symbol, "opposite")
            turning.discard(symbol)
    return turning


def _hours_end(run: State, symbol: str) -> bool:
    """Return whether T is the last one whose fill lies inside, or lies outside already."""
    hours = run.s.hours
    if hours is None or not hours.flat_at_close:
        return False
    fill_ns = fill_of(run, run.now_ns, symbol)
    outside = trading_hours.session_at(hours, fill_ns) is None
    return outside or is_last(run, symbol, fill_ns)


# ------------------------------------------------------------------------------ step 8: increases


def _increases(
    run: State, before: int | None, signals: dict[str, float | None], turning: set[str]
) -> None:
    s, bar_ns = run.s, run.market.bar_ns
    since = run.now_ns - bar_ns if before is None else before
    if s.portfolio is not None:
        every = s.portfolio.rebalance.every
        run.is_due |= bool(instants(every, s.time_zone, since, run.now_ns, bar_ns))
        act_if_due(run)
        return
    rule = s.position.buy_every
    buys = rule is not None and bool(instants(rule.every, s.time_zone, since, run.now_ns, bar_ns))
    for symbol in run.market.symbols:
        wanted = signals.get(symbol)
        if wanted and symbol in turning:
            turn(run, symbol, int(wanted))
        elif wanted:
            _enter_or_hold(run, symbol, int(wanted))
        if s.position.add and symbol in signals and wanted != 0.0:
            add_at_time(run, symbol)
        if buys:
            buy_regularly(run, symbol)
        if isinstance(s.signal, Grid):
            rest_grid(run, symbol)


def _enter_or_hold(run: State, symbol: str, side: int) -> None:
    """Enter where nothing of the side is held or on its way; the same side again adds nothing.

    What is held and too small to be sold blocks no entry of a new signal, nor while its exit waits,
    and is not made up for then. An
    exit that the volume lets fill in parts goes on, and nothing is entered before it is done.
    """
    held = run.held(symbol)
    if run.is_exiting(symbol):
        return
    leaves = bool(held.units) and run.leaving(symbol) == abs(held.units)
    is_new = symbol in run.exits_to_retry or run.signals_before.get(symbol) != side
    too_small = is_new and run.begins_again(symbol, side)
    if (held.units and not leaves and not too_small) or run.increases(symbol):
        return
    if leaves and held.side == side:
        return
    enter(run, symbol, side)


# ------------------------------------------------------------------------------ re-entry


def _rearm(run: State, signals: dict[str, float | None]) -> None:
    """A blocked side is free again once the signal has differed at one decision."""
    if run.s.reentry != "rearm":
        return
    for symbol, side in list(run.blocked):
        if symbol in signals and signals[symbol] != side and _is_left(run, symbol, side):
            del run.blocked[symbol, side]


def _is_left(run: State, symbol: str, side: int) -> bool:
    """Return whether what has stopped a side has filled whole, or waits because it is too small."""
    return run.held(symbol).side != side or symbol in run.exits_to_retry


def _count_blocks(run: State, here: list[str]) -> None:
    """Count the decisions that `reentry: {after: N bars}` refuses, from the closing fill on.

    While an exit waits that is too small to be sent they are counted as well.
    """
    for (symbol, side), left in list(run.blocked.items()):
        if symbol not in here or left is None:
            continue
        if not _is_left(run, symbol, side):
            continue
        if left <= 1:
            del run.blocked[symbol, side]
        else:
            run.blocked[symbol, side] = left - 1
