"""Hours of trading, words of the clock, how many positions, the benchmark, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fidelity.positions.cases import LETTERS, LONG_ONLY, fills, market, one, what
from tests.fidelity.positions.market import HOUR, MINUTE, START
from tests.fidelity.positions.settings import (
    Add,
    Blackout,
    Costs,
    Limits,
    Position,
    Signal,
    Sizing,
    Stops,
    Strategy,
    TradingHours,
)
from tests.fidelity.positions.simulator import simulate

FLAT = (100.0,)
UNTIL_FIVE = TradingHours(open="mon-fri 02:00-05:00 UTC")


def test_an_increase_needs_its_decision_inside_the_hours() -> None:
    out = one("LLLLLLL", [FLAT] * 7, hours=UNTIL_FIVE)
    assert fills(out) == [(2.0, 10.0, 100.0)]
    assert what(out) == [(1.0, "closed_hours", "entry")]


def test_latency_counts() -> None:
    late = Costs(latency_ns=30 * MINUTE)
    hours = TradingHours(open="mon-fri 02:00-05:10 UTC")
    # Decided at 2 h, works from 2:30 and fills at 3 h; at 5 h + 30 min the hours are over.
    assert fills(one("-L-----", [FLAT] * 7, hours=hours, costs=late)) == [(3.0, 10.0, 100.0)]
    assert fills(one("----L--", [FLAT] * 7, hours=hours, costs=late)) == []


def test_exits_and_stops_always_act() -> None:
    out = one("-L---x-", [FLAT] * 7, hours=UNTIL_FIVE)
    assert fills(out)[1] == (6.0, -10.0, 100.0)
    rows = [*[FLAT] * 6, (100.0, 100.0, 90.0, 95.0)]
    out = one("-L-----", rows, hours=UNTIL_FIVE, stops=Stops(stop_loss="5"))
    assert fills(out)[1] == (7.0, -10.0, 95.0)


def test_resting_increases_are_cancelled_outside() -> None:
    ladder = Position(add=(Add(size=1.0, at=("-3%",)),))
    rows = [*[FLAT] * 5, (100.0, 100.0, 90.0, 95.0)]
    out = one("-L----", rows, hours=UNTIL_FIVE, position=ladder)
    assert fills(out) == [(2.0, 10.0, 100.0)]
    assert [o.ended_by for o in out.orders if o.tag[0] == "add"] == ["closed_hours"]
    rows[4] = rows[5]  # the last bar inside
    assert len(fills(one("-L----", rows, hours=UNTIL_FIVE, position=ladder))) == 2


def test_flat_at_close_decides_at_the_last_time_whose_fill_lies_inside() -> None:
    hours = TradingHours(open="mon-fri 02:00-05:00 UTC", flat_at_close=True)
    out = one("-LLLLL-", [FLAT] * 7, hours=hours)
    # The open of 4 h is the last one inside; nothing is increased there.
    assert fills(out) == [(2.0, 10.0, 100.0), (4.0, -10.0, 100.0)]
    assert out.trades[0].exit_reason == "flat_at_close"
    assert (4.0, "flat_at_close", "entry") not in what(out)
    out = one("---L---", [FLAT] * 7, hours=hours)
    assert (fills(out), what(out)) == ([], [(4.0, "flat_at_close", "entry")])


def test_with_latency_the_last_fill_is_decided_earlier() -> None:
    hours = TradingHours(open="mon-fri 01:00-05:00 UTC", flat_at_close=True)
    out = one("L------", [FLAT] * 7, hours=hours, costs=Costs(latency_ns=HOUR))
    assert fills(out) == [(2.0, 10.0, 100.0), (4.0, -10.0, 100.0)]
    assert out.orders[1].time_ns == START + 3 * HOUR
    # Decided an hour later the entry is still on its way then, and is cancelled.
    out = one("-L-----", [FLAT] * 7, hours=hours, costs=Costs(latency_ns=HOUR))
    assert [(o.status, o.ended_by) for o in out.orders] == [("cancelled", "flat_at_close")]


def test_the_next_day_it_may_enter_again() -> None:
    sessions = ((START + HOUR, START + 3 * HOUR), (START + 5 * HOUR, START + 9 * HOUR))
    hours = TradingHours(sessions=sessions, flat_at_close=True)
    out = one("LLLLLLLL", [FLAT] * 8, hours=hours)
    assert [each[:2] for each in fills(out)] == [(1.0, 10.0), (2.0, -10.0), (5.0, 10.0)]


def test_a_blackout_blocks_increases_alone() -> None:
    hours = TradingHours(blackout=Blackout((START + 3 * HOUR,), HOUR, 30 * MINUTE))
    out = one("LxLLL--", [FLAT] * 7, hours=hours)
    assert fills(out) == [(1.0, 10.0, 100.0), (2.0, -10.0, 100.0), (4.0, 10.0, 100.0)]
    assert what(out) == [(3.0, "closed_hours", "entry")]


# ------------------------------------------------------------------------------ words of the clock


@pytest.mark.parametrize(
    ("rule", "times"),
    [
        ("hour == 3", [3.0]),
        ("weekday == 0 and hour < 3", [1.0, 2.0]),
        ("month == 1 and hour >= 4", [4.0]),
    ],
)
def test_hour_weekday_and_month_are_those_of_the_decision(rule: str, times: list[float]) -> None:
    signal = Signal(long_if=rule, exit_if=f"not ({rule})")
    assert [f[0] for f in fills(one("-" * 5, [FLAT] * 5, signal=signal)) if f[1] > 0] == times[:1]


def test_the_words_are_read_in_the_time_zone() -> None:
    signal = Signal(long_if="hour == 22 and weekday == 6")  # New York, the evening before
    out = one("-" * 5, [FLAT] * 5, signal=signal, time_zone="America/New_York")
    assert fills(out) == [(3.0, 10.0, 100.0)]


def test_an_opposite_signal_cancels_an_entry_that_is_on_its_way() -> None:
    out = one("LS----", [FLAT] * 6, costs=Costs(latency_ns=2 * HOUR))
    assert [(o.status, o.ended_by) for o in out.orders] == [
        ("cancelled", "opposite"), ("filled", "entry"),
    ]  # fmt: skip
    assert fills(out) == [(4.0, -10.0, 100.0)]


# ------------------------------------------------------------------------------ several symbols


def several(signals: dict[str, str], **keys: Any) -> Any:
    count = len(next(iter(signals.values())))
    columns = {"side": {n: [LETTERS[c] for c in each] for n, each in signals.items()}}
    made = market({name: [FLAT] * count for name in signals}, columns)
    base: dict[str, Any] = {"signal": LONG_ONLY, "sizing": Sizing("fixed_quantity", 10)}
    return simulate(Strategy(**(base | keys)), made)


def test_max_positions_counts_symbols_held_or_being_entered() -> None:
    out = several({"A": "LxL-", "B": "LLL-", "C": "-LL-"}, limits=Limits(max_positions=2))
    found = [(f.symbol, float(f.units)) for f in out.fills]
    # A and B enter; A leaves and makes room for C; A is refused at the third time.
    assert found == [("A", 10.0), ("B", 10.0), ("A", -10.0), ("C", 10.0)]
    assert what(out) == [(3.0, "max_positions", "entry")]


def test_entries_stand_in_universe_order_and_each_sees_those_before() -> None:
    out = several({"A": "L-", "B": "L-"}, sizing=Sizing("fixed_fraction", 0.6))
    assert [(f.symbol, float(f.units)) for f in out.fills] == [("A", 60.0), ("B", 40.0)]
    assert what(out) == [(1.0, "capped_by gross_exposure", "entry")]


def test_the_benchmark_is_bought_at_the_first_decision_without_costs() -> None:
    rows = [(100.0,), (110.0,), (121.0,)]
    out = one("---", rows, benchmark="A", costs=Costs(taker=0.1), start_ns=START + 2 * HOUR)
    assert [float(each) for _, each in out.benchmark] == [10_000.0, 11_000.0]
