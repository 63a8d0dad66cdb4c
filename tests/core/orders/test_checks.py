"""The last check before the wire: what each rule rejects, and what no rule touches."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from septet._core.checks import (
    FUZZ,
    Checks,
    Instrument,
    Limits,
    _digits,
    floor_to_lot,
    inward,
    outward,
)

NOW = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
PRICE = 100.0


def checks(**rest: Any) -> Checks:
    instrument = Instrument(
        symbol="A", lot=0.001, tick=0.01, min_notional=5.0, min_quantity=0.01, max_quantity=50.0
    )
    made = Checks([instrument, msgspec.structs.replace(instrument)], Limits(**rest))
    made.equity = 10_000.0
    made.priced(0, PRICE, NOW)
    made.priced(1, PRICE, NOW)
    return made


def ask(made: Checks, quantity: float = 1.0, **rest: Any) -> str:
    given: dict[str, Any] = {
        "k": 0, "sign": 1, "rest": quantity, "limit": None, "trigger": None, "reduces": False,
        "decided": PRICE, "now_ns": NOW, **rest,
    }  # fmt: skip
    return made.check(quantity=quantity, **given)


def test_an_order_within_all_limits_passes() -> None:
    assert ask(checks()) == ""


@pytest.mark.parametrize(
    ("quantity", "rest", "limits", "reason"),
    [
        (1.0, {"rest": 0.5}, {}, "child"),
        (math.nan, {"rest": 1.0}, {}, "child"),
        (math.inf, {}, {}, "child"),
        (0.0, {}, {}, "child"),
        (1.0005, {}, {}, "lot"),
        (1.0, {"limit": 99.995}, {}, "tick"),
        (1.0, {"limit": 106.0}, {}, "collar"),
        (1.0, {"limit": 94.0}, {}, "collar"),
        (1.0, {"limit": math.nan}, {}, "collar"),
        (1.0, {"trigger": 106.0}, {}, "collar"),
        (1.0, {"decided": 94.0}, {}, "collar"),
        (1.0, {"now_ns": NOW + 121 * SECOND}, {}, "no_price"),
        (10.0, {}, {"max_order_value": 999.0}, "max_order_value"),
        (51.0, {}, {}, "max_quantity"),
        (0.009, {}, {}, "min_quantity"),
        (0.049, {}, {}, "min_notional"),
        (11.0, {}, {"position": 0.1}, "position"),
        (11.0, {}, {"gross": 0.1}, "gross"),
    ],
)
def test_what_each_rule_rejects(
    quantity: float, rest: dict[str, Any], limits: dict[str, Any], reason: str
) -> None:
    assert ask(checks(**limits), quantity, **rest) == reason


def test_c2_a_hundred_times_too_large_is_rejected() -> None:
    made = checks(max_order_value=2_000.0)
    assert ask(made, 10.0) == ""
    assert ask(made, 1_000.0) == "max_order_value"


@pytest.mark.parametrize("price", [0.0, math.nan, math.inf, -1.0])
def test_d4_an_implausible_price_rejects_entries(price: float) -> None:
    made = checks()
    made.priced(0, price, NOW)
    assert ask(made) in {"no_price", "collar", "max_order_value"}
    assert ask(made, reduces=True) == ""


@pytest.mark.parametrize("equity", [0.0, -1.0, math.nan, math.inf])
def test_without_equity_nothing_is_entered(equity: float) -> None:
    made = checks()
    made.equity = equity
    assert ask(made) == "equity"
    assert ask(made, reduces=True) == ""


def test_a_reduction_is_held_to_its_parent_the_lot_and_the_rate_alone() -> None:
    made = checks(max_order_value=1.0, position=0.001, orders_per_minute=1)
    made.throttled = made.broken = True
    late = NOW + 10_000 * SECOND
    assert ask(made, reduces=True, limit=500.0, decided=1.0, now_ns=late) == ""
    assert ask(made, reduces=True, rest=0.5) == "child"
    assert ask(made, 1.0005, reduces=True) == "lot"


def test_half_of_the_rate_is_for_entries_and_it_comes_back() -> None:
    made = checks(orders_per_minute=6, repeats=100)
    for i in range(3):
        assert ask(made) == ""
        made.sent(0, 1, 1.0 + i, False, NOW)
    assert ask(made) == "rate"
    assert ask(made, reduces=True) == ""
    made.priced(0, PRICE, NOW + 60 * SECOND)
    assert ask(made, now_ns=NOW + 60 * SECOND) == ""


def test_reductions_have_a_hard_rate_of_their_own() -> None:
    made = checks(reductions_per_minute=2)
    for _ in range(2):
        made.sent(0, -1, 1.0, True, NOW)
    assert ask(made, sign=-1, reduces=True) == "rate"
    assert ask(made, sign=-1, reduces=True, now_ns=NOW + 61 * SECOND) == ""


def test_c5_an_order_repeated_too_often_is_blocked_until_it_is_re_armed() -> None:
    made = checks(repeats=3)
    for _ in range(3):
        made.sent(0, 1, 1.0, False, NOW)
    assert ask(made, 2.0) == ""
    assert ask(made) == "throttled"
    assert ask(made, 2.0) == "throttled", "everything is off"
    later = NOW + 1_000 * SECOND
    made.priced(0, PRICE, later)
    assert ask(made, now_ns=later) == "throttled", "time alone clears nothing"
    made.rearm()
    assert ask(made, now_ns=later) == ""


def test_m2_flipping_too_often_stops_entries_until_a_person_resumes() -> None:
    made = checks(flips=3, orders_per_minute=1_000)
    for i in range(5):
        made.sent(0, 1 if i % 2 else -1, 1.0 + i, False, NOW)
    assert ask(made) == "turnover"
    assert ask(made, reduces=True) == ""
    made.rearm()
    assert ask(made) == "turnover"
    made.resume()
    assert ask(made) == ""


def test_c5_turnover_beyond_equity_stops_entries_and_old_trades_are_forgotten() -> None:
    made = checks(turnover=2.0)
    made.booked(0, 15_000.0 / PRICE, PRICE, NOW, NOW)
    assert ask(made) == ""
    much_later = NOW + 2 * 3_600 * SECOND
    made.priced(0, PRICE, much_later)
    made.booked(0, 15_000.0 / PRICE, PRICE, much_later, much_later)
    assert ask(made, now_ns=much_later) == ""
    made.booked(0, 5_001.0 / PRICE, PRICE, much_later, much_later)
    assert ask(made, now_ns=much_later) == "turnover"


def test_the_worst_case_counts_open_orders_and_those_of_others() -> None:
    made = checks(position=0.5, slack=0.0)
    made.held(0, 20.0, 25.0, 0.0)
    assert ask(made, 5.0) == ""
    assert ask(made, 6.0) == "position"
    made.held(1, -10.0, 0.0, 50.0)
    assert made.gross == (45 + 60) * 100 * 1_000_000
    assert ask(made, 1.0, sign=-1) == "", "it makes the worst case no worse"
    assert ask(made, 1.0) == "gross"


def test_amends_fit_into_the_rate_beside_entries() -> None:
    made = checks(orders_per_minute=2)
    assert made.may_amend(NOW)
    made.amended(NOW)
    made.amended(NOW)
    assert not made.may_amend(NOW)
    assert made.may_amend(NOW + 61 * SECOND)


def test_a_restored_snapshot_continues_identically() -> None:
    made = checks(repeats=3, turnover=2.0)
    made.held(0, 3.0, 1.0, 0.5)
    for _ in range(3):
        made.sent(0, 1, 1.0, False, NOW)
    made.booked(0, 19_950.0 / PRICE, PRICE, NOW, NOW)
    other = checks(repeats=3, turnover=2.0)
    other.restore(made.snapshot())
    assert other.snapshot() == made.snapshot()
    assert ask(other) == ask(made) == "throttled"
    other.resume()
    assert ask(other) == ""


Rows = list[tuple[int, float, float, float, float]]
PRICES = st.floats(0.0, 1e6, allow_nan=False)


@given(st.lists(st.tuples(st.integers(0, 1), PRICES, PRICES, PRICES, PRICES), max_size=30))
def test_the_gross_sum_is_what_adding_anew_gives(rows: Rows) -> None:
    made = checks()
    for k, price, held, buys, sells in rows:
        made.priced(k, price, NOW)
        made.held(k, held - 5e5, buys, sells)
    assert made.gross == sum(one.worst for one in made.symbols)
    for one in made.symbols:
        exposed = max(abs(one.held + one.buys), abs(one.held - one.sells), abs(one.held))
        assert math.isclose(one.worst / 1e6, exposed * one.price, abs_tol=1e-6, rel_tol=1e-9)


@given(st.integers(0, 10**9), st.sampled_from([1e-8, 1e-5, 0.001, 0.01, 0.05, 0.1, 0.25, 1.0, 5.0]))
def test_rounding_leaves_whole_steps_alone_and_never_gives_more(count: int, step: float) -> None:
    exact = float(f"{count * step:.10f}")
    assert floor_to_lot(exact, step) == pytest.approx(exact, rel=1e-12)
    between = exact + 0.4 * step
    assert floor_to_lot(between, step) <= between
    assert inward(between, step, 1) <= between <= inward(between, step, -1)
    assert outward(between, step, 1) == inward(between, step, -1)
    assert floor_to_lot(floor_to_lot(between, step), step) == floor_to_lot(between, step)


STEPS = st.one_of(
    st.integers(0, 25).map(lambda digits: float(f"1e-{digits}")),
    st.tuples(st.integers(1, 10_000), st.integers(0, 12)).map(lambda d: d[0] / 10.0 ** d[1]),
    st.floats(1e-12, 1e4),
)


@given(st.one_of(st.floats(0.0, 1e15), st.integers(0, 10**15)), STEPS, st.booleans())
def test_whole_lots_have_the_bits_of_their_decimals(size: float, step: float, on: bool) -> None:
    quantity = size * step if on else float(size)
    count, digits = math.floor(quantity / step + FUZZ), _digits(step)
    assert floor_to_lot(quantity, step) == round(count * step, digits)


def test_no_step_means_no_rounding() -> None:
    assert floor_to_lot(1.23456, 0.0) == 1.23456
    assert inward(1.23456, 0.0, 1) == 1.23456


@pytest.mark.parametrize(("share", "small"), [(1.0 - 1e-9, True), (1.0 - 2e-16, False)])
def test_a_worth_of_the_minimum_but_for_the_last_bit_is_enough(share: float, small: bool) -> None:
    instrument = Instrument(symbol="A", lot=0.001, tick=0.01, min_notional=5.0)
    assert instrument.is_too_small(0.05, PRICE * share) is small
    made = checks()
    made.priced(0, PRICE * share, NOW)
    assert ask(made, 0.05, decided=PRICE * share) == ("min_notional" if small else "")
