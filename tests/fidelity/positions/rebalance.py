"""Steps 6 to 8 of a rebalance, which ask the account; and whether one may act at a T."""

from __future__ import annotations

from dataclasses import dataclass

from tests.exact_fraction import Fraction
from tests.fidelity.positions.checks import allowed, capped, hours_block
from tests.fidelity.positions.exact import ZERO, exact, floor_lots, sign
from tests.fidelity.positions.settings import Portfolio
from tests.fidelity.positions.state import State
from tests.fidelity.positions.steps import plan_entry
from tests.fidelity.positions.targets import Previous, Targets, targets_at

__all__ = ["act_if_due", "why_not_whole"]

_NONE = Fraction(1, 10**12)
"""A weight below this is the rounding of a sum, and none."""


@dataclass(frozen=True)
class Increase:
    """An increase that a rebalance asks for, before it is judged."""

    gap: Fraction
    number: int
    symbol: str
    side: int


def why_not_whole(run: State) -> str:
    """Return why a rebalance cannot act whole at T: halt, hours, a late row, too few members.

    A symbol joins at its first bar (SEMANTICS, Stocks): before it is no member that is missing. One
    whose bars have ended is none, either.
    """
    portfolio = run.s.portfolio
    assert portfolio is not None
    if run.halted_ns is not None:
        return "halted"
    blocked = hours_block(run, run.now_ns)
    if blocked:
        return blocked
    members = [
        symbol for symbol in run.market.symbols
        if symbol in run.members and run.market.is_member(symbol, run.now_ns)
    ]  # fmt: skip
    if any((symbol, run.now_ns) in run.market.late for symbol in members):
        return "late"
    present = sum(run.market.row(symbol, run.now_ns) is not None for symbol in members)
    least = exact(portfolio.rebalance.quorum) * len(members)
    return "quorum" if present < least else ""


def act_if_due(run: State) -> None:
    """Rebalance at the first T at or after the due instant at which it can act whole."""
    if not run.is_due:
        return
    why = why_not_whole(run)
    if why:
        run.report("", why, "rebalance")
        return
    run.is_due = False
    targets = targets_at(run.s, run.market, run.members, run.previous, run.now_ns)
    if targets.scaled:
        run.report("", "scaled_to_gross", "rebalance")
    weights = {name: w for name, w in targets.weights.items() if abs(exact(w)) > _NONE}
    run.previous = Previous(weights, targets.closes, targets.betas)
    run.rebalances.append(targets)
    _trade(run, targets)


def _trade(run: State, targets: Targets) -> None:
    """Steps 6 to 8: reductions in universe order, then increases from the largest gap."""
    portfolio = run.s.portfolio
    assert portfolio is not None
    increases = []
    for number, symbol in enumerate(run.market.symbols):
        for order in run.increases(symbol):  # of an earlier rebalance, still on its way
            run.end(order, "cancelled", "rebalance", run.now_ns)
        if symbol in targets.fixed or symbol in run.gone:
            continue
        weight = _weight(run, symbol, targets)
        if weight and run.market.row(symbol, run.now_ns) is None:
            run.report(symbol, "no_bar", "rebalance")  # its gap is not known; a closing needs none
            continue
        held = run.held(symbol)
        leaves = held.units and run.leaving(symbol) == abs(held.units)
        if leaves and not (sign(weight) == -held.side and _leaves_by_rebalance(run, symbol)):
            continue  # an exit of this T beats the rebalance
        if weight and run.exits_to_retry.get(symbol) in ("rebalance", "reversal"):
            del run.exits_to_retry[symbol]
        gap = _reduce(run, portfolio, symbol, weight)
        if gap:
            increases.append(Increase(abs(gap), number, symbol, sign(gap)))
    for each in sorted(increases, key=lambda i: (-i.gap, i.number)):
        _increase(run, each)


def _leaves_by_rebalance(run: State, symbol: str) -> bool:
    """Return whether what closes a position was sent by an earlier rebalance."""
    exits = [o for o in run.working(symbol) if o.reduces and o.tag[0] != "take"]
    return bool(exits) and all(o.reason in ("rebalance", "reversal") for o in exits)


def _weight(run: State, symbol: str, targets: Targets) -> Fraction:
    """Return a target weight; takes lower that of the side that is held, until it is flat."""
    weight = exact(targets.weights.get(symbol, 0.0))
    trade = run.trade.get(symbol)
    if trade is not None and trade.share_taken and sign(weight) == trade.side:
        weight *= 1 - min(Fraction(1), trade.share_taken)
    return weight if abs(weight) > _NONE else ZERO


def _reduce(run: State, portfolio: Portfolio, symbol: str, weight: Fraction) -> Fraction:
    """Send what reduces a symbol; return the gap (in money) of what increases it, or 0.

    A difference below `drift` is not traded; openings, closings and changes of side always are.
    """
    held, equity = run.held(symbol), run.equity
    if not weight and not held.units:
        return ZERO
    if not weight:
        run.close(symbol, "rebalance")
        if symbol in run.exits_to_retry:
            run.report(symbol, "too_small", "rebalance")
        return ZERO
    close = run.marks[symbol]
    stays = held.units - held.side * run.taking(symbol)  # a take of this T goes before
    share = stays * close / equity
    if not held.units:
        return weight * equity
    if sign(weight) != held.side:
        run.close(symbol, "rebalance")
        return weight * equity
    drift, distance = exact(portfolio.rebalance.drift), weight - share
    if abs(distance) < drift:
        return ZERO
    if portfolio.rebalance.to == "edge":
        weight -= sign(distance) * drift
    gap = weight * equity - stays * close
    if abs(gap) <= _NONE * equity:
        gap = ZERO
    if gap * held.side >= 0:
        _replace(run, symbol)
        return gap
    units = floor_lots(abs(gap) / close, run.lot(symbol))
    if not run.may_send(symbol, units, close):
        run.report(symbol, "too_small", "rebalance")
        return ZERO
    active_ns = _replace(run, symbol)
    run.send(symbol, -held.side * units, "rebalance", reduces=True, active_ns=active_ns)
    return ZERO


def _replace(run: State, symbol: str) -> int | None:
    """End a reduction that still works: what is sent now makes up the whole difference.

    It goes on from when the earlier one would have filled: a later rebalance delays no reduction.
    """
    since = None
    for order in run.working(symbol):
        if order.reduces and order.kind == "market" and order.tag[0] != "take":
            run.end(order, "cancelled", "rebalance", run.now_ns)
            since = min(order.active_ns, run.now_ns + run.s.costs.latency_ns)
    return since


def _increase(run: State, each: Increase) -> None:
    """Judge one increase: floor gap/(close * (1 + slippage) * (1 + fee)), capped by the limits.

    Of the other side, it closes what is held with the same order if that is too small to be sent.
    """
    symbol, held = each.symbol, run.held(each.symbol)
    refused = allowed(run, symbol)
    if not refused and run.blocked.get((symbol, each.side)) is not None:
        refused = "reentry_blocked"
    if not refused and each.side < 0 and run.s.account == "spot":
        refused = "short_as_flat"
    begins_again = run.begins_again(symbol, each.side)
    if not refused and (held.side != each.side or begins_again):
        refused = plan_entry(run, symbol, each.side)
    if refused:
        run.report(symbol, refused, "rebalance")
        return
    close = run.marks[symbol]
    wanted = floor_lots(each.gap / run.unit_cost("market", close), run.lot(symbol))
    turns = held.side == -each.side and not run.leaving(symbol)
    if turns:
        run.turning.add(symbol)
    units, by = capped(run, symbol, wanted, close)
    run.turning.discard(symbol)
    if by:
        run.report(symbol, f"capped_by {by}", "rebalance")
    if not run.may_send(symbol, units, close):
        run.report(symbol, by if by and not units else "too_small", "rebalance")
        return
    run.exits_to_retry.pop(symbol, None)  # what waited for too little is not made up for
    if turns:
        units += abs(held.units)
    tag = ("entry" if turns else "rebalance", 0, 0)
    order = run.send(symbol, each.side * units, "rebalance", reduces=False, tag=tag)
    order.begins_again = begins_again
