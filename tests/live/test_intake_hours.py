"""The flags of trading hours at each decision time of a live run: those of a backtest."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from septet import messages as m
from septet._data.trading_hours import FillGrid, HourRules, events_from, hours_flags
from septet._live.intake import Intake, Schedule
from septet._plan.graph import BAR_COLUMNS
from septet._shell.aligned_bars import AlignmentRules
from septet_schemas.hours import OpenHours
from tests.core.settings import HOUR, START
from tests.scale import examples


def intake_of(rules: HourRules) -> Intake:
    """Return an intake of one symbol with these hours."""
    return Intake(
        ["AAA/USDT"], list(BAR_COLUMNS), [Schedule(HOUR)], AlignmentRules(), hours=rules,
        grids=[FillGrid("24x7", HOUR)],
    )  # fmt: skip


@given(
    st.sampled_from(["mon-fri 09:30-16:00 America/New_York", "XNYS", "mon-sun 20:00-03:00 UTC"]),
    st.integers(0, 2),
    st.lists(st.tuples(st.integers(0, 90), st.integers(0, 90)), max_size=4),
    st.integers(1, 60),
)
@settings(max_examples=examples(20), deadline=None)
def test_flags_are_those_of_a_whole_history_and_survive_a_restart(opened, latency, news, cut):
    """Each event is seen from when it is known, whatever its stamp."""
    rules = HourRules(OpenHours.parse(opened), True, latency * HOUR, "news", HOUR, HOUR)
    events = sorted((START + s * HOUR, START + k * HOUR) for s, k in news)
    times = START + np.arange(1, 80, dtype=np.int64) * HOUR
    wanted = hours_flags(rules, times, FillGrid("24x7", HOUR), events_from(events)).tolist()
    intake, found, waiting = intake_of(rules), [], sorted(events, key=lambda each: each[1])
    for n, time_ns in enumerate(times.tolist()):
        if n == cut:
            kept, intake = intake.snapshot(), intake_of(rules)
            intake.restore(kept)
        while waiting and waiting[0][1] <= time_ns:
            stamp, known = waiting.pop(0)
            intake.point(
                m.SeriesPoint(at_ns=0, name="news", stamp_ns=stamp, known_ns=known, value=1.0)
            )
        intake.bar(
            m.BarClosed(
                at_ns=0, symbol=0, open_ns=time_ns - HOUR, known_ns=time_ns, open=1.0, high=1.0,
                low=1.0, close=1.0, volume=1.0, source="stream",
            )
        )  # fmt: skip
        decision = intake.decision_time(
            m.DecisionTimeReached(at_ns=0, time_ns=time_ns, present=(0,))
        )
        found.append(np.asarray(decision.hours).tolist()[0])
    assert found == wanted
