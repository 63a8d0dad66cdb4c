"""State and messages of the order manager: plain structs, all of them in a snapshot.

A *parent* is an order of the strategy, a *child* is one request at a venue with an id of its own.
Quantities are in the base currency; a parent's is signed, a child's is not. All times are wall
time.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from septet import messages as m
from septet._core.orders.child import Child
from septet._core.orders.recent_fills import Fill, RecentFills

__all__ = [
    "DUST", "FINAL", "NO_ORDER", "RANK", "Booked", "Child", "Corrected", "Disputed", "Ended",
    "FeeReported", "Fill",
    "ForeignOrder", "NeverSentOrder", "RecentFills", "Outcome", "Parent", "Protection", "Records",
    "StopEnded", "Stranger", "ThirdPartyActivity", "ThirdPartyOrder", "Timing", "Triggered",
    "Unnamed", "Work", "tolerated",
]  # fmt: skip

SECOND_NS = 1_000_000_000

RANK: dict[m.OrderState, int] = {
    "intent": 0, "submitted": 1, "unknown": 2, "open": 3, "partially_filled": 4,
    "filled": 5, "cancelled": 5, "expired": 5, "rejected": 5,
}  # fmt: skip
"""States only ever gain rank."""
FINAL = 5
NO_ORDER: Final = -2
"""The order number of executions that no order of this journal explains."""
DUST: Final = 1e-6
"""Relative tolerance for a remainder of zero: sums of fills are rounded."""


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
        Whether the venue replaces the unfilled rest of an order, and never more than that, in one
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
    retry_first_ns, retry_most_ns
        First and longest pause before a rejected reduction or stop is sent again.
    kill_first_ns, kill_most_ns
        First and longest pause between the cancels of a halt.
    pause_most_ns
        Longest pause that a venue asks for and that an exit with a resting stop waits for.
    reprice_ns
        Shortest time between two prices of a patient order.
    quote_age_ns
        Age beyond which a quote is not used.
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
    pause_most_ns: int = 600 * SECOND_NS
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
    """State of a parent that has not ended. Times are UTC ns (wall time); 0 means never.

    Attributes
    ----------
    placed_ns
        When the parent was placed.
    waits_for, waits_for_stops
        Numbers of parents, and client ids of stops, that have to end before it is sent.
    filled, children
        Units filled so far (base, unsigned), and how many children were sent.
    retry_ns, tries
        When it may be sent again after a rejection, and how often it was rejected in a row.
    cancelled
        Why it was cancelled; empty while it works.
    price, patience_until_ns, takes, reprices, repriced_ns, may_amend
        The limit of a patient order (quote) and until when it rests; whether it now crosses the
        spread; whether a cancel only precedes a new price; the last change of the price; whether
        the venue still accepts amends of it.
    rejected
        Why a change of its price was rejected last, so that it is reported once.
    waiting_ns, alarmed, alarms
        Since when it waits for another order; whether that was reported, and how often.
    ended
        Whether nothing more is sent for it.
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
    reprices: bool = msgspec.field(name="again", default=False)  # its name in snapshots
    repriced_ns: int = 0
    may_amend: bool = True
    rejected: str = ""
    waiting_ns: int = 0
    alarmed: bool = False
    alarms: int = 0
    ended: bool = False


class Protection(msgspec.Struct, kw_only=True):
    """The protective stop of a symbol: the request, and the order at the venue.

    `quantity` is the signed position to protect. `number` is that of the newest child, `numbers`
    those of earlier starts of the process. `stands` is what the newest child was sent with;
    `unplaced` why none can stand, so that it is reported once. `passed_ns` is since when prices
    have been beyond the level of one that stands (wall time; 0 if they are not), `overdue` whether
    that is too long. `missing_ns` is since when none acts that should (wall time; 0 if one does).
    `is_far` is whether a coarse tick moved the trigger of the newest child far from its level.
    """

    quantity: float = 0.0
    trigger: float = 0.0
    trace: str = ""

    child: str = ""
    number: int = 0
    numbers: dict[str, int] = {}
    stands: tuple[float, float] = (0.0, 0.0)
    triggered: bool = False
    tries: int = 0
    retry_ns: int = 0
    unplaced: str = ""
    passed_ns: int = 0
    overdue: bool = False
    missing_ns: int = 0
    is_far: bool = False


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
        """Description of the order for messages."""
        way, of = "buy" if self.sign > 0 else "sell", self.client_id or "no client id"
        if self.trade_id:
            price = f" at {self.price:.12g}" if self.price else ""
            return f"trade {self.trade_id} of {of}: {way} {self.quantity:.12g}{price}"
        return f"order {self.venue_order_id} ({of}): {way} {self.quantity:.12g}, {self.state}"


class ForeignOrder(msgspec.Struct, kw_only=True):
    """An order with the run's tag that its journal does not know; `client_id` is as listed.

    `executed` is the sum of the executions that were seen, whose ids are `trades`, `filled` what
    the order shows, if that is more (base, unsigned), `price` their average (quote). `cancels` is
    whether it is cancelled at each list that shows it open, `resumed` whether a person has resumed,
    `books` whether its executions were booked then, and are from then on. `fills` are executions.
    """

    symbol: int
    sign: int
    client_id: str
    venue_order_id: str
    quantity: float
    filled: float = 0.0
    executed: float = 0.0
    price: float = 0.0
    trades: list[str] = []
    fills: list[m.Filled] = []
    is_open: bool = False
    cancels: bool = False
    resumed: bool = False
    books: bool = False


class Unnamed(msgspec.Struct, kw_only=True):
    """An order of which executions without a client id are listed, and how often it was queried."""

    symbol: int
    venue_order_id: str
    fills: list[m.Filled] = []
    asked_ns: int = 0
    tries: int = 0


class Booked(msgspec.Struct, frozen=True):
    """A fill that is counted. `parent` is -1 for a stop, `NO_ORDER` for an order of a copy.

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


class FeeReported(msgspec.Struct, frozen=True):
    """The venue states the fee of a fill that was booked with the expected one.

    `key` is that of its trade, `fill` as the venue reports it now.
    """

    key: str
    fill: m.Filled


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


Outcome = (
    Booked | Corrected | FeeReported | Ended | Triggered | StopEnded | ThirdPartyActivity
    | NeverSentOrder
)  # fmt: skip
Kill = Literal["", "cancelling", "done"]


class Records(msgspec.Struct, kw_only=True):
    """All state of the order manager.

    `held` has the account's position of a symbol (base, signed) and when that read was sent,
    `account_units` a position of the account below the booked one (base, signed; ``there`` in
    snapshots), `listed_ns` when the newest list of open orders was requested (wall time). `start`
    is the part of the ids of this start of the process, `starts` the highest parent of each earlier
    one, `unnamed` and `named` are orders behind executions without a client id. `jumped_ns` is when
    the local clock jumped ahead (wall time, after the jump), by `jumped_by_ns`.
    """

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
    foreign_orders: dict[str, ForeignOrder] = {}
    foreign_booked: dict[str, int] = {}
    foreign_reported: bool = False
    unnamed: dict[str, Unnamed] = {}
    named: list[str] = []
    start: str = ""
    starts: dict[str, int] = {}
    unclaimed: list[m.Filled] = []
    highest: int = -1
    forgotten_ns: dict[int, int] = {}
    recent_fills: dict[int, RecentFills] = msgspec.field(name="lately", default_factory=dict)
    disputes: dict[int, list[Disputed]] = {}
    dispute_next_ns: dict[int, int] = {}
    dispute_pause_ns: dict[int, int] = {}
    account_units: dict[int, float] = msgspec.field(name="there", default_factory=dict)
    held: dict[int, tuple[float, int]] = {}
    unfunded: list[int] = []
    started_ns: int = 0
    jumped_ns: int = 0
    jumped_by_ns: int = 0
    listed_ns: int = 0
    paused_ns: int = 0
    refused_ns: dict[int, int] = {}
    filters_ns: int = 0
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
    dirty: bool = True
