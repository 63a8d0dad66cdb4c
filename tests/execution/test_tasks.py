"""Tasks of the account's connection: each is killed, reported, and at work again."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

import pytest

import septet.messages as m
from septet.plugin.live import Backoff, TaskChange, Tasks
from septet_plugins.execution.ccxt_orders import Translator
from septet_plugins.execution.ccxt_user import UserPolls
from tests.execution.helpers import SYMBOLS, Received, WallTime, account, local_venue, read, submit


@pytest.fixture
def changes(monkeypatch: pytest.MonkeyPatch) -> list[TaskChange]:
    monkeypatch.setattr(Backoff, "wait_s", lambda self, lived_s=0.0: 0.01)
    logging.getLogger("septet.tasks").setLevel(logging.CRITICAL)
    return []


async def opened(venue: Any, changes: list[TaskChange]) -> tuple[Any, Received, Tasks]:
    received, tasks = Received(), Tasks("ccxt (main)", changes.append)
    live = account(venue.urls).connect(name="main", clock=WallTime(), read=read, tasks=tasks)
    await live.open(SYMBOLS, received)
    return live, received, tasks


def test_an_error_in_an_execution_ends_no_user_stream(
    changes: list[TaskChange], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a bug of the adapter raises, on the stream and in the read after it."""
    fill, wrong = Translator.fill, 4

    def failing(self: Any, *given: Any, **keys: Any) -> Any:
        nonlocal wrong
        if wrong:
            wrong -= 1
            raise NotImplementedError("a bug of the adapter")
        return fill(self, *given, **keys)

    async def scene() -> None:
        async with local_venue() as venue:
            live, received, _ = await opened(venue, changes)
            await received.until_state("up")
            received.forget()
            monkeypatch.setattr(Translator, "fill", failing)
            with suppress(NotImplementedError):  # the answer to the order is read by it as well
                await live.submit(submit("s1-1"))
            await received.until_state("down", "up")
            await received.until(lambda: received.of(m.Filled))  # the execution was not lost
            await live.close()

    asyncio.run(scene())
    assert wrong == 0
    assert {each.owner for each in changes} <= {"ccxt (main)"}


def test_the_user_stream_is_killed_and_comes_back(changes: list[TaskChange]) -> None:
    async def scene() -> None:
        async with local_venue() as venue:
            live, received, tasks = await opened(venue, changes)
            await received.until_state("up")
            for _ in range(2):
                received.forget()
                [kept] = [each for each in tasks.kept() if each.name == "user stream"]
                assert kept.task is not None
                kept.task.cancel()
                await received.until_state("down", "up")
            names = [name for name, _ in tasks.calls() if name.startswith("user stream")]
            assert names
            for name in names:  # the subscriptions beside it
                received.forget()
                dict(tasks.calls())[name].cancel()
                await received.until_state("down", "up")
            await live.submit(submit("s1-1"))
            await received.until(lambda: received.of(m.Filled))
            await live.close()
            assert not tasks.kept()

    asyncio.run(scene())
    kept = [each for each in changes if each.task == "user stream"]
    assert [each.state for each in kept] == ["down", "up"] * 2
    assert not any(each.blocks for each in kept)  # the link reports it itself


def test_an_error_in_a_read_ends_no_polls_of_the_account(changes: list[TaskChange]) -> None:
    logged: list[str] = []

    class Says:
        def up(self) -> None:
            logged.append("up")

        def down(self, reason: str) -> None:
            logged.append("down")

    async def scene() -> None:
        tries = 0

        async def catch_up() -> str:
            nonlocal tries
            tries += 1
            if tries in (2, 3):
                raise TypeError("float() argument must be a string")
            return ""

        link: Any = Says()
        polls = UserPolls(link, catch_up, 0.001, Tasks("ccxt (main)", changes.append))
        polls.start()
        while tries < 5:
            await asyncio.sleep(0.001)
        await polls.stop()

    asyncio.run(scene())
    assert [each.state for each in changes] == ["down", "down", "up"]
    assert logged[:4] == ["up", "down", "down", "up"]
