"""Each closed bar once and in order, whatever the network does; what is missing is declared."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet import messages as m
from septet._data import calendars
from septet._data.row_admission import Admission
from septet._host.venues import BarSeen
from septet._live.clock import ManualClock
from septet._live.market_data.bars import BarAssembler, BarRequest, BarRules
from septet._live.market_data.feed_grid import Gate, Grid
from septet_schemas.data import CandlesConfig, Policies
from tests.live.assemblers import MINUTE, SECOND, START, ask, assembler, at, opens, seen, started
from tests.scale import examples

# ---------------------------------------------------------------- the ordinary


def test_a_closed_bar_is_given_at_once_and_once() -> None:
    one = started()
    events = one.take(seen(0), at(1), at(1))
    assert opens(events) == [0]
    assert isinstance(events[0], m.BarClosed)
    assert (events[0].known_ns, events[0].source) == (at(1), "stream")
    assert one.take(seen(0), at(1), at(1)) == []
    assert one.findings() == ()


def test_an_unclosed_bar_waits_for_the_venue_to_close_it() -> None:
    one = started()
    assert one.take(seen(0, closed=False), at(0.5), at(0.5)) == []
    assert one.take(seen(1, closed=False), at(1.1), at(1.1)) == []
    assert ask(one, at(1.1)) == BarRequest("A", at(0), at(1))
    assert opens(one.take(seen(0), at(1.2), at(1.2))) == [0]


def test_a_bar_of_an_unknown_state_is_confirmed_by_the_next() -> None:
    one = started()
    assert one.take(seen(0, closed=None), at(0.9), at(0.9)) == []
    assert opens(one.take(seen(1, closed=None), at(1.1), at(1.1))) == [0]


def test_the_first_version_wins_and_a_later_one_is_reported() -> None:
    one = started()
    one.take(seen(0), at(1), at(1))
    assert one.take(seen(0, close=100.5), at(1.1), at(1.1)) == []
    assert [each.kind for each in one.findings()] == ["revision"]
    assert one.take(seen(0, close=100.5), at(1.1), at(1.1)) == []
    assert one.findings() == ()
    assert one.counts["A", "revision"] == 1


def test_what_is_not_expected_is_reported_and_dropped() -> None:
    one = started()
    assert one.take(seen(0, symbol="B"), at(1), at(1)) == []
    assert one.take(seen(5), at(1), at(1)) == []
    off = BarSeen("A", at(0) + 1, 1.0, 1.0, 1.0, 1.0, 1.0, True)
    assert one.take(off, at(1), at(1)) == []
    assert one.take(seen(1), at(1), at(1)) == []
    assert [each.kind for each in one.findings()] == [
        "unknown_symbol", "future", "off_grid", "unfinished",
    ]  # fmt: skip


# ---------------------------------------------------------------- what is missing


def test_a_missed_bar_is_asked_for_and_later_ones_wait() -> None:
    one = started()
    assert one.wanted(at(1) + 1, at(1) + 1) == []
    assert one.take(seen(1), at(2), at(2)) == []
    wanted = ask(one, at(2))
    assert wanted == BarRequest("A", at(0), at(1))
    assert one.wanted(at(2), at(2)) == []  # one question at a time
    events = one.answer(wanted, [seen(0)], at(2), at(2))
    assert opens(events) == [0, 1]
    assert [each.source for each in events if isinstance(each, m.BarClosed)] == [
        "backfill", "stream",
    ]  # fmt: skip


def test_an_overdue_bar_is_asked_for_without_a_sign_of_it() -> None:
    one = started()
    assert one.wanted(at(1) + SECOND - 1, at(1) + SECOND - 1) == []
    assert ask(one, at(1) + SECOND) == BarRequest("A", at(0), at(1))
    assert one.next_wall_ns(lambda ns: ns) == at(2) + SECOND  # the answer is lost by then
    assert ask(one, at(2) + SECOND) == BarRequest("A", at(0), at(2))
    one.answer(BarRequest("A", at(0), at(2)), None, at(2) + SECOND, at(2) + SECOND)
    assert one.next_wall_ns(lambda ns: ns) == at(2) + 2 * SECOND


def test_a_bar_the_venue_lacks_is_declared_missing_after_two_answers() -> None:
    one = started()
    now = at(1) + SECOND
    for _ in range(2):
        wanted = ask(one, now)
        assert one.answer(wanted, [], now, now) == []
        now += 4 * SECOND
    assert not one.behind("A", now)
    assert one.poll(now, now) == []  # nothing later exists: nobody waits for it
    events = one.take(seen(1, closed=None), now, now)
    assert opens(events) == [(0, 0)]
    assert isinstance(events[0], m.Gapped)
    assert events[0].reason == "the venue has no such bar"
    one.take(seen(0), now, now)
    assert [each.kind for each in one.findings()] == ["gap", "after_gap"]


def test_a_bar_the_venue_lacks_is_requested_ever_less_often_until_the_next_is_due() -> None:
    """The last bar of a session, over a weekend."""
    one = assembler("A", calendar="XNYS")
    friday = 1_704_488_340 * SECOND  # 2024-01-05T20:59Z, the last minute of the session
    one.resume("A", friday - MINUTE, 100.0)
    due = friday + 2 * 24 * 3_600 * SECOND + 17 * 3_600 * SECOND + 32 * MINUTE
    now, asked = friday + MINUTE, []
    while now <= due + SECOND:
        for wanted in one.wanted(now, now):
            asked.append(now)
            assert one.answer(wanted, [], now, now) == []
        then = one.next_wall_ns(lambda ns: ns)
        assert then is not None
        assert then > now
        now = then
    assert len(asked) < 90
    assert max(b - a for a, b in pairwise(asked)) == 3_600 * SECOND
    first = one.next_of("A")
    assert first is not None
    assert first.open_ns == friday
    assert asked[-1] == due + SECOND  # the first bar of Monday


def test_an_unreachable_feed_declares_nothing_until_others_have_waited() -> None:
    one = started(rules=BarRules(give_up_ns=30 * SECOND))
    now = at(10)
    for _ in range(20):
        for wanted in one.wanted(now, now):
            assert one.answer(wanted, None, now, now) == []
        now += 60 * SECOND
    assert opens(one.take(seen(12), now, now)) == []
    now += 30 * SECOND
    assert opens(one.poll(now, now)) == [(0, 11), 12]


def test_a_whole_history_with_holes_is_taken_page_by_page() -> None:
    one = assembler("A")
    one.resume("A", START - 1)
    have = [k for k in range(100) if k not in (0, 7, 8, 50, 98)]
    events: list[m.Event] = []
    for first in range(0, 100, 20):
        rows = [seen(k) for k in have if first <= k < first + 20]
        events += one.answer(BarRequest("A", at(first), at(first + 20)), rows, at(100), at(100))
    assert opens(events) == [
        (0, 0), *range(1, 7), (7, 8), *range(9, 50), (50, 50), *range(51, 98), (98, 98), 99,
    ]  # fmt: skip


def test_requests_are_bounded() -> None:
    one = started(rules=BarRules(page=10))
    now = at(1_000)
    assert ask(one, now) == BarRequest("A", at(0), at(10))
    waits = []
    for _ in range(12):
        one.answer(BarRequest("A", at(0), at(10)), None, now, now)
        then = one.next_wall_ns(lambda ns: ns)
        assert then is not None
        waits.append((then - now) // SECOND)
        now = then
        ask(one, now)
    assert waits[:5] == [1, 2, 4, 8, 16]
    assert waits[-1] == 30


# ---------------------------------------------------------------- absurd prices


def test_an_absurd_price_waits_for_the_feed_and_is_accepted_if_it_agrees() -> None:
    one = started()
    crash = seen(0, low=20.0)
    assert one.take(crash, at(1), at(1)) == []
    assert one.take(crash, at(1), at(1)) == []
    wanted = ask(one, at(1))
    assert opens(one.answer(wanted, [crash], at(1), at(1))) == [0]
    assert one.counts["A", "absurd"] == 1


def test_an_absurd_price_is_replaced_by_what_the_feed_reports() -> None:
    one = started()
    one.take(seen(0, high=1e6), at(1), at(1))
    events = one.answer(ask(one, at(1)), [seen(0)], at(1), at(1))
    assert isinstance(events[0], m.BarClosed)
    assert (events[0].high, events[0].source) == (102.0, "backfill")


def test_an_absurd_price_nobody_confirms_is_declared_missing() -> None:
    one = started(rules=BarRules(give_up_ns=30 * SECOND))
    one.take(seen(0, close=500.0, high=500.0), at(1), at(1))
    one.answer(ask(one, at(1)), None, at(1), at(1))
    now = at(1) + 30 * SECOND
    events = one.poll(now, now)
    assert opens(events) == [(0, 0)]
    assert isinstance(events[0], m.Gapped)
    assert "absurd" in events[0].reason
    assert opens(one.take(seen(1), at(2), at(2))) == [1]


def test_a_backfilled_jump_must_be_given_twice() -> None:
    one = started(close=30.0)
    now = at(1) + SECOND
    assert one.answer(ask(one, now), [seen(0)], now, now) == []
    assert opens(one.answer(ask(one, now + SECOND), [seen(0)], now, now)) == [0]


def insisted(one: BarAssembler, number: int, factor: float) -> list[m.Event]:
    """A bar of the stream at so many times the price, which the feed confirms as often as asked."""
    scale = {name: factor * getattr(seen(0), name) for name in ("open", "high", "low", "close")}
    bar, now = seen(number, **scale), at(number + 1)
    events = one.take(bar, now, now)
    for _ in range(4):
        now += 5 * SECOND
        for wanted in one.wanted(now, now):
            events += one.answer(wanted, [bar], now, now)
    return events + one.take(seen(number + 1, closed=False), now, now) + one.poll(now, now)


@pytest.mark.parametrize("factor", [100.0, 0.01])
def test_a_bar_off_by_a_factor_is_missing_though_the_feed_insists(factor: float) -> None:
    one = started()
    events = insisted(one, 0, factor)
    assert [type(each) for each in events] == [m.Gapped]
    assert isinstance(events[0], m.Gapped)
    assert events[0].reason == "refused: price_spike"
    assert one.counts["A", "price_spike"] > 0
    assert opens(one.take(seen(1), at(2), at(2))) == [1]


@pytest.mark.parametrize("factor", [100.0, 0.01])
def test_a_second_bar_on_the_new_level_is_accepted(factor: float) -> None:
    one = started()
    assert [type(each) for each in insisted(one, 0, factor)] == [m.Gapped]
    events = insisted(one, 1, factor)
    assert opens(events) == [1]
    assert isinstance(events[0], m.BarClosed)


def test_a_crash_through_all_prices_is_accepted_when_confirmed() -> None:
    one = started()
    crash = seen(0, low=0.9, close=1.0)
    one.take(crash, at(1), at(1))
    assert opens(one.answer(ask(one, at(1)), [crash], at(1), at(1))) == [0]


def test_a_file_may_keep_bars_that_are_off_by_a_factor() -> None:
    one = started(policy=Policies(price_spike="keep"))
    assert opens(insisted(one, 0, 100.0)) == [0]


# ---------------------------------------------------------------- bad rows


def test_a_bad_row_is_asked_for_again() -> None:
    one = started()
    assert one.take(seen(0, high=1.0, low=1.0), at(1), at(1)) == []
    assert one.counts["A", "absurd"] == 1
    one = started(close=float("nan"))
    assert one.take(seen(0, high=1.0), at(1), at(1)) == []
    assert one.counts["A", "high_below_low"] == 1
    wanted = ask(one, at(1) + SECOND)
    assert opens(one.answer(wanted, [seen(0)], at(1), at(1))) == [0]


def test_a_row_the_venue_repeats_is_declared_missing_with_the_reason() -> None:
    one = started(close=float("nan"))
    bad = seen(0, close=float("nan"))
    now = at(1)
    one.take(seen(1, closed=None), now + SECOND, now + SECOND)
    events: list[m.Event] = []
    for _ in range(4):
        now += 4 * SECOND
        for wanted in one.wanted(now, now):
            events += one.answer(wanted, [bad], now, now)
    assert opens(events) == [(0, 0)]
    assert isinstance(events[0], m.Gapped)
    assert events[0].reason == "refused: not_finite"


def test_the_policy_refuse_drops_the_row_and_the_run_continues() -> None:
    one = started(close=float("nan"), policy=Policies(zero_volume="refuse"))
    assert one.take(seen(0, volume=0.0), at(1), at(1)) == []
    assert [each.policy for each in one.findings()] == ["refuse"]


number = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, 1.0, 2.0, 3.0])


@settings(max_examples=examples(300), deadline=None)
@given(st.tuples(number, number, number, number, number), st.booleans())
def test_the_gate_accepts_the_rows_that_history_accepts(
    row: tuple[float, float, float, float, float], quote: bool
) -> None:
    keys = CandlesConfig(volume_in="quote" if quote else None)
    grid = Grid("24x7", MINUTE)
    bar, found = Gate("A", grid, keys, "live").admit(BarSeen("A", START, *row, closed=True))
    with np.errstate(all="ignore"):
        wanted, text = Admission("A", MINUTE, keys).admit(START, *row, now_ns=2**62)
    assert (bar is None) == (wanted is None)
    assert found == text
    if bar is not None and wanted is not None:
        for name in ("open", "high", "low", "close", "volume"):
            assert getattr(bar, name) == getattr(wanted, name)


# ---------------------------------------------------------------- the schedule


@pytest.mark.parametrize("calendar", ["24x7", "XNYS", "XFX"])
@pytest.mark.parametrize("bar_ns", [60 * MINUTE, 1_440 * MINUTE])
def test_a_grid_is_the_calendar_of_history(calendar: str, bar_ns: int) -> None:
    grid = Grid(calendar, bar_ns)
    slots = grid.due(START, START + 40 * 1_440 * MINUTE, 10_000)
    assert len(slots) > 15
    live = Admission("A", bar_ns, CandlesConfig(), calendar)
    for before, slot in zip([None, *slots], slots, strict=False):
        bar, found = live.admit(slot.open_ns, 1.0, 1.0, 1.0, 1.0, 1.0, now_ns=2**62)
        assert bar is not None
        assert (bar.open_ns, bar.known_ns, found) == (slot.open_ns, slot.known_ns, ())
        assert grid.slot(slot.open_ns) == slot
        assert grid.slot(slot.open_ns + 1) is None
        if before is not None:
            assert grid.following(before.open_ns) == slot
            assert grid.known_after(before.known_ns) == slot
            assert grid.known_after(slot.known_ns - 1) == slot


@pytest.mark.parametrize("bar_ns", [10 * SECOND, 15 * MINUTE])
def test_a_grid_goes_on_where_what_was_read_of_the_calendar_ends(bar_ns: int) -> None:
    grid, day = Grid("XNYS", bar_ns), 1_440 * MINUTE
    for days in (0, 24, 25, 26, 40, 60, 239, 241, 300, 24, 0):
        at_ns = START + days * day
        fresh = Grid("XNYS", bar_ns)
        assert grid.following(at_ns) == fresh.following(at_ns)
        assert grid.known_after(at_ns) == fresh.known_after(at_ns)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(
    ("first", "last"), [("2019-11-27", "2020-01-06"), ("2005-03-31", "2005-05-02")]
)
def test_the_sessions_of_a_span_are_those_the_library_has_for_it(first: str, last: str) -> None:
    """They are cut out of whole decades: one span lies across two, at none ends one."""
    import exchange_calendars

    found = calendars._exchange("XHKG", date.fromisoformat(first), date.fromisoformat(last))
    table = exchange_calendars.get_calendar("XHKG", start=first, end=last).schedule
    days = [(each - date(1970, 1, 1)).days for each in table.index.date]
    assert found.day_number.tolist() == days
    assert set(found.number.tolist()) == set(days)
    for name in ("open", "close"):
        times = [each.value for each in table[name]]
        assert getattr(found, f"day_{name}s_ns").tolist() == times
    pauses = [each.value for each in table["break_start"].dropna()]
    assert len(pauses) > 10
    assert sorted(found.closes_ns.tolist()) == sorted(pauses + found.day_closes_ns.tolist())


# ---------------------------------------------------------------- any order, any loss


class World:
    """A venue with bars, some of which it never had, behind a network that loses and repeats."""

    def __init__(self, seed: int, symbols: int, count: int) -> None:
        self.draw = random.Random(seed)
        self.names = [f"S{k}" for k in range(symbols)]
        self.count = count
        self.has = {
            name: [k for k in range(count) if k == count - 1 or self.draw.random() > 0.08]
            for name in self.names
        }
        self.failing = self.draw.random() * 0.6

    def stream(self, name: str) -> list[tuple[int, BarSeen]]:
        """Messages of a symbol with the times they arrive at."""
        draw, found = self.draw, []
        style = draw.choice((True, None))
        for k in self.has[name]:
            partial = None if style is None else False
            final = seen(k, closed=style, symbol=name)
            begun = seen(k, closed=partial, symbol=name, close=100.0 + k % 7, volume=1.0)
            if draw.random() > 0.3 and style is True:
                found.append((at(k) + draw.randrange(MINUTE), begun))
            if draw.random() > 0.25:
                # a bar of unknown state is shown as it ends, and only a later one confirms it
                when = at(k + 1) + (draw.randrange(2 * MINUTE) if style else -1)
                found += [(when + j, final) for j in range(draw.choice((1, 1, 1, 2, 3)))]
        return found

    def rest(self, wanted: BarRequest, market_ns: int) -> list[BarSeen] | None:
        if self.draw.random() < self.failing:
            return None
        rows = [seen(k, symbol=wanted.symbol) for k in self.has[wanted.symbol]]
        return [
            row
            for row in rows
            if wanted.since_ns <= row.open_ns < wanted.until_ns
            and row.open_ns + MINUTE <= market_ns
        ]


def live_through(
    world: World, one: BarAssembler, restart: Callable[[list[m.Event]], BarAssembler | None]
) -> list[m.Event]:
    """Run a assembler through a world, second by second, until nothing can follow."""
    clock = ManualClock(at(0))
    due = sorted(
        (each for name in world.names for each in world.stream(name)), key=lambda each: each[0]
    )
    events: list[m.Event] = []
    while clock.now_ns() < at(world.count + 20):
        now = clock.now_ns()
        while due and due[0][0] <= now:
            events += one.take(due.pop(0)[1], now, now)
        for wanted in one.wanted(now, now):
            events += one.answer(wanted, world.rest(wanted, now), now, now)
        events += one.poll(now, now)
        clock.advance(SECOND)
        one = restart(events) or one
    return events


@settings(max_examples=examples(40), deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 3), st.integers(3, 25), st.booleans())
def test_every_bar_once_and_in_order(seed: int, symbols: int, count: int, crash: bool) -> None:
    world = World(seed, symbols, count)

    def fresh(events: list[m.Event]) -> BarAssembler:
        one = assembler(*world.names)
        for k, name in enumerate(world.names):
            one.resume(name, at(-1), 100.0)
            for each in events:
                if isinstance(each, m.BarClosed) and each.symbol == k:
                    one.resume(name, each.open_ns, each.close)
                elif isinstance(each, m.Gapped) and each.symbol == k:
                    one.resume(name, each.last_ns, 100.0)
        return one

    def restart(events: list[m.Event]) -> BarAssembler | None:
        return fresh(events) if crash and world.draw.random() < 0.01 else None

    events = live_through(world, fresh([]), restart)
    for k, name in enumerate(world.names):
        covered: list[int] = []
        for each in events:
            if getattr(each, "symbol", -1) != k:
                continue
            if isinstance(each, m.BarClosed):
                number = (each.open_ns - START) // MINUTE
                covered.append(number)
                assert number in world.has[name]
                wanted = seen(number, symbol=name)
                assert (each.open, each.high, each.low, each.close, each.volume) == (
                    wanted.open, wanted.high, wanted.low, wanted.close, wanted.volume,
                )  # fmt: skip
            elif isinstance(each, m.Gapped):
                first, last = ((ns - START) // MINUTE for ns in (each.first_ns, each.last_ns))
                gap = list(range(first, last + 1))
                assert not set(gap) & set(world.has[name])
                covered += gap
        assert covered == list(range(count))
