"""Feature values and signals of the last bars of a session, computed by the plan's own text."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from threading import Lock
from typing import Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from septet._core.batch import Batch
from septet._data.bars import Floats
from septet._kernel import layout
from septet._plan.graph import Column
from septet._plan.plain import is_arithmetic
from septet._shell.aligned_bars import AlignedBars, column_values
from septet._shell.compile_policy import PLAIN_BARS, plain_bars
from septet._shell.session import Session, alignment_rules
from septet.errors import SeptetError

__all__ = ["FeatureValues", "cut_of", "last_values"]

LEAST_BARS: Final = 100
"""Fewest bars for which a warning is given; with fewer bars the result may be chance."""
MOST_KEPT: Final = 4
MOST_BYTES: Final = 1 << 24
"""Number and size of the values that are kept for a file that is checked again."""
_NO_INPUT: Final = frozenset({"F", "D", "Y", "G", "W", "LI", "LF", "H", "PT", "RT"})
"""Arrays that a batch creates, and arrays that only trading reads; H contains addresses."""
MODEL_WORDS: Final = frozenset({"up", "down", "confidence"})
"""Inputs of a signal from a model, whose predictions are not known before training."""

Values: TypeAlias = tuple[Floats, npt.NDArray[np.int8] | None]


class FeatureValues(msgspec.Struct, frozen=True):
    """Features of the bars from row `begin` of each symbol on; `complete`: of all of them.

    `D` holds the signals as codes; it is None if they are not known before the run.
    """

    session: Session
    aligned: AlignedBars
    F: Floats
    D: npt.NDArray[np.int8] | None
    begin: tuple[int, ...]
    complete: bool

    def ready(self, bars: int) -> npt.NDArray[np.bool_]:
        """Return a mask of the bars with at least `bars` bars of history, symbol by symbol."""
        return np.concatenate(
            [self.aligned.M[k, layout.AGE, :n] >= bars for k, n in enumerate(self.aligned.lengths)]
        )

    def column(self, name: str, k: int) -> Floats:
        """Return a column of symbol `k` as a rule reads it.

        Raises
        ------
        SeptetError
            If there is no such column.
        """
        plan = self.session.plan
        column: Column = plan.assembly.graph.column(name)
        n = self.aligned.lengths[k]
        if column.kind == "node":
            row = int(plan.assembly.rows.f[column.node, column.output])
            return np.asarray(self.F[k, row, :n])
        market, begin = self.session.market, self.begin[k]
        text = f"series:{column.name}" if column.kind == "series" else str(column)
        table = market.bars[market.symbols[k]]
        values = column_values(text, table, market, alignment_rules(self.session.strategy))
        return np.asarray(values[begin : begin + n], np.float64)

    def feature(self, name: str) -> Floats:
        """Return the values of a feature for all symbols, one symbol after the other."""
        return np.concatenate([self.column(name, k) for k in range(len(self.aligned.lengths))])

    def signal_is(self, code: int, ready: npt.NDArray[np.bool_]) -> int:
        """Return the number of bars `ready` whose signal is `code`: 0 none, 1, 2 flat, 3."""
        return int((self._codes(layout.D_SIGNAL)[ready] & layout.SIGNAL == code).sum())

    def reason_is(self, name: str, ready: npt.NDArray[np.bool_]) -> int:
        """Return the number of bars `ready` whose signal has a reason."""
        number = self.session.plan.assembly.reasons.index(name) + 1
        return int((self._codes(layout.D_REJECTED)[ready] == number).sum())

    def _codes(self, row: int) -> npt.NDArray[np.int8]:
        assert self.D is not None
        return np.concatenate([self.D[k, row, :n] for k, n in enumerate(self.aligned.lengths)])


def last_values(session: Session) -> FeatureValues | None:
    """Compute the features of the last bars, as though history began with the first of them.

    The signals are those of the plan's text, in plain Python, without exits of the account.
    At most `PLAIN_BARS` bars of all symbols together, as `plain_bars` counts them: about three
    seconds of plain Python. None where warm-up leaves too few of them.
    """
    aligned, work = session.aligned, plain_bars(session)
    times = aligned.times if work <= PLAIN_BARS else aligned.times * PLAIN_BARS // work
    cut, begin = cut_of(aligned, aligned.times - times, aligned.times)
    ages = cut.M[:, layout.AGE]
    if int((ages >= session.plan.warmup_bars).sum()) < LEAST_BARS:
        return None
    if not session.plan.is_stored:
        session.plan.run_plain()
    batch = Batch(session.plan, cut, session.plan.state(1.0, session.instruments))
    key = None if session.plan.reads_outside else _key(batch, session.plan.name)
    stored = _KEPT.get(key)
    if stored is None:
        stored = _computed(session, batch)
        if key is not None:
            _KEPT.keep(key, stored)
    features, signals = stored
    return FeatureValues(session, cut, features, signals, begin, times == aligned.times)


def _computed(session: Session, batch: Batch) -> Values:
    with np.errstate(all="ignore"):
        batch.observe(0, batch.aligned.times)
        signals = batch.D if _has_signals(session, batch) else None
    return batch.F, signals


class _Kept:
    """Values of recently checked files and data, by everything on which they depend."""

    def __init__(self) -> None:
        self._lock, self._values = Lock(), OrderedDict[bytes, Values]()

    def get(self, key: bytes | None) -> Values | None:
        with self._lock:
            if key is not None and key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
            return None

    def keep(self, key: bytes, values: Values) -> None:
        size = sum(each.nbytes for each in values if each is not None)
        if size > MOST_BYTES:
            return
        for each in values:
            if each is not None:
                each.setflags(write=False)
        with self._lock:
            self._values[key] = values
            while len(self._values) > MOST_KEPT:
                self._values.popitem(last=False)


_KEPT: Final = _Kept()


def _key(batch: Batch, text: str) -> bytes:
    """Return the digest of all inputs of features and signals: text, numbers and data.

    Numbers used only for trading are left out: another stop or size has the same features.
    """
    digest = hashlib.blake2b(text.encode())
    for name in sorted(batch.arrays.keys() - _NO_INPUT):
        array = np.ascontiguousarray(batch.arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.digest()


def _has_signals(session: Session, batch: Batch) -> bool:
    """Compute the signal of every bar; False if it needs a model, the account or a compiler."""
    if MODEL_WORDS & set(session.strategy.signal.declaration.parameters):
        return False
    try:
        return session.plan.compute_signals(batch.arrays, batch.aligned.lengths)
    except Exception as error:  # a step may raise anything; `run` reports it with its place
        if isinstance(error, SeptetError) or is_arithmetic(error):
            return False
        raise


def cut_of(aligned: AlignedBars, first: int, stop: int) -> tuple[AlignedBars, tuple[int, ...]]:
    """Return the bars of times `first` to `stop`, and the row at which each symbol begins there."""
    if (first, stop) == (0, aligned.times):
        return aligned, (0,) * len(aligned.lengths)
    T = np.ascontiguousarray(aligned.T[:, first:stop])
    begins, lengths = [], []
    for k, length in enumerate(aligned.lengths):
        rows = T[layout.ROW + k]
        present = rows[rows >= 0]
        begins.append(int(present[0]) if len(present) else length)
        lengths.append(len(present))
        rows[rows >= 0] -= begins[-1]
    width = max(lengths)
    M = np.zeros((len(begins), aligned.M.shape[1], width), np.int64)
    X = np.full((len(begins), aligned.X.shape[1], width), np.nan)
    for k, (row, n) in enumerate(zip(begins, lengths, strict=True)):
        M[k, :, :n] = aligned.M[k, :, row : row + n]
        X[k, :, :n] = aligned.X[k, :, row : row + n]
        M[k, layout.AGE, :n] = np.minimum(M[k, layout.AGE, :n], np.arange(n))
    U = aligned.U[:, first:stop] if aligned.U.shape[1] == aligned.times else aligned.U
    return AlignedBars(T, M, X, tuple(lengths), np.ascontiguousarray(U)), tuple(begins)
