"""What must be true at the end of a schedule, judged by the venue's record and the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from septet import messages as m
from septet._drill.sim.exchange import (
    BASES,
    CASH,
    FINAL,
    LOT,
    QUOTE,
    THIRD,
    TICK,
    TOGETHER,
    UNIT,
    Listing,
    Trade,
)
from septet._drill.sim.shell import SimShell
from septet._drill.sim.venue import SimVenue

__all__ = ["judge", "moved", "quiet_since"]

_RANK: Final = {
    "intent": 0, "submitted": 1, "unknown": 2, "open": 3, "partially_filled": 4,
    "filled": 5, "cancelled": 5, "expired": 5, "rejected": 5,
}  # fmt: skip
_ACTS: Final = (m.Submit, m.Amend, m.Cancel, m.CancelAll, m.Changed, m.Traded)
PRESUMED: Final = "account-"
"""How the id of a fill begins that the account alone has shown."""
_SLACK: Final = 1.06
"""How far equity may be passed at the wire: 5 % is allowed there, the price is one quote older."""
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
        *_invented(rows, venue),
        *_parents(rows, venue),
        *_shared(rows, venue),
        *_together(rows, venue),
        *_surest_first(rows),
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
            name = each.client_id or f"#{each.order}"  # rejected here, before it had an id
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
    presumed = [each for each in booked if each.trade_id.startswith(PRESUMED)]
    stood_for = {
        name: trade for name, trade in ours.items()
        if name not in counts and trade.order.client_id in {_presumed_of(each) for each in presumed}
    }  # fmt: skip
    wrong += _presumed(presumed, stood_for)
    known = {*counts, *stood_for}
    wrong += [f"trade {name} was lost" for name in ours if name not in known]
    wrong += [
        f"trade {each.trade_id} is not ours" for each in booked
        if each.trade_id not in ours and each not in presumed
    ]  # fmt: skip
    for each in booked:
        if each.trade_id in ours:
            wrong += _unlike(each, ours[each.trade_id])
    others = [each for each in market.trades if not each.order.ours]
    cash = sum(_cash(each) for each in market.trades) + market.begun_cash
    if cash != market.cash:
        wrong.append(f"the venue's own books differ: {cash} {market.cash} {QUOTE}")
    spent = sum(_spent(each) for each in booked if each not in presumed)
    spent -= sum(map(_cash, stood_for.values())) / CASH  # not at the price that was presumed
    outside = market.begun_cash + sum(_cash(each) for each in others)
    if abs(spent - (outside - market.cash) / CASH) > 1e-6:
        wrong.append(
            f"{spent} {QUOTE} were spent here and {(outside - market.cash) / CASH} at the venue"
        )
    return wrong + [each for of in market.listings for each in _position(of, booked, market.trades)]


def _presumed_of(each: m.Traded) -> str:
    """Return the order of a fill that the account alone has shown; its id ends with the time."""
    return each.trade_id.removeprefix(PRESUMED).rpartition("-")[0]


def _presumed(presumed: Sequence[m.Traded], stood_for: Mapping[str, Trade]) -> list[str]:
    """Return what is wrong with fills that the account alone has shown: their quantities count."""
    wrong = []
    for each in presumed:
        name = _presumed_of(each)
        reported = [one for one in stood_for.values() if one.order.client_id == name]
        quantity = sum(one.quantity for one in reported) / UNIT
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
        f"trade {name} was heard, is none, and nothing reports it"
        for name in sorted(received)
        if f"trade {name} is not booked" not in reported
    ]
    return wrong


def _position(of: Listing, booked: Sequence[m.Traded], trades: Sequence[Trade]) -> list[str]:
    """Return what is wrong with the position of one symbol."""
    wrong = list[str]()
    its = [each for each in trades if each.order.of is of]
    base = sum(map(_base, its)) + of.given
    if base != of.held:
        wrong.append(f"the venue's own books differ: {base} {of.held} {of.name}")
    here = [each for each in booked if each.symbol == of.k]
    position = sum(map(moved, here))
    theirs = sum(_base(each) for each in its if each.order.ours) / UNIT
    if abs(position - theirs) > 1e-9:
        wrong.append(f"the position is {position} {of.name} here and {theirs} at the venue")
    if here and abs(here[-1].position - position) > 1e-9:
        wrong.append(f"the last fill says {here[-1].position} {of.name}, the sum is {position}")
    return wrong


def moved(each: m.Traded) -> float:
    """Return how far a booked fill moved the position of its symbol."""
    kept = each.fee if each.fee_currency == BASES[each.symbol] else 0.0
    return (each.quantity if each.side == "buy" else -each.quantity) - kept


def _unlike(ours: m.Traded, theirs: Trade) -> list[str]:
    of = theirs.order.of
    same = ours.side == theirs.order.side and ours.fee_currency == theirs.currency
    same = same and ours.symbol == of.k
    scale = UNIT if theirs.currency == of.name else CASH
    if (
        same
        and abs(ours.quantity - theirs.quantity / UNIT) <= 1e-12
        and abs(ours.fee - theirs.fee / scale) <= 1e-9
        and ours.price == theirs.price / TICK
    ):
        return []
    return [f"trade {ours.trade_id} was booked as {ours!r}, was {theirs.reported('sim')!r}"]


def _base(trade: Trade) -> int:
    return trade.order.sign * trade.quantity - (
        trade.fee if trade.currency == trade.order.of.name else 0
    )


def _cash(trade: Trade) -> int:
    fee = trade.fee if trade.currency == QUOTE else 0
    return -trade.order.sign * trade.quantity * trade.price - fee


def _spent(each: m.Traded) -> float:
    """Return the cash that a booked fill moved out."""
    fee = each.fee if each.fee_currency == QUOTE else 0.0
    return (each.quantity if each.side == "buy" else -each.quantity) * each.price + fee


def _shared(rows: Rows, venue: SimVenue) -> list[str]:
    """An entry that leaves fits into the equity, with all that is held and open at its worst."""
    wrong, books = list[str](), _Books(venue)
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
                    if each.filled and each.state not in FINAL:
                        stopped |= {each.symbol}
        if not any(entering):
            continue
        stays = [max(0.0, had - max(0.0, off)) for had, off in zip(held, leaving, strict=True)]
        stays = [0.0 if k in stopped else each for k, each in enumerate(stays)]
        taken = _worth(prices, stays) + _worth(prices, entering)
        if taken > 1.01 * TOGETHER * equity:
            wrong.append(f"{taken} of {equity} equity was to be held together at {event.at_ns}")
    return wrong


class _Books:
    """What all symbols hold and could come to hold, by the journal alone."""

    def __init__(self, venue: SimVenue) -> None:
        listings = venue.market.listings
        self.prices, self._held = [0.0] * len(listings), [0.0] * len(listings)
        self._cash = venue.market.begun_cash / CASH
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
            case m.Changed() if each.state in FINAL:
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


def _surest_first(rows: Rows) -> list[str]:
    """Entries of one time go by confidence, and in the order of the universe where that ties."""
    wrong = list[str]()
    for _, commands in rows:
        entries = [
            (-each.confidence, each.symbol)
            for each in commands
            if isinstance(each, m.Placed) and each.side == "buy" and each.confidence is not None
        ]
        if entries != sorted(entries):
            wrong.append(f"entries were placed in another order than by confidence: {entries}")
    return wrong


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
    gaps = [each.held / UNIT for each in venue.market.listings]
    said = dict[str, bool]()
    for event, commands in rows:
        if isinstance(event, m.Operated) and event.action == "resume":
            return []
        for each in commands:
            if isinstance(each, m.Traded):
                gaps[each.symbol] -= moved(each)
            if isinstance(each, m.Tripped | m.Cleared) and each.rule.startswith(
                "position_mismatch"
            ):
                said[each.rule.partition(":")[2]] = isinstance(each, m.Tripped)
    if venue.market.working():
        return []
    return [
        f"the venue holds {gap} {of.name} more than is booked, and nothing says so"
        for of, gap in zip(venue.market.listings, gaps, strict=True)
        if abs(gap) > (of.lot + 0.5 * LOT) / UNIT and not said.get(of.symbol)
    ]
