"""What an increase must pass when it is sent, and how far the limits let it go."""

from __future__ import annotations

from collections.abc import Sequence

from tests.exact_fraction import Fraction
from tests.fidelity.positions import trading_hours
from tests.fidelity.positions.exact import ZERO, exact, floor_lots
from tests.fidelity.positions.orders import Kind, Order
from tests.fidelity.positions.state import State

__all__ = [
    "allowed", "capped", "exposure", "fill_of", "hours_block", "is_held_or_entered", "is_last",
]  # fmt: skip


def hours_block(run: State, time_ns: int, symbol: str = "") -> str:
    """Return why nothing may be increased at T, or nothing: the hours, or their last fill.

    Without a symbol as for one that trades round the clock.
    """
    latency = run.s.costs.latency_ns
    if not trading_hours.is_open(run.s.hours, run.market.traded_from(symbol, time_ns + latency)):
        return "closed_hours"
    return "flat_at_close" if is_last(run, symbol, fill_of(run, time_ns, symbol)) else ""


def fill_of(run: State, time_ns: int, symbol: str) -> int:
    """Return the open at which what is decided at T fills; T of another symbol is any instant."""
    latency, market = run.s.costs.latency_ns, run.market
    if symbol in market.calendars or market.calendars:
        return market.next_open(symbol, time_ns + latency)
    return time_ns + -(-latency // market.bar_ns) * market.bar_ns


def is_last(run: State, symbol: str, fill_ns: int) -> bool:
    """Return whether a fill is the last one of a symbol inside the hours."""
    next_ns = run.market.next_open(symbol, fill_ns + 1) if run.market.calendars else None
    step = run.market.bar_ns if next_ns is None else next_ns - fill_ns
    return trading_hours.is_last_fill(run.s.hours, fill_ns, step)


def _worth(run: State, order: Order) -> Fraction:
    price = order.price if order.price is not None else run.marks[order.symbol]
    turns = order is run.reversal(order.symbol)
    return abs(order.units + (run.held(order.symbol).units if turns else 0)) * price


def exposure(run: State, symbol: str) -> Fraction:
    """Return |notional| of a symbol: held less what market orders take away, and working ones."""
    held = abs(run.held(symbol).units) - run.leaving(symbol)
    worth = held * run.marks[symbol] if held else ZERO
    return worth + sum((_worth(run, each) for each in run.increases(symbol)), ZERO)


def is_held_or_entered(run: State, symbol: str) -> bool:
    """Return whether a symbol is held (and not on its way out) or being entered."""
    return abs(run.held(symbol).units) > run.leaving(symbol) or bool(run.increases(symbol))


def _cash(run: State, *, at_hand: bool) -> Fraction:
    """Return cash less what working increases cost, and with the proceeds of reductions."""
    costs, cash = run.s.costs, run.account.cash
    for symbol in run.market.symbols:
        for order in run.increases(symbol):
            price = order.price if order.price is not None else run.marks[symbol]
            cash -= abs(order.units) * run.unit_cost(order.kind, price)
        if not at_hand and run.leaving(symbol):
            kept = (1 - exact(costs.slippage)) * (1 - exact(costs.taker))
            cash += run.leaving(symbol) * run.marks[symbol] * kept
    return cash


def _working_cost(run: State) -> Fraction:
    """Return what slippage and fees of working orders will take from equity."""
    total = ZERO
    for symbol in run.market.symbols:
        for order in run.working(symbol):
            price = order.price if order.price is not None else run.marks[symbol]
            if order.kind == "market" or not order.reduces:
                total += abs(order.units) * (run.unit_cost(order.kind, price) - price)
    for symbol in run.turning:  # what a reversal that is judged now will close
        price = run.marks[symbol]
        total += abs(run.held(symbol).units) * (run.unit_cost("market", price) - price)
    return total


def capped(
    run: State, symbol: str, units: Fraction, price: Fraction, kind: Kind = "market", *,
    at_hand: bool = False,
) -> tuple[Fraction, str]:  # fmt: skip
    """Return how many whole lots the limits let through, and the tightest one that made it less.

    Limits are shares of equity after the order, working orders included; ties go to the earlier.
    """
    limits, cost = run.s.limits, run.unit_cost(kind, price)
    extra, equity = cost - price, run.equity - _working_cost(run)

    def room(share: float | Fraction, taken: Fraction) -> Fraction:
        bound = exact(share)
        return (bound * equity - taken) / (price + bound * extra)

    names: Sequence[str] = run.market.symbols
    gross = sum((exposure(run, each) for each in names), ZERO)
    rooms = [("position", room(limits.position, exposure(run, symbol)))]
    for symbols, most in limits.groups.values():
        if symbol in symbols:
            taken = sum((exposure(run, each) for each in symbols), ZERO)
            rooms.append(("groups", room(most, taken)))
    rooms.append(("gross_exposure", room(limits.gross, gross)))
    if run.s.account == "spot":
        rooms.append(("cash", _cash(run, at_hand=at_hand) / cost))
    else:
        rooms.append(("margin", room(run.s.leverage, gross)))
    granted, by = floor_lots(units, run.lot(symbol)), ""
    for name, most_units in rooms:
        whole = floor_lots(max(ZERO, most_units), run.lot(symbol))
        if whole < granted:
            granted, by = whole, name
    return granted, by


def allowed(run: State, symbol: str, *, is_add: bool = False, at_open: bool = False) -> str:
    """Return the rule that refuses an increase whatever its size, or nothing.

    Adds skip `min_interval` and re-entry, which their callers look at; the rest is for all. What
    rests from an open on is judged as the newest decision before that bar has ended was, everything
    else at T.
    """
    if run.halted_ns is not None:
        return "halted"
    if symbol in run.gone:
        return "delisted"
    if at_open:
        before = max(each for each in run.market.times() if each < run.now_ns)
        blocked = hours_block(run, before, symbol)
    else:
        late = (symbol, run.now_ns) in run.market.late
        blocked = "late" if late else hours_block(run, run.now_ns, symbol)
    if blocked:
        return blocked
    if symbol not in run.members:
        return "not_member"
    most = run.s.limits.max_positions
    if most is not None and not is_add and not is_held_or_entered(run, symbol):
        count = sum(is_held_or_entered(run, each) for each in run.market.symbols)
        if count >= most:
            return "max_positions"
    return ""
