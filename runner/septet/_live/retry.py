"""Retries a request, with growing pauses, until it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from septet._host.adapter_values import error_place
from septet._host.background_tasks import race
from septet._live.shell import Notify
from septet.errors import InputError, SeptetError

__all__ = ["Stopped", "retry_until_answered"]

_FIRST_RETRY_S: Final = 0.5
_LONGEST_RETRY_S: Final = 30.0

T = TypeVar("T")


class Stopped(Exception):
    """The run was stopped before it had started; not an error."""


async def retry_until_answered(
    request: str,
    ask: Callable[[], Awaitable[T | None]],
    *,
    notify: Notify,
    stopping: asyncio.Event,
    first_s: float = _FIRST_RETRY_S,
    goes_on: bool = False,
) -> T:
    """Repeat a request with growing pauses until it is answered; assume no state (N11).

    An exception of the adapter is reported with its place, and retried like any other failure.
    With `goes_on` the run has a history and may hold positions: then an answer that would end a
    first start, such as a symbol that is not listed, is logged as an error and retried as well.

    Raises
    ------
    Stopped
        The run was asked to stop.
    InputError
        Asking again would change nothing: a wrong key, an unknown symbol. Not with `goes_on`.
    """
    wait_s, tries = first_s, 0
    while not stopping.is_set():
        reason, level, hint = "no answer", "warning", ""
        try:
            answer = await _unless_stopped(ask(), stopping)
            if answer is not None:
                if tries:
                    notify(
                        "info", "reached", {"text": f"{request}: answered after {tries} failures"}
                    )
                return answer
        except Stopped:
            raise
        except InputError as error:
            if not goes_on:
                raise
            reason, level, hint = error.message, "error", error.hint
        except (SeptetError, OSError) as error:
            reason = error.message if isinstance(error, SeptetError) else str(error)
        except Exception as error:  # a fault of the adapter: positions are not abandoned for it
            reason = f"{type(error).__name__} in the adapter at {error_place(error)}: {error}"
            level = "error"
        tries += 1
        text = f"{request}: {reason}; nothing is assumed, asking again in {wait_s:.1f} s"
        notify(level, "unreachable", {"text": text} | ({"hint": hint} if hint else {}))
        try:
            await asyncio.wait_for(stopping.wait(), wait_s)
        except TimeoutError:
            wait_s = min(wait_s * 2, _LONGEST_RETRY_S)
    raise Stopped(request)


async def _unless_stopped(call: Awaitable[T], stopping: asyncio.Event) -> T:
    first, answer = await race(call, stopping.wait())
    if first:
        raise Stopped("asked to stop")
    result: T = answer
    return result
