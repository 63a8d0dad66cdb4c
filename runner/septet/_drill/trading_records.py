"""Two records of the same trading, folded row by row: the venue's and the run's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from septet import messages as m
from septet._core.guards import FEED, RULES
from septet._core.orders.exposed import UNPROTECTED
from septet._core.orders.lifecycle import UNEXPLAINED
from septet._drill.stop_cover import Cover
from septet._drill.venue.config import Bars
from septet._drill.venue.venue_journal import (
    Answered,
    BalanceChanged,
    FaultInjected,
    FillMade,
    OrderChanged,
    RequestSeen,
    Row,
)
from septet._journal.journal_format import Entry, Head

__all__ = [
    "FINAL_STATES", "FINAL_STATUSES", "OPERATOR", "Block", "RunRecord", "Sent", "VenueRecord",
]  # fmt: skip

FINAL_STATES = frozenset({"filled", "cancelled", "expired", "rejected"})
FINAL_STATUSES = frozenset({"FILLED", "CANCELED", "EXPIRED", "REJECTED", "EXPIRED_IN_MATCH"})
_RANK = {
    "intent": 0, "submitted": 1, "unknown": 2, "open": 3, "partially_filled": 4,
}  # fmt: skip
_POSTS = frozenset({"POST /api/v3/order", "POST /api/v3/order/cancelReplace"})
_MONEY = frozenset({"deposit", "withdrawal"})
OPERATOR = "drill"
"""The name under which the drill does what a person may do to a run."""
_PROCESSES = frozenset({"signal", "safe_mode", "septet", OPERATOR})
"""Names under which a run halts itself, a signal or the drill does; others are a person's."""
_UNKNOWN = "unknown_order"
_ASKED = {UNEXPLAINED: _UNKNOWN, "position_mismatch": UNPROTECTED}
"""Blocks that a person clears, and those that end with that person's word."""
_BY_ITSELF = frozenset({"disputed_fill"})
"""Blocks that a person may clear, and that end by themselves once both sides agree."""


@dataclass(slots=True)
class VenueRecord:
    """What happened at the venue. `moved` is the sum of manual deposits and withdrawals, by asset.

    `posts` are the requests for an order by client id, with their times, `bans` the times of
    answers that reported a ban. `bars` are the prices
    that were played, by the venue's name of the symbol, up to market time `until_ns`. `cover` knows
    which positions have a stop.
    """

    bars: Mapping[str, Bars] = field(default_factory=dict)
    until_ns: int = 2**62
    orders: dict[int, OrderChanged] = field(default_factory=dict)
    fills: dict[tuple[str, str], FillMade] = field(default_factory=dict)
    opening: dict[str, Decimal] = field(default_factory=dict)
    balances: dict[str, Decimal] = field(default_factory=dict)
    moved: dict[str, Decimal] = field(default_factory=dict)
    posts: dict[str, list[int]] = field(default_factory=dict)
    injections: dict[int, list[FaultInjected]] = field(default_factory=dict)
    bans: list[int] = field(default_factory=list)
    cover: Cover = field(default_factory=Cover)

    def take(self, rows: Iterable[Row]) -> VenueRecord:
        """Process rows of the venue's journal, in order; return itself."""
        for row in rows:
            match row:
                case OrderChanged():
                    self.orders[row.order_id] = row
                    self.cover.take(row)
                case FillMade():
                    self.cover.take(row)
                    self.fills[row.symbol, str(row.trade_id)] = row
                case BalanceChanged():
                    self._balance(row)
                case RequestSeen() if f"{row.method} {row.path}" in _POSTS and row.client_id:
                    self.posts.setdefault(row.client_id, []).append(row.at_ns)
                case Answered(status=418):
                    self.bans.append(row.at_ns)
                case FaultInjected():
                    self.injections.setdefault(row.number, []).append(row)
                case _:
                    pass
        return self

    def was_banned_since(self, first_ns: int) -> bool:
        """Whether a request was answered with a ban since a time."""
        return bool(self.bans) and self.bans[-1] >= first_ns

    def lists_since(self, first_ns: int) -> bool:
        """Whether an order was accepted under another client id since a time."""
        first_ms = first_ns // 10**6
        return any(each.sent_as and each.created_ms >= first_ms for each in self.orders.values())

    def _balance(self, row: BalanceChanged) -> None:
        total = Decimal(row.free) + Decimal(row.locked)
        before = self.balances.get(row.asset, Decimal(0))
        if row.cause == "opening":
            self.opening[row.asset] = total
        elif row.cause in _MONEY:
            self.moved[row.asset] = self.moved.get(row.asset, Decimal(0)) + total - before
        self.balances[row.asset] = total


@dataclass(slots=True)
class Sent:
    """A request for an order, as it was stored before it was sent."""

    client_id: str
    parent: int
    symbol: int
    side: str
    quantity: float
    reduces: bool
    deadline_ns: int
    at_ns: int


@dataclass(slots=True)
class Block:
    """A block of entries."""

    rule: str
    clears_when: str
    since_ns: int

    @property
    def by_hand(self) -> bool:
        """Whether only a person clears it: a block that can end without one must do so."""
        if self.rule.partition(":")[0] in _BY_ITSELF:
            return False
        known = RULES.get(self.rule.partition(":")[0])
        return (
            known.person if known is not None else self.clears_when in ("manual", "septet resume")
        )

    def may_hold(self, *, over: bool) -> bool:
        """Whether it may be active at the end: a person's halt, or streams without further bars."""
        return self.by_hand or (over and self.rule.partition(":")[0] in FEED.values())


class RunRecord:
    """The run's journal, in the names of the venue."""

    def __init__(self, head: Head) -> None:
        facts = head.facts
        self.mode, self.run_id = head.mode, head.run_id
        self.tag = str(facts.get("tag", ""))
        self.names = [str(each) for each in facts.get("symbols", [])]
        self.currency = str(facts.get("currency", ""))
        self.bar_ns = 0
        self.seq = 0
        self.sent: dict[str, Sent] = {}
        self.states: dict[str, tuple[str, float]] = {}
        self.reported: dict[tuple[str, str], m.Filled] = {}
        self.booked: dict[tuple[str, str], list[m.Traded]] = {}
        self.positions: dict[int, float] = {}
        self.gone: dict[int, float] = {}
        """What a person has accepted as gone: booked as closed, and executed by nobody here."""
        self.backwards: list[str] = []
        self.halts: list[tuple[int, int]] = []
        self.blocks: dict[str, Block] = {}
        self.tripped: list[tuple[int, str]] = []
        self.bars: dict[int, dict[int, m.BarClosed]] = {}
        self.newest: dict[int, int] = {}
        self.gaps: dict[int, list[tuple[int, int]]] = {}
        self.decided_ns = self.begun_ns = 0
        self.decisions = self.sessions = 0
        self.never_accepted: dict[str, tuple[int, bool]] = {}
        """When an order was counted as never placed, and whether a person has confirmed it."""
        self.at_ns = 0
        self._resumes = False
        self._halted_by = self._halter = ""
        self._takes: dict[type, Callable[[Any], None]] = {
            m.Started: self._started, m.Operated: self._operated, m.BarClosed: self._bar,
            m.Gapped: self._gap, m.DecisionTimeReached: self._decision_time, m.Filled: self._filled,
            m.Submit: self._submit, m.Amend: self._amend, m.Changed: self._changed,
            m.Traded: self._traded, m.Corrected: self._corrected, m.Tripped: self._tripped,
            m.Cleared: self._cleared, m.Decided: self._decided,
        }  # fmt: skip

    def is_at_rest(self, *, over: bool) -> bool:
        """Whether no block is active that must end without a person; `over`: no more bars come."""
        return not self.unmet(over=over)

    def unmet(self, *, over: bool) -> list[str]:
        """Return the blocks that must end without a person; `over`: no more bars come.

        An order in an unknown state may wait for a person as well, who is asked what it is, and so
        may a position without protection that differs from the account's: it may be gone.
        """
        asked = {
            f"{waits}{rule.removeprefix(question)}"
            for question, waits in _ASKED.items() for rule in self.blocks
            if rule.startswith(f"{question}:")
        }  # fmt: skip
        return [
            each.rule for each in self.blocks.values()
            if not each.may_hold(over=over) and each.rule not in asked
        ]  # fmt: skip

    @property
    def file_halts(self) -> list[str]:
        """Return the halts and monitors of the strategy file, if nothing else is active."""
        rules = sorted(each.rule for each in self.blocks.values())
        return [] if any(each.partition(":")[0] in RULES for each in rules) else rules

    def take(self, entries: Iterable[Entry]) -> RunRecord:
        """Process entries of the journal, in order; return itself."""
        for entry in entries:
            self.seq, self.at_ns = entry.seq, entry.at_ns
            if entry.kind not in ("quote", "print") or entry.commands_json != b"[]":
                self._resumes = False
                for each in (entry.event, *entry.commands):
                    take = self._takes.get(type(each))
                    if take is not None:
                        take(each)
        return self

    def id_of(self, k: int) -> str:
        """Return the venue's name of a symbol."""
        return "".join(self.pair(k))

    def pair(self, k: int) -> tuple[str, str]:
        """Base and quote currency of a symbol."""
        base, _, quote = self.names[k].partition("/")
        return base, quote.partition(":")[0] or self.currency

    @property
    def halted(self) -> bool:
        """Whether a person's halt is active."""
        return bool(self.halts) and not self.halts[-1][1]

    @property
    def halted_by(self) -> str:
        """Return the name of the person whose halt is active; empty for a signal or no halt."""
        return self._halted_by if self.halted else ""

    @property
    def is_halted_by_drill(self) -> bool:
        """Whether a halt is active that the drill requested and clears itself."""
        return self.halted and self._halter in (OPERATOR, "signal")

    # ------------------------------------------------------------ events

    def _started(self, event: m.Started) -> None:
        self.sessions, self.begun_ns = event.session, event.at_ns

    def _operated(self, event: m.Operated) -> None:
        self._resumes = event.action == "resume"
        if event.action in ("halt", "flatten") and not self.halted:
            self.halts.append((event.at_ns, 0))
            self._halted_by = "" if event.name in _PROCESSES else event.name
            self._halter = event.name
        elif event.action == "resume" and self.halted:
            self.halts[-1] = (self.halts[-1][0], event.at_ns)

    def _bar(self, event: m.BarClosed) -> None:
        k = event.symbol
        self.bars.setdefault(k, {})
        newest = self.newest.get(k, -1)
        if event.open_ns <= newest:
            self.backwards.append(f"bar {event.open_ns} of {self.names[k]} came after {newest}")
        self.bars[k][event.open_ns] = event
        self.newest[k] = event.open_ns

    def _gap(self, event: m.Gapped) -> None:
        self.gaps.setdefault(event.symbol, []).append((event.first_ns, event.last_ns))

    def _decision_time(self, event: m.DecisionTimeReached) -> None:
        if event.decides and event.present:
            self.decided_ns = event.at_ns

    def _filled(self, event: m.Filled) -> None:
        self.reported.setdefault((self.id_of(event.symbol), event.trade_id), event)

    # ------------------------------------------------------------ commands

    def _decided(self, row: m.Decided) -> None:
        self.decisions += 1

    def _submit(self, row: m.Submit) -> None:
        if row.client_id in self.sent:
            self.backwards.append(f"{row.client_id} was sent twice")
        self.sent[row.client_id] = Sent(
            row.client_id, row.parent, row.symbol, row.side, row.quantity, row.reduces,
            row.deadline_ns, self.at_ns,
        )  # fmt: skip

    def _amend(self, row: m.Amend) -> None:
        self.sent[row.new_client_id] = Sent(
            row.new_client_id, row.parent, row.symbol, row.side, row.quantity, False,
            row.deadline_ns, self.at_ns,
        )  # fmt: skip

    def _changed(self, row: m.Changed) -> None:
        if not row.client_id:
            return
        before, filled = self.states.get(row.client_id, ("intent", 0.0))
        back = row.filled < filled - 1e-12
        if before in FINAL_STATES:
            back |= row.state != before and row.state not in ("filled",)
        else:
            back |= _RANK.get(row.state, 5) < _RANK[before]
        if back:
            text = f"{row.client_id} went from {before} ({filled:g}) to {row.state} "
            self.backwards.append(f"{text}({row.filled:g})")
        self.states[row.client_id] = (row.state, row.filled)
        if row.reason == "never_accepted":
            self.never_accepted[row.client_id] = (self.at_ns, self._resumes)

    def _traded(self, row: m.Traded) -> None:
        self.positions[row.symbol] = row.position
        if row.reason == "gone":
            signed = row.quantity if row.side == "sell" else -row.quantity
            self.gone[row.symbol] = self.gone.get(row.symbol, 0.0) + signed
        else:
            self.booked.setdefault((self.id_of(row.symbol), row.trade_id), []).append(row)

    def _corrected(self, row: m.Corrected) -> None:
        """Take the fee that the venue has stated late in place of the expected one."""
        booked = self.booked.get((self.id_of(row.symbol), row.of), [])
        if row.fee_booked is None or not booked:
            return
        if row.position is not None:
            self.positions[row.symbol] = row.position
        booked[-1] = msgspec.structs.replace(
            booked[-1], fee=row.fee, fee_currency=row.fee_currency, fee_expected=row.fee_expected
        )

    def _tripped(self, row: m.Tripped) -> None:
        self.blocks[row.rule] = Block(row.rule, row.clears_when, self.at_ns)
        self.tripped.append((self.at_ns, row.rule))

    def _cleared(self, row: m.Cleared) -> None:
        self.blocks.pop(row.rule, None)
