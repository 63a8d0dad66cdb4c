"""Faults inside the process of a drill's run: the module is started with REPORT and septet's words.

The run is started as a user starts it, in a process that also takes orders for faults from its
standard input, a JSON line each. What occurred is written to the file REPORT as the venue writes
what it did. Nothing of septet is changed but what a fault stands for: the clock of the machine, the
writes of the journal, and one exception in one background task.
"""

from __future__ import annotations

import asyncio
import errno
import os
import runpy
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from septet._drill.venue.venue_journal import FaultInjected
from septet._files import open_append

__all__ = ["CODES", "Order", "ProcessFaults", "full_disk", "main"]

CODES: Final = ("A4", "A7", "A9")
_NS: Final = 1_000_000_000
_OPTIONAL_TASKS: Final = ("alerts", "metrics at ")
"""How tasks are called that block nothing when they fail: orders do not need them."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that the process must inject; `draw` in [0, 1) chooses among the targets."""

    number: int
    code: str
    duration_ms: float = 0.0
    draw: float = 0.0
    ahead_ms: float = 0.0
    tail: bool = False


class KilledError(RuntimeError):
    """The error that ends a background task."""


def full_disk() -> sqlite3.Error:
    """Return the error that SQLite raises if the disk is full."""
    db = sqlite3.connect(":memory:")
    try:
        db.execute("PRAGMA max_page_count = 1")
        db.execute("CREATE TABLE t (x)")
    except sqlite3.Error as error:
        return error
    finally:
        db.close()
    raise AssertionError("a database of one page takes no table")


class ProcessFaults:
    """Injects the faults of this process.

    Parameters
    ----------
    report
        Where what occurred is appended.
    """

    def __init__(self, report: Path) -> None:
        self._handle = open_append(report)
        self._ahead_ns = 0
        self._armed: Order | None = None
        self._full_until_s = 0.0
        self._refuses_tail = False
        self._room = 0
        self._supervisors: list[Any] = []
        self._true_ns, self._true_s = time.time_ns, time.time

    # ------------------------------------------------------------ what is changed

    def move_clock(self) -> None:
        """Replace the machine's clock with one that can run ahead; before others read it."""
        time.time_ns = lambda: self._true_ns() + self._ahead_ns
        time.time = lambda: self._true_s() + self._ahead_ns / 1e9

    def install(self) -> None:
        """Patch the journal's writes and the supervisor."""
        from septet._journal.disk_reserve import RESERVE_BYTES, Reserve
        from septet._journal.journal_writer import Journal
        from septet._journal.write_ahead_tail import Tail
        from septet._live.supervisor import Supervisor

        made = Supervisor.__init__
        append, transaction, write = Journal.append, Journal._transaction, Tail._write
        reserve, release = Reserve.make, Reserve.release

        def remember(supervisor: Supervisor, *words: Any, **more: Any) -> None:
            made(supervisor, *words, **more)
            self._supervisors.append(supervisor)

        def appended(journal: Journal, event: Any, commands: Any) -> int:
            self._see(commands)
            return append(journal, event, commands)

        @contextmanager
        def refused(journal: Journal) -> Iterator[None]:
            if self._is_full():
                raise full_disk()
            with transaction(journal):
                yield

        def refused_write(tail: Tail, frames: bytes) -> None:
            if self._is_full() and self._refuses_tail:
                if len(frames) > self._room:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self._room -= len(frames)
            write(tail, frames)

        def refused_reserve(kept: Reserve) -> None:
            if self._is_full() and not kept.is_allocated:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            reserve(kept)

        def released(kept: Reserve) -> bool:
            done = release(kept)
            self._room += RESERVE_BYTES if done else 0
            return done

        for owner, name, new in (
            (Supervisor, "__init__", remember), (Journal, "append", appended),
            (Journal, "_transaction", refused), (Tail, "_write", refused_write),
            (Reserve, "make", refused_reserve), (Reserve, "release", released),
        ):  # fmt: skip
            setattr(owner, name, new)

    def _is_full(self) -> bool:
        return time.monotonic() < self._full_until_s

    def _see(self, commands: Sequence[Any] | bytes) -> None:
        """Let writes fail at the row of a reduction, if that was requested."""
        order = self._armed
        if order is None or isinstance(commands, bytes):
            return
        found = next((name for each in commands if (name := _reduction(each))), "")
        if found:
            self._armed = None
            self._refuses_tail, self._room = order.tail, 0
            self._full_until_s = time.monotonic() + order.duration_ms / 1e3
            self._report(
                order, f"at {found}; the tail {'needs the reserve' if order.tail else 'has room'}"
            )

    # ------------------------------------------------------------ what is asked for

    def make(self, order: Order) -> None:
        """Begin a fault; called in a separate thread."""
        if order.code == "A7":
            self._armed = order
        elif order.code == "A9":
            self._ahead_ns = int(order.ahead_ms * 1e6)
            self._report(order, f"{order.ahead_ms:g} ms ahead")
            time.sleep(order.duration_ms / 1e3)
            self._ahead_ns = 0
        else:
            self._kill_a_task(order)

    def _kill_a_task(self, order: Order) -> None:
        for supervisor in self._supervisors:
            kept = [
                (f"{each.name} of {owner}", each.task)
                for owner, each in supervisor.kept()
                if each.task is not None and not each.name.startswith(_OPTIONAL_TASKS)
            ]
            if kept:
                name, task = kept[int(order.draw * len(kept))]

                def fail(task: asyncio.Task[Any] = task, name: str = name) -> None:
                    if end_task(task):
                        self._report(order, name)

                task.get_loop().call_soon_threadsafe(fail)

    def _report(self, order: Order, detail: str) -> None:
        row = FaultInjected(
            at_ns=self._true_ns(), code=order.code, number=order.number, count=1, detail=detail
        )
        os.write(self._handle, msgspec.json.encode(row) + b"\n")

    def listen(self, read: Callable[[], str]) -> None:
        """Read orders for faults until the input ends."""
        while line := read():
            self.make(msgspec.json.decode(line, type=Order))


def _reduction(command: Any) -> str:
    """Return how a command serves an exit: it sells, or cancels the stop that blocks the sale."""
    from septet import messages as m

    if isinstance(command, m.Cancel) and command.reduces:
        return f"the cancel of {command.client_id}"
    if isinstance(command, m.Submit) and command.reduces and "stop" not in command.order_type:
        return f"order {command.client_id}"
    return ""


def end_task(task: asyncio.Task[Any]) -> bool:
    """Raise an error inside a waiting task; cancel one that waits for several things."""
    if task.done():
        return False
    waits: Any = getattr(task, "_fut_waiter", None)
    while isinstance(waits, asyncio.Task):
        waits = getattr(waits, "_fut_waiter", None)
    if type(waits) is asyncio.Future and not waits.done():
        waits.set_exception(KilledError("ended by the drill"))
        _drop_timers(task.get_loop(), waits)
    else:
        task.cancel()
    return True


def _drop_timers(loop: Any, waits: asyncio.Future[Any]) -> None:
    """Cancel the timer of an ended sleep, which would end it again in this turn."""
    for handle in (*getattr(loop, "_scheduled", ()), *getattr(loop, "_ready", ())):
        call = getattr(handle, "_callback", None)
        sleeps = getattr(call, "__name__", "") == "_set_result_unless_cancelled"
        if sleeps and handle._args and handle._args[0] is waits:
            handle.cancel()


def main() -> None:
    """Run ``septet`` with the words after the first, under faults."""
    report, words = Path(sys.argv[1]), sys.argv[2:]
    faults = ProcessFaults(report)
    faults.move_clock()
    faults.install()
    threading.Thread(target=faults.listen, args=(sys.stdin.readline,), daemon=True).start()
    sys.argv[1:] = words
    runpy.run_module("septet.cli", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
