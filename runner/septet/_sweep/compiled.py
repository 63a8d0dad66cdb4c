"""Settings that change only numbers: one compiled plan, a vector of parameters each, in threads.

What settings share is computed once. Features are: each group of keys that reaches the same
features has its own variants, and a setting reads each feature's row where its variant was
written. The market data, the aligned bars and a model's predictions are the same for all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from septet._config.load import Loaded
from septet._core.batch import Batch, tile_of
from septet._core.state import Arrays, State, arrays_of
from septet._data.day_calendars import ends_inside, market_day_calendar, session_close
from septet._kernel import layout
from septet._results import statistics as st
from septet._shell.never_known import refuse_never_known
from septet._shell.session import Session, open_session
from septet._shell.tick_checks import refuse_ticks, tick_problems
from septet._sweep.metrics_of_rows import Measured, figures_of_many, holding_growth
from septet._sweep.setting_row import failed_row, row_of
from septet._sweep.space import Setting, Space
from septet._sweep.swept_parameters import Numbers
from septet._sweep.variants import Groups, groups_of
from septet_schemas.times import format_day_time

__all__ = ["CompiledEvaluator", "ModelHalts"]

Floats = npt.NDArray[np.float64]
FEATURE_BYTES: Final = 256 << 20
"""Memory that variants of features may take; a block that needs more is divided."""
LOG_ROWS: Final = 2_048


class CompiledEvaluator:
    """Runs settings through the entries of one plan, each thread with its own account."""

    def __init__(
        self,
        loaded: Loaded,
        space: Space,
        numbers: Numbers,
        first_ns: int,
        threads: int,
        log: Callable[[str], None],
    ) -> None:
        memory = numbers.memory_bars
        session = open_session(
            loaded, tables=False, curve=False, log=log, not_before_ns=first_ns, memory_bars=memory
        )
        refuse_never_known(session)
        refuse_ticks(tick_problems(session))
        # the file's own values may need more warm-up than any setting
        known = session.aligned.T[layout.KNOWN]
        session.first = min(session.first, int(np.searchsorted(known, first_ns)))
        session.plan.module  # noqa: B018 - compile before the first block is timed
        self._space, self._numbers, self._session = space, numbers, session
        self._groups = groups_of(session.plan, numbers)
        self._stack = _FeatureStack(session, self._groups, _learned(session))
        self._first = session.first
        days_ns, self._days = _days(session)
        self._held = holding_growth(session, days_ns)
        self._samples, self._of_day = np.unique(self._days, return_inverse=True)
        self._threads = max(1, threads)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="sweep")
        self._workspaces = [
            _Workspace(session, self._stack, self._samples) for _ in range(self._threads)
        ]

    def evaluate(self, block: Sequence[Setting]) -> list[dict[str, Any]]:
        """Return the rows of a block, in its order."""
        rows: list[dict[str, Any]] = []
        for part in self._stack.parts(block):
            rows += self._part(part)
        return rows

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _part(self, part: Sequence[Setting]) -> list[dict[str, Any]]:
        """Run settings whose features fit into memory together."""
        refused = [self._numbers.refused(each) for each in part]
        going = [at for at, problem in enumerate(refused) if not problem]
        vectors = self._numbers.vectors([part[at] for at in going])
        self._spread(self._stack.fills([part[at] for at in going], vectors))
        measured = Measured.room(len(going), len(self._days), self._session)
        self._spread(
            _Run(self, part[at], vectors[row], measured, row) for row, at in enumerate(going)
        )
        figures = iter(figures_of_many(measured, self._session, self._held))
        return [
            failed_row(self._space, setting, problem)
            if problem
            else row_of(self._space, setting, next(figures))
            for setting, problem in zip(part, refused, strict=True)
        ]

    def _spread(self, jobs: Iterator[Callable[[_Workspace], None]]) -> None:
        """Run jobs in the threads, each with its own workspace, as they become free."""
        lock = threading.Lock()

        def work(workspace: _Workspace) -> None:
            while True:
                with lock:
                    job = next(jobs, None)
                if job is None:
                    return
                job(workspace)

        for done in [self._pool.submit(work, workspace) for workspace in self._workspaces]:
            done.result()

    def run(
        self, workspace: _Workspace, setting: Setting, vector: Floats, out: Measured, row: int
    ) -> None:
        """Trade one setting in a thread's memory and store the numbers for its metrics."""
        capital = self._numbers.capital(setting)
        workspace.begin(capital, vector, self._stack.rows_of(setting))
        trade, at, last = self._session.plan.module.trade, self._first, self._session.aligned.times
        while at < last:
            at = trade(at, last, workspace.table)
            workspace.read_log()
        daily, times = workspace.daily(self._of_day), last - self._first
        out.keep(row, capital, workspace.state, daily, times, shorted=workspace.shorted)


@dataclass(frozen=True, slots=True)
class _Run:
    """One setting as a job."""

    evaluator: CompiledEvaluator
    setting: Setting
    vector: Floats
    out: Measured
    row: int

    def __call__(self, workspace: _Workspace) -> None:
        self.evaluator.run(workspace, self.setting, self.vector, self.out, self.row)


def _learned(session: Session) -> Floats | None:
    """Return features and predictions of a strategy with a model; no setting changes them."""
    if session.strategy.model is None:
        return None
    from septet._shell.model_layer import learn_walk, move_first

    batch = Batch(session.plan, session.aligned, session.plan.state(1.0, session.instruments))
    batch.observe(0, session.aligned.times)
    learned = learn_walk(session, batch.F, None)
    if any(each.verdict == "halt" for each in learned.health.readings):
        raise ModelHalts
    move_first(session, learned)
    return batch.F


class ModelHalts(Exception):
    """The model's health halts the run, which these evaluators do not support."""


def _days(session: Session) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the starts of days, and the indices of the times at which their equity is sampled."""
    known = session.aligned.T[layout.KNOWN, session.first :]
    calendar = market_day_calendar(session.market)
    numbers = np.arange(session.first, session.aligned.times, dtype=np.float64)
    days_ns, rows = st.sample_days(
        known,
        numbers,
        sessions=calendar != "24x7",
        ends_inside=ends_inside(session.market, int(known[-1])),
        session_close=session_close(calendar, int(known[-1])),
        day_start=format_day_time(session.strategy.day_start),
        time_zone=session.strategy.time_zone,
    )
    return days_ns, rows.astype(np.int64)


class _FeatureStack:
    """Variants of features, stacked in F."""

    def __init__(self, session: Session, groups: Groups, learned: Floats | None) -> None:
        self._session, self._groups = session, groups
        plan, aligned = session.plan, session.aligned
        count, self.height = len(plan.symbols), plan.rows.F
        setting_bytes = count * self.height * aligned.width * 8
        most = max(groups.sizes, default=1)
        self.room = (
            1 if learned is not None else max(1, min(most, FEATURE_BYTES // max(1, setting_bytes)))
        )
        self.F = learned
        if learned is None:
            self.F = np.zeros((count, self.height * self.room, aligned.width))
        self._fixed = learned is not None
        self._at: list[dict[tuple[int, ...], int]] = [{} for _ in groups.axes]
        self._used = 0

    def parts(self, block: Sequence[Setting]) -> Iterator[Sequence[Setting]]:
        """Divide a block so that the variants of each part fit."""
        if len(block) > 1 and self._needs(block) > self.room:
            half = len(block) // 2
            yield from self.parts(block[:half])
            yield from self.parts(block[half:])
        elif block:
            yield block

    def _needs(self, block: Sequence[Setting]) -> int:
        counts = (len({self._groups.of(g, each) for each in block}) for g in self._groups.numbers)
        return max(counts, default=1)

    def rows_of(self, setting: Setting) -> npt.NDArray[np.int64]:
        """Return the rows of F that contain the features of a setting."""
        rows = np.arange(self.height)
        for group in self._groups.numbers:
            slot = self._at[group][self._groups.of(group, setting)]
            group_rows = self._groups.rows[group]
            rows[group_rows] = group_rows + slot * self.height
        return rows

    def fills(self, part: Sequence[Setting], vectors: Floats) -> Iterator[Callable[..., None]]:
        """Yield jobs that compute the missing variants of a part."""
        if self._fixed or not part:
            return
        if self._missing(part) and self._used + self._missing(part) > self.room:
            self._at = [{} for _ in self._at]
            self._used = 0
        queues: list[list[int]] = []
        for group in self._groups.numbers:
            seen = self._at[group]
            fresh: dict[tuple[int, ...], int] = {}
            for number, setting in enumerate(part):
                variant = self._groups.of(group, setting)
                if variant not in seen and variant not in fresh:
                    fresh[variant] = number
            for slot, variant in enumerate(fresh):
                seen[variant] = self._used + slot
            queues.append(list(fresh.values()))
        count = max(map(len, queues), default=0)
        if not self._used and not count:
            count, queues = 1, [[0]]
        for slot in range(count):
            mixed = vectors[0].copy()
            for group, queue in zip(self._groups.numbers, queues, strict=False):
                if slot < len(queue):
                    chosen = self._groups.parameters[group]
                    mixed[chosen] = vectors[queue[slot], chosen]
            yield _FeatureFill(mixed, self._used + slot)
        self._used += count

    def _missing(self, part: Sequence[Setting]) -> int:
        counts = (
            len({self._groups.of(g, each) for each in part} - self._at[g].keys())
            for g in self._groups.numbers
        )
        return max(counts, default=0)


@dataclass(frozen=True, slots=True)
class _FeatureFill:
    """Computes every feature with some numbers into one slot of the stack."""

    vector: Floats
    slot: int

    def __call__(self, workspace: _Workspace) -> None:
        workspace.observe(self.vector, self.slot)


@dataclass
class _Workspace:
    """Memory of one thread: an account, a book, a curve, and a log that is overwritten."""

    session: Session
    stack: _FeatureStack
    samples: npt.NDArray[np.int64]
    arrays: Arrays = field(init=False)
    parameters: Floats = field(init=False)
    state: State = field(init=False)
    shorted: bool = False
    _fresh: State = field(init=False)

    def __post_init__(self) -> None:
        session, plan, aligned = self.session, self.session.plan, self.session.aligned
        count, rows = len(plan.symbols), plan.rows
        self._fresh = plan.state(1.0, session.instruments)
        self.state = self._fresh.copy()
        assert self.stack.F is not None
        self.parameters = plan.parameters.copy()
        self.arrays = arrays_of(
            plan, self.state, LOG_ROWS + 64 * count,
            T=aligned.T, M=aligned.M, X=aligned.X, U=aligned.U, F=self.stack.F,
            D=np.zeros((count, rows.D, aligned.width), np.int8),
            Y=np.empty((count, max(1, rows.Y), aligned.width + 2 if rows.Y else 1)),
            G=np.zeros((1, max(1, len(self.samples)))), Q=self.samples,
            W=tile_of(count), DUE=aligned.DUE, **plan.parameters_of(self.parameters),
        )  # fmt: skip
        self.table = self.arrays.table
        slot, F = self.stack.height * aligned.width, self.stack.F
        self._tables = [self.arrays.seen("F", F, first=-slot * n) for n in range(self.stack.room)]

    def begin(self, capital: float, vector: Floats, rows: npt.NDArray[np.int64]) -> None:
        """Start a setting: set its cash, its numbers, and the rows of its features."""
        self.state.put(self._fresh)
        self.shorted = False
        self.state.A[list(self.session.plan.capital_slots)] = capital
        self.parameters[:] = vector
        for name, values in self.session.plan.rows_of(rows).items():
            self.arrays[name][:] = values

    def read_log(self) -> None:
        """Note whether a trade was short; the log of a setting is then overwritten."""
        rows = self.arrays["LI"][: int(self.state.C[layout.LOG])]
        if not self.shorted:
            self.shorted = bool(((rows[:, 0] == layout.TRADE) & (rows[:, 5] < 0)).any())
        self.state.C[layout.LOG] = 0

    def daily(self, of_day: npt.NDArray[np.int64]) -> Floats:
        """Return equity at the starts of days, by the index of each day's sample."""
        return np.asarray(self.arrays["G"][layout.G_EQUITY, of_day])

    def observe(self, vector: Floats, slot: int) -> None:
        """Compute every feature into a slot of the stack."""
        self.state.S[:] = 0.0
        self.parameters[:] = vector
        self.session.plan.module.observe(0, self.session.aligned.times, self._tables[slot])
