"""What a compiled step calls: rolling sums, moments, extremes, averages, and maths.

Each gives the same bits compiled and as plain Python. A helper that keeps something between bars
takes some slots of the step's state (`SUM`, `MOMENTS` name them for `state=`) and is given the
state and the index of the first of them, as in ``state.at.anchor``. `helper` marks a function of
your own that steps call.

Parameters of the helpers, unless one states otherwise:

- `i`: the cursor, an index of the columns; no helper reads after it.
- `x`, `y`: columns, float64 (n,), in any unit; results are in the same unit.
- `slot`: the column of the time grid, float64 (n,): whole numbers of bars since 1970.
- `period`, `depth`, `gap`: bars, whole numbers; a period is at least 1.
- `state`: float64 (s,), the state of the step; `at`: the index of the helper's first slot in it.

A window is ``x[i - period + 1 .. i]``. The sum, moments and extremes of a window are NaN while a
value in it is NaN or infinite.
"""

from septet._host.named_state import State, slots
from septet._kernel.extremes import EXTREME, window_max, window_min
from septet._kernel.layout import TOLERANCE
from septet._kernel.marks import helper
from septet._kernel.maths import (
    NAN,
    cosine,
    divide,
    exponential,
    finite,
    logarithm,
    positive_part,
    power,
    root,
    sine,
)
from septet._kernel.moments import (
    COMOMENTS,
    MOMENTS,
    POWERS,
    standard_deviation,
    window_comoments,
    window_moments,
    window_powers,
)
from septet._kernel.recursive import AVERAGE, absorb, recursive_average, replay_due
from septet._kernel.scans import RANK, distance_sum, window_counts, window_finite, window_rank
from septet._kernel.sums import SUM, WEIGHTED, add, due, gather, roll, weighted_sum, window_sum
from septet._kernel.touch import passes, touches

__all__ = [
    "AVERAGE",
    "COMOMENTS",
    "EXTREME",
    "MOMENTS",
    "NAN",
    "POWERS",
    "RANK",
    "SUM",
    "State",
    "TOLERANCE",
    "WEIGHTED",
    "absorb",
    "add",
    "cosine",
    "distance_sum",
    "divide",
    "due",
    "exponential",
    "finite",
    "gather",
    "helper",
    "logarithm",
    "positive_part",
    "passes",
    "power",
    "recursive_average",
    "replay_due",
    "roll",
    "root",
    "slots",
    "sine",
    "standard_deviation",
    "touches",
    "weighted_sum",
    "window_comoments",
    "window_counts",
    "window_finite",
    "window_max",
    "window_min",
    "window_moments",
    "window_powers",
    "window_rank",
    "window_sum",
]
