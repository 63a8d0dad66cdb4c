"""What must be true at the end of a schedule, by the venue's record and the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from septet import messages as m
from septet._core.orders.recent_fills import LARGEST_FEE
from septet._drill.sim.gone_checks import GONE_REASON, gone_units, wrongly_gone
from septet._drill.sim.halt_checks import halts, left_open, stays_closed
from septet._drill.sim.market import (
    BASES,
    GROUP_SHARE,
    LOT,
    QUOTE,
    STATES,
    THIRD,
    Listing,
    Market,
)
from septet._drill.sim.older_copies import enters_beside_a_copy, unbooked_copies
from septet._drill.sim.renamed_checks import ended_unlisted, left_to_others, renamed_checks
from septet._drill.sim.shell import SimShell
from septet._drill.sim.step_checks import step_checks
from septet._drill.sim.venue import SimVenue
from septet._drill.venue.amounts import SCALE
from septet._drill.venue.orders import FINAL, Fill

__all__ = ["end_checks", "moved", "restart_changes"]

_RANK: Final = {
    "intent": 0, "submitted": 1, "unknown": 2, "open": 3, "partially_filled": 4,
    "filled": 5, "cancelled": 5, "expired": 5, "rejected": 5,
}  # fmt: skip
_FINAL: Final = frozenset(STATES[each] for each in FINAL if each in STATES) | {"rejected"}
_ORDER_MESSAGES: Final = (m.Submit, m.Amend, m.Cancel, m.CancelAll, m.Changed, m.Traded)
PRESUMED_PREFIX: Final = "account-"
"""How the id of a fill begins that the account alone has shown."""
_SLACK: Final = 1.06
"""How far equity may be passed at the wire: 5 % is allowed there, the price is one quote older."""
_PARTIAL_REASONS: Final = ("entry", "add", "take", "buy_every", "rebalance")
"""Reasons of orders that fill at most their quantity."""
Rows = Sequence[tuple[m.Event, Sequence[m.Command]]]


def end_checks(shell: SimShell, venue: SimVenue, *, killed: bool) -> list[str]:
    """Return everything that is wrong; nothing where the run was sound."""
    rows = shell.rows
    market = venue.market
    market.left_to_others = left_to_others(rows, venue) | unbooked_copies(rows, market)
    return [
        *shell.wrongs,
        *venue.wrongs,
        *_ids(rows, venue),
        *_states(rows, venue),
        *_fills(rows, venue),
        *_invented(rows, venue),
        *_parents(rows, venue),
        *step_checks(rows),
        *renamed_checks(rows, venue),
        *_shared(rows, venue),
        *_together(rows, venue),
        *_highest_confidence_first(rows),
        *halts(rows),
        *left_open(venue, killed=killed),
        *stays_closed(rows, venue),
        *_mismatch(rows, venue),
        *enters_beside_a_copy(rows, market),
    ]


def restart_changes(rows: Rows, first: int) -> list[str]:
    """Return what a restart has changed though nothing had happened."""
    return [
        f"the second restart did {each!r}"
        for _, commands in rows[first:]
        for each in commands
        if isinstance(each, _ORDER_MESSAGES) and not isinstance(each, m.CancelAll)
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
        *(
            f"{name} was accepted without a durable intent"
            for name in accepted.keys() - made - venue.market.copied_ids
        ),
    ]


def _states(rows: Rows, venue: SimVenue) -> list[str]:
    """States only move on, and at the end both sides agree on every order."""
    wrong, last = list[str](), dict[str, m.Changed]()
    for _, commands in rows:
        for each in commands:
            if not isinstance(each, m.Changed):
                continue
            name = each.client_id or f"#{each.order}"  # rejected here, before it had an id
            before = last.get(name)
            if before is not None and (
                _RANK[each.state] < _RANK[before.state]
                or (before.state in _FINAL and each.state != before.state)
                or each.filled < before.filled - 1e-12
            ):
                wrong.append(
                    f"{name} went back from {before.state} {before.filled} "
                    f"to {each.state} {each.filled}"
                )
            last[name] = each
    market = venue.market
    placed = [
        each for each in market.engine.orders.values()
        if each.asked.by == "client" and each.order_id not in market.left_to_others
        and each.asked.own_id not in market.copied_ids
    ]  # fmt: skip
    for order in placed:
        name, state = order.asked.own_id, STATES[order.status]
        ours = last.get(name)
        if ours is None:
            wrong.append(f"{name} is {state} at the venue and unknown here")
        elif ended_unlisted(order) and ours.state == "rejected" and not ours.filled:
            pass  # found under its own id nowhere: never placed is all that anybody can tell
        elif (ours.state in _FINAL or state in _FINAL) and ours.state != state:
            wrong.append(f"{name} is {state} at the venue, {ours.state} here")
        elif abs(ours.filled - order.executed / SCALE) > 1e-9:
            wrong.append(
                f"{name} has filled {order.executed / SCALE} at the venue, {ours.filled} here"
            )
    there = {each.asked.own_id for each in placed}
    wrong += [
        f"{name} is {each.state} here and was never at the venue"
        for name, each in last.items()
        if name and name not in there and each.state not in _FINAL
    ]
    return wrong


def _parents(rows: Rows, venue: SimVenue) -> list[str]:
    """What was filled and what is open of an order is never more than the strategy asked for.

    What closes a whole position is for whatever is held by then.
    """
    wanted, parents = dict[int, float](), dict[str, int]()
    for _, commands in rows:
        for each in commands:
            if isinstance(each, m.Placed) and each.reason in _PARTIAL_REASONS:
                wanted[each.order] = each.quantity
            if isinstance(each, m.Submit):
                parents[each.client_id] = each.parent
                if each.trace.startswith("entry of "):
                    wanted[each.parent] = float(each.trace.removeprefix("entry of "))
            elif isinstance(each, m.Amend):
                parents[each.new_client_id] = each.parent
    had = Counter[int]()
    for order in venue.market.engine.orders.values():
        most = order.executed if order.status in FINAL else order.quantity
        if order.order_id not in venue.market.left_to_others:
            had[parents.get(order.asked.own_id, -1)] += most
    return [
        f"order {parent} is for {quantity} and has {had[parent] / SCALE}"
        for parent, quantity in wanted.items()
        if had[parent] / SCALE > quantity + 1e-9
    ]


def _taken_up(rows: Rows) -> set[str]:
    """Return the trades that sell and buy a remainder, so that it is a position with a finer lot.

    Both are in one entry of the change of filters, and of one quantity.
    """
    found = set[str]()
    for event, commands in rows:
        if isinstance(event, m.FiltersChanged):
            trades = [each for each in commands if isinstance(each, m.Traded)]
            if [each.side for each in trades] == ["sell", "buy"] and (
                trades[0].quantity == trades[1].quantity
            ):
                found |= {each.trade_id for each in trades}
    return found


def _fills(rows: Rows, venue: SimVenue) -> list[str]:
    """Every execution of ours is booked once, and the balances follow from them."""
    market = venue.market
    all_booked = [each for _, commands in rows for each in commands if isinstance(each, m.Traded)]
    taken_up = _taken_up(rows)
    # no execution is behind what is booked as gone, or taken up from a remainder
    booked = [
        each for each in all_booked
        if each.reason != GONE_REASON and each.trade_id not in taken_up
    ]  # fmt: skip
    counts = Counter(each.trade_id for each in booked)
    ours = {str(each.trade_id): each for each in market.fills if market.is_ours(each)}
    wrong = [
        f"trade {name} was booked {count} times" for name, count in counts.items() if count > 1
    ]
    presumed = [each for each in booked if each.trade_id.startswith(PRESUMED_PREFIX)]
    stood_for = {
        name: trade for name, trade in ours.items()
        if name not in counts and market.client_id(trade) in set(map(_presumed_of, presumed))
    }  # fmt: skip
    wrong += _presumed(presumed, stood_for, market)
    wrong += _corrected(rows, ours)
    known = {*counts, *stood_for}
    wrong += [f"trade {name} was lost" for name in ours if name not in known]
    wrong += [
        f"trade {each.trade_id} is not ours" for each in booked
        if each.trade_id not in ours and each not in presumed
    ]  # fmt: skip
    for each in booked:
        if each.trade_id in ours:
            wrong += _unlike(each, ours[each.trade_id], market)
    cash = market.balance(QUOTE)
    if sum(map(_cash, market.fills)) + market.begun_cash != cash:
        wrong.append(f"the venue's own books differ: {cash / SCALE} {QUOTE}")
    spent = sum(_spent(each) for each in booked if each not in presumed)
    spent -= sum(map(_cash, stood_for.values())) / SCALE  # not at the price that was presumed
    moved_out = -sum(map(_cash, ours.values())) / SCALE
    if abs(spent - moved_out) > 1e-6:
        wrong.append(f"{spent} {QUOTE} were spent here and {moved_out} at the venue")
    wrong += wrongly_gone(all_booked, market)
    return wrong + [each for of in market.listings for each in _position(of, all_booked, market)]


def _corrected(rows: Rows, ours: Mapping[str, Fill]) -> list[str]:
    """Return what is wrong with corrections: each is of an execution of ours, once."""
    made = [each for _, commands in rows for each in commands if isinstance(each, m.Corrected)]
    counts = Counter(each.trade_id for each in made)
    wrong = [f"trade {name} was corrected {n} times" for name, n in counts.items() if n > 1]
    for each in made:
        fill, units = ours.get(each.trade_id), round(each.quantity * SCALE)
        if fill is None or (fill.price, fill.quantity) != (round(each.price * SCALE), units):
            wrong.append(f"trade {each.trade_id} was corrected to {each.quantity} at {each.price}")
    return wrong


def _presumed_of(each: m.Traded) -> str:
    """Return the order of a fill that the account alone has shown; its id ends with the time."""
    return each.trade_id.removeprefix(PRESUMED_PREFIX).rpartition("-")[0]


def _presumed(
    presumed: Sequence[m.Traded], stood_for: Mapping[str, Fill], market: Market
) -> list[str]:  # fmt: skip
    """Return what is wrong with fills that the account alone has shown: their quantities count."""
    wrong = []
    for each in presumed:
        name = _presumed_of(each)
        reported = [one for one in stood_for.values() if market.client_id(one) == name]
        quantity = sum(one.quantity for one in reported) / SCALE
        if abs(quantity - each.quantity) > 1e-9:
            wrong.append(f"{name}: {each.quantity} is presumed, and {quantity} was lost")
    return wrong


def _invented(rows: Rows, venue: SimVenue) -> list[str]:
    """An execution that was none is reported, and entries of its symbol are blocked then."""
    received, reported, held = set[str](), "", set[str]()
    wrong = list[str]()
    for event, commands in rows:
        if isinstance(event, m.Filled) and event.trade_id in venue.market.invented:
            received.add(event.trade_id)
        for each in commands:
            if isinstance(each, m.Tripped):
                held.add(each.rule)
            elif isinstance(each, m.Cleared):
                held.discard(each.rule)
            elif isinstance(each, m.Alerted) and each.event == "disputed_fill":
                reported += each.text + "\n"
                rule = f"disputed_fill:{venue.market.listings[each.symbol].symbol}"
                if " is not booked: " in each.text and rule not in held:
                    wrong.append(f"{each.text}, and {rule} does not hold")
    wrong += [
        f"trade {name} was received, is none, and nothing reports it"
        for name in sorted(received)
        if f"trade {name} is not booked" not in reported
    ]
    return wrong


def _position(of: Listing, booked: Sequence[m.Traded], market: Market) -> list[str]:
    """Return what is wrong with the position of one symbol."""
    wrong = list[str]()
    its, held = market.engine.fills[of.id], market.balance(of.name)
    if sum(_base(each, of) for each in its) + of.given != held:
        wrong.append(f"the venue's own books differ: {held / SCALE} {of.name}")
    here = [each for each in booked if each.symbol == of.k]
    position, spare, gone = sum(map(moved, here)), 0, gone_units(booked, of.k)
    shown = [each.quantity for each in here if each.trade_id.startswith(PRESUMED_PREFIX)]
    if shown:
        # the account alone has shown a fill: what it shows of fees is ours and others' together,
        # and an execution or a withdrawal of others that is no larger than a fee could be one
        others = [each for each in its if not market.is_ours(each)]
        spare = sum(each.fee for each in others if each.fee_asset == of.name)
        most = LARGEST_FEE * max(shown) * SCALE
        spare += sum(each.quantity for each in others if each.quantity <= most)
        spare += sum(units for units in of.withdrawn if units <= most)
    theirs = sum(_base(each, of) for each in its if market.is_ours(each)) / SCALE
    if abs(position + gone - theirs) > 1e-9 + spare / SCALE:
        wrong.append(f"the position is {position} {of.name} here and {theirs} at the venue")
    if here and abs(here[-1].position - position) > 1e-9:
        wrong.append(f"the last fill reports {here[-1].position} {of.name}, the sum is {position}")
    return wrong


def moved(each: m.Traded) -> float:
    """Return how far a booked fill moved the position of its symbol."""
    kept = each.fee if each.fee_currency == BASES[each.symbol] else 0.0
    return (each.quantity if each.side == "buy" else -each.quantity) - kept


def _unlike(ours: m.Traded, theirs: Fill, market: Market) -> list[str]:
    reported = market.filled(theirs)
    same = ours.side == reported.side and ours.fee_currency == reported.fee_currency
    same = same and ours.symbol == reported.symbol and ours.price == reported.price
    if (
        same
        and abs(ours.quantity - reported.quantity) <= 1e-12
        and abs(ours.fee - reported.fee) <= 1e-9
    ):
        return []
    return [f"trade {ours.trade_id} was booked as {ours!r}, was {reported!r}"]


def _base(fill: Fill, of: Listing) -> int:
    fee = fill.fee if fill.fee_asset == of.name else 0
    return (fill.quantity if fill.buys else -fill.quantity) - fee


def _cash(fill: Fill) -> int:
    fee = fill.fee if fill.fee_asset == QUOTE else 0
    return (-fill.quote if fill.buys else fill.quote) - fee


def _spent(each: m.Traded) -> float:
    """Return the cash that a booked fill moved out."""
    fee = each.fee if each.fee_currency == QUOTE else 0.0
    return (each.quantity if each.side == "buy" else -each.quantity) * each.price + fee


def _shared(rows: Rows, venue: SimVenue) -> list[str]:
    """An entry that leaves fits into the equity, with all that is held and open at its worst."""
    wrong, books = list[str](), _AccountFold(venue)
    for event, commands in rows:
        if isinstance(event, m.Quoted):
            books.prices[event.symbol] = 0.5 * (event.bid + event.ask)
        for each in commands:
            books.take(each)
            if isinstance(each, m.Submit) and not each.reduces and all(books.prices):
                worst, equity = books.worst(), books.equity()
                if worst > _SLACK * equity:
                    wrong.append(f"{each.client_id} left with {worst} open of {equity} equity")
    return wrong


def _together(rows: Rows, venue: SimVenue) -> list[str]:
    """A strategy of symbols that move together decides on no more than they may take together.

    What works to leave counts as gone, and so does what a stop has begun to sell: entries wait for
    both. A symbol whose bar is late is valued at a price between bars.
    """
    count, stopped = len(venue.market.listings), set[int]()
    if count == 1:
        return []
    wrong, prices, held, leaving = list[str](), [0.0] * count, [0.0] * count, [0.0] * count
    for event, commands in rows:
        if isinstance(event, m.BarClosed):
            prices[event.symbol] = event.close
        entering, equity = [0.0] * count, 0.0
        for each in commands:
            match each:
                case m.Ruled():
                    equity = each.equity
                case m.Placed(side="buy", confidence=float()):
                    entering[each.symbol] += each.quantity
                case m.Placed(side="sell"):
                    leaving[each.symbol] = each.quantity
                case m.Traded():
                    held[each.symbol] = each.position
                    if each.side == "sell":
                        leaving[each.symbol] -= each.quantity
                case m.Changed(order=-1):
                    stopped -= {each.symbol}
                    if each.filled and each.state not in _FINAL:
                        stopped |= {each.symbol}
        if not any(entering):
            continue
        stays = [max(0.0, had - max(0.0, off)) for had, off in zip(held, leaving, strict=True)]
        stays = [0.0 if k in stopped else each for k, each in enumerate(stays)]
        taken = _worth(prices, stays) + _worth(prices, entering)
        if taken > 1.01 * GROUP_SHARE * equity:
            wrong.append(f"{taken} of {equity} equity was to be held together at {event.at_ns}")
    return wrong


class _AccountFold:
    """What all symbols hold and could come to hold, by the journal alone."""

    def __init__(self, venue: SimVenue) -> None:
        listings = venue.market.listings
        self.prices, self._held = [0.0] * len(listings), [0.0] * len(listings)
        self._cash = venue.market.begun_cash / SCALE
        self._symbols = dict[int, int]()
        self._traded = dict[int, float]()
        self._open = dict[int, dict[str, float]]()

    def take(self, each: m.Command) -> None:
        """Take in a command."""
        match each:
            case m.Submit(reduces=False):
                self._symbols[each.parent] = each.symbol
                self._sent(each.parent, each.client_id, each.quantity)
            case m.Amend() if each.parent in self._symbols:
                self._sent(each.parent, each.new_client_id, each.quantity)
            case m.Changed() if each.state in _FINAL:
                self._open.get(each.order, {}).pop(each.client_id, None)
            case m.Traded():
                third = each.fee if each.fee_currency == THIRD else 0.0
                self._cash -= _spent(each) + third
                self._held[each.symbol] = each.position
                self._traded[each.order] = self._traded.get(each.order, 0.0) + each.quantity

    def _sent(self, parent: int, client_id: str, quantity: float) -> None:
        self._open.setdefault(parent, {})[client_id] = self._traded.get(parent, 0.0) + quantity

    def worst(self) -> float:
        """Return what everything is worth if all entries fill."""
        had = list(self._held)
        for parent, targets in self._open.items():
            most = max(targets.values(), default=0.0) - self._traded.get(parent, 0.0)
            had[self._symbols[parent]] += max(0.0, most)
        return _worth(self.prices, had)

    def equity(self) -> float:
        """Return cash and what is held."""
        return self._cash + _worth(self.prices, self._held)


def _worth(prices: Sequence[float], held: Sequence[float]) -> float:
    return sum(price * each for price, each in zip(prices, held, strict=True))


def _highest_confidence_first(rows: Rows) -> list[str]:
    """Entries of one time go by confidence, and in the order of the universe where that ties."""
    wrong = list[str]()
    for _, commands in rows:
        entries = [
            (-each.confidence, each.symbol)
            for each in commands
            if isinstance(each, m.Placed) and each.reason == "entry" and each.confidence is not None
        ]
        if entries != sorted(entries):
            wrong.append(f"entries were placed in another order than by confidence: {entries}")
    return wrong


def _mismatch(rows: Rows, venue: SimVenue) -> list[str]:
    """A position that is not the venue's blocks entries, unless a person has confirmed it."""
    market = venue.market
    gaps = [market.balance(each.name) / SCALE for each in market.listings]
    tripped = dict[str, bool]()
    for event, commands in rows:
        if isinstance(event, m.Operated) and event.action == "resume":
            return []
        for each in commands:
            if isinstance(each, m.Traded):
                gaps[each.symbol] -= moved(each)
            if isinstance(each, m.Tripped | m.Cleared) and each.rule.startswith(
                "position_mismatch"
            ):
                tripped[each.rule.partition(":")[2]] = isinstance(each, m.Tripped)
    if market.working():
        return []
    return [
        f"the venue holds {gap} {of.name} more than is booked, and nothing reports it"
        for of, gap in zip(market.listings, gaps, strict=True)
        if abs(gap) > (market.engine.rules[of.id].lot + 0.5 * LOT) / SCALE
        and not tripped.get(of.symbol)
    ]
