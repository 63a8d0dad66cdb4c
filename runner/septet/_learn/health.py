"""Health of a model, measured at each time with the data known by then.

At the first decision time of every UTC day (of five bars where these are longer, counted from the
Unix epoch) that brought something new, the last predictions whose labels are known are scored, and
the last feature rows are compared with the training window. Neighbouring bars share nearly all of a
window: a day apart, three readings are no longer one. A verdict is one of these:

- AUC below the floor counts when the upper end of its 95 % interval is below it; Brier score,
  hit rate and calibration only ever warn, by their own 95 % bounds. That end is in `compared`,
  and `threshold` is what decided the verdict: NaN until the window is full.
- A PSI counts when it is above the setting *and* above the 99th percentile of what blocks of the
  same length have inside the training window.
- ``retrain`` needs three verdicts running, on evidence newer than the last retrain for drift.
- ``halt`` is for an AUC that still counts when every prediction in its window comes from models
  trained after it first did: training again has not helped. Where nothing trains a model again
  (`HealthRule.retrains`) the third verdict running is ``halt``.

The reference for the predictions' own PSI is the out-of-sample predictions made over the model's
training window by three models or more; a forest's answers on its own training rows would always
differ. Chance is there also the distance of one model from the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec
import numpy as np

from septet._data.bars import Floats, Ints
from septet._host.monitoring import Reading, Verdict
from septet._learn.column_references import Reference, from_card, to_card
from septet._learn.dataset import Dataset
from septet._learn.importance import Importance, importance_of
from septet._learn.labels import Labels
from septet._learn.overlapping_windows import window_psi
from septet._learn.scores import (
    Z95,
    Bins,
    CalibrationRow,
    auc,
    auc_deviation,
    calibration_table,
    psi,
    spiegelhalter,
)
from septet._learn.walk_forward_models import OK, Walk, WalkModel

__all__ = [
    "DriftWatch",
    "Health",
    "HealthRule",
    "Reading",
    "Verdict",
    "WatchState",
    "monitor_walk",
    "readings_frame",
]

DAY_NS: Final = 86_400_000_000_000
_VERDICTS_IN_A_ROW: Final = 3
_MIN_ROWS: Final = 30
_MIN_MODELS: Final = 3
_PREDICTION: Final = "psi:prediction"


class HealthRule(msgspec.Struct, frozen=True):
    """Windows count rows of all symbols; floors and PSI bounds are plain numbers.

    `retrains` is whether the run trains the model again, by its schedule or for drift.
    """

    auc_window: int = 500
    auc_floor: float = 0.50
    auc_warn: float = 0.53
    psi_window: int = 1_000
    psi_warn: float = 0.10
    psi_retrain: float = 0.25
    every_ns: int = DAY_NS
    retrains: bool = True


class _Predicted:
    """The rows of a walk in the order in which they, and their labels, became known."""

    def __init__(self, walk: Walk, dataset: Dataset, labels: Labels) -> None:
        self.rows = np.flatnonzero(walk.row_state == OK)
        self.time_ns = dataset.time_ns[self.rows]
        scored = self.rows[np.isfinite(labels.value[self.rows])]
        order = np.argsort(labels.known_ns[scored], kind="stable")
        self.scored = scored[order]
        self.known_ns = labels.known_ns[self.scored]
        self.up, self.label = walk.row_up[self.scored], labels.value[self.scored]

    def decided_by(self, time_ns: Ints) -> Ints:
        """How many rows had been predicted by each time."""
        return np.searchsorted(self.time_ns, time_ns, side="right")

    def scored_by(self, time_ns: Ints) -> Ints:
        """How many labels of predicted rows were known by each time."""
        return np.searchsorted(self.known_ns, time_ns, side="right")


class _Shifts(msgspec.Struct, frozen=True):
    """PSI of every column at every reading of one model, `ends` rows predicted by then."""

    ends: Ints
    columns: Mapping[str, tuple[Reference, Floats]]


@dataclass(frozen=True, slots=True)
class WatchState:
    """What a watch remembers: bad readings in a row and since when, and how far it has read.

    `predictions` holds the reference for the predictions of each model, by its place in the walk.
    """

    streak: dict[str, int]
    since: dict[str, int]
    last_ns: int
    seen: list[int]
    predictions: dict[int, dict[str, Any] | None]


class DriftWatch:
    """Goes along a walk, reading the metrics in order of time.

    One watch follows one walk: it remembers how often in a row a metric was bad.
    """

    def __init__(self, dataset: Dataset, labels: Labels, rule: HealthRule) -> None:
        self._dataset, self._labels, self._rule = dataset, labels, rule
        self._every = max(rule.every_ns, 5 * dataset.bar_ns)
        self._streak: dict[str, int] = {}
        self._since: dict[str, int] = {}
        self._references: dict[tuple[int, str], Reference | None] = {}
        self._last_ns = int(dataset.time_ns[0]) - 1 if len(dataset) else 0
        self._seen = [0, 0]

    def follow(self, dataset: Dataset, labels: Labels) -> None:
        """Go on over rows that have grown at the end; what is known of the past stays."""
        self._dataset, self._labels = dataset, labels

    def forget(self, predicted: int, scored: int) -> None:
        """Leave out so many of the oldest rows, all of them read: counts begin after them."""
        self._seen = [self._seen[0] - predicted, self._seen[1] - scored]

    def kept(self) -> WatchState:
        """Return the state that readings pass on to the next ones."""
        predictions = {
            number: None if each is None else to_card(each)
            for (number, name), each in self._references.items()
            if name == _PREDICTION
        }
        return WatchState(
            dict(self._streak), dict(self._since), self._last_ns, list(self._seen), predictions
        )

    def restore(self, state: WatchState) -> None:
        """Restore another watch's state; references of features come from the models' cards."""
        self._streak, self._since = dict(state.streak), dict(state.since)
        self._last_ns, self._seen = state.last_ns, list(state.seen)
        self._references = {
            (number, _PREDICTION): None if each is None else from_card(each)
            for number, each in state.predictions.items()
        }

    def first_retrain(self, walk: Walk, from_ns: int, until_ns: int) -> int | None:
        """First time in ``(from_ns, until_ns)`` with a verdict of retrain; None for none.

        The watch stops there, and goes on from there at the next call.
        """
        for reading in self.read(walk, until_ns):
            if reading.verdict in ("retrain", "halt") and reading.time_ns > from_ns:
                return reading.time_ns
        return None

    def read(self, walk: Walk, until_ns: int) -> Iterator[Reading]:
        """Readings after the last one read and before `until_ns`, a time's together."""
        time_ns = self._dataset.time_ns
        low = int(np.searchsorted(time_ns, self._last_ns, side="right"))
        times = time_ns[low : int(np.searchsorted(time_ns, until_ns, side="left"))]
        period = np.concatenate([[self._last_ns], times]) // self._every
        return self.read_at(walk, times[np.diff(period) > 0])

    def read_at(self, walk: Walk, times: Ints) -> Iterator[Reading]:
        """Readings at decision times (int64, UTC ns, rising), a time's together."""
        predicted = _Predicted(walk, self._dataset, self._labels)
        decided, scored = predicted.decided_by(times), predicted.scored_by(times)
        shifts: dict[int, _Shifts] = {}
        for time_ns, *seen in np.column_stack([times, decided, scored]).tolist():
            self._last_ns = time_ns
            if seen == self._seen:
                continue
            self._seen = seen
            readings = [*self._scores(walk, predicted, time_ns, seen[1])]
            if seen[0] >= self._rule.psi_window:
                number = int(walk.row_model[predicted.rows[seen[0] - 1]])
                if number not in shifts:
                    shifts[number] = self._shifts_of(walk, predicted, number, decided)
                readings += self._shifts(shifts[number], walk, predicted, time_ns, seen[0])
            yield from readings

    def _scores(
        self, walk: Walk, predicted: _Predicted, time_ns: int, count: int
    ) -> Iterator[Reading]:
        rule, size = self._rule, min(count, self._rule.auc_window)
        if size < _MIN_ROWS:
            return
        span = slice(count - size, count)
        up, label, rows = predicted.up[span], predicted.label[span], predicted.scored[span]
        full, worth = size == rule.auc_window, size / self._overlap()
        area, ups = auc(up, label), float(label.mean())
        upper = area + Z95 * auc_deviation(area, ups * worth, (1.0 - ups) * worth)
        if math.isfinite(area):
            breach, caution = full and upper < rule.auc_floor, full and upper < rule.auc_warn
            verdict = self._verdict("auc", breach, caution, rows, walk, time_ns)
            bound = rule.auc_warn if caution and not breach else rule.auc_floor
            yield _scored(time_ns, "auc", (area, upper, bound), verdict, size, full)
        simple = ((up - label) ** 2, (ups_before(walk, rows) - label) ** 2)
        worse, spread = float(np.mean(simple[0] - simple[1])), float(np.std(simple[0] - simple[1]))
        room = Z95 * spread / math.sqrt(worth)
        bad, score, base = full and worse - room > 0.0, *map(float, (s.mean() for s in simple))
        found: Verdict = "warn" if bad else "ok"
        yield _scored(time_ns, "brier", (score, score - room, base), found, size, full)
        hits = float(np.mean((up > 0.5) == (label == 1.0)))
        upper = hits + Z95 * math.sqrt(hits * (1.0 - hits) / worth)
        found = "warn" if full and upper < 0.5 else "ok"
        yield _scored(time_ns, "hit_rate", (hits, upper, 0.5), found, size, full)
        z = spiegelhalter(up, label) / math.sqrt(self._overlap())
        if math.isfinite(z):
            found = "warn" if full and abs(z) > Z95 else "ok"
            yield _scored(time_ns, "calibration", (z, abs(z), Z95), found, size, full)

    def _overlap(self) -> float:
        """Labels over h bars overlap: h rows of a symbol are worth one."""
        return float(self._labels.horizon)

    def _shifts_of(self, walk: Walk, predicted: _Predicted, number: int, decided: Ints) -> _Shifts:
        """Compare every window that ends with a row of one model with its references."""
        model, size = walk.models[number], self._rule.psi_window
        ends = np.unique(decided[decided >= size])
        ends = ends[walk.row_model[predicted.rows[ends - 1]] == number]
        rows = predicted.rows[ends[0] - size : ends[-1]]
        inside = ends - (ends[0] - size)
        columns = {}
        for column, name in enumerate(self._dataset.feature_names):
            reference = self._reference(model, number, column, name)
            if reference is not None:
                values = np.ascontiguousarray(self._dataset.x[rows, column])
                distances = window_psi(reference.bins, values, inside, size)
                columns[f"psi:{name}"] = reference, distances
        reference = self._prediction_reference(walk, model, number)
        if reference is not None:
            distances = window_psi(reference.bins, walk.row_up[rows], inside, size)
            columns[_PREDICTION] = reference, distances
        return _Shifts(ends, columns)

    def _shifts(
        self, shifts: _Shifts, walk: Walk, predicted: _Predicted, time_ns: int, count: int
    ) -> Iterator[Reading]:
        rows = predicted.rows[count - self._rule.psi_window : count]
        place = int(np.searchsorted(shifts.ends, count))
        for metric, (reference, values) in shifts.columns.items():
            yield self._shift(metric, float(values[place]), reference, rows, walk, time_ns)

    def _shift(
        self, metric: str, value: float, reference: Reference, rows: Ints, walk: Walk, time_ns: int
    ) -> Reading:
        bound, lower = map(reference.bound, (self._rule.psi_retrain, self._rule.psi_warn))
        breach, caution = value > bound, value > lower
        verdict = self._verdict(metric, breach, caution, rows, walk, time_ns)
        decided_by = lower if caution and not breach else bound
        return Reading(time_ns, metric, value, decided_by, verdict, len(rows), compared=value)

    def _reference(self, model: WalkModel, number: int, column: int, name: str) -> Reference | None:
        key = (number, name)
        if key not in self._references:
            reference: Reference | None = None
            if model.train_rows is not None:
                values = np.ascontiguousarray(self._dataset.x[model.train_rows, column])
                reference = Reference.of(values, self._rule.psi_window)
            elif name in model.card.get("reference", {}):
                reference = from_card(model.card["reference"][name])
            self._references[key] = reference
        return self._references[key]

    def _prediction_reference(self, walk: Walk, model: WalkModel, number: int) -> Reference | None:
        key = (number, _PREDICTION)
        if key not in self._references:
            reference: Reference | None = None
            first_ns = _trained_from(model, self._dataset)
            if first_ns is not None:
                time_ns = self._dataset.time_ns
                inside = (time_ns >= first_ns) & (time_ns <= model.trained_to_ns)
                earlier = np.flatnonzero(inside & (walk.row_state == OK))
                reference = _earlier_predictions(walk, earlier, self._rule.psi_window)
            self._references[key] = reference
        return self._references[key]

    def _verdict(
        self, metric: str, breach: bool, caution: bool, rows: Ints, walk: Walk, time_ns: int
    ) -> Verdict:
        if not breach:
            self._streak[metric] = 0
            return "warn" if caution else "ok"
        self._streak[metric] = self._streak.get(metric, 0) + 1
        if self._streak[metric] == 1:
            self._since[metric] = time_ns
        if self._streak[metric] < _VERDICTS_IN_A_ROW:
            return "warn"
        if metric == "auc" and not self._rule.retrains:
            return "halt"
        mute = max(
            (m.ready_ns for m in walk.models if m.cause == "drift" and m.trained_to_ns < time_ns),
            default=None,
        )
        if mute is not None and int(self._dataset.time_ns[rows].min()) < mute:
            return "warn"
        made_by = np.unique(walk.row_model[rows])
        youngest = min(walk.models[int(each)].trained_to_ns for each in made_by)
        return "halt" if metric == "auc" and youngest > self._since[metric] else "retrain"


def _scored(
    time_ns: int, metric: str, figures: tuple[float, float, float], verdict: Verdict, size: int,
    full: bool,
) -> Reading:  # fmt: skip
    """Reading of a value, an end of its interval and a bound: none until the window is full."""
    value, compared, bound = figures
    threshold = bound if full else math.nan
    return Reading(time_ns, metric, value, threshold, verdict, size, compared=compared)


def _trained_from(model: WalkModel, dataset: Dataset) -> int | None:
    """Time of the first row a model of the walk was fitted on; a stored one has none here."""
    if model.train_rows is not None:
        return int(dataset.time_ns[model.train_rows[0]])
    return None if model.cause == "stored" else model.card.get("first_row_ns")


def _earlier_predictions(walk: Walk, rows: Ints, window: int) -> Reference | None:
    """Out-of-sample predictions of earlier models, and the distance of one from the others.

    Every model calibrates anew, so chance is also what separates one model's predictions from
    those of the rest. Fewer than three models, or rows than a window, give no reference.
    """
    up, owner = walk.row_up[rows], walk.row_model[rows]
    names, counts = np.unique(owner, return_counts=True)
    names = names[counts >= _MIN_ROWS]
    if len(rows) <= window or len(names) < _MIN_MODELS:
        return None
    apart = [psi(Bins.of(up[owner != each]), up[owner == each]) for each in names]
    reference = Reference.of(up, window)
    return replace(reference, chance=max(reference.chance, *apart))


def ups_before(walk: Walk, rows: Ints) -> Floats:
    """Share of rows up in training, of the model that predicted each row: the simplest forecast."""
    shares = []
    for each in walk.models:
        total = each.card.get("rows", 0)
        shares.append(each.card["rows_up"] / total if total else 0.5)
    return np.array(shares)[walk.row_model[rows]]


@dataclass(frozen=True, slots=True)
class Health:
    """Everything the monitors of a model found.

    `readings` in order of time; `calibration` over all scored rows; `importance` by feature.
    """

    readings: tuple[Reading, ...]
    calibration: tuple[CalibrationRow, ...]
    importance: Importance
    scores: Mapping[str, float]
    _walk: Walk = field(repr=False)
    _dataset: Dataset = field(repr=False)
    _labels: Labels = field(repr=False)

    @property
    def worst(self) -> Verdict:
        """The worst verdict of the run."""
        order: tuple[Verdict, ...] = ("ok", "warn", "retrain", "halt")
        return max((each.verdict for each in self.readings), key=order.index, default="ok")

    def monitoring(self) -> Any:
        """Polars frame: time symbol metric value threshold verdict window compared."""
        return readings_frame(self.readings)

    def predictions(self) -> Any:
        """Polars frame of every row predicted: time symbol probability_up label known_ns.

        `label` and `known_ns` are null where no label became known within the data.
        """
        import polars as pl

        rows = np.flatnonzero(self._walk.row_state == OK)
        label = self._labels.value[rows]
        named = np.array(self._dataset.symbols, dtype=object)[self._dataset.symbol[rows]]
        frame = pl.DataFrame(
            {
                "time": self._dataset.time_ns[rows],
                "symbol": pl.Series(list(named), dtype=pl.String),
                "probability_up": self._walk.row_up[rows],
                "label": pl.Series(label).fill_nan(None),
                "known_ns": self._labels.known_ns[rows],
            }
        )
        known = pl.when(pl.col("label").is_null()).then(None).otherwise(pl.col("known_ns"))
        return frame.with_columns(_as_time("time"), known.alias("known_ns"))


def readings_frame(readings: Sequence[Reading]) -> Any:
    """Polars frame of readings: time symbol metric value threshold verdict window compared."""
    import polars as pl

    table = {
        "time": [each.time_ns for each in readings],
        "symbol": [each.symbol for each in readings],
        "metric": [each.metric for each in readings],
        "value": [each.value for each in readings],
        "threshold": [each.threshold for each in readings],
        "verdict": [each.verdict for each in readings],
        "window": [each.window for each in readings],
        "compared": [each.value if each.compared is None else each.compared for each in readings],
    }
    text, number, integer = pl.String(), pl.Float64(), pl.Int64()
    schema = [integer, text, text, number, number, text, integer, number]
    frame = pl.DataFrame(table, schema=dict(zip(table, schema, strict=True)))
    return frame.with_columns(_as_time("time"))


def _as_time(column: str) -> Any:
    import polars as pl

    return pl.col(column).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")


def monitor_walk(
    walk: Walk, dataset: Dataset, labels: Labels, rule: HealthRule, *, seed: int = 0
) -> Health:
    """Read every metric along a walk, as a live run would have.

    Parameters
    ----------
    walk, dataset, labels : Walk, Dataset, Labels
        The predictions, and the labels that became known. Nothing is read before it was known.
    rule : HealthRule
        Windows and bounds.
    seed : int
        Of the permutations of the importance.

    Returns
    -------
    Health
    """
    predicted = _Predicted(walk, dataset, labels)
    watch = DriftWatch(dataset, labels, rule)
    end = int(dataset.time_ns[-1]) + 1 if len(dataset) else 0
    readings = tuple(watch.read(walk, end))
    up, label = predicted.up, predicted.label
    scores = {"rows": float(len(up)), "auc": auc(up, label)}
    if len(up):
        scores["brier"] = float(np.mean((up - label) ** 2))
        scores["hit_rate"] = float(np.mean((up > 0.5) == (label == 1.0)))
    table = calibration_table(up, label) if len(up) else ()
    importance = importance_of(walk, dataset, labels, seed=seed)
    return Health(readings, table, importance, scores, walk, dataset, labels)
