"""What blocks entries: each guard trips once, states what clears it, and is cleared by that."""

from __future__ import annotations

from typing import Any

import pytest

from septet import messages as m
from septet._core.guards import PROCESS, RULES, TASK, Guards

NOW = 1_700_000_000_000_000_000
SECOND = 1_000_000_000


def guards(**rest: Any) -> Guards:
    return Guards(["A", "B"], **rest)


def names(commands: list[m.Command]) -> list[str]:
    return [type(each).__name__ for each in commands]


def feed(state: Any, symbol: int = 0, stream: str = "bars") -> m.FeedChanged:
    return m.FeedChanged(at_ns=NOW, stream=stream, symbol=symbol, state=state)


def venue(state: Any, until_ns: int = 0) -> m.VenueChanged:
    return m.VenueChanged(at_ns=NOW, venue="v", state=state, until_ns=until_ns)


def test_a_ban_has_an_end_and_a_longest_duration() -> None:
    made = guards()
    first = made.handle(venue("banned", NOW + 60 * SECOND))
    tripped, alarm = first
    assert isinstance(tripped, m.Tripped)
    assert isinstance(alarm, m.Alerted)
    assert tripped.text == "until 2023-11-14T22:14:20Z"
    assert alarm.text == f"venue_banned:v: {tripped.text}; no entries until the ban is over"
    (longer,) = made.handle(venue("banned", 1 << 62))
    (guard,) = made.active()
    assert guard.until_ns == NOW + 3 * 86_400 * SECOND
    assert guard.text == "until 2023-11-17T22:13:20Z"
    assert isinstance(longer, m.Alerted)
    assert guard.text in longer.text
    assert made.handle(venue("banned", NOW + SECOND)) == []


def operated(action: Any) -> m.Operated:
    return m.Operated(at_ns=NOW, action=action, name="ann", reason="why")


def started() -> m.Started:
    return m.Started(
        at_ns=NOW, session=2, run_id="r", mode="live", strategy="s", origin_ns=0, market_ns=NOW,
        fingerprints={},
    )  # fmt: skip


def test_nothing_blocks_at_first() -> None:
    assert guards().blocked(0) == ""


def test_a_stale_feed_blocks_its_symbol_once_and_data_clears_it() -> None:
    made = guards()
    tripped = made.handle(feed("stale"))
    assert names(tripped) == ["Tripped", "Alerted"]
    assert isinstance(tripped[0], m.Tripped)
    assert (tripped[0].rule, tripped[0].then) == ("feed_stale:bars:A", "block_entries")
    assert tripped[0].clears_when == RULES["feed_stale"].clears_when
    assert made.handle(feed("stale")) == []
    assert (made.blocked(0), made.blocked(1)) == ("feed_stale", "")
    assert names(made.handle(feed("down"))) == ["Cleared", "Tripped", "Alerted"]
    assert made.blocked(0) == "feed_down"
    assert names(made.handle(feed("live"))) == ["Cleared"]
    assert made.handle(feed("live")) == []
    assert made.blocked(0) == ""


def test_one_stream_does_not_clear_another() -> None:
    made = guards()
    made.handle(feed("stale"))
    made.handle(feed("down", stream="quotes"))
    made.handle(feed("live"))
    assert made.blocked(0) == "feed_down"


OWN = [
    feed("stale", stream=PROCESS),
    feed("down", symbol=-1, stream=f"{TASK}alarm of septet"),
    m.VenueChanged(at_ns=NOW, venue=f"{TASK}account of ccxt", state="down"),
]


@pytest.mark.parametrize("event", OWN, ids=["stood_still", "task", "task_of_a_venue"])
def test_what_a_process_set_for_itself_ends_with_it(event: m.Event) -> None:
    """Killed while it holds, nobody would ever report its end; the others wait for theirs."""
    before, after = guards(), guards()
    before.handle(feed("down", symbol=1))
    before.handle(event)
    assert before.blocked(0)
    after.restore(before.snapshot())
    cleared = after.handle(started())
    assert [(type(each), each.by) for each in cleared if isinstance(each, m.Cleared)] == [
        (m.Cleared, "start")
    ]
    assert (after.blocked(0), after.blocked(1)) == ("", "feed_down")


def test_only_watched_streams_block() -> None:
    made = guards(watched=("bars",))
    assert made.handle(feed("down", stream="quotes")) == []
    assert made.handle(feed("down", stream="bars:1h"))


@pytest.mark.parametrize("state", ["down", "limited", "banned", "maintenance"])
def test_a_venue_blocks_everything_until_it_is_up(state: str) -> None:
    made = guards()
    made.handle(venue(state))
    assert [made.blocked(k) for k in range(2)] == [f"venue_{state}"] * 2
    assert names(made.handle(venue("up"))) == ["Cleared"]
    assert made.blocked(0) == ""


def test_e2_e3_a_pause_ends_by_itself_and_may_grow() -> None:
    made = guards()
    made.handle(venue("limited", NOW + 10 * SECOND))
    assert made.handle(venue("limited", NOW + 20 * SECOND)) == []
    assert made.wake_ns() == NOW + 20 * SECOND
    assert made.ticked(NOW + 19 * SECOND) == []
    assert names(made.ticked(NOW + 20 * SECOND)) == ["Cleared"]
    assert made.wake_ns() == 0


def test_e4_clock_skew_in_either_direction() -> None:
    made = guards()
    for skew in (500_000_001, -500_000_001):
        made.handle(m.Skewed(at_ns=NOW, venue="v", skew_ns=skew))
        assert made.blocked(1) == "clock_skew"
        assert names(made.handle(m.Skewed(at_ns=NOW, venue="v", skew_ns=1))) == ["Cleared"]
    assert guards(skew_limit_ns=10).handle(m.Skewed(at_ns=NOW, venue="v", skew_ns=11))


def filters(lot: float, *, trading: bool = True) -> m.FiltersChanged:
    return m.FiltersChanged(
        at_ns=NOW, symbol=1, lot=lot, tick=0.01, min_notional=1.0, trading=trading
    )


def test_e7_only_a_coarser_lot_blocks_until_a_person_resumes() -> None:
    made = guards(lots=(0.001, 0.001))
    assert made.handle(filters(0.0001)) == []
    made.handle(filters(0.01))
    assert (made.blocked(0), made.blocked(1)) == ("", "filters_changed")
    made.handle(operated("resume"))
    assert made.blocked(1) == ""


def test_e8_a_symbol_that_does_not_trade() -> None:
    made = guards()
    made.handle(filters(0.001, trading=False))
    assert made.blocked(1) == "symbol_halted"
    assert names(made.handle(filters(0.001))) == ["Cleared"]


def test_a_halt_is_cleared_by_a_person_who_is_named() -> None:
    made = guards()
    made.handle(operated("halt"))
    assert made.handle(operated("halt")) == []
    assert made.blocked(0) == "operator_halt"
    (cleared,) = made.handle(operated("resume"))
    assert isinstance(cleared, m.Cleared)
    assert cleared.by == "ann"


def test_re_arming_clears_the_throttle_and_nothing_else() -> None:
    made = guards()
    made.trip("throttled", NOW)
    made.trip("turnover", NOW)
    made.handle(operated("rearm"))
    assert made.blocked(0) == "turnover"


def test_a_stop_ends_with_the_next_start() -> None:
    made = guards()
    made.handle(operated("stop"))
    assert made.blocked(0) == "stopping"
    made.handle(started())
    assert made.blocked(0) == ""


def test_a_plugin_in_quarantine_blocks_until_it_is_tried_again() -> None:
    made = guards()
    made.handle(m.Quarantined(at_ns=NOW, plugin="mood", until_ns=NOW + SECOND, text="hung"))
    assert made.blocked(0) == "quarantine"
    made.handle(m.Ticked(at_ns=NOW + SECOND, market_ns=0))
    assert made.blocked(0) == ""


def compare(made: Guards, ours: float, theirs: float, **rest: Any) -> list[m.Command]:
    fields = {"tolerance": 0.001, "band": (0.0, 0.0), "lags": [(0.0, 0.0)], "now_ns": NOW, **rest}
    return made.compare(0, ours, theirs, **fields)


def test_m1_a_position_that_differs_blocks_until_they_agree() -> None:
    made = guards()
    assert compare(made, 1.0, 1.0005) == []
    assert compare(made, 1.0, 2.0, lags=[(0.0, 1.0)]) == []
    tripped = compare(made, 1.0, 2.0)
    assert names(tripped) == ["Tripped", "Alerted"]
    assert made.blocked(0) == "position_mismatch"
    assert names(compare(made, 2.0, 2.0)) == ["Cleared"]


def test_m1_unfinished_orders_are_allowed_for() -> None:
    made = guards()
    assert compare(made, 1.0, 1.5, band=(0.0, 0.5)) == []
    assert compare(made, 1.0, 0.5, band=(-0.5, 0.0)) == []
    assert compare(made, 1.0, 0.5, band=(0.0, 0.5))


def test_m1_a_read_that_lags_neither_trips_nor_clears() -> None:
    made = guards()
    assert compare(made, 1.0, 0.0, lags=[(-1.0, -0.9)]) == []
    assert made.blocked(0) == ""
    assert compare(made, 1.0, 1.5, lags=[(-1.0, -0.9)])
    assert compare(made, 1.0, 0.0, lags=[(-1.0, -0.9)]) == []
    assert made.blocked(0) == "position_mismatch"


def test_m1_what_a_person_accepted_does_not_trip_again_but_more_does() -> None:
    made = guards()
    compare(made, 1.0, 2.0)
    made.handle(operated("resume"))
    assert compare(made, 1.0, 2.0) == []
    assert compare(made, 1.5, 2.5) == []
    assert compare(made, 1.5, 3.0)


def test_a_restored_snapshot_continues_identically() -> None:
    made = guards()
    made.handle(feed("stale"))
    made.handle(venue("banned", NOW + SECOND))
    compare(made, 1.0, 2.0)
    other = guards()
    other.restore(made.snapshot())
    assert other.snapshot() == made.snapshot()
    assert (other.blocked(0), other.blocked(1)) == (made.blocked(0), made.blocked(1))
    assert other.ticked(NOW + SECOND) == made.ticked(NOW + SECOND) != []


def test_every_guard_shows_what_clears_it() -> None:
    assert all(rule.clears_when for rule in RULES.values())


@pytest.mark.parametrize("rule", RULES)
def test_every_block_states_what_ends_it_and_names_the_command_of_a_person(rule: str) -> None:
    made = guards()
    made.trip(rule, NOW - SECOND, symbol=0, text="seen")
    resumed = made.handle(m.Operated(at_ns=NOW, action="resume", name="ann", reason="why"))
    assert bool(resumed) == RULES[rule].person
    made = guards()
    tripped, alert = made.trip(rule, NOW, symbol=0, text="seen")
    assert isinstance(tripped, m.Tripped)
    assert isinstance(alert, m.Alerted)
    assert alert.text == f"{rule}:A: seen; no entries until {tripped.clears_when}"
    by_a_person = RULES[rule].person or rule in {"unprotected", "lost_fill"}
    assert ("septet resume" in tripped.clears_when) == by_a_person


def test_a_venue_that_is_up_otherwise_than_it_should_be_is_reported() -> None:
    made = guards()
    event = m.VenueChanged(at_ns=NOW, venue="v", state="up", reason="the account is read")
    (alert,) = made.handle(event)
    assert isinstance(alert, m.Alerted)
    assert (alert.level, alert.event) == ("warning", "account_polled")
    assert alert.text == "v: the account is read"
    task = m.VenueChanged(at_ns=NOW, venue=f"{TASK}x of v", state="up", reason="works again")
    assert made.handle(task) == []
