"""Stops a run: signals, the bound on waiting, detection of a blocked loop, the last tables."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from septet import messages as m
from septet._core.orders.ids import is_marked, own_id
from septet._files import replace_file
from septet._host.background_tasks import Tasks, Timer
from septet._host.venues import LiveVenue
from septet._live.shell import Notify

__all__ = [
    "FAILED",
    "RunEnd",
    "LoopWatch",
    "ALL_WITHIN_S",
    "LATE_S",
    "STOP_WITHIN_S",
    "StopBound",
    "Signals",
    "cancel_entries",
    "mark_failed",
    "project",
    "within",
]

STOP_WITHIN_S: Final = 10.0
"""Within this a run ends its orders and connections; the rest of the time is for its files."""
ALL_WITHIN_S: Final = 15.0
LATE_S: Final = (STOP_WITHIN_S + ALL_WITHIN_S) / 2
LEAST_S: Final = 0.25
"""Time of a later step if earlier ones took all of the time."""
FAILED: Final = "FAILED.json"
_BEAT_S: Final = 0.25
_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a strategy's run ended, and how many of its orders are open, where that is known.

    `held` has the symbols that `on_shutdown: flatten` could not close.
    """

    how: Literal["stopped", "finished", "failed", "halted"]
    text: str
    open_orders: int | None = None
    held: tuple[str, ...] = ()


class StopBound:
    """The time that all steps of a stop share; each has a bound of its own beside it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    def extend(self, by_s: float) -> None:
        """Add the time of a step that has its own, such as closing positions."""
        self._began += by_s

    def left_s(self, most_s: float, *, of_s: float = STOP_WITHIN_S) -> float:
        """Return how long a step may take at most."""
        remaining_s = self._began + of_s - self._loop.time()
        return max(LEAST_S, min(most_s, remaining_s))

    @property
    def for_tables_s(self) -> float:
        """How long the last step may take: the tables are written."""
        return self.left_s(STOP_WITHIN_S / 2, of_s=ALL_WITHIN_S)


async def within(tasks: Tasks, name: str, work: Coroutine[Any, Any, Any], seconds: float) -> bool:
    """Wait for a call within a time limit; cancel it then, and do not wait for it any more.

    `asyncio.wait_for` would wait until the call has taken its cancel.
    """
    call = tasks.once(name, work)
    done, _ = await asyncio.wait({call}, timeout=seconds)
    if not done:
        tasks.cancel(call)
        return False
    call.result()
    return True


class Signals:
    """SIGTERM and SIGINT stop in order, a second one immediately; SIGUSR1 is the kill switch.

    SIGHUP, when a terminal closes, stops in order as well, unless `nohup` set it to be ignored.
    """

    def __init__(self, stop: Callable[[str], None], halt: Callable[[str], None]) -> None:
        self._stop, self._halt = stop, halt
        self._requests = 0

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Install the signal handlers of this process."""
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopped, number)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            loop.add_signal_handler(signal.SIGHUP, self._stopped, signal.SIGHUP)
        loop.add_signal_handler(signal.SIGUSR1, self._halt, "SIGUSR1")
        # One that came before this was held: see `septet run`.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})

    def came_early(self, name: str) -> None:
        """Take a signal that came before these; "" is none."""
        if name:
            self._stopped(signal.Signals[name])

    def forget(self, loop: asyncio.AbstractEventLoop) -> None:
        """Restore the signal handlers; a halt that arrives now waits for the next installation."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            loop.remove_signal_handler(number)

    def _stopped(self, number: signal.Signals) -> None:
        # Kernel and shell each signal a closed terminal: the second signal is no second request.
        self._requests += number != signal.SIGHUP
        if self._requests > 1:
            # The journal is whole after every commit, so leaving at once loses nothing.
            os._exit(128 + number)
        self._stop(signal.Signals(number).name)


class LoopWatch:
    """A thread that detects a blocked loop and where; the loop reports for how long.

    Parameters
    ----------
    stood_still
        Called in the loop when it resumes, with the seconds it was blocked.
    notify
        Called from the thread while the loop is blocked.
    """

    def __init__(
        self, stood_still: Callable[[float], None], notify: Notify, *, bound_s: float = 2.0,
        tasks: Tasks | None = None,
    ) -> None:  # fmt: skip
        self._tasks = tasks or Tasks("loop watch")
        self._stood_still, self._notify, self._bound_s = stood_still, notify, bound_s
        self._beat = time.monotonic()
        self._reported = False
        self._closed = threading.Event()
        self._timer: Timer | None = None
        self._thread = threading.Thread(target=self._watch, name="loop-watch", daemon=True)
        self._loop_thread = threading.get_ident()

    def start(self) -> None:
        """Start watching the running loop."""
        self._loop_thread = threading.get_ident()
        self._beat = time.monotonic()
        self._later()
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._thread.is_alive():
            self._thread.join(2 * _BEAT_S + 1.0)

    def _later(self) -> None:
        self._timer = self._tasks.later("heartbeat of the loop", _BEAT_S, self._beaten)

    def _beaten(self) -> None:
        now = time.monotonic()
        still_s = now - self._beat - _BEAT_S
        self._beat, self._reported = now, False
        self._later()
        if still_s >= self._bound_s:
            self._stood_still(still_s)

    def _watch(self) -> None:
        while not self._closed.wait(_BEAT_S):
            still_s = time.monotonic() - self._beat - _BEAT_S
            if still_s >= self._bound_s and not self._reported:
                self._reported = True
                frame = sys._current_frames().get(self._loop_thread)
                where = traceback.format_stack(frame)[-1].strip() if frame is not None else ""
                text = f"the loop has stood still for {still_s:.1f} s: {' '.join(where.split())}"
                with contextlib.suppress(Exception):  # a failing log must not end the watch
                    self._notify("error", "loop_blocked", {"text": text})


def _own(tag: str, client_id: str) -> str:
    return own_id(tag, client_id) or client_id


async def cancel_entries(
    venue: LiveVenue | None,
    tag: str,
    is_entry: Callable[[str], bool],
    *,
    notify: Notify,
    within_s: float = STOP_WITHIN_S,
) -> int | None:
    """Cancel a strategy's resting entries; return the orders that remain, None if unknown.

    Used when the core cannot be queried any more. Orders that protect or reduce a position stay at
    the venue, and so do orders that are not known to be entries.
    """
    if venue is None:
        return 0
    remaining: int | None = None
    loop = asyncio.get_running_loop()
    until, wait_s = loop.time() + within_s, 0.05
    while True:
        try:
            listing = await venue.open_orders()
            if listing is not None:
                own = [each for each in listing.orders if is_marked(tag, each.client_id)]
                remaining = len(own)
                entries = [each for each in own if is_entry(_own(tag, each.client_id))]
                if not entries:
                    return remaining
                for each in entries:
                    await venue.cancel(
                        m.Cancel(
                            client_id=each.client_id, symbol=each.symbol,
                            venue_order_id=each.venue_order_id,
                        )
                    )  # fmt: skip
        except Exception as error:  # whatever the error is, the next attempt may succeed
            notify("error", "cancel_entries", {"text": f"{type(error).__name__}: {error}"})
        if loop.time() + wait_s >= until:
            return remaining
        await asyncio.sleep(wait_s)
        wait_s = min(2.0, wait_s * 2)


def mark_failed(
    folder: Path, text: str, error: BaseException | None, event: m.Event | None
) -> None:
    """Write a file with the reason and the traceback of a strategy's failure."""
    trace = "".join(traceback.format_exception(error)) if error is not None else ""
    facts: dict[str, Any] = {"failed": text, "traceback": trace, "at_ns": time.time_ns()}
    if event is not None:
        facts["event"] = msgspec.to_builtins(event)
    with contextlib.suppress(OSError):  # the log has it as well; a full disk must not hide it
        replace_file(folder / FAILED, msgspec.json.format(msgspec.json.encode(facts)))


async def project(folder: Path, notify: Notify, within_s: float = STOP_WITHIN_S) -> bool:
    """Rewrite the tables of a run from its journal, within a time limit."""
    done = threading.Event()

    def work() -> None:
        from septet._store.projections import write_projections

        try:
            write_projections(folder)
        except Exception as error:  # the journal is intact, and the tables can be rebuilt
            text = f"the tables were not written: {error}; septet runs export makes them"
            notify("warning", "tables", {"text": text})
        finally:
            done.set()

    # A daemon: a long journal must not hold up the end of the process.
    threading.Thread(target=work, name="tables", daemon=True).start()
    loop = asyncio.get_running_loop()
    until = loop.time() + within_s
    while not done.is_set() and loop.time() < until:
        await asyncio.sleep(0.01)
    if not done.is_set():
        text = "the tables take too long; septet runs export makes them"
        notify("warning", "tables", {"text": text})
    return done.is_set()
