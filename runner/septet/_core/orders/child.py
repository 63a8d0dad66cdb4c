"""State of one request at the venue: its order, its fills, and what is scheduled about it."""

from __future__ import annotations

import msgspec

from septet import messages as m

__all__ = ["Child"]


class Child(msgspec.Struct, kw_only=True, array_like=True, gc=False):
    """One request at the venue, with an id of its own.

    Times are UTC ns (wall time); 0 means never, or not scheduled. Quantities and units are in the
    base currency, unsigned; prices in the quote currency.

    Attributes
    ----------
    client_id, venue_order_id
        Its id as sent, and the venue's own id once known.
    parent
        Number of the parent; -1 for a protective stop (`protects`).
    sign, quantity, tolerance
        +1 to buy and -1 to sell; the quantity sent; by how much a sum of fills may miss it.
    kind, limit_price, trigger_price, reduces
        The order as sent.
    sent_ns, trace
        When it was sent, and the trace of its decision.
    state, reason
        Its state, which never gains a lower rank, and the reason of its end.
    replaces, replaced_by
        Client ids of the orders before and after an amend.
    exists, echoed
        Whether the venue has reported it, and with the values that were sent.
    counted, seen
        Units booked from fills, and the largest executed quantity that was reported.
    trades, paid, traded_ns
        Ids of its booked trades, the price of each by its key, the time of the newest.
    guessed
        Keys of executions booked at another price than reported.
    claim, claim_text
        The final state that the venue reports while executions are missing, and its text.
    received_ns, unknown_ns, vanished_ns
        When it was last reported; when it became unknown; since when no read finds it.
    query_next_ns, query_pause_ns, fills_ns, fills_pause_ns, account_ns, account_pause_ns
        Next query of the order, of its executions and of the account, and the pause after each.
    missing_ns, reported_ns, lost
        Since when executions are missing; when the venue last reported a larger executed quantity
        than was known; whether they count as lost.
    cancels, delete_ns, delete_failed_ns, delete_next_ns, delete_pause_ns
        Whether it is to be cancelled; the cancel in flight, the last that failed, and the next.
    final_ns
        When it became final.
    alarmed, alarmed_unfilled
        Whether a person was asked about missing executions; whether an open exit was reported.
    accepted
        Whether a person who was asked about missing executions has resumed.
    let_go
        Whether an exit was sent although executions of this stop are missing.
    presumed, presumed_units, presumed_price, presumed_id, presumed_ns, presumed_fee
        Whether the account showed missing executions, so that they are booked; the units that no
        list shows so far, their price, the fill they are booked as, its market time, and the part
        of their fee that was booked in the base.
    read_filled, read_ns, shown_filled, shown_ns
        Executed quantity in the newest read of the order, and in the newest answer to a query.
    contradiction, contradicted_ns, contradicted_end, agreed_ns
        The last report that contradicts itself, when it came (0 once resolved), the final state in
        it; when a read last showed the order open with plausible quantities.
    unconfirmed, unconfirmed_ns, disproved
        An end that was reported and that no query has shown yet; whether one has shown otherwise.
    differs
        Whether the venue accepted another order than was requested.
    unexplained, unexplained_ns, looked_ns
        What may be this order under another id while it is unknown; when the account was last read
        for that.
    by_venue_id, ambiguous
        Whether the venue lists it under another client id; whether two orders of the venue contain
        its id, so that nothing is booked for it.
    surplus
        What the account held beyond the position when it was sent (base, signed), as last read.
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
    surplus: float = 0.0

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
