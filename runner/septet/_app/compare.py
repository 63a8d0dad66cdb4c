"""Comparison of runs: the settings in which they differ, their figures, and their growth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from septet._app.run_parts import is_live, settings_of
from septet._app.runs import problem_of_run
from septet._charts.stills import Line, Pane, lines
from septet._charts.svg import percent_text
from septet._report.thinning import floats, stamps, thin_rows

if TYPE_CHECKING:
    from septet._store.run_folder import Run

__all__ = ["MOST_COMPARED", "ComparedRun", "compared_run", "differing", "growth_still"]

MOST_COMPARED: Final = 6
_POINTS: Final = 500
_LOOKS: Final = (
    ("accent", ""), ("contrast", "6 3"), ("neutral", ""), ("accent", "2 3"), ("contrast", "2 3"),
    ("neutral", "6 3"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """Compared values of a run: `settings` by key, its summary, and its growth.

    `problem` states why its journal or files are unreliable, or is empty. `seconds` are times of
    equity, since 1970, thinned so that every extreme is kept; `growth` is equity divided by the
    first of them.
    """

    run_id: str
    summary: Mapping[str, Any]
    settings: Mapping[str, Any]
    live: bool
    seconds: Sequence[float]
    growth: Sequence[float]
    problem: str = ""


def compared_run(run: Run) -> ComparedRun:
    """Read the compared values of a run."""
    seconds, growth = np.zeros(0), np.zeros(0)
    if run.has("equity"):
        table = run.table("equity", ["time", "equity"])
        equity = floats(table, "equity")
        rows = thin_rows(np.nan_to_num(equity), _POINTS)
        seconds, growth = stamps(table)[rows] / 1e9, equity[rows]
        if len(growth):
            growth = growth / growth[0]
    return ComparedRun(
        run.run_id, run.summary, settings_of(run), is_live(run), seconds.tolist(), growth.tolist(),
        problem_of_run(run),
    )  # fmt: skip


def differing(runs: Sequence[ComparedRun]) -> list[tuple[str, tuple[Any, ...]]]:
    """Return each key whose effective value differs between the runs, with all its values."""
    keys = dict.fromkeys(key for each in runs for key in each.settings)
    rows = [(key, tuple(each.settings.get(key) for each in runs)) for key in keys]
    return [(key, values) for key, values in rows if any(each != values[0] for each in values)]


def growth_still(runs: Sequence[ComparedRun], names: Sequence[str], *, width: float = 1040) -> str:
    """Draw the growth of each run relative to its own first equity, with a width in pixels."""
    drawn = [
        Line(name, each.seconds, [value - 1.0 for value in each.growth], color, dash)
        for name, each, (color, dash) in zip(names, runs, _LOOKS, strict=False)
        if each.seconds
    ]
    if not drawn:
        return ""
    summary = "; ".join(f"{each.name} {percent_text(each.y[-1])}" for each in drawn)
    pane = Pane(drawn, "return", percent_text)
    return lines("Return since the beginning of each run", summary, [pane], width=width, height=320)
