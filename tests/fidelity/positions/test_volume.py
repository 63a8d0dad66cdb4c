"""What a share of a bar's volume holds back, by hand; prices of ten units a trade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.fidelity.positions.cases import LONG_ONLY, fills, market
from tests.fidelity.positions.exact import exact
from tests.fidelity.positions.settings import Add, Costs, Position, Sizing, Stops, Strategy, Take
from tests.fidelity.positions.simulator import Result, simulate

FLAT = (100.0, 101.0, 99.0, 100.0)
SIDES = {"L": 1.0, "x": 0.0, "-": float("nan")}


def thin(signals: str, rows: Sequence[Any], volumes: Sequence[float], **keys: Any) -> Result:
    """Run one symbol; half of each volume may fill."""
    made = market({"A": rows}, {"side": {"A": [SIDES[each] for each in signals]}})
    bars = [
        replace(bar, volume=exact(volume))
        for bar, volume in zip(made.bars["A"], volumes, strict=True)
    ]
    base: dict[str, Any] = {
        "signal": LONG_ONLY, "sizing": Sizing("fixed_quantity", 10),
        "costs": Costs(participation=0.5),
    }  # fmt: skip
    return simulate(Strategy(**(base | keys)), replace(made, bars={"A": bars}))


def test_the_rest_of_an_entry_ends_with_its_bar_and_that_of_an_exit_goes_on() -> None:
    out = thin("L-x---", [FLAT] * 6, [99, 12, 99, 4, 0, 99])
    assert fills(out) == [(1.0, 6.0, 100.0), (3.0, -2.0, 100.0), (5.0, -4.0, 100.0)]


@pytest.mark.parametrize(("volume", "first"), [(99, -5.0), (6, -3.0)])
def test_the_rest_of_a_take_rests_at_its_level(volume: float, first: float) -> None:
    rows = [FLAT, FLAT, (100.0, 103.0, 99.0, 100.0), FLAT, (100.0, 103.0, 99.0, 100.0)]
    out = thin(
        "L----", rows, [99, 99, volume, 99, 99], position=Position(take=(Take(0.5, at="2%"),))
    )
    later = [(5.0, -5.0 - first, 102.0)] if first > -5.0 else []
    assert fills(out) == [(1.0, 10.0, 100.0), (3.0, first, 102.0), *later]


def test_a_stop_gets_what_the_adds_before_it_have_left() -> None:
    rows = [FLAT, FLAT, (100.0, 101.0, 94.0, 95.0), (95.0, 95.0, 95.0, 95.0)]
    out = thin(
        "L---", rows, [99, 99, 14, 99], stops=Stops(stop_loss="5%"),
        position=Position(add=(Add(0.5, at=("-2%",)),)),
    )  # fmt: skip
    # 7 may fill: 5 are added at 98, the stop at 95 sells 2, and the rest goes on at the next open.
    assert fills(out) == [
        (1.0, 10.0, 100.0), (3.0, 5.0, 98.0), (3.0, -2.0, 95.0), (3.0, -13.0, 95.0),
    ]  # fmt: skip


@pytest.mark.parametrize(("at", "later"), [("-2%", [(4.0, 3.0, 98.0)]), ("2%", [])])
def test_the_rest_of_a_resting_add_rests_on_where_it_is_a_limit_order(
    at: str, later: list[tuple[float, float, float]]
) -> None:
    rows = [FLAT, FLAT, (100.0, 103.0, 97.0, 100.0), (100.0, 103.0, 97.0, 100.0)]
    out = thin("L---", rows, [99, 99, 4, 99], position=Position(add=(Add(0.5, at=(at,)),)))
    price = 98.0 if at == "-2%" else 102.0
    assert fills(out) == [(1.0, 10.0, 100.0), (3.0, 2.0, price), *later]


def test_a_stop_that_fills_in_parts_blocks_its_side_until_the_signal_differs_after_it() -> None:
    fall = (100.0, 101.0, 94.0, 100.0)
    rows = [FLAT, FLAT, fall, *[FLAT] * 6]
    volumes = [99, 99, 10, 6, 99, 99, 99, 99, 99]
    out = thin("LLxxLLxLL", rows, volumes, stops=Stops(stop_loss="5%"))
    # 5 units are sold at 95 in the third bar, 3 and 2 at the opens that follow; the signals that
    # differ meanwhile are of a position that is still held.
    assert fills(out) == [
        (1.0, 10.0, 100.0), (3.0, -5.0, 95.0), (3.0, -3.0, 100.0), (4.0, -2.0, 100.0),
        (8.0, 10.0, 100.0),
    ]  # fmt: skip


def test_adds_are_shares_of_what_the_first_order_has_filled() -> None:
    rows = [FLAT, FLAT, (100.0, 101.0, 97.0, 100.0)]
    out = thin("L--", rows, [99, 8, 99], position=Position(add=(Add(0.5, at=("-2%",)),)))
    assert fills(out) == [(1.0, 4.0, 100.0), (3.0, 2.0, 98.0)]
