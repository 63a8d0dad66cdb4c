"""Arm a paper or live run: for a limited time tools for agents may halt it, and nothing else.

The arm is a file in the run's folder that names the process that it applies to and its end. It
ends at that time, when it is withdrawn, and with that process: the next one is not armed.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from septet.errors import InputError, RunError

if TYPE_CHECKING:
    from septet._journal.lease import Holder

__all__ = ["ARMED", "LONGEST_NS", "Arm", "arm_of", "arm_run", "armed_runs", "disarm_run"]

ARMED: Final = "ARMED"
LONGEST_NS: Final = 24 * 3_600 * 10**9
_LARGEST: Final = 4_096


@dataclass(frozen=True, slots=True)
class Arm:
    """A permission for agents to halt a run: who gave it, until when, and for which process."""

    name: str
    asked_ns: int
    until_ns: int
    pid: int
    boot: str
    since_ns: int

    def holds(self, holder: Holder, now_ns: int) -> bool:
        """Whether it is valid for a process at a given time."""
        is_same_process = (holder.pid, holder.boot, holder.since_ns) == (
            self.pid,
            self.boot,
            self.since_ns,
        )
        lasts = 0 < self.until_ns - self.asked_ns <= LONGEST_NS
        return is_same_process and lasts and self.asked_ns <= now_ns < self.until_ns

    def document(self) -> dict[str, Any]:
        """Return it as plain data."""
        from septet._data.stamps import iso

        return {"name": self.name, "until": iso(self.until_ns), "pid": self.pid}


def arm_run(folder: Path, *, for_ns: int, name: str, now_ns: int | None = None) -> Arm:
    """Allow agents to halt a run for a limited time; an earlier permission ends.

    Raises
    ------
    InputError
        If no process of this machine runs it, or the time is zero or longer than a day.
    RunError
        If the folder cannot be written to.
    """
    from septet._files import replace_file
    from septet._journal.lease import boot_id, holder_of
    from septet._text import dump_json

    if not 0 < for_ns <= LONGEST_NS:
        raise InputError("a run is armed for a time up to 24 hours", hint="such as --for 15m")
    holder = holder_of(folder)
    if holder is None or holder.boot != boot_id():
        raise InputError(
            f"no process of this machine runs {folder.name}: there is nothing to arm",
            hint="the arm ends with the process of the run, so arm it once it runs",
        )
    now_ns = time.time_ns() if now_ns is None else now_ns
    arm = Arm(name, now_ns, now_ns + for_ns, holder.pid, holder.boot, holder.since_ns)
    try:
        replace_file(folder / ARMED, dump_json(asdict(arm)))
    except OSError as problem:
        raise RunError(
            f"{folder / ARMED} cannot be written: {problem.strerror}", hint="the run is not armed"
        ) from problem
    return arm


def disarm_run(folder: Path) -> bool:
    """End the arm of a run; return whether it was armed.

    Raises
    ------
    RunError
        If its file cannot be removed.
    """
    was_armed = arm_of(folder) is not None
    try:
        (folder / ARMED).unlink(missing_ok=True)
    except OSError as problem:
        raise RunError(
            f"{folder / ARMED} cannot be removed: {problem.strerror}",
            hint="remove it: until then agents may halt the run",
        ) from problem
    return was_armed


def arm_of(folder: Path, now_ns: int | None = None) -> Arm | None:
    """Return the valid arm of a run; an unreadable file counts as not armed."""
    import msgspec

    from septet._files import read_bounded
    from septet._journal.lease import holder_of

    try:
        data = read_bounded(folder / ARMED, _LARGEST, follow=False)
        arm = msgspec.json.decode(data, type=Arm)
    except (OSError, ValueError, RecursionError):
        return None
    holder = holder_of(folder)
    now_ns = time.time_ns() if now_ns is None else now_ns
    return arm if holder is not None and arm.holds(holder, now_ns) else None


def armed_runs(root: Path) -> tuple[str, ...]:
    """Return the ids of the armed runs under a folder of runs."""
    folders = sorted(path.parent for path in root.glob(f"*/*/{ARMED}"))
    return tuple(each.name for each in folders if arm_of(each) is not None)
