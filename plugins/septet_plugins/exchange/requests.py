"""What happened to one request: whether it left, how it was answered, who must keep away.

The hooks sit on one client object: ccxt's `fetch`, through which every request goes, and
`on_rest_response`, which sees every answer with its headers before errors are raised from it.
A context variable ties an answer to the call that asked, however many are under way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from septet.plugin import Clock, may_leave

__all__ = ["Barred", "Gate", "Wire", "call", "check_host", "listen"]

_S: Final = 1_000_000_000
_LIMITED_S: Final = 10.0
_BANNED_S: Final = 120.0
_BRIEF_NS: Final = 2 * _S
_LONGEST_S: Final = 3 * 86_400.0
_UNTIL: Final = re.compile(r"until (\d{13})\b")
_RESERVE: Final = 20
"""Cancels that may still leave while the venue asks for a pause."""


class Barred(Exception):
    """A request that was not sent: quiet was asked for, it was late, or it was withdrawn."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(slots=True)
class Wire:
    """One call to the exchange: `sent` once a request has left, `status` once one was answered."""

    urgent: bool = False
    deadline_ns: int = 0
    sent: bool = False
    status: int = 0


_WIRE: ContextVar[Wire | None] = ContextVar("septet_wire", default=None)


@contextmanager
def call(*, urgent: bool = False, deadline_ns: int = 0) -> Iterator[Wire]:
    """Watch what this call does; `urgent` calls may use the reserve of a limited venue."""
    wire = Wire(urgent, deadline_ns)
    token = _WIRE.set(wire)
    try:
        yield wire
    finally:
        _WIRE.reset(token)


class Gate:
    """What the venue told us to keep away from, and until when (wall time)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.limited_ns = 0
        self.banned_ns = 0
        self._reserve = _RESERVE

    def open_ns(self) -> int:
        """When ordinary requests may go again; 0 if they may now."""
        until = max(self.limited_ns, self.banned_ns)
        return until if until > self._clock.now_ns() else 0

    def check(self, wire: Wire | None) -> None:
        """Raise `Barred` if a request must not leave now."""
        now = self._clock.now_ns()
        if now < self.banned_ns:
            raise Barred("banned", f"banned for {_seconds(self.banned_ns - now)}; nothing is sent")
        if now < self.limited_ns:
            if wire is None or not wire.urgent or self._reserve <= 0:
                raise Barred("limited", f"asked to pause for {_seconds(self.limited_ns - now)}")
            self._reserve -= 1
        if wire is not None and 0 < wire.deadline_ns <= now:
            raise Barred("deadline", "its time had passed before it could leave")
        if wire is not None and wire.deadline_ns and not may_leave():  # orders have a deadline
            raise Barred("cancelled", "withdrawn before it had left")

    def answered(self, status: int, headers: Mapping[str, Any], body: str) -> str:
        """Take an answer in; return ``limited`` or ``banned`` if it says so."""
        if status not in (418, 429):
            return ""
        now = self._clock.now_ns()
        state: Literal["banned", "limited"] = "banned" if status == 418 else "limited"
        default = _BANNED_S if status == 418 else _LIMITED_S
        until = now + int(min(_retry_after(headers, now, default), _LONGEST_S) * _S)
        told = _UNTIL.search(body or "")
        if told:
            until = max(until, min(int(told[1]) * 1_000_000, now + int(_LONGEST_S * _S)))
        if state == "banned":
            self.banned_ns = max(self.banned_ns, until)
        else:
            self.pause(until)
        return state

    def pause(self, until_ns: int) -> None:
        """Keep away until then, but for the reserve of what is urgent."""
        if self._clock.now_ns() >= self.limited_ns:
            self._reserve = _RESERVE
        self.limited_ns = max(self.limited_ns, until_ns)

    def pause_briefly(self) -> None:
        """Keep away for as long as limits are counted that are told with an ordinary status."""
        self.pause(self._clock.now_ns() + _BRIEF_NS)


def _seconds(span_ns: int) -> str:
    return f"{span_ns / _S:.1f} s"


def _retry_after(headers: Mapping[str, Any], now_ns: int, default: float) -> float:
    """Seconds to wait as the answer says: a number, or a date."""
    said = next((str(v) for k, v in headers.items() if str(k).lower() == "retry-after"), "")
    if not said:
        return default
    try:
        if said.replace(".", "", 1).isdigit():
            return float(said)
        return max(0.0, parsedate_to_datetime(said).timestamp() - now_ns / _S)
    except (ValueError, TypeError):
        return default


def check_host(url: str, hosts: frozenset[str] | None) -> None:
    """Raise `Barred` if an address lies outside the hosts a client may talk to."""
    host = urlsplit(url).hostname
    if hosts is not None and host not in hosts:
        raise Barred(
            "host", f"{host} is none of the hosts that this client may talk to; where urls: point "
            "elsewhere than the exchange, give all of them, or switch off what needs this one by "
            "options:",
        )  # fmt: skip


def listen(client: Any, gate: Gate, heard: Any, hosts: frozenset[str] | None = None) -> None:
    """Hook a client: `gate` judges before a request leaves, `heard(status, state)` after it."""
    fetch, answered = client.fetch, client.on_rest_response

    async def fetching(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        wire = _WIRE.get()
        check_host(url, hosts)
        gate.check(wire)
        if wire is not None:
            wire.sent = True
        return await fetch(url, method, headers, body)

    def answering(
        code: int, reason: str, url: str, method: str, headers: Any, body: str, *rest: Any
    ) -> Any:
        wire = _WIRE.get()
        if wire is not None:
            wire.status = code
        heard(code, gate.answered(code, headers, body))
        return answered(code, reason, url, method, headers, body, *rest)

    client.fetch, client.on_rest_response = fetching, answering
