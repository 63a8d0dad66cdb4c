"""The backtest shell: runs a strategy over history and returns its result."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from septet import _learn as learn
from septet._config.check_context import strangers_of
from septet._config.error_places import placed, placed_keys
from septet._core.batch import Batch
from septet._core.checked_rules import invalid_answers
from septet._core.ledger_check import check_books
from septet._data.calendars import sessions_per_year
from septet._data.day_calendars import ends_inside, market_day_calendar, session_close
from septet._data.load import fingerprints
from septet._kernel import layout, time_frames
from septet._plan.run_terms import terms_of
from septet._progress import Progress
from septet._results.result import RunFacts, RunResult
from septet._shell import result_tables
from septet._shell.compile_policy import choose_plain, plain_bars, ran_plain_first
from septet._shell.declared_memory import require_declared_memory, tried_nodes
from septet._shell.late_start import LateStart, ModelWindow, late_start, ready_of
from septet._shell.model_layer import Learned, health_of, learn_walk, move_first
from septet._shell.monitor_actions import Act
from septet._shell.monitor_readings import (
    Watcher,
    build_watchers,
    fill_costs,
    passed_limits,
    run_view,
    watch,
)
from septet._shell.monitored_batch import halts_with, trade_watched
from septet._shell.never_known import refuse_never_known
from septet._shell.never_trades import refuse_no_entry, refuse_no_value
from septet._shell.retraining import retrains_of
from septet._shell.session import Log, Session, open_session
from septet._shell.tick_checks import refuse_ticks, tick_problems
from septet._shell.value_ranges import outside_notes, outside_of
from septet._store.background_work import Background
from septet.errors import InputError
from septet_schemas.times import format_day_time
from septet_schemas.units import format_duration

__all__ = [
    "backtest",
    "checks_of",
    "facts_of",
    "manifest_of",
    "notes_of",
    "refuse_unserved",
    "run_batch",
]

ENGINES = ("auto", "batch", "event")


def backtest(
    loaded: Any,
    *,
    engine: str = "auto",
    tables: bool = True,
    log: Log | None = None,
    progress: Progress | None = None,
    not_before_ns: int | None = None,
    refuses: bool = False,
) -> RunResult:
    """Run a loaded strategy over history.

    Parameters
    ----------
    loaded
        A file as `septet._config.load` returns it.
    engine
        ``batch`` (arrays, the fast path), ``event`` (one event at a time) or ``auto``; they return
        the same bits.
    tables
        False leaves the decision table out; everything else is the same, to the bit.
    log
        Called with a text on each step that takes a while.
    progress
        Called on reading, preparing, training windows and events; what it raises ends the run.
    not_before_ns
        No decision is taken before this time; the history before it is still read.
    refuses
        Stop at the errors of `check` about files that never trade, as `septet run` does.
    """
    began = time.perf_counter()
    with placed(loaded, "execution", "simulation", "fills"):
        refuse_unserved(loaded.strategy)
    with placed_keys(loaded):
        # monitors read the whole curve
        keeps_curve = tables or bool(build_watchers(loaded.strategy))
    report = progress or (lambda stage, done, total, text, /: None)
    report("data", 0, None, "reading the data")
    session = open_session(loaded, tables=keeps_curve, log=log, not_before_ns=not_before_ns)
    refuse_never_known(session)
    refuse_ticks(tick_problems(session))
    if refuses:
        refuse_no_entry(session)
    session.tables = tables
    hashes = Background(lambda: fingerprints(session.market))
    chosen = "batch" if engine == "auto" else engine
    choose_plain(session)
    report("plan", 0, None, "preparing the plan")
    _ready(session.plan, chosen)
    watched = watched_steps(session.plan)
    for name, why in watched.items():
        session.log(f"slow: {name} runs uncompiled, each of its reads watched: {why}")
    for name in session.plan.assembly.slow_columns:
        if name not in watched:
            session.log(f"slow: {name} has no compiled step; its own column runs uncompiled")
    if session.plan.assembly.slow_parts:
        slow = ", ".join(session.plan.assembly.slow_parts)
        session.log(f"slow: {slow} has no compiled step; the whole plan runs uncompiled")
    digests = hashes.result()  # before the timer starts: it is not part of the run
    report("run", 0, None, "running")
    with np.errstate(all="ignore"), placed_keys(loaded):
        ran, watchers = ran_plain_first(session, lambda: _ran(session, chosen, progress))
        for each in () if ran.learned is None else ran.learned.doubts:
            session.log(f"doubtful: {each}")
        require_declared_memory(session, ran.outcome.F)
        result = _result(session, ran, watchers, chosen, digests)
        if refuses and not len(ran.outcome.rows(layout.ORDER)):
            refuse_no_value(loaded)
    facts = replace(result.facts, seconds_total=time.perf_counter() - began)
    return replace(result, facts=facts)


def _ran(
    session: Session, engine: str, progress: Progress | None
) -> tuple[result_tables.Ran, list[Watcher]]:
    """Run a session from its start, with new monitors."""
    watchers = build_watchers(session.strategy)
    if engine == "event":
        from septet._shell.event_backtest import run_events

        return run_events(session, progress, watchers), watchers
    return run_batch(session, progress, watchers), watchers


def watched_steps(plan: Any) -> dict[str, str]:
    """Return the features whose reads are checked, each with the first one that is not proved."""
    features: dict[str, str] = {}
    for node in plan.assembly.graph.nodes:
        if node.unproved:
            features.setdefault(node.step.function.__name__, node.unproved[0])
    return features


def _ready(plan: Any, engine: str) -> None:
    """Load or compile the functions that the engine calls, before the timer starts."""
    if engine == "event":
        plan.module  # noqa: B018
    else:
        plan.entries  # noqa: B018


def refuse_unserved(strategy: Any) -> None:
    fills = terms_of(strategy).simulation.fills
    if fills != "next_open":
        raise InputError(
            f"execution.simulation.fills: {fills} needs recorded {fills}, and a backtest has bars",
            hint="write fills: next_open",
        )


def run_batch(
    session: Session, progress: Progress | None = None, watchers: Sequence[Watcher] = ()
) -> result_tables.Ran:
    """Run the batch path; monitors that act are called as in the event path."""
    strategy, plan = session.strategy, session.plan
    began = time.perf_counter()
    state = plan.state(strategy.account.capital, session.instruments)
    keeps_features = (
        plan.assembly.decisions_kept or strategy.model is not None or bool(tried_nodes(plan))
    )
    batch = Batch(plan, session.aligned, state, keeps=keeps_features)
    last = session.aligned.times
    learned: Learned | None = None
    training, acts = 0.0, list[tuple[int, Act]]()
    if strategy.model is None and not watchers:
        batch.run(session.first)
    else:
        batch.observe(0, last)
        if strategy.model is not None:
            paused = time.perf_counter()
            learned = learn_walk(session, batch.F, progress)
            training = time.perf_counter() - paused
            move_first(session, learned)
        retrains = retrains_of(session, batch.F, learned) if watchers else None
        acts = trade_watched(session, batch, watchers, health_of(learned), retrains)
        learned = learned if retrains is None else retrains.learned
    rows = int(state.C[layout.LOG])
    outcome = result_tables.Outcome(
        batch.LI[:rows], batch.LF[:rows], batch.F, batch.D, batch.G, state
    )
    return result_tables.Ran(outcome, learned, time.perf_counter() - began - training, acts)


def _result(
    session: Session,
    ran: result_tables.Ran,
    watchers: list[Watcher],
    engine: str,
    digests: dict[str, str],
) -> RunResult:
    """Convert the outcome into the tables and facts of a run."""
    outcome, learned, seconds = ran.outcome, ran.learned, ran.seconds
    strategy, loaded, market = session.strategy, session.loaded, session.market
    known_ns = session.aligned.T[layout.KNOWN]
    venue = next(iter(strategy.execution.venues))
    tables: dict[str, Any] = {
        "decisions": result_tables.decisions_of(session, outcome) if session.tables else None,
        "orders": result_tables.orders_of(session, outcome),
        "fills": result_tables.fills_of(session, outcome, venue),
        "trades": result_tables.trades_of(session, outcome),
        "equity": result_tables.equity_of(session, outcome),
    }
    out_of_range = outside_of(loaded, tables["decisions"])
    decision_count = len(tables["decisions"]["time"]) if session.tables else 0
    check_books(outcome.state, strategy.account.capital, tables["trades"])
    facts = facts_of(
        session, engine, start_ns=int(known_ns[session.first]), end_ns=int(known_ns[-1]),
        bars=int((session.aligned.bar_rows[:, session.first :] >= 0).sum()), seconds=seconds,
        late=late_start_of(session, learned),
    )  # fmt: skip
    watched = _monitoring(session, outcome, learned, watchers)
    model_tables: dict[str, Any] = {"monitoring": watched}
    if learned is not None:
        model_tables |= {
            "predictions": learned.health.predictions(),
            "models": model_cards(learned),
            "model_files": model_files(learned),
        }
    return RunResult(
        facts=facts, bars=market.bars, findings=market.findings,
        halts=halts_with(result_tables.halts_of(session, outcome), ran.acts),
        resolved=loaded.resolved,
        strategy_text=loaded.text,
        distributions=loaded.host.versions(), data_hashes=digests,
        invalid_answers=invalid_answers(session.plan.facts, outcome.state.C),
        notes=[
            *notes_of(session, outcome, learned),
            *incomplete_frames(count_incomplete(session.plan, outcome.state.S)),
            *outside_notes(out_of_range, decision_count),
        ],
        rebalance_waits=result_tables.rebalance_waits(session, outcome),
        left_out=() if session.tables else ("decisions",),
        mean_exposure=result_tables.mean_exposure(session, outcome),
        manifest={**manifest_of(session), "outside_value_range": out_of_range},
        **tables, **model_tables,
    )  # fmt: skip


def model_cards(learned: Learned) -> list[dict[str, Any]]:
    """Return the cards of the models in order of use, with the importance that the report draws."""
    cards = []
    for each in learned.walk.models:
        if each.model is None:
            continue
        card = {name: part for name, part in each.card.items() if name != "subject"}
        card |= {"model_id": each.fingerprint[:12], "ready_ns": each.ready_ns}
        if each.importance is not None:
            names = learned.dataset.feature_names
            card["importance"] = dict(zip(names, map(float, each.importance), strict=True))
        cards.append(card)
    return cards


def model_files(learned: Learned) -> dict[str, bytes]:
    """Return every model of the walk in its stored form, by its path under ``models/``."""
    files = {}
    for each in learned.walk.models:
        if each.model is not None and each.cause != "stored":
            folder = f"{each.number:03d}-{each.fingerprint[:12]}"
            for name, data in learn.pack_model(each.model, each.card).items():
                files[f"{folder}/{name}"] = data
    return files


def _monitoring(
    session: Session,
    outcome: result_tables.Outcome,
    learned: Learned | None,
    watchers: list[Watcher],
) -> Any:
    """Merge the readings of model, fills and the file's monitors into one table, by time."""
    costs = fill_costs(session, outcome)
    readings = watch(watchers, run_view(session, outcome)) if watchers else []
    if learned is not None:
        readings += learned.health.readings
    if not readings:
        return costs
    import polars as pl

    frame = learn.readings_frame(readings)
    return pl.concat([costs, frame]).sort("time", maintain_order=True)


def late_start_of(session: Session, learned: Learned | None) -> LateStart | None:
    """Return why a run decided later than its file asks for; None if it did not."""
    models = () if learned is None else learned.walk.models
    windows = [ModelWindow(each.trained_to_ns, each.ready_ns, each.reason) for each in models]
    first_ns = int(session.aligned.T[layout.KNOWN, session.first])
    warmup_bars = session.plan.warmup_bars
    return late_start(session.strategy, ready_of(session), first_ns, warmup_bars, windows)


def facts_of(
    session: Session, engine: str, *, start_ns: int, end_ns: int, bars: int, seconds: float,
    late: LateStart | None = None,
) -> RunFacts:  # fmt: skip
    """Return the facts of a run from its first decision to its last time."""
    strategy, market = session.strategy, session.market
    days = market_day_calendar(market)
    return RunFacts(
        strategy=strategy.name, mode="backtest", engine=engine, symbols=market.symbols,
        currency=strategy.account.currency, bar_ns=market.bar_ns,
        initial_capital=strategy.account.capital, start_ns=start_ns, end_ns=end_ns,
        first_decision_ns=start_ns, bars=bars, seconds=seconds, seconds_total=seconds,
        days_a_year=sessions_per_year(days),
        sessions=days != "24x7", ends_inside=ends_inside(market, end_ns),
        session_close=session_close(days, end_ns),
        day_start=format_day_time(strategy.day_start), time_zone=strategy.time_zone,
        seed=strategy.seed,
        long_only=terms_of(strategy).long_only, benchmark=strategy.benchmark or "",
        late_start="" if late is None else f"{late.text} ({late.hint})",
    )  # fmt: skip


def manifest_of(session: Session) -> dict[str, Any]:
    """Return the manifest's entries on the plan and the data."""
    plan = session.plan
    return {
        "plan": plan.name,
        "compiled": plan.compiled,
        "work_bars": plain_bars(session),
        "slow_parts": [*plan.assembly.slow_parts, *plan.assembly.slow_columns],
        "warmup_bars": plan.warmup_bars,
        "memory_bars": plan.memory_bars,
        "sources": dict(session.market.sources),
        "calendars": dict(session.market.calendars),
        **checks_of(session.loaded),
        "first_index": session.first,
    }


def checks_of(loaded: Any) -> dict[str, Any]:
    """Return the manifest's entries on packages beside septet: their sources, and their checks."""
    if not any(True for _ in strangers_of(loaded.strategy)):
        return {"plugin_sources": {}, "plugin_checks": []}
    from septet._config.plugin_verdicts import plugin_sources

    return {
        "plugin_sources": plugin_sources(loaded.strategy, loaded.host),
        "plugin_checks": [each.document() for each in loaded.verdicts],
    }


def untried_note(loaded: Any) -> list[str]:
    """Return a sentence about plugins that could not be checked completely before the run."""
    untried = [each.plugin for each in loaded.verdicts if each.state == "not tried"]
    names = ", ".join(dict.fromkeys(untried))
    return [f"not everything could be tried of {names} before the run"] if names else []


def count_incomplete(plan: Any, S: Any) -> dict[int, int]:
    """Return the number of incomplete bars of each higher time frame, over all symbols."""
    frames = plan.assembly.rows.frames
    return {
        bar_ns: int(S[:, frame.slot + time_frames.INCOMPLETE].sum())
        for bar_ns, frame in frames.items()
    }


def incomplete_frames(counts: Mapping[int, int]) -> list[str]:
    """Return a sentence for each higher time frame that has incomplete bars."""
    return [
        f"scheduled bars are missing in {count} bars of {format_duration(bar_ns)}, of all "
        "symbols: they are built from those that are there; the first may begin before the data"
        for bar_ns, count in counts.items()
        if count
    ]


def notes_of(
    session: Session, outcome: result_tables.Outcome, learned: Learned | None
) -> list[str]:
    """Return sentences that the reader of the result must know."""
    strategy = session.strategy
    notes = [f"the features warm up over {session.plan.warmup_bars} bars"]
    notes += passed_limits(session, outcome)
    notes += result_tables.rebalance_notes(session, outcome)
    notes += untried_note(session.loaded)
    if not session.tables:
        notes.append("the decisions were left out (--fast); without it the result is the same")
    if strategy.data.candles.extra["adjust"] == "total":
        notes.append(
            "prices are adjusted for splits and dividends: lots and levels are not historical"
        )
    if strategy.execution.order.use == "limit_then_market":
        notes.append(
            "limit_then_market is simulated as a market order at the open: bars show no queue"
        )
    if strategy.risk.halts:
        notes.append("halts are tested at bar closes; paper and live test every mark as well")
    watched = watched_steps(session.plan)
    for name, why in watched.items():
        notes.append(f"{name} ran uncompiled, each of its reads watched: {why}")
    for name in session.plan.assembly.slow_columns:
        if name not in watched:
            notes.append(f"{name} has no compiled step, so its own column ran uncompiled")
    if session.plan.assembly.slow_parts:
        slow = ", ".join(session.plan.assembly.slow_parts)
        notes.append(f"{slow} has no compiled step, so the whole plan ran uncompiled")
    if learned is not None:
        notes += learned.doubts
        missing = [each for each in learned.walk.models if each.model is None]
        if missing:
            notes.append(
                f"{len(missing)} of {len(learned.walk.models)} training windows gave no model; "
                f"the first: {missing[0].reason}"
            )
    return notes
