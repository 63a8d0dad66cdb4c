"""The results of a whole sweep, computed once for the page and for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from septet._results.number_texts import number, percent
from septet._results.verdict import unchecked_plugins
from septet._sweep.axes import ShownAxis, axes_of
from septet._sweep.setting_row import INVALID_ANSWERS
from septet._sweep.size_caps import SIZE_CAP, add_size_cap
from septet._sweep.table_verdict import (
    add_ratios,
    compared_sharpe,
    expected_best_daily,
    is_over_holding,
    sharpes_daily,
    table_overfitting,
    tried,
)
from septet_schemas.sweep import GOALS

if TYPE_CHECKING:
    import polars as pl

    from septet._results.selection_bias import Overfitting

__all__ = ["Findings", "GOAL_WORDS", "findings_of", "goal_text"]

GOAL_WORDS: Final[Mapping[str, str]] = {
    "sharpe": "Sharpe ratio",
    "sortino": "Sortino ratio",
    "total_return": "return",
    "profit_factor": "profit factor",
    "win_rate": "win rate",
    "max_drawdown": "deepest drawdown",
}
_SHARES: Final = ("total_return", "win_rate", "max_drawdown")


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """A finished sweep.

    `table` has the columns `psr`, `dsr` and `size_cap`; `ranked` are the settings with a goal, the
    best first, the lower number first among equals. `chosen_from` is how many could have been
    chosen, `planned` how many were to be tried. `expected_best` is the annual Sharpe ratio
    expected of the best of as many worthless settings, None if undefined; `a_year` is the
    factor from a daily to an annual ratio. With `over_holding` all ratios except `sharpe` are
    of returns over holding the
    mean exposure. `unchecked` are the plugins that ran with ``--unchecked``; `doubts` are the
    sentences of a run's verdict on the data. Sources: see `septet._results.selection_bias`.
    """

    table: pl.DataFrame
    ranked: pl.DataFrame
    axes: tuple[ShownAxis, ...]
    goal: str
    more_is_better: bool
    planned: int
    chosen_from: int
    expected_best: float | None
    a_year: float | None
    overfitting: Overfitting
    over_holding: bool = False
    unchecked: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def has_caps(self) -> bool:
        """Whether limits cap the size of a setting."""
        return bool(self.table.get_column(SIZE_CAP).is_not_null().any())

    @property
    def broken(self) -> pl.DataFrame:
        """The settings in which a rule gave an invalid answer."""
        import polars as pl

        if INVALID_ANSWERS not in self.table.columns:  # for a sweep that was run by an older septet
            return self.table.clear()
        return self.table.filter(pl.col(INVALID_ANSWERS).is_not_null())

    def count(self, status: str) -> int:
        """Return the number of settings with a status: `done`, `failed` or `pruned`."""
        return int((self.table.get_column("status") == status).sum())

    @property
    def best(self) -> dict[str, Any] | None:
        """The row of the best setting; None if no setting has a goal."""
        return self.ranked.row(0, named=True) if self.ranked.height else None


def _a_year(table: pl.DataFrame) -> float | None:
    """Return the ratio of annual to daily Sharpe ratio, the median of all settings."""
    annual = table.select(compared_sharpe(table).alias("annual")).get_column("annual")
    pairs = zip(annual, sharpes_daily(table), strict=True)
    ratios = sorted(year / day for year, day in pairs if year is not None and day)
    return ratios[len(ratios) // 2] if ratios else None


def findings_of(table: pl.DataFrame, manifest: Mapping[str, Any]) -> Findings:
    """Compute the findings of a sweep from its table and its manifest.

    The manifest's keys used are: `goal`, one of `GOALS`, else the Sharpe ratio, `space`, the
    document of the space (`over`, `settings`), `plugin_checks`, and `data_doubts`.
    """
    import polars as pl

    goal = str(manifest.get("goal") or "sharpe")
    more = GOALS[goal]
    full = add_size_cap(add_ratios(table), manifest)
    known = full.filter(
        (pl.col("status") == "done") & pl.col(goal).is_not_null() & pl.col(goal).is_finite()
    )
    expected_best, a_year = expected_best_daily(full), _a_year(full)
    return Findings(
        table=full,
        ranked=known.sort([goal, "setting"], descending=[more, False]),
        axes=tuple(axes_of(full, manifest)),
        goal=goal,
        more_is_better=more,
        planned=int((manifest.get("space") or {}).get("settings") or full.height),
        chosen_from=tried(full),
        expected_best=None if expected_best is None or a_year is None else expected_best * a_year,
        a_year=a_year,
        overfitting=table_overfitting(full),
        over_holding=is_over_holding(full),
        unchecked=unchecked_plugins(manifest),
        doubts=tuple(str(each) for each in manifest.get("data_doubts") or ()),
    )


def goal_text(goal: str, value: float | None) -> str:
    """Format a value of a goal: ratios as numbers, shares as percentages."""
    if goal in _SHARES:
        return percent(value, signed=goal == "total_return")
    return number(value)
