"""A backtest in stretches: it needs memory for one stretch and the trades, with the same result.

The account is carried from one stretch to the next. The features begin each stretch anew, over the
bars they remember, which gives the same bits. The trades of a stretch are projected at its end.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from septet._config.error_places import placed
from septet._core.batch import Batch
from septet._core.checked_rules import invalid_answers
from septet._core.ledger_check import check_books
from septet._core.state import State
from septet._data.bars import BarTable, MarketData, no_bars
from septet._data.load import cut
from septet._data.stretches import Memory, Stretch, Stretches, chain
from septet._kernel import layout
from septet._learn.fill_costs import WINDOW
from septet._plan.plan import Plan
from septet._progress import Progress
from septet._results.excursions import COLUMNS, Excursions
from septet._results.result import RunResult
from septet._shell import result_tables
from septet._shell.aligned_bars import align_bars
from septet._shell.backtest import (
    count_incomplete,
    facts_of,
    incomplete_frames,
    manifest_of,
    notes_of,
    refuse_unserved,
    watched_steps,
)
from septet._shell.declared_memory import Boundary, require_declared_memory, tried_nodes
from septet._shell.feature_values import cut_of
from septet._shell.held_closes import HeldCloses
from septet._shell.late_start import LateStart, Ready, late_start
from septet._shell.monitor_readings import fill_costs
from septet._shell.never_known import Unknown
from septet._shell.session import (
    Log,
    Session,
    alignment_rules,
    first_ready,
    plan_of,
    reuse_memory,
    slowest_key,
    warmup_ns_of,
)
from septet._shell.thinned_curve import ThinnedCurve
from septet._shell.tick_checks import TickCounts, refuse_ticks
from septet._store.tables import DISPLAY_BARS, as_frame, join_bars
from septet.errors import DataError, InputError
from septet_schemas.times import format_day_time

if TYPE_CHECKING:
    import polars as pl

__all__ = ["run_by_stretches"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
ABOUT_ORDERS = (layout.ORDER, layout.FILL, layout.STATUS)
EVENTS = (layout.HALT, layout.CLEAR, layout.REBALANCE)
NO_VALUES = np.zeros((1, 1, 0))


def run_by_stretches(
    loaded: Any,
    chunk_bars: int,
    *,
    log: Log | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Run a loaded strategy over history in time spans of `chunk_bars` bars.

    Orders, fills, trades, halts and metrics are those of a run in one piece; decisions are left
    out, and the curve has a row for each start of a day and the last time.

    Raises
    ------
    InputError
        If the strategy needs all of its history at once; names the part that does.
    """
    began = time.perf_counter()
    log = log or (lambda message: None)
    if chunk_bars < 1:
        raise InputError(
            f"--chunk is a number of bars, 1 or more; it was {chunk_bars}",
            hint="for example --chunk 1000000",
        )
    with placed(loaded, "execution", "simulation", "fills"):
        refuse_unserved(loaded.strategy)
    with placed(loaded, "universe"):
        return _stream(loaded, chunk_bars, log, progress, began)


def _stream(
    loaded: Any,
    chunk_bars: int,
    log: Log,
    progress: Progress | None,
    began: float,
) -> RunResult:
    """Run all time spans; an error names the key of the file that causes it."""
    strategy = loaded.strategy
    _refuse_whole(strategy)
    reuse_memory()
    plan = plan_of(loaded, tables=False, log=log)
    memory = _memory_of(plan)
    stretches = Stretches(
        loaded, bars=chunk_bars, memory=memory,
        warmup_ns=warmup_ns_of(strategy, plan.memory_bars),
    )  # fmt: skip
    if stretches.calendar != "24x7":  # there a day is a session
        plan = plan_of(
            loaded, tables=False, calendar=stretches.calendar,
            calendars=stretches.calendars.values(), log=log,
        )  # fmt: skip
    plan.entries  # noqa: B018 - compiled before the clock starts
    for name, why in watched_steps(plan).items():
        log(f"slow: {name} runs uncompiled, each of its reads watched: {why}")
    if plan.assembly.slow_parts:
        slow = ", ".join(plan.assembly.slow_parts)
        log(f"slow: {slow} has no compiled step; the whole plan runs uncompiled")
    run = _Run(loaded, plan, log, stretches)
    with np.errstate(all="ignore"):
        for stretch in _read_ahead(stretches):
            run.take(stretch)
            if progress is not None:
                progress("stretches", stretch.number + 1, stretch.count, "stretches")
            del stretch
        result = run.result(chunk_bars)
    facts = replace(result.facts, seconds_total=time.perf_counter() - began)
    return replace(result, facts=facts)


def _refuse_whole(strategy: Any) -> None:
    """Reject settings that read a whole run."""
    if strategy.model is not None:
        raise InputError(
            "--chunk is for rules: a model is trained on history that a stretch does not hold",
            hint="run without --chunk",
            key=".model",
        )
    for name in strategy.monitoring.monitors:
        raise InputError(
            f"--chunk: monitoring.{name} reads the whole curve, which is not kept",
            hint=f"run without --chunk, or without monitoring.{name}",
            key=f".monitoring.{name}",
        )


def _memory_of(plan: Plan) -> Memory:
    """Return the memory of the features of a plan.

    Raises
    ------
    InputError
        If one never forgets, by name.
    """
    kinds = {node.label: node.memory.kind for node in plan.assembly.graph.nodes}
    for label, kind in kinds.items():
        if kind == "unbounded":
            raise InputError(
                f"--chunk: features.{label} never forgets, so that no stretch can begin anew",
                hint="give it an anchor or a window, or run without --chunk",
                key=f".features.{label.split('.')[0]}",
            )
    return Memory(plan.memory_bars + 2, "anchored" in kinds.values())


def _read_ahead(stretches: Stretches) -> Iterator[Stretch]:
    """Read the next time span in one permanent thread, while the current one runs."""
    source = iter(stretches)
    with ThreadPoolExecutor(1, thread_name_prefix="stretches") as reader:
        coming = reader.submit(next, source, None)
        while (stretch := coming.result()) is not None:
            coming = reader.submit(next, source, None)
            yield stretch
            del stretch  # else it would stay in memory while the span after the next is read


@dataclass
class _Shown:
    """Bars for display, joined as they are processed."""

    step: int
    parts: dict[str, list[BarTable]] = field(default_factory=dict)

    def take(self, name: str, bars: BarTable, split_ns: int | None) -> None:
        """Join new bars of a symbol; a group ends at the first decision."""
        split = 0
        if split_ns is not None:
            split = int(np.searchsorted(bars.known_ns, split_ns, side="right"))
        for first, last in ((0, split), (split, len(bars))):
            if first < last:
                starts = np.arange(0, last - first, self.step)
                joined = join_bars(cut(bars, first, last), starts)
                self.parts.setdefault(name, []).append(joined)

    def tables(self, market: MarketData) -> dict[str, BarTable]:
        """Return the joined bars of every symbol."""
        return {
            name: chain(self.parts.get(name, [no_bars(name, market.bar_ns)]))
            for name in market.symbols
        }

    def widest(self, tables: dict[str, BarTable]) -> dict[str, int]:
        """Return the number of bars that the widest group of each symbol joins once stored."""
        group_sizes = {}
        for name, bars in tables.items():
            joined_again = 1 if len(bars) <= DISPLAY_BARS else -(-len(bars) // (DISPLAY_BARS - 2))
            group_sizes[name] = self.step * joined_again
        return group_sizes


class _Run:
    """A run in progress, one time span after another."""

    def __init__(self, loaded: Any, plan: Plan, log: Log, stretches: Stretches) -> None:
        strategy = loaded.strategy
        self.loaded, self.plan, self.log, self.stretches = loaded, plan, log, stretches
        self.rules = alignment_rules(strategy)
        self.venue = next(iter(strategy.execution.venues))
        self.curve = ThinnedCurve(
            format_day_time(strategy.day_start), strategy.time_zone, float(strategy.account.capital)
        )
        span_ns = stretches.cuts[-2] - stretches.cuts[0] + stretches.length_ns
        bars = span_ns // strategy.universe.bar
        self.shown = _Shown(max(1, -(-bars // (DISPLAY_BARS // 2))))
        self.held = HeldCloses()
        self.ticks = {name: TickCounts(each.tick) for name, each in stretches.instruments.items()}
        self.frames: dict[str, list[pl.DataFrame]] = {
            name: [] for name in ("orders", "fills", "trades", "monitoring")
        }
        self.excursions = Excursions()
        self.state: State | None = None
        self.signals: list[int] = []  # per symbol at its last bar, as a code
        self.session: Session | None = None
        self.boundary = Boundary()
        self.unknown = Unknown(loaded)
        self.waiting = plan.log(0)  # rows about orders that are still working
        self.events = plan.log(0)  # rows about the whole account: halts and rebalances
        self.incomplete: Counter[int] = Counter()
        self.window = plan.log(0)  # fills that the monitor of their costs still averages
        self.fills = self.bars = self.before = self.first_index = 0
        self.ready = False
        self.begin_ns: int | None = None
        self.due_ns: int | None = None
        self.first_ns: int | None = None
        self.seconds = 0.0

    def take(self, stretch: Stretch) -> None:
        """Run one time span."""
        aligned = align_bars(self.plan, stretch.market, self.rules)
        known_ns = aligned.T[layout.KNOWN]
        fresh = int(np.searchsorted(known_ns, stretch.begin_ns))
        session = Session(
            self.loaded, self.plan, stretch.market, aligned, fresh, self.log, tables=False
        )
        begun = self.first_ns is not None
        if not begun:
            self._wait(session, fresh)
        for name, bars in stretch.market.bars.items():
            new = int(np.searchsorted(bars.known_ns, stretch.begin_ns))
            split_ns = None if begun else self.first_ns
            self.shown.take(name, cut(bars, new, len(bars)), split_ns)
        self._hold(stretch, self._traded(session, begun=begun))
        self.unknown.take(
            stretch.market, known_ns[session.first :] if self.first_ns else known_ns[:0]
        )

    def _traded(self, session: Session, *, begun: bool) -> Ints:
        """Trade from the first decision on; return the times at which buy and hold is valued."""
        known_ns: Ints = session.aligned.T[layout.KNOWN]
        if self.first_ns is None:
            return known_ns[:0]
        for name, counts in self.ticks.items():
            bars = session.market.bars[name]
            counts.take(bars, int(np.searchsorted(bars.known_ns, known_ns[session.first])))
            problem = counts.problem(self.loaded, name) if counts.is_above_prices else None
            refuse_ticks([problem] if problem is not None else [])
        curve_times = self._trade(session)
        return curve_times if begun else np.append(np.int64(self.first_ns), curve_times)

    def _hold(self, stretch: Stretch, times_ns: Ints) -> None:
        """Keep the closes at which buy and hold is valued at new rows of the curve."""
        for name, bars in stretch.market.bars.items():
            new = int(np.searchsorted(bars.known_ns, stretch.begin_ns))
            self.held.take(name, bars, new, times_ns)

    def _wait(self, session: Session, fresh: int) -> None:
        """Find the first decision: not before the file's start, and after the rules can be read."""
        known_ns, start_ns = session.aligned.T[layout.KNOWN], session.strategy.universe.start
        ready = first_ready(self.plan, session.aligned)
        at = fresh
        if start_ns is not None:
            at = max(at, int(np.searchsorted(known_ns, start_ns)))
        if self.begin_ns is None and len(known_ns):
            self.begin_ns = int(known_ns[0]) - session.market.bar_ns
        if self.due_ns is None and at < len(known_ns):
            self.due_ns = int(known_ns[at])
        if not self.ready and ready is not None:
            at = max(at, ready)
        self.ready = self.ready or ready is not None
        if self.ready and at < len(known_ns):
            session.first, self.first_ns = at, int(known_ns[at])
            self.first_index = self.before + at - fresh
        self.before += len(known_ns) - fresh

    def _late_start(self) -> LateStart | None:
        """Return why the first decision is later than the file asks for; None if it is not."""
        if self.begin_ns is None or self.due_ns is None or self.first_ns is None:
            return None
        ready = Ready(self.begin_ns, self.due_ns, self.first_ns)
        return late_start(self.loaded.strategy, ready, self.first_ns, self.plan.warmup_bars)

    def _trade(self, session: Session) -> Ints:
        """Trade the new times of a time span; return the times of new rows of the curve."""
        began = time.perf_counter()
        if self.state is None:
            self.state = self.plan.state(self.loaded.strategy.account.capital, session.instruments)
        state, aligned = self.state, session.aligned
        state.S[:] = 0.0
        state.C[layout.LOG] = 0
        batch = Batch(self.plan, aligned, state, keeps=bool(tried_nodes(self.plan)))
        begun = (aligned.bar_rows[:, : session.first] >= 0).sum(axis=1).tolist()
        for k, i in enumerate(begun):  # the previous signal decides whether one is new
            if i and self.signals:
                batch.D[k, layout.D_SIGNAL, i - 1] = self.signals[k]
        batch.run(session.first)
        self.incomplete += self._incomplete(session, state)
        if self.session is None:
            require_declared_memory(session, batch.F, session.first)
        self.boundary.take(session, batch.F)
        self.signals = [int(D[layout.D_SIGNAL, n - 1]) if n else 0
                       for D, n in zip(batch.D, aligned.lengths, strict=True)]  # fmt: skip
        self.seconds += time.perf_counter() - began
        rows = int(state.C[layout.LOG])
        self._project(session, batch.LI[:rows], batch.LF[:rows])
        self.session = session
        self.bars += int((aligned.bar_rows[:, session.first :] >= 0).sum())
        equity = batch.G[layout.G_EQUITY, session.first :]
        return self.curve.take(aligned.T[layout.KNOWN, session.first :], equity)

    def _incomplete(self, session: Session, state: State) -> Counter[int]:
        """Count the incomplete bars of higher time frames that closed at new times."""
        found = Counter(count_incomplete(self.plan, state.S))
        fresh = 0 if self.session is None else session.first
        if found and fresh:
            earlier, _ = cut_of(session.aligned, 0, fresh)
            before = Batch(self.plan, earlier, self.plan.state(1.0, session.instruments))
            before.observe(0, fresh)
            found.subtract(count_incomplete(self.plan, before.state.S))
        return found

    def _project(self, session: Session, LI: Ints, LF: Floats) -> None:
        """Convert the log of a time span into table rows; keep those of open orders."""
        new = self._outcome(LI, LF)
        kinds = LI[:, 0]
        if self._grows("fills", layout.FILL, LI):
            self._add("fills", result_tables.fills_of(session, new, self.venue, before=self.fills))
        if self._grows("trades", layout.TRADE, LI):
            self._add_trades(session, new, over=False)
        else:
            self.excursions.go_on(session.market.bars, result_tables.entries_of_open(session, new))
        if self._grows("monitoring", layout.FILL, LI):
            self._watch(session, LI, LF)
        self.fills += int((kinds == layout.FILL).sum())
        self.events = _stack(self.events, LI, LF, np.isin(kinds, EVENTS))
        both = _stack(self.waiting, LI, LF, np.isin(kinds, ABOUT_ORDERS))
        ended = both[0][both[0][:, 0] == layout.STATUS, 3]
        waits = ~np.isin(both[0][:, 3], ended)  # including those that rest beside the working one
        self.waiting = both[0][waits], both[1][waits]
        final = self._outcome(both[0][~waits], both[1][~waits])
        if self._grows("orders", layout.ORDER, final.LI):
            self._add("orders", result_tables.orders_of(session, final))

    def _grows(self, name: str, kind: int, LI: Ints) -> bool:
        """Return whether a log adds rows to a table, or is the first, which sets its types."""
        return not self.frames[name] or bool((LI[:, 0] == kind).any())

    def _watch(self, session: Session, LI: Ints, LF: Floats) -> None:
        """Monitor the costs of the fills; their window reaches back into earlier time spans."""
        old_rows = len(self.window[0])
        rows = _stack(self.window, LI, LF, LI[:, 0] == layout.FILL)
        readings = fill_costs(session, self._outcome(*rows))
        new_count = readings.height - old_rows
        self.frames["monitoring"].append(readings.tail(new_count))
        is_kept = np.zeros(len(rows[0]), np.bool_)
        for k in range(len(session.market.symbols)):
            own_rows = (rows[0][:, 2] == k) & np.isfinite(rows[1][:, 1] / rows[1][:, 4])
            is_kept[np.flatnonzero(own_rows)[-WINDOW:]] = True
        self.window = rows[0][is_kept], rows[1][is_kept]

    def _outcome(self, LI: Ints, LF: Floats) -> result_tables.Outcome:
        assert self.state is not None
        return result_tables.Outcome(
            LI, LF, NO_VALUES, NO_VALUES.astype(np.int8), NO_VALUES[0], self.state
        )

    def _add(self, name: str, table: dict[str, Any]) -> None:
        self.frames[name].append(as_frame(name, table))

    def _add_trades(self, session: Session, new: result_tables.Outcome, *, over: bool) -> None:
        """Add trades with their metrics from the bars of this and earlier time spans."""
        frame = as_frame("trades", result_tables.trades_of(session, new, over=over))
        still_open = result_tables.entries_of_open(session, new)
        trades = frame[[name for name in frame.columns if name not in COLUMNS]]
        measured = self.excursions.take(trades, session.market.bars, still_open)
        self.frames["trades"].append(measured[frame.columns])

    def result(self, chunk_bars: int) -> RunResult:
        """Concatenate the tables of all time spans.

        Raises
        ------
        DataError
            If no decision was ever taken.
        ConfigError
            If an input of the file was known at no decision.
        """
        if self.session is None or self.state is None or self.first_ns is None:
            raise DataError(
                f"no decision could be taken: the features need {self.plan.warmup_bars} bars in a "
                "row before they have a value, from universe.start on",
                hint="ask for a longer span, shorten the features, or see the findings",
                key=slowest_key(self.plan),
            )
        self.unknown.refuse()
        problems = [each.problem(self.loaded, name) for name, each in self.ticks.items()]
        refuse_ticks([each for each in problems if each is not None])
        session, state = self.session, self.state
        self._add("orders", result_tables.orders_of(session, self._outcome(*self.waiting)))
        self._add_trades(session, self._outcome(*self.plan.log(0)), over=True)
        trades = self._all("trades")
        check_books(state, self.loaded.strategy.account.capital, trades.to_dict())
        bars = self.shown.tables(session.market)
        facts = facts_of(
            session, "batch", start_ns=self.first_ns,
            end_ns=int(session.aligned.T[layout.KNOWN, -1]), bars=self.bars, seconds=self.seconds,
            late=self._late_start(),
        )  # fmt: skip
        valued = self.curve.count - int(state.C[layout.UNVALUED])
        events = self._outcome(*self.events)
        notes = notes_of(session, events, None) + incomplete_frames(self.incomplete)
        notes.append(
            f"the run went through stretches of {chunk_bars} bars: the curve has a row for each "
            "start of a day and the last time, the figures are those of every time"
        )
        return RunResult(
            facts=facts, decisions=None, orders=self._all("orders"), fills=self._all("fills"),
            trades=trades, equity=self.curve.table(), bars=bars,
            monitoring=self._all("monitoring"), findings=self.stretches.findings,
            halts=result_tables.halts_of(session, events),
            resolved=self.loaded.resolved,
            strategy_text=self.loaded.text,
            distributions=self.loaded.host.versions(), data_hashes=self.stretches.fingerprints,
            invalid_answers=invalid_answers(self.plan.facts, state.C),
            notes=notes, left_out=("decisions",),
            rebalance_waits=result_tables.rebalance_waits(session, events),
            mean_exposure=float(state.A[layout.EXPOSED]) / valued if valued else None,
            max_drawdown=float(state.A[layout.DEEPEST]), mean_equity=self.curve.mean,
            held=self.held.tables(session.market.symbols),
            manifest={
                **manifest_of(session), "first_index": self.first_index, "chunk_bars": chunk_bars,
                "display": {"bars_joined": self.shown.widest(bars)},
            },
        )  # fmt: skip

    def _all(self, name: str) -> pl.DataFrame:
        """Return the rows of all time spans, with orders sorted by their number."""
        import polars as pl

        table = pl.concat(self.frames.pop(name), rechunk=True)  # sums are taken over one piece
        if name != "orders":
            return table
        number = pl.col("order_id").str.slice(1).cast(pl.Int64)
        return table.sort(number, maintain_order=True)


def _stack(
    earlier: tuple[Ints, Floats], LI: Ints, LF: Floats, picked: npt.NDArray[np.bool_]
) -> tuple[Ints, Floats]:
    """Append selected rows of a log to others."""
    return np.concatenate((earlier[0], LI[picked])), np.concatenate((earlier[1], LF[picked]))
