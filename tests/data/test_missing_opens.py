"""Scheduled bars that did not come: the newest at each time, in a history and in a live run."""

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
from septet._data.missing_opens import NONE_MISSING, MissingOpens, scheduled_until
from septet._kernel import layout
from septet._live.intake import Intake, Schedule
from septet._plan.graph import BAR_COLUMNS
from septet._shell.aligned_bars import AlignmentRules
from tests.data.helpers import DAY_NS, HOUR_NS, ns
from tests.data.test_members import QUARTER_NS, presence, table
from tests.scale import examples

SPAN = ns("2020-12-01"), ns("2022-06-01")


def newest(tables: Sequence[BarTable], names: Sequence[str]) -> list[list[int]]:
    """Return the open of the newest missing bar of each symbol, by its times without a bar."""
    axis = union_axis(tables)
    gaps = MissingOpens(axis.time_ns, tables[0].bar_ns)
    return [
        gaps.of(each, name, rows).tolist()
        for each, name, rows in zip(tables, names, axis.rows, strict=True)
    ]


def by_hand(tables: Sequence[BarTable], names: Sequence[str]) -> list[list[int]]:
    """Look at one scheduled bar after the other."""
    times = sorted({int(each) for table in tables for each in table.known_ns})
    found = []
    for each, name in zip(tables, names, strict=True):
        calendar = load_calendar(name, *SPAN)
        placed = calendar.place(each.open_ns, each.bar_ns, "open")
        behind = np.arange(int(placed.ordinal[0]), int(placed.ordinal[0]) + 300)
        scheduled = calendar.at(behind, each.bar_ns, placed.anchor)
        row = []
        for time in times:
            if time in each.known_ns:
                continue
            opened = NONE_MISSING
            last = max(each.open_ns[each.known_ns <= time].tolist(), default=None)
            for open_ns, known_ns in zip(scheduled.open_ns, scheduled.known_ns, strict=True):
                if last is not None and known_ns <= time and open_ns > last:
                    opened = int(open_ns)
            row.append(opened)
        found.append(row)
    return found


def live(tables: Sequence[BarTable], names: Sequence[str], cut: int) -> list[list[int]]:
    """Let a live run take the bars in, with a restart."""

    def intake() -> Intake:
        anchors: list[Anchor] = ["utc" if name == "24x7" else "session" for name in names]
        return Intake(
            [f"{n}/USDT" for n in range(len(names))], list(BAR_COLUMNS),
            [Schedule(bar_ns, *each) for each in zip(names, anchors, strict=True)],
            AlignmentRules(),
        )  # fmt: skip

    bar_ns = tables[0].bar_ns
    runs, found = intake(), [list[int]() for _ in tables]
    times = sorted({int(each) for table in tables for each in table.known_ns})
    for n, time_ns in enumerate(times):
        if n == cut:
            kept, runs = runs.snapshot(), intake()
            runs.restore(kept)
        present = [k for k, each in enumerate(tables) if time_ns in each.known_ns]
        for k in present:
            row = int(np.searchsorted(tables[k].known_ns, time_ns))
            runs.bar(
                m.BarClosed(
                    at_ns=0, symbol=k, open_ns=int(tables[k].open_ns[row]), known_ns=time_ns,
                    open=1.0, high=1.0, low=1.0, close=1.0, volume=1.0, source="stream",
                )
            )  # fmt: skip
        made = runs.decision_time(
            m.DecisionTimeReached(at_ns=0, time_ns=time_ns, present=tuple(present))
        )
        for k in range(len(tables)):
            cell = int(made.facts[k, layout.AGE])
            if k not in present:
                found[k].append(NONE_MISSING if cell == -1 else cell - layout.NO_BAR)
    return found


def test_round_the_clock_every_bar_is_scheduled() -> None:
    calendar = load_calendar("24x7", 0, 0)
    whole, short = (table(calendar, each, HOUR_NS) for each in (range(8), [2, 5]))
    opened = whole.open_ns.tolist()
    assert newest([whole, short], ["24x7", "24x7"]) == [
        [], [NONE_MISSING] * 2 + [opened[3], opened[4], opened[6], opened[7]],
    ]  # fmt: skip


def test_nights_and_weekends_of_an_exchange_are_not_missing() -> None:
    """Quarters of an hour of bitcoin, and of a share that lacks the end of one session."""
    around, stock = (load_calendar(name, *SPAN) for name in ("24x7", "XNYS"))
    coin = table(around, range(14 * 96), QUARTER_NS)
    share = table(stock, [*range(128), *range(130, 255)], QUARTER_NS)
    found = newest([coin, share], ["24x7", "XNYS"])
    assert (
        found
        == by_hand([coin, share], ["24x7", "XNYS"])
        == live([coin, share], ["24x7", "XNYS"], 700)
    )
    missing = sorted(set(found[1]) - {NONE_MISSING})
    assert missing[:2] == [ns("2021-03-05T20:30"), ns("2021-03-05T20:45")]


@pytest.mark.parametrize("last", ["2021-03-02", "2035-01-01"])
def test_a_schedule_ends_where_its_calendar_does(last: str) -> None:
    stock = load_calendar("XNYS", ns("2021-01-01"), ns("2021-12-01"))
    first = int(stock.place(np.array([ns("2021-03-01")]), DAY_NS).ordinal[0])
    found = scheduled_until(stock, first, ns(last), DAY_NS, "session")
    if last == "2021-03-02":
        assert found.open_ns.tolist() == [ns("2021-03-01T14:30")]
    else:
        assert len(found.open_ns) == len(stock.day_opens_ns) - first  # type: ignore[attr-defined]
    assert (np.diff(found.known_ns) > 0).all()


@given(st.lists(presence(), min_size=2, max_size=3), st.integers(0, 60), st.data())
@settings(max_examples=examples(30), deadline=None)
def test_a_live_run_misses_the_bars_of_a_whole_history(
    numbers: list[list[int]], cut: int, data: st.DataObject
) -> None:
    names = [data.draw(st.sampled_from(["24x7", "XNYS"])) for _ in numbers]
    calendars: list[Calendar] = [load_calendar(name, *SPAN) for name in names]
    tables = [table(*each, DAY_NS) for each in zip(calendars, numbers, strict=True)]
    expected = by_hand(tables, names)
    assert newest(tables, names) == expected
    assert live(tables, names, cut) == expected
