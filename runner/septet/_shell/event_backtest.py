"""A backtest one event at a time: bars are processed in the order in which they became known."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import repeat, starmap
from typing import Any

import numpy as np

from septet._core.engine import Engine, Frames, Window
from septet._core.events import DecisionTime
from septet._core.state import State
from septet._host.monitoring import Reading
from septet._kernel import layout
from septet._plan.plan import Plan
from septet._progress import Progress
from septet._shell import result_tables
from septet._shell.aligned_bars import FUNDING_BEFORE
from septet._shell.model_layer import (
    Learned,
    health_of,
    learn_walk,
    model_columns,
    move_first,
)
from septet._shell.monitor_readings import Watcher
from septet._shell.retraining import Retrains, retrains_of
from septet._shell.run_record import Record
from septet._shell.running_monitors import EventMonitors, RunMonitors
from septet._shell.session import Session

__all__ = ["decision_times", "make_engine", "run_events", "window_of"]

STRETCH = 4_096  # times converted to events at once
REPORT_EVENTS = 1_024  # events between two progress reports


def decision_times(session: Session, start: int = 0) -> Iterator[DecisionTime]:
    """Yield the aligned bars as events, in order."""
    aligned, first = session.aligned, session.first
    ks = np.arange(len(session.market.symbols))
    funding = session.plan.assembly.rows.x.get(FUNDING_BEFORE)
    for start_row in range(start, aligned.times, STRETCH):
        T = aligned.T[:, start_row : start_row + STRETCH]
        rows = T[layout.ROW : layout.ROW + len(ks)].T
        row_or_none = np.maximum(rows, -1)
        columns = np.ascontiguousarray(aligned.X[ks, :, row_or_none])
        facts = np.ascontiguousarray(aligned.M[ks, :, row_or_none])
        facts[rows < 0, layout.AGE] = rows[rows < 0]
        if funding is not None and len(ks) > 1:
            due = aligned.U[:, start_row : start_row + STRETCH].T
            columns[..., funding][rows < 0] = due[rows < 0]
        decides = np.arange(start_row, start_row + len(columns)) >= first
        hours = session.plan.facts.hours_row
        flags = repeat(0) if hours is None else T[hours : hours + len(ks)].T
        counted = session.plan.facts.members_row
        members = repeat(0) if counted is None else T[counted].tolist()
        times = zip(
            T[layout.KNOWN].tolist(), T[layout.DAY].tolist(), columns, facts, decides.tolist(),
            repeat(False), repeat(False), flags, members,
            strict=False,
        )  # fmt: skip
        yield from starmap(DecisionTime, times)


def window_of(plan: Plan, state: State, *, spare: int | None = None) -> Window:
    """Return a window as long as a plan's memory, with room for `spare` bars until it slides."""
    assembly = plan.assembly
    keep = plan.memory_bars + 1
    spare = keep + 512 if spare is None else spare
    frames = []
    for frame in assembly.rows.frames.values():
        rows = frame.row_numbers
        for node in assembly.graph.nodes:
            if node.bar_ns == frame.bar_ns:
                rows += [assembly.rows.y[node.number, place] for place in range(node.width)]
        frames.append(Frames(frame.slot, tuple(rows), keep))
    return Window(plan, len(assembly.rows.x), keep, keep + spare, state, tuple(frames))


def make_engine(
    session: Session,
    learned: Learned | None,
    drain: Any = None,
    *,
    spare: int | None = None,
    retrains: Retrains | None = None,
) -> Engine:
    """Return an engine with a window as long as the strategy's memory.

    `spare` is the additional room: the number of bars that are added before the window slides (at
    least 8). With `retrains`, the engine uses the models of its walk, including models fitted
    later.
    """
    plan = session.plan
    assembly = plan.assembly
    state = plan.state(session.strategy.account.capital, session.instruments)
    window = window_of(plan, state, spare=spare)
    predict_row, inputs = None, []
    if learned is not None:
        predict_row = learned.walk.predict_row if retrains is None else retrains.predict_row
        graph, rows_of = assembly.graph, assembly.rows.f
        inputs = [
            rows_of[graph.named[name].node, graph.named[name].output]
            for name in model_columns(session)
        ]
    return Engine(
        window,
        predict_row=predict_row,
        model_inputs=inputs,
        model_row=assembly.model_row,
        drain=drain,
    )


def run_events(
    session: Session, progress: Progress | None = None, watchers: Sequence[Watcher] = ()
) -> result_tables.Ran:
    """Run the event path.

    Models are fitted by the same walk as in the batch path and predict one row at a time; monitors
    are read at every decision time, as in paper and live.
    """
    learned: Learned | None = None
    retrains: Retrains | None = None
    if session.strategy.model is not None:
        from septet._core.batch import Batch

        batch = Batch(session.plan, session.aligned, session.plan.state(1.0, session.instruments))
        batch.observe(0, session.aligned.times)
        learned = learn_walk(session, batch.F, progress)
        move_first(session, learned)
        retrains = retrains_of(session, batch.F, learned) if watchers else None
    aligned = session.aligned
    count, rows = len(session.market.symbols), session.plan.rows
    outputs = {
        "F": np.full((count, rows.F, aligned.width), np.nan),
        "D": np.zeros((count, rows.D, aligned.width), np.int8),
        "G": np.zeros((rows.G, aligned.times)),
    }

    def drain(k: int, first: int, leaving: Any) -> None:
        for name, values in leaving.items():
            output = outputs[name] if k < 0 else outputs[name][k]
            output[:, first : first + values.shape[1]] = values

    began = time.perf_counter()
    engine = make_engine(session, learned, drain, retrains=retrains)
    monitors = _monitors_of(session, engine, learned, watchers, retrains)
    for number, event in enumerate(decision_times(session)):
        if progress is not None and number % REPORT_EVENTS == 0:
            progress("run", number, aligned.times, "events")
        engine.handle(event, monitors)
        if monitors is not None and watchers and event.decides:
            monitors.ruled(engine.curve())
    engine.window.flush(drain)
    seconds = time.perf_counter() - began
    outcome = result_tables.Outcome(
        *engine.log, outputs["F"], outputs["D"], outputs["G"], engine.state
    )
    learned = learned if retrains is None else retrains.learned
    return result_tables.Ran(
        outcome, learned, seconds, monitors.acts if monitors is not None else ()
    )


def _monitors_of(
    session: Session,
    engine: Engine,
    learned: Learned | None,
    watchers: Sequence[Watcher],
    retrains: Retrains | None,
) -> EventMonitors | None:
    """Return the monitors of a run; None if none can act."""
    health = health_of(learned)
    if not watchers and not any(each.verdict == "halt" for each in health):
        return None
    scale = [engine.scale(k) for k in range(len(session.market.symbols))]
    record = Record(session.market.symbols, session.strategy.universe.bar, scale)
    alarm = session.strategy.monitoring.fills.slippage_alarm
    monitors = RunMonitors(watchers, record, alarm, raises=True)
    known_ns = session.aligned.T[layout.KNOWN]

    def retrain(time_ns: int) -> Sequence[Reading] | None:
        t = int(np.searchsorted(known_ns, time_ns))
        if retrains is None or not retrains.is_due(t):
            return None
        retrains.ask(t)
        return retrains.health

    return EventMonitors(
        monitors, health, lambda t: int(engine.window.arrays["T"][layout.KNOWN, t]), retrain
    )
