"""Trial fit on a few synthetic rows: finds parameters that an estimator rejects before a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from septet._data.bars import Floats
from septet._learn.fitting import Fitted, Recipe, Untrainable, Window
from septet._learn.stored import require_readable
from septet._learn.trainer import CopyError, EstimatorTrainer
from septet.errors import InputError, SeptetError

__all__ = ["Refusal", "trial_fit"]

_FEW_ROWS: Final = 500
_MANY_ROWS: Final = 5_000
_ROUNDS: Final = 3
_ROUND_NAMES: Final = ("n_estimators", "max_iter")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a trial failed; `is_certain` where it fails whatever the values of the features are.

    With `is_of_storage` it fits, and a model of it cannot be stored: a walk forward runs.
    """

    error: SeptetError
    is_certain: bool
    is_of_storage: bool = False


@dataclass(frozen=True, slots=True)
class _ShortRecipe:
    """A recipe whose estimators take a few rounds in place of hundreds."""

    recipe: Recipe

    @property
    def name(self) -> str:
        return self.recipe.name

    def estimator(self, seed: int, rows: int) -> Any:
        estimator = self.recipe.estimator(seed, rows)
        try:
            for name, value in estimator.get_params(deep=True).items():
                counts = name.rpartition("__")[2] in _ROUND_NAMES and isinstance(value, int)
                if counts and value > _ROUNDS:
                    estimator.set_params(**{name: _ROUNDS})
        except Exception:  # parameters that cannot be read are refused by the fit below
            return self.recipe.estimator(seed, rows)
        return estimator


def trial_fit(trainer: Any, names: tuple[str, ...], rows: int) -> Refusal | None:
    """Fit a trainer on synthetic rows; None if it fits, or fits rows by itself.

    Parameters
    ----------
    trainer : Trainer
        As `trainer_of` makes it.
    names : tuple of str
        The features, in order.
    rows : int
        The most rows a window of the file holds.
    """
    if not isinstance(trainer, EstimatorTrainer):
        return None
    short = replace(trainer, recipe=_ShortRecipe(trainer.recipe))
    refused = None
    for count in dict.fromkeys((min(rows, _FEW_ROWS), min(rows, _MANY_ROWS))):
        refused = _refusal(short, names, count)
        if refused is None or refused.is_of_storage:
            return refused
    assert refused is not None
    return refused if rows <= _MANY_ROWS else replace(refused, is_certain=False)


def _refusal(trainer: EstimatorTrainer, names: tuple[str, ...], rows: int) -> Refusal | None:
    """Try values of both signs, then positive ones and small ones: some estimators need them."""
    first: SeptetError | None = None
    for x in _values(rows, len(names)):
        time_ns = np.arange(rows, dtype=np.int64)
        y = (x[:, 0] > np.median(x[:, 0])).astype(np.int64)
        y[::7] = 1 - y[::7]
        try:
            fitted = trainer.fit(Window(x, y, time_ns, time_ns + 1, names, 1, None))
        except (CopyError, Untrainable):  # depends on the rows
            return None
        except SeptetError as error:
            first = first or error
        else:
            if first is None:
                return _of_storage(trainer, fitted)
            return Refusal(first, is_certain=False)
    assert first is not None
    return Refusal(first, is_certain=True)


def _of_storage(trainer: EstimatorTrainer, fitted: Fitted) -> Refusal | None:
    try:
        require_readable(trainer.name, fitted.model, None)
    except InputError as error:
        return Refusal(error, is_certain=True, is_of_storage=True)
    return None


def _values(rows: int, width: int) -> Iterator[Floats]:
    draw = np.random.default_rng(0)
    x = np.ascontiguousarray(draw.standard_normal((rows, width)))
    yield x
    yield np.abs(x)
    yield np.abs(x) * 1e-6
