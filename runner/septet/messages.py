"""Input and output of the live core: the rows of the journal.

Events are facts from outside, stamped by the shell; commands are what the core decides, and
what it decided. Both are written to the journal in one transaction before a command leaves.

Times: `at_ns` is when the shell took an event in (wall time, UTC nanoseconds); `*_ns` of bars and
decisions are market time, which runs faster than wall time only in a drill. Symbols are numbers
in universe order, -1 for none. Quantities are decimals in the base currency, prices in the quote.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = [
    "COMMANDS", "EVENTS", "About", "Acked", "Alerted", "Amend", "BarClosed", "Cancel", "CancelAll",
    "CancelFailed", "Cause", "Changed", "Cleared", "Command", "Corrected", "Decided",
    "DecisionTimeReached", "Event", "FeedChanged", "Filled", "FiltersChanged", "Funded", "Gapped",
    "Holdings", "InvalidAnswer", "ModelFailed", "ModelReady", "NotFound", "OpenOrders", "Operated",
    "OrderKind", "OrderSeen", "OrderState", "Placed", "Printed", "Quarantined", "Query", "Quoted",
    "Refresh", "Rejected", "Ruled", "SeriesPoint", "Skewed", "Started", "Submit", "Ticked",
    "Traded", "Train", "Tripped", "Uncertain", "Unreadable", "VenueChanged", "Wake", "Watched",
]  # fmt: skip

OrderState = Literal[
    "intent", "submitted", "unknown", "open", "partially_filled",
    "filled", "cancelled", "expired", "rejected",
]  # fmt: skip
"""Life of an order; it never goes backwards, and the last four are final."""
OrderKind = Literal["market", "limit", "stop", "stop_limit"]
"""The type of an order at a venue."""
Side = Literal["buy", "sell"]
About = Literal["order", "fill", "balance", "quote", "trade", "bar", "filters", "clock"]
"""What a venue's unreadable value was about."""
Reference = tuple[str, tuple[float, ...], tuple[float, ...], float | None]
Cause = Literal["schedule", "drift"]
"""Why a model was asked for."""


class Event(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True, gc=False
):
    """A fact from outside the core."""

    at_ns: int


# ---------------------------------------------------------------- the run


class Started(Event, frozen=True, kw_only=True, tag="started"):
    """The process began (again): what runs, on what, from which history.

    `session` counts from 1. `origin_ns` is the open time of the first bar of the journal; it
    never changes. `fingerprints` names what must be equal for a replay to be exact. `id_part` is in
    every client id of orders that this process sends; empty in older journals.
    """

    session: int
    run_id: str
    mode: Literal["paper", "live"]
    strategy: str
    origin_ns: int
    market_ns: int
    fingerprints: dict[str, str]
    id_part: str = ""


class Ticked(Event, frozen=True, kw_only=True, tag="ticked"):
    """Time has passed: actions that waited for it may continue.

    `jumped_ns` is by how much the local clock jumped ahead just before: so much less time has
    passed than stamps from before the jump show.
    """

    market_ns: int
    jumped_ns: int = 0


class Operated(Event, frozen=True, kw_only=True, tag="operated"):
    """A request of an operator or a signal.

    `halt` blocks entries and cancels what works; `flatten` closes positions as well; `resume`
    clears every block that waits for a person; `rearm` clears the repeat throttle; `stop` ends the
    run with no new entries. Orders that it brings about are of `market_ns`, and fill at no price
    from before; 0 stands for the newest time that is known.
    """

    action: Literal["halt", "flatten", "resume", "rearm", "stop"]
    name: str
    reason: str
    market_ns: int = 0


# ---------------------------------------------------------------- market data


class BarClosed(Event, frozen=True, kw_only=True, tag="bar"):
    """A valid bar, closed and confirmed, in order of its symbol. Seen once."""

    symbol: int
    open_ns: int
    known_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    source: Literal["history", "stream", "poll", "backfill"] = "stream"


class Gapped(Event, frozen=True, kw_only=True, tag="gap"):
    """Bars of a symbol that do not exist, declared so that later bars can be processed."""

    symbol: int
    first_ns: int
    last_ns: int
    reason: str


class SeriesPoint(Event, frozen=True, kw_only=True, tag="series"):
    """A value of an outside series; `known_ns` is when it may be used from."""

    name: str
    stamp_ns: int
    known_ns: int
    value: float


class DecisionTimeReached(Event, frozen=True, kw_only=True, tag="decision_time"):
    """A decision time: every symbol due has delivered, or its grace has passed.

    `present` are symbols whose next undecided bar enters now, in universe order; `missing` those
    that were due and are not there. `decides` False only advances features:
    history, or bars that were missed, which also meet what rests where fills are simulated. `late`
    decisions exit but do not enter.
    """

    time_ns: int
    present: tuple[int, ...]
    missing: tuple[int, ...] = ()
    decides: bool = True
    late: bool = False


class Quoted(Event, frozen=True, kw_only=True, tag="quote"):
    """Best bid and ask of a symbol; `market_ns` is when it was received, in market time."""

    symbol: int
    venue_ns: int
    bid: float
    bid_quantity: float
    ask: float
    ask_quantity: float
    market_ns: int = 0


class Printed(Event, frozen=True, kw_only=True, tag="print"):
    """A public trade."""

    symbol: int
    venue_ns: int
    price: float
    quantity: float
    market_ns: int = 0


class FeedChanged(Event, frozen=True, kw_only=True, tag="feed"):
    """A stream of market data became usable, stale or broken.

    `unlisted` means that it is down because the feed finds its symbol no longer listed.
    """

    stream: str
    symbol: int
    state: Literal["live", "stale", "down"]
    reason: str = ""
    unlisted: bool = False


# ---------------------------------------------------------------- venue


class Acked(Event, frozen=True, kw_only=True, tag="acked"):
    """The venue accepted an order; the echo is the order as it reports it.

    `order_type` is an `OrderKind`, or the venue's own word where it is none of them; "" where the
    venue does not report it, as `trigger_price` is None.
    """

    client_id: str
    venue_order_id: str
    state: OrderState
    side: Side
    quantity: float | None
    price: float | None = None
    filled: float = 0.0
    trigger_price: float | None = None
    order_type: str = ""


class Rejected(Event, frozen=True, kw_only=True, tag="rejected"):
    """The venue, or the gate before it, definitely did not accept an order (or an amend)."""

    client_id: str
    code: str
    text: str
    by: Literal["venue", "gate", "local"] = "venue"


class Uncertain(Event, frozen=True, kw_only=True, tag="uncertain"):
    """It is unknown whether the venue accepted an order."""

    client_id: str
    text: str


class OrderSeen(Event, frozen=True, kw_only=True, tag="order_seen"):
    """An order as the venue reports it; a third party's if `client_id` is not the run's.

    `trigger_price` and `order_type` are those of `Acked`.
    """

    client_id: str
    venue_order_id: str
    symbol: int
    side: Side
    state: OrderState
    quantity: float
    filled: float
    price: float | None = None
    average_price: float | None = None
    by: Literal["stream", "query", "list", "cancel"] = "stream"
    text: str = ""
    trigger_price: float | None = None
    order_type: str = ""


class NotFound(Event, frozen=True, kw_only=True, tag="not_found"):
    """The venue has no such order; `asked_ns` is when the query was sent (wall time)."""

    client_id: str
    asked_ns: int
    by: Literal["query", "cancel"] = "query"


class CancelFailed(Event, frozen=True, kw_only=True, tag="cancel_failed"):
    """A cancel was not confirmed: the order must be queried."""

    client_id: str
    text: str


class Filled(Event, frozen=True, kw_only=True, tag="filled"):
    """An execution, counted once by (venue, symbol, trade id).

    `fee` is in `fee_currency`; `fee_quote` is its value in the quote currency where the currency
    is neither base nor quote. `fee_unread` is why the reported fee cannot be: then the
    expected one is counted, and `fee` is that of the venue's schedule, 0 for none. An empty
    `fee_currency` reports no fee: the expected one is counted too, if the file has a rate. `listed`
    executions come from a list of them that was asked for. `cumulative` is what its order has
    executed in all by then, where the report has it.
    """

    venue: str
    symbol: int
    trade_id: str
    client_id: str
    venue_order_id: str
    venue_ns: int
    market_ns: int
    side: Side
    quantity: float
    price: float
    fee: float
    fee_currency: str
    fee_quote: float | None = None
    maker: bool = False
    listed: bool = False
    fee_unread: str = ""
    cumulative: float | None = None


class OpenOrders(Event, frozen=True, kw_only=True, tag="open_orders"):
    """All open orders of the account on the run's symbols, as of `asked_ns` (wall time)."""

    orders: tuple[OrderSeen, ...]
    asked_ns: int


class Holdings(Event, frozen=True, kw_only=True, tag="holdings"):
    """Balances of the account: currency to (free, locked), as of `asked_ns` (wall time).

    `others` is what other strategies of the same account hold, by currency; `others_open` what
    their open orders may have moved of that without their knowing, low and high; `others_fills`
    what of that a lagging read may not show: when each was booked (wall time), when it happened at
    the venue, what it moved (signed), and what a fee may have taken of it. The currency that orders
    are paid in is among `others_open` and `others_fills`. `unread` is why the balances could not
    be read; there are none then.
    """

    balances: dict[str, tuple[float, float]]
    asked_ns: int
    others: dict[str, float] = {}
    others_open: dict[str, tuple[float, float]] = {}
    others_fills: dict[str, tuple[tuple[int, int, float, float], ...]] = {}
    first: bool = False
    unread: str = ""


class VenueChanged(Event, frozen=True, kw_only=True, tag="venue"):
    """The state of the connection to a venue, and until when it holds (wall time)."""

    venue: str
    state: Literal["up", "down", "limited", "banned", "maintenance"]
    until_ns: int = 0
    reason: str = ""


class FiltersChanged(Event, frozen=True, kw_only=True, tag="filters"):
    """The filters of a symbol at the venue, from now on.

    `min_quantity` and `max_quantity` bound one order; 0 for no bound, None where not stated.
    Where the venue no longer lists the symbol, `listed` is False and the others are the last known.
    """

    symbol: int
    lot: float
    tick: float
    min_notional: float
    trading: bool = True
    min_quantity: float | None = None
    max_quantity: float | None = None
    listed: bool = True


class Skewed(Event, frozen=True, kw_only=True, tag="skew"):
    """How far the local clock is ahead of the venue's (wall time)."""

    venue: str
    skew_ns: int


class Unreadable(Event, frozen=True, kw_only=True, tag="unreadable"):
    """A venue reported an impossible value; it was not used, and is queried again.

    A kind of value is reported at once, and then at most once a minute.
    """

    venue: str
    about: About
    text: str
    symbol: int = -1
    client_id: str = ""


# ---------------------------------------------------------------- models and plugins


class ModelReady(Event, frozen=True, kw_only=True, tag="model_ready"):
    """A model has been fitted outside; it decides from `ready_ns` on (market time).

    For its health: `rows` it was fitted on, of which `rows_up` were labelled up, the time of the
    first of them, and what their columns looked like (a feature, edges of its bins, the share of
    each, and the PSI that chance gives it).
    """

    number: int
    fingerprint: str
    trained_to_ns: int
    ready_ns: int
    expires_ns: int
    folder: str
    rows: int = 0
    rows_up: int = 0
    first_row_ns: int | None = None
    reference: tuple[Reference, ...] = ()


class ModelFailed(Event, frozen=True, kw_only=True, tag="model_failed"):
    """A training window gave no model, and why."""

    number: int
    trained_to_ns: int
    text: str


class Quarantined(Event, frozen=True, kw_only=True, tag="quarantined"):
    """A plugin failed or hung and is not called until `until_ns` (wall time)."""

    plugin: str
    until_ns: int
    text: str


EVENTS = (
    Started | Ticked | Operated | BarClosed | Gapped | SeriesPoint | DecisionTimeReached | Quoted
    | Printed | FeedChanged | Acked | Rejected | Uncertain | OrderSeen | NotFound | CancelFailed
    | Filled | OpenOrders | Holdings | VenueChanged | FiltersChanged | Skewed | Unreadable
    | ModelReady | ModelFailed | Quarantined
)  # fmt: skip
"""Every event that the core handles."""


# ---------------------------------------------------------------- commands


class Command(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True, gc=False
):
    """A command or a decision of the core. `trace` links bar, signal, order and fill."""

    trace: str = ""


class Submit(Command, frozen=True, kw_only=True, tag="submit"):
    """Send an order once; a second POST with the same id never happens.

    It must not leave after `deadline_ns` (wall time). `parent` is the order of the strategy that
    this child serves, `reduces` whether it can only make a position smaller.
    """

    client_id: str
    parent: int
    symbol: int
    side: Side
    order_type: OrderKind
    quantity: float
    reduces: bool
    deadline_ns: int
    limit_price: float | None = None
    trigger_price: float | None = None
    reason: str = ""


class Cancel(Command, frozen=True, kw_only=True, tag="cancel"):
    """Cancel one order of the run.

    `reduces` means that the order protects or reduces a position: its cancel serves another order
    that does, and leaves only once that can be stored. `by_venue_id` means that the venue lists the
    order under another client id: it is named by `venue_order_id`.
    """

    client_id: str
    symbol: int
    venue_order_id: str = ""
    reduces: bool = False
    by_venue_id: bool = False


class Amend(Command, frozen=True, kw_only=True, tag="amend"):
    """Replace the price or the rest of an open order; the new order has its own id."""

    client_id: str
    venue_order_id: str
    new_client_id: str
    parent: int
    symbol: int
    side: Side
    quantity: float
    limit_price: float
    deadline_ns: int


class CancelAll(Command, frozen=True, kw_only=True, tag="cancel_all"):
    """The kill switch: cancel all orders of the run at once, on a separate connection.

    With `flattens` positions are closed after it: it takes the protective stops, and leaves only
    once an order that closes can be stored. Until then `entries` are cancelled one by one.
    """

    symbols: tuple[int, ...]
    flattens: bool = False
    entries: tuple[Cancel, ...] = ()


class Query(Command, frozen=True, kw_only=True, tag="query"):
    """Query an order by client id; it was sent after `since_ns` (wall time).

    `by_venue_id` is that of `Cancel`. With an empty `client_id` it asks by the venue's id under
    which client id an order is listed; the answer has that one.
    """

    client_id: str
    symbol: int
    venue_order_id: str = ""
    since_ns: int = 0
    by_venue_id: bool = False


class Refresh(Command, frozen=True, kw_only=True, tag="refresh"):
    """Read the account again; fills since `since_ns` (wall time) of the symbols; or the filters."""

    what: Literal["holdings", "open_orders", "fills", "filters"]
    symbols: tuple[int, ...] = ()
    since_ns: int = 0


class Wake(Command, frozen=True, kw_only=True, tag="wake"):
    """Send `Ticked` at this wall time, or soon after."""

    at_ns: int


class Train(Command, frozen=True, kw_only=True, tag="train"):
    """Fit a model with data up to a time, outside this process."""

    number: int
    trained_to_ns: int
    cause: Cause = "schedule"


class Watched(Command, frozen=True, kw_only=True, tag="watched"):
    """A reading of a monitor: a row of monitoring.parquet.

    `value` and `threshold` are None where they are no numbers; `window` counts what was read.
    `compared` is what was compared with the threshold, None where it is the value.
    """

    time_ns: int
    metric: str
    value: float | None
    threshold: float | None
    verdict: Literal["ok", "warn", "block", "retrain", "halt"]
    window: int
    symbol: int = -1
    compared: float | None = None


class Decided(Command, frozen=True, kw_only=True, tag="decided"):
    """A row of the decision table. `features` are the bits of the float64 row."""

    time_ns: int
    symbol: int
    features: bytes
    probability_up: float | None
    confidence: float
    signal: Literal["none", "short", "flat", "long"]
    requested: float
    granted: float
    capped_by: str = ""
    rejected_by: str = ""
    late: bool = False


class Ruled(Command, frozen=True, kw_only=True, tag="ruled"):
    """Equity after a decision time: a row of the curve."""

    time_ns: int
    equity: float
    cash: float
    exposure: float


class Placed(Command, frozen=True, kw_only=True, tag="placed"):
    """The strategy has placed an order: a row of the order table.

    `sizing` are the finite numbers the sizing rule saw, by name.
    """

    time_ns: int
    order: int
    symbol: int
    side: Side
    order_type: OrderKind
    quantity: float
    reason: str
    decision_price: float
    limit_price: float | None = None
    trigger_price: float | None = None
    confidence: float | None = None
    probability_up: float | None = None
    sizing: dict[str, float] = {}


class Changed(Command, frozen=True, kw_only=True, tag="changed"):
    """An order's state has changed. `order` is the strategy's own order number."""

    order: int
    client_id: str
    symbol: int
    state: OrderState
    filled: float
    reason: str = ""


class Traded(Command, frozen=True, kw_only=True, tag="traded"):
    """A fill was booked: the execution, its fee, and the position net of fees after it.

    `liquidation` is what a liquidation cost beside the fill (quote). `fee_quote` is what was booked
    (quote) for a fee in a third currency, None for others. `fee_expected` means that what is booked
    is the fee expected of the account: the venue's own could not be read, or has no known price.
    """

    order: int
    symbol: int
    trade_id: str
    side: Side
    quantity: float
    price: float
    fee: float
    fee_currency: str
    position: float
    market_ns: int
    maker: bool = False
    reason: str = ""
    liquidation: float = 0.0
    fee_expected: bool = False
    fee_quote: float | None = None


class Corrected(Command, frozen=True, kw_only=True, tag="corrected"):
    """A fill was booked at a guess, and the venue lists what it was: the ledger is corrected.

    `of` is the trade id that was booked at `booked_price`, `trade_id` that of the venue; of a
    larger fill only this `quantity` is corrected. `cash` is what the cash has changed by (quote):
    the difference in price, less `fee_quote`, which was not booked before. `fee_revalued` is by how
    much more a fee was worth that was booked with the units, in the base (quote): no cash moves.

    With `fee_booked`, the expected fee that was booked (quote), the fee alone is corrected, and
    `fee_quote` is the value of the fee as it is now. `units` is by how much the position changes
    (base, signed) where one of both is in the base currency: at the price of the fill, in cash.
    `position` is the position after it. `fee_expected` is True as long as the venue has not stated
    it: the account has shown only that it was paid in another currency.
    """

    order: int
    symbol: int
    of: str
    trade_id: str
    side: Side
    quantity: float
    booked_price: float
    booked_ns: int
    price: float
    fee: float
    fee_currency: str
    fee_quote: float
    cash: float
    market_ns: int
    maker: bool = False
    fee_revalued: float = 0.0
    fee_booked: float | None = None
    units: float = 0.0
    position: float | None = None
    fee_expected: bool = False


class Funded(Command, frozen=True, kw_only=True, tag="funded"):
    """Funding was booked: `amount` was paid from the cash (quote); a negative one was received.

    It is `rate` of what was held, signed, valued at `price`: the last known mark.
    """

    time_ns: int
    symbol: int
    amount: float
    rate: float
    price: float


class Tripped(Command, frozen=True, kw_only=True, tag="tripped"):
    """A halt or a block began; `then` is its action, `clears_when` its end."""

    rule: str
    then: str
    clears_when: str
    equity: float
    text: str = ""


class Cleared(Command, frozen=True, kw_only=True, tag="cleared"):
    """A halt or a block ended; `by` is what ended it, `text` why a block had begun."""

    rule: str
    by: str
    text: str = ""


class InvalidAnswer(Command, frozen=True, kw_only=True, tag="invalid_answer"):
    """A rule returned a value that its kind does not allow: `times` so far, first at `first_ns`.

    `rule` is its key path in the file. It is counted once for each symbol and decision time.
    """

    rule: str
    rule_kind: str
    first_ns: int
    times: int


class Alerted(Command, frozen=True, kw_only=True, tag="alerted"):
    """An alert for the operator."""

    level: Literal["info", "warning", "error", "critical"]
    event: str
    text: str
    symbol: int = -1


COMMANDS = (
    Submit | Cancel | Amend | CancelAll | Query | Refresh | Wake | Train | Watched | Decided | Ruled
    | Placed | Changed | Traded | Corrected | Funded | Tripped | Cleared | InvalidAnswer
    | Alerted
)  # fmt: skip
"""Every command that the core gives."""
