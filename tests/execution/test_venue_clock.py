"""The clocks of a venue's clients: set by the venue's where ours is off, and set back."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from septet import messages as m
from septet._drill.venue import Fault
from tests.execution.helpers import connected, limit, local_venue, placed


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


def test_a_clock_that_is_off_is_set_once() -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, received):
            venue.inject(Fault(code="E4", duration_ms=60_000, parameters={"skew_ms": 90_000}))
            answer = await live.submit(limit("a-1"))
            assert (answer.code, answer.by) == ("clock", "venue")
            assert abs(received.of(m.Skewed)[-1].skew_ns) > 80 * 10**9
            assert isinstance(await live.submit(limit("a-2")), m.Acked), "signed by its clock now"
            assert placed(venue) == ["a-1", "a-2"]

    run(case())


def test_a_clock_that_is_right_again_is_set_back() -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, _):
            venue.inject(Fault(code="E4", duration_ms=400, parameters={"skew_ms": 90_000}))
            assert (await live.submit(limit("a-1"))).code == "clock"
            while abs((await live.skew()).skew_ns) > 10**9:
                pass
            assert await live.holdings() is not None, "signed by the clock that is right again"

    run(case())


@pytest.mark.parametrize("asked", ["holdings", "order", "cancel"])
def test_whatever_is_refused_for_its_time_sets_the_clocks(asked: str) -> None:
    """A clock put right left the clients set by the wrong one: every read was refused, for ever."""

    async def ask(live: Any) -> bool:
        if asked == "holdings":
            return await live.holdings() is not None
        if asked == "order":
            return await live.query(m.Query(client_id="a-1", symbol=0)) is not None
        gone = await live.cancel(m.Cancel(client_id="a-1", symbol=0))
        return isinstance(gone, m.OrderSeen) and gone.state == "cancelled"

    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, _):
            assert isinstance(await live.submit(limit("a-1")), m.Acked)
            for rest in (live._main, live._quick):
                rest.client.options["timeDifference"] = -90_000
            tries = 0
            while not await ask(live):
                tries += 1
                assert tries < 200
                await asyncio.sleep(0)
            assert tries, "the first one was refused"
            assert isinstance(await live.submit(limit("a-2")), m.Acked)

    run(case())


def test_a_stream_that_is_refused_for_its_time_sets_the_clocks() -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, received):
            for rest in (live._main, live._quick):
                rest.client.options["timeDifference"] = -90_000
            received.forget()
            venue.inject(Fault(code="N7", target="user"))
            await received.until_state("down", "up")

    run(case())


def test_a_refused_order_is_reported_before_the_next_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pause before the next try is up to 45 s long: an exit must not wait for it."""

    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, _):
            monkeypatch.setattr(live._times._pause, "wait_s", lambda lived_s=0.0: 3_600.0)
            venue.inject(Fault(code="E4", duration_ms=60_000, parameters={"skew_ms": 90_000}))
            assert (await live.submit(limit("a-1"))).code == "clock"
            for rest in (live._main, live._quick):
                rest.client.options["timeDifference"] = 0  # off again at once
            async with asyncio.timeout(20.0):
                assert (await live.submit(limit("a-2"))).code == "clock"

    run(case())
