"""Prices and fees of executions that cannot be true, through a whole process."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from septet import messages as m
from septet._host.adapter_values import with_readable_fee
from tests.faults.fault_checks import held
from tests.faults.process_harness import ProcessHarness

RISING = (100.0, 100.5, 101.5, 103.0, 104.5, 106.0)
EXPECTED = 0.001
"""The rate of fees in the file."""
Bend = Callable[[m.Filled], m.Filled]


async def lied_to(folder: Path, side: str, bend: Bend) -> ProcessHarness:
    """Begin a run whose executions of a side are altered, wherever the venue reports them."""
    folder.mkdir(parents=True)
    harness = ProcessHarness(folder, 2)
    await harness.start()

    def bent(each: Any) -> Any:
        return bend(each) if isinstance(each, m.Filled) and each.side == side else each

    put = harness.venue._sink
    harness.venue._sink = lambda event: put(with_readable_fee(bent(event)))
    harness.bend = lambda name, answer: [*map(bent, answer)] if name == "fills" else answer
    return harness


async def until_filled(harness: ProcessHarness) -> None:
    """Let the price rise until the entry was executed; no time passes afterwards."""
    for close in RISING:
        await harness.bar(close)
        if harness.venue._fills:
            return
    raise AssertionError("nothing was bought")


def booked(harness: ProcessHarness) -> list[m.Traded]:
    return harness.commands(m.Traded)


def stops(harness: ProcessHarness) -> list[m.Submit]:
    return [each for each in harness.commands(m.Submit) if each.order_type == "stop"]


def blocks(harness: ProcessHarness) -> set[str]:
    tripped = {each.rule for each in harness.commands(m.Tripped)}
    return tripped - {each.rule for each in harness.commands(m.Cleared)}


@pytest.mark.parametrize("factor", [1e-6, 0.5, 1e3])
def test_a14_a_price_that_cannot_be_moves_no_stop_and_trips_no_halt(
    tmp_path: Path, factor: float
) -> None:
    async def scene() -> None:
        harness = await lied_to(
            tmp_path / "run", "buy",
            lambda fill: msgspec.structs.replace(fill, price=fill.price * factor),
        )  # fmt: skip
        await until_filled(harness)
        (true,) = harness.venue._fills
        assert booked(harness) == []
        assert "disputed_fill:BTC/USDT" in blocks(harness)
        for _ in range(3):
            await harness.quote(harness.price, 2 * 10**9)
        (fill,) = booked(harness)
        assert fill.quantity == true.quantity
        assert fill.price == pytest.approx(true.price, rel=0.01)
        assert stops(harness)[-1].trigger_price == pytest.approx(0.95 * true.price, rel=0.01)
        assert "drawdown" not in blocks(harness)
        assert "disputed_fill:BTC/USDT" in blocks(harness), "until a person has seen it"
        await harness.bury()
        assert harness.differences() == 0
        held("A14")

    asyncio.run(scene())


@pytest.mark.parametrize(
    "reported",
    [
        {"fee": math.nan}, {"fee": math.inf}, {"fee": 99_999.0, "fee_currency": "USDT"},
        {"fee": -99_999.0, "fee_currency": "USDT"}, {"fee": 5.0, "fee_currency": ""},
        {"fee": 5.0, "fee_currency": "BNB", "fee_quote": 3_000.0}, {"fee": 1.0},
        {"fee": 0.0, "fee_currency": "", "fee_unread": "fee: found 'abc', expected a number"},
        {"fee_currency": "\x1b[31m"},
        {"fee": 1e-6, "fee_unread": "a venue whose schedule asks for less than the file"},
    ],
)  # fmt: skip
def test_a15_a_fee_that_cannot_be_loses_no_execution_and_no_stop(
    tmp_path: Path, reported: dict[str, Any]
) -> None:
    async def scene() -> None:
        changes = {"fee_currency": "BTC", **reported}
        harness = await lied_to(
            tmp_path / "run", "buy", lambda fill: msgspec.structs.replace(fill, **changes)
        )
        await until_filled(harness)
        (true,) = harness.venue._fills
        rows = [caused for event, caused in harness.rows() if isinstance(event, m.Filled)]
        (fill,) = [each for each in rows[0] if isinstance(each, m.Traded)]
        assert (fill.quantity, fill.price) == (true.quantity, true.price)
        assert (fill.fee, fill.fee_currency) == (EXPECTED * true.quantity, "BTC")
        assert fill.fee_expected
        assert fill.position == pytest.approx((1.0 - EXPECTED) * true.quantity, abs=1e-8)
        (stop,) = [each for each in rows[0] if isinstance(each, m.Submit)]
        assert stop.order_type == "stop", "the position is protected within the same turn"
        assert stop.quantity <= fill.position
        alerts = [each for each in rows[0] if isinstance(each, m.Alerted)]
        assert [each.event for each in alerts if each.level == "error"] == ["fee_unread"]
        assert [each.what for each in rows[0] if isinstance(each, m.Refresh)][:1] == ["holdings"]
        await harness.bury()
        assert harness.differences() == 0
        held("A15")

    asyncio.run(scene())


def test_a15_a_schedule_that_asks_for_more_than_the_file_counts(tmp_path: Path) -> None:
    async def scene() -> None:
        harness = await lied_to(
            tmp_path / "run", "buy",
            lambda fill: msgspec.structs.replace(
                fill, fee=0.01 * fill.quantity, fee_currency="BTC", fee_unread="x"
            ),
        )  # fmt: skip
        await until_filled(harness)
        (fill,) = booked(harness)
        assert fill.fee == pytest.approx(0.01 * fill.quantity)
        await harness.bury()
        held("A15")

    asyncio.run(scene())


def test_a15_what_a_sale_cost_is_expected_in_what_was_received(tmp_path: Path) -> None:
    async def scene() -> None:
        harness = await lied_to(
            tmp_path / "run", "sell", lambda fill: msgspec.structs.replace(fill, fee=math.nan)
        )
        await until_filled(harness)
        for close in (104.0, 100.0, 96.0, 94.0):
            await harness.bar(close)
        sale = next(each for each in booked(harness) if each.side == "sell")
        assert sale.fee == pytest.approx(EXPECTED * sale.quantity * sale.price)
        assert (sale.fee_currency, sale.fee_expected, sale.position) == ("USDT", True, 0.0)
        await harness.bury()
        held("A15")

    asyncio.run(scene())
