"""What must be true after every fault: both books agree, and a restart changes nothing."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import Final

from septet import messages as m
from septet._drill.record_checks import check_trading
from septet._drill.trading_records import RunRecord, VenueRecord
from septet._drill.venue.venue_journal import FillMade, OrderChanged
from septet._journal.reader import Reader
from tests.faults.process_harness import ProcessHarness

__all__ = ["FEW", "MANY", "held", "assert_agreement"]

_ASKED: Final = os.environ.get("SEPTET_FAULTS_TIMES", "")
MANY: Final = max(20, int(_ASKED or 20))
"""How often a fault is made where a time costs milliseconds."""
FEW: Final = int(_ASKED or 1)
"""How often it is made with real processes."""
_ACTS: Final = (m.Submit, m.Amend, m.Cancel, m.Changed, m.Traded)
_STATUS: Final = {
    "open": "NEW", "partially_filled": "PARTIALLY_FILLED", "filled": "FILLED",
    "cancelled": "CANCELED",
}  # fmt: skip

_held: dict[str, int] = {}


def held(code: str, times: int = 1) -> None:
    """Count a fault after which everything was as it must be."""
    _held[code] = _held.get(code, 0) + times


def tally() -> dict[str, int]:
    """Return how often each fault was made and held, in this process."""
    return dict(_held)


def theirs(harness: ProcessHarness) -> VenueRecord:
    """Return what really happened at the venue in memory, as a book of the drill."""
    venue, book = harness.venue, VenueRecord()
    for number, (name, order) in enumerate(venue._orders.items()):
        submit = order.submit
        book.orders[number] = OrderChanged(
            at_ns=0, execution="", order_id=number, client_id=name, symbol="BTCUSDT",
            side=submit.side, type=submit.order_type, tif="", quantity=repr(submit.quantity),
            price="", stop="", status=_STATUS[order.state], executed="", quote_executed="",
            created_ms=0, by="client", owner="us",
        )  # fmt: skip
    for number, fill in enumerate(venue._fills):
        book.fills["BTCUSDT", fill.trade_id] = FillMade(
            at_ns=fill.at_ns, market_ns=0, trade_id=number, order_id=0, client_id=fill.client_id,
            symbol="BTCUSDT", side=fill.side, quantity=repr(fill.quantity),
            price=repr(fill.price), quote_quantity="", fee=repr(fill.fee),
            fee_asset=fill.fee_currency, maker=fill.maker, owner="us",
        )  # fmt: skip
    book.posts = harness.posts
    book.opening = {"USDT": Decimal(1_000)}
    account = venue._account
    book.balances = {
        "USDT": Decimal(repr(account.cash)),
        "BTC": Decimal(repr(account.quantity(0, account.held(0)))),
    }
    return book


def findings(harness: ProcessHarness) -> list[str]:
    """Compare the journal with what really happened."""
    with Reader(harness.path) as journal:
        ours = RunRecord(journal.head).take(journal.read())
    return [str(each) for each in check_trading(theirs(harness), ours)]


async def assert_agreement(harness: ProcessHarness, *, restarts: bool = True) -> None:
    """Assert that both books agree, that a restart changes nothing, and that a replay is exact."""
    about = f"seed {harness.seed} after {len(harness.moments)} moments and {harness.starts} starts"
    found = findings(harness)
    assert not found, f"{about}: {'; '.join(found)}"
    if restarts:
        before = len(harness.rows())
        await harness.bury()
        await harness.start()
        await harness.quote(harness.price)
        did = [
            each for _, caused in harness.rows()[before:] for each in caused
            if isinstance(each, _ACTS)
        ]  # fmt: skip
        assert not did, f"{about}: the second restart did {did}"
        found = findings(harness)
        assert not found, f"{about}, then: {'; '.join(found)}"
    await harness.bury()
    assert harness.differences() == 0, f"{about}: the replay differs"
