"""Checks of what a fault must have caused: entries blocked, a line in the log, a stop kept."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from septet._drill.fault_kinds import Kind
from septet._drill.record_checks import Finding
from septet._drill.trading_records import RunRecord, VenueRecord
from septet._host.adapter_values import EVERY_NS
from septet._text import decode_json

__all__ = ["audit", "is_noticed", "logged_since"]

LOG = "log.jsonl"
_SLACK_NS = 50_000_000
"""How far the clock of the log may be behind that of who made the fault."""


def audit(
    kind: Kind, venue: VenueRecord, ours: RunRecord, folder: Path, first_ns: int, now_ns: int
) -> Iterator[Finding]:
    """Yield the missing effects between a fault's start and now.

    Parameters
    ----------
    folder
        The run's, with its log.
    """
    yield from _unnoticed(kind, ours, folder, first_ns)
    if kind.unprotected_ms:
        longest_ms, symbol = venue.cover.longest_ms(first_ns, now_ns)
        if longest_ms > kind.unprotected_ms:
            text = f"held for {longest_ms:.0f} ms without a stop or an exit at the venue"
            yield Finding("unprotected", symbol, text)


def is_noticed(kind: Kind, ours: RunRecord, folder: Path, first_ns: int) -> bool:
    """Whether a fault has blocked what it must block, and is in the log, by now."""
    return not any(_unnoticed(kind, ours, folder, first_ns))


def _unnoticed(kind: Kind, ours: RunRecord, folder: Path, first_ns: int) -> Iterator[Finding]:
    held = list(ours.blocks.values())
    tripped = [rule for at_ns, rule in ours.tripped if at_ns >= first_ns]
    rules = {rule.partition(":")[0] for rule in (*tripped, *(each.rule for each in held))}
    if kind.blocks and rules.isdisjoint(kind.blocks):
        yield Finding("unnoticed", kind.code, f"{' or '.join(kind.blocks)} did not block entries")
    since_ns = first_ns - (EVERY_NS if kind.texts else 0)
    if kind.logs and logged_since(folder / LOG, since_ns, kind.texts).isdisjoint(kind.logs):
        text = f"no {' or '.join(kind.logs)} in the log of the run"
        yield Finding("unnoticed", kind.code, text)


def logged_since(path: Path, first_ns: int, texts: tuple[str, ...] = ()) -> set[str]:
    """Return the events in a run's log since a wall time that contain one of some texts."""
    if not path.exists():
        return set()
    first = datetime.fromtimestamp((first_ns - _SLACK_NS) / 1e9, UTC)
    rows = [decode_json(line) for line in path.read_bytes().splitlines()]
    return {
        str(row["event"])
        for row in rows
        if datetime.fromisoformat(row["timestamp"]) >= first
        and (not texts or any(each in str(row.get("text", "")) for each in texts))
    }
