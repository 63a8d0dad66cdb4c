"""Members of a portfolio: who has had a bar, and whose bars have not ended."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet import messages as m
from septet._data.align import union_axis
from septet._data.bars import BarTable
from septet._data.calendars import Anchor, Calendar, load_calendar
from septet._data.members import MEMBER_BARS, member_counts
from septet._live.intake import Intake, Schedule
from septet._plan.graph import BAR_COLUMNS
from septet._shell.aligned_bars import AlignmentRules
from septet.errors import DataError
from tests.data.helpers import DAY_NS, HOUR_NS, ns
from tests.scale import examples

START = ns("2021-03-01")
QUARTER_NS = HOUR_NS // 4


def table(calendar: Calendar, numbers: Sequence[int], bar_ns: int) -> BarTable:
    """Return bars at scheduled places, by their number from the first of March on."""
    anchor: Anchor = "utc" if calendar.name == "24x7" else "session"
    if bar_ns == DAY_NS and calendar.name != "24x7":
        first = int(calendar.place(np.array([START]), bar_ns).ordinal[0])
    else:
        start = START if calendar.name == "24x7" else ns("2021-03-01T14:30")
        first = int(calendar.place(np.array([start]), bar_ns, "open", anchor).ordinal[0])
    placed = calendar.at(np.array(numbers, np.int64) + first, bar_ns, anchor)
    one = np.ones(len(numbers))
    return BarTable(
        symbol="A", bar_ns=bar_ns, open_ns=placed.open_ns, known_ns=placed.known_ns,
        session=placed.session, open=one, high=one, low=one, close=one,
        volume=one,
    )  # fmt: skip


def counts(tables: Sequence[BarTable], calendars: Sequence[str]) -> dict[int, int]:
    """Return the number of members by decision time."""
    axis = union_axis(tables)
    found = member_counts(tables, calendars, axis)
    return dict(zip(axis.time_ns.tolist(), found.tolist(), strict=True))


def by_hand(tables: Sequence[BarTable], names: Sequence[str]) -> dict[int, int]:
    """Count what is known at each time, one scheduled bar after the other."""
    times = sorted({int(each) for table in tables for each in table.known_ns})
    found = dict.fromkeys(times, 0)
    for table, name in zip(tables, names, strict=True):
        calendar = load_calendar(name, ns("2020-12-01"), ns("2022-06-01"))
        placed = calendar.place(table.open_ns, table.bar_ns, "open")
        for time in times:
            rows = [n for n, known in enumerate(table.known_ns.tolist()) if known <= time]
            if not rows:
                continue
            after = (
                np.arange(1, MEMBER_BARS + 1)
                + calendar.place(table.open_ns, table.bar_ns, "open", placed.anchor).ordinal[
                    rows[-1]
                ]
            )
            closed = calendar.at(after, table.bar_ns, placed.anchor).known_ns <= time
            last = int(table.known_ns[rows[-1]])
            passed = sum(last < each <= time for each in times)
            found[time] += not (closed.all() and passed >= MEMBER_BARS)
    return found


def test_a_symbol_joins_at_its_first_bar_and_leaves_after_twenty_bars_without_one() -> None:
    calendar = load_calendar("24x7", 0, 0)
    whole = table(calendar, range(60), HOUR_NS)
    short = table(calendar, [3, 4, 5, 30], HOUR_NS)
    found = list(counts([whole, short], ["24x7", "24x7"]).values())
    # Known from the fourth time on; the bar of number 25 is the twentieth that is missing.
    assert found == [1] * 3 + [2] * 22 + [1] * 5 + [2] * 20 + [1] * 10


def test_nights_and_weekends_of_an_exchange_end_no_bars() -> None:
    """The bars of a share and those of bitcoin: 17 hours, or 65, lie between two sessions."""
    around, stock = (load_calendar(n, ns("2021-01-01"), ns("2021-12-01")) for n in ("24x7", "XNYS"))
    coin = table(around, range(14 * 96), QUARTER_NS)
    share = table(stock, [*range(130), *range(160, 255)], QUARTER_NS)
    found = counts([coin, share], ["24x7", "XNYS"])
    assert found == by_hand([coin, share], ["24x7", "XNYS"])
    ended = [time for time, count in found.items() if count == 1 and time > share.known_ns[0]]
    # Five sessions of 26 bars; the twentieth bar of the sixth, none of which is there, closes at
    # 19:30. Of the seventh the first four are missing: the fifth closes at 15:45.
    assert (ended[0], ended[-1]) == (ns("2021-03-08T19:30"), ns("2021-03-09T15:30"))


def test_daily_bars_of_a_share_end_after_twenty_sessions() -> None:
    stock = load_calendar("XNYS", ns("2021-01-01"), ns("2021-12-01"))
    whole, short = table(stock, range(40), DAY_NS), table(stock, range(5), DAY_NS)
    found = list(counts([whole, short], ["XNYS", "XNYS"]).values())
    assert found == [2] * 24 + [1] * 16


@pytest.mark.parametrize("name", ["24x7", "XNYS"])
def test_a_calendar_that_is_not_known_further_ends_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bars up to the last day that a calendar knows."""
    from septet._data import members

    stock = load_calendar(name, ns("2021-01-01"), ns("2021-12-01"))
    tables = [table(stock, range(30), DAY_NS), table(stock, range(5), DAY_NS)]
    real, limit = load_calendar, int(tables[0].known_ns[-1])

    def short(name: str, first_ns: int, last_ns: int) -> Calendar:
        if last_ns > limit:
            raise DataError("nobody knows the holidays of that year")
        return real(name, first_ns, last_ns)

    monkeypatch.setattr(members, "load_calendar", short)
    assert list(counts(tables, [name, name]).values()) == [2] * 24 + [1] * 6


BARS = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from([1, 2, 18, 19, 20, 21, 40])),
    min_size=1, max_size=3,
)  # fmt: skip


@st.composite
def presence(draw: st.DrawFn) -> list[int]:
    """Draw the numbers of the bars of one symbol: stretches, with gaps of about twenty bars."""
    found, at = list[int](), draw(st.integers(0, 10))
    for length, gap in draw(BARS):
        found += range(at, at + length + 1)
        at += length + 1 + gap
    return found


@given(st.lists(presence(), min_size=2, max_size=4), st.integers(0, 60), st.data())
@settings(max_examples=examples(40), deadline=None)
def test_a_live_run_counts_the_members_of_a_whole_history(
    numbers: list[list[int]], cut: int, data: st.DataObject
) -> None:
    """Across restarts, and on calendars of their own."""
    names = [data.draw(st.sampled_from(["24x7", "XNYS"])) for _ in numbers]
    tables = [
        table(load_calendar(name, ns("2021-01-01"), ns("2022-05-01")), each, DAY_NS)
        for name, each in zip(names, numbers, strict=True)
    ]
    expected = counts(tables, names)
    assert expected == by_hand(tables, names)
    intake = intake_of(names)
    for n, time_ns in enumerate(expected):
        if n == cut:
            kept, intake = intake.snapshot(), intake_of(names)
            intake.restore(kept)
        present = [k for k, each in enumerate(tables) if time_ns in each.known_ns]
        for k in present:
            row = int(np.searchsorted(tables[k].known_ns, time_ns))
            intake.bar(
                m.BarClosed(
                    at_ns=0, symbol=k, open_ns=int(tables[k].open_ns[row]), known_ns=time_ns,
                    open=1.0, high=1.0, low=1.0, close=1.0, volume=1.0, source="stream",
                )
            )  # fmt: skip
        made = intake.decision_time(
            m.DecisionTimeReached(at_ns=0, time_ns=time_ns, present=tuple(present))
        )
        assert made.members == expected[time_ns]


def intake_of(names: Sequence[str]) -> Intake:
    """Return an intake that counts members."""
    return Intake(
        [f"{n}/USDT" for n in range(len(names))], list(BAR_COLUMNS),
        [Schedule(DAY_NS, name) for name in names], AlignmentRules(), counts_members=True,
    )  # fmt: skip
