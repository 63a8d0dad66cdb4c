"""Guided search: each setting is chosen by the results of earlier ones, poor ones end early.

Optuna's tree-structured Parzen estimator chooses; what it knows is kept in `study.log` beside the
rows, in Optuna's own format, so that an interrupted search goes on with it. Settings are run a
batch at a time. After an eighth, a quarter and a half of the history those whose goal was never as
good as the middle one of the finished settings at that point are given up.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from septet._config.cross_sweep import parse_where
from septet._extras import need
from septet._files import open_regular, replace_file
from septet._sweep.evaluate import Evaluator, Staged
from septet._sweep.setting_filter import holds
from septet._sweep.setting_row import failed_row
from septet._sweep.space import Axis, Setting, Space
from septet_schemas.sweep import GOALS

__all__ = ["BATCH", "SHARES", "STUDY", "Tuner", "distribution_of", "need_optuna"]

BATCH: Final = 8
"""Settings that are chosen together: the same number on every machine, so that a seed has the same
result everywhere."""
SHARES: Final = (1 / 8, 1 / 4, 1 / 2)
STUDY: Final = "study.log"
_STEP_NUMBERS: Final = (1, 2, 4)
"""Eighths of the history, by which a study numbers its intermediate values."""
_BEFORE_PRUNING: Final = 8
_REPEATS_BEFORE_DRAW: Final = 10
"""Consecutive choices without a new setting, after which one is drawn."""
_DRAWS: Final = 20_000
_WORDS: Final = {1: "an eighth", 2: "a quarter", 4: "half"}

Places = tuple[int, ...]


def need_optuna() -> Any:
    """Import Optuna without its log lines.

    Raises
    ------
    InputError
        If it is not installed.
    """
    need("optuna", "the method tpe")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


# ------------------------------------------------------------------ keys as parameters


@dataclass(frozen=True)
class _Parameter:
    """A swept key as a parameter of Optuna, and the conversion back to value indices."""

    axis: Axis
    distribution: Any
    numbers: npt.NDArray[np.float64]
    by: str

    def place(self, value: Any) -> int:
        """Return the index of the chosen value, or of the value nearest to it."""
        if self.by == "text":
            return [each.text for each in self.axis.values].index(value)
        if self.by == "place":
            return int(value)
        near = np.abs(np.log(self.numbers / value) if self.axis.log else self.numbers - value)
        return int(near.argmin())

    def value(self, place: int) -> Any:
        """Return Optuna's value for an index."""
        if self.by == "text":
            return self.axis.values[place].text
        if self.by == "place":
            return place
        number = float(self.numbers[place])
        return int(number) if self.by == "whole number" else number


def distribution_of(axis: Axis) -> tuple[Any, str]:
    """Return Optuna's distribution for the values of a key, and the kind of its values.

    A list is a choice among its texts; a range, and a draw in steps, are steps from the first to
    the last; other draws are the interval between two ends, in the logarithm if declared.
    """
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if axis.kind == "list":
        return CategoricalDistribution([each.text for each in axis.values]), "text"
    numbers = [each.number for each in axis.values]
    low, high = numbers[0], numbers[-1]
    exact = [Decimal(str(each)) for each in numbers]
    steps = {after - before for before, after in itertools.pairwise(exact)}
    are_whole = all(number == int(number) and abs(number) < 2**53 for number in numbers)
    if len(numbers) == 1:
        return IntDistribution(0, 0), "place"
    if axis.log and are_whole and steps == {Decimal(1)}:
        return IntDistribution(int(low), int(high), log=True), "whole number"
    if axis.log or (axis.drawn and len(steps) > 1):
        return FloatDistribution(low, high, log=axis.log), "number"
    if are_whole and len(steps) == 1:
        return IntDistribution(int(low), int(high), step=int(steps.pop())), "whole number"
    if axis.drawn and not axis.step:
        return FloatDistribution(low, high), "number"
    return IntDistribution(0, len(numbers) - 1), "place"


def _parameters(space: Space) -> dict[str, _Parameter]:
    parameters = {}
    for axis in space.axes:
        distribution, by = distribution_of(axis)
        numbers = np.array([each.number for each in axis.values])
        parameters[axis.key] = _Parameter(axis, distribution, numbers, by)
    return parameters


# ------------------------------------------------------------------ the search


@dataclass(frozen=True, slots=True)
class _Trial:
    """A chosen setting, with Optuna's trial."""

    setting: Setting
    trial: Any


class Tuner:
    """Chooses settings batch by batch and reports their results to Optuna.

    Settings are numbered in the order of choice; a setting that was chosen before is not run again.
    A setting that the condition excludes is reported as bad, and is not run either.
    """

    def __init__(
        self, space: Space, evaluator: Evaluator, folder: Path, log: Callable[[str], None]
    ) -> None:
        """Open the study in the folder of a sweep, or create one there."""
        self._optuna = need_optuna()
        self._space, self._evaluator, self._log = space, evaluator, log
        self._parameters = _parameters(space)
        self._distributions = {key: each.distribution for key, each in self._parameters.items()}
        self._condition = parse_where(space.where, space.keys) if space.where else None
        self._study = _study(self._optuna, space, folder / STUDY)
        self._numbers: dict[Places, int] = {}
        self._outcomes: dict[int, tuple[str, float | None]] = {}
        self._open: set[int] = set()
        self._lost: list[Any] = []
        self._restore()

    def rows(self, finished: Sequence[Mapping[str, Any]]) -> Iterator[list[dict[str, Any]]]:
        """Run settings until the requested number is reached, or there are no others.

        `finished` are the rows that are stored.
        """
        for row in finished:
            self._note(row)
        yield from self._lost_rows()
        self._open = set(self._numbers.values()) - self._outcomes.keys()
        if not isinstance(self._evaluator, Staged):
            self._log("every setting is run to the end: nothing is given up where it is run")
        while batch := self._ask():
            yield self._run(batch)

    def _note(self, row: Mapping[str, Any]) -> None:
        self._outcomes[row["setting"]] = row["status"], row[self._space.goal]

    # -------------------------------------------------------------- what was done before

    def _restore(self) -> None:
        """Restore the choices of an earlier process: numbers, and trials that it did not finish."""
        states = self._optuna.trial.TrialState
        for trial in self._study.get_trials(deepcopy=False):
            number = trial.user_attrs.get("setting")
            if number is not None:
                places = self._places(trial.params)
                self._numbers[places] = number
                self._put(number, places)
                self._lost.append(trial)
            if trial.state == states.RUNNING:
                if number is not None:
                    self._study.enqueue_trial(dict(trial.params))
                self._study.tell(trial.number, state=states.FAIL)

    def _lost_rows(self) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows that were reported to Optuna and not stored in time."""
        states = self._optuna.trial.TrialState
        missing = []
        for trial in self._lost:
            number = trial.user_attrs["setting"]
            if number in self._outcomes or trial.state not in (states.COMPLETE, states.PRUNED):
                continue
            setting = self._space.setting(number)
            if trial.user_attrs.get("why") == "given up":
                step, value = max(trial.intermediate_values.items())
                row = failed_row(self._space, setting, self._given_up(step, value), "pruned")
                self._note(row)
                yield [row]
            else:
                missing.append(setting)
        self._lost = []
        if missing:
            rows = self._evaluator.evaluate(missing)
            for row in rows:
                self._note(row)
            yield rows

    # -------------------------------------------------------------- choosing

    def _ask(self) -> list[_Trial]:
        """Choose settings that have no row; fewer than a batch if there are no others."""
        batch: list[_Trial] = []
        barren = 0
        while len(batch) < BATCH and (self._open or len(self._numbers) < len(self._space)):
            trial = self._study.ask(self._distributions)
            places = self._places(trial.params)
            number = self._numbers.get(places)
            running = {each.setting.number for each in batch}
            if number is None and self._holds(np.array([places]))[0]:
                number = self._numbers[places] = len(self._numbers)
                self._put(number, places)
            elif number is None or number in self._outcomes or number in running:
                self._notify_at_once(trial, number)
                barren += 1
                if barren >= _REPEATS_BEFORE_DRAW:
                    barren = 0
                    if not self._draw(trial.number):
                        break
                continue
            self._open.discard(number)
            barren = 0
            trial.set_user_attr("setting", number)
            batch.append(_Trial(self._space.setting(number), trial))
        return batch

    def _draw(self, seed: int) -> bool:
        """Draw a setting that was not chosen yet, to be run next; return False if none is found."""
        chance = np.random.Generator(np.random.PCG64([self._space.seed, seed]))
        sizes = [len(axis.values) for axis in self._space.axes]
        places = chance.integers(0, sizes, (_DRAWS, len(sizes)))
        for row in places[self._holds(places)].tolist():
            if tuple(row) not in self._numbers:
                pairs = zip(self._parameters.items(), row, strict=True)
                values = {key: each.value(place) for (key, each), place in pairs}
                self._study.enqueue_trial(values)
                return True
        return False

    def _holds(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        if self._condition is None:
            return np.ones(len(places), bool)
        columns = {
            key: each.numbers[places[:, axis]]
            for axis, (key, each) in enumerate(self._parameters.items())
        }
        return holds(self._condition, columns, len(places))

    def _places(self, values: Mapping[str, Any]) -> Places:
        return tuple(each.place(values[key]) for key, each in self._parameters.items())

    def _put(self, number: int, places: Places) -> None:
        """Write the values of a setting into the space."""
        assert self._space.drawn is not None
        self._space.drawn[number] = places

    # -------------------------------------------------------------- running and reporting

    def _run(self, batch: Sequence[_Trial]) -> list[dict[str, Any]]:
        settings = [each.setting for each in batch]
        trials = {each.setting.number: each.trial for each in batch}
        if isinstance(self._evaluator, Staged):
            rows = self._evaluator.evaluate_in_stages(settings, SHARES, self._pruner(trials))
        else:
            rows = self._evaluator.evaluate(settings)
        for row in rows:
            self._note(row)
            self._notify(trials[row["setting"]], *self._outcomes[row["setting"]])
        return rows

    def _pruner(self, trials: Mapping[int, Any]) -> Callable[..., Mapping[int, str]]:
        def give_up(stage: int, goals: Mapping[int, float | None]) -> dict[int, str]:
            step, pruned = _STEP_NUMBERS[stage], {}
            known = {number: value for number, value in goals.items() if value is not None}
            for number, value in known.items():
                trials[number].report(value, step)
            for number, value in known.items():
                if trials[number].should_prune():
                    pruned[number] = self._given_up(step, value)
            return pruned

        return give_up

    def _given_up(self, step: int, value: float) -> str:
        goal = self._space.goal
        return f"given up after {_WORDS[step]} of the history, with a {goal} of {value:.4g}"

    def _notify(self, trial: Any, status: str, value: float | None) -> None:
        states = self._optuna.trial.TrialState
        if status == "done" and value is not None:
            self._study.tell(trial, value)
            return
        trial.set_user_attr("why", "given up" if status == "pruned" else "no figure")
        self._study.tell(trial, state=states.PRUNED)

    def _notify_at_once(self, trial: Any, number: int | None) -> None:
        """Report a choice that is not run: excluded by the condition, or chosen before."""
        states = self._optuna.trial.TrialState
        if number is None:
            trial.set_user_attr("why", "outside")
            self._study.tell(trial, state=states.PRUNED)
        elif number in self._outcomes:
            self._notify(trial, *self._outcomes[number])
        else:  # the same as another setting of its batch
            self._study.tell(trial, state=states.FAIL)


def _study(optuna: Any, space: Space, path: Path) -> Any:
    """Open a study, or create it; an incomplete last line of an ended process is cut off."""
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    class HeldBySweep(JournalFileOpenLock):
        """Replaces Optuna's lock by nothing, since the sweep's lock excludes other processes.

        Optuna's locks are files, and one of them is a symbolic link. A process that is killed
        leaves them, and a folder with a symbolic link in it is never opened again.
        """

        def acquire(self) -> bool:
            return True

        def release(self) -> None:
            pass

    if path.exists():
        with open_regular(path) as file:
            data = file.read()
        replace_file(path, data[: data.rfind(b"\n") + 1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = optuna.storages.JournalStorage(
            JournalFileBackend(str(path), lock_obj=HeldBySweep(str(path)))
        )
        study = optuna.create_study(
            storage=storage,
            study_name="sweep",
            load_if_exists=True,
            direction="maximize" if GOALS[space.goal] else "minimize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=_BEFORE_PRUNING),
        )
        seed = np.random.SeedSequence([space.seed, len(study.get_trials(deepcopy=False))])
        study.sampler = optuna.samplers.TPESampler(seed=int(seed.generate_state(1)[0]))
    return study
