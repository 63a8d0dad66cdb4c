"""Compares the venue's journal with the run's, row by row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from septet import messages as m
from septet._drill.ownership import is_asked, is_ours
from septet._drill.trading_records import FINAL_STATES, FINAL_STATUSES, RunRecord, VenueRecord
from septet._drill.venue.venue_journal import FillMade

__all__ = ["KINDS", "Finding", "check_bars", "check_trading", "check_all", "unreported"]

KINDS = {
    "duplicate": "two orders of one intent, or a client id that was used again",
    "stray": "an order of ours at the venue that no journal entry asked for",
    "lost_fill": "an execution that was not booked",
    "invented_fill": "a booked execution that the venue does not know, or one booked twice",
    "wrong_fill": "an execution booked with another side, quantity, price or fee",
    "position": "a position that is not the sum of the executions",
    "balance": "a balance that executions do not explain",
    "open_order": "an order that is open on one side only, or in an unknown state",
    "late_order": "an order that left after its deadline or after a halt",
    "backwards": "a state or a time that went backwards",
    "banned": "a request although an answer had reported a ban",
    "unnoticed": "a fault that must keep entries back or stand in the log, and did not",
    "unprotected": "a position without a stop or an exit at the venue",
    "operator": "what a person asked for that was not done",
    "bar": "a bar that is wrong, or missing and not declared",
}
"""Every kind of finding, and what it means."""
_AFTER_NS = 250_000_000
"""How much later than it left a request may have been read by the venue."""
_BANNED_NS = 1_000_000_000
"""The shortest ban that an answer reports: it is given in whole seconds."""
_ROUNDING = Decimal("1e-7")
_TRANSIENT_KINDS = frozenset({"unprotected", "open_order"})
"""Kinds that end, and can come again with the same text."""
_LASTING_KINDS = frozenset({"position", "balance"})
"""Kinds that stay once they are there, with other figures after each trade."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A violation; `subject` is an order, a trade, an asset or a symbol."""

    kind: str
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.subject}: {self.text}"


def unreported(found: Iterable[Finding], reported: Iterable[Finding]) -> list[Finding]:
    """Return the findings that are not the lasting effect of one that was reported before.

    An execution that was booked wrongly stays so: the faults after it are not checked against it.
    """
    before = set(reported)
    subjects = {(each.kind, each.subject) for each in before if each.kind in _LASTING_KINDS}
    return [
        each for each in found
        if each.kind in _TRANSIENT_KINDS
        or (each not in before and (each.kind, each.subject) not in subjects)
    ]  # fmt: skip


def check_all(venue: VenueRecord, ours: RunRecord) -> list[Finding]:
    """Compare both records; an empty list means that they agree.

    While orders are on their way the records differ for a moment: what is true for good is what
    stays. Paper fills inside this process, so only bars are compared there.
    """
    trading = check_trading(venue, ours) if ours.mode == "live" else []
    return sorted({*trading, *check_bars(venue, ours)})


def check_trading(
    venue: VenueRecord, ours: RunRecord, unprotected_ns: int = 1 << 62
) -> list[Finding]:
    """Compare orders, executions, positions and balances.

    A position counts as unprotected if it has been so since before the wall time
    `unprotected_ns`: while the market moves its stop may be on its way.
    """
    found = [Finding("backwards", ours.run_id, text) for text in ours.backwards]
    found += _bans(venue)
    found += _orders(venue, ours)
    found += _intents(venue, ours)
    found += _fills(venue, ours)
    found += _positions(ours)
    found += _balances(venue, ours)
    found += [
        Finding("unprotected", symbol, "is held without a stop or an exit at the venue")
        for symbol in venue.cover.unprotected(unprotected_ns)
    ]
    return sorted(set(found))


def check_bars(venue: VenueRecord, ours: RunRecord) -> list[Finding]:
    """Compare the bars that the run processed with those that were replayed."""
    return sorted(_bars(venue, ours))


def _bans(venue: VenueRecord) -> Iterator[Finding]:
    """Check that no request followed an answer that reported a ban, while it lasted."""
    first_ns = 0
    for at_ns in venue.bans:
        if at_ns - first_ns >= _BANNED_NS:
            first_ns = at_ns
        elif at_ns - first_ns > _AFTER_NS:
            after = (at_ns - first_ns) / 1e6
            yield Finding(
                "banned", str(first_ns), f"asked again {after:.0f} ms after it was reported"
            )


# ---------------------------------------------------------------- orders


def _orders(venue: VenueRecord, ours: RunRecord) -> Iterator[Finding]:
    """Check the run's orders at the venue: one per intent, journalled, open on both sides."""
    seen: dict[str, int] = {}
    for order in venue.orders.values():
        name = order.own_id
        if order.owner == "other" or not name.startswith(ours.tag):
            continue
        if name in seen:
            yield Finding("duplicate", name, f"orders {seen[name]} and {order.order_id} have it")
        seen[name] = order.order_id
        if name not in ours.sent:
            yield Finding("stray", name, f"order {order.order_id} was not asked for")
            continue
        state = ours.states.get(name, ("intent", 0.0))[0]
        ended = order.status in FINAL_STATUSES
        if is_ours(order, venue, ours) and ended != (state in FINAL_STATES):
            yield Finding("open_order", name, f"{order.status} at the venue, {state} with us")
    for name, (state, _) in ours.states.items():
        if name in seen or state in FINAL_STATES or is_asked(name, venue, ours):
            continue
        yield Finding("open_order", name, f"not at the venue, {state} with us")


def _intents(venue: VenueRecord, ours: RunRecord) -> Iterator[Finding]:
    """Check the requests: one per client id, in time, and no entry during a halt."""
    for name, times in venue.posts.items():
        sent = ours.sent.get(name)
        if len(times) > 1 and name.startswith(ours.tag):
            yield Finding("duplicate", name, f"was sent {len(times)} times")
        if sent is None:
            continue
        if sent.deadline_ns and times[0] > sent.deadline_ns + _AFTER_NS:
            late = (times[0] - sent.deadline_ns) / 1e6
            yield Finding("late_order", name, f"came {late:.0f} ms after its deadline")
        for begin, end in ours.halts:
            if not sent.reduces and begin + _AFTER_NS < times[0] < (end or times[0] + 1):
                yield Finding("late_order", name, "came while the run was halted")
    filled: dict[int, Decimal] = {}
    first: dict[int, Decimal] = {}
    for fill in venue.fills.values():
        sent = ours.sent.get(fill.own_id) if is_ours(fill, venue, ours) else None
        if sent is not None and sent.parent >= 0 and not sent.reduces:
            filled[sent.parent] = filled.get(sent.parent, Decimal(0)) + Decimal(fill.quantity)
    for sent in ours.sent.values():
        first.setdefault(sent.parent, Decimal(repr(sent.quantity)))
    for parent, quantity in filled.items():
        if quantity > first[parent] + _ROUNDING:
            text = f"{quantity} was executed of {first[parent]}"
            yield Finding("duplicate", f"order {parent}", text)


# ---------------------------------------------------------------- fills


def _fills(venue: VenueRecord, ours: RunRecord) -> Iterator[Finding]:
    for key, fill in venue.fills.items():
        if not is_ours(fill, venue, ours):
            continue
        booked, name = ours.booked.get(key, []), f"trade {key[1]} of {fill.own_id}"
        if not booked:
            yield Finding("lost_fill", name, f"{fill.side} {fill.quantity} at {fill.price}")
        elif wrong := _differs(fill, booked[0]):
            yield Finding("wrong_fill", name, wrong)
    for key, booked in ours.booked.items():
        if len(booked) > 1:
            yield Finding("invented_fill", f"trade {key[1]}", f"booked {len(booked)} times")
        known = venue.fills.get(key)
        if known is None or not is_ours(known, venue, ours):
            yield Finding("invented_fill", f"trade {key[1]}", f"{key[0]} has no such execution")


def _differs(fill: FillMade, row: m.Traded) -> str:
    """Return the first field in which a booked execution differs from the venue's.

    In place of a fee that could not be read stands the expected one, which is not the venue's.
    """
    if fill.side.lower() != row.side:
        return f"side {fill.side} at the venue, {row.side} with us"
    if not row.fee_expected and Decimal(fill.fee) and fill.fee_asset != row.fee_currency:
        return f"fee in {fill.fee_asset} at the venue, in {row.fee_currency} with us"
    for name in ("quantity", "price", *(() if row.fee_expected else ("fee",))):
        theirs, booked = Decimal(getattr(fill, name)), Decimal(repr(getattr(row, name)))
        if abs(theirs - booked) > Decimal("1e-9") + abs(theirs) * Decimal("1e-12"):
            return f"{name} {theirs} at the venue, {booked} with us"
    return ""


def _positions(ours: RunRecord) -> Iterator[Finding]:
    """Check that each position is the sum of its executions, net of fees in the base."""
    sums: dict[int, Decimal] = {}
    counts: dict[int, int] = {}
    for rows in ours.booked.values():
        for row in rows:
            base, quantity = ours.pair(row.symbol)[0], Decimal(repr(row.quantity))
            net = quantity if row.side == "buy" else -quantity
            if row.fee_currency == base:
                net -= Decimal(repr(row.fee))
            sums[row.symbol] = sums.get(row.symbol, Decimal(0)) + net
            counts[row.symbol] = counts.get(row.symbol, 0) + 1
    for k, total in sums.items():
        held = Decimal(repr(ours.positions[k])) + Decimal(repr(ours.gone.get(k, 0.0)))
        if abs(held - total) > Decimal("1e-8") * (counts[k] + 1):
            text = f"{held} is held, the executions add up to {total}"
            yield Finding("position", ours.names[k], text)


def _balances(venue: VenueRecord, ours: RunRecord) -> Iterator[Finding]:
    """Check that bookings, third parties and transfers explain every balance."""
    expected = dict(venue.opening)
    slack = dict.fromkeys(expected, _ROUNDING)

    def move(asset: str, amount: Decimal) -> None:
        expected[asset] = expected.get(asset, Decimal(0)) + amount
        slack[asset] = slack.get(asset, _ROUNDING) + Decimal("2e-8")

    def trade(pair: tuple[str, str], side: str, q: str, price: str, fee: str, asset: str) -> None:
        quantity = Decimal(q) if side.lower() == "buy" else -Decimal(q)
        move(pair[0], quantity)
        move(pair[1], -quantity * Decimal(price))
        move(asset, -Decimal(fee))

    for asset, amount in venue.moved.items():
        move(asset, amount)
    pairs = {ours.id_of(k): ours.pair(k) for k in range(len(ours.names))}
    for (symbol, _), fill in venue.fills.items():
        if not is_ours(fill, venue, ours) and symbol in pairs:
            trade(
                pairs[symbol], fill.side, fill.quantity, fill.price, fill.fee, fill.fee_asset
            )  # fmt: skip
    for key, rows in ours.booked.items():
        for row in rows:
            fee, asset, known = repr(row.fee), row.fee_currency, venue.fills.get(key)
            if row.fee_expected and known is not None:  # what was paid only the venue knows
                fee, asset = known.fee, known.fee_asset
            trade(pairs[key[0]], row.side, repr(row.quantity), repr(row.price), fee, asset)
    for asset in sorted(expected.keys() | venue.balances.keys()):
        there, ours_there = venue.balances.get(asset, Decimal(0)), expected.get(asset, Decimal(0))
        if abs(there - ours_there) > slack.get(asset, _ROUNDING):
            text = f"{there} at the venue, {ours_there:.8f} explained"
            yield Finding("balance", asset, text)


# ---------------------------------------------------------------- bars


def _bars(venue: VenueRecord, ours: RunRecord) -> Iterator[Finding]:
    """Check that each bar was processed as replayed, once, and that missing bars were declared."""
    for k, taken in ours.bars.items():
        name, played = ours.names[k], venue.bars.get(ours.id_of(k))
        if played is None or not taken:
            continue
        rows = {each: number for number, each in enumerate(played.open_ns)}
        first, last = min(taken), max(taken)
        for open_ns, bar in taken.items():
            if bar.known_ns > venue.until_ns:  # the market stood still: nobody closed it
                continue
            row = rows.get(open_ns)
            there = None if row is None else (
                played.open[row], played.high[row], played.low[row], played.close[row],
                played.volume[row],
            )  # fmt: skip
            here = (bar.open, bar.high, bar.low, bar.close, bar.volume)
            if there != here:
                yield Finding("bar", f"{name} {open_ns}", f"{there} was played, {here} taken")
        gaps = ours.gaps.get(k, [])
        for open_ns in rows:
            declared = any(begin <= open_ns <= end for begin, end in gaps)
            if first < open_ns < last and open_ns not in taken and not declared:
                yield Finding("bar", f"{name} {open_ns}", "missing and not declared")
