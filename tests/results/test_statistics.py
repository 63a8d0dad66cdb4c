from __future__ import annotations

import math
import statistics as plain
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as draw
from sklearn.metrics import brier_score_loss

from septet._results import statistics as st

HOUR = 3_600_000_000_000
DAY = 24 * HOUR
MIDNIGHT = int(datetime(2024, 3, 1, tzinfo=UTC).timestamp()) * 1_000_000_000

moves = draw.lists(draw.floats(-0.9, 2.0), min_size=0, max_size=60)
amounts = draw.lists(draw.floats(-1e6, 1e6), min_size=0, max_size=60)


def curve(changes: list[float]) -> np.ndarray:
    return 1000.0 * np.cumprod(1 + np.array([0.0, *changes]))


def test_total_return_by_hand() -> None:
    assert st.total_return(100.0, 110.0) == pytest.approx(0.1)
    assert st.total_return(0.0, 110.0) is None


def test_sharpe_by_hand() -> None:
    returns = np.array([0.01, -0.01, 0.03])
    by_hand = 0.01 / 0.02 * math.sqrt(365)
    assert st.sharpe(returns, 365.0) == pytest.approx(by_hand, rel=1e-12)


def test_sortino_by_hand() -> None:
    returns = np.array([0.01, -0.02, 0.03])
    by_hand = (0.02 / 3) / math.sqrt(0.0004 / 2) * math.sqrt(252)
    assert st.sortino(returns, 252.0) == pytest.approx(by_hand, rel=1e-12)


@given(moves)
def test_sharpe_and_sortino_agree_with_plain_python(changes: list[float]) -> None:
    returns = np.array(changes)
    for found in (st.sharpe(returns, 365.0), st.sortino(returns, 365.0)):
        assert found is None or math.isfinite(found)
    found = st.sharpe(returns, 365.0)
    if found is not None:
        twin = plain.fmean(changes) / plain.stdev(changes) * math.sqrt(365)
        assert found == pytest.approx(twin, rel=1e-6, abs=1e-9)
    falls = [min(change, 0.0) for change in changes]
    found = st.sortino(returns, 365.0)
    if found is not None:
        below = math.sqrt(sum(fall * fall for fall in falls) / (len(falls) - 1))
        assert found == pytest.approx(plain.fmean(changes) / below * math.sqrt(365), rel=1e-9)


@pytest.mark.parametrize("returns", [[], [0.01], [0.0, 0.0, 0.0], [0.1, 0.1, 0.1]])
def test_ratios_without_spread_are_undefined(returns: list[float]) -> None:
    assert st.sharpe(np.array(returns), 365.0) is None
    assert st.sortino(np.array(returns), 365.0) is None


def test_sortino_without_a_losing_day_is_undefined() -> None:
    assert st.sortino(np.array([0.01, 0.02]), 365.0) is None
    assert st.sharpe(np.array([0.01, 0.02]), 365.0) is not None


@given(moves)
def test_drawdown_agrees_with_plain_python(changes: list[float]) -> None:
    equity = curve(changes)
    peak, deepest = 1000.0, 0.0
    for value in equity:
        peak = max(peak, value)
        deepest = max(deepest, 1 - value / peak)
    assert st.max_drawdown(equity, 1000.0) == pytest.approx(deepest, abs=1e-12)


def test_drawdown_counts_the_initial_capital_as_a_peak() -> None:
    assert st.max_drawdown(np.array([90.0, 95.0]), 100.0) == pytest.approx(0.1)
    assert st.max_drawdown(np.array([101.0, 102.0]), 100.0) == 0.0
    assert st.max_drawdown(np.zeros(0), 100.0) is None


def test_a_long_curve_is_measured_as_a_whole() -> None:
    """Long columns are read in pieces: a peak and a sum go on from one to the next."""
    rows = 150_000
    equity = 1000.0 + np.cumsum(np.random.default_rng(11).normal(size=rows))
    equity[65_000], equity[140_000] = 9_000.0, 1.0
    peak = np.maximum(np.maximum.accumulate(equity), 1000.0)
    assert st.max_drawdown(equity, 1000.0) == np.max(1.0 - equity / peak) == 1.0 - 1.0 / 9_000.0
    share = np.where(np.arange(rows) % 7 == 0, np.nan, np.sin(np.arange(rows)))
    known = np.abs(share[np.isfinite(share)]).tolist()
    total = 0.0
    for value in known:
        total += value
    assert st.exposure(share) == total / len(known)


@given(amounts)
def test_trades_agree_with_plain_python(pnl: list[float]) -> None:
    array = np.array(pnl)
    rate, factor = st.win_rate(array), st.profit_factor(array)
    if not pnl:
        assert rate is None
        assert factor is None
        return
    assert rate == pytest.approx(sum(value > 0 for value in pnl) / len(pnl))
    losses = -math.fsum(value for value in pnl if value < 0)
    gains = math.fsum(value for value in pnl if value > 0)
    if factor is None:
        assert losses == 0 or not math.isfinite(gains / losses)
    else:
        assert factor == pytest.approx(gains / losses, rel=1e-9)


def test_profit_factor_without_a_loss_is_undefined() -> None:
    assert st.profit_factor(np.array([1.0, 2.0])) is None
    assert st.profit_factor(np.array([-1.0])) == 0.0


def test_turnover_and_exposure_by_hand() -> None:
    equity = np.array([100.0, 300.0])
    assert st.turnover(400.0, equity, st.YEAR_NS // 2) == pytest.approx(4.0)
    assert st.turnover(400.0, equity, 0) is None
    assert st.turnover(400.0, -equity, DAY) is None
    assert st.exposure(np.array([0.5, -0.5, 0.0, math.nan])) == pytest.approx(1 / 3)
    assert st.exposure(np.zeros(0)) is None


def test_days_are_sampled_at_their_start() -> None:
    times = MIDNIGHT + np.arange(0, 49, dtype=np.int64) * HOUR
    days, samples = st.sample_days(times, np.arange(49.0))
    assert [(day - MIDNIGHT) // HOUR for day in days] == [0, 24, 48]
    assert samples.tolist() == [0.0, 24.0, 48.0]


def test_a_partial_day_at_either_end_is_no_day() -> None:
    times = MIDNIGHT + np.arange(1, 60, dtype=np.int64) * HOUR
    _, samples = st.sample_days(times, np.arange(1.0, 60.0))
    assert samples.tolist() == [24.0, 48.0]


def test_a_day_without_rows_repeats_where_the_market_never_closes() -> None:
    times = MIDNIGHT + np.array([0, 1, 4], dtype=np.int64) * DAY
    _, samples = st.sample_days(times, np.array([1.0, 2.0, 3.0]))
    assert samples.tolist() == [1.0, 2.0, 2.0, 2.0, 3.0]


def test_sessions_skip_days_without_rows_and_keep_the_last() -> None:
    closes = MIDNIGHT + np.array([0, 3, 4], dtype=np.int64) * DAY + 21 * HOUR
    _, samples = st.sample_days(closes, np.array([1.0, 2.0, 3.0]), sessions=True)
    assert samples.tolist() == [1.0, 2.0, 3.0]


def test_a_session_that_goes_on_at_the_end_is_no_day() -> None:
    bars = [day * DAY + hour * HOUR for day in (0, 1, 4) for hour in (15, 18, 21)][:-1]
    times, equity = MIDNIGHT + np.array(bars, dtype=np.int64), np.arange(8.0)
    _, samples = st.sample_days(times, equity, sessions=True, ends_inside=True)
    assert samples.tolist() == [2.0, 5.0]
    _, samples = st.sample_days(times, equity, sessions=True)
    assert samples.tolist() == [2.0, 5.0, 7.0]


WEEK = int(datetime(2024, 1, 7, tzinfo=UTC).timestamp()) * 1_000_000_000  # a Sunday, in winter


@pytest.mark.parametrize(
    ("time_zone", "day_start"),
    [("UTC", "00:00"), ("America/New_York", "17:00"), ("Asia/Tokyo", "00:00"), ("UTC", "12:00")],
)
def test_a_session_that_opens_the_evening_before_is_one_day(time_zone: str, day_start: str) -> None:
    """The week of XFX lasts from Sunday 22:00 to Friday 22:00 UTC: five sessions, five days."""
    hours = [week * 168 + 22 + n for week in range(3) for n in range(1, 121)]
    times = WEEK + np.array(hours, dtype=np.int64) * HOUR
    days, _ = st.sample_days(
        times, np.arange(360.0), sessions=True, session_close="17:00 America/New_York",
        day_start=day_start, time_zone=time_zone,
    )  # fmt: skip
    assert len(days) == 15
    assert np.bincount((days - WEEK) // (7 * DAY)).tolist() == [5, 5, 5]


def test_returns_stand_on_the_days_on_which_they_were_made() -> None:
    """A week of an exchange that begins on a Wednesday, in a zone whose clocks change meanwhile."""
    closes = np.array([3, 4, 5, 8, 9], np.int64) * DAY + np.array([14, 14, 14, 13, 13]) * HOUR
    sunday = int(datetime(2024, 3, 3, tzinfo=UTC).timestamp()) * 1_000_000_000
    for zone in ("UTC", "America/New_York", "Europe/London"):
        days, samples = st.sample_days(
            sunday + closes, np.array([1.0, 2.0, 4.0, 8.0, 16.0]), sessions=True, time_zone=zone
        )
        first, values = st.on_calendar_days(days, st.daily_returns(samples), time_zone=zone)
        assert first == sunday // DAY + 4
        assert [v if v == v else None for v in values] == [1.0, 1.0, None, None, 1.0, 1.0]
    assert st.on_calendar_days(days[:1], np.zeros(0))[0] == 0


def test_a_half_day_and_a_holiday_of_an_exchange_count_as_their_rows_do() -> None:
    closes = WEEK + np.array([1, 2, 4, 5], np.int64) * DAY + np.array([21, 21, 18, 21]) * HOUR
    _, samples = st.sample_days(
        closes, np.arange(4.0), sessions=True, session_close="16:00 America/New_York"
    )
    assert samples.tolist() == [0.0, 1.0, 2.0, 3.0]


def test_days_start_where_the_file_sets() -> None:
    times = MIDNIGHT + np.arange(0, 48, dtype=np.int64) * HOUR
    days, _ = st.sample_days(times, np.arange(48.0), day_start="08:00")
    assert [(day - MIDNIGHT) // HOUR for day in days] == [8, 32]
    # New York is five hours behind in early March.
    days, _ = st.sample_days(times, np.arange(48.0), time_zone="America/New_York")
    assert [(day - MIDNIGHT) // HOUR for day in days] == [5, 29]


def test_days_follow_the_clock_through_summer_time() -> None:
    start = int(datetime(2024, 3, 30, tzinfo=UTC).timestamp()) * 1_000_000_000
    times = start + np.arange(0, 72, dtype=np.int64) * HOUR
    days, _ = st.sample_days(times, np.zeros(72), time_zone="Europe/Berlin")
    assert np.diff(days).tolist() == [23 * HOUR, 24 * HOUR]


def test_no_rows_no_days() -> None:
    days, samples = st.sample_days(np.zeros(0, np.int64), np.zeros(0))
    assert len(days) == len(samples) == 0
    assert st.monthly_returns(np.zeros(0, np.int64), np.zeros(0), 1.0) == []


def test_daily_returns_stop_where_equity_is_gone() -> None:
    assert len(st.daily_returns(np.array([100.0, 0.0, 50.0]))) == 0
    assert st.daily_returns(np.array([100.0, 110.0])).tolist() == pytest.approx([0.1])


def test_months_by_hand() -> None:
    stamps = [datetime(2023, 12, 30, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)]
    stamps += [datetime(2024, 1, 1, 1, tzinfo=UTC), datetime(2024, 3, 5, tzinfo=UTC)]
    times = np.array([int(s.timestamp()) * 1_000_000_000 for s in stamps], dtype=np.int64)
    months = st.monthly_returns(times, np.array([100.0, 110.0, 121.0, 60.5]), 100.0)
    found = [(row.year, row.month, row.value) for row in months]
    assert [row[:2] for row in found] == [(2023, 12), (2024, 1), (2024, 2), (2024, 3)]
    assert [row[2] for row in found] == pytest.approx([0.1, 0.1, 0.0, -0.5])


@pytest.mark.parametrize(
    ("begins", "ends", "whole"),
    [
        ((2023, 12, 30), (2024, 3, 5), [False, True, True, False]),
        ((2023, 12, 1), (2024, 4, 1), [True, True, True, True]),
        ((2023, 12, 2), (2024, 3, 31), [True, True, True, True]),  # within a day of both ends
        ((2023, 12, 3), (2024, 3, 30), [False, True, True, False]),
        ((2024, 2, 10), (2024, 2, 20), [False]),
    ],
)
def test_a_month_is_whole_where_the_rows_reach_both_its_ends(
    begins: tuple[int, int, int], ends: tuple[int, int, int], whole: list[bool]
) -> None:
    first, last = (int(datetime(*day, tzinfo=UTC).timestamp()) for day in (begins, ends))
    times = np.arange(first, last + 1, 86_400, dtype=np.int64) * 1_000_000_000
    months = st.monthly_returns(times, np.full(len(times), 100.0), 100.0)
    assert [row.is_whole for row in months] == whole


@pytest.mark.parametrize(
    ("day_start", "time_zone", "months"),
    [
        ("00:00", "UTC", [0.0, 0.1]), ("17:00", "UTC", [0.1, 0.0]),
        ("17:00", "Asia/Tokyo", [0.0, 0.1]), ("07:00", "America/New_York", [0.1, 0.0]),
    ],
)  # fmt: skip
def test_a_month_begins_when_its_first_day_does(
    day_start: str, time_zone: str, months: list[float]
) -> None:
    """Equity rises on 1 February between 11:00 and 12:00 UTC."""
    hours = (datetime(2024, 1, 31, 12, tzinfo=UTC) + timedelta(hours=k) for k in range(48))
    times = np.array([int(each.timestamp()) * 1_000_000_000 for each in hours], dtype=np.int64)
    equity = np.where(np.arange(48) < 24, 100.0, 110.0)
    rows = st.monthly_returns(times, equity, 100.0, day_start=day_start, time_zone=time_zone)
    assert [row.month for row in rows] == [1, 2]
    assert [row.value for row in rows] == pytest.approx(months)


def test_slack_is_what_a_calendar_leaves_out() -> None:
    """A month whose first session is on the fourth is whole by the slack of sessions."""
    days = [datetime(2024, 1, 4, tzinfo=UTC), datetime(2024, 1, 28, tzinfo=UTC)]
    times = np.array([int(day.timestamp()) * 1_000_000_000 for day in days], dtype=np.int64)
    for slack, whole in ((DAY, False), (5 * DAY, True)):
        [month] = st.monthly_returns(times, np.array([1.0, 1.0]), 1.0, slack_ns=slack)
        assert month.is_whole is whole


@given(moves)
def test_months_compound_to_the_whole(changes: list[float]) -> None:
    equity = curve(changes)
    times = MIDNIGHT + np.arange(len(equity), dtype=np.int64) * 5 * DAY
    months = st.monthly_returns(times, equity, 1000.0)
    whole = math.prod(1 + (row.value or 0.0) for row in months)
    assert whole == pytest.approx(equity[-1] / 1000.0, rel=1e-9)


def test_holding_by_hand() -> None:
    known = np.array([0, 10, 20, 30], dtype=np.int64)
    bars = {
        "A": (known, np.array([1.0, 2.0, 4.0, 8.0])),
        "B": (np.array([20, 30], dtype=np.int64), np.array([5.0, 10.0])),
    }
    growth = st.hold_growth(np.array([10, 20, 35], dtype=np.int64), bars, 12)
    # A is bought at 2 (the last close known at 12); B joins at 20 and doubles.
    assert growth.tolist() == pytest.approx([1.0, 1.5, 3.0])
    assert st.hold_growth(known, {}, 0).tolist() == [1.0] * 4


@given(draw.lists(draw.tuples(draw.floats(0, 1), draw.booleans()), min_size=2, max_size=80))
def test_brier_agrees_with_scikit_learn(rows: list[tuple[float, bool]]) -> None:
    p = np.array([row[0] for row in rows])
    y = np.array([float(row[1]) for row in rows])
    assert st.brier(p, y) == pytest.approx(brier_score_loss(y, p), abs=1e-12)


@given(draw.lists(draw.tuples(draw.floats(0, 1), draw.booleans()), max_size=80))
def test_calibration_counts_every_row_once(rows: list[tuple[float, bool]]) -> None:
    p = np.array([row[0] for row in rows])
    y = np.array([float(row[1]) for row in rows])
    bins = st.calibration(p, y)
    assert sum(row[2] for row in bins) == len(rows)
    for text, seen, _, low, high in bins:
        assert 0 <= text <= 1
        assert low - 1e-12 <= seen <= high + 1e-12
        assert -1e-12 <= low <= high <= 1 + 1e-12


def test_unknown_labels_do_not_count() -> None:
    p, y = np.array([0.2, 0.9, math.nan]), np.array([0.0, math.nan, 1.0])
    assert st.brier(p, y) == pytest.approx(0.04)
    assert [row[2] for row in st.calibration(p, y)] == [1]
    assert st.brier(np.zeros(0), np.zeros(0)) is None


def test_longest_time_under_water() -> None:
    times = np.arange(6, dtype=np.int64) * DAY
    equity = np.array([100.0, 110.0, 105.0, 108.0, 111.0, 112.0])
    assert st.longest_underwater_ns(times, equity, 100.0) == 3 * DAY
    assert st.longest_underwater_ns(times[:0], equity[:0], 100.0) == 0


@pytest.mark.parametrize("day_start", ["00:00", "08:30", "17:00", "23:59:59"])
def test_days_begin_at_any_time_of_day(day_start: str) -> None:
    times = np.arange(1, 97, dtype=np.int64) * 3_600_000_000_000
    days, samples = st.sample_days(times, times / 1.0, day_start=day_start, time_zone="UTC")
    clock = day_start if day_start.count(":") == 2 else f"{day_start}:00"
    shown = {str(np.datetime64(int(day), "ns"))[11:19] for day in days}
    assert shown == {clock}
    assert (samples <= days).all()
