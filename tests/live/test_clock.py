"""Wall time never goes back, jumps are reported, and market time maps to the wall and back."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from septet._live.clock import (
    JUMP_NS,
    ManualClock,
    MarketOrigin,
    ShortenedClock,
    WallClock,
    clock_from,
    read_origin,
)
from septet.errors import InputError, RunError

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


class Machine:
    """A machine whose two clocks are moved by hand."""

    def __init__(self) -> None:
        self.wall_ns, self.monotonic_ns = START, 5 * SECOND

    def clock(self) -> WallClock:
        return WallClock(wall=lambda: self.wall_ns, monotonic=lambda: self.monotonic_ns)

    def run(self, by_ns: int) -> None:
        self.wall_ns += by_ns
        self.monotonic_ns += by_ns


def test_an_even_clock_follows_the_system_and_never_reports() -> None:
    machine = Machine()
    clock = machine.clock()
    for _ in range(10):
        machine.run(SECOND)
        assert clock.now_ns() == clock.market_ns() == machine.wall_ns
        assert clock.check() is None
    assert clock.wall_of_market(7) == 7


def test_a_machine_that_slept_is_found_once_and_followed() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall_ns += 600 * SECOND
    assert clock.now_ns() == START
    jump = clock.check()
    assert jump is not None
    assert jump.by_ns == 600 * SECOND
    assert "ahead" in str(jump)
    assert clock.now_ns() == machine.wall_ns
    assert clock.check() is None


def test_after_a_clock_was_set_back_time_goes_at_half_the_pace_until_both_agree() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall_ns -= 3_600 * SECOND
    jump = clock.check()
    assert jump is not None
    assert "set back" in str(jump)
    before = clock.now_ns()
    assert clock.ahead_ns() == 3_600 * SECOND
    machine.run(SECOND)
    assert clock.now_ns() == before + SECOND // 2
    assert clock.check() is None
    machine.run(7_198 * SECOND)
    assert clock.ahead_ns() == clock.now_ns() - machine.wall_ns == SECOND // 2
    machine.run(SECOND)
    assert clock.now_ns() == machine.wall_ns
    assert clock.check() is None
    machine.run(SECOND)
    assert (clock.now_ns(), clock.ahead_ns()) == (machine.wall_ns, 0)


@pytest.mark.parametrize("ahead_s", [1, 600, 86_400])
def test_a9_a_clock_that_ran_ahead_and_is_right_again_is_followed(ahead_s: int) -> None:
    machine = Machine()
    clock = machine.clock()
    text = []
    for by_s in (ahead_s, -ahead_s):
        machine.wall_ns += by_s * SECOND
        text.append(clock.check())
        machine.run(6 * SECOND)
    assert [each.by_ns // SECOND for each in text if each] == [ahead_s, -ahead_s]
    assert (
        clock.ahead_ns() == clock.now_ns() - machine.wall_ns == (ahead_s - min(3, ahead_s)) * SECOND
    )
    machine.run(2 * ahead_s * SECOND)
    assert clock.now_ns() == clock.market_ns() == machine.wall_ns


@pytest.mark.parametrize("ahead_s", [3, 600, 86_400])
def test_a9_a_jump_ahead_is_doubted_for_a_while(ahead_s: int) -> None:
    machine = Machine()
    clock = machine.clock()
    assert clock.uncertainty_ns() == 0
    machine.wall_ns += ahead_s * SECOND
    clock.check()
    machine.run(6 * SECOND)
    assert clock.uncertainty_ns() == ahead_s * SECOND
    machine.wall_ns -= ahead_s * SECOND  # it was wrong: what is given is ahead, and known to be
    clock.check()
    assert clock.uncertainty_ns() == clock.ahead_ns() == ahead_s * SECOND
    machine.run(2 * ahead_s * SECOND)
    assert clock.uncertainty_ns() == 0


def test_after_a_sleep_the_time_is_certain_again() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall_ns += 8 * 3_600 * SECOND
    clock.check()
    machine.run(599 * SECOND)
    assert clock.uncertainty_ns() == 8 * 3_600 * SECOND
    machine.run(SECOND)
    assert clock.uncertainty_ns() == 0


@given(st.lists(st.tuples(st.integers(-(10**12), 10**12), st.integers(0, 10**10)), max_size=30))
def test_time_never_goes_backwards(moves: list[tuple[int, int]]) -> None:
    machine = Machine()
    clock = machine.clock()
    before, text = clock.now_ns(), 0
    for jump, run in moves:
        machine.wall_ns += jump
        machine.run(run)
        text += clock.check() is not None
        assert clock.now_ns() >= before
        before = clock.now_ns()
        assert abs(before - clock.ahead_ns() - machine.wall_ns) <= JUMP_NS
        assert clock.ahead_ns() >= 0
    assert text == clock.jumps
    machine.run(2 * clock.ahead_ns())
    assert abs(clock.now_ns() - machine.wall_ns) <= JUMP_NS, "it recovers within a bound"
    if all(abs(jump) * len(moves) <= JUMP_NS for jump, _ in moves):
        assert text == 0


@given(
    st.floats(0.001, 100_000.0),
    st.integers(0, 10**15),
    st.integers(-(10**15), 10**15),
)
def test_a_timer_for_a_market_time_is_never_early(speed: float, ago: int, ahead: int) -> None:
    origin = MarketOrigin(START, START - ago, speed)
    asked = origin.market_ns + ahead
    assert origin.market_of(origin.wall_of(asked)) >= asked


def test_a_shortened_clock_runs_fast() -> None:
    machine = Machine()
    clock = ShortenedClock(MarketOrigin(START, 42 * SECOND, 3_600.0), machine.clock())
    machine.run(2 * SECOND)
    assert clock.market_ns() == 42 * SECOND + 7_200 * SECOND
    assert clock.now_ns() == START + 2 * SECOND
    assert clock.wall_of_market(42 * SECOND + 3_600 * SECOND) == START + SECOND
    assert clock.check() is None


def test_a_manual_clock_moves_by_hand_alone() -> None:
    clock = ManualClock(START, speed=60.0, market_ns=0)
    clock.advance(SECOND)
    assert (clock.now_ns(), clock.market_ns()) == (START + SECOND, 60 * SECOND)
    clock.reach(START)
    assert clock.now_ns() == START + SECOND


@pytest.fixture
def served() -> Iterator[tuple[str, dict[str, object]]]:
    answer: dict[str, object] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/septet/clock" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            """Report nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/api/v3", answer
        server.shutdown()
        thread.join()


def test_the_clock_of_a_local_venue_is_read(served: tuple[str, dict[str, object]]) -> None:
    url, answer = served
    answer |= {"wall_ns": START, "market_ns": 7, "speed": 3600, "bar_ns": 3_600 * SECOND}
    assert read_origin(url) == MarketOrigin(START, 7, 3600.0, 3_600 * SECOND)
    assert clock_from(url).speed == 3600.0
    answer |= {"wall_ns": START, "market_ns": START, "speed": 1.0}
    assert isinstance(clock_from(url), WallClock)


def test_a_reading_that_is_no_time_is_reported(served: tuple[str, dict[str, object]]) -> None:
    url, answer = served
    with pytest.raises(RunError, match="gave no clock"):
        read_origin(url)
    answer |= {"wall_ns": 1, "market_ns": 1, "speed": 0}
    with pytest.raises(InputError, match="above 0"):
        read_origin(url)
    with pytest.raises(InputError, match="expected http"):
        read_origin("ftp://nowhere")
    with pytest.raises(RunError, match="is the local venue running"):
        read_origin("http://127.0.0.1:1")
