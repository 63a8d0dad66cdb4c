"""A stream is alive while it brings data: silence is found, and redials are bounded."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from septet import messages as m
from septet._live.clock import ManualClock
from septet._live.market_data.feed_grid import Grid
from septet._live.market_data.watchdog import DialRules, Watchdog, default_silences_ns
from tests.scale import examples

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
START = 1_700_000_040 * SECOND // MINUTE * MINUTE
GRID = Grid("24x7", MINUTE)


class Dog:
    """A watchdog that is given the time of its clock."""

    def __init__(self, clock: ManualClock, seed: int = 0) -> None:
        self.clock, self.missing = clock, set[int]()
        self.dog = Watchdog(clock, behind=lambda symbol: symbol in self.missing, seed=seed)
        self.watch, self.redial = self.dog.watch, self.dog.redial
        self.next_wall_ns = self.dog.next_wall_ns

    def received(self, name: str, symbol: int) -> list[m.FeedChanged]:
        now_ns, market_ns = self.clock.now_ns(), self.clock.market_ns()
        return list(self.dog.received(name, symbol, now_ns, market_ns))

    def broken(self, name: str, symbol: int, reason: str) -> list[m.FeedChanged]:
        return self.dog.down(name, symbol, reason, self.clock.now_ns())

    def poll(self) -> list[m.FeedChanged]:
        return self.dog.check(self.clock.now_ns())


def watched(
    clock: ManualClock, *names: str, symbols: int = 1, seed: int = 0, silent_ns: int = 30 * SECOND
) -> Dog:
    dog = Dog(clock, seed)
    for name in names or ("bars",):
        changes = dog.watch(name, [GRID] * symbols, silent_ns)
        assert [each.state for each in changes] == ["down"] * symbols
    return dog


def states(found: list[m.FeedChanged]) -> list[tuple[str, int, str]]:
    return [(each.stream, each.symbol, each.state) for each in found]


def test_a_stream_is_live_once_a_message_arrived_and_nothing_is_missing() -> None:
    clock = ManualClock(START)
    dog = watched(clock, symbols=2)
    assert dog.poll() == []
    dog.missing.add(1)
    assert dog.received("bars", 1) == []
    assert dog.poll() == []
    dog.missing.clear()
    assert states(dog.poll()) == [("bars", 1, "live")]
    assert dog.poll() == []
    assert states(dog.received("bars", 0)) == [("bars", 0, "live")]


def test_bars_may_be_silent_until_after_their_close() -> None:
    clock = ManualClock(START + SECOND)
    dog = watched(clock)
    assert states(dog.received("bars", 0)) == [("bars", 0, "live")]
    clock.reach(START + MINUTE + 30 * SECOND)
    assert dog.poll() == []
    clock.advance(1)
    assert states(dog.poll()) == [("bars", 0, "stale")]
    assert dog.poll() == []
    assert states(dog.received("bars", 0)) == [("bars", 0, "live")]


def test_quotes_may_be_silent_for_some_seconds() -> None:
    clock = ManualClock(START)
    dog = watched(clock, "quotes")
    dog.received("quotes", 0)
    dog.poll()
    clock.advance(30 * SECOND + 1)
    assert states(dog.poll()) == [("quotes", 0, "stale")]


def test_silence_while_the_market_is_closed_is_none() -> None:
    grid = Grid("XNYS", MINUTE)
    opens = grid.following(START).open_ns  # 2023-11-14 22:14 UTC is after the close
    assert opens > START + 10 * 60 * MINUTE
    clock = ManualClock(START)
    dog = Dog(clock)
    for name in ("bars", "quotes"):
        dog.watch(name, [grid], 30 * SECOND)
        assert len(dog.received(name, 0)) == 1
    clock.reach(opens)
    assert dog.poll() == []
    assert dog.redial() is None
    clock.reach(opens + 30 * SECOND + 1)
    assert states(dog.poll()) == [("quotes", 0, "stale")]
    clock.reach(opens + 90 * SECOND + 1)
    assert states(dog.poll()) == [("bars", 0, "stale")]


def test_what_a_feed_reports_is_accepted() -> None:
    clock = ManualClock(START)
    dog = watched(clock, "bars", "quotes", symbols=2)
    for name in ("bars", "quotes"):
        for k in range(2):
            dog.received(name, k)
    dog.poll()
    assert states(dog.broken("bars", 1, "closed")) == [("bars", 1, "down")]
    assert dog.broken("bars", 1, "closed") == []
    assert states(dog.broken("quotes", -1, "closed")) == [
        ("quotes", 0, "down"), ("quotes", 1, "down"),
    ]  # fmt: skip
    assert dog.redial() is None  # the feed dials by itself; it is given some time
    assert states(dog.received("bars", 1)) == [("bars", 1, "live")]


def test_a_feed_that_stays_down_is_dialled() -> None:
    clock = ManualClock(START)
    dog = watched(clock, "quotes")
    clock.advance(29 * SECOND)
    assert dog.redial() is None
    clock.advance(2 * SECOND)
    request = dog.redial()
    assert request is not None
    assert "quotes" in request.reason
    assert dog.redial() is None


def test_redials_back_off_and_are_bounded() -> None:
    clock = ManualClock(START)
    dog = watched(clock, "quotes", seed=1)
    dials = []
    while clock.now_ns() < START + 3_600 * SECOND:
        if dog.redial() is not None:
            dials.append(clock.now_ns())
        following = dog.next_wall_ns()
        assert following is not None
        clock.reach(max(following, clock.now_ns() + SECOND // 10))
    waits = [later - one for one, later in pairwise(dials)]
    assert waits[0] < 3 * SECOND
    assert max(waits[:12]) > 40 * SECOND
    rules = DialRules()
    for at_ns in dials:
        assert sum(at_ns <= each < at_ns + rules.window_ns for each in dials) <= rules.most


def test_flapping_does_not_reset_the_back_off() -> None:
    clock = ManualClock(START)
    dog = watched(clock, "quotes")
    numbers = []
    for _ in range(6):
        clock.advance(31 * SECOND)
        dog.poll()
        for _ in range(80):
            request = dog.redial()
            if request is not None:
                numbers.append(request.number)
                break
            clock.advance(SECOND)
        dog.received("quotes", 0)
        dog.poll()
        assert dog.redial() is None
    assert numbers == [1, 2, 3, 4, 5, 6]
    for _ in range(4):
        dog.received("quotes", 0)
        dog.poll()
        dog.redial()
        clock.advance(29 * SECOND)
    clock.advance(31 * SECOND)
    dog.poll()
    request = dog.redial()
    assert request is not None
    assert request.number == 1


def test_the_usual_silences_shrink_with_the_bar() -> None:
    usual = default_silences_ns(60 * MINUTE, 1.0)
    assert (usual["bars"], usual["quotes"]) == (120 * SECOND, 30 * SECOND)
    short = default_silences_ns(60 * MINUTE, 3_600.0)
    assert (short["bars"], short["quotes"]) == (SECOND, 2 * SECOND)
    assert default_silences_ns(60 * MINUTE, 1.0, 5)["bars"] == 5


@settings(max_examples=examples(100), deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["received", "broken", "none"]))),
    st.integers(0, 100),
)
def test_states_alternate_and_silence_is_always_found(
    steps: list[tuple[int, str]], seed: int
) -> None:
    clock = ManualClock(START)
    dog = watched(clock, "quotes", seed=seed)
    state, last = "down", None
    for wait, what in steps:
        clock.advance(wait * SECOND)
        changes = dog.poll()
        if what == "received":
            changes += dog.received("quotes", 0)
            last = clock.now_ns()
        elif what == "broken":
            changes += dog.broken("quotes", 0, "closed")
            last = None
        changes += dog.poll()
        for each in changes:
            assert each.state != state
            state = each.state
        silent = last is None or clock.now_ns() - last > 30 * SECOND
        assert (state == "live") == (not silent)
