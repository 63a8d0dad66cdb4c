"""The ways through a run: batch, events, batch over uneven stretches, batch and then events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np

from septet._core.batch import Batch
from septet._core.engine import Engine
from septet._kernel import layout
from septet._shell.backtest import run_batch
from septet._shell.event_backtest import decision_times, make_engine, run_events
from septet._shell.result_tables import Outcome
from septet._shell.session import Session
from tests.core.settings import HOUR
from tests.core.world import chance_up

__all__ = [
    "Left",
    "begin",
    "both",
    "by_batch",
    "by_events",
    "by_shell",
    "finish",
    "plainly",
    "stretch",
]

NO_MODEL, EXPIRED, NOT_FINITE = 1, 2, 3


@dataclass
class Left:
    """What a path left of a run, and how often the window slid, if it had one."""

    path: str
    session: Session
    outcome: Outcome
    slides: int = 0


def plainly(session: Session) -> Session:
    """Let a session's plan run as plain Python."""
    session.plan.run_plain()
    return session


def _judged(time_ns: int, value: float) -> tuple[float, int]:
    """Predict as a made-up model: at times there is none, at times it has expired."""
    hour = time_ns // HOUR % 211
    if hour < 4 or 90 <= hour < 93:
        return np.nan, NO_MODEL if hour < 4 else EXPIRED
    up = chance_up(value)
    return up, NOT_FINITE if up != up else 0


class _Walk:
    """Stands for a trained walk."""

    def predict_row(self, time_ns: int, vector: Any) -> tuple[float, int]:
        return _judged(time_ns, float(vector[0]))


# -------------------------------------------------------------------------- batch


def begin(session: Session) -> Batch:
    """Return a batch at the start of a run; what is never written is NaN on every path."""
    state = session.plan.state(session.strategy.account.capital, session.instruments)
    batch = Batch(session.plan, session.aligned, state)
    batch.F[:, : session.plan.assembly.decision_row] = np.nan
    batch.Y[:] = np.nan
    return batch


def stretch(session: Session, batch: Batch, start: int, stop: int) -> None:
    """Take a batch over a stretch of times, as the shell does over all of them."""
    row, first = session.plan.assembly.model_row, max(start, session.first)
    batch.observe(start, stop)
    if row is None:
        if stop > first:
            batch.trade(first, stop)
        return
    aligned = session.aligned
    source = next(iter(session.plan.assembly.features.values()))
    for k in range(len(session.market.symbols)):
        for t in range(start, stop):
            i = int(aligned.T[layout.ROW + k, t])
            if i >= 0:
                known = int(aligned.T[layout.KNOWN, t])
                batch.F[k, row : row + 2, i] = _judged(known, float(batch.F[k, source, i]))
    if stop > first:
        batch.trade(first, stop)


def finish(session: Session, batch: Batch, path: str) -> Left:
    """Take what a batch left."""
    rows = int(batch.state.C[layout.LOG])
    log = batch.LI[:rows], batch.LF[:rows]
    outcome = Outcome(*log, batch.F, batch.D, batch.G, batch.state)
    return Left(path, session, outcome)


def by_batch(session: Session, cuts: Sequence[int] = ()) -> Left:
    """Run the batch path, in one piece or cut at some times."""
    batch = begin(session)
    with np.errstate(all="ignore"):
        for start, stop in pairwise([0, *cuts, session.aligned.times]):
            stretch(session, batch, start, stop)
    return finish(session, batch, f"batch cut at {list(cuts)}" if cuts else "batch")


# -------------------------------------------------------------------------- events


class _Drained:
    """Collects what slides out of an engine's window."""

    def __init__(self, session: Session) -> None:
        aligned, rows, count = session.aligned, session.plan.rows, len(session.plan.symbols)
        self.kept = {
            "F": np.full((count, rows.F, aligned.width), np.nan),
            "D": np.zeros((count, rows.D, aligned.width), np.int8),
            "G": np.full((rows.G, aligned.times), np.nan),
        }
        self.slides = 0

    def __call__(self, k: int, first: int, leaving: Any) -> None:
        self.slides += 1
        for name, values in leaving.items():
            place = self.kept[name] if k < 0 else self.kept[name][k]
            place[:, first : first + values.shape[1]] = values


def _feed(session: Session, engine: Engine, drained: _Drained, start: int, path: str) -> Left:
    with np.errstate(all="ignore"):
        for event in decision_times(session, start):
            engine.handle(event)
    engine.window.flush(drained)
    outcome = Outcome(*engine.log, **drained.kept, state=engine.state)
    return Left(path, session, outcome, drained.slides)


def _engine(session: Session, drained: _Drained, spare: int) -> Engine:
    learned: Any = SimpleNamespace(walk=_Walk()) if session.strategy.model is not None else None
    return make_engine(session, learned, drained, spare=spare)


def by_events(session: Session, spare: int = 8) -> Left:
    """Run the event path; its window slides every `spare` bars."""
    drained = _Drained(session)
    return _feed(session, _engine(session, drained, spare), drained, 0, f"events, spare {spare}")


def both(session: Session, cut: int, spare: int = 8) -> Left:
    """Run the batch path up to a time, then go on from a copy of its state event by event."""
    batch = begin(session)
    with np.errstate(all="ignore"):
        stretch(session, batch, 0, cut)
    state, aligned = batch.state.copy(), batch.aligned
    drained = _Drained(session)
    engine = _engine(session, drained, cut + spare)
    window = engine.window
    held, made = window.arrays, batch.arrays
    for name in "TG":
        held[name][:, :cut] = made[name][:, :cut]
    for k in range(len(session.plan.symbols)):
        n = int(aligned.T[layout.ROW + k, :cut].max(initial=-1)) + 1
        for name in "MXFD":
            held[name][k, :, :n] = made[name][k, :, :n]
        frames = min(held["Y"].shape[2], made["Y"].shape[2])
        held["Y"][k, :, :frames] = made["Y"][k, :, :frames]
        held["N"][k] = n
    window.time, window.room = cut, 1  # the first event counts the room that is left
    rows = int(state.C[layout.LOG])
    while len(held["LI"]) < rows + 64 * len(session.plan.symbols):
        engine._grow_log()  # it reads the log through views of its own
    for name in ("S", "A", "C", "B", "I"):
        held[name][:] = getattr(state, name)
    for name in ("LI", "LF"):
        held[name][:rows] = made[name][:rows]
    return _feed(session, engine, drained, cut, f"batch to {cut}, then events")


def by_shell(session: Session, engine: str) -> Left:
    """Run as `septet run --engine` does; a model would be trained."""
    with np.errstate(all="ignore"):
        outcome, *_ = (run_batch if engine == "batch" else run_events)(session)
    return Left(f"the shell's {engine}", session, outcome)
