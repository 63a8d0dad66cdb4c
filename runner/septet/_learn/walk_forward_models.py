"""The walk forward: fit, decide out of sample, move on.

A row is only ever predicted by a model that was fitted before the row was known, so every
probability here is out of sample by construction.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from septet._data.bars import Floats, Ints
from septet._learn.cards import fitted_rows, iso_time
from septet._learn.dataset import Dataset
from septet._learn.fitting import Fitted, Served, Trainer, Untrainable, Window, check_served
from septet._learn.flat_model import FlatModel
from septet._learn.labels import NEVER_NS, Labels
from septet._learn.onnx_model import OnnxModel
from septet._learn.schedule import TrainingRule, model_seed, training_rows, training_times
from septet._learn.soundness import probabilities, probability
from septet._learn.stored import StoredModel, fingerprint, make_card
from septet._learn.uniqueness import uniqueness
from septet._progress import Progress
from septet.errors import ModelError, RunError

__all__ = [
    "EXPIRED",
    "NOT_FINITE",
    "NO_MODEL",
    "OK",
    "REASONS",
    "Drift",
    "Walk",
    "WalkModel",
    "answers",
    "fit_window",
    "require_unseen_span",
    "predict_checked",
    "stored_walk",
    "walk_forward",
]

OK: Final = 0
NO_MODEL: Final = 1
EXPIRED: Final = 2
NOT_FINITE: Final = 3
REASONS: Final = ("", "no_model", "expired", "not_finite")
_ROUNDING: Final = 1e-12


@dataclass(frozen=True, slots=True)
class WalkModel:
    """One window of the walk: a model, or the reason why there is none.

    It has data up to `trained_to_ns` (T_k), decides rows with ``ready_ns <= T < until_ns`` and
    is expired at ``T > expires_ns``. `cause` is ``schedule``, ``drift`` or ``stored``.
    """

    number: int
    trained_to_ns: int
    ready_ns: int
    until_ns: int
    expires_ns: int
    cause: str
    rows: int
    model: Served | None
    reason: str = ""
    fingerprint: str = ""
    card: Mapping[str, Any] = field(default_factory=dict)
    importance: Floats | None = None
    train_rows: Ints | None = None


@dataclass(frozen=True, slots=True)
class Walk:
    """Models in order of time, and their predictions for every row.

    `up` and `state` hold one array for each symbol, in bar order: the probability up (NaN where
    `state` is not `OK`) and one of `OK NO_MODEL EXPIRED NOT_FINITE`. `row_up`, `row_state` and
    `row_model` (index into `models`, -1 for none) are the same for the pooled rows.
    """

    models: tuple[WalkModel, ...]
    up: tuple[Floats, ...]
    state: tuple[npt.NDArray[np.int8], ...]
    row_up: Floats
    row_state: npt.NDArray[np.int8]
    row_model: Ints
    first_decision_ns: int | None
    _ready_ns: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ready_ns", tuple(each.ready_ns for each in self.models))

    def at(self, time_ns: int) -> WalkModel | str:
        """The model in force at a decision time, or ``no_model`` or ``expired``."""
        place = bisect_right(self._ready_ns, time_ns) - 1
        if place < 0:
            return REASONS[NO_MODEL]
        each = self.models[place]
        if each.model is None or time_ns >= each.until_ns:
            return REASONS[NO_MODEL]
        return each if time_ns <= each.expires_ns else REASONS[EXPIRED]

    def predict_row(self, time_ns: int, vector: Floats) -> tuple[float, int]:
        """Return the probability up of one vector, float64 (f,), and its state.

        The same bits as in `up` and `state`; NaN where the state is not `OK`.
        """
        current = self.at(time_ns)
        if isinstance(current, str):
            return math.nan, REASONS.index(current)
        assert current.model is not None
        return predict_checked(current.model, vector)


def predict_checked(served: Served, vector: Floats) -> tuple[float, int]:
    """Return the probability up of one vector, float64 (f,), and its state.

    The state is `OK`, or `NOT_FINITE` with a probability of NaN.
    """
    if not (isinstance(served, FlatModel) or np.isfinite(vector).all()):
        return math.nan, NOT_FINITE
    up = probability(served.predict_row(vector))
    return up, NOT_FINITE if math.isnan(up) else OK


def answers(served: Served, x: Floats) -> Floats:
    """Return the probability up of every row of `x`, float64 (n, f), as float64 (n,).

    NaN where a row is not finite, or the model gives no probability.
    """
    if isinstance(served, FlatModel):  # its own answer is NaN there
        return probabilities(served.predict(x))
    good = np.flatnonzero(np.isfinite(x).all(axis=1))
    up = np.full(len(x), np.nan)
    if len(good):
        up[good] = probabilities(served.predict(np.ascontiguousarray(x[good])))
    return up


class Drift(Protocol):
    """Watches a walk as it goes on and may ask for a model out of schedule."""

    def first_retrain(self, walk: Walk, from_ns: int, until_ns: int) -> int | None:
        """First time in ``(from_ns, until_ns)`` at which a retrain was due, None for none."""
        ...


def fit_window(
    dataset: Dataset,
    trainer: Trainer,
    labels: Labels,
    rule: TrainingRule,
    *,
    seed: int,
    trained_to_ns: int,
    number: int = 0,
    cause: str = "schedule",
) -> WalkModel:
    """Fit the model with data up to one time; nothing known later is read.

    A window with fewer than `min_rows` rows or `min_class` of a class gives no model, and the
    result states the reason. A model that learns nothing is fitted on no row at all.
    """
    rows = (
        np.zeros(0, np.int64) if rule.once else training_rows(dataset, labels, rule, trained_to_ns)
    )
    expires = NEVER_NS if rule.expire_after_ns is None else trained_to_ns + rule.expire_after_ns
    ready = rule.ready_at(trained_to_ns)
    found = WalkModel(
        number, trained_to_ns, ready, NEVER_NS, expires, cause, len(rows), None, train_rows=rows
    )
    if rule.once:
        found = replace(found, train_rows=None)
    elif len(rows) < rule.min_rows:
        return replace(found, reason=f"{len(rows)} rows to train on, fewer than {rule.min_rows}")
    y = labels.value[rows].astype(np.int64)
    ups = int(y.sum())
    for count, name in () if rule.once else ((ups, "up"), (len(rows) - ups, "down")):
        if count < rule.min_class:
            reason = f"{count} rows labelled {name}, fewer than {rule.min_class}"
            return replace(found, reason=reason)
    window = Window(
        np.ascontiguousarray(dataset.x[rows]),
        y,
        dataset.time_ns[rows],
        labels.known_ns[rows],
        dataset.feature_names,
        model_seed(seed, trained_to_ns),
        None if rule.once else _weights(dataset, labels, rows),
    )
    described = fitted_rows(window, trained_to_ns)  # a trainer may write to the window
    try:
        fitted = trainer.fit(window)
    except Untrainable as error:
        return replace(found, reason=str(error))
    if not isinstance(fitted, Fitted):
        raise RunError(
            f"the model {trainer.name}: fit returned {fitted!r:.60}, expected a Fitted",
            hint="this is a fault of the model's plugin",
        )
    if not isinstance(fitted.model, FlatModel | OnnxModel):
        check_served(trainer.name, fitted.model, np.ascontiguousarray(dataset.x[rows]))
    return replace(
        found,
        model=fitted.model,
        importance=fitted.importance,
        fingerprint=fingerprint(fitted.model),
        card=make_card(trainer, fitted, described, dataset.subject),
    )


def _weights(dataset: Dataset, labels: Labels, rows: Ints) -> Floats | None:
    """Weights of a window's rows; None where all labels are as much their own."""
    weight = uniqueness(dataset, labels.known_ns, rows)
    return None if float(np.ptp(weight)) <= _ROUNDING else weight


class _PredictionTable:
    """The pooled rows' predictions while a walk is going on."""

    def __init__(self, dataset: Dataset) -> None:
        n = len(dataset)
        self.dataset = dataset
        self.up = np.full(n, np.nan)
        self.state = np.full(n, NO_MODEL, dtype=np.int8)
        self.model = np.full(n, -1, dtype=np.int64)

    def predict(self, index: int, each: WalkModel) -> None:
        """Predict the rows in which one model is in force."""
        time_ns = self.dataset.time_ns
        low = int(np.searchsorted(time_ns, each.ready_ns, side="left"))
        span = slice(low, int(np.searchsorted(time_ns, each.until_ns, side="left")))
        self.up[span], self.state[span], self.model[span] = np.nan, NO_MODEL, -1
        if each.model is None:
            return
        self.model[span] = index
        late = int(np.searchsorted(time_ns, each.expires_ns, side="right"))
        live = slice(low, min(max(low, late), span.stop))
        self.state[live.stop : span.stop] = EXPIRED
        if live.start < live.stop:
            self.up[live] = answers(each.model, self.dataset.x[live])
            self.state[live] = np.where(np.isnan(self.up[live]), NOT_FINITE, OK)

    def walk(self, models: Sequence[WalkModel], start_ns: int | None) -> Walk:
        """Close the books."""
        decided = np.flatnonzero(self.state == OK)
        if start_ns is not None:
            decided = decided[self.dataset.time_ns[decided] >= start_ns]
        first = int(self.dataset.time_ns[decided[0]]) if len(decided) else None
        up, state = self.dataset.scatter(self.up), self.dataset.scatter(self.state)
        return Walk(tuple(models), up, state, self.up, self.state, self.model, first)


def walk_forward(
    dataset: Dataset,
    trainer: Trainer,
    labels: Labels,
    rule: TrainingRule,
    *,
    seed: int,
    start_ns: int | None = None,
    drift: Drift | None = None,
    progress: Progress | None = None,
    asked: Sequence[int] = (),
    fitted: dict[int, WalkModel] | None = None,
) -> Walk:
    """Train on schedule and predict every row out of sample.

    Parameters
    ----------
    dataset, labels : Dataset, Labels
        The rows, with those before `start_ns` that the first window needs.
    trainer : Trainer
        What a model plugin built.
    rule : TrainingRule
        The schedule.
    seed : int
        Seed of the run; a model's own is made from it and its T_k.
    start_ns : int, optional
        First decision asked for; windows that could serve no later row are not fitted.
    drift : Drift, optional
        Consulted when the rule has `on_drift`.
    progress : callable, optional
        Called with the stage `training`, windows done, windows planned, and a text.
    asked : sequence of int
        Further times with a model out of schedule, which monitors of the run asked for.
    fitted : dict, optional
        Models by their times that an earlier walk over the same rows has fitted; grows.

    Raises
    ------
    RunError
        If no window of the walk could be trained.
    """
    if not len(dataset):
        raise RunError("there are no rows to train on", hint="check the span and the data")
    board, models, last = _PredictionTable(dataset), list[WalkModel](), int(dataset.time_ns[-1])
    # the first window is whole: no model learns from less than `train` because data begins there
    whole_ns = rule.first_whole_ns(int(dataset.time_ns[0]), dataset.bar_ns)
    times = training_times(rule, whole_ns, last, start_ns)
    queue = sorted([*((each, "schedule") for each in times), *((each, "drift") for each in asked)])
    total, known = len(queue), {} if fitted is None else fitted
    fit = partial(fit_window, dataset, trainer, labels, rule, seed=seed)
    while queue:
        moment, cause = queue.pop(0)
        if progress is not None:
            progress("training", len(models), total, f"training on {len(dataset):,} rows")
        if moment not in known:
            known[moment] = fit(trained_to_ns=moment)
        model = replace(known[moment], number=len(models), cause=cause)
        _append(models, model, rule.ready_at(queue[0][0]) if queue else NEVER_NS)
        board.predict(len(models) - 1, models[-1])
        if rule.on_drift and drift is not None and model.model is not None:
            until = queue[0][0] if queue else last
            again = drift.first_retrain(board.walk(models, start_ns), model.ready_ns, until)
            if again is not None:
                queue.insert(0, (again, "drift"))
                total += 1
    if progress is not None:
        progress("training", total, total, f"trained {trainer.name}")
    if not any(each.model is not None for each in models):
        raise _untrained(dataset, models)
    return board.walk(models, start_ns)


def _append(models: list[WalkModel], model: WalkModel, until_ns: int) -> None:
    """Let a model follow the one before it, until the next decides."""
    if models:
        models[-1] = replace(models[-1], until_ns=model.ready_ns)
    models.append(replace(model, until_ns=until_ns))


def _untrained(dataset: Dataset, models: Sequence[WalkModel]) -> RunError:
    if not models:
        return RunError(
            "no training time falls into the data: it is shorter than one training window",
            hint="ask for a longer span, or shorten training.train or training.step",
        )
    finite = np.isfinite(dataset.x)
    never = [name for n, name in enumerate(dataset.feature_names) if not finite[:, n].any()]
    if never:
        return RunError(
            f"none of the {len(models)} training windows could be trained: {', '.join(never)} "
            f"{'is' if len(never) == 1 else 'are'} finite in no row",
            hint="a row trains only where every feature is finite: change the feature, or leave it "
            "out",
            key=f".features.{never[0]}",
        )
    # reasons that differ in their numbers alone are one reason; the first of them is shown
    kinds = [re.sub(r"\d+", "#", each.reason) for each in models]
    kind, times = Counter(kinds).most_common(1)[0]
    common = models[kinds.index(kind)].reason
    return RunError(
        f"none of the {len(models)} training windows could be trained; most often ({times} times): "
        f"{common}",
        hint="lengthen training.train, extend the span, or check features that are seldom finite",
    )


def require_unseen_span(stored: StoredModel, start_ns: int | None, end_ns: int) -> None:
    """Refuse a span that begins, or ends, before the last label a stored model was fitted on.

    Raises
    ------
    ModelError
        It does.
    """
    last = stored.last_label_ns
    if (start_ns is not None and start_ns <= last) or end_ns <= last:
        asked = f"up to {iso_time(end_ns)}" if start_ns is None else f"from {iso_time(start_ns)}"
        raise ModelError(
            f"the model stored at {stored.path} has seen labels up to {iso_time(last)}: a run "
            f"{asked} would predict what it was fitted on",
            hint="start after that time, or use scheme: walk_forward",
        )


def stored_walk(
    dataset: Dataset,
    stored: StoredModel,
    *,
    start_ns: int | None = None,
    expire_after_ns: int | None = None,
) -> Walk:
    """Predict every row with one stored model, after the last label it was fitted on.

    Raises
    ------
    ModelError
        If the model was fitted on labels of the span it is asked to predict.
    """
    last = stored.last_label_ns
    require_unseen_span(stored, start_ns, int(dataset.time_ns[-1]) if len(dataset) else last)
    expires = NEVER_NS if expire_after_ns is None else last + expire_after_ns
    card = stored.card
    trained_to = int(card.get("trained_to_ns", last))
    rows, print_ = int(card.get("rows", 0)), str(card["model_sha256"])
    model = WalkModel(
        0, trained_to, last + 1, NEVER_NS, expires, "stored", rows, stored.model, "", print_, card
    )
    board = _PredictionTable(dataset)
    board.predict(0, model)
    return board.walk([model], start_ns)
