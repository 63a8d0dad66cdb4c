"""Tracks requests: whether one was sent, how it was answered, and pauses and bans.

The hooks sit on one client object: ccxt's `fetch`, through which every request goes, and
`on_rest_response`, which receives every answer with its headers before errors are raised from it. A
context variable assigns an answer to its call when several are in flight.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal
from urllib.parse import urlsplit
from weakref import WeakSet, WeakValueDictionary

from septet.plugin.live import Clock, may_leave
from septet_plugins.exchange.answer_bodies import check_body
from septet_plugins.exchange.client_ids import sent_id_fault
from septet_plugins.exchange.triggers import trigger_fault

__all__ = ["Barred", "Gate", "Wire", "call", "check_host", "hook_client"]

_S: Final = 1_000_000_000
_LIMITED_S: Final = 10.0
_BANNED_S: Final = 120.0
_BRIEF_NS: Final = 2 * _S
_LONGEST_BAN_S: Final = 3 * 86_400.0
"""Longest pause: exchanges ban for at most this time, and longer values in an answer are reduced to
it."""
_LONGEST_PAUSE_S: Final = 600.0
"""After this time a single request is tried."""
_UNTIL: Final = re.compile(r"until (\d{13})\b")
_RESERVE: Final = 20
"""Number of cancels, and of queries of a kill switch, that may be sent while the venue demands a
pause: half of them at once, the others spread evenly over the pause."""


class Barred(Exception):
    """A request that was not sent: during a pause, past its deadline, or withdrawn."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(slots=True)
class Wire:
    """One call to the exchange: `sent` once a request was sent, `status` once one was answered.

    `trigger` is the trigger price that the request of a stop must contain, `client_id` the client
    id that the request of an order must contain.
    """

    urgent: bool = False
    deadline_ns: int = 0
    trigger: str = ""
    client_id: str = ""
    sent: bool = False
    status: int = 0
    url: str = ""


_WIRE: ContextVar[Wire | None] = ContextVar("septet_wire", default=None)


@contextmanager
def call(
    *, urgent: bool = False, deadline_ns: int = 0, trigger: str = "", client_id: str = ""
) -> Iterator[Wire]:
    """Trace a call; `urgent` calls may use the reserve during a pause."""
    wire = Wire(urgent, deadline_ns, trigger, client_id)
    token = _WIRE.set(wire)
    try:
        yield wire
    finally:
        _WIRE.reset(token)


class _HostPause:
    """Pauses and bans that one host imposed on this process (wall time).

    `used` counts the requests sent in a pause since `since_ns`, `accepted` the answers without a
    limit since the last answer that demanded a pause. A pause that is extended, or followed by
    another before a request was accepted, has no new reserve.
    """

    def __init__(self) -> None:
        self.limited_ns = self.banned_ns = self.since_ns = 0
        self.used, self.accepted = 0, 1
        self.gates: WeakSet[Gate] = WeakSet()

    def begin(self, now_ns: int, until_ns: int) -> None:
        """Start a pause until the given time."""
        if now_ns >= self.limited_ns and (self.accepted > 0 or self.since_ns == 0):
            self.since_ns, self.used = now_ns, 0
        self.accepted = 0
        self.limited_ns = max(self.limited_ns, until_ns)

    def use_reserve(self, now_ns: int) -> bool:
        """Count an urgent request during a pause; return whether it may be sent."""
        share = (now_ns - self.since_ns) / max(1, self.limited_ns - self.since_ns)
        if self.used >= _RESERVE // 2 + int(share * (_RESERVE - _RESERVE // 2)):
            return False
        self.used += 1
        return True


_HOST_PAUSES: Final[WeakValueDictionary[str, _HostPause]] = WeakValueDictionary()
"""By host and port: exchanges count the requests of an address, over all its clients."""


class Gate:
    """Pauses and bans imposed by the hosts of a client (wall time).

    A pause or a ban that one client of this process received applies to all clients of the same
    host. `on_change` is called after each of them.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._hosts: dict[str, _HostPause] = {}
        self.on_change: Callable[[], None] = lambda: None

    @property
    def limited_ns(self) -> int:
        """End of the last pause that a host of this client demanded."""
        return max((each.limited_ns for each in self._hosts.values()), default=0)

    @property
    def banned_ns(self) -> int:
        """End of the last ban by a host of this client."""
        return max((each.banned_ns for each in self._hosts.values()), default=0)

    def _pause_of(self, url: str) -> _HostPause:
        """Return the pause of an address's host, or this gate's own pause without an address."""
        host = urlsplit(url).netloc
        pause = self._hosts.get(host)
        if pause is None:
            pause = _HOST_PAUSES.setdefault(host, _HostPause()) if host else _HostPause()
            self._hosts[host] = pause
            pause.gates.add(self)
        return pause

    def open_ns(self) -> int:
        """Return when ordinary requests may be sent again; 0 means now."""
        until = max(self.limited_ns, self.banned_ns)
        return until if until > self._clock.now_ns() else 0

    def check(self, wire: Wire | None, url: str = "") -> None:
        """Raise `Barred` if a request must not be sent now."""
        now, pause = self._clock.now_ns(), self._pause_of(url)
        if now < pause.banned_ns:
            raise Barred("banned", f"banned for {_seconds(pause.banned_ns - now)}; nothing is sent")
        urgent = wire is not None and wire.urgent
        if now < pause.limited_ns and not (urgent and pause.use_reserve(now)):
            raise Barred("limited", f"asked to pause for {_seconds(pause.limited_ns - now)}")
        if wire is not None and 0 < wire.deadline_ns <= now:
            raise Barred("deadline", "its time had passed before it could leave")
        if wire is not None and wire.deadline_ns and not may_leave():  # orders have a deadline
            raise Barred("cancelled", "withdrawn before it had left")

    def check_dial(self) -> None:
        """Raise `Barred` if no stream may be opened now: a ban applies to all connections."""
        now = self._clock.now_ns()
        if now < self.banned_ns:
            raise Barred("banned", f"banned for {_seconds(self.banned_ns - now)}; nothing is sent")

    def answered(self, status: int, headers: Mapping[str, Any], body: str, url: str = "") -> str:
        """Process an answer; return ``limited`` or ``banned`` if it reports a limit or a ban."""
        now, pause = self._clock.now_ns(), self._pause_of(url)
        if status not in (418, 429):
            pause.accepted += status < 400 and now >= pause.limited_ns
            return ""
        state: Literal["banned", "limited"] = "banned" if status == 418 else "limited"
        default, most = (
            (_BANNED_S, _LONGEST_BAN_S) if status == 418 else (_LIMITED_S, _LONGEST_PAUSE_S)
        )
        until = now + int(min(_retry_after(headers, now, default), most) * _S)
        found = _UNTIL.search(body or "")
        if found:
            until = max(until, min(int(found[1]) * 1_000_000, now + int(most * _S)))
        if state == "banned":
            pause.banned_ns, pause.accepted = max(pause.banned_ns, until), 0
            self._changed(pause)
        else:
            self.pause(until, url)
        return state

    def pause(self, until_ns: int, url: str = "") -> None:
        """Pause until a time, except for the reserve of urgent requests."""
        pause = self._pause_of(url)
        pause.begin(self._clock.now_ns(), until_ns)
        self._changed(pause)

    def pause_briefly(self, url: str = "") -> None:
        """Pause after a limit that was reported with an ordinary status.

        Such limits are counted.
        """
        self._pause_of(url).accepted -= 1
        self.pause(self._clock.now_ns() + _BRIEF_NS, url)

    def _changed(self, pause: _HostPause) -> None:
        for gate in list(pause.gates):
            gate.on_change()


def _seconds(span_ns: int) -> str:
    return f"{span_ns / _S:.1f} s"


def _retry_after(headers: Mapping[str, Any], now_ns: int, default: float) -> float:
    """Return the seconds to wait that the answer demands, as a number or a date."""
    header = next(
        (str(value) for k, value in headers.items() if str(k).lower() == "retry-after"), ""
    )
    if not header:
        return default
    try:
        if header.replace(".", "", 1).isdigit():
            return float(header)
        return max(0.0, parsedate_to_datetime(header).timestamp() - now_ns / _S)
    except (ValueError, TypeError):
        return default


def check_host(url: str, hosts: frozenset[str] | None) -> None:
    """Raise `Barred` if an address is not on the allowed hosts of a client."""
    host = urlsplit(url).hostname
    if hosts is not None and host not in hosts:
        raise Barred(
            "host", f"{host} is none of the hosts that this client may talk to; where urls: point "
            "elsewhere than the exchange, give all of them, or switch off what needs this one by "
            "options:",
        )  # fmt: skip


def hook_client(
    client: Any, gate: Gate, on_answer: Any, hosts: frozenset[str] | None = None
) -> None:
    """Hook a client: `gate` checks each request first, `on_answer(status, state)` runs after it."""
    fetch, answered = client.fetch, client.on_rest_response

    async def fetching(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        wire = _WIRE.get()
        check_host(url, hosts)
        gate.check(wire, url)
        if wire is not None and wire.trigger:
            fault = trigger_fault(client.id, url, body, wire.trigger)
            if fault:
                raise Barred("unsupported", f"{fault}: the stop was not sent")
        if wire is not None and wire.client_id:
            fault = sent_id_fault(client.id, method, url, headers, body, wire.client_id)
            if fault:
                raise Barred("unsupported", f"{fault}: the order was not sent")
        if wire is not None:
            wire.sent, wire.url = True, url
        answer = await fetch(url, method, headers, body)
        check_body(client.id, method, url, answer)
        return answer

    def answering(
        code: int, reason: str, url: str, method: str, headers: Any, body: str, *rest: Any
    ) -> Any:
        wire = _WIRE.get()
        if wire is not None:
            wire.status = code
        on_answer(code, gate.answered(code, headers, body, url))
        return answered(code, reason, url, method, headers, body, *rest)

    client.fetch, client.on_rest_response = fetching, answering
