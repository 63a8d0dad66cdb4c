"""State and messages of the order manager: plain structs, all of them in a snapshot.

A *parent* is an order of the strategy, a *child* is one request at a venue with an id of its own.
Quantities are in the base currency; a parent's is signed, a child's is not. All times are wall
time.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from septet import messages as m
from septet._core.orders.recent_fills import Fill, RecentFills

__all__ = [
    "DUST", "FINAL", "RANK", "Booked", "Child", "Corrected", "Disputed", "Ended", "Fill",
    "NeverSentOrder", "RecentFills", "Outcome", "Parent", "Protection", "Records", "StopEnded",
    "Stranger", "ThirdPartyActivity", "ThirdPartyOrder", "Timing", "Triggered", "Work", "tolerated",
]  # fmt: skip

SECOND_NS = 1_000_000_000

RANK: dict[m.OrderState, int] = {
    "intent": 0, "submitted": 1, "unknown": 2, "open": 3, "partially_filled": 4,
    "filled": 5, "cancelled": 5, "expired": 5, "rejected": 5,
}  # fmt: skip
"""States only ever gain rank."""
FINAL = 5
DUST: Final = 1e-6
"""Share of a quantity that is none: sums of fills are rounded."""


def tolerated(quantity: float, lot: float) -> float:
    """Return by how much a sum of fills may miss a quantity and still be all of it.

    It is far less than a lot: what an open order was sent with may have become finer meanwhile.
    """
    dust = DUST * quantity
    return min(0.5 * lot, dust) if lot > 0.0 else dust


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Time limits (ns, wall time), and capabilities of the venue.

    Attributes
    ----------
    answers_final_after_ns
        Age after which "not found" is final, and a read is complete up to its request
        (`VenueFacts.answers_final_after_ns`).
    amends
        Whether the venue replaces what is left of an order, and never more than that, in one
        request. Where it cannot promise that, an order is cancelled and a new one sent.
    query_first_ns, query_longest_ns
        First and longest pause between queries of one order.
    answer_within_ns
        Time after which a request without an answer counts as lost.
    send_within_ns
        How long a request may wait in the shell.
    review_ns
        Interval of the queries of a resting order without any problem.
    market_review_ns
        The same for an order that should have been filled at once.
    wait_alarm_ns
        Time that a reduction waits for an unknown order, or a fill is missing, until an alarm.
    remember_ns, remember
        How long, and how many, final orders are remembered.
    """

    answers_final_after_ns: int = 10 * SECOND_NS
    amends: bool = False
    query_first_ns: int = SECOND_NS // 4
    query_longest_ns: int = 5 * SECOND_NS
    answer_within_ns: int = 15 * SECOND_NS
    send_within_ns: int = 5 * SECOND_NS
    review_ns: int = 30 * SECOND_NS
    market_review_ns: int = SECOND_NS
    wait_alarm_ns: int = 30 * SECOND_NS
    retry_first_ns: int = SECOND_NS
    retry_most_ns: int = 60 * SECOND_NS
    kill_first_ns: int = SECOND_NS // 2
    kill_most_ns: int = 8 * SECOND_NS
    reprice_ns: int = SECOND_NS
    quote_age_ns: int = 10 * SECOND_NS
    remember_ns: int = 24 * 3600 * SECOND_NS
    remember: int = 4_096


class Parent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An order of the strategy.

    Attributes
    ----------
    number
        The engine's number; each is larger than those before it.
    quantity
        Base currency, signed: above zero to buy.
    reduces
        Whether it can only reduce the position.
    closes_all
        A reduction that closes the whole position held when it is sent, whatever `quantity` is.
    decided_price
        The price at which it was decided (quote); 0 for none.
    deadline_ns
        Wall time (UTC ns) after which an entry that was not sent is dropped; 0 for none.
    spends
        Whether it waits for working reductions (stops that are being filled included), whose
        proceeds it needs, and for given-up entries that may still fill.
    patience_ns, max_slippage
        Time (ns, wall time) to rest at the best price before taking, and the largest distance of an
        entry from `decided_price` then (fraction of it); patience 0 sends the order unchanged.
    """

    number: int
    symbol: int
    quantity: float
    kind: m.OrderKind = "market"
    limit_price: float | None = None
    trigger_price: float | None = None
    reduces: bool = False
    closes_all: bool = True
    reason: str = ""
    decided_price: float = 0.0
    deadline_ns: int = 0
    spends: bool = False
    patience_ns: int = 0
    max_slippage: float = 0.0
    trace: str = ""

    @property
    def is_increase(self) -> bool:
        """Whether a rebalance of a portfolio asks for it, and it may enlarge the position."""
        return self.reason == "rebalance" and not self.reduces

    @property
    def sign(self) -> int:
        """+1 to buy, -1 to sell."""
        return 1 if self.quantity > 0.0 else -1


class Work(msgspec.Struct, kw_only=True, gc=False):
    """State of a parent that has not ended.

    `rejected` is why a change of its price was rejected last, so that it is reported once.
    """

    parent: Parent
    placed_ns: int
    waits_for: list[int] = []
    waits_for_stops: list[str] = []
    filled: float = 0.0
    children: int = 0
    retry_ns: int = 0
    tries: int = 0
    cancelled: str = ""
    takes: bool = False
    patience_until_ns: int = 0
    price: float | None = None
    again: bool = False
    repriced_ns: int = 0
    may_amend: bool = True
    rejected: str = ""
    waiting_ns: int = 0
    alarmed: bool = False
    alarms: int = 0
    ended: bool = False


class Child(msgspec.Struct, kw_only=True, array_like=True, gc=False):
    """One request at the venue. Times are UTC ns (wall time); 0 means never, or not scheduled.

    Quantities and units are in the base currency, unsigned; prices in the quote currency.

    `reported_ns` is when the venue last reported a larger executed quantity than was known, `lost`
    that those executions are missing, `accepted` that a person who was asked has resumed,
    `presumed` that the account showed them and they are booked: `presumed_units` of them, at
    `presumed_price`, are on no list of executions yet. `let_go` is set once an exit was
    sent past a stop whose executions are missing. `read_filled` is what the newest read of the
    order showed, at `read_ns`. `contradiction` is the last report that contradicted itself,
    `contradicted_ns` when it came (0 once it is resolved), `contradicted_end` the final state that
    it named, `agreed_ns` when a read last showed the order open, with plausible quantities.
    `unconfirmed` is an end that was reported at `unconfirmed_ns` and that no query has shown yet,
    `disproved` that a query has shown something else. `shown_filled` is what the newest answer to a
    query showed, whatever its state, at `shown_ns`. `differs`: the venue took another order than
    was asked for. `unexplained` is what may be this order under another id, since
    `unexplained_ns`, while it is unknown; `looked_ns` when the account was last read for that;
    `by_venue_id` that the venue lists it under another client id; `ambiguous` that two orders of
    the venue contain its id, so that nothing is booked for it. `presumed_id` is the fill that
    the presumed units are booked as, `presumed_ns` when it was booked (market time), `guessed` are
    the keys of executions booked at another price than reported, `presumed_fee` is what of the fee
    of the presumed units was booked in the base and is on no list yet. `alarmed` is set once a
    person was asked about missing executions, `alarmed_unfilled` once an open exit was reported.
    """

    client_id: str
    parent: int
    symbol: int
    sign: int
    quantity: float
    tolerance: float
    kind: m.OrderKind
    limit_price: float | None
    trigger_price: float | None
    reduces: bool
    protects: bool
    sent_ns: int
    trace: str
    state: m.OrderState = "intent"
    venue_order_id: str = ""
    replaces: str = ""
    replaced_by: str = ""
    exists: bool = False
    echoed: bool = False
    counted: float = 0.0
    seen: float = 0.0
    claim: m.OrderState | None = None
    claim_text: str = ""
    received_ns: int = 0
    unknown_ns: int = 0
    vanished_ns: int = 0
    query_next_ns: int = 0
    query_pause_ns: int = 0
    fills_ns: int = 0
    fills_pause_ns: int = 0
    missing_ns: int = 0
    cancels: bool = False
    delete_ns: int = 0
    delete_failed_ns: int = 0
    delete_next_ns: int = 0
    delete_pause_ns: int = 0
    final_ns: int = 0
    reason: str = ""
    alarmed: bool = False
    trades: list[str] = []
    paid: dict[str, float] = {}
    traded_ns: int = 0
    reported_ns: int = 0
    lost: bool = False
    account_ns: int = 0
    account_pause_ns: int = 0
    let_go: bool = False
    read_filled: float = 0.0
    read_ns: int = 0
    accepted: bool = False
    presumed: bool = False
    contradiction: str = ""
    contradicted_ns: int = 0
    contradicted_end: m.OrderState | None = None
    agreed_ns: int = 0
    unconfirmed: m.OrderState | None = None
    unconfirmed_ns: int = 0
    disproved: bool = False
    shown_filled: float = 0.0
    shown_ns: int = 0
    presumed_units: float = 0.0
    presumed_price: float = 0.0
    differs: bool = False
    unexplained: str = ""
    unexplained_ns: int = 0
    looked_ns: int = 0
    by_venue_id: bool = False
    presumed_id: str = ""
    presumed_ns: int = 0
    guessed: list[str] = []
    presumed_fee: float = 0.0
    ambiguous: bool = False
    alarmed_unfilled: bool = False

    @property
    def delays_reductions(self) -> bool:
        """Whether a reduction of its symbol waits for it to end."""
        return not self.unexplained and (self.reduces or self.unconfirmed is None)

    @property
    def is_final(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.final_ns != 0

    @property
    def rest(self) -> float:
        """The unfilled quantity."""
        return max(0.0, self.quantity - self.counted)

    @property
    def full(self) -> bool:
        """Whether the counted fills complete the order."""
        return self.counted >= self.quantity - self.tolerance


class Protection(msgspec.Struct, kw_only=True):
    """The protective stop of a symbol: the request, and the order at the venue.

    `quantity` is the signed position to protect. `stands` is what the newest child was sent with;
    `unplaced` why none can stand, so that it is reported once. `passed_ns` is since when prices
    have been beyond the level of one that stands (wall time; 0 if they are not), `overdue` whether
    that is too long.
    """

    quantity: float = 0.0
    trigger: float = 0.0
    trace: str = ""

    child: str = ""
    number: int = 0
    stands: tuple[float, float] = (0.0, 0.0)
    triggered: bool = False
    tries: int = 0
    retry_ns: int = 0
    unplaced: str = ""
    passed_ns: int = 0
    overdue: bool = False


class ThirdPartyOrder(msgspec.Struct, frozen=True):
    """An open order that was not placed by this run."""

    symbol: int
    sign: int
    rest: float
    price: float | None


class Stranger(msgspec.Struct, frozen=True, kw_only=True):
    """An order, or with a `trade_id` an execution, that is not known to be of this run.

    `since_ns` is when it was first seen; of an execution from a list, when it happened at most.
    """

    sign: int
    quantity: float
    since_ns: int
    client_id: str = ""
    venue_order_id: str = ""
    order_type: str = ""
    price: float | None = None
    trigger_price: float | None = None
    filled: float = 0.0
    state: m.OrderState = "open"
    trade_id: str = ""
    fill: m.Filled | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is an order that may still be executed."""
        return not self.trade_id and RANK[self.state] < FINAL

    @property
    def text(self) -> str:
        """What it is, in words."""
        way, of = "buy" if self.sign > 0 else "sell", self.client_id or "no client id"
        if self.trade_id:
            price = f" at {self.price:.12g}" if self.price else ""
            return f"trade {self.trade_id} of {of}: {way} {self.quantity:.12g}{price}"
        return f"order {self.venue_order_id} ({of}): {way} {self.quantity:.12g}, {self.state}"


class Booked(msgspec.Struct, frozen=True):
    """A fill that is counted. `parent` is -1 for a protective stop.

    `quantity` is signed, in the base currency, before fees. `late`: its order was already final.
    """

    parent: int
    symbol: int
    client_id: str
    quantity: float
    fill: m.Filled
    late: bool = False


class Disputed(msgspec.Struct, kw_only=True):
    """An execution that cannot belong to its order, and is not booked.

    `resolved` once the account or a person has confirmed that there is none. `booked_price`
    is the price at which it was booked all the same, where the account holds it and its own price
    cannot be; it blocks entries until a person has seen it.
    """

    client_id: str
    fill: m.Filled
    since_ns: int
    why: str
    resolved: bool = False
    booked_price: float = 0.0


class Corrected(msgspec.Struct, frozen=True):
    """The venue lists a fill that was booked, in whole or in part, with presumed values.

    `fill` is as the venue lists it; `of` is the trade id of what is booked, at `booked_price` and
    `booked_ns` (market time). `quantity` is signed. The fee counts only if `has_fee`: else it was
    booked with the fill. `base_fee` is the fee (base) that was booked with the units: its value
    changes with the price (quote).
    """

    parent: int
    symbol: int
    client_id: str
    quantity: float
    of: str
    booked_price: float
    booked_ns: int
    fill: m.Filled
    has_fee: bool
    base_fee: float = 0.0


class Ended(msgspec.Struct, frozen=True):
    """A parent has ended: nothing more is sent for it. `filled` is unsigned (base)."""

    parent: int
    symbol: int
    state: m.OrderState
    reason: str
    filled: float


class Triggered(msgspec.Struct, frozen=True):
    """A protective stop of the venue began to fill; its fills follow as `Booked`."""

    symbol: int
    client_id: str
    trigger: float


class StopEnded(msgspec.Struct, frozen=True):
    """A protective stop that had triggered is final; `rest` of it was not filled."""

    symbol: int
    client_id: str
    state: m.OrderState
    filled: float
    rest: float


class ThirdPartyActivity(msgspec.Struct, frozen=True):
    """An order or a fill of a third party on a symbol of the run."""

    symbol: int
    client_id: str
    quantity: float
    fill: m.Filled | None = None


class NeverSentOrder(msgspec.Struct, frozen=True):
    """An order with the run's tag that was never sent: an older backup, or a second instance."""

    symbol: int
    client_id: str
    text: str


Outcome = Booked | Corrected | Ended | Triggered | StopEnded | ThirdPartyActivity | NeverSentOrder
Kill = Literal["", "cancelling", "done"]


class Records(msgspec.Struct, kw_only=True):
    """All state of the order manager."""

    works: dict[int, Work] = {}
    queues: dict[int, list[int]] = {}
    children: dict[str, Child] = {}
    live: list[str] = []
    finals: list[str] = []
    finished: list[str] = []
    quotes: dict[int, tuple[float, float, int]] = {}
    stops: dict[int, Protection] = {}
    trades: dict[str, str] = {}
    third_party_fills: list[str] = []
    venue_ids: dict[str, str] = {}
    third_party: dict[str, ThirdPartyOrder] = {}
    foreign: list[str] = []
    unclaimed: list[m.Filled] = []
    highest: int = -1
    forgotten_ns: dict[int, int] = {}
    lately: dict[int, RecentFills] = {}
    disputes: dict[int, list[Disputed]] = {}
    dispute_next_ns: dict[int, int] = {}
    dispute_pause_ns: dict[int, int] = {}
    there: dict[int, float] = {}
    held: dict[int, tuple[float, int]] = {}
    unfunded: list[int] = []
    started_ns: int = 0
    refused_ns: dict[int, int] = {}
    freed_ns: dict[int, int] = {}
    ghosts: dict[str, int] = {}
    strangers: dict[int, dict[str, Stranger]] = {}
    left_to_others: list[str] = []
    lengthens: bool = False
    kill: Kill = ""
    kill_ns: int = 0
    kill_next_ns: int = 0
    kill_pause_ns: int = 0
    kill_flattens: bool = False
    woken_ns: int = 0
