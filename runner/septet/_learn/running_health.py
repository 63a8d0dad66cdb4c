"""Health of a model while its run goes on: rows come one by one, `DriftWatch` reads them.

The readings are those that `monitor_walk` makes of the same rows: the same watch reads both. What
no later reading needs is dropped, so that memory stays bounded.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import msgspec
import numpy as np

from septet._data.bars import Floats
from septet._learn.dataset import Dataset, SymbolBars
from septet._learn.health import DriftWatch, HealthRule, Reading, WatchState
from septet._learn.labels import NEVER_NS, LabelRule, Labels, make_labels
from septet._learn.walk_forward_models import OK, Walk, WalkModel

__all__ = ["ModelFacts", "RunningHealth"]

_PRICES: Final = ("open", "high", "low", "close")
MAX_ROWS: Final = 250_000
"""Predictions that are kept for a reference of predictions; the windows come on top."""


class ModelFacts(msgspec.Struct, frozen=True):
    """What is known of a model, or of a window that gave none, without opening it.

    `rows` and `rows_up` count what it was fitted on, `first_row_ns` is the time of the first of
    those rows; `reference` describes their columns (`septet._learn.health.reference_of`).
    """

    number: int
    trained_to_ns: int
    ready_ns: int
    cause: str = "schedule"
    rows: int = 0
    rows_up: int = 0
    first_row_ns: int | None = None
    reference: dict[str, Any] = {}

    def walked(self) -> WalkModel:
        """Return it as a walk holds it."""
        card: dict[str, Any] = {"rows": self.rows, "rows_up": self.rows_up}
        if self.first_row_ns is not None:
            card["first_row_ns"] = self.first_row_ns
        if self.reference:
            card["reference"] = self.reference
        return WalkModel(
            self.number, self.trained_to_ns, self.ready_ns, NEVER_NS, NEVER_NS, self.cause,
            self.rows, None, card=card,
        )  # fmt: skip


def _integers() -> array[int]:
    return array("q")


def _parts() -> array[float]:
    return array("d")


@dataclass
class _Bars:
    """The newest bars of a symbol; `gone` older ones were dropped."""

    gone: int = 0
    segment_now: int = 0
    known: array[int] = field(default_factory=_integers)
    segment: array[int] = field(default_factory=_integers)
    prices: tuple[array[float], ...] = field(
        default_factory=lambda: tuple(array("d") for _ in _PRICES)
    )

    def cut(self, first: int) -> None:
        """Drop the bars before bar number `first` of all."""
        count = max(0, first - self.gone)
        self.gone += count
        columns: tuple[Any, ...] = (self.known, self.segment, *self.prices)
        for each in columns:
            del each[:count]

    def kept(self) -> list[bytes]:
        columns: tuple[Any, ...] = (self.known, self.segment, *self.prices)
        return [each.tobytes() for each in columns]

    def made(self, symbol: str) -> SymbolBars:
        opened, high, low, close = (np.array(each, np.float64) for each in self.prices)
        known, segment = np.array(self.known, np.int64), np.array(self.segment, np.int64)
        return SymbolBars(symbol, known, opened, high, low, close, segment)


@dataclass
class _Rows:
    """Predicted rows, in order of time: one a symbol and decision time with a prediction."""

    time: array[int] = field(default_factory=_integers)
    symbol: array[int] = field(default_factory=_integers)
    bar: array[int] = field(default_factory=_integers)
    model: array[int] = field(default_factory=_integers)
    known: array[int] = field(default_factory=_integers)
    up: array[float] = field(default_factory=_parts)
    label: array[float] = field(default_factory=_parts)
    x: array[float] = field(default_factory=_parts)

    def cut(self, count: int, width: int) -> None:
        for each in (self.time, self.symbol, self.bar, self.model, self.known, self.up, self.label):
            del each[:count]
        del self.x[: count * width]


class _Kept(msgspec.Struct):
    models: list[ModelFacts]
    bars: list[tuple[int, int, list[bytes]]]
    rows: list[bytes]
    labelled: int
    first_ns: int
    watch: dict[str, Any] | None


class RunningHealth:
    """The health of a run's models, incrementally.

    Parameters
    ----------
    symbols, feature_names
        The universe, and the columns of a model's vector.
    bar_ns
        Length of a bar.
    label, rule
        What the model is asked, and what its health is measured with.
    keep_ns
        How far back predictions are kept for the reference of later ones: the training window.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        feature_names: Sequence[str],
        bar_ns: int,
        label: LabelRule,
        rule: HealthRule,
        keep_ns: int,
    ) -> None:
        self._symbols, self._names = tuple(symbols), tuple(feature_names)
        self._bar_ns, self._label, self._rule, self._keep_ns = bar_ns, label, rule, keep_ns
        self._every = max(rule.every_ns, 5 * bar_ns)
        self._models: list[ModelFacts] = []
        self._bars = [_Bars() for _ in symbols]
        self._rows = _Rows()
        self._labelled = 0
        """Rows whose label is known, or will never be; they are the oldest."""
        self._first_ns = -1
        self._watch: DriftWatch | None = None

    # ------------------------------------------------------------------ what comes in

    def model(self, facts: ModelFacts) -> None:
        """Process a model, or a window that gave none; of two of one number the later counts."""
        for place, each in enumerate(self._models):
            if each.number == facts.number:
                self._models[place] = facts
                return
        self._models.append(facts)

    def bar(self, symbol: int, known_ns: int, age: int, prices: Sequence[float]) -> None:
        """Process a bar (open, high, low, close); `age` 0 begins a new stretch after a gap."""
        bars = self._bars[symbol]
        if self._first_ns < 0:
            self._first_ns = known_ns
        bars.segment_now += age == 0
        bars.known.append(known_ns)
        bars.segment.append(bars.segment_now)
        for column, value in zip(bars.prices, prices, strict=True):
            column.append(value)

    def row(
        self, symbol: int, time_ns: int, vector: Sequence[float], up: float, model: int
    ) -> None:
        """Process a prediction about the newest bar of a symbol, by the model of that number."""
        rows, bars = self._rows, self._bars[symbol]
        place = next((i for i, each in enumerate(self._models) if each.number == model), -1)
        if place < 0:
            return
        rows.time.append(time_ns)
        rows.symbol.append(symbol)
        rows.bar.append(bars.gone + len(bars.known) - 1)
        rows.model.append(place)
        rows.known.append(NEVER_NS)
        rows.up.append(up)
        rows.label.append(np.nan)
        rows.x.extend(vector)

    # ------------------------------------------------------------------ readings

    def due(self, time_ns: int) -> bool:
        """Whether a reading is due at a decision time: one at which a bar ended."""
        if not any(each.known and each.known[-1] == time_ns for each in self._bars):
            return False
        last = self._watch.kept().last_ns if self._watch is not None else self._first_ns - 1
        return self._first_ns >= 0 and (last // self._every + 1) * self._every <= time_ns

    def read(self, time_ns: int) -> list[Reading]:
        """Return the readings that are due at a decision time, after its bars and rows."""
        if not self.due(time_ns):
            return []
        self._label_rows()
        dataset, labels = self._dataset(), self._labels()
        if self._watch is None:
            self._watch = DriftWatch(dataset, labels, self._rule)
            start = WatchState({}, {}, self._first_ns - 1, [0, 0], {})
            self._watch.restore(start)
        self._watch.follow(dataset, labels)
        readings = list(self._watch.read_at(self._walk(), np.array([time_ns], np.int64)))
        self._forget(self._watch)
        return readings

    def _table(self) -> Floats:
        return np.array(self._rows.x, np.float64).reshape(-1, len(self._names))

    def _dataset(self, since: int = 0) -> Dataset:
        rows = self._rows
        symbol, bar = np.array(rows.symbol[since:], np.int64), np.array(rows.bar[since:], np.int64)
        cuts = np.array([each.gone for each in self._bars], np.int64)
        bars = tuple(each.made(name) for each, name in zip(self._bars, self._symbols, strict=True))
        return Dataset(
            np.ascontiguousarray(self._table()[since:]), self._names,
            np.array(rows.time[since:], np.int64), symbol, bar - cuts[symbol], bars, self._bar_ns,
        )  # fmt: skip

    def _labels(self) -> Labels:
        rows = self._rows
        value, known = np.array(rows.label, np.float64), np.array(rows.known, np.int64)
        return Labels(value, known, self._label.horizon)

    def _walk(self) -> Walk:
        rows = self._rows
        count = len(rows.time)
        return Walk(
            tuple(each.walked() for each in self._models), (), (), np.array(rows.up, np.float64),
            np.full(count, OK, np.int8), np.array(rows.model, np.int64), None,
        )  # fmt: skip

    def _label_rows(self) -> None:
        """Label the rows that have none yet."""
        rows, first = self._rows, self._labelled
        if first == len(rows.time):
            return
        labels = make_labels(self._dataset(first), self._label)
        still = True
        for place, (value, known) in enumerate(
            zip(labels.value.tolist(), labels.known_ns.tolist(), strict=True), first
        ):
            rows.label[place], rows.known[place] = value, known
            bars = self._bars[rows.symbol[place]]
            over = rows.bar[place] + self._label.horizon < bars.gone + len(bars.known)
            still = still and (value == value or over)
            if still:
                self._labelled = place + 1

    def _forget(self, watch: DriftWatch) -> None:
        """Drop the rows that no later reading looks at, and the bars that no label needs."""
        rows, rule, last_ns = self._rows, self._rule, watch.kept().last_ns
        time_ns, known = np.array(rows.time, np.int64), np.array(rows.known, np.int64)
        scored = np.flatnonzero(np.isfinite(np.array(rows.label, np.float64)))
        newest = scored[np.argsort(known[scored], kind="stable")][-rule.auc_window :]
        old = int(np.searchsorted(time_ns, last_ns - self._keep_ns))
        needed = [
            max(old, len(time_ns) - MAX_ROWS), len(time_ns) - rule.psi_window, self._labelled,
            int(np.searchsorted(time_ns, last_ns, side="right")),
            *newest.tolist(), *scored[known[scored] > last_ns].tolist(),
        ]  # fmt: skip
        count = max(0, min(needed))
        if count:
            watch.forget(count, int((scored < count).sum()))
            rows.cut(count, len(self._names))
            self._labelled -= count
        waiting = range(self._labelled, len(rows.time))
        for k, bars in enumerate(self._bars):
            first = [rows.bar[place] for place in waiting if rows.symbol[place] == k]
            bars.cut(min([bars.gone + len(bars.known) - 1, *first]))

    # ------------------------------------------------------------------ continuing

    def snapshot(self) -> bytes:
        """Everything needed to go on with the same readings."""
        rows = self._rows
        columns: tuple[Any, ...] = (
            rows.time, rows.symbol, rows.bar, rows.model, rows.known, rows.up, rows.label, rows.x,
        )  # fmt: skip
        bars = [(each.gone, each.segment_now, each.kept()) for each in self._bars]
        watch = asdict(self._watch.kept()) if self._watch is not None else None
        return msgspec.msgpack.encode(
            _Kept(
                self._models, bars, [each.tobytes() for each in columns], self._labelled,
                self._first_ns, watch,
            )
        )  # fmt: skip

    def restore(self, data: bytes) -> None:
        """Restore a snapshot."""
        snapshot = msgspec.msgpack.decode(data, type=_Kept)
        self._models, self._labelled, self._first_ns = (
            snapshot.models,
            snapshot.labelled,
            snapshot.first_ns,
        )
        self._bars = [_Bars(gone, segment) for gone, segment, _ in snapshot.bars]
        for bars, (_, _, parts) in zip(self._bars, snapshot.bars, strict=True):
            columns_of_bars: tuple[Any, ...] = (bars.known, bars.segment, *bars.prices)
            for column, part in zip(columns_of_bars, parts, strict=True):
                column.frombytes(part)
        rows = self._rows = _Rows()
        columns: tuple[Any, ...] = (
            rows.time, rows.symbol, rows.bar, rows.model, rows.known, rows.up, rows.label, rows.x,
        )  # fmt: skip
        for column, part in zip(columns, snapshot.rows, strict=True):
            column.frombytes(part)
        self._watch = None
        if snapshot.watch is not None:
            self._watch = DriftWatch(self._dataset(), self._labels(), self._rule)
            self._watch.restore(msgspec.convert(snapshot.watch, WatchState, strict=False))
