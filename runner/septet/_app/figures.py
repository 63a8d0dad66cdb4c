"""A stored run for whoever shows it in parts: its figures with their verdict, rows, settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from septet.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from septet._store.run_folder import Run

__all__ = ["changed_settings", "figures_of", "is_live", "settings_of", "table_rows"]

_APART: Final = ("run_id", "strategy", "verdict", "tries", "forward", "findings")
_OF_FORWARD: Final = (
    "start", "end", "bars", "trades", "initial_capital", "final_equity", "total_return", "cagr",
    "sharpe", "sortino", "calmar", "max_drawdown", "win_rate", "profit_factor", "fees", "slippage",
    "exposure", "days", "excess", "buy_and_hold_return",
)  # fmt: skip
_OF_THE_CLOCK: Final = ("seconds", "seconds_total", "bars_per_second")


def figures_of(summary: Mapping[str, Any], names: Sequence[str] | None = None) -> dict[str, Any]:
    """Return figures of a run, all or those of `names`, with its verdict and the tries before it.

    Those of the part that came after its file was first tried stand apart, under ``forward``. How
    long it took is no figure of the strategy, and left out.
    """
    forward = summary.get("forward")
    return {
        "summary": _chosen(summary, names), "verdict": summary.get("verdict"),
        "tries": summary.get("tries"),
        "forward": None
        if forward is None
        else {**_chosen(forward, names or _OF_FORWARD), "verdict": forward.get("verdict")},
    }  # fmt: skip


def _chosen(summary: Mapping[str, Any], names: Sequence[str] | None) -> dict[str, Any]:
    left_out = (*_APART, *_OF_THE_CLOCK)
    chosen = {name: value for name, value in summary.items() if name not in left_out}
    if names is None:
        return chosen
    return {name: chosen[name] for name in names if name in chosen}


def is_live(run: Run) -> bool:
    """Whether a run is a paper or live run."""
    from septet._store.run_folder import JOURNAL

    return (run.folder / JOURNAL).is_file()


def changed_settings(one: Run, other: Run) -> list[dict[str, Any]]:
    """Return the keys whose effective values differ between two runs, with both values."""
    a, b = settings_of(one), settings_of(other)
    keys = [key for key in dict.fromkeys((*a, *b)) if a.get(key) != b.get(key)]
    return [{"key": key, "a": a.get(key), "b": b.get(key)} for key in keys]


def settings_of(run: Run) -> dict[str, Any]:
    """Return the effective values of a run by their keys."""
    return dict(_leaves(run.manifest.get("resolved") or {}))


def _leaves(part: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(part, Mapping) and part:
        for key, value in part.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, part


def table_rows(
    run: Run,
    name: str,
    *,
    columns: Sequence[str] | None = None,
    start: str | None = None,
    end: str | None = None,
    every: int | None = None,
) -> pl.DataFrame:
    """Return rows of a table of a run, times as text.

    Parameters
    ----------
    start, end
        Rows from the one time on and before the other, by the table's first column of times.
    every
        Of so many rows the first.

    Raises
    ------
    InputError
        If there is no such table or column, or a time cannot be read.
    """
    import polars as pl

    from septet._results.result import TABLES

    if name not in TABLES:
        raise InputError(f"there is no table {name[:40]!r}", hint=f"one of {', '.join(TABLES)}")
    frame = run.table(name)
    times = [each for each, kind in frame.schema.items() if isinstance(kind, pl.Datetime)]
    unknown = [each for each in columns or () if each not in frame.columns]
    if unknown:
        raise InputError(
            f"the table {name} has no column {unknown[0][:40]!r}",
            hint=f"it has {', '.join(frame.columns[:60])}",
        )
    if (start or end) and not times:
        raise InputError(f"the table {name} has no column of times", hint="leave start and end out")
    if start:
        frame = frame.filter(pl.col(times[0]).dt.epoch("ns") >= _moment(start))
    if end:
        frame = frame.filter(pl.col(times[0]).dt.epoch("ns") < _moment(end))
    frame = frame.gather_every(max(1, every or 1))
    frame = frame.with_columns(pl.col(each).dt.to_string("iso:strict") for each in times)
    return frame.select(list(columns)) if columns else frame


def _moment(text: str) -> int:
    from pydantic_core import PydanticCustomError

    from septet_schemas.times import parse_moment

    try:
        return int(parse_moment(text))
    except (PydanticCustomError, ValueError) as error:
        raise InputError(
            f"{text[:60]!r} is no time: {error}", hint="such as 2026-03-01T16:00:00Z"
        ) from None
