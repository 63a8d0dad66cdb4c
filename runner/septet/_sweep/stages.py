"""Settings that may be pruned: evaluated by the compiled plan, one span of history at a time.

Every setting of a block has an account of its own, and they advance together from stage to stage,
so that settings that are given up cost nothing more, and the others continue where they were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from septet._sweep.compiled import CompiledEvaluator, _Workspace
from septet._sweep.evaluate import GiveUp
from septet._sweep.metrics_of_rows import Measured, figures_of_many
from septet._sweep.setting_row import failed_row, row_of
from septet._sweep.space import Setting

__all__ = ["StagedEvaluator"]


@dataclass
class _StagedRun:
    """A setting in progress: its account, and the time it has reached."""

    setting: Setting
    capital: float
    workspace: _Workspace
    at: int


@dataclass(frozen=True, slots=True)
class _AdvanceJob:
    """One run as a job, up to a time."""

    evaluator: StagedEvaluator
    staged_run: _StagedRun
    stop: int

    def __call__(self, workspace: _Workspace) -> None:
        self.evaluator.advance(self.staged_run, self.stop)


class StagedEvaluator(CompiledEvaluator):
    """Runs settings through one plan in stages; each row is that of the uninterrupted run."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._own = list(self._workspaces)

    def evaluate_in_stages(
        self, block: Sequence[Setting], shares: Sequence[float], give_up: GiveUp
    ) -> list[dict[str, Any]]:
        """Return the rows of a block, in its order; settings that are given up are `pruned`."""
        rows: list[dict[str, Any]] = []
        for part in self._stack.parts(block):
            rows += self._staged(part, shares, give_up)
        return rows

    def advance(self, staged_run: _StagedRun, stop: int) -> None:
        """Trade one setting up to a time."""
        trade, workspace = self._session.plan.module.trade, staged_run.workspace
        while staged_run.at < stop:
            staged_run.at = trade(staged_run.at, stop, workspace.table)
            workspace.read_log()

    def _staged(
        self, part: Sequence[Setting], shares: Sequence[float], give_up: GiveUp
    ) -> list[dict[str, Any]]:
        problems = {each.number: (self._numbers.refused(each), "failed") for each in part}
        going = [each for each in part if not problems[each.number][0]]
        staged_runs = self._start_runs(going)
        last = self._session.aligned.times
        for stage, share in enumerate(shares):
            stop = self._first + int((last - self._first) * share)
            self._spread(iter([_AdvanceJob(self, each, stop) for each in staged_runs]))
            pruned = give_up(stage, self._goals(staged_runs, stop))
            problems.update((number, (why, "pruned")) for number, why in pruned.items())
            staged_runs = [each for each in staged_runs if each.setting.number not in pruned]
        self._spread(iter([_AdvanceJob(self, each, last) for each in staged_runs]))
        numbers = [each.setting.number for each in staged_runs]
        done = dict(zip(numbers, self._figures(staged_runs, last), strict=True))
        return [
            row_of(self._space, each, done[each.number])
            if each.number in done
            else failed_row(self._space, each, *problems[each.number])
            for each in part
        ]

    def _start_runs(self, going: Sequence[Setting]) -> list[_StagedRun]:
        """Compute the features of some settings, and create an account for each."""
        vectors = self._numbers.vectors(going)
        self._spread(self._stack.fills(going, vectors))
        while len(self._own) < len(going):
            self._own.append(_Workspace(self._session, self._stack, self._samples))
        staged_runs = []
        for setting, vector, workspace in zip(going, vectors, self._own, strict=False):
            capital = self._numbers.capital(setting)
            workspace.begin(capital, vector, self._stack.rows_of(setting))
            staged_runs.append(_StagedRun(setting, capital, workspace, self._first))
        return staged_runs

    def _figures(self, staged_runs: Sequence[_StagedRun], stop: int) -> list[dict[str, Any]]:
        """Return metrics of some settings up to a time.

        At the last bar they are those of their rows.
        """
        days = self._of_day[: int((self._days < stop).sum())]
        measured = Measured.room(len(staged_runs), len(days), self._session)
        for row, staged_run in enumerate(staged_runs):
            daily = staged_run.workspace.daily(days)
            times = stop - self._first
            workspace = staged_run.workspace
            measured.keep(
                row, staged_run.capital, workspace.state, daily, times, shorted=workspace.shorted
            )
        return figures_of_many(measured, self._session, self._held)

    def _goals(self, staged_runs: Sequence[_StagedRun], stop: int) -> Mapping[int, float | None]:
        goal = self._space.goal
        rows = self._figures(staged_runs, stop) if stop > self._first else []
        return {
            staged_run.setting.number: figures[goal]
            for staged_run, figures in zip(staged_runs, rows, strict=False)
            if figures[goal] is None or np.isfinite(figures[goal])
        }
