"""Regular buys by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fidelity.positions.cases import fills, one, what
from tests.fidelity.positions.settings import (
    BuyEvery,
    Costs,
    Halt,
    Instrument,
    Limits,
    Position,
    Stops,
    TradingHours,
)
from tests.fidelity.positions.simulator import Result

FLAT = (100.0,)


def ran(count: int, rows: list[Any] | None = None, amount: float = 1000.0, **keys: Any) -> Result:
    position = Position(buy_every=BuyEvery("2h", amount))
    base = {"signal": None, "sizing": None, "position": position} | keys
    return one("-" * count, rows or [FLAT] * count, **base)


def test_it_buys_for_the_amount_fees_included_when_due() -> None:
    out = ran(5, costs=Costs(taker=0.25), instrument=Instrument(lot=1.0))
    # 1000/(100 * 1.25) = 8 units at 2 h and 4 h, filled at the next open.
    assert fills(out) == [(2.0, 8.0, 100.0), (4.0, 8.0, 100.0)]


def test_it_is_one_position_at_average_cost() -> None:
    out = ran(5, [FLAT, FLAT, FLAT, (100.0,), (200.0,)])
    # Ten units at 100, and ten decided at a close of 100 that fill at 200.
    (trade,) = out.open_trades
    assert (float(trade.units), float(trade.entered)) == (20.0, 3000.0)
    assert float(trade.result) == 1000.0


def test_it_buys_from_cash_at_hand() -> None:
    out = ran(7, amount=4000.0, limits=Limits(position=2.0, gross=2.0))
    # 4000 and 4000, then the 2000 that are left.
    assert [each[1] for each in fills(out)] == [40.0, 40.0, 20.0]
    assert what(out)[0] == (6.0, "capped_by cash", "buy_every")


def test_a_blocked_buy_is_dropped_and_reported() -> None:
    hours = TradingHours(open="mon 03:30-09:00 UTC")
    out = ran(5, hours=hours)
    assert fills(out) == [(4.0, 10.0, 100.0)]
    assert what(out) == [(2.0, "closed_hours", "buy_every")]


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"instrument": Instrument(min_notional=2000.0)}, "min_notional"),
        ({"limits": Limits(max_positions=0)}, "max_positions"),
    ],
)
def test_every_check_may_block_it(keys: dict[str, Any], why: str) -> None:
    out = ran(3, **keys)
    assert (fills(out), what(out)) == ([], [(2.0, why, "buy_every")])


def test_no_re_entry_block_holds_it_up() -> None:
    rows = [FLAT, FLAT, (100.0, 100.0, 80.0, 90.0), (90.0,), (90.0,)]
    out = ran(5, rows, stops=Stops(stop_loss="10%"), reentry=9)
    assert [each[0] for each in fills(out)] == [2.0, 3.0, 4.0]


def test_a_halt_blocks_it() -> None:
    rows = [FLAT, FLAT, FLAT, (20.0,), (20.0,), (20.0,), (20.0,)]
    out = ran(7, rows, amount=5000.0, halt=Halt(0.2, "block_entries"))
    assert [each[0] for each in fills(out)] == [2.0]
    assert (4.0, "halted", "buy_every") in what(out)
