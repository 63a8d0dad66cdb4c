"""Data of the charts of a sweep, thinned to the resolution of a screen."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from septet._report.thinning import thin_rows
from septet._sweep.axes import mapped
from septet._sweep.sweep_findings import GOAL_WORDS

if TYPE_CHECKING:
    from septet._data.bars import Floats, Ints
    from septet._sweep.axes import ShownAxis
    from septet._sweep.sweep_findings import Findings

__all__ = ["chart_data"]

# What the page carries: points of a line, fewest and most bins of the goal, bins of ranks.
LINE_POINTS: Final = 2_000
BINS: Final = (8, 50)
RANK_BINS: Final = 20
_LINE_UNITS: Final = {"fraction": (100.0, "%"), "bars": (1.0, "bars"), "trades": (1.0, "trades")}
_DURATION_UNITS: Final = ((86_400e9, "d"), (3_600e9, "h"), (60e9, "min"), (1e9, "s"), (1e6, "ms"))


def _figures(values: Floats) -> list[float | None]:
    """Round to five digits; values that are not finite become null."""
    return [float(f"{v:.5g}") if np.isfinite(v) else None for v in values.tolist()]


def _goals(findings: Findings) -> Floats:
    """Return the goal of each row of the table; NaN for rows without one."""
    values = findings.table.get_column(findings.goal).to_numpy().astype(np.float64)
    done = (findings.table.get_column("status") == "done").to_numpy()
    return np.where(done & np.isfinite(values), values, np.nan)


def _map(findings: Findings, across: ShownAxis, up: ShownAxis, goal: Floats) -> dict[str, Any]:
    """Return the best and the median goal of the settings in each cell of two keys."""
    shape = (len(up.labels), len(across.labels))
    cell = up.place * shape[1] + across.place
    sign = 1.0 if findings.more_is_better else -1.0
    setting = findings.table.get_column("setting").to_numpy()
    rows = np.flatnonzero(np.isfinite(goal))
    # Within a cell the best comes last, and among equals the lowest number.
    rows = rows[np.lexsort((-setting[rows], sign * goal[rows], cell[rows]))]
    cells, starts, size = np.unique(cell[rows], return_index=True, return_counts=True)
    best, middle = np.full(shape, np.nan), np.full(shape, np.nan)
    which, of = np.full(shape, -1), np.zeros(shape, dtype=np.int64)
    last = rows[starts + size - 1] if len(rows) else rows
    best.flat[cells], which.flat[cells], of.flat[cells] = goal[last], setting[last], size
    lower, upper = starts + (size - 1) // 2, starts + size // 2
    middle.flat[cells] = (goal[rows[lower]] + goal[rows[upper]]) / 2.0 if len(rows) else []
    return {
        "x": across.key,
        "y": up.key,
        "best": [_figures(row) for row in best],
        "middle": [_figures(row) for row in middle],
        "setting": which.tolist(),
        "of": of.tolist(),
        "tried": np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape).tolist(),
    }


def _maps(
    findings: Findings, goal: Floats, most: int | None, stop: Callable[[], None]
) -> list[dict[str, Any]]:
    if findings.best is None:
        return []
    maps = []
    for across, up in itertools.islice(itertools.combinations(mapped(findings.axes), 2), most):
        stop()
        maps.append(_map(findings, across, up, goal))
    return maps


def _line(findings: Findings, goal: Floats) -> dict[str, Any] | None:
    """Return the goal over the one key that has more than one value."""
    shown = [axis for axis in findings.axes if len(axis.values) > 1]
    if len(shown) != 1 or findings.best is None:
        return None
    axis = shown[0]
    values = findings.table.get_column(axis.key).to_numpy()
    rows = np.argsort(values, kind="stable")
    rows = rows[thin_rows(np.nan_to_num(goal[rows]), LINE_POINTS)]
    factor, unit = _unit(axis)
    return {
        "title": f"{axis.name}, {unit}" if unit else axis.name,
        "x": _figures(values[rows] * factor),
        "y": _figures(goal[rows]),
        "text": [axis.text(value) for value in values[rows].tolist()],
        "setting": findings.table.get_column("setting").to_numpy()[rows].tolist(),
        "rows": findings.table.height,
    }


def _unit(axis: ShownAxis) -> tuple[float, str]:
    """Return the factor and the name of the unit in which a key's values are drawn."""
    if axis.family != "duration":
        return _LINE_UNITS.get(axis.family, (1.0, ""))
    largest = float(axis.values[-1])
    size, unit = next((pair for pair in _DURATION_UNITS if largest >= pair[0]), _DURATION_UNITS[-1])
    return 1.0 / size, unit


def _spread(findings: Findings, goal: Floats) -> dict[str, Any] | None:
    """Return the histogram of the goal."""
    known = goal[np.isfinite(goal)]
    if len(known) < 2 or known.min() == known.max():
        return None
    bins = int(np.clip(2 * np.sqrt(len(known)), *BINS))
    counts, edges = np.histogram(known, bins=bins)
    return {
        "edges": _figures(edges),
        "counts": counts.tolist(),
        "middle": _figures(np.array([np.median(known)]))[0],
    }


def _ranks(logits: Floats) -> list[float]:
    """Return the share of splits by the rank of one half's best in the other half, worst to best.

    There are twenty ranks; a value on an edge belongs to the lower one, so that ten are not better
    than the median.
    """
    place: Ints = np.ceil(RANK_BINS / (1.0 + np.exp(-logits)) - 1e-9).astype(np.int64) - 1
    counts = np.bincount(np.clip(place, 0, RANK_BINS - 1), minlength=RANK_BINS)
    return [round(float(value), 6) for value in counts / max(len(logits), 1)]


def chart_data(
    findings: Findings, *, most_maps: int | None = None, stop: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Return all chart data of the page, with maps for the first `most_maps` pairs of keys.

    `stop` is called between the maps; an exception that it raises ends the work.
    """
    goal, best = _goals(findings), findings.best
    axes = {
        axis.key: {
            "name": axis.name,
            "labels": list(axis.labels),
            "ticks": list(axis.ticks),
        }
        for axis in findings.axes
    }
    row = None
    if best is not None:
        row = findings.table.get_column("setting").index_of(best["setting"])
    return {
        "goal": findings.goal,
        "goal_name": GOAL_WORDS[findings.goal],
        "more_is_better": findings.more_is_better,
        "axes": axes,
        "maps": _maps(findings, goal, most_maps, stop),
        "line": _line(findings, goal),
        "spread": _spread(findings, goal),
        "best": None
        if best is None or row is None
        else {
            "setting": best["setting"],
            "value": _figures(np.array([best[findings.goal]]))[0],
            "places": {axis.key: int(axis.place[row]) for axis in findings.axes},
        },
        "expected_maximum": None
        if findings.expected_best is None or findings.goal != "sharpe" or findings.over_holding
        else _figures(np.array([findings.expected_best]))[0],
        "ranks": _ranks(findings.overfitting.logits) if len(findings.overfitting.logits) else [],
    }
