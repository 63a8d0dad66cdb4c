"""Halts a paper or live run, resumes it, and waits until its journal records the outcome."""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from septet.errors import SeptetError

if TYPE_CHECKING:
    from septet._journal.reader import Reader
    from septet._live.kill_switch import Asked
    from septet._store.journal_view import LiveRun

__all__ = ["Halted", "halt_run", "login_name", "resume_run"]

_LOOK_S: Final = 0.1
_BACK: Final = 256
_JOURNAL: Final = ("journal.sqlite", "journal.sqlite-tail")
_BY_PERSONS: Final = ("person", "resume", "manual")
"""Texts for the end of a halt or a block that a person may end."""


@dataclass(frozen=True, slots=True)
class Halted:
    """The outcome of a halt, a flatten or a resume.

    `taken`: the run's process has journalled the request. `open_orders` are the open orders since
    then, None if unknown. `unread` is the reason why the journal could not be read. `cleared` are
    the rules that a resume cleared: empty if there was none, None if unknown. `ended`: the process
    ended during the wait. `state` has the positions and orders of a run without a process, or of
    one that closes its positions. `moved_aside` are folders that had the name of a file of the
    switch. `pid` is the process that holds the run, if it is one of this machine. `replaced_by` is
    who requested the opposite before the process read the request.
    """

    run_id: str
    folder: Path
    action: str
    running: bool
    has_journal: bool
    mode: str = "live"
    taken: bool = False
    open_orders: int | None = None
    unread: str = ""
    cleared: tuple[str, ...] | None = None
    ended: bool | None = None
    state: dict[str, Any] | None = None
    moved_aside: tuple[str, ...] = ()
    replaced_by: str = ""
    pid: int | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no process acts on the request, and none has completed it."""
        is_complete = self.taken and (self.action == "resume" or self.open_orders == 0)
        return not self.running and not is_complete

    @property
    def acted(self) -> bool:
        """Whether a process did all that a halt asks for, or there was nothing to do."""
        if self.replaced_by:
            return False
        if self.unread:
            return self.running
        if self.action == "resume" and (self.running or not self.is_idle):
            return self.taken
        if self.running or not self.is_idle:
            return self.taken and self.open_orders == 0 and not self.held
        state = self.state or {}
        return not (state.get("orders") or (self.action == "flatten" and state.get("positions")))

    @property
    def held(self) -> tuple[str, ...]:
        """Symbols that a flatten has not closed, without remainders too small for an order."""
        if self.action != "flatten" or self.state is None:
            return ()
        return tuple(each["symbol"] for each in self.state["positions"] if not each["dust"])

    def document(self) -> dict[str, Any]:
        """Return it as plain data."""
        fields: dict[str, Any] = {
            "run_id": self.run_id, "folder": str(self.folder), "action": self.action,
            "running": self.running, "taken": self.taken, "open_orders": self.open_orders,
            "unread": self.unread, "has_journal": self.has_journal,
        }  # fmt: skip
        if self.action == "resume":
            fields["cleared"] = None if self.cleared is None else list(self.cleared)
        if self.ended is not None:
            fields["ended"] = self.ended
        if self.state is not None:
            fields["state"] = self.state
        if self.moved_aside:
            fields["moved_aside"] = list(self.moved_aside)
        if self.pid is not None and not self.taken:
            fields["pid"] = self.pid
        if self.replaced_by:
            fields["replaced_by"] = self.replaced_by
        return fields


def login_name() -> str:
    """Return the name of the user's login; empty in a container without users."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def halt_run(
    folder: Path,
    *,
    name: str,
    reason: str,
    flatten: bool = False,
    wait_s: float = 10.0,
    reference: str = "",
) -> Halted:
    """Request a halt durably, and wait up to `wait_s` seconds until the journal records it.

    `reference` is the name by which the run was requested: if it may mean more than this run
    (``latest``, a strategy's name), a run that is starting takes the halt as well.

    With `flatten` the run closes its positions as well. The request is written before the run is
    read: its journal may be damaged or locked.

    Raises
    ------
    InputError
        If the request cannot be written, or a name or reason cannot be stored.
    """
    from septet._live.kill_switch import ask_halt

    since_ns = time.time_ns()
    request = ask_halt(
        folder, flatten=flatten, name=name, reason=reason, now_ns=since_ns, reference=reference
    )
    return _wait_for_outcome(folder, request.action, since_ns, wait_s, request)


def resume_run(folder: Path, *, name: str, reason: str, wait_s: float = 10.0) -> Halted:
    """Clear every block of a run that waits for a person; without a block nothing is requested.

    Raises
    ------
    InputError
        If the request cannot be written, or a name or reason is empty.
    """
    from septet._live.kill_switch import ask_resume

    since_ns = time.time_ns()
    is_unblocked = _is_unblocked(folder)
    request = None
    if not is_unblocked:
        request = ask_resume(folder, name=name, reason=reason, now_ns=since_ns)
    return _wait_for_outcome(folder, "resume", since_ns, wait_s, request)


def _wait_for_outcome(
    folder: Path, action: str, since_ns: int, wait_s: float, request: Asked | None
) -> Halted:
    """Wait until a request is journalled; without a request there was no block to clear."""
    from septet._journal.lease import holder_of
    from septet._live.kill_switch import moved_aside
    from septet._store.journal_view import LiveRun

    is_unblocked = request is None
    wait_s = _wait_for_start(folder, wait_s)
    holder = holder_of(folder)
    halted = Halted(
        folder.name, folder, action, running=holder is not None,
        has_journal=any(os.path.lexists(folder / name) for name in _JOURNAL),
        cleared=() if is_unblocked else None, moved_aside=tuple(moved_aside(folder)),
        pid=holder.pid if holder is not None and holder.host == socket.gethostname() else None,
    )  # fmt: skip
    try:  # without a readable journal, orders may be real: the mode stays live
        halted = replace(halted, mode=_read(folder, lambda journal: str(journal.head.mode)))
        if holder is not None:
            halted = _wait_until_journalled(halted, since_ns, wait_s, request)
        if not halted.running and not is_unblocked:
            halted = replace(halted, state=_state_of(LiveRun(folder)))
    except Exception as problem:  # for any error of the journal: the request is written
        why = problem.message if isinstance(problem, SeptetError) else repr(problem)
        halted = replace(halted, unread=why)
    if request is not None and not (halted.replaced_by or halted.taken):
        halted = replace(halted, replaced_by=_replaced_by(folder, request))
    return halted


def _wait_for_start(folder: Path, wait_s: float) -> float:
    """Wait up to `wait_s` seconds for a run that is starting to make its journal.

    Return how many seconds are left.
    """
    from septet._store.starting_runs import is_starting

    until = time.monotonic() + wait_s
    while is_starting(folder) and time.monotonic() < until:
        time.sleep(_LOOK_S)
    return max(0.0, until - time.monotonic())


def _replaced_by(folder: Path, request: Asked) -> str:
    """Return who requested the opposite later; empty if nobody did."""
    from septet._live.kill_switch import read_halt, read_resume

    later = read_halt(folder) if request.action == "resume" else read_resume(folder)
    if later is None or later.asked_ns <= request.asked_ns:
        return ""
    return later.name or "a person"


def _resumed_by(journal: Reader, entry_before: int) -> str:
    """Return whose resume a run has read since an entry; empty if there was none."""
    from septet import messages as m

    found = ""
    for entry in journal.read(entry_before):
        if entry.kind == "operated" and isinstance(entry.event, m.Operated):
            is_resume = entry.event.action == "resume"
            found = entry.event.name if is_resume else ""
    return found


def _state_of(run: LiveRun) -> dict[str, Any]:
    """Return the positions and resting orders of a run from its journal."""
    from septet._report.open_state import open_state

    return open_state(run) or {"positions": [], "orders": []}


def _wait_until_journalled(
    halted: Halted, since_ns: int, wait_s: float, request: Asked | None
) -> Halted:
    """Wait until the run has journalled the request, and then until no order is open.

    After a flatten, wait until no position is left as well. The wait ends if the process ends, or
    if a later request replaces this one.
    """
    from septet._journal.lease import holder_of
    from septet._live.kill_switch import HALT
    from septet._store.journal_view import LiveRun

    folder, action = halted.folder, halted.action
    tag = _read(folder, lambda journal: str(journal.head.facts.get("tag", "")))
    entry_before = _read(folder, lambda journal: _entry_before(journal, since_ns))
    until, run = time.monotonic() + wait_s, None
    while True:
        running = holder_of(folder) is not None  # first, so that the journal is complete when read
        later = "" if request is None else _replaced_by(folder, request)
        if not later and action != "resume" and not os.path.lexists(folder / HALT):
            later = _read(folder, lambda journal: _resumed_by(journal, entry_before))
        is_taken, open_orders, cleared = _read(
            folder, lambda journal: _outcome(journal, action, entry_before, tag)
        )
        if is_taken and action == "resume":
            halted = replace(halted, cleared=cleared)
        if is_taken and action == "flatten":
            run = LiveRun(folder, run)
            halted = replace(halted, state=_state_of(run))
        later = "" if is_taken else later
        is_complete = is_taken and (action == "resume" or (open_orders == 0 and not halted.held))
        if is_complete or later or not running or time.monotonic() >= until:
            return replace(
                halted, taken=is_taken, open_orders=open_orders, running=running,
                ended=not running, replaced_by=later,
            )  # fmt: skip
        time.sleep(_LOOK_S)


def _read(folder: Path, query: Callable[[Reader], Any]) -> Any:
    from septet._journal.reader import Reader

    with Reader(folder / "journal.sqlite") as journal:
        return query(journal)


def _is_unblocked(folder: Path) -> bool:
    """Whether a stopped run has no block that waits for a person; an unreadable one may have."""
    from septet._journal.lease import holder_of
    from septet._live.kill_switch import HALT

    if holder_of(folder) is not None or os.path.lexists(folder / HALT):
        return False
    try:
        return not _read(folder, _waiting_for_a_person)
    except Exception:  # whatever is wrong with the journal: a halt may stand in it
        return False


def _waiting_for_a_person(journal: Reader) -> set[str]:
    """Return the halts and blocks of a journal that a person may clear."""
    from septet import messages as m

    rules = set[str]()
    for entry in journal.read():
        if b'"tripped"' not in entry.commands_json and b'"cleared"' not in entry.commands_json:
            continue
        for each in entry.commands:
            if isinstance(each, m.Tripped) and any(
                word in each.clears_when for word in _BY_PERSONS
            ):
                rules.add(each.rule)
            elif isinstance(each, m.Cleared):
                rules.discard(each.rule)
    return rules


def _entry_before(journal: Reader, since_ns: int) -> int:
    """Return the last entry before a request: the run may have acted on it by now."""
    last = journal.last_seq
    while last > 0:
        first = max(0, last - _BACK)
        older = [each.seq for each in journal.read(first, last) if each.at_ns < since_ns]
        if older:
            return older[-1]
        last = first
    return 0


def _outcome(
    journal: Reader, action: str, entry_before: int, tag: str
) -> tuple[bool, int | None, tuple[str, ...]]:
    """Read on from an entry: whether the request was journalled, open orders, what was cleared."""
    from septet import messages as m
    from septet._core.orders.ids import is_marked

    is_taken, open_orders, cleared = False, None, list[str]()
    for entry in journal.read(entry_before):
        if entry.kind == "operated":
            event = entry.event
            if isinstance(event, m.Operated) and event.action == action:
                is_taken = True
                cleared += [each.rule for each in entry.commands if isinstance(each, m.Cleared)]
        elif is_taken and entry.kind == "open_orders":
            event = entry.event
            assert isinstance(event, m.OpenOrders)
            open_orders = sum(is_marked(tag, each.client_id) for each in event.orders)
    if is_taken and open_orders is None and not _trades_outside(journal):
        open_orders = 0  # fills happen inside the run: it has no orders anywhere
    return is_taken, open_orders, tuple(cleared)


def _trades_outside(journal: Reader) -> bool:
    return bool(journal.head.facts.get("core", {}).get("timing"))
