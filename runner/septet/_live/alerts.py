"""Alerts of a paper or live run: a bounded queue beside the orders, and a channel that may fail.

Alerts are made after a row is stored and its orders are sent. Each address of a channel has a queue
and a thread of its own, so that one that hangs delays only its own later alerts. Failures go first;
of those that wait too long the oldest that is none is dropped.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from septet import messages as m
from septet._config.access_rights import Access
from septet._config.secrets import read_secret
from septet._host.background_tasks import Tasks
from septet._live.alert_texts import Alert, alerts_of, failure_of
from septet._live.shell import Notify
from septet._text import one_line
from septet.errors import InputError, SeptetError
from septet_schemas.base import SecretRef

__all__ = ["FLUSH_S", "Alerts", "Counts"]

WAITING: Final = 256
"""Alerts that wait at most for each address; a new one pushes the oldest out."""
SEND_S: Final = 15.0
"""A channel that has not answered for so long counts as hanging."""
FLUSH_S: Final = 3.0
"""The end of a run waits at most this long for its last alerts."""
_HIDDEN: Final = "***"
_LOGGER: Final = "septet.alerts"


@dataclass(slots=True)
class Counts:
    """How many alerts were sent, failed and dropped so far, each counted once for each address."""

    sent: int = 0
    failed: int = 0
    dropped: int = 0
    hanging: bool = False


class _Address:
    """One address of a channel: what waits for it, and what has become of the rest."""

    def __init__(self, channel: Any, name: str) -> None:
        self.channel, self.counts, self.trouble = channel, Counts(), Counter[str]()
        self.name = name
        self.arrived: asyncio.Event | None = None
        self.is_busy = False
        self._failures: deque[Alert] = deque()
        self._others: deque[Alert] = deque()

    def __len__(self) -> int:
        return len(self._failures) + len(self._others)

    def put(self, alert: Alert) -> bool:
        """Queue an alert; return whether an older one was dropped for it."""
        is_full = len(self) >= WAITING
        if is_full:
            (self._others or self._failures).popleft()
            self.counts.dropped += 1
        (self._failures if alert.severity == "failure" else self._others).append(alert)
        if self.arrived is not None:
            self.arrived.set()
        return is_full

    def queued(self) -> list[Alert]:
        """Return what waits, in the order in which it is sent."""
        return [*self._failures, *self._others]

    def pop(self) -> Alert:
        """Take the next alert out: failures first, each kind in the order of its time."""
        return (self._failures or self._others).popleft()


class _ToLog(logging.Handler):
    """Forwards what the channel `log` writes to the log of the run."""

    def __init__(self, notify: Notify) -> None:
        super().__init__()
        self._notify = notify

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower()
        self._notify(level, "alert", {"text": record.getMessage()})


class Alerts:
    """Sends the alerts of one strategy.

    Parameters
    ----------
    block
        `monitoring.alerts` of the file, None for none.
    name
        The beginning of every title: the strategy and its mode.
    base_dir
        Where `file:` references begin.
    notify
        The log of the run: a channel that fails or hangs is reported there.
    access
        The secrets that the operator allows the file to read; None allows all, for tests.
    goes_on
        The run has a history, and may hold positions: a channel that cannot be used is then
        logged as an error, and does not end the start.

    Raises
    ------
    InputError
        The channel cannot be used: a secret is missing, or invalid for the channel.
    """

    def __init__(
        self,
        block: Any,
        name: str,
        base_dir: Any,
        notify: Notify,
        access: Access | None = None,
        *,
        goes_on: bool = False,
    ) -> None:
        self._name, self._base_dir, self._notify = name, base_dir, notify
        self._access = access
        self._secrets: list[str] = []
        self._addresses: tuple[_Address, ...] = ()
        if block is not None:
            try:
                self._addresses = self._opened(block)
            except InputError as error:
                if not goes_on:
                    raise
                text = f"no alert leaves: {error.message}"
                notify("error", "alerts_unusable", {"text": text, "hint": error.hint})
                block = None
        self._kinds = frozenset(block.extra["events"]) if block is not None else frozenset()
        self._handler: logging.Handler | None = None
        if block is not None and block.use.rpartition("/")[2] == "log":
            self._handler = _ToLog(notify)
            logging.getLogger(_LOGGER).addHandler(self._handler)
            logging.getLogger(_LOGGER).propagate = False

    def _opened(self, block: Any) -> tuple[_Address, ...]:
        try:
            channel = block.declaration(block.config)
            check = getattr(channel, "check", None)
            if check is not None:
                check(self._read)
            split = getattr(channel, "by_address", None)
            parts = {"the channel": channel} if split is None else dict(split())
        except Exception as error:  # a stranger's channel may raise anything
            own = error.hint if isinstance(error, SeptetError) else ""
            raise InputError(
                f"monitoring.alerts: {self._text_of(error)}",
                hint=own or "set what it needs, or take monitoring.alerts out of the file",
            ) from None
        return tuple(_Address(each, name) for name, each in parts.items())

    @property
    def waiting(self) -> int:
        """Alerts that have not been sent, of all addresses."""
        return sum(map(len, self._addresses))

    def queued(self) -> list[Alert]:
        """Return the alerts that wait, of all addresses."""
        return [alert for address in self._addresses for alert in address.queued()]

    @property
    def counts(self) -> Counts:
        """What has become of the alerts so far, of all addresses."""
        each = [address.counts for address in self._addresses]
        sent, failed = sum(of.sent for of in each), sum(of.failed for of in each)
        dropped = sum(of.dropped for of in each)
        return Counts(sent, failed, dropped, any(of.hanging for of in each))

    # ------------------------------------------------------------ what comes in

    def row(self, event: m.Event, commands: Sequence[m.Command], symbols: Sequence[str]) -> None:
        """Queue the alerts of a stored row."""
        if self._addresses and (commands or not isinstance(event, m.Quoted)):
            for each in alerts_of(event, commands, symbols):
                self.put(each)

    def failed(self, event: str, text: str) -> None:
        """Queue the alert of a failure that is not in the journal."""
        self.put(failure_of(event, text))

    def put(self, alert: Alert) -> None:
        """Queue an alert if the file names its kind; never blocks, never raises."""
        if not alert.kinds & self._kinds:
            return
        for address in self._addresses:
            if address.put(alert):
                text = f"more than {WAITING} alerts wait for {address.name}: older ones are dropped"
                self._report(address, "dropped", text)

    # ------------------------------------------------------------ what leaves

    def start(self, tasks: Tasks) -> None:
        """Start sending; the supervisor owns the tasks, one for each address."""
        for address in self._addresses:
            address.arrived = asyncio.Event()
            work = partial(self._work, address, address.arrived)
            name = "alerts" if len(self._addresses) == 1 else f"alerts to {address.name}"
            tasks.keep(name, work, down=lambda text: None)

    async def _work(self, address: _Address, arrived: asyncio.Event) -> None:
        while True:
            if not len(address):
                arrived.clear()
                await arrived.wait()
            alert = address.pop()
            address.is_busy = True
            try:
                await self._send(address, alert)
            finally:
                address.is_busy = False

    async def _send(self, address: _Address, alert: Alert) -> None:
        done, counts, trouble = self._called(address, alert), address.counts, address.trouble
        try:
            error = await asyncio.wait_for(asyncio.shield(done), SEND_S)
        except TimeoutError:
            counts.hanging = True
            text = f"{address.name} has not answered for {SEND_S:g} s; its alerts wait"
            self._report(address, "hangs", text)
            error = await done
            counts.hanging = False
        if error is None:
            counts.sent += 1
            if trouble.pop("fails", 0) + trouble.pop("hangs", 0):
                self._notify("info", "alerts_work", {"text": f"{address.name} takes alerts again"})
        else:
            counts.failed += 1
            text = f"an alert was not sent to {address.name}: {self._text_of(error)}"
            self._report(address, "fails", text)

    def _called(self, address: _Address, alert: Alert) -> asyncio.Future[BaseException | None]:
        """Send in a thread; the future holds what was raised."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[BaseException | None] = loop.create_future()

        def complete(error: BaseException | None) -> None:
            if not done.done():
                done.set_result(error)

        channel = address.channel

        def call() -> None:
            error: BaseException | None = None
            try:
                title = one_line(f"{self._name}: {alert.title}")
                channel.send(title, alert.text(self._name), self._read, alert.severity)
            except BaseException as caught:  # whatever a channel raises, the run goes on
                error = caught
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(complete, error)

        threading.Thread(target=call, name="septet alerts", daemon=True).start()
        return done

    async def close(self, within_s: float = FLUSH_S) -> None:
        """Wait, within a time limit, until the queued alerts are sent."""
        deadline = asyncio.get_running_loop().time() + within_s
        while asyncio.get_running_loop().time() < deadline and any(
            each.arrived is not None and (len(each) or each.is_busy) for each in self._addresses
        ):
            await asyncio.sleep(0.02)
        if self._handler is not None:
            logging.getLogger(_LOGGER).removeHandler(self._handler)

    # ------------------------------------------------------------ secrets and words

    def _read(self, reference: SecretRef) -> str:
        if self._access is None:
            value = read_secret(reference, self._base_dir)
        else:
            value = self._access.read(reference, self._base_dir, set(), "its address")
        if value not in self._secrets:
            self._secrets.append(value)
        return value

    def _text_of(self, error: BaseException) -> str:
        """Return a text for an error; a third-party message is left out: it may hold a secret."""
        text = error.message if isinstance(error, SeptetError) else type(error).__name__
        for each in self._secrets:
            text = text.replace(each, _HIDDEN)
        return text

    def _report(self, address: _Address, trouble: str, text: str) -> None:
        """Report a failure of an address once, until it works again."""
        address.trouble[trouble] += 1
        if address.trouble[trouble] == 1:
            self._notify("warning", f"alerts_{trouble}", {"text": text})
