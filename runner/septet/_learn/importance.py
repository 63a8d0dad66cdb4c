"""Importance of features: the loss of score when one is shuffled, out of sample."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from septet._data.bars import Floats, Ints
from septet._learn.dataset import Dataset
from septet._learn.labels import Labels
from septet._learn.scores import auc
from septet._learn.walk_forward_models import OK, Walk

__all__ = ["Importance", "importance_of"]

_ROWS: Final = 5_000
_REPEATS: Final = 3


class Importance(msgspec.Struct, frozen=True):
    """By feature name: mean and spread of the AUC lost, and the estimators' own measure.

    `permutation` and `spread` are empty without scored rows of both classes; `impurity` is
    empty where the estimator has none.
    """

    permutation: Mapping[str, float]
    spread: Mapping[str, float]
    impurity: Mapping[str, float]


def _sample(walk: Walk, labels: Labels) -> Ints:
    """Scored out-of-sample rows, evenly spread over the walk when there are many."""
    rows = np.flatnonzero((walk.row_state == OK) & np.isfinite(labels.value))
    if len(rows) > _ROWS:
        rows = rows[np.linspace(0, len(rows) - 1, _ROWS).astype(np.int64)]
    return rows


def _shuffled(walk: Walk, x: Floats, owner: Ints, column: int, order: Ints) -> Floats:
    """Predict every row by its own model, one column in another order within the model's rows."""
    up = np.empty(len(x))
    for number in np.unique(owner):
        own_rows = np.flatnonzero(owner == number)
        served = walk.models[int(number)].model
        if served is None:
            raise ValueError("a row was predicted by a window without a model")
        block = x[own_rows].copy()
        block[:, column] = block[np.argsort(order[own_rows], kind="stable"), column]
        up[own_rows] = served.predict(block)
    return up


def importance_of(walk: Walk, dataset: Dataset, labels: Labels, *, seed: int = 0) -> Importance:
    """Permutation importance on out-of-sample rows, by the models that predicted them.

    Parameters
    ----------
    walk, dataset, labels : Walk, Dataset, Labels
        Up to 5,000 scored rows are used, three shuffles each.
    seed : int
        Of the shuffles.

    Returns
    -------
    Importance
        AUC lost when one feature is shuffled among the rows of the same model (Breiman 2001).
    """
    rows, names = _sample(walk, labels), dataset.feature_names
    own = [each.importance for each in walk.models if each.importance is not None]
    impurity = dict(zip(names, np.mean(own, axis=0).tolist(), strict=True)) if own else {}
    label = labels.value[rows]
    base = auc(walk.row_up[rows], label)
    if not math.isfinite(base):
        return Importance({}, {}, impurity)
    x, owner = np.ascontiguousarray(dataset.x[rows]), walk.row_model[rows]
    chance = np.random.default_rng(seed)
    orders = [chance.permutation(len(rows)) for _ in range(_REPEATS)]
    means, spreads = {}, {}
    for column, name in enumerate(names):
        lost = [base - auc(_shuffled(walk, x, owner, column, order), label) for order in orders]
        means[name], spreads[name] = float(np.mean(lost)), float(np.std(lost))
    return Importance(means, spreads, impurity)
