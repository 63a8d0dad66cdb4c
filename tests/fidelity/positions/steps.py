"""One position in steps at T: plans read at the entry's T, entries, adds, takes, regular buys."""

from __future__ import annotations

from tests.exact_fraction import Fraction
from tests.fidelity.positions import levels
from tests.fidelity.positions.checks import allowed, capped, hours_block
from tests.fidelity.positions.exact import ZERO, ceil_lots, exact, floor_lots, on_tick
from tests.fidelity.positions.expression import is_true
from tests.fidelity.positions.orders import Kind
from tests.fidelity.positions.settings import Signal, Sizing
from tests.fidelity.positions.state import State

__all__ = [
    "add_at_time", "buy_regularly", "cancel_outside", "enter", "place_ladders", "plan_entry",
    "read_plan", "refused_entry", "take_at_time", "take_units", "turn",
]  # fmt: skip


def plan_entry(run: State, symbol: str, side: int) -> str:
    """Read the distances at the entry's T; return what is unknown or not above zero, or nothing.

    A level that the close has passed would close the position as soon as it is open.
    """
    refused = read_plan(run, symbol, side)
    level = run.plans[symbol].level
    passed = level is not None and side * (run.marks[symbol] - level) <= 0
    return refused or ("stop_unknown" if passed else "")


def read_plan(run: State, symbol: str, side: int) -> str:
    """Read the distances at the entry's T; return what is unknown, or nothing."""
    position, stops = run.s.position, run.s.stops
    row = run.market.row(symbol, run.now_ns)
    assert row is not None
    plan = levels.plan_of(
        stops, tuple(add.at for add in position.add), tuple(take.at for take in position.take),
        side, run.words(symbol), row,
    )  # fmt: skip
    run.plans[symbol] = run.sided[symbol, side] = plan
    lost = stops.stop_loss is not None and plan.stop_loss is None
    lost |= stops.level_of(side) is not None and plan.level is None
    return "stop_unknown" if lost or (stops.trailing and plan.trailing is None) else ""


def _wanted(run: State, symbol: str, side: int, sizing: Sizing) -> Fraction:
    """Return the units that the sizing rule asks for; 0 where it has no answer.

    `fixed_risk`: risk * equity / distance from the close to the first stop.
    """
    close, amount = run.marks[symbol], exact(sizing.amount)
    if sizing.use == "fixed_quantity":
        return amount
    if sizing.use == "fixed_fraction":
        return amount * run.equity / run.unit_cost("market", close)
    stops = levels.stop_at(run.plans[symbol], side, close, close, None)
    distances = [side * (close - price) for price, _ in stops]
    first = min(distances, default=ZERO)
    return amount * run.equity / first if first > 0 else ZERO


def refused_entry(run: State, symbol: str, side: int) -> str:
    """Return the rule that refuses an entry whatever its size, or nothing."""
    signal, row = run.s.signal, run.market.row(symbol, run.now_ns)
    assert isinstance(signal, Signal)
    assert row is not None
    refused = allowed(run, symbol)
    before = run.entered_row.get(symbol)
    if not refused and (symbol, side) in run.blocked:
        refused = "reentry_blocked"
    if not refused and before is not None and row - before < signal.min_interval:
        refused = "min_interval"
    if not refused and side < 0 and run.s.account == "spot":
        refused = "short_as_flat"
    return refused


def enter(run: State, symbol: str, side: int) -> bool:
    """Check an entry in the order of the checks and send it; return whether it was sent."""
    sizing = run.s.sizing
    assert sizing is not None
    refused = refused_entry(run, symbol, side) or plan_entry(run, symbol, side)
    if refused:
        run.report(symbol, refused, "entry")
        return False
    wanted = _wanted(run, symbol, side, sizing)
    return _send_increase(run, symbol, side, wanted, "entry", ("entry", 0, 0))


def turn(run: State, symbol: str, side: int) -> None:
    """Turn a position around by one order; where none may be sent it is closed.

    The limits see the part of the other side, and what the whole costs.
    """
    run.turning.add(symbol)
    sent = enter(run, symbol, side)
    run.turning.discard(symbol)
    if not sent:
        run.close(symbol, "opposite")


def _send_increase(
    run: State, symbol: str, side: int, wanted: Fraction, reason: str, tag: tuple[str, int, int],
    *, at_hand: bool = False,
) -> bool:  # fmt: skip
    """Cap, floor to the lot, compare with the minimum notional, send at market."""
    close = run.marks[symbol]
    if not wanted > 0:
        run.report(symbol, "size", reason)
        return False
    units, by = capped(run, symbol, wanted, close, at_hand=at_hand)
    if by:
        run.report(symbol, f"capped_by {by}", reason)
    if not run.may_send(symbol, units, close):
        run.report(symbol, run.too_small(symbol, units) if units else by or "lot", reason)
        return False
    run.exits_to_retry.pop(symbol, None)
    if symbol in run.turning:
        for order in run.working(symbol):  # resting adds, and a take that has not filled
            run.end(order, "cancelled", "opposite", run.now_ns)
        units += abs(run.held(symbol).units)
    order = run.send(symbol, side * units, reason, reduces=False, tag=tag)
    order.begins_again = tag[0] != "add" and run.begins_again(symbol, side)
    row = run.market.row(symbol, run.now_ns)
    if row is not None and tag[0] == "entry":
        run.entered_row[symbol] = row
    return True


# ------------------------------------------------------------------------------ adds


def add_at_time(run: State, symbol: str) -> None:
    """Send adds whose condition is true at T.

    Sizes are shares of the filled first order; each at most `times` a trade, `min_interval` bars
    after the entry or its own last one. They wait while an earlier order at market enters or adds;
    nothing is added while an exit waits.
    """
    trade, row = run.trade.get(symbol), run.market.row(symbol, run.now_ns)
    if trade is None or row is None or run.leaving(symbol) == abs(run.held(symbol).units):
        return
    if symbol in run.exits_to_retry:
        return
    if any(o.kind == "market" and o.time_ns < run.now_ns for o in run.increases(symbol)):
        return
    for index, add in enumerate(run.s.position.add):
        since = row - trade.sent_row.get(index, trade.plan.row)
        if add.when is None or trade.sent.get(index, 0) >= add.times or since < add.min_interval:
            continue
        if not is_true(add.when, run.words(symbol)):
            continue
        refused = allowed(run, symbol, is_add=True)
        if refused:
            run.report(symbol, refused, "add")
            continue
        wanted = floor_lots(exact(add.size) * trade.first_units, run.lot(symbol))
        if _send_increase(run, symbol, trade.side, wanted, "add", ("add", index, 0)):
            trade.sent[index] = trade.sent.get(index, 0) + 1
            trade.sent_row[index] = row


def place_ladders(run: State, symbol: str, time_ns: int) -> None:
    """Place resting adds when the first order has ended, nearest first.

    Against the position they are limits, with it stops. They count as working orders; what does
    not fit whole is not placed, and not tried again.
    """
    trade, held = run.trade[symbol], run.held(symbol)
    if not any(add.at for add in run.s.position.add):
        return
    trade.has_ladder = True
    refused = allowed(run, symbol, is_add=True, at_open=True)
    found: list[tuple[Fraction, int, int, Kind, Fraction]] = []
    for index in range(len(run.s.position.add)):
        for place, distance in enumerate(trade.plan.adds[index]):
            level = levels.offset(held.first_price, trade.side, distance, trade.r)
            if level is None or level == held.first_price:
                continue
            against = trade.side * (level - held.first_price) < 0
            kind: Kind = "limit" if against else "stop"
            level = on_tick(level, run.tick(symbol), -trade.side if against else trade.side)
            found.append((abs(level - held.first_price), index, place, kind, level))
    for _, index, place, kind, level in sorted(found, key=lambda each: each[:3]):
        size = exact(run.s.position.add[index].size)
        wanted = floor_lots(size * trade.first_units, run.lot(symbol))
        granted, by = capped(run, symbol, wanted, level, kind)
        why = refused or by
        if not why and not run.may_send(symbol, granted, level):
            why = run.too_small(symbol, granted) if granted else "min_notional"
        if why:
            run.report(symbol, why, "resting_add")
            continue
        run.send(symbol, trade.side * granted, "add", reduces=False, kind=kind, price=level,
                 tag=("add", index, place), active_ns=time_ns)  # fmt: skip


def cancel_outside(run: State) -> None:
    """Resting increases are cancelled outside the hours."""
    for symbol in run.market.symbols:
        if not run.market.decides(symbol, run.now_ns):  # of a bar that is open nothing is known
            continue
        why = hours_block(run, run.now_ns, symbol)
        for order in run.increases(symbol):
            if why and order.kind != "market":
                run.end(order, "cancelled", why, run.now_ns)


# ------------------------------------------------------------------------------ takes


def take_units(run: State, symbol: str, index: int, price: Fraction) -> Fraction:
    """Mark a take as done and return the units it sells.

    Of all units entered so far at most entered * (1 - sum of the shares so far), rounded up to
    the lot, stays; none where that is below the minimum notional. A later take thus makes up for
    one that was too small.
    """
    trade, held = run.trade[symbol], run.held(symbol)
    trade.share_taken += exact(run.s.position.take[index].size)
    trade.takes_done.add(index)
    rest = held.taken_from * max(ZERO, 1 - trade.share_taken)
    stays = ceil_lots(rest, run.lot(symbol))
    if not run.may_send(symbol, stays, price):
        stays = ZERO
    resting = sum(trade.takes_left.values(), ZERO)
    units = abs(held.units) - run.leaving(symbol) - resting - stays
    if units <= 0 or not run.may_send(symbol, units, price):
        run.report(symbol, "too_small", "take")
        return ZERO
    return units


def take_at_time(run: State, symbol: str) -> None:
    """Send takes whose condition is true at T, each once a trade; one that works is waited for."""
    trade = run.trade.get(symbol)
    if trade is None or run.market.row(symbol, run.now_ns) is None or symbol in run.exits_to_retry:
        return
    if run.taking(symbol):
        return
    for index, take in enumerate(run.s.position.take):
        if index in trade.takes_done or run.leaving(symbol) == abs(run.held(symbol).units):
            continue
        if is_true(take.when, run.words(symbol)):
            units = take_units(run, symbol, index, run.marks[symbol])
            if units:
                run.send(symbol, -trade.side * units, "take", reduces=True,
                         tag=("take", index, 0))  # fmt: skip


# ------------------------------------------------------------------------------ buy_every


def buy_regularly(run: State, symbol: str) -> None:
    """Buy for an amount, fees included, from cash at hand; a blocked buy is dropped, reported.

    It is decided when it is due, and no re-entry block holds it up.
    """
    rule = run.s.position.buy_every
    assert rule is not None
    held = run.held(symbol)
    refused = "no_bar" if run.market.row(symbol, run.now_ns) is None else allowed(run, symbol)
    if not refused and held.side < 0:
        refused = "short_held"
    if not refused and held.units and run.leaving(symbol) == abs(held.units):
        refused = "exit"
    if not refused and run.increases(symbol):
        refused = "buy_every"
    begins = not held.side and not run.increases(symbol)
    if not refused and (begins or run.begins_again(symbol, 1)):
        refused = plan_entry(run, symbol, 1)
    if refused:
        run.report(symbol, refused, "buy_every")
        return
    wanted = exact(rule.amount) / run.unit_cost("market", run.marks[symbol])
    _send_increase(run, symbol, 1, wanted, "buy_every", ("buy", 0, 0), at_hand=True)
