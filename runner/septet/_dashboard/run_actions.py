"""Halt, flatten and resume, as the command line does them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from septet.errors import InputError

if TYPE_CHECKING:
    from septet._app.halt import Halted

__all__ = ["ACTIONS", "WAIT_S", "act", "can_act"]

ACTIONS: Final = ("halt", "flatten", "resume")
WAIT_S: Final = 10.0


def can_act(folder: Path) -> bool:
    """Whether it is the folder of a paper or live run; its journal may be damaged."""
    from septet._store.starting_runs import is_live_folder

    return is_live_folder(folder)


def act(folder: Path, action: str, *, name: str, reason: str, wait_s: float = WAIT_S) -> Halted:
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
