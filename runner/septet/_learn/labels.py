"""Labels of a model: 0 or 1 for each row, and the time at which it becomes known.

Every label looks forward, so it is known only at a later bar's close, and training and monitoring
use it from that time on. A label whose horizon crosses a gap is dropped.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec
import numpy as np

from septet._data.bars import Floats, Ints
from septet._learn.compiled_entries import compiled
from septet._learn.dataset import Dataset, SymbolBars

__all__ = ["NEVER_NS", "LabelRule", "Labels", "make_labels", "scan_barriers"]

NEVER_NS: Final = np.iinfo(np.int64).max
LabelName = Literal["direction", "threshold", "triple_barrier"]


class LabelRule(msgspec.Struct, frozen=True):
    """Which question, over how many bars.

    `horizon` is the number of bars looked ahead: for the triple barrier its time limit.
    `threshold` is the return above which a label is up, a fraction (threshold). `upper` and
    `lower` are the distances of the barriers: fractions of the close, or multiples of the
    column `volatility` (itself a fraction for one bar).
    """

    use: LabelName = "direction"
    horizon: int = 1
    threshold: float = 0.0
    upper: float = 0.02
    lower: float = 0.02
    volatility: str | None = None


class Labels(msgspec.Struct, frozen=True):
    """One label for each row of a dataset.

    `value` is float64 (n,): 1 up, 0 down, NaN none. `known_ns` is int64 (n,): when it became
    known, `NEVER_NS` where there is none. `horizon` is in bars.
    """

    value: Floats
    known_ns: Ints
    horizon: int


def _ahead(bars: SymbolBars, rule: LabelRule, width: Floats) -> tuple[Floats, Ints]:
    """Whether the return over the horizon is above the threshold (0 for plain direction)."""
    value, known = np.full(len(bars), np.nan), np.full(len(bars), NEVER_NS)
    h = rule.horizon
    if h < len(bars):
        now, later = bars.close[:-h], bars.close[h:]
        up = later > now if rule.use == "direction" else later / now - 1.0 > rule.threshold
        same_segment = bars.segment[:-h] == bars.segment[h:]
        value[:-h] = np.where(same_segment, up.astype(np.float64), np.nan)
        known[:-h] = np.where(same_segment, bars.known_ns[h:], NEVER_NS)
    return value, known


_SCAN: Final = (
    "void(float64[::1], float64[::1], float64[::1], float64[::1], int64[::1], float64[::1], "
    "float64[::1], int64, float64[::1], int64[::1])"
)


def scan_barriers(open, high, low, close, segment, upper, lower, limit, value, end):  # type: ignore[no-untyped-def]  # noqa: A002
    """Walk forward from every bar to the first barrier it meets.

    A bar that opens beyond a barrier met that one; a bar that touches both counts as down. At
    the time limit the sign of the return decides, ties down.

    Parameters
    ----------
    open, high, low, close : float64 (n,)
        Prices, the same currency; without NaN.
    segment : int64 (n,)
        A number for each stretch of history without a gap; no barrier is met beyond it.
    upper, lower : float64 (n,)
        Distances of the barriers from the close, fractions of it. NaN gives no label.
    limit
        Bars after which the time limit decides.
    value : float64 (n,)
        Written: 1 up, 0 down, NaN none. It looks ahead by up to `limit` bars.
    end : int64 (n,)
        Written: the bar at which the label became known, -1 for none.
    """
    n = len(close)
    for t in range(n):
        value[t] = math.nan
        end[t] = -1
        top = close[t] * (1.0 + upper[t])
        bottom = close[t] * (1.0 - lower[t])
        if not (top > bottom):
            continue
        for j in range(t + 1, min(t + limit, n - 1) + 1):
            if segment[j] != segment[t]:
                break
            if open[j] >= top:
                value[t] = 1.0
            elif low[j] <= bottom:
                value[t] = 0.0
            elif high[j] >= top:
                value[t] = 1.0
            elif j == t + limit:
                value[t] = 1.0 if close[j] > close[t] else 0.0
            else:
                continue
            end[t] = j
            break


def _triple_barrier(bars: SymbolBars, rule: LabelRule, width: Floats) -> tuple[Floats, Ints]:
    value, end = np.empty(len(bars)), np.empty(len(bars), dtype=np.int64)
    scan = compiled(scan_barriers, _SCAN)
    arrays = [np.array(a) for a in (bars.open, bars.high, bars.low, bars.close, bars.segment)]
    upper, lower = float(rule.upper) * width, float(rule.lower) * width
    scan(*arrays, upper, lower, rule.horizon, value, end)
    return value, np.where(end >= 0, bars.known_ns[end], NEVER_NS)


_MAKERS: Final = {
    "direction": _ahead,
    "threshold": _ahead,
    "triple_barrier": _triple_barrier,
}


def make_labels(dataset: Dataset, rule: LabelRule) -> Labels:
    """Label every row of a dataset.

    Parameters
    ----------
    dataset : Dataset
        Rows of all symbols.
    rule : LabelRule
        The question. direction: 1 if ``close[t + h] > close[t]``, ties down. threshold: 1
        if ``close[t + h] / close[t] - 1 > threshold``. triple_barrier: see `scan_barriers`.

    Returns
    -------
    Labels
        Looks ahead by up to `horizon` bars, and `known_ns` states when. NaN where the horizon
        reaches past the data or over a gap, or (triple barrier) where the volatility is not a
        positive number.

    Raises
    ------
    ValueError
        If the horizon is below 1 or `volatility` is not a column of the dataset.
    """
    if rule.horizon < 1:
        raise ValueError(f"a label's horizon is 1 bar or more, found {rule.horizon}")
    if rule.volatility is not None and rule.volatility not in dataset.feature_names:
        raise ValueError(
            f"the label's volatility {rule.volatility!r} is none of the features: "
            f"{', '.join(dataset.feature_names)}"
        )
    value, known = np.full(len(dataset), np.nan), np.full(len(dataset), NEVER_NS)
    for number, bars in enumerate(dataset.bars):
        mine = dataset.symbol == number
        place = dataset.row[mine]
        width = np.ones(len(bars))
        if rule.volatility is not None:
            column = dataset.feature_names.index(rule.volatility)
            width[place] = dataset.x[mine, column]
        part, when = _MAKERS[rule.use](bars, rule, width)
        value[mine], known[mine] = part[place], when[place]
    return Labels(value, known, rule.horizon)
