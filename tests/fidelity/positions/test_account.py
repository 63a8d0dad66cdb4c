"""Fills to trades and round trips; words of the position; rules of conditions."""

from __future__ import annotations

import math

import pytest

from tests.exact_fraction import Fraction
from tests.fidelity.positions.account import Account, Holding
from tests.fidelity.positions.cases import one
from tests.fidelity.positions.exact import ceil_lots, exact, floor_lots, on_tick
from tests.fidelity.positions.expression import number, truth
from tests.fidelity.positions.settings import Add, Costs, Position, Signal, Take
from tests.fidelity.positions.words import POSITION_WORDS, position_words

NAN = math.nan
FLAT = (100.0,)


def booked(*fills: tuple[float, float, float], fee: float = 0.0) -> Account:
    """Book fills (units, price) of one symbol, a minute apart, each with a fee."""
    account = Account(exact(1000), {"A": Holding()})
    for time_ns, (units, price) in enumerate(f[:2] for f in fills):
        account.book("A", exact(units), exact(price), exact(fee), time_ns, "r")
    return account


# ------------------------------------------------------------------------------ trades


def test_a_trade_runs_flat_to_flat_at_average_cost() -> None:
    account = booked((10, 100, 0), (10, 110, 0), (-5, 120, 0))
    assert account.holdings["A"].entry_price == 105
    assert account.trades == []
    account.book("A", exact(-15), exact(100), exact(0), 9, "exit")
    (trade,) = account.trades
    # 5 * 15 less 15 * 5 is zero; it was entered for 2100.
    assert list(map(float, (trade.result, trade.entered, trade.units))) == [0.0, 2100.0, 20.0]
    assert trade.exit_reason == "exit"
    assert account.cash == 1000


def test_its_return_is_the_result_over_the_sum_of_entry_notionals() -> None:
    account = booked((10, 100, 0), (-5, 110, 0), (5, 110, 0), (-10, 120, 0), fee=1.0)
    (trade,) = account.trades
    # -1000 + 550 - 550 + 1200 less four fees; entered for 1000 + 550.
    assert list(map(float, (trade.result, trade.fees))) == [196.0, 4.0]
    assert trade.share == Fraction(196, 1550)


def test_a_short_trade() -> None:
    (trade,) = booked((-10, 100, 0), (10, 90, 0)).trades
    assert (trade.side, float(trade.result)) == (-1, 100.0)


def test_one_fill_never_crosses_zero() -> None:
    with pytest.raises(ValueError, match="crosses zero"):
        booked((10, 100, 0), (-11, 100, 0))


def test_an_open_trade_is_marked_and_the_sum_is_the_change_of_equity() -> None:
    account = booked((10, 100, 0), (-4, 120, 0), fee=1.0)
    (opened,) = account.open_trades({"A": exact(130)}, 5)
    # 4 * 20 + 6 * 30 less two fees.
    assert (float(opened.result), opened.exit_reason) == (258.0, "open")
    assert account.equity({"A": exact(130)}) == 1258


def test_round_trips_match_first_in_first_out() -> None:
    account = booked((10, 100, 0), (10, 110, 0), (-15, 120, 0), (-5, 105, 0), fee=3.0)
    found = [(int(t.units), int(t.entry_price), float(t.result)) for t in account.round_trips]
    # Fees by units: 3 + 2; 1.5 + 1; 1.5 + 3.
    assert found == [(10, 100, 195.0), (5, 110, 47.5), (5, 110, -29.5)]
    assert sum(t.result for t in account.round_trips) == account.trades[0].result


def test_win_rates_of_trades_and_of_round_trips_stand_beside_each_other() -> None:
    steps = Position(take=(Take(0.5, when="bars_held == 1"),))
    rows = [FLAT, FLAT, (110.0,), (110.0,), (50.0,), (50.0,)]
    out = one("L--x--", rows, position=steps)
    # Half is sold at 110 and half at 50: one losing trade, one round trip of two that won.
    assert (out.win_rate, out.round_trip_win_rate) == (Fraction(0), Fraction(1, 2))
    assert out.losses_in_a_row == 1


def test_a_turn_is_booked_as_two_trades() -> None:
    out = one("LS-x-", [FLAT] * 5)
    assert [(t.side, t.exit_reason) for t in out.trades] == [(1, "reversal"), (-1, "exit")]
    assert [(f.order, f.units > 0) for f in out.fills] == [
        (0, True), (1, False), (1, False), (2, True)
    ]  # fmt: skip


# ------------------------------------------------------------------------------ words


def test_words_of_a_flat_position_are_nan() -> None:
    words = position_words(Holding(), 100.0)
    assert words.pop("position") == 0.0
    assert all(map(math.isnan, words.values()))
    assert set(words) | {"position"} == set(POSITION_WORDS)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("position", 1.0),
        ("entry_price", 105.0),
        ("first_price", 100.0),
        ("last_price", 110.0),
        ("bars_held", 3.0),
        ("open_return", 0.2),  # 126/105 - 1
        ("best_return", 0.4),  # 147/105 - 1
        ("adds", 1.0),
    ],
)
def test_words_of_a_position(word: str, value: float) -> None:
    """Bought at the open of 100, added to at 110; the words stand after the fourth bar."""
    rows = [FLAT, FLAT, (110.0, 147.0, 110.0, 120.0), (120.0, 120.0, 120.0, 126.0), FLAT]
    rule = f"bars_held == 3 and {word} > {value - 1e-9} and {word} < {value + 1e-9}"
    signal = Signal(long_if="side > 0", exit_if=rule)
    out = one("L----", rows, signal=signal, position=Position(add=(Add(1.0, when="adds == 0"),)))
    assert [t.exit_reason for t in out.trades] == ["exit"]


def test_bars_held_is_one_at_the_close_of_the_bar_of_the_fill() -> None:
    signal = Signal(long_if="side > 0", exit_if="bars_held == 1")
    assert len(one("L--", [FLAT] * 3, signal=signal).trades) == 1


def test_open_return_of_a_short_and_before_fees() -> None:
    signal = Signal(short_if="side < 0", exit_if="open_return == 0.1")
    out = one("S---", [FLAT, FLAT, (90.0,), (90.0,)], signal=signal, costs=Costs(taker=0.01))
    assert len(out.trades) == 1


# ------------------------------------------------------------------------------ conditions


def test_what_touches_nan_is_unknown_and_only_true_acts() -> None:
    names = {"a": NAN, "b": 1.0}
    assert truth("a > 1", names) is None
    assert truth("a > 1 or b > 0", names) is True
    assert truth("a > 1 and b > 2", names) is False
    assert truth("not a > 1", names) is None
    assert math.isnan(number("b / 0", names))
    assert number("-b + 3 * 2", names) == 5.0
    compared = [truth(f"b {sign} 1", names) for sign in ("<", "<=", ">", ">=", "==", "!=")]
    assert compared == [False, True, False, True, True, False]
    assert truth("0 < b <= 1", names) is True


# ------------------------------------------------------------------------------ lots and ticks


def test_whole_lots_and_ticks() -> None:
    assert floor_lots(exact(2.99), exact(0.5)) == exact(2.5)
    assert floor_lots(exact(0.3333333333333333) * 30, exact(1)) == 10  # a hair below ten
    assert ceil_lots(exact(2.01), exact(0.5)) == exact(2.5)
    assert [on_tick(exact(1.23), exact(0.5), side) for side in (1, -1)] == [1.5, 1.0]
    assert on_tick(exact(1.23), exact(0), 1) == exact(1.23)
