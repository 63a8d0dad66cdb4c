"""What must be true at the end of a schedule, judged by the venue's record and the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from septet import messages as m
from septet._drill.sim.market import BASE, CASH, FINAL, LOT, QUOTE, TICK, UNIT, Trade
from septet._drill.sim.shell import SimShell
from septet._drill.sim.venue import SimVenue

__all__ = ["judge", "moved", "quiet_since"]

_RANK: Final = {
    "intent": 0, "submitted": 1, "unknown": 2, "open": 3, "partially_filled": 4,
    "filled": 5, "cancelled": 5, "expired": 5, "rejected": 5,
}  # fmt: skip
_ACTS: Final = (m.Submit, m.Amend, m.Cancel, m.CancelAll, m.Changed, m.Traded)
Rows = Sequence[tuple[m.Event, Sequence[m.Command]]]


def judge(shell: SimShell, venue: SimVenue, *, killed: bool) -> list[str]:
    """Return everything that is wrong; nothing where the run was sound."""
    rows = shell.rows
    return [
        *shell.wrongs,
        *venue.wrongs,
        *_ids(rows, venue),
        *_states(rows, venue),
        *_fills(rows, venue),
        *_parents(rows, venue),
        *_halts(rows),
        *_open(venue, killed=killed),
        *_stays_closed(rows, venue),
        *_mismatch(rows, venue),
    ]


def quiet_since(rows: Rows, first: int) -> list[str]:
    """Return what a restart has changed though nothing had happened."""
    return [
        f"the second restart did {each!r}"
        for _, commands in rows[first:]
        for each in commands
        if isinstance(each, _ACTS) and not isinstance(each, m.CancelAll)
    ]


def _ids(rows: Rows, venue: SimVenue) -> list[str]:
    """Every id is made once, posted at most once and accepted at most once."""
    made = Counter(
        each.client_id if isinstance(each, m.Submit) else each.new_client_id
        for _, commands in rows
        for each in commands
        if isinstance(each, m.Submit | m.Amend)
    )
    accepted = venue.market.accepted
    return [
        *(f"{name} was made {count} times" for name, count in made.items() if count > 1),
        *(f"{name} was accepted {count} times" for name, count in accepted.items() if count > 1),
        *(f"{name} was accepted without a durable intent" for name in accepted.keys() - made),
    ]


def _states(rows: Rows, venue: SimVenue) -> list[str]:
    """States only move on, and at the end both sides say the same of every order."""
    wrong, last = list[str](), dict[str, m.Changed]()
    for _, commands in rows:
        for each in commands:
            if not isinstance(each, m.Changed):
                continue
            name = each.client_id or f"#{each.order}"  # refused here, before it had an id
            before = last.get(name)
            if before is not None and (
                _RANK[each.state] < _RANK[before.state]
                or (before.state in FINAL and each.state != before.state)
                or each.filled < before.filled - 1e-12
            ):
                wrong.append(
                    f"{name} went back from {before.state} {before.filled} "
                    f"to {each.state} {each.filled}"
                )
            last[name] = each
    for order in venue.market.orders.values():
        ours = last.get(order.client_id)
        if not order.ours:
            continue
        if ours is None:
            wrong.append(f"{order.client_id} is {order.state} at the venue and unknown here")
        elif (ours.state in FINAL) == order.working or (
            not order.working and ours.state != order.state
        ):
            wrong.append(f"{order.client_id} is {order.state} at the venue, {ours.state} here")
        elif abs(ours.filled - order.filled / UNIT) > 1e-9:
            wrong.append(
                f"{order.client_id} has filled {order.filled / UNIT} at the venue, "
                f"{ours.filled} here"
            )
    there = {order.client_id for order in venue.market.orders.values() if order.ours}
    wrong += [
        f"{name} is {each.state} here and was never at the venue"
        for name, each in last.items()
        if name and name not in there and each.state not in FINAL
    ]
    return wrong


def _parents(rows: Rows, venue: SimVenue) -> list[str]:
    """What was filled and what is open of an entry is never more than the strategy wanted."""
    wanted, parents = dict[int, float](), dict[str, int]()
    for _, commands in rows:
        for each in commands:
            if isinstance(each, m.Submit):
                parents[each.client_id] = each.parent
                if each.trace.startswith("entry of "):
                    wanted[each.parent] = float(each.trace.removeprefix("entry of "))
            elif isinstance(each, m.Amend):
                parents[each.new_client_id] = each.parent
    had = Counter[int]()
    for order in venue.market.orders.values():
        had[parents.get(order.client_id, -1)] += order.quantity if order.working else order.filled
    return [
        f"order {parent} wanted {quantity} and has {had[parent] / UNIT}"
        for parent, quantity in wanted.items()
        if had[parent] / UNIT > quantity + 1e-9
    ]


def _fills(rows: Rows, venue: SimVenue) -> list[str]:
    """Every execution of ours is booked once, and the balances follow from them."""
    market = venue.market
    booked = [each for _, commands in rows for each in commands if isinstance(each, m.Traded)]
    counts = Counter(each.trade_id for each in booked)
    ours = {each.trade_id: each for each in market.trades if each.order.ours}
    wrong = [
        f"trade {name} was booked {count} times" for name, count in counts.items() if count > 1
    ]
    wrong += [f"trade {name} was lost" for name in ours if name not in counts]
    wrong += [f"trade {name} is not ours" for name in counts if name not in ours]
    for each in booked:
        if each.trade_id in ours:
            wrong += _unlike(each, ours[each.trade_id])
    others = [each for each in market.trades if not each.order.ours]
    base = sum(_base(each) for each in market.trades) + market.given_base
    cash = sum(_cash(each) for each in market.trades) + market.given_cash + market.begun_cash
    if (base, cash) != (market.base, market.cash):
        wrong.append(f"the venue's own books differ: {base} {market.base} {cash} {market.cash}")
    position = sum(map(moved, booked))
    theirs = (market.base - market.given_base - sum(_base(each) for each in others)) / UNIT
    if abs(position - theirs) > 1e-9:
        wrong.append(f"the position is {position} {BASE} here and {theirs} at the venue")
    spent = sum(map(_spent, booked))
    outside = market.given_cash + market.begun_cash + sum(_cash(each) for each in others)
    if abs(spent - (outside - market.cash) / CASH) > 1e-6:
        wrong.append(
            f"{spent} {QUOTE} were spent here and {(outside - market.cash) / CASH} at the venue"
        )
    if booked and abs(booked[-1].position - position) > 1e-9:
        wrong.append(f"the last fill says position {booked[-1].position}, the sum is {position}")
    return wrong


def moved(each: m.Traded) -> float:
    """Return how far a booked fill moved the position."""
    kept = each.fee if each.fee_currency == BASE else 0.0
    return (each.quantity if each.side == "buy" else -each.quantity) - kept


def _unlike(ours: m.Traded, theirs: Trade) -> list[str]:
    same = ours.side == theirs.order.side and ours.fee_currency == theirs.currency
    scale = UNIT if theirs.currency == BASE else CASH
    if (
        same
        and abs(ours.quantity - theirs.quantity / UNIT) <= 1e-12
        and abs(ours.fee - theirs.fee / scale) <= 1e-9
        and ours.price == theirs.price / TICK
    ):
        return []
    return [f"trade {ours.trade_id} was booked as {ours!r}, was {theirs.told('sim')!r}"]


def _base(trade: Trade) -> int:
    return trade.order.sign * trade.quantity - (trade.fee if trade.currency == BASE else 0)


def _cash(trade: Trade) -> int:
    fee = trade.fee if trade.currency == QUOTE else 0
    return -trade.order.sign * trade.quantity * trade.price - fee


def _spent(each: m.Traded) -> float:
    """Return the cash that a booked fill moved out."""
    fee = each.fee if each.fee_currency == QUOTE else 0.0
    return (each.quantity if each.side == "buy" else -each.quantity) * each.price + fee


def _halts(rows: Rows) -> list[str]:
    """While a person has halted the run nothing is sent that could make a position larger."""
    wrong, halted = list[str](), False
    reduces = dict[int, bool]()
    for event, commands in rows:
        if isinstance(event, m.Operated) and event.action in ("halt", "flatten", "resume"):
            halted = event.action != "resume"
        for each in commands:
            if isinstance(each, m.Submit):
                reduces[each.parent] = each.reduces
                if halted and not each.reduces:
                    wrong.append(f"{each.client_id} was sent while the run was halted")
            if isinstance(each, m.Amend) and halted and not reduces.get(each.parent, False):
                wrong.append(f"{each.new_client_id} was sent while the run was halted")
    return wrong


def _open(venue: SimVenue, *, killed: bool) -> list[str]:
    """After the kill switch nothing of ours is open."""
    if not killed:
        return []
    return [
        f"{order.client_id} is open after the kill switch"
        for order in venue.market.working()
        if order.kind in ("market", "limit", "stop", "stop_limit")
    ]


def _stays_closed(rows: Rows, venue: SimVenue) -> list[str]:
    """From the moment the kill switch says it is done, no entry is open until the run resumes."""
    entries = {
        each.client_id
        for _, commands in rows
        for each in commands
        if isinstance(each, m.Submit) and not each.reduces
    }
    wrong, done_ns = list[str](), 0
    ends = [(event.at_ns, event, commands) for event, commands in rows]
    for at_ns, event, commands in [*ends, (rows[-1][0].at_ns + 1, None, ())]:
        if done_ns and (event is None or isinstance(event, m.Operated)):
            wrong += [
                f"{order.client_id} was open after the kill switch had said it was done"
                for order in venue.market.orders.values()
                if order.client_id in entries and order.was_open(done_ns, at_ns)
            ]
            done_ns = 0
        if any(isinstance(each, m.Alerted) and each.event == "kill_done" for each in commands):
            done_ns = at_ns
    return wrong


def _mismatch(rows: Rows, venue: SimVenue) -> list[str]:
    """A position that is not the venue's blocks entries, unless a person has said it is so."""
    booked = [each for _, commands in rows for each in commands if isinstance(each, m.Traded)]
    gap = venue.market.base / UNIT - sum(map(moved, booked))
    if venue.market.working() or abs(gap) <= 1.5 * LOT / UNIT:
        return []
    active = False
    for event, commands in rows:
        if isinstance(event, m.Operated) and event.action == "resume":
            return []
        for each in commands:
            if isinstance(each, m.Fired | m.Lifted) and each.rule.startswith("position_mismatch"):
                active = isinstance(each, m.Fired)
    return [] if active else [f"the venue holds {gap} more than is booked, and nothing says so"]
