"""Settings that may be given up before the end: the compiled way, in stretches of the history.

Every setting of a block has an account of its own, and they advance together from stage to stage,
so that settings that are given up cost nothing more, and the others continue where they were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from septet._sweep.compiled import CompiledEvaluator, _Place
from septet._sweep.evaluate import GiveUp
from septet._sweep.metrics_of_rows import Measured, figures_of_many
from septet._sweep.setting_row import failed_row, row_of
from septet._sweep.space import Setting

__all__ = ["StagedEvaluator"]


@dataclass
class _Course:
    """A setting on its way: its account, and the time it has reached."""

    setting: Setting
    capital: float
    place: _Place
    at: int


@dataclass(frozen=True, slots=True)
class _Stretch:
    """One course as a job, up to a time."""

    evaluator: StagedEvaluator
    course: _Course
    stop: int

    def __call__(self, place: _Place) -> None:
        self.evaluator.advance(self.course, self.stop)


class StagedEvaluator(CompiledEvaluator):
    """Runs settings through one plan in stretches; each row is that of the unbroken run."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._own = list(self._places)

    def evaluate_in_stages(
        self, block: Sequence[Setting], shares: Sequence[float], give_up: GiveUp
    ) -> list[dict[str, Any]]:
        """Return the rows of a block, in its order; settings that are given up are `pruned`."""
        rows: list[dict[str, Any]] = []
        for part in self._stack.parts(block):
            rows += self._staged(part, shares, give_up)
        return rows

    def advance(self, course: _Course, stop: int) -> None:
        """Trade one setting up to a time."""
        trade, place = self._session.plan.module.trade, course.place
        while course.at < stop:
            course.at = trade(course.at, stop, place.table)
            place.read_log()

    def _staged(
        self, part: Sequence[Setting], shares: Sequence[float], give_up: GiveUp
    ) -> list[dict[str, Any]]:
        problems = {each.number: (self._numbers.refused(each), "failed") for each in part}
        going = [each for each in part if not problems[each.number][0]]
        courses = self._start_courses(going)
        last = self._session.aligned.times
        for stage, share in enumerate(shares):
            stop = self._first + int((last - self._first) * share)
            self._spread(iter([_Stretch(self, each, stop) for each in courses]))
            pruned = give_up(stage, self._goals(courses, stop))
            problems.update((number, (why, "pruned")) for number, why in pruned.items())
            courses = [each for each in courses if each.setting.number not in pruned]
        self._spread(iter([_Stretch(self, each, last) for each in courses]))
        numbers = [each.setting.number for each in courses]
        done = dict(zip(numbers, self._figures(courses, last), strict=True))
        return [
            row_of(self._space, each, done[each.number])
            if each.number in done
            else failed_row(self._space, each, *problems[each.number])
            for each in part
        ]

    def _start_courses(self, going: Sequence[Setting]) -> list[_Course]:
        """Compute the features of some settings, and give each an account at the beginning."""
        vectors = self._numbers.vectors(going)
        self._spread(self._stack.fills(going, vectors))
        while len(self._own) < len(going):
            self._own.append(_Place(self._session, self._stack, self._samples))
        courses = []
        for setting, vector, place in zip(going, vectors, self._own, strict=False):
            capital = self._numbers.capital(setting)
            place.begin(capital, vector, self._stack.rows_of(setting))
            courses.append(_Course(setting, capital, place, self._first))
        return courses

    def _figures(self, courses: Sequence[_Course], stop: int) -> list[dict[str, Any]]:
        """Figures of some settings up to a time; at the end of the bars those of their rows."""
        days = self._of_day[: int((self._days < stop).sum())]
        measured = Measured.room(len(courses), len(days), self._session)
        for row, course in enumerate(courses):
            daily = course.place.daily(days)
            times = stop - self._first
            place = course.place
            measured.keep(row, course.capital, place.state, daily, times, shorted=place.shorted)
        return figures_of_many(measured, self._session, self._held)

    def _goals(self, courses: Sequence[_Course], stop: int) -> Mapping[int, float | None]:
        goal = self._space.goal
        rows = self._figures(courses, stop) if stop > self._first else []
        return {
            course.setting.number: figures[goal]
            for course, figures in zip(courses, rows, strict=False)
            if figures[goal] is None or np.isfinite(figures[goal])
        }
