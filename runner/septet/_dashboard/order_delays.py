"""How long orders took of late: from decision to order, acknowledgement and fill."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from septet._journal.journal_format import Entry

__all__ = ["delay_words", "delays_of"]

ENTRIES: Final = 5_000
"""The last entries of the journal that are looked at."""
_SUBMIT: Final = b'"kind":"submit"'
_NAMES: Final = {
    "order": "Decision time to order", "ack": "Order to acknowledgement",
    "fill": "Order to first fill",
}  # fmt: skip


def delays_of(entries: Iterable[Entry]) -> dict[str, list[float]]:
    """Return the delays in milliseconds of wall time, by what came after.

    Each is within one start of the run: the wall clock of a process never goes back, but that of
    the next process may begin earlier than the last one ended.
    """
    from septet import messages as m

    found: dict[str, list[float]] = {name: [] for name in _NAMES}
    sent: dict[str, int] = {}
    open_for = {"acked": ("ack", dict[str, bool]()), "filled": ("fill", dict[str, bool]())}
    decided_ns: int | None = None
    for entry in entries:
        if entry.kind == "started":
            sent.clear()
            decided_ns = None
        if entry.kind == "decision_time":
            decided_ns = entry.at_ns
        if entry.kind in open_for:
            name, seen = open_for[entry.kind]
            client_id: Any = getattr(entry.event, "client_id", None)
            if client_id in sent and client_id not in seen:
                seen[client_id] = True
                found[name].append((entry.at_ns - sent[client_id]) / 1e6)
        if _SUBMIT not in entry.commands_json:
            continue
        for command in entry.commands:
            if isinstance(command, m.Submit):
                sent[command.client_id] = entry.at_ns
                if decided_ns is not None:
                    found["order"].append((entry.at_ns - decided_ns) / 1e6)
    return found


def delay_words(folder: Path) -> list[tuple[str, str]]:
    """Return name and words of each delay of a paper or live run; nothing for a backtest."""
    from septet._journal.reader import Reader, understood
    from septet._store.run_folder import JOURNAL

    path = folder / JOURNAL
    if not path.is_file():
        return []
    with Reader(path) as journal, understood(path):
        last = journal.last_seq
        found = delays_of(journal.read(max(0, last - ENTRIES), last))
    return [
        (
            _NAMES[name],
            f"median {median(values):,.1f} ms, longest {max(values):,.1f} ms, of {len(values)}"
            if values else "none of late",
        )
        for name, values in found.items()
    ]  # fmt: skip
