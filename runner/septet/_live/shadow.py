"""The shadow of a run (P3): its bars, models and fills through the arrays of a backtest.

Features are observed over the whole history at once, predictions are made in batches, and no
window slides; then every event goes through the core again, over those arrays. Each row of the
decision table and of the curve must have the bits the run wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from septet import messages as m
from septet._core.engine import Engine
from septet._core.events import DecisionTime
from septet._core.live_core import LiveCore
from septet._core.venue_fills import VenueFillsEngine
from septet._core.window import Window
from septet._journal.journal_check import require_verified_journal
from septet._journal.journal_format import Entry
from septet._journal.reader import Reader
from septet._kernel import layout
from septet._learn.walk_forward_models import EXPIRED, NO_MODEL, NOT_FINITE, OK, answers
from septet._live.build_core import Build
from septet._live.fingerprints import changed_since
from septet._live.replay import JOURNAL, Difference, Replayed, build_again, compare, shown
from septet._live.start import fingerprints_of
from septet._progress import Progress
from septet._shell.aligned_bars import FUNDING_BEFORE

__all__ = ["shadow"]


@dataclass
class _Inputs:
    """Decision times of a journal in their order, and the model in force at each."""

    decision_times: list[DecisionTime]
    models: list[m.ModelReady | m.ModelFailed | None]
    widths: list[int]


def shadow(folder: Path, *, progress: Progress | None = None, log: Any = None) -> Replayed:
    """Compare every decision row of a run with the backtest core's, bit for bit.

    For an active run, the entries stored when this began are used: the journal is read twice, and
    an entry holds an event with all of its commands.

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
        first = build_again(journal.head, folder, log=log)
        inputs = _collect_inputs(journal, last, first)
        build = build_again(journal.head, folder, log=log)
        engine = _engine_over(build, inputs)
        _predict(build, inputs, engine)
        build.core.engine = engine
        now = fingerprints_of(build.loaded, build.plan.name)
        before = journal.head.fingerprints
        changed = changed_since(before, now)
        return replace(_compared(journal, last, build.core, changed, progress), gone=lost)


def _collect_inputs(journal: Reader, last: int, build: Build) -> _Inputs:
    """Collect every decision time from the intake, and the model in force at it."""
    core = build.core
    found = _Inputs([], [], [0] * len(build.names.symbols))
    for entry in journal.read(until=last):
        event = entry.event
        if isinstance(event, m.BarClosed):
            core.intake.bar(event)
        elif isinstance(event, m.SeriesPoint):
            core.intake.point(event)
        elif isinstance(event, m.ModelReady | m.ModelFailed) and core.models is not None:
            core.models.take(event)
        elif isinstance(event, m.DecisionTimeReached) and event.present:
            made = core.intake.decision_time(event)
            copied = DecisionTime(
                made.time_ns, made.day, made.columns.copy(), made.facts.copy(), made.decides,
                made.late, hours=made.hours, members=made.members,
            )  # fmt: skip
            found.decision_times.append(copied)
            found.models.append(core.models.at(event.time_ns) if core.models is not None else None)
            for k in event.present:
                found.widths[k] += 1
    return found


def _window_over(plan: Any, state: Any, inputs: _Inputs) -> Window:
    """Return a window over the whole history, which does not slide."""
    size = max(len(inputs.decision_times), *inputs.widths) + 1
    columns = inputs.decision_times[0].columns.shape[1] if inputs.decision_times else layout.X_FIXED
    window = Window(plan, columns, 1, size, state)
    T, M, X, U = (window.arrays[name] for name in "TMXU")
    before = plan.assembly.rows.x.get(FUNDING_BEFORE)
    rows = [0] * len(inputs.widths)
    for t, decision_time in enumerate(inputs.decision_times):
        T[layout.KNOWN, t], T[layout.DAY, t] = decision_time.time_ns, decision_time.day
        if (schedule := plan.facts.schedule) is not None:
            last_ns = T[layout.KNOWN, t - 1] if t else decision_time.time_ns - schedule.bar_ns
            window.arrays["DUE"][t] = schedule.falls_at(last_ns, decision_time.time_ns)
        if plan.facts.hours_row is not None:
            first = plan.facts.hours_row
            T[first : first + len(rows), t] = decision_time.hours
        if plan.facts.members_row is not None:
            T[plan.facts.members_row, t] = decision_time.members
        for k in range(len(rows)):
            if decision_time.facts[k, layout.AGE] < 0:
                T[layout.ROW + k, t] = decision_time.facts[k, layout.AGE]
                if before is not None:
                    U[k, t] = decision_time.columns[k, before]
                continue
            i = rows[k]
            rows[k] = i + 1
            T[layout.ROW + k, t] = i
            X[k, :, i], M[k, :, i] = decision_time.columns[k], decision_time.facts[k]
    window.arrays["F"][:] = 0.0
    return window


class _ShadowEngine(Engine):
    """An engine over a history whose features and predictions were computed before."""

    def _take_in(self, event: DecisionTime) -> int:
        t, T, N = self.window.time, self.window.arrays["T"], self.window.arrays["N"]
        self.window.time = t + 1
        assert T[layout.KNOWN, t] == event.time_ns, "another decision time"
        rows = T[layout.ROW : layout.ROW + len(N), t]
        N[rows >= 0] = rows[rows >= 0] + 1  # a fill between bars reads the newest bar
        return t


class _ShadowVenueFillsEngine(_ShadowEngine, VenueFillsEngine):
    """The same, with fills from the venue."""


def _engine_over(build: Build, inputs: _Inputs) -> Engine:
    plan, strategy = build.plan, build.loaded.strategy
    state = plan.state(strategy.account.capital, build.instruments)
    window = _window_over(plan, state, inputs)
    kind = _ShadowVenueFillsEngine if build.names.venue_fills else _ShadowEngine
    engine: Engine = kind(window, keeps_log=False, dropped=build.core.engine.dropped)
    with np.errstate(all="ignore"):
        plan.module.observe(0, len(inputs.decision_times), window.arrays.table)
    return engine


def _predict(build: Build, inputs: _Inputs, engine: Engine) -> None:
    """Predict all rows of each model at once, and write the probabilities into F."""
    models = build.core.models
    if models is None:
        return
    F, T = engine.window.arrays["F"], engine.window.arrays["T"]
    row = build.plan.facts.model_row
    assert row is not None
    columns = list(build.model_inputs)
    for k in range(len(build.names.symbols)):
        groups: dict[Any, list[int]] = {}
        for t, event in enumerate(inputs.models):
            i = int(T[layout.ROW + k, t])
            if i >= 0:
                state = _state_at(event, inputs.decision_times[t].time_ns)
                key = event if state == OK else state
                groups.setdefault(key, []).append(i)
        for key, rows in groups.items():
            if isinstance(key, int):
                F[k, row, rows], F[k, row + 1, rows] = np.nan, key
                continue
            x = np.ascontiguousarray(F[k][columns][:, rows].T)
            up = answers(models.load(key), x)
            F[k, row, rows] = up
            F[k, row + 1, rows] = np.where(np.isnan(up), NOT_FINITE, OK)


def _state_at(event: m.ModelReady | m.ModelFailed | None, time_ns: int) -> int:
    if event is None or isinstance(event, m.ModelFailed):
        return NO_MODEL
    return EXPIRED if time_ns > event.expires_ns else OK


def _compared(
    journal: Reader, last: int, core: LiveCore, changed: tuple[str, ...], progress: Progress | None
) -> Replayed:
    """Compare the rows of decisions, curve and funding; replay compares the rest."""
    entries = decisions = commands = differences = 0
    first: Difference | None = None
    for entry in shown(journal, last, progress):
        entries += 1
        recomputed = core.handle(entry.event)
        rows = _rows(recomputed)
        if not rows and entry.kind != "decision_time":
            continue
        stored = _rows(entry.commands)
        commands += len(rows)
        decisions += sum(isinstance(each, m.Decided) for each in rows)
        if rows != stored:
            pairs = zip(rows, stored, strict=False)
            differences += sum(a != b for a, b in pairs) + abs(len(rows) - len(stored))
            first = first or compare(_only(entry, stored), rows)
    return Replayed(journal.head.run_id, entries, decisions, commands, differences, first, changed)


def _rows(commands: Sequence[m.Command]) -> list[m.Command]:
    return [
        each for each in commands if isinstance(each, m.Watched | m.Decided | m.Ruled | m.Funded)
    ]


def _only(entry: Entry, commands: Sequence[m.Command]) -> Entry:
    from septet._journal.journal_format import encode_commands

    return Entry(
        entry.seq, entry.at_ns, entry.kind, entry.event_json, encode_commands(commands), entry.hash
    )
