"""Page of a sweep with many settings: sorted without reading all rows, without a verdict.

PSR, DSR and the overfitting probability compare every setting with all others, which takes minutes
for many settings; the sweep writes them at its end. A page reads only a few columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from septet.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from septet._sweep.sweep_findings import Findings

__all__ = [
    "MOST_CELLS",
    "MOST_JUDGED",
    "best_rows",
    "require_page_size",
    "large_findings",
    "large_words",
]

MOST_JUDGED: Final = 5_000
"""Largest number of settings for which a page computes the verdict."""
MOST_CELLS: Final = 5_000_000
"""Largest number of cells that a page reads: setting, status, goal and the keys of all settings."""
_UNJUDGED: Final = "they are computed where the sweep ends"
_FIGURES: Final = ("sharpe", "total_return", "max_drawdown", "trades")


def require_page_size(name: str, rows: int, columns: list[str]) -> None:
    """Reject a sweep that is too large for a page, before its settings are read.

    Raises
    ------
    InputError
        With how many settings it has, and how many a page shows.
    """
    width = len(_keys(columns)) + 3
    most = MOST_CELLS // width
    if rows > most:
        raise InputError(
            f"sweep {name} has {rows:,} settings of {width - 3} keys, and a page shows at most "
            f"{most:,} of so many keys",
            hint="settings.parquet in its folder has all of them, for polars or pandas",
        )


def _keys(columns: list[str]) -> list[str]:
    """Return the swept keys from the column names of a table."""
    return columns[columns.index("setting") + 1 : columns.index("status")]


def best_rows(
    scan: pl.LazyFrame, columns: list[str], manifest: Mapping[str, Any], first: int, count: int
) -> pl.DataFrame:
    """Return some of the settings with a goal, best first.

    The file is sorted without being read.
    """
    import polars as pl

    goal, is_more_better = _goal(manifest)
    names = dict.fromkeys(["setting", *_keys(columns), goal, *_FIGURES])
    chosen = (
        _with_goal(scan, goal)
        .sort([goal, "setting"], descending=[is_more_better, False])
        .slice(first, count)
        .select(*names, psr=pl.lit(None, pl.Float64()), dsr=pl.lit(None, pl.Float64()))
    )
    return chosen.collect()


def _goal(manifest: Mapping[str, Any]) -> tuple[str, bool]:
    from septet_schemas.sweep import GOALS

    goal = str(manifest.get("goal") or "sharpe")
    return goal, GOALS[goal]


def _with_goal(scan: pl.LazyFrame, goal: str) -> pl.LazyFrame:
    import polars as pl

    value = pl.col(goal)
    return scan.filter((pl.col("status") == "done") & value.is_not_null() & value.is_finite())


def large_findings(
    scan: pl.LazyFrame, columns: list[str], manifest: Mapping[str, Any], stop: Callable[[], None]
) -> Findings:
    """Return the data of the charts of a large sweep, without statistics of settings."""
    from septet._results.selection_bias import Overfitting
    from septet._sweep.axes import axes_of
    from septet._sweep.sweep_findings import Findings

    goal, is_more_better = _goal(manifest)
    table = scan.select("setting", *_keys(columns), "status", goal).collect()
    stop()
    ranked = _with_goal(table.lazy(), goal).sort(
        [goal, "setting"], descending=[is_more_better, False]
    )
    best = ranked.collect()
    stop()
    planned = (manifest.get("space") or {}).get("settings") or table.height
    return Findings(
        table=table, ranked=best, axes=tuple(axes_of(table, manifest)), goal=goal,
        more_is_better=is_more_better, planned=int(planned), chosen_from=best.height,
        expected_best=None, a_year=None, overfitting=Overfitting(None, _UNJUDGED),
        doubts=tuple(str(each) for each in manifest.get("data_doubts") or ()),
    )  # fmt: skip


def large_words(findings: Findings, folder: Path) -> list[str]:
    """Return the texts of a large sweep's page: the number of tries, and where its verdict is."""
    from septet._results.number_texts import count
    from septet._sweep.sweep_findings import GOAL_WORDS, goal_text
    from septet._sweep.verdict import data_text, overview

    best, paragraphs = findings.best, [overview(findings)]
    if best is None:
        paragraphs.append(f"No setting has a {GOAL_WORDS[findings.goal]}, so none is the best.")
    else:
        values = ", ".join(f"{axis.name} {axis.text(best[axis.key])}" for axis in findings.axes)
        paragraphs.append(
            f"Best by {GOAL_WORDS[findings.goal]}: setting {count(best['setting'])} ({values}), "
            f"{goal_text(findings.goal, best[findings.goal])}. "
            "The best of so many settings is high by chance alone."
        )
    paragraphs += [
        data_text(findings),
        f"This page computes PSR, DSR and the overfitting probability of up to {MOST_JUDGED:,} "
        f"settings; {_UNJUDGED}, and stand in sweep.html of the folder {folder.name}.",
    ]
    return [each for each in paragraphs if each]
