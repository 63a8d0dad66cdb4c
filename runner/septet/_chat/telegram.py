"""The Bot API of Telegram: bounded answers, no redirects, no error that shows the token."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

from septet._text import decode_json
from septet.errors import InputError, SeptetError

__all__ = ["TELEGRAM", "ApiProblem", "Reply", "Telegram", "checked_address"]

TELEGRAM: Final = "https://api.telegram.org"
_LARGEST: Final = 4 << 20
_LONGEST_WAIT_S: Final = 3_600.0
_TRIES: Final = 5
_MOST: Final = 4_096
_FATAL: Final = (401, 403, 404)


class ApiProblem(SeptetError):
    """A failed call; `retry_s` is the wait that the server asked for; `status` 0: no answer."""

    def __init__(self, message: str, *, status: int = 0, retry_s: float = 0.0) -> None:
        super().__init__(message)
        self.status, self.retry_s = status, retry_s


@dataclass(frozen=True, slots=True)
class Reply:
    """The result of a method, and the server's clock; None if it gave none."""

    result: Any
    server_s: float | None


def checked_address(address: str) -> str:
    """Return the base address of the API: Telegram's own, or one on this machine.

    Raises
    ------
    InputError
        If it is on another host.
    """
    parts = urlsplit(address)
    local = parts.scheme in ("http", "https") and parts.hostname in ("127.0.0.1", "::1")
    if address != TELEGRAM and not (local and parts.username is None and not parts.query):
        raise InputError(
            "the address of the API is neither Telegram's nor one of this machine",
            hint="--api takes http://127.0.0.1:PORT or http://[::1]:PORT",
        )
    return address.rstrip("/")


class Telegram:
    """Calls methods of a bot; `wait` is awaited between two tries."""

    def __init__(
        self,
        token: str,
        address: str = TELEGRAM,
        *,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._base = f"{checked_address(address)}/bot{token}"
        self.wait = wait
        self._session: Any = None

    async def __aenter__(self) -> Telegram:
        import aiohttp

        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=60.0, connect=10.0), trust_env=False,
            headers={"Accept-Encoding": "identity"}, cookie_jar=aiohttp.DummyCookieJar(),
        )  # fmt: skip
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def call(self, method: str, **values: Any) -> Reply:
        """Call a method once.

        Raises
        ------
        ApiProblem
            For any failure; its text has neither the address nor the answer.
        """
        import aiohttp

        try:
            async with self._session.post(
                f"{self._base}/{method}", json=values, allow_redirects=False
            ) as answer:
                data = bytearray()
                async for part in answer.content.iter_chunked(65_536):
                    data += part
                    if len(data) > _LARGEST:
                        raise ApiProblem(f"{method}: the answer is larger than 4 MiB")
                status, date = answer.status, answer.headers.get("Date", "")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as problem:
            raise ApiProblem(f"{method}: no answer ({type(problem).__name__})") from None
        if 300 <= status < 400:
            raise ApiProblem(
                f"{method}: the server redirects, which is not followed", status=status
            )
        try:
            found = decode_json(bytes(data))
        except ValueError:
            found = None
        if status != 200 or not isinstance(found, dict) or found.get("ok") is not True:
            raise _problem(method, status, found)
        return Reply(found.get("result"), _seconds(date))

    async def call_with_retries(self, method: str, **values: Any) -> Reply:
        """Call a method, up to five times; a lasting error is not repeated."""
        for attempt in range(_TRIES):
            try:
                return await self.call(method, **values)
            except ApiProblem as problem:
                lasting = 400 <= problem.status < 500 and problem.status != 429
                if lasting or attempt + 1 == _TRIES:
                    raise
                await self.wait(pause_s(attempt, problem.retry_s))
        raise AssertionError  # the last try returns or raises

    async def send(self, chat_id: int, text: str) -> None:
        """Send plain text, cut to the length of a message."""
        await self.call_with_retries(
            "sendMessage", chat_id=chat_id, text=_cut(text),
            link_preview_options={"is_disabled": True},
        )  # fmt: skip


def pause_s(attempt: int, retry_s: float) -> float:
    """Return the wait that the server asked for, otherwise one that grows, with jitter."""
    backoff_s = min(60.0, 2.0 ** min(attempt, 6)) * random.uniform(0.5, 1.0)
    return max(backoff_s, min(retry_s, _LONGEST_WAIT_S))


def is_fatal(problem: ApiProblem) -> bool:
    """Whether no later try can succeed, because the token is wrong."""
    return problem.status in _FATAL


def _cut(text: str) -> str:
    """Cut a text at 4,096 units of UTF-16, which is how Telegram counts."""
    raw = text.encode("utf-16-le", "replace")
    if len(raw) <= 2 * _MOST:
        return text
    return raw[: 2 * (_MOST - 4)].decode("utf-16-le", "ignore") + "\n..."


def _problem(method: str, status: int, answer: Any) -> ApiProblem:
    parameters = answer.get("parameters") if isinstance(answer, dict) else None
    retry_after = parameters.get("retry_after") if isinstance(parameters, dict) else None
    is_valid = isinstance(retry_after, int | float) and 0 < retry_after < 1e9
    if status == 200:
        return ApiProblem(f"{method}: the answer is not what the API documents")
    words = {
        401: "the token is not accepted", 404: "the token is not accepted",
        409: "another program reads the updates of this bot", 429: "too many calls",
    }.get(status, "refused")  # fmt: skip
    retry_s = float(retry_after) if is_valid and retry_after is not None else 0.0
    return ApiProblem(f"{method}: status {status}, {words}", status=status, retry_s=retry_s)


def _seconds(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
