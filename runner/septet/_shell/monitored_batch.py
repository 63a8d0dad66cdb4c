"""The batch path with monitors that act: a span is traded, and traded again after an action."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from septet._core.batch import Batch
from septet._core.monitor_blocks import cancel_entries, clear_decisions
from septet._host.monitoring import BEGINNING_NS, Reading
from septet._kernel import layout
from septet._results.result import HaltEvent
from septet._shell import result_tables
from septet._shell.monitor_actions import MODEL, Act, Acts
from septet._shell.monitor_readings import Watcher, run_view, watch
from septet._shell.retraining import Retrains
from septet._shell.run_record import Ints
from septet._shell.running_monitors import Watched
from septet._shell.session import Session

__all__ = ["halts_with", "trade_watched"]

_SPAN: Final = 1_024
"""Fewest times that are traded before monitors are read."""
Due = tuple[int, str, Reading]
"""Cursor of the decision time at which a reading acts, its block's name, and the reading."""


def trade_watched(
    session: Session,
    batch: Batch,
    watchers: Sequence[Watcher],
    health: Sequence[Reading],
    retrains: Retrains | None = None,
) -> list[tuple[int, Act]]:
    """Trade from the first decision to the end; return the actions of monitors and their times.

    The features are already computed. A monitor reads nothing later than its reading, so trades
    before a reading are final, and only the time after it is traded again.
    """
    known_ns, last = session.aligned.T[layout.KNOWN], session.aligned.times
    of_model = _of_model(known_ns, health)
    state, acts, acts_done = batch.state, Acts(), list[tuple[int, Act]]()
    at, span = session.first, last if not watchers else _SPAN
    while at < last:
        saved = state.A.copy(), state.C.copy(), state.B.copy(), state.I.copy()
        stop = min(last, at + span)
        if watchers:
            batch.trade(at, stop)
        due = [*of_model, *_due(session, batch, watchers, at, stop)]
        turn, change_found = _first(due, at, stop, acts, retrains)
        if turn is None or change_found is None:
            if not watchers:
                batch.trade(at, stop)
            at, span = stop, 2 * span
            continue
        for array, values in zip((state.A, state.C, state.B, state.I), saved, strict=True):
            array[:] = values
        batch.trade(at, turn)
        clear_decisions(batch.plan, batch.arrays, turn)
        if change_found.asks and retrains is not None:
            retrains.ask(turn)
            acts.retrained()
            of_model = _of_model(known_ns, retrains.health)
        change = change_found.change
        state.C[layout.BLOCKED] += change.blocks
        batch.trade(turn, turn + 1)
        if change.cancels:
            cancel_entries(batch.plan, batch.arrays, int(known_ns[turn]))
        acts_done += [(int(known_ns[turn]), each) for each in change_found.acts]
        at, span = turn + 1, max(_SPAN, 2 * (turn - at))
    return acts_done


def _of_model(known_ns: Ints, health: Sequence[Reading]) -> list[Due]:
    return [(int(np.searchsorted(known_ns, each.time_ns)), MODEL, each) for each in health]


def _due(
    session: Session, batch: Batch, watchers: Sequence[Watcher], at: int, stop: int
) -> list[Due]:
    """Read the run as far as it was traded; every reading acts at the first time after it.

    Readings that act before `at` have acted already.
    """
    if not watchers:
        return []
    rows = int(batch.state.C[layout.LOG])
    outcome = result_tables.Outcome(
        batch.LI[:rows], batch.LF[:rows], batch.F, batch.D, batch.G, batch.state
    )
    known_ns = session.aligned.T[layout.KNOWN]
    since_ns = int(known_ns[at - 1]) if at else BEGINNING_NS
    run = replace(run_view(session, outcome, stop), since_ns=since_ns)
    due = []
    for each in watchers:
        readings = sorted(watch([each], run), key=lambda reading: reading.time_ns)
        due += [
            (int(np.searchsorted(known_ns, reading.time_ns, side="right")), each.name, reading)
            for reading in readings
        ]
    return due


def _first(
    due: Sequence[Due], at: int, stop: int, acts: Acts, retrains: Retrains | None
) -> tuple[int | None, Watched | None]:
    """Apply readings in order, up to the first time at which one changes something."""
    ordered = sorted((each for each in due if at <= each[0] < stop), key=lambda each: each[0])
    position = 0
    while position < len(ordered):
        turn, group = ordered[position][0], dict[str, list[Reading]]()
        while position < len(ordered) and ordered[position][0] == turn:
            group.setdefault(ordered[position][1], []).append(ordered[position][2])
            position += 1
        watched = Watched()
        for name, readings in group.items():
            watched.acts += acts.take(name, readings)
        asks = acts.take_asks()
        watched.asks = asks and retrains is not None and retrains.is_due(turn)
        if watched.acts or watched.asks:
            return turn, watched
    return None, None


def halts_with(halts: Sequence[HaltEvent], acts: Sequence[tuple[int, Act]]) -> list[HaltEvent]:
    """Merge the actions of monitors into the halts of a run, in time order."""
    merged = list(halts)
    for time_ns, act in acts:
        if act.on:
            reading = act.reading
            merged.append(
                HaltEvent(
                    time_ns=time_ns, rule=act.rule, value=reading.value,
                    threshold=reading.threshold, then=act.then, resume=act.clears_when,
                    metric=reading.metric, compared=reading.compared,
                )
            )  # fmt: skip
            continue
        for row in reversed(range(len(merged))):
            if merged[row].rule == act.rule and merged[row].resumed_ns is None:
                fields = {each: getattr(merged[row], each) for each in merged[row].__slots__}
                merged[row] = HaltEvent(**{**fields, "resumed_ns": time_ns})
                break
    return sorted(merged, key=lambda each: each.time_ns)
