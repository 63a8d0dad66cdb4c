"""Replays a journal through the core: the same events must give the same commands, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import yaml

from septet import messages as m
from septet._config.load import Loaded, reopen
from septet._config.read import parse_text
from septet._journal.journal_check import missing_entries_text, require_verified_journal
from septet._journal.journal_format import Entry, Head, encode_commands
from septet._journal.reader import Reader
from septet._live.build_core import Build, core_of
from septet._live.fingerprints import changed_since
from septet._live.journal_head import instruments_in
from septet._live.start import fingerprints_of
from septet._live.wiring import core_with
from septet._progress import Progress
from septet.errors import ConfigError, InputError

__all__ = [
    "JOURNAL", "Difference", "Replayed", "build_again", "compare", "loaded_of", "replay",
]  # fmt: skip

JOURNAL = "journal.sqlite"
MOST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Difference:
    """The first command of the core that differs from the journal."""

    seq: int
    kind: str
    place: str
    journal: str
    core: str

    def __str__(self) -> str:
        return (
            f"entry {self.seq} ({self.kind}), {self.place}: the journal holds {self.journal}, "
            f"the core gives {self.core}"
        )


@dataclass(frozen=True, slots=True)
class Replayed:
    """The result of a replay or a shadow comparison.

    `changed` names what has changed since the run began (versions, machine): then equal bits are
    not promised. `differences` counts entries (replay) or decision rows (shadow), `gone` the lost
    last entries known to this machine, None where an unknown number is lost.
    """

    run_id: str
    entries: int
    decisions: int
    commands: int
    differences: int
    first: Difference | None
    changed: tuple[str, ...] = ()
    gone: int | None = 0

    @property
    def proved(self) -> bool:
        """Whether the journal is complete, and nothing differs."""
        return not self.differences and self.gone == 0

    @property
    def text(self) -> str:
        """One line for a person."""
        text = f"{self.decisions:,} decisions, {self.differences:,} differences"
        lost = "" if self.gone == 0 else f"; {missing_entries_text(self.gone, self.entries)}"
        return f"{text}{lost} of the journal" if self.gone else f"{text}{lost}"


def loaded_of(head: Head, folder: Path) -> Loaded:
    """Return the strategy of a run from its journal alone.

    Raises
    ------
    InputError
        If it is not valid with the plugins that are installed here.
    """
    resolved = head.facts.get("resolved")
    if not isinstance(resolved, Mapping):
        raise InputError(
            f"the journal in {folder} does not hold its strategy",
            hint="it was not written by septet run",
        )
    text = yaml.safe_dump(dict(resolved), sort_keys=False, allow_unicode=True)
    tree, problems = parse_text(text, str(folder / "resolved"))
    if problems:
        raise ConfigError(problems)
    return reopen(tree, folder / "strategy.yaml", folder)


def build_again(head: Head, folder: Path, *, log: Any = None) -> Build:
    """Make the core of a run once more, as it began."""
    facts = head.facts
    return core_of(
        loaded_of(head, folder), tag=str(facts["tag"]),
        instruments=instruments_in(facts), run_folder=folder,
        log=log, **core_with(facts["core"]),
    )  # fmt: skip


def replay(folder: Path, *, progress: Progress | None = None, log: Any = None) -> Replayed:
    """Feed a run's journal through a fresh core and compare every command, field by field.

    For an active run, the entries stored when this began are used.

    Raises
    ------
    JournalError
        If the journal is damaged or was changed.
    InputError
        If the run cannot be built again here.
    """
    with Reader(folder / JOURNAL) as journal:
        last = journal.last_seq
        lost = require_verified_journal(journal)
        build = build_again(journal.head, folder, log=log)
        now = fingerprints_of(build.loaded, build.plan.name)
        before = journal.head.fingerprints
        changed = changed_since(before, now)
        return replace(_replayed(journal, last, build, changed, progress), gone=lost)


def _replayed(
    journal: Reader, last: int, build: Build, changed: tuple[str, ...], progress: Progress | None
) -> Replayed:
    entries = decisions = commands = differences = 0
    first: Difference | None = None
    for entry in shown(journal, last, progress):
        recomputed = build.core.handle(entry.event)
        entries += 1
        commands += len(recomputed)
        decisions += sum(isinstance(each, m.Decided) for each in recomputed)
        if encode_commands(recomputed) != entry.commands_json:
            differences += 1
            first = first or compare(entry, recomputed)
    run_id = journal.head.run_id
    return Replayed(run_id, entries, decisions, commands, differences, first, changed)


def shown(journal: Reader, last: int, progress: Progress | None) -> Iterator[Entry]:
    """Yield every entry up to the number `last`, and report the progress from time to time."""
    for entry in journal.read(until=last):
        if progress is not None and entry.seq % 4_096 == 0:
            progress("replay", entry.seq, last, "entries")
        yield entry
    if progress is not None:
        progress("replay", last, last, "entries")


def compare(entry: Entry, recomputed: Sequence[m.Command]) -> Difference:
    """Name the first field in which commands differ from those of an entry."""
    stored = entry.commands
    for place, (a, b) in enumerate(zip(stored, recomputed, strict=False)):
        if a == b:
            continue
        name = str(type(a).__struct_config__.tag)
        if type(a) is not type(b):
            return _difference(entry, f"command {place + 1}", name, _tag(b))
        for field in a.__struct_fields__:
            stored_value, new_value = getattr(a, field), getattr(b, field)
            if stored_value != new_value:
                return _difference(
                    entry, f"command {place + 1}, {name}.{field}", stored_value, new_value
                )
    if len(stored) == len(recomputed):
        return _difference(entry, "the bytes", "another spelling", "the same values")
    place = min(len(stored), len(recomputed))
    more = stored[place] if len(stored) > len(recomputed) else recomputed[place]
    known, shown = (
        (_tag(more), "nothing") if len(stored) > len(recomputed) else ("nothing", _tag(more))
    )
    return _difference(entry, f"command {place + 1}", known, shown)


def _tag(command: m.Command) -> str:
    return str(type(command).__struct_config__.tag)


def _difference(entry: Entry, place: str, stored: Any, recomputed: Any) -> Difference:
    def log(value: Any) -> str:
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."

    return Difference(entry.seq, entry.kind, place, log(stored), log(recomputed))
