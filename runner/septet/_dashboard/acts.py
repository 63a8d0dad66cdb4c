"""Halt, flatten and resume, as the command line does them, and what came of it in words."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from septet.errors import InputError

if TYPE_CHECKING:
    from septet._app.halt import Halted

__all__ = ["ACTIONS", "act", "can_act", "login_name", "outcome_lines"]

ACTIONS: Final = ("halt", "flatten", "resume")
_WAIT_S: Final = 10.0


def login_name() -> str:
    """Return the name of who runs the page."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""  # a container without users


def can_act(folder: Path) -> bool:
    """Whether it is the folder of a paper or live run; its journal may be damaged."""
    from septet._store.find import LIVE_SIGNS

    return any(os.path.lexists(folder / name) for name in LIVE_SIGNS)


def act(folder: Path, action: str, *, name: str, reason: str, wait_s: float = _WAIT_S) -> Halted:
    """Halt, flatten or resume a run; who and why are written to its journal.

    Raises
    ------
    InputError
        If name or reason is missing, the action is none of `ACTIONS`, or the run is a backtest.
    """
    from septet._app.halt import halt_run, resume_run

    for what, text in (("name", name), ("reason", reason)):
        if not text.strip():
            raise InputError(f"the {what} is missing: who asks and why are written to the journal")
    if action not in ACTIONS:
        raise InputError(f"there is no action {action!r}", hint=f"one of {', '.join(ACTIONS)}")
    if not can_act(folder):
        raise InputError(f"{folder.name} is a backtest: there is nothing to {action}")
    signed = f"{name.strip()} (dashboard)"
    if action == "resume":
        return resume_run(folder, name=signed, reason=reason.strip(), wait_s=wait_s)
    return halt_run(
        folder, name=signed, reason=reason.strip(), flatten=action == "flatten", wait_s=wait_s
    )


def outcome_lines(found: Halted) -> list[str]:
    """Say what came of it: what is certain, and what is to be looked at."""
    resuming = found.action == "resume"
    where = "" if found.mode == "paper" else "look at the venue for what is open and held"
    asked = "the halt is cleared" if resuming else f"the run is asked to {found.action}"
    if found.unread or not found.has_journal:
        why = found.unread or "it has no journal"
        said = [f"{asked}, which stands in its folder", f"whether it was taken is not known: {why}"]
    elif resuming and found.cleared == ():
        return ["it was not halted: there is nothing to clear"]
    elif found.is_idle:
        then = "it may trade" if resuming else "it cancels its orders first"
        said = [f"{asked}; no process of the run acts on it now: at its next start {then}"]
        where = "" if resuming else where
    elif not found.taken:
        return [f"{asked}, which stands in its folder; its process has not answered yet"]
    elif resuming:
        return ["the run may trade again"]
    else:
        left = "not known yet" if found.open_orders is None else str(found.open_orders)
        closing = "; its positions are being closed at market" if found.action == "flatten" else ""
        return [f"the run is halted; open orders: {left}{closing}"]
    return [*said, where] if where else said
