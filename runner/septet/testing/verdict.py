"""The decisive checks of a plugin, made in seconds: without them no stranger's source runs.

Each check is kept, failed, or not tried; what cannot be tried is never reported as kept. The step
is called as plain Python, except that one which is to be compiled is compiled once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

import numpy as np

from septet._host.contradictions import contradiction_with
from septet._host.declare import Factory, Step
from septet._host.guarded_arrays import StepError
from septet._host.plugin_calls import fault_text, is_theirs
from septet._host.sources import place_of
from septet.testing.bars import HOUR_NS
from septet.testing.budget import Budget, Spent
from septet.testing.call_effort import CALLS, calls_in, within
from septet.testing.checks import (
    ConformanceError,
    Subject,
    compiled_outputs,
    names_bind,
    placed,
    require_labels,
    same_bits,
)
from septet.testing.doubtful_answers import Doubtful, doubt_rule
from septet.testing.evaluate import Evaluation, Resolve, TooLong, resolve
from septet.testing.objects import NotTried, try_object
from septet.testing.other_process import (
    ask_elsewhere,
    differing_value,
    keep_processes,
    require_alike,
    require_values_alike,
    runs_plain,
    values_here,
)
from septet.testing.planning import plan_step
from septet.testing.plugin_outputs import (
    COMPARED_KINDS,
    TRIAL_ONLY_KINDS,
    Answers,
    Question,
    answers_to,
    written,
)
from septet.testing.ranges import DRAWS, RULES, answers_of, try_rule
from septet.testing.static import faults_of
from septet.testing.value_range import require_range
from septet_schemas.base import Config

__all__ = ["Check", "State", "decisive", "state_of"]

State = Literal["kept", "failed", "not tried", "doubtful", "watched"]
ALIKE_CHECK: Final = "alike in every process"
TRIED_BARS: Final = 150
"""Bars that are tried after a feature is ready."""
MAX_START_BARS: Final = 100_000
"""Bars that a feature may need before it is ready, and still be tried."""
MAX_READS: Final = 3_000_000
"""Reads that one trial may take: longer ones are left to the whole kit."""
COUNTED_BARS: Final = 5
"""Bars on which the calls of a plain step are counted."""
MIN_BARS: Final = 20
"""Bars that are tried of a step that does much in each."""
STARTS: Final = 4
DAY_NS: Final = 24 * HOUR_NS


@dataclass(frozen=True, slots=True)
class Check:
    """What became of one check; `message` is why it failed or was not tried."""

    name: str
    state: State
    message: str = ""


def state_of(checks: Sequence[Check]) -> State:
    """Return the state of a component: failed if anything failed, kept if all was tried.

    ``doubtful`` is a rule whose answers its kind allows, and that nobody can mean. ``watched`` is a
    feature of which a read is not proved to be of the past: it runs uncompiled, each of its reads
    watched, and one of the future ends the run.
    """
    states = {each.state for each in checks}
    worst: tuple[State, ...] = ("failed", "not tried", "doubtful", "watched")
    return next((each for each in worst if each in states), "kept" if states else "not tried")


def decisive(
    declaration: Any,
    config: Config,
    *,
    bar_ns: int = HOUR_NS,
    resolve: Resolve = resolve,
    names: Sequence[str] = (),
    budget: Budget | None = None,
) -> tuple[Check, ...]:
    """Try what a component must keep before it may run, with the settings it will run with.

    `names` are the features that a model reads; `budget` is that of its package. The first check
    that fails is the last.
    """
    budget = Budget() if budget is None else budget
    with keep_processes(begin=_is_compared(declaration)):
        return tuple(
            _make_checks(_checks(declaration, config, bar_ns, resolve, names), declaration, budget)
        )


def _is_compared(declaration: Any) -> bool:
    if not isinstance(declaration, Factory):
        return True
    is_asked = declaration.kind not in TRIAL_ONLY_KINDS or declaration.trial is not None
    return declaration.kind in COMPARED_KINDS and is_asked


def _make_checks(
    checks: Iterable[tuple[str, Callable[[], None]]], declaration: Any, budget: Budget
) -> Iterator[Check]:
    """Make checks one by one, until one fails."""
    for name, check in checks:
        try:
            budget.run(check, place_of(declaration))
        except (NotTried, Spent) as why:
            yield Check(name, "not tried", str(why))
        except Doubtful as why:
            yield Check(name, "doubtful", placed(declaration, str(why)))
        except _Watched as why:
            yield Check(name, "watched", str(why))
        except (ConformanceError, StepError) as error:
            yield Check(name, "failed", placed(declaration, str(error)))
            return
        except BaseException as error:  # a stranger's declaration may raise anything
            if not is_theirs(error):
                raise
            text = fault_text(error).removeprefix(" at").lstrip(": ")
            yield Check(name, "failed", placed(declaration, text))
            return
        else:
            yield Check(name, "kept")


class _Watched(Exception):
    """A read of a feature is not proved, so its reads are watched while it runs."""


def _checks(
    declaration: Any, config: Config, bar_ns: int, resolve: Resolve, names: Sequence[str]
) -> Iterator[tuple[str, Callable[[], None]]]:
    if isinstance(declaration, Factory):
        thing = _Object(declaration, config, bar_ns, resolve, names)
        yield "does what it is for", thing.check_answers
        if thing.is_tried and _is_compared(declaration):
            yield ALIKE_CHECK, thing.check_other_processes
        return
    subject = Subject(declaration, config, bar_ns=bar_ns, resolve=resolve)
    yield "names bind", lambda: names_bind(subject)
    yield "sees its parameters alone", lambda: _static(declaration)

    def planned() -> None:
        plan_step(declaration, config, bar_ns=bar_ns, resolve=resolve)

    if declaration.kind in RULES:
        rule = _Rule(subject)
        yield "answers what its kind may", rule.check_answers
        yield ALIKE_CHECK, rule.check_other_processes
        yield "answers what can be meant", rule.check_doubtful_answers
        yield "can be planned for a live run", planned
        yield "compiles", lambda: _compiles_rule(declaration, config)
        return
    trial = _Trial(subject)
    yield "declares itself", trial.prepare
    yield "can be planned for a live run", planned
    yield "every read is of the past", trial.check_proved_reads
    yield "inside its look-back, no future", trial.check_guarded_reads
    yield "deterministic", trial.check_repetition
    yield ALIKE_CHECK, trial.check_other_processes
    yield "values inside the declared range", trial.check_range
    yield "bars after t change nothing before", trial.check_truncation
    yield "declared memory", trial.check_memory
    yield "compiles to the same bits", trial.check_compiled


def _static(step: Step) -> None:
    found = faults_of(step)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise StepError(f"{found[0]}{more}")


def _compiles_rule(step: Step, config: Config) -> None:
    from septet.testing.rules import compiled_agrees

    compiled_agrees(step, config, draws=20)


def _require_alike_elsewhere(
    step: Step, question: Question, resolve: Resolve, here: Answers
) -> None:
    """Require what a step answers, and what it reads by a name, of other processes."""
    values = values_here(step, question, resolve)
    for each in ask_elsewhere(step, question, resolve):
        require_values_alike(values, each.values)
        require_alike(here, each.answers)


class _Object:
    """A source, a model, a monitor, a channel or a venue."""

    def __init__(
        self, built: Factory, config: Config, bar_ns: int, resolve: Resolve, names: Sequence[str]
    ) -> None:
        self.declaration, self.resolve = built, resolve
        self.question = Question(config, bar_ns, names=tuple(names))
        self.is_tried = False

    def check_answers(self) -> None:
        question = self.question
        try_object(self.declaration, question.config, names=question.names, bar_ns=question.bar_ns)
        self.is_tried = True

    def check_other_processes(self) -> None:
        """Require the answers of this process of others.

        It may keep what it likes of its process, as long as its answers do not show it: a value
        that differs is the cause of an answer that does.
        """
        values = values_here(self.declaration, self.question, self.resolve)
        others = ask_elsewhere(self.declaration, self.question, self.resolve)
        here = answers_to(self.declaration, self.question, self.resolve)
        for each in others:
            require_alike(here, each.answers, differing_value(values, each.values))


class _Rule:
    """A rule in the kit's situations, as few as will do."""

    def __init__(self, subject: Subject) -> None:
        self.step, self.config, self.bar_ns = (
            subject.declaration, subject.config, subject.bar_ns,
        )  # fmt: skip
        self.resolve = subject.resolve
        self.draws = DRAWS

    def check_answers(self) -> None:
        if not self.step.compiled:
            calls = calls_in(partial(self._answers, COUNTED_BARS))
            self.draws = within(DRAWS, COUNTED_BARS, calls / COUNTED_BARS)
        try_rule(self.step, self.config, bar_ns=self.bar_ns, draws=self.draws)

    def _answers(self, draws: int) -> list[Any]:
        return answers_of(self.step, self.config, bar_ns=self.bar_ns, draws=draws)

    def check_other_processes(self) -> None:
        """Require the answers of this process of others."""
        here = [value for _, each in self._answers(self.draws) for value in each]
        question = Question(self.config, self.bar_ns, self.draws)
        _require_alike_elsewhere(self.step, question, self.resolve, written({"answer": here}))

    def check_doubtful_answers(self) -> None:
        doubt_rule(self.step, self.config, bar_ns=self.bar_ns, draws=self.draws)


class _Trial:
    """One feature over the kit's bars, as plain Python, as few as will do."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    def prepare(self) -> None:
        """Ask the declaration when it is ready and what it remembers."""
        subject = self.subject
        wrong = contradiction_with(subject.declaration, subject.config)
        if wrong:
            raise StepError(wrong)
        none = {name: values[:0] for name, values in subject.bars(1).items()}
        empty = Evaluation(none, bar_ns=subject.bar_ns, compiled=False, resolve=subject.resolve)
        empty.run(subject.declaration, subject.config)
        self.start, self.declared = empty.start, empty.memory
        self.tried_bars, self.calls = TRIED_BARS, 0.0
        self.count = self.start + TRIED_BARS
        self.unproved = empty.unproved
        self.work, self.why_not = 0.0, ""

    def check_proved_reads(self) -> None:
        """Prove of every read, whatever the data, that it is of the past."""
        if self.unproved:
            more = f" (and {len(self.unproved) - 1} more)" if len(self.unproved) > 1 else ""
            raise _Watched(
                f"{self.unproved[0]}{more}; it runs uncompiled, each read watched, and one of the "
                "future ends the run"
            )

    def _require_possible(self) -> None:
        if self.why_not:
            raise NotTried(self.why_not)

    def _run_plain(self, bars: Any, **options: Any) -> Any:
        return self.subject.run(bars, compiled=False, **options)

    def check_guarded_reads(self) -> None:
        if self.start > MAX_START_BARS:
            self.why_not = (
                f"it needs {self.start:,} bars first, and the kit has {MAX_START_BARS:,}; "
                "its author's tests can try smaller settings (check_component)"
            )
        self._require_possible()
        options = {"compiled": False, "guarded": True, "margin": 3, "most_reads": MAX_READS}
        try:
            if self.runs_plain():
                self._try_fewer_bars(options)
            _, run = self.subject.evaluation(self.subject.bars(self.count), **options)
        except TooLong as why:
            self.why_not = (
                f"{why} in {self.tried_bars} bars; its author's tests can try smaller settings"
            )
            raise NotTried(self.why_not) from None
        self.work = (run.reads + 8 * run.calls) / self.tried_bars

    def runs_plain(self) -> bool:
        """Whether it, or a feature inside it, is called as plain Python in a run."""
        subject = self.subject
        try:
            return runs_plain(subject.declaration, subject.config, subject.resolve)
        except Exception:  # the other checks report what is wrong with an inner feature
            return False

    def _try_fewer_bars(self, options: Mapping[str, Any]) -> None:
        """Try fewer bars where each takes many calls, counted on the first ones."""
        bars = self.subject.bars(self.start + COUNTED_BARS)
        self.calls = calls_in(partial(self.subject.evaluation, bars, **options)) / COUNTED_BARS
        self.tried_bars = within(TRIED_BARS, MIN_BARS, self.calls)
        self.count = self.start + self.tried_bars

    def check_other_processes(self) -> None:
        """Require the values of this process of others."""
        self._require_possible()
        subject = self.subject
        question = Question(subject.config, subject.bar_ns, self.count)
        here = written(self.whole)
        _require_alike_elsewhere(subject.declaration, question, subject.resolve, here)

    def check_range(self) -> None:
        """Require of every value that it lies in the range that is declared for it."""
        self._require_possible()
        subject = self.subject
        require_labels(subject.declaration, self.whole)
        columns = subject.bars(self.count)
        require_range(subject.declaration, subject.config, self.whole, columns)

    def check_repetition(self) -> None:
        self._require_possible()
        bars = self.subject.bars(self.count)
        before = {name: values.copy() for name, values in bars.items()}
        self.whole = self._run_plain(bars)
        _require_same(self.whole, self._run_plain(bars), "two runs over the same bars differ")
        for name, values in before.items():
            if not np.array_equal(values, bars[name], equal_nan=values.dtype.kind == "f"):
                raise StepError(f"it writes to its input {name}")

    def check_truncation(self) -> None:
        self._require_possible()
        bars = self.subject.bars(self.count)
        for back in (self.tried_bars // 3, self.tried_bars // 2):
            count = self.count - back
            cut = self._run_plain({name: values[:count].copy() for name, values in bars.items()})
            until = {name: values[:count] for name, values in self.whole.items()}
            _require_same(until, cut, f"bars after {count} change what came before")

    def check_memory(self) -> None:
        kind = self.declared.kind
        if kind == "unbounded":
            return  # declared to depend on everything; refused in models and rules
        held = self.declared.bars
        if kind == "anchored":  # two weeks
            held = max(24 * 14, -(-14 * DAY_NS // self.subject.bar_ns))
        spread, tail = 60, 60
        self._require_possible()
        bars = max(0, held + spread + tail - self.count) + self.tried_bars
        calls = (held + spread + tail) * self.calls
        if bars * self.work * (STARTS + 1) > MAX_READS or calls > 4 * CALLS:
            raise NotTried(
                f"a memory of {held:,} bars takes too long uncompiled; its author's tests can try "
                "smaller settings (check_component)"
            )
        columns = self.subject.bars(held + spread + tail)
        whole = self._run_plain(columns)
        for start in np.random.default_rng(13).integers(1, spread, STARTS).tolist():
            later = self._run_plain(
                {name: values[start:].copy() for name, values in columns.items()}
            )
            _require_same(
                {name: values[-tail:] for name, values in whole.items()},
                {name: values[-tail:] for name, values in later.items()},
                f"it declares a {kind} memory of {held} bars, and history begun {start} bars later "
                "still shows",
            )

    def check_compiled(self) -> None:
        self._require_possible()
        if not self.subject.declaration.compiled:
            return
        found = compiled_outputs(self.subject, self.subject.bars(self.count))
        _require_same(found, self.whole, "compiled and plain differ")


def _require_same(a: Any, b: Any, what: str) -> None:
    for name, values in a.items():
        wrong = np.flatnonzero(~same_bits(np.ascontiguousarray(values), b[name].copy()))
        if len(wrong):
            at = int(wrong[0])
            raise StepError(f"{what}: {name} at bar {at} is {values[at]!r} or {b[name][at]!r}")
