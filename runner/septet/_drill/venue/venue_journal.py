"""The venue's own journal: what really happened, independent of its answers.

JSON lines, one row each, written before the answer leaves; rows are typed, `read_venue_journal`
reads a file back. Amounts are decimal texts, times wall time in UTC nanoseconds unless named
otherwise.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import msgspec

from septet._drill.venue.amounts import text
from septet._drill.venue.orders import Fill, Order
from septet._files import open_append

__all__ = [
    "Answered", "BalanceChanged", "FaultInjected", "FillMade", "OrderChanged", "RequestSeen",
    "Row", "JournalContent", "VenueJournal", "read_venue_journal",
]  # fmt: skip


class _Row(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="row"):
    at_ns: int


class RequestSeen(_Row, frozen=True, kw_only=True, tag="request"):
    """A request as it came in; `number` ties its answer to it."""

    number: int
    method: str
    path: str
    symbol: str = ""
    client_id: str = ""
    order_id: str = ""


class Answered(_Row, frozen=True, kw_only=True, tag="answer"):
    """The answer to a request; `sent` is False if a fault held it back."""

    number: int
    status: int
    code: int = 0
    sent: bool = True


class OrderChanged(_Row, frozen=True, kw_only=True, tag="order"):
    """An order after a change of its state; `by` is ``client``, ``venue`` or ``other``.

    `sent_as` is the client id of the request where the order is listed under another one.
    """

    execution: str
    order_id: int
    client_id: str
    symbol: str
    side: str
    type: str
    tif: str
    quantity: str
    price: str
    stop: str
    status: str
    executed: str
    quote_executed: str
    created_ms: int
    by: str
    owner: str
    sent_as: str = ""

    @property
    def own_id(self) -> str:
        """The client id of the request."""
        return self.sent_as or self.client_id


class FillMade(_Row, frozen=True, kw_only=True, tag="fill"):
    """An execution; `sent_as` is that of its order."""

    market_ns: int
    trade_id: int
    order_id: int
    client_id: str
    symbol: str
    side: str
    quantity: str
    price: str
    quote_quantity: str
    fee: str
    fee_asset: str
    maker: bool
    owner: str
    sent_as: str = ""

    @property
    def own_id(self) -> str:
        """The client id of the request for its order."""
        return self.sent_as or self.client_id


class BalanceChanged(_Row, frozen=True, kw_only=True, tag="balance"):
    """A balance after a change, and why: the execution, or ``deposit`` or ``withdrawal``."""

    asset: str
    free: str
    locked: str
    cause: str


class FaultInjected(_Row, frozen=True, kw_only=True, tag="fault"):
    """An injected fault; `number` is its place in the plan, `count` how often it was injected."""

    code: str
    number: int
    count: int
    symbol: str = ""
    client_id: str = ""
    detail: str = ""


Row = RequestSeen | Answered | OrderChanged | FillMade | BalanceChanged | FaultInjected


class JournalContent(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the venue's journal: current orders, fills, balances, faults, requests.

    `request_counts` counts every request by "METHOD path".
    """

    orders: list[OrderChanged]
    fills: list[FillMade]
    balances: dict[str, tuple[str, str]]
    faults: list[FaultInjected]
    requests: list[RequestSeen]
    request_counts: dict[str, int]
    fault_counts: dict[str, int]


class VenueJournal:
    """Writes rows to a file, and keeps what a dump needs."""

    def __init__(self, path: str = "") -> None:
        # Unbuffered: a row is with the system before the answer it stands for leaves.
        self._file = os.fdopen(open_append(Path(path)), "ab", buffering=0) if path else None
        self._encode = msgspec.json.Encoder().encode
        self.orders: dict[int, OrderChanged] = {}
        self.fills: list[FillMade] = []
        self.balances: dict[str, tuple[str, str]] = {}
        self.faults: list[FaultInjected] = []
        self.requests: list[RequestSeen] = []
        self.request_counts: Counter[str] = Counter()

    def write(self, row: Row) -> None:
        """Append a row."""
        if isinstance(row, RequestSeen):
            self.request_counts[f"{row.method} {row.path}"] += 1
            if row.client_id or row.order_id:
                self.requests.append(row)
        elif isinstance(row, BalanceChanged):
            self.balances[row.asset] = (row.free, row.locked)
        elif isinstance(row, OrderChanged):
            self.orders[row.order_id] = row
        elif isinstance(row, FillMade):
            self.fills.append(row)
        elif isinstance(row, FaultInjected):
            self.faults.append(row)
        if self._file is not None:
            self._file.write(self._encode(row) + b"\n")

    def order(self, at_ns: int, order: Order, execution: str, by: str) -> None:
        """Write an order as it is now."""
        asked = order.asked
        self.write(
            OrderChanged(
                at_ns=at_ns, execution=execution, order_id=order.order_id,
                client_id=asked.client_id, symbol=asked.symbol, side=asked.side, type=asked.type,
                tif=asked.tif, quantity=text(order.quantity), price=text(asked.price),
                stop=text(asked.stop), status=order.status, executed=text(order.executed),
                quote_executed=text(order.quote_executed), created_ms=order.created_ms, by=by,
                owner=asked.by, sent_as=asked.sent_as,
            )
        )  # fmt: skip

    def fill(self, at_ns: int, market_ns: int, order: Order, fill: Fill) -> None:
        """Write an execution."""
        self.write(
            FillMade(
                at_ns=at_ns, market_ns=market_ns, trade_id=fill.trade_id, order_id=fill.order_id,
                client_id=order.asked.client_id, symbol=fill.symbol, side=order.asked.side,
                quantity=text(fill.quantity), price=text(fill.price),
                quote_quantity=text(fill.quote), fee=text(fill.fee), fee_asset=fill.fee_asset,
                maker=fill.maker, owner=order.asked.by, sent_as=order.asked.sent_as,
            )
        )  # fmt: skip

    def dump(self) -> JournalContent:
        """Return everything known by now."""
        return JournalContent(
            orders=list(self.orders.values()), fills=list(self.fills),
            balances=dict(self.balances), faults=list(self.faults), requests=list(self.requests),
            request_counts=dict(self.request_counts),
            fault_counts=self._fault_counts(),
        )  # fmt: skip

    def _fault_counts(self) -> dict[str, int]:
        """Count injections by code; a fault's last row bears its count."""
        last = {fault.number: fault for fault in self.faults}
        counts: Counter[str] = Counter()
        for fault in last.values():
            counts[fault.code] += fault.count
        return dict(counts)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def read_venue_journal(path: Path) -> list[Row]:
    """Read the rows of a venue's journal, in order."""
    decode = msgspec.json.Decoder(Row).decode
    return [decode(line) for line in path.read_bytes().splitlines()]
