"""Asking somebody who may be away: again, ever more slowly, until there is an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from septet._host.tasks import race
from septet._live.shell import Tell
from septet.errors import InputError, SeptetError

__all__ = ["Stopped", "persist"]

_FIRST_RETRY_S: Final = 0.5
_LONGEST_RETRY_S: Final = 30.0

T = TypeVar("T")


class Stopped(Exception):
    """The run was asked to stop before it had begun; not an error."""


async def persist(
    what: str,
    ask: Callable[[], Awaitable[T | None]],
    *,
    tell: Tell,
    stopping: asyncio.Event,
    first_s: float = _FIRST_RETRY_S,
) -> T:
    """Ask until there is an answer, ever more slowly: nothing is assumed meanwhile (N11).

    Raises
    ------
    Stopped
        The run was asked to stop.
    InputError
        Asking again would change nothing: a wrong key, an unknown symbol.
    """
    wait_s, tries = first_s, 0
    while not stopping.is_set():
        reason = "no answer"
        try:
            answer = await _unless_stopped(ask(), stopping)
            if answer is not None:
                if tries:
                    tell("info", "reached", {"text": f"{what}: answered after {tries} failures"})
                return answer
        except InputError:
            raise
        except (SeptetError, OSError) as error:
            reason = error.message if isinstance(error, SeptetError) else str(error)
        tries += 1
        text = f"{what}: {reason}; nothing is assumed, asking again in {wait_s:.1f} s"
        tell("warning", "unreachable", {"text": text})
        try:
            await asyncio.wait_for(stopping.wait(), wait_s)
        except TimeoutError:
            wait_s = min(wait_s * 2, _LONGEST_RETRY_S)
    raise Stopped(what)


async def _unless_stopped(call: Awaitable[T], stopping: asyncio.Event) -> T:
    first, answer = await race(call, stopping.wait())
    if first:
        raise Stopped("asked to stop")
    found: T = answer
    return found
