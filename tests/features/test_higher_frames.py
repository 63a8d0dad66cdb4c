"""Higher time frames over calendars, base bars, gaps and sessions, against the text alone."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet import messages as m
from septet._data.bars import BarTable, Instrument, MarketData
from septet._data.calendars import load_calendar
from septet._kernel.time_frames import INCOMPLETE
from septet._live.build_core import core_of
from septet._shell.aligned_bars import align_bars
from septet._shell.backtest import count_incomplete, incomplete_frames
from septet._shell.session import Session, alignment_rules, plan_of, warmup_ns_of
from septet_schemas.units import format_duration
from tests.core.paths import by_batch, by_events, plainly
from tests.core.table_comparison import assert_same
from tests.core.world import load_text
from tests.features.frames_by_text import (
    DAY,
    HOUR,
    Base,
    Scheduled,
    features_of,
    incomplete_of,
    schedule_of,
)

SYMBOL = "AAA/USDT"
FILE = """\
version: 1
name: frames
mode: {mode}
universe: {{symbols: [AAA/USDT], bar: {bar}}}
data: {{candles: {{use: synthetic, calendar: {calendar}, reset_after: {reset_after}}}}}
features:
  of_open: {{use: sma, of: open, period: 1, bar: {frame}}}
  of_high: {{use: highest, of: high, period: 1, bar: {frame}}}
  of_low: {{use: lowest, of: low, period: 1, bar: {frame}}}
  of_close: {{use: sma, of: close, period: 1, bar: {frame}}}
  of_volume: {{use: sma, of: volume, period: 1, bar: {frame}}}
  high_2: {{use: highest, of: high, period: 2, bar: {frame}}}
  close_3: {{use: sma, of: close, period: 3, bar: {frame}}}
  since_week: {{use: vwap, anchor: week}}
  flow_of_day: {{use: obv, anchor: day}}
  flow_of_frame: {{use: obv, anchor: week, bar: {frame}}}
signal: {{use: rules, long_if: close_3 > of_low, exit_if: high_2 > 1.02 * close_3}}
risk: {{sizing: {{use: fixed_fraction, fraction: 50%}}}}
execution: {{instruments: {{AAA/USDT: {{lot: 0.0001, tick: 0, min_notional: 1}}}}}}
"""
CASES = [
    ("24x7", HOUR, 4 * HOUR), ("24x7", HOUR, DAY), ("24x7", HOUR, 7 * DAY), ("24x7", DAY, 3 * DAY),
    ("24x7", DAY, 7 * DAY),
    ("XNYS", HOUR // 2, HOUR), ("XNYS", HOUR // 2, 4 * HOUR), ("XNYS", HOUR // 2, DAY),
    ("XNYS", HOUR, 2 * DAY), ("XNYS", HOUR, 7 * DAY), ("XNYS", DAY, 2 * DAY),
    ("XNYS", DAY, 3 * DAY), ("XNYS", DAY, 7 * DAY), ("XNYS", DAY, 14 * DAY),
    ("XFX", HOUR, 4 * HOUR), ("XFX", HOUR, DAY), ("XFX", HOUR, 2 * DAY), ("XFX", HOUR, 7 * DAY),
    ("XFX", 4 * HOUR, DAY), ("XFX", DAY, 7 * DAY),
]  # fmt: skip


def made(
    calendar: str, bar_ns: int, holes: list[tuple[float, int]], missing: float, seed: int
) -> tuple[list[Scheduled], list[Base]]:
    """Return a schedule, and the bars of it that are there."""
    days = 150 if bar_ns == DAY else 40
    schedule = schedule_of(calendar, bar_ns, date(2021, 6, 1), days)
    draw = np.random.default_rng(seed)
    there = draw.random(len(schedule)) >= missing
    margin = len(schedule) // 10  # what is scheduled before the first bar and after the last
    there[:margin] = there[-margin:] = False
    for share, count in holes:
        at = int(share * len(schedule))
        there[at : at + count] = False
    if not there.any():
        there[len(schedule) // 2] = True
    close = 100.0 * np.exp(np.cumsum(draw.normal(0.0, 0.02, len(schedule))))
    low, high = close * 0.98, close * 1.03
    volume = draw.uniform(1.0, 9.0, len(schedule))
    bars = [
        Base(
            i,
            (
                float(low[i]) * 1.01,
                float(high[i]),
                float(low[i]),
                float(close[i]),
                float(volume[i]),
            ),
        )
        for i in np.flatnonzero(there).tolist()
    ]
    return schedule, bars


def opened(
    calendar: str, bar_ns: int, frame_ns: int, reset_after: int,
    schedule: list[Scheduled], bars: list[Base], mode: str = "backtest",
) -> Session:  # fmt: skip
    """Return a session over made bars of a calendar."""
    loaded = load_text(
        FILE.format(
            bar=format_duration(bar_ns),
            frame=format_duration(frame_ns),
            calendar=calendar,
            reset_after=reset_after,
            mode=mode,
        )
    )
    rows = [schedule[bar.number] for bar in bars]
    open_ns = np.array([row.open_ns for row in rows], dtype=np.int64)
    known_ns = np.array([row.known_ns for row in rows], dtype=np.int64)
    placed = load_calendar(calendar, int(open_ns[0]), int(open_ns[-1])).place(open_ns, bar_ns)
    prices = np.array([bar.prices for bar in bars]).T.copy()
    o, h, low, c, v = prices
    table = BarTable(SYMBOL, bar_ns, open_ns, known_ns, o, h, low, c, v, placed.session)
    market = MarketData(
        (SYMBOL,), bar_ns, {SYMBOL: table}, {}, {SYMBOL: Instrument(SYMBOL, 1e-4, 0.0, 1.0)},
        calendar=calendar, calendars={SYMBOL: calendar},
    )  # fmt: skip
    plan = plan_of(loaded, calendar=calendar)
    aligned = align_bars(plan, market, alignment_rules(loaded.strategy))
    return plainly(Session(loaded, plan, market, aligned, 0, lambda text: None))


def column(session: Session, values: Any, name: str) -> Any:
    """Return a feature of the one symbol at every bar."""
    own = name if name in ("high_2", "close_3") else f"of_{name}"
    return values[0, session.plan.assembly.features[own]]


def assert_as_text(session: Session, values: Any, wanted: list[dict[str, float]]) -> None:
    """Compare every feature at every bar."""
    for name in wanted[0]:
        want = np.array([row[name] for row in wanted])
        np.testing.assert_allclose(column(session, values, name), want, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize(("calendar", "bar_ns", "frame_ns"), CASES)
@settings(max_examples=6)
@given(
    holes=st.lists(st.tuples(st.floats(0.1, 0.9), st.integers(1, 60)), max_size=3),
    missing=st.sampled_from([0.0, 0.0, 0.1]),
    reset_after=st.sampled_from([3, 24]),
    seed=st.integers(0, 2**16),
)
def test_bars_of_higher_frames_are_those_of_the_text(
    calendar, bar_ns, frame_ns, holes, missing, reset_after, seed
):
    schedule, bars = made(calendar, bar_ns, holes, missing, seed)
    session = opened(calendar, bar_ns, frame_ns, reset_after, schedule, bars)
    left = by_batch(session)
    wanted = features_of(schedule, bars, frame_ns, calendar, reset_after)
    assert_as_text(session, left.outcome.F, wanted)
    (frame,) = session.plan.assembly.rows.frames.values()
    counted = int(left.outcome.state.S[0, frame.slot + INCOMPLETE])
    assert counted == incomplete_of(schedule, bars, frame_ns, calendar)
    notes = incomplete_frames(count_incomplete(session.plan, left.outcome.state.S))
    assert [f"missing in {counted} bars of" in note for note in notes] == [True] * (counted > 0)


@pytest.mark.parametrize(("calendar", "bar_ns", "frame_ns"), CASES)
def test_batch_events_and_a_live_core_agree_to_the_bit(calendar, bar_ns, frame_ns, tmp_path):
    schedule, bars = made(calendar, bar_ns, [(0.3, 5), (0.5, 30)], 0.05, 7)
    args = (calendar, bar_ns, frame_ns, 24, schedule, bars)
    session = opened(*args)
    whole = by_batch(session)
    assert_same(whole, by_events(opened(*args), 8))
    seen = live_features(opened(*args, mode="paper"), tmp_path)
    names = list(session.plan.assembly.shown)
    rows = [session.plan.assembly.features[name] for name in names]
    bits = np.ascontiguousarray(whole.outcome.F[0, rows].T).view(np.int64)
    assert np.array_equal(seen.view(np.int64), bits)


def live_features(session: Session, folder: Any) -> Any:
    """Feed the bars one by one to the core of a paper run; return its features at each."""
    build = core_of(
        session.loaded, tag="sabcdefg", instruments=[Instrument(SYMBOL, 1e-4, 0.0, 1.0)],
        run_folder=folder, calendars=dict(session.market.calendars),
    )  # fmt: skip
    table, found = session.market.bars[SYMBOL], []
    for i, known_ns in enumerate(table.known_ns.tolist()):
        names = ("open", "high", "low", "close", "volume")
        prices: dict[str, Any] = {name: float(getattr(table, name)[i]) for name in names}
        bar = m.BarClosed(
            at_ns=known_ns, symbol=0, open_ns=int(table.open_ns[i]), known_ns=known_ns, **prices
        )
        reached = m.DecisionTimeReached(
            at_ns=known_ns, time_ns=known_ns, present=(0,), decides=True
        )
        commands = [*build.core.handle(bar), *build.core.handle(reached)]
        decided = [each for each in commands if isinstance(each, m.Decided)]
        found.append(np.frombuffer(decided[0].features))
        if i % 50 == 49:
            build.core.restore(build.core.snapshot())
    assert len(found) == int(session.aligned.lengths[0])
    return np.array(found)


@pytest.mark.parametrize(("calendar", "bar_ns"), sorted({(name, bar) for name, bar, _ in CASES}))
@pytest.mark.parametrize("count", [5, 60, 500])
def test_enough_is_read_before_the_start(calendar, bar_ns, count):
    schedule = schedule_of(calendar, bar_ns, date(2019, 1, 1), 3 * 365)
    text = FILE.format(
        bar=format_duration(bar_ns), frame=format_duration(14 * DAY), calendar=calendar,
        reset_after=24, mode="backtest",
    )  # fmt: skip
    span_ns = warmup_ns_of(load_text(text).strategy, count)
    for last in range(count + 1, len(schedule), 37):
        assert schedule[last].known_ns - schedule[last - count - 1].open_ns <= span_ns
