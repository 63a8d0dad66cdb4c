"""What fails is left alone and tried once later; what hangs stops nobody."""

from __future__ import annotations

import asyncio
import math
import threading
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from septet._live.circuit_breaker import Answer, Breaker, PluginCaller, finite
from septet._live.clock import ManualClock

SECOND = 1_000_000_000


def test_a_breaker_opens_tries_once_and_closes() -> None:
    breaker = Breaker("venue")
    for k in range(3):
        assert breaker.allows(0)
        assert breaker.failed(0, "no") == (k == 2)
    assert breaker.state(0) == "open"
    assert 0.75 * SECOND <= breaker.until_ns <= 1.25 * SECOND
    assert not breaker.allows(breaker.until_ns - 1)
    assert breaker.state(breaker.until_ns) == "half_open"
    assert breaker.allows(breaker.until_ns)
    assert not breaker.allows(breaker.until_ns)  # one alone
    breaker.succeeded()
    assert breaker.state(0) == "closed"
    assert breaker.allows(0)


def test_a_failed_try_opens_it_for_longer() -> None:
    breaker = Breaker("venue", threshold=1)
    now, waits = 0, []
    for _ in range(14):
        assert breaker.allows(now)
        assert breaker.failed(now, "no")
        waits.append(breaker.until_ns - now)
        now = breaker.until_ns
    assert waits[3] > 5 * SECOND
    assert max(waits) <= 1.25 * 300 * SECOND
    assert waits[-1] >= 0.75 * 300 * SECOND


def test_a_jitter_comes_from_the_seed() -> None:
    def until(seed: int) -> int:
        breaker = Breaker("venue", seed=seed)
        breaker.trip(0, "no")
        return breaker.until_ns

    assert until(1) == until(1)
    assert until(1) != until(2)


@given(st.lists(st.tuples(st.integers(0, 5 * SECOND), st.booleans()), max_size=60))
def test_failures_in_a_row_never_pass_more_than_the_threshold(
    calls: list[tuple[int, bool]],
) -> None:
    breaker, now, row = Breaker("venue"), 0, 0
    for wait, well in calls:
        now += wait
        if not breaker.allows(now):
            assert breaker.state(now) == "open"
            continue
        if well:
            breaker.succeeded()
            row = 0
        else:
            row += 1
            assert breaker.failed(now, "no") == (row >= 3)


@pytest.mark.parametrize("value", [math.nan, math.inf, "1", None, True])
def test_an_invalid_value_is_no_number(value: Any) -> None:
    assert finite(value)
    assert not finite(1.5)


def ask(caller: PluginCaller, function: Any, *args: Any, times: int = 1, **options: Any) -> Answer:
    async def run() -> Answer:
        for _ in range(times):
            found = await caller.call("mine", function, *args, **({"timeout_s": 30.0} | options))
        return found

    return asyncio.run(run())


def test_a_good_answer_passes() -> None:
    caller = PluginCaller(lambda: 0)
    assert ask(caller, max, 1, 2, check=finite) == Answer(ok=True, value=2)


def raising(error: BaseException) -> Any:
    def plugin() -> NoReturn:
        raise error

    return plugin


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (lambda: math.nan, "finite"),
        (lambda: "up", "found str"),
        (raising(ValueError("broken")), "ValueError: broken"),
        (raising(StopIteration()), "StopIteration"),
        (raising(SystemExit(1)), "SystemExit"),
    ],
)
def test_a_plugin_that_fails_three_times_is_quarantined(plugin: Any, expected: str) -> None:
    caller = PluginCaller(lambda: 7)
    second = ask(caller, plugin, check=finite, times=2)
    assert not second.ok
    assert second.event is None
    third = ask(caller, plugin, check=finite)
    assert third.event is not None
    assert expected in third.event.text
    assert (third.event.plugin, third.event.at_ns) == ("mine", 7)
    assert third.event.until_ns > 7
    fourth = ask(caller, max, 1, 2)
    assert not fourth.ok
    assert "left alone" in fourth.text
    assert fourth.event is None


def test_a_plugin_that_hangs_is_quarantined_and_not_called_again_until_it_returns() -> None:
    clock = ManualClock()
    caller = PluginCaller(clock.now_ns)
    gate = threading.Event()

    async def run() -> None:
        hung = await caller.call("mine", gate.wait, timeout_s=0.001)
        assert hung.event is not None
        assert "did not answer" in hung.event.text
        clock.reach(caller.breaker("mine").until_ns)
        again = await caller.call("mine", max, 1, 2, timeout_s=30.0)
        assert "still hangs" in again.text
        assert (await caller.call("other", max, 1, 2, timeout_s=30.0)).ok
        gate.set()
        while not (await caller.call("mine", max, 1, 2, timeout_s=30.0)).ok:
            await asyncio.sleep(0)

    asyncio.run(run())
    assert caller.breaker("mine").state(clock.now_ns()) == "closed"


def test_a_call_that_is_cancelled_leaves_nothing_behind() -> None:
    caller = PluginCaller(lambda: 0)
    gate = threading.Event()

    async def run() -> None:
        task = asyncio.create_task(caller.call("mine", gate.wait, timeout_s=30.0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.set()

    asyncio.run(run())
