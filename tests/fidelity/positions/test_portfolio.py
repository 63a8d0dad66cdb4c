"""`use: top` and `use: forecast` through the whole simulator, by hand."""

from __future__ import annotations

import math

import pytest

from tests.fidelity.positions.cases import LONG_ONLY, fills, portfolio, what
from tests.fidelity.positions.market import HOUR, START
from tests.fidelity.positions.settings import (
    Add,
    BuyEvery,
    Delisting,
    Forecast,
    Grid,
    Halt,
    Instrument,
    Limits,
    Net,
    Portfolio,
    Position,
    Rebalance,
    Sizing,
    Stops,
    Strategy,
    Take,
    Universe,
    check,
)

FLAT = (100.0,)
NAN = math.nan


def test_a_portfolio_needs_no_signal_and_no_sizing() -> None:
    columns = {"x": {"A": [1.0] * 3, "B": [2.0] * 3, "C": [3.0] * 3}}
    rows = {name: [FLAT] * 3 for name in "ABC"}
    out = portfolio(rows, columns, portfolio=Portfolio(by="x", long=2))
    assert [f.symbol for f in out.fills] == ["B", "C"]
    assert fills(out) == [(1.0, 50.0, 100.0)] * 2
    assert out.rebalances[0].reasons == {"A": "below_rank", "B": "chosen", "C": "chosen"}


def test_a_held_name_without_a_bar_keeps_weight_and_slot() -> None:
    rows = {"A": [FLAT, FLAT, None, FLAT], "B": [FLAT] * 4, "C": [FLAT] * 4}
    columns = {"x": {"A": [3.0] * 4, "B": [2.0] * 4, "C": [1.0] * 4}}
    given = Portfolio(by="x", long=2, rebalance=Rebalance(quorum=0.5))
    out = portfolio(rows, columns, portfolio=given)
    assert len(out.fills) == 2
    assert out.rebalances[2].reasons["A"] == "kept_no_bar"
    assert out.rebalances[2].weights == {"A": 0.5, "B": 0.5}


def test_a_name_that_a_stop_closed_counts_as_held() -> None:
    """Rank 2 is within `hold_rank`: the name keeps its place though nothing of it is left."""
    rows = {"A": [FLAT, (100.0, 100.0, 89.0, 95.0), (95.0,), (95.0,)], "B": [FLAT] * 4}
    columns = {"x": {"A": [2.0, 1.0, 1.0, 1.0], "B": [1.0, 2.0, 2.0, 2.0]}}
    out = portfolio(
        rows, columns, portfolio=Portfolio(by="x", long=1, hold_rank=2),
        stops=Stops(stop_loss="10%"),
    )  # fmt: skip
    assert [f.symbol for f in out.fills] == ["A", "A", "A"]
    assert out.rebalances[1].reasons == {"A": "held", "B": "below_rank"}


def test_where_and_a_neutral_book_with_beta() -> None:
    columns = {
        "x": {"A": [4.0] * 2, "B": [3.0] * 2, "C": [2.0] * 2, "D": [1.0] * 2},
        "ok": {"A": [0.0] * 2, "B": [1.0] * 2, "C": [1.0] * 2, "D": [1.0] * 2},
        "beta": {"A": [1.0] * 2, "B": [2.0] * 2, "C": [1.0] * 2, "D": [1.0] * 2},
    }
    given = Portfolio(by="x", long=1, short=1, where="ok > 0", net=Net(0.0, "beta"))
    out = portfolio({n: [FLAT] * 2 for n in "ABCD"}, columns, portfolio=given, account="perpetual")
    # B and D have 0.5 each; 0.5 * 2 against 0.5 * 1: B to a half of it.
    assert out.rebalances[0].weights == {"B": 0.25, "D": -0.5}
    assert sorted((f.symbol, float(f.units)) for f in out.fills) == [("B", 25.0), ("D", -50.0)]


def test_a_weight_that_the_net_target_scales_to_zero_is_named_so() -> None:
    """The long side is limited to 15 % and the target is 20 %: nothing of the shorts is left."""
    given = Portfolio(by="x", long=1, short=2, weight="score", gross=0.6, net=Net(0.2))
    columns = {"x": {"A": [30.0] * 2, "B": [-10.0] * 2, "C": [-30.0] * 2}}
    out = portfolio(
        {n: [FLAT] * 2 for n in "ABC"}, columns, portfolio=given, account="perpetual",
        limits=Limits(position=0.15),
    )  # fmt: skip
    targets = out.rebalances[0]
    assert targets.weights == {"A": 0.15, "B": 0.0, "C": 0.0}
    assert targets.reasons == {"A": "chosen", "B": "net_target", "C": "net_target"}


def test_a_halt_moves_a_rebalance_and_flattens() -> None:
    rows = {"A": [FLAT, FLAT, (80.0,), (80.0,), (80.0,), (80.0,)]}
    out = portfolio(
        rows, {"x": {"A": [1.0] * 6}}, portfolio=Portfolio(by="x", long=1),
        halt=Halt(0.15, "flatten", resume=2), reentry="immediate",
    )  # fmt: skip
    # Bought at 1 h; equity 8000 at 3 h trips at 20 %; cleared at 5 h.
    assert fills(out) == [(1.0, 100.0, 100.0), (3.0, -100.0, 80.0), (5.0, 100.0, 80.0)]
    assert [each[:2] for each in what(out)][:3] == [
        (3.0, "drawdown"), (3.0, "halted"), (4.0, "halted"),
    ]  # fmt: skip


@pytest.mark.parametrize(("price", "trips"), [(85.01, False), (85.0, True)])
def test_a_drawdown_trips_at_its_bound_and_not_before(price: float, trips: bool) -> None:
    rows = {"A": [FLAT, FLAT, (price,), (price,)]}
    given = Portfolio(by="x", long=1, rebalance=Rebalance("4 bars"))
    out = portfolio(rows, {"x": {"A": [1.0] * 4}}, portfolio=given, halt=Halt(0.15))
    assert ((3.0, "drawdown", "halt") in what(out)) is trips
    assert len(out.fills) == 1 + trips


def test_forecast_weights_through_a_rebalance() -> None:
    # m = (1 + 1 + 4)/3 = 2, x = 2 (not capped), weight 2 * 0.1/0.4 = 0.5.
    rows = {"A": [FLAT, (101.0,), FLAT, FLAT, FLAT]}
    columns = {"f": {"A": [9.0, 1.0, 1.0, 4.0, NAN]}, "vol": {"A": [0.4] * 5}}
    forecast = Forecast({"f": 1.0}, "vol", 0.1, window=3)
    out = portfolio(rows, columns, portfolio=Portfolio(use="forecast", forecast=forecast))
    assert [each.reasons["A"] for each in out.rebalances] == [
        # Three returns need four bars; the last has no forecast.
        "units_stay", "units_stay", "units_stay", "given", "units_stay",
    ]  # fmt: skip
    assert fills(out) == [(4.0, 50.0, 100.0)]


def test_members_are_point_in_time_and_one_that_left_is_closed_at_the_next_rebalance() -> None:
    rows = {"A": [FLAT] * 6, "B": [FLAT] * 6}
    columns = {
        "x": {"A": [2.0] * 6, "B": [1.0] * 6},
        "in": {"A": [1.0, 1.0, 0.0, 0.0, 0.0, 0.0], "B": [1.0] * 6},
    }
    given = Portfolio(by="x", long=1, rebalance=Rebalance("4 bars"))
    out = portfolio(rows, columns, portfolio=given, universe=Universe(member="in"))
    # Rebalances at 1 h and 5 h.
    assert [(f.symbol, (f.time_ns - START) // HOUR) for f in out.fills] == [
        ("A", 1), ("A", 5), ("B", 5),
    ]  # fmt: skip


def test_members_are_the_best_of_the_pool_by_a_feature() -> None:
    rows = {name: [FLAT] * 2 for name in "ABC"}
    columns = {"size": {"A": [1.0] * 2, "B": [3.0] * 2, "C": [2.0] * 2},
               "x": {"A": [9.0] * 2, "B": [1.0] * 2, "C": [2.0] * 2}}  # fmt: skip
    universe = Universe(where="size > 0", top=2, by="size")
    out = portfolio(rows, columns, portfolio=Portfolio(by="x", long=1), universe=universe)
    assert out.rebalances[0].reasons == {"A": "not_member", "B": "below_rank", "C": "chosen"}


def test_members_change_at_the_instants_of_every_alone() -> None:
    rows = {name: [FLAT] * 5 for name in "AB"}
    size = {"A": [1.0] * 5, "B": [0.0, 2.0, 2.0, 2.0, 2.0]}
    universe = Universe(top=1, by="size", every="1d at 03:00")
    given = Portfolio(by="size", long=1)
    out = portfolio(rows, {"size": size}, portfolio=given, universe=universe)
    chosen = [[n for n, w in each.weights.items() if w] for each in out.rebalances]
    assert chosen == [["A"], ["A"], ["B"], ["B"], ["B"]]


def test_without_a_portfolio_a_name_that_left_is_closed_by_its_exits() -> None:
    columns = {"side": {"A": [1.0, 1.0, 1.0, 0.0, 1.0, 1.0]}, "in": {"A": [1.0] + [0.0] * 5}}
    out = portfolio(
        {"A": [FLAT] * 6}, columns, signal=LONG_ONLY, sizing=Sizing("fixed_quantity", 10),
        universe=Universe(member="in"), position=Position(add=(Add(0.5, when="close > 0"),)),
    )  # fmt: skip
    assert fills(out) == [(1.0, 10.0, 100.0), (4.0, -10.0, 100.0)]
    assert (2.0, "not_member", "add") in what(out)
    assert (5.0, "not_member", "entry") in what(out)


@pytest.mark.parametrize("by_row", [True, False])
def test_a_delisted_name_is_booked_out_at_its_last_close_and_reported(by_row: bool) -> None:
    rows = {"A": [FLAT, FLAT, None, None, None], "B": [FLAT] * 5}
    columns = {"x": {"A": [2.0] * 5, "B": [1.0] * 5}}
    known = {"A": START + 4 * HOUR} if by_row else {}
    rule = Delisting(None if by_row else 2, known, -0.5)
    out = portfolio(
        rows, columns, portfolio=Portfolio(by="x", long=1, rebalance=Rebalance(quorum=0.5)),
        delisting=rule,
    )  # fmt: skip
    # The last bar ends at 2 h; two bars are missing at 4 h.
    assert fills(out)[:2] == [(1.0, 100.0, 100.0), (4.0, -100.0, 50.0)]
    assert out.trades[0].exit_reason == "delisted"
    assert (4.0, "delisted", "") in what(out)


def test_limits_hold_over_all_weights() -> None:
    rows = {name: [FLAT] * 2 for name in "AB"}
    out = portfolio(
        rows, {"x": {"A": [2.0] * 2, "B": [1.0] * 2}}, portfolio=Portfolio(by="x", long=2),
        limits=Limits(position=0.3),
    )  # fmt: skip
    assert fills(out) == [(1.0, 30.0, 100.0)] * 2


@pytest.mark.parametrize(
    "position", [Position(add=(Add(0.5, when="close > 0"),)), Position(buy_every=BuyEvery("1d", 5))]
)
def test_a_portfolio_excludes_adds_and_regular_buys(position: Position) -> None:
    with pytest.raises(ValueError, match="excludes"):
        check(Strategy(portfolio=Portfolio(by="x", long=1), position=position))


def test_what_else_is_excluded() -> None:
    top = Portfolio(by="x", long=1)
    with pytest.raises(ValueError, match="excludes"):
        check(Strategy(portfolio=top, signal=Grid("x", 0.01, 2, 0.1)))
    with pytest.raises(ValueError, match="perpetual"):
        check(Strategy(portfolio=Portfolio(by="x", long=1, short=1)))
    with pytest.raises(ValueError, match="perpetual"):
        check(Strategy(signal=Grid("x", 0.01, 2, 0.1, short=True)))
    add = Position(add=(Add(0.5, when="close > 0"),))
    with pytest.raises(ValueError, match="excludes"):
        check(Strategy(position=add, risk_rebalance=True))


def test_every_counts_bars_by_their_number_and_not_by_row() -> None:
    # Bar 447144 opens at the start; multiples of four close at 1 h, 5 h and 9 h.
    rows = {"A": [FLAT, None, None, FLAT, None, FLAT, FLAT, FLAT, FLAT, FLAT]}
    given = Portfolio(by="x", long=1, rebalance=Rebalance("4 bars"))
    out = portfolio(rows, {"x": {"A": [1.0] * 10}}, portfolio=given)
    # There is no T at 5 h: the first one after it is 6 h.
    assert [(t.time_ns - START) // HOUR for t in out.rebalances] == [1, 6, 9]


def test_the_week_of_a_zone_and_a_changing_clock_through_a_rebalance() -> None:
    # 2021-01-04 00:00 UTC is 19:00 in New York on Sunday: its Monday begins at 05:00 UTC.
    given = Portfolio(by="x", long=1, rebalance=Rebalance("1w on mon 00:00"))
    out = portfolio(
        {"A": [FLAT] * 8}, {"x": {"A": [1.0] * 8}}, portfolio=given, time_zone="America/New_York"
    )
    assert [(t.time_ns - START) // HOUR for t in out.rebalances] == [5]


def test_stops_and_takes_act_between_rebalances() -> None:
    rows = {"A": [FLAT, (100.0, 111.0, 100.0, 110.0), (110.0, 110.0, 94.0, 95.0), (95.0,)]}
    given = Portfolio(by="x", long=1, gross=0.5, rebalance=Rebalance("4 bars"))
    out = portfolio(
        rows, {"x": {"A": [1.0] * 4}}, portfolio=given, stops=Stops(stop_loss="5%"),
        position=Position(take=(Take(0.5, at="2R"),)), instrument=Instrument(lot=1.0),
    )  # fmt: skip
    assert fills(out) == [(1.0, 50.0, 100.0), (2.0, -25.0, 110.0), (3.0, -25.0, 95.0)]
