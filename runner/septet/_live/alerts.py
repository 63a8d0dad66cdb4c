"""Alerts of a paper or live run: a bounded queue beside the orders, and a channel that may fail.

Alerts are made after a row is stored and its orders are sent. A thread sends them, so
that a channel that hangs delays only later alerts; of those the oldest are dropped.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
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
"""Alerts that wait at most; a new one pushes the oldest out."""
SEND_S: Final = 15.0
"""A channel that has not answered for so long counts as hanging."""
FLUSH_S: Final = 3.0
"""The end of a run waits at most this long for its last alerts."""
_HIDDEN: Final = "***"
_LOGGER: Final = "septet.alerts"


@dataclass(slots=True)
class Counts:
    """How many alerts were sent, failed and dropped so far."""

    sent: int = 0
    failed: int = 0
    dropped: int = 0
    hanging: bool = False


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
        self.counts, self._name, self._base_dir, self._notify = Counts(), name, base_dir, notify
        self._access = access
        self._waiting: deque[Alert] = deque()
        self._arrived: asyncio.Event | None = None
        self._busy = False
        self._secrets: list[str] = []
        self._trouble: Counter[str] = Counter()
        self._channel: Any = None
        if block is not None:
            try:
                self._channel = self._opened(block)
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

    def _opened(self, block: Any) -> Any:
        try:
            channel = block.declaration(block.config)
            check = getattr(channel, "check", None)
            if check is not None:
                check(self._read)
        except Exception as error:  # a stranger's channel may raise anything
            own = error.hint if isinstance(error, SeptetError) else ""
            raise InputError(
                f"monitoring.alerts: {self._text_of(error)}",
                hint=own or "set what it needs, or take monitoring.alerts out of the file",
            ) from None
        return channel

    @property
    def waiting(self) -> int:
        """Alerts that have not been sent."""
        return len(self._waiting)

    # ------------------------------------------------------------ what comes in

    def row(self, event: m.Event, commands: Sequence[m.Command], symbols: Sequence[str]) -> None:
        """Queue the alerts of a stored row."""
        if self._channel is not None and (commands or not isinstance(event, m.Quoted)):
            for each in alerts_of(event, commands, symbols):
                self.put(each)

    def failed(self, event: str, text: str) -> None:
        """Queue the alert of a failure that is not in the journal."""
        self.put(failure_of(event, text))

    def put(self, alert: Alert) -> None:
        """Queue an alert if the file names its kind; never blocks, never raises."""
        if self._channel is None or not (alert.kinds & self._kinds):
            return
        if len(self._waiting) >= WAITING:
            self._waiting.popleft()
            self.counts.dropped += 1
            self._report("dropped", f"more than {WAITING} alerts wait: the oldest are dropped")
        self._waiting.append(alert)
        if self._arrived is not None:
            self._arrived.set()

    # ------------------------------------------------------------ what leaves

    def start(self, tasks: Tasks) -> None:
        """Start sending; the supervisor owns the task."""
        if self._channel is not None:
            self._arrived = asyncio.Event()
            tasks.keep("alerts", self._work, down=lambda text: None)

    async def _work(self) -> None:
        assert self._arrived is not None
        while True:
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            alert = self._waiting.popleft()
            self._busy = True
            try:
                await self._send(alert)
            finally:
                self._busy = False

    async def _send(self, alert: Alert) -> None:
        done = self._called(alert)
        try:
            error = await asyncio.wait_for(asyncio.shield(done), SEND_S)
        except TimeoutError:
            self.counts.hanging = True
            self._report("hangs", f"the channel has not answered for {SEND_S:g} s; alerts wait")
            error = await done
            self.counts.hanging = False
        if error is None:
            self.counts.sent += 1
            if self._trouble.pop("fails", 0) + self._trouble.pop("hangs", 0):
                self._notify("info", "alerts_work", {"text": "the alert channel works again"})
        else:
            self.counts.failed += 1
            self._report("fails", f"an alert was not sent: {self._text_of(error)}")

    def _called(self, alert: Alert) -> asyncio.Future[BaseException | None]:
        """Send in a thread; the future holds what was raised."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[BaseException | None] = loop.create_future()

        def complete(error: BaseException | None) -> None:
            if not done.done():
                done.set_result(error)

        channel = self._channel

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
        if self._arrived is not None:
            deadline = asyncio.get_running_loop().time() + within_s
            while (self._waiting or self._busy) and asyncio.get_running_loop().time() < deadline:
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

    def _report(self, trouble: str, text: str) -> None:
        """Report a failure once, until the channel works again."""
        self._trouble[trouble] += 1
        if self._trouble[trouble] == 1:
            self._notify("warning", f"alerts_{trouble}", {"text": text})
