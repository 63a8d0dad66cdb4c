"""Combination of several paper or live runs: the sum of their equity, and its drawdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from septet._app.run_parts import is_live
from septet._app.runs import problem_of_run
from septet._charts.stills import Line, Pane, lines
from septet._charts.svg import percent_text
from septet._report.thinning import floats, stamps, thin_rows
from septet.errors import InputError

if TYPE_CHECKING:
    from septet._store.run_folder import Run

__all__ = ["Combined", "RunEquity", "combine", "combined_still", "equity_of"]

_POINTS: Final = 600
_NS: Final = 1e9


@dataclass(frozen=True, slots=True)
class RunEquity:
    """The equity of a paper or live run by time; `equity` and `time_ns` have equal length.

    `problem` states why its journal or files are unreliable, or is empty.
    """

    run_id: str
    strategy: str
    mode: str
    currency: str
    initial_capital: float
    time_ns: npt.NDArray[np.int64]
    equity: npt.NDArray[np.float64]
    problem: str = ""

    @property
    def last(self) -> float:
        """The last known equity, or the initial capital if there is none yet."""
        return float(self.equity[-1]) if len(self.equity) else self.initial_capital


@dataclass(frozen=True, slots=True)
class Combined:
    """The sum of several runs at every time at which one of them has an equity.

    A run counts with its initial capital before its first equity, and with its last known equity
    from then on. `drawdown` is the fraction below the highest sum until then, which is at least
    the sum of the initial capitals.
    """

    mode: str
    currency: str
    initial_capital: float
    time_ns: npt.NDArray[np.int64]
    equity: npt.NDArray[np.float64]
    drawdown: npt.NDArray[np.float64]

    @property
    def last(self) -> float:
        """The last sum."""
        return float(self.equity[-1]) if len(self.equity) else self.initial_capital

    @property
    def total_return(self) -> float:
        """The return of the sum since the initial capitals."""
        return self.last / self.initial_capital - 1.0

    @property
    def drawdown_now(self) -> float:
        """The drawdown of the last sum."""
        return float(self.drawdown[-1]) if len(self.drawdown) else 0.0

    @property
    def max_drawdown(self) -> float:
        """The deepest drawdown of the sum."""
        return float(self.drawdown.max()) if len(self.drawdown) else 0.0


def equity_of(run: Run) -> RunEquity:
    """Read the equity of a paper or live run.

    Raises
    ------
    InputError
        If it is a backtest, or its folder cannot be read.
    """
    summary = run.require_summary()
    if not is_live(run):
        raise InputError(
            f"run {run.run_id} is a backtest, and only the equity of paper or live runs is added",
            hint="backtests are compared side by side",
        )
    time_ns, equity = np.zeros(0, dtype=np.int64), np.zeros(0)
    if run.has("equity"):
        table = run.table("equity", ["time", "equity"])
        values = floats(table, "equity")
        is_known = np.isfinite(values)
        time_ns, equity = stamps(table)[is_known], values[is_known]
    return RunEquity(
        run.run_id, str(summary["strategy"]), str(summary["mode"]), run.facts.currency,
        float(summary["initial_capital"]), time_ns, equity, problem_of_run(run),
    )  # fmt: skip


def combine(runs: Sequence[RunEquity]) -> Combined:
    """Add the equity of runs.

    Raises
    ------
    InputError
        If their currencies differ, or only some of them are simulated.
    """
    for name, values in (
        ("currency", sorted({each.currency for each in runs})),
        ("mode", sorted({each.mode for each in runs})),
    ):
        if len(values) > 1:
            raise InputError(
                f"the chosen runs differ in their {name}: {', '.join(values)}",
                hint=f"choose runs of one {name}: other amounts cannot be added",
            )
    initial = sum(each.initial_capital for each in runs)
    times = np.unique(np.concatenate([each.time_ns for each in runs]))
    total = np.zeros(len(times))
    for each in runs:
        equity_of_run = np.concatenate(([each.initial_capital], each.equity))
        total += equity_of_run[np.searchsorted(each.time_ns, times, side="right")]
    peak = np.maximum(np.maximum.accumulate(total), initial) if len(total) else total
    drawdown = np.divide(peak - total, peak, out=np.zeros(len(total)), where=peak > 0.0)
    return Combined(runs[0].mode, runs[0].currency, initial, times, total, drawdown)


def combined_still(combined: Combined, *, width: float = 1040) -> str:
    """Draw the sum and its drawdown with a width in pixels; empty for fewer than two times."""
    if len(combined.time_ns) < 2:
        return ""
    rows = np.union1d(thin_rows(combined.equity, _POINTS), thin_rows(combined.drawdown, _POINTS))
    seconds = (combined.time_ns[rows] / _NS).tolist()
    summary = (
        f"return {percent_text(combined.total_return)}; deepest drawdown "
        f"{percent_text(combined.max_drawdown)}; "
        f"drawdown now {percent_text(combined.drawdown_now)}"
    )
    drawdown = Line("drawdown", seconds, (-combined.drawdown[rows]).tolist(), "contrast", area=True)
    panes = [
        Pane([Line("equity", seconds, combined.equity[rows].tolist())],
             f"equity, {combined.currency}", share=2.0),
        Pane([drawdown], "drawdown", percent_text, zero=True),
    ]  # fmt: skip
    return lines("Sum of equity and its drawdown", summary, panes, width=width, height=380)
