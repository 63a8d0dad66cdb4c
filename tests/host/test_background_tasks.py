"""Background tasks: whatever ends one is reported, and it is started again."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest

from septet._host.background_tasks import Backoff, TaskChange, Tasks


async def wait_until(done: Callable[[], bool]) -> None:
    while not done():
        await asyncio.sleep(0.001)


Scene = Callable[[Tasks, list[TaskChange]], Any]


def play(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> list[TaskChange]:
    """Run a scene with pauses of a millisecond; return what was reported."""
    monkeypatch.setattr(Backoff, "wait_s", lambda self, lived_s=0.0: 0.001)
    received: list[TaskChange] = []

    async def run() -> None:
        tasks = Tasks("plugin", received.append)
        try:
            await scene(tasks, received)
        finally:
            await tasks.close()
        assert not tasks.kept()
        assert not tasks.calls()

    asyncio.run(run())
    return received


def states(received: list[TaskChange]) -> list[str]:
    return [each.state for each in received]


async def boom() -> None:
    raise KeyError("price")


async def exits() -> None:
    sys.exit(0)


async def interrupts() -> None:
    await asyncio.sleep(0)
    raise KeyboardInterrupt


async def ends() -> None:
    return None


async def cancels_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (boom, "failed with KeyError: 'price' (test_background_tasks.py:"),
        (exits, "failed with Ended: SystemExit 0 (test_background_tasks.py:"),
        (interrupts, "failed with Ended: KeyboardInterrupt (test_background_tasks.py:"),
        (ends, "ended by itself"),
        (cancels_itself, "was cancelled"),
    ],
)
def test_a_task_that_ends_is_reported_blocked_and_started_again(
    last: Callable[[], Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(tasks: Tasks, received: list[TaskChange]) -> None:
        starts = 0

        async def work() -> None:
            nonlocal starts
            starts += 1
            if starts < 3:
                await last()
            else:
                kept.works()
                await asyncio.Event().wait()

        kept = tasks.keep("poll", work, works_after_s=None)
        await wait_until(lambda: len(received) == 3)
        assert kept.starts == 3
        assert kept.task is not None
        assert not tasks.is_down("poll")

    received = play(scene, monkeypatch)
    assert states(received) == ["down", "down", "up"]
    assert all(
        (each.owner, each.task, each.blocks) == ("plugin", "poll", True) for each in received
    )
    assert received[0].text.startswith(f"plugin: the task 'poll' {words}")
    assert received[0].text.endswith("it is started again in 0.0 s")


def test_a_killed_task_works_again_only_once_it_reports_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(tasks: Tasks, received: list[TaskChange]) -> None:
        answered = asyncio.Event()

        async def work() -> None:
            await answered.wait()
            kept.works()
            await asyncio.Event().wait()

        kept = tasks.keep("stream", work, works_after_s=None)
        await asyncio.sleep(0)
        assert kept.task is not None
        kept.task.cancel()
        await wait_until(lambda: kept.starts == 2)
        for _ in range(5):
            await asyncio.sleep(0)
        assert tasks.is_down("stream")
        answered.set()
        await wait_until(lambda: not tasks.is_down("stream"))

    assert states(play(scene, monkeypatch)) == ["down", "up"]


def test_one_that_reports_nothing_works_once_it_has_lived(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(tasks: Tasks, received: list[TaskChange]) -> None:
        kept = tasks.keep("watch", asyncio.Event().wait, works_after_s=0.01)
        await asyncio.sleep(0)
        assert kept.task is not None
        kept.task.cancel()
        await wait_until(lambda: len(received) == 2)

    assert states(play(scene, monkeypatch)) == ["down", "up"]


def test_an_owner_may_set_a_block_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []

    async def scene(tasks: Tasks, received: list[TaskChange]) -> None:
        async def work() -> None:
            if not logged:
                await boom()
            kept.works()
            await asyncio.Event().wait()

        kept = tasks.keep(
            "account", work, works_after_s=None, down=logged.append, up=lambda: logged.append("up")
        )
        await wait_until(lambda: len(logged) == 2)

    received = play(scene, monkeypatch)
    assert [each.blocks for each in received] == [False, False]
    assert "KeyError" in logged[0]
    assert logged[1] == "up"


def test_what_may_end_ends_and_what_is_closed_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene(tasks: Tasks, received: list[TaskChange]) -> None:
        mends = tasks.keep("mend", ends, may_end=True)
        await wait_until(lambda: mends.done)
        kept = tasks.keep("poll", asyncio.Event().wait)
        await kept.closed()
        assert kept.done
        assert kept.task is None

    assert play(scene, monkeypatch) == []


def test_a_call_that_raises_is_reported_to_its_owner_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reported: list[str] = []

    async def scene(tasks: Tasks, received: list[TaskChange]) -> None:
        tasks.once("ask", boom(), failed=reported.append)
        await wait_until(lambda: bool(reported))
        task = tasks.once("ask", asyncio.sleep(60), failed=reported.append)
        await asyncio.sleep(0)
        tasks.cancel(task)  # the owner's own request
        with pytest.raises(KeyError):
            await tasks.once("awaited", boom())
        await wait_until(lambda: not tasks.calls())

    [change] = play(scene, monkeypatch)
    assert (change.task, change.state, change.blocks) == ("ask", "down", False)
    assert reported == [change.text]


def test_a_timer_that_raises_rings_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[int] = []

    def ring() -> None:
        rung.append(len(rung))
        if len(rung) < 3:
            raise ValueError("not a price")

    async def scene(tasks: Tasks, received: list[TaskChange]) -> None:
        tasks.later("watchdog", 0.0, ring)
        await wait_until(lambda: len(received) == 3)
        timer = tasks.later("watchdog", 60.0, ring)
        timer.cancel()

    received = play(scene, monkeypatch)
    assert states(received) == ["down", "down", "up"]
    assert rung == [0, 1, 2]


def test_a_callback_that_raises_blocks_until_the_next_one_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene(tasks: Tasks, received: list[TaskChange]) -> None:
        tasks.soon("fold", int, "no number")
        tasks.soon("fold", int, "1")
        await wait_until(lambda: len(received) == 2)

    received = play(scene, monkeypatch)
    assert states(received) == ["down", "up"]
    assert "invalid literal" in received[0].text


def test_the_owner_decides_the_text_of_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(tasks: Tasks, received: list[TaskChange]) -> None:
        tasks.show = lambda error: "***"
        tasks.once("ask", boom(), failed=lambda text: None)
        await wait_until(lambda: bool(received))

    assert "failed with *** (" in play(scene, monkeypatch)[0].text


def test_the_pause_doubles_with_jitter_and_starts_over_after_a_steady_while() -> None:
    backoff = Backoff(first_s=1.0, cap_s=8.0)
    waits = [backoff.wait_s() for _ in range(6)]
    for wait_s, expected in zip(waits, (1.0, 2.0, 4.0, 8.0, 8.0, 8.0), strict=True):
        assert 0.5 * expected <= wait_s <= 1.5 * expected
    assert backoff.wait_s(lived_s=30.0) <= 1.5
