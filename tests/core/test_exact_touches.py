"""What acts at a level or a share acts where a price or the equity is exactly there."""

from __future__ import annotations

import pytest

from tests.core.cases import bars_of, simulate

TOUCHES = [(entry, percent) for entry in range(50, 62) for percent in (1, 2, 3, 5)]


def flat(price: float) -> tuple[float, float, float, float]:
    return (price, price, price, price)


def exact(price: float, percent: float) -> float:
    """The price so many percent higher, on the tick."""
    return round(price * (100 + percent) / 100, 2)


def moves(start: float, end: float) -> tuple[float, float, float, float]:
    return (start, max(start, end), min(start, end), end)


@pytest.mark.parametrize("side", [1, -1])
def test_a_stop_acts_at_its_level(side):
    for entry, percent in TOUCHES:
        stop = exact(entry, -side * percent)
        rows = [flat(entry), flat(entry), moves(entry, stop), flat(stop)]
        out = simulate("L---" if side > 0 else "S---", bars_of(rows),
                       stops={"stop_loss": percent / 100}, spot=False)  # fmt: skip
        assert [each[0] for each in out.fills] == [1, 3], (entry, percent)


@pytest.mark.parametrize("side", [1, -1])
def test_a_trailing_stop_acts_at_its_level_and_from_exactly_its_profit(side):
    for entry, percent in TOUCHES:
        best = exact(entry, side * percent)
        if round(best, 1) != best:
            continue  # its stop lies between two ticks
        stop = exact(best, -side * 10)
        rows = [flat(entry), flat(entry), moves(entry, best), moves(best, stop), flat(stop)]
        keys = {"trailing": {"distance": 0.1, "after": percent / 100}}
        out = simulate("L----" if side > 0 else "S----", bars_of(rows), stops=keys, spot=False)
        assert [each[0] for each in out.fills] == [1, 4], (entry, percent)


def test_a_target_is_not_reached_at_its_level():
    for entry, percent in TOUCHES:
        target = exact(entry, percent)
        rows = [flat(entry), flat(entry), moves(entry, target), flat(entry)]
        out = simulate("L---", bars_of(rows), stops={"take_profit": percent / 100})
        assert len(out.fills) == 1, (entry, percent)


@pytest.mark.parametrize("side", "LS")
def test_an_order_of_exactly_the_minimum_notional_is_sent(side):
    """A venue multiplies decimals: 0.07 of 101.3 is 7.091, and a float below it."""
    found = 0
    for price, amount in [(p / 10, q / 100) for p in range(1_000, 1_040, 5) for q in (3, 7, 11)]:
        least = round(price * amount, 3)
        found += price * amount < least
        rows = [flat(price)] * 4
        out = simulate(f"{side}-??", bars_of(rows), amount=amount, min_notional=least,
                       spot=False, after=1)  # fmt: skip
        assert [each[1] for each in out.ended] == ["filled", "filled"], (price, amount)
        more = least * (1.0 + 1e-9)
        out = simulate(f"{side}-??", bars_of(rows), amount=amount, min_notional=more, spot=False)
        assert out.rejected[0] == "min_notional", (price, amount)
    assert found > 1, "products below the decimal are among them"


@pytest.mark.parametrize("name", ["drawdown", "daily_loss"])
def test_a_halt_trips_at_its_share(name):
    for entry, percent in TOUCHES:
        low = exact(entry, -percent)
        rows = [flat(entry), flat(entry), moves(entry, low), flat(low)]
        halt = {"above": percent / 100, "then": "block_entries"}
        out = simulate("L---", bars_of(rows), amount=1.0, capital=float(entry),
                       halts={name: halt})  # fmt: skip
        assert [each[1:] for each in out.halts] == [(name, "tripped")], (entry, percent)
