"""A paper or live run, read from its journal: in progress, after a kill, or finished.

The Parquet tables of such a run are projections. They are rewritten at every stop and by ``septet
runs export``; where they are older than the journal, the tables come from the journal itself.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from septet._data.stamps import iso
from septet._journal.disk_reserve import reserve_of
from septet._journal.fold import Block, Fold
from septet._journal.journal_check import JournalFinding, check_file, open_to_check, query_readable
from septet._journal.lease import holder_of
from septet._journal.reader import Reader, Session, understood
from septet._results.result import HaltEvent, RunFacts, RunResult
from septet._store.manifest import manifest_of
from septet._store.run_folder import JOURNAL, Run
from septet._store.tables import empty, order_times, stored_frames, thin_bars
from septet._text import plain_json
from septet.errors import InputError, SeptetError

if TYPE_CHECKING:
    import polars as pl

    from septet._data.bars import BarTable

__all__ = [
    "LiveRun",
    "open_live",
    "order_of",
    "result_of",
    "sessions_of",
    "trace_of",
]

DAY_NS: Final = 86_400_000_000_000
MONITOR: Final = "monitoring."
"""How the rule of a monitor's block begins."""
OPERATOR: Final = "operator_halt"
"""The block that a person asks for."""
_ENDED: Final = {True: "stopped", False: "failed", None: "killed"}
"""How a run ended: cleanly, by its own failure, or without a word."""
VERIFY_S: Final = 60.0
"""The whole journal of a run that is read on is verified so often."""


def _facts(fold: Fold) -> RunFacts:
    head, facts = fold.head, fold.head.facts
    first, seconds = fold.first_ns, max(0, fold.last_at_ns - fold.first_at_ns) / 1e9
    bars = sum(sum(known >= first for known in each["known_ns"]) for each in fold.bars.values())
    return RunFacts(
        strategy=head.strategy, mode=head.mode, engine=str(facts.get("engine", "event")),
        symbols=tuple(fold.symbols), currency=str(facts.get("currency", "")),
        bar_ns=int(facts.get("bar_ns", 0)), initial_capital=float(facts.get("capital", 0.0)),
        start_ns=first, end_ns=fold.end_ns, first_decision_ns=first,
        bars=bars if fold.equity else 0, seconds=seconds, seconds_total=seconds,
        days_a_year=float(facts.get("days_a_year", 365.0)),
        sessions=bool(facts.get("sessions", False)),
        session_close=str(facts.get("session_close", "")),
        day_start=str(facts.get("day_start", "00:00")),
        time_zone=str(facts.get("time_zone", "UTC")), seed=int(facts.get("seed", 0)),
        long_only=bool(facts.get("long_only", False)), benchmark=str(facts.get("benchmark", "")),
    )  # fmt: skip


def _bars(fold: Fold) -> dict[str, BarTable]:
    import numpy as np

    from septet._data.bars import no_bars

    tables = {}
    bar_ns = int(fold.head.facts.get("bar_ns", 0))
    for k, columns in sorted(fold.bars.items()):
        opened, known = (np.array(columns[name], np.int64) for name in ("open_ns", "known_ns"))
        table = no_bars(fold.name(k), bar_ns)
        prices: dict[str, Any] = {
            name: np.array(columns[name], np.float64)
            for name in ("open", "high", "low", "close", "volume")
        }
        tables[table.symbol] = replace(
            table, open_ns=opened, known_ns=known, session=opened // DAY_NS, **prices
        )
    return tables


def _halts(fold: Fold) -> list[HaltEvent]:
    """Halts of the file among the blocks; `facts["halts"]` gives the threshold of each by name."""
    known: Mapping[str, Any] = fold.head.facts.get("halts", {})
    events, peak, place = [], float(fold.head.facts.get("capital", 0.0)), 0
    for block in fold.blocks:
        if block.rule.startswith(MONITOR):
            events.append(_of_monitor(fold, block))
            continue
        if block.rule == OPERATOR:
            events.append(
                HaltEvent(
                    time_ns=block.time_ns, rule=OPERATOR, value=0.0, threshold=0.0,
                    then=block.then, resume=block.clears_when, resumed_ns=block.cleared_ns,
                )
            )  # fmt: skip
            continue
        if block.rule not in known:
            continue
        while place < len(fold.equity) and fold.equity[place][0] <= block.time_ns:
            peak = max(peak, fold.equity[place][1])
            place += 1
        events.append(
            HaltEvent(
                time_ns=block.time_ns,
                rule=block.rule,
                value=1.0 - block.equity / peak if peak > 0.0 else 0.0,
                threshold=float(known[block.rule] or 0.0),
                then=block.then,
                resume=block.clears_when,
                resumed_ns=block.cleared_ns,
            )
        )
    return events


def _of_monitor(fold: Fold, block: Block) -> HaltEvent:
    """A block of a monitor, with what it read."""
    name = block.rule.removeprefix(MONITOR).removesuffix(":block")
    bad = [
        row for row in fold.readings
        if row[0] <= block.time_ns and row[5] in ("block", "halt")
        and (row[2].partition(":")[0] == name or name == "model")
    ]  # fmt: skip
    metric, value, threshold = bad[-1][2:5] if bad else ("", 0.0, 0.0)
    compared = bad[-1][7] if bad else None
    return HaltEvent(
        time_ns=block.time_ns, rule=block.rule, value=value, threshold=threshold,
        then=block.then, resume=block.clears_when, resumed_ns=block.cleared_ns,
        metric=metric, compared=compared,
    )  # fmt: skip


def _notes(fold: Fold) -> list[str]:
    notes = [f"read from a journal of {fold.seq:,} entries over {fold.sessions} starts"]
    if fold.head.mode == "paper":
        notes.append("fills are simulated against live data; no order left this machine")
    before = _critical(fold.alerts[: fold.answered_alerts])
    if before and (by := fold.resumed) is not None:
        notes.append(f"{before} before {by.name} resumed the run at {iso(by.at_ns)}: {by.reason}")
    return notes


def _doubts(fold: Fold, doubt: str) -> list[str]:
    """Return what makes the figures of a journal doubtful: its lost end, its critical alerts.

    Alerts before the newest resume are left out: they were seen by then, and are notes.
    """
    lost_end = [f"{doubt[:1].upper()}{doubt[1:]}: these figures do not know what it held"]
    since = _critical(fold.alerts[fold.answered_alerts :])
    alerts = f"{since}: compare with the account"
    return [*(lost_end if doubt else ()), *([alerts] if since else ())]


def _critical(alerts: Sequence[Mapping[str, Any]]) -> str:
    """Return how many alerts are critical, with the names of the most frequent; "" for none.

    Halts are left out: the verdict states them, and they make no figure doubtful.
    """
    critical = Counter(each["event"] for each in alerts if each["level"] == "critical")
    del critical["halt"]
    named = ", ".join(f"{name} {times}" for name, times in critical.most_common(4))
    count = sum(critical.values())
    return f"{count} critical alert{'s' if count > 1 else ''} ({named})" if critical else ""


def result_of(fold: Fold, doubt: str = "") -> RunResult:
    """Return the content of a journal in the form every run is stored and summarised in.

    `doubt` is why the journal cannot be relied on.
    """
    facts: Mapping[str, Any] = fold.head.facts
    return RunResult(
        facts=_facts(fold), bars=_bars(fold), halts=_halts(fold), models=fold.models,
        decisions=_columns(fold.decision_columns()), orders=_columns(fold.order_columns()),
        fills=_columns(fold.fill_columns()), trades=_columns(fold.trade_columns()),
        equity=_columns(fold.equity_columns()), monitoring=_columns(fold.monitoring_columns()),
        data_hashes={},
        invalid_answers=[
            {"rule": rule, "kind": row.rule_kind, "first_ns": row.first_ns, "times": row.times}
            for rule, row in sorted(fold.invalid_answers.items())
        ],
        doubts=_doubts(fold, doubt),
        resolved=facts.get("resolved", {}), strategy_text=str(facts.get("strategy_text", "")),
        distributions=facts.get("distributions", {}), notes=_notes(fold),
        manifest={
            "journal_seq": fold.seq,
            "account": fold.head.account,
            "fingerprints": fold.head.fingerprints,
            "blocks": [asdict(block) for block in fold.blocks],
            "alerts": fold.alerts,
            "plugin_sources": facts.get("plugin_sources", {}),
            "plugin_checks": facts.get("plugin_checks", []),
        },
    )  # fmt: skip


def _columns(table: dict[str, list[Any]]) -> dict[str, list[Any]] | None:
    """Return the table, or None where it has no rows: an empty column has no type."""
    return table if next(iter(table.values())) else None


def _state_of(folder: Path) -> dict[str, str]:
    """Return the state of a run: running (by whom), stopped, failed, killed or never begun."""
    holder = holder_of(folder)
    if holder is not None:
        return {"state": "running", "holder": str(holder)}
    sessions = sessions_of(folder)
    if sessions:
        return {"state": _ENDED[sessions[-1].clean]}
    began = sessions is None or reserve_of(folder / JOURNAL).exists()  # by a process, at its start
    return {"state": _ENDED[None] if began else "unbegun"}  # not cleanly, as far as is known


def sessions_of(folder: Path) -> list[Session] | None:
    """Return every start of a run's process, in order; None where they cannot be read."""
    with suppress(SeptetError), open_to_check(folder / JOURNAL) as reader:
        return reader.sessions()
    return None


class LiveRun(Run):
    """A run whose truth is its journal; read once, when something is asked for.

    Parameters
    ----------
    before : LiveRun, optional
        An earlier reading of the same run, which is not used any more: only the entries since
        are read, and the whole journal is verified again after a minute.
    """

    reads_files = False

    def __init__(self, folder: Path, before: LiveRun | None = None) -> None:
        super().__init__(folder)
        self._before = before
        self._verified_s = 0.0

    @property
    def journal(self) -> Path:
        """Where the journal is."""
        return self.folder / JOURNAL

    @cached_property
    def fold(self) -> Fold:
        """The journal's entries as rows, as far as it had come when it was first asked.

        Of a journal that is damaged or was changed, and cannot be read to its end: up to the last
        entry that is as it was written.
        """
        try:
            return self._folded()
        except SeptetError as problem:
            self._before = None
            finding = self.__dict__["finding"] = check_file(self.journal)
            if finding is None or finding.is_usable:
                raise
            if finding.kind == "unreadable":
                raise finding.error() from problem
            return self._folded(finding.last)

    def _folded(self, until: int | None = None) -> Fold:
        """Fold the journal; up to entry `until` also one whose file lacks pages."""
        opened = Reader(self.journal) if until is None else open_to_check(self.journal)
        with opened as reader, understood(self.journal):
            last = reader.last_seq if until is None else until
            # Half an entry may be in it if one cannot be read: it is taken out first.
            known = self._before.__dict__.pop("fold", None) if self._before is not None else None
            if known is None or known.head != reader.head or known.seq > last:
                self._before, known = None, Fold(reader.head)
            fold: Fold = known.take(reader.read(known.seq, last))
            return fold

    @cached_property
    def finding(self) -> JournalFinding | None:
        """What is wrong with the journal; None where it can be relied on."""
        with suppress(SeptetError):
            self.fold  # noqa: B018 - it tests whether the earlier reading is of the same journal
        if "finding" in self.__dict__:
            found: JournalFinding | None = self.__dict__["finding"]
            return found
        before, self._before = self._before, None
        if before is not None and "finding" in before.__dict__:
            self._verified_s = before._verified_s
            if time.monotonic() - self._verified_s < VERIFY_S:
                return before.finding
        self._verified_s = time.monotonic()
        return check_file(self.journal)

    @cached_property
    def result(self) -> RunResult:
        """The run as it would be stored."""
        with understood(self.journal):
            return result_of(self.fold, self.doubt)

    @cached_property
    def _stored(self) -> dict[str, pl.DataFrame]:
        return stored_frames(self.result)

    @cached_property
    def _frames(self) -> dict[str, pl.DataFrame]:
        import polars as pl

        with understood(self.journal):
            frames = dict(self._stored)
            frames["bars"], _ = self._thin
        plain = {}
        for name, frame in frames.items():
            coded = [key for key, kind in frame.schema.items() if kind in (pl.Categorical, pl.Enum)]
            plain[name] = frame.with_columns(pl.col(coded).cast(pl.String)) if coded else frame
        return plain

    @cached_property
    def _thin(self) -> tuple[pl.DataFrame, dict[str, int]]:
        with understood(self.journal):
            return thin_bars(
                self.result.bars, split_ns=self.result.facts.first_decision_ns,
                alone_ns=order_times(self.result.orders),
            )  # fmt: skip

    def require_summary(self) -> dict[str, Any]:
        """Return the summary: the journal it is made of was read for it."""
        return self.summary

    @property
    def run_id(self) -> str:
        """The run's id, as the journal's head has it."""
        return self.fold.head.run_id

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Contents of summary.json as of now, and whether the run is active."""
        from septet._results.summary import summarise

        with understood(self.journal):
            summarised = summarise(self.result, self._stored, run_id=self.run_id)
            summary: dict[str, Any] = plain_json({**summarised, **_state_of(self.folder)})
        return summary

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Contents of manifest.json as of now."""
        with understood(self.journal):
            created = iso(self.fold.head.created_ns)
            manifest: dict[str, Any] = plain_json(
                manifest_of(self.run_id, created, self.result, self._thin[1])
            )
        return manifest

    @cached_property
    def findings(self) -> list[dict[str, Any]]:
        """What was wrong with the data: the journal itself, and the alerts of the run, by kind."""
        counted: dict[tuple[str, str], dict[str, Any]] = {}
        if self.doubt:
            counted["doubt of the journal", ""] = {
                "source": "journal", "symbol": "", "kind": "doubt", "policy": "shown as it is",
                "count": 0, "examples": [], "message": self.doubt,
            }  # fmt: skip
        for alert in self.fold.alerts:
            if alert["level"] == "info":
                continue
            line = counted.setdefault(
                (alert["event"], alert["symbol"]),
                {
                    "source": "run", "symbol": alert["symbol"], "kind": alert["event"],
                    "policy": alert["level"], "count": 0, "examples": [], "message": alert["text"],
                },
            )  # fmt: skip
            line["count"] += 1
        return list(counted.values())

    @property
    def strategy_text(self) -> str:
        """The strategy file as it was."""
        return self.result.strategy_text or super().strategy_text

    def has(self, name: str) -> bool:
        """Whether the run has a table of that name."""
        return name in self._frames

    def scan(self, name: str, *, whole: bool = True) -> pl.LazyFrame:
        """Scan a table lazily."""
        return (self._frames[name] if name in self._frames else empty(name)).lazy()


def order_of(folder: Path, reference: str) -> str:
    """Return the id of the order that a venue's client id belongs to, or what was given."""
    from septet._journal.order_trace import client_ids

    path = folder / JOURNAL
    return query_readable(path, lambda reader: client_ids(reader, reference)).get(
        reference, reference
    )


def trace_of(folder: Path, reference: str, symbol: str, time_ns: int) -> list[dict[str, Any]]:
    """Return the steps of an order, with the time between them: `_journal.order_trace`."""
    from septet._journal.order_trace import trace

    def ask(reader: Reader) -> list[dict[str, Any]]:
        return trace(reader, reference, reader.head.facts["symbols"].index(symbol), time_ns)

    return query_readable(folder / JOURNAL, ask)


def open_live(folder: Path, before: Run | None = None) -> Run:
    """Open a run with a journal: its tables where they are those it records, else the journal.

    `before` is an earlier reading, which is not used any more; see `LiveRun`.
    """
    stored = Run(folder)
    try:
        seq = stored.manifest.get("journal_seq")
    except InputError:
        seq = None
    live = LiveRun(folder, before if isinstance(before, LiveRun) else None)

    def instead() -> Run:
        """Return the tables in place of the journal; whoever shows them knows why."""
        if live.finding is None or live.finding.kind != "unreadable":
            stored.__dict__["finding"] = live.finding
        stored.finding  # noqa: B018 - of a journal that cannot be read it names the mode
        return stored

    if isinstance(seq, int) and holder_of(folder) is None:
        try:
            with Reader(live.journal) as reader:
                last, sessions = reader.last_seq, reader.sessions()
        except SeptetError:  # the tables are shown where the journal holds less
            return instead() if live.finding is not None and live.finding.last < seq else live
        if last < seq:
            return instead()  # the end of the journal is gone, and they know of it
        # The tables do not hold the state of a run that was killed after they were made.
        ended = not sessions or sessions[-1].clean is not None
        # Tables that were changed are not shown, unless the journal is not what it was either.
        if last == seq and ended:
            if stored.files_finding is None:
                return stored
            if live.finding is not None:
                return instead()
    return live
