"""Parts of a stored run: its figures with their verdict, rows of its tables, its settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from septet.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from septet._store.run_folder import Run

__all__ = [
    "changed_settings",
    "figures_of",
    "is_live",
    "settings_of",
    "table_slice",
    "trials_of",
    "unless_damaged",
]

_APART: Final = ("run_id", "strategy", "verdict", "tries", "forward", "findings")
_OF_FORWARD: Final = (
    "start", "end", "bars", "trades", "initial_capital", "final_equity", "total_return", "cagr",
    "sharpe", "sortino", "calmar", "max_drawdown", "win_rate", "profit_factor", "fees", "slippage",
    "exposure", "days", "excess", "buy_and_hold_return",
)  # fmt: skip
_OF_THE_CLOCK: Final = ("seconds", "seconds_total", "bars_per_second")
_MOST_BETWEEN: Final = 1_000_000_000


def figures_of(summary: Mapping[str, Any], names: Sequence[str] | None = None) -> dict[str, Any]:
    """Return figures of a run, all or `names`, with its verdict and the number of tries before it.

    Figures of the period after its file was first tried are separate, under ``forward``. The
    duration of the run is not a figure of the strategy and is left out.
    """
    forward = summary.get("forward")
    forward = forward if isinstance(forward, Mapping) else None
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
    """Whether a run is a paper or live run; works without its journal."""
    from septet._store.run_condition import condition_of

    return condition_of(run, listed=True).is_trading


def unless_damaged(run: Run, part: Callable[[Run], Any], empty: Any) -> Any:
    """Return a part of a run, or `empty` if it needs a table that `tables_finding` reports."""
    try:
        return part(run)
    except InputError:
        if run.tables_finding is None:
            raise
        return empty


def changed_settings(first: Run, second: Run) -> list[dict[str, Any]]:
    """Return the keys whose effective values differ between two runs, with both values."""
    first_values, second_values = settings_of(first), settings_of(second)
    keys = [
        key
        for key in dict.fromkeys((*first_values, *second_values))
        if first_values.get(key) != second_values.get(key)
    ]
    return [{"key": key, "a": first_values.get(key), "b": second_values.get(key)} for key in keys]


def settings_of(run: Run) -> dict[str, Any]:
    """Return the effective values of a run by key."""
    return dict(_leaves(run.manifest.get("resolved") or {}))


def _leaves(part: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(part, Mapping) and part:
        for key, value in part.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, part


def trials_of(summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the tries before a run: their `count`, and the effective number of independent ones.

    None for paper and live, which are not tries. If the ledger is incomplete, `complete` is False
    and the numbers are None or lower bounds.
    """
    tries = summary.get("tries")
    if not isinstance(tries, Mapping):
        return None
    count, effective = tries.get("count"), tries.get("effective")
    deflated, declared = tries.get("deflated_sharpe"), tries.get("declared")
    return {
        "count": count if isinstance(count, int) else None,
        "effective": float(effective) if isinstance(effective, int | float) else None,
        "declared": declared if isinstance(declared, int) else 0,
        "deflated_sharpe": float(deflated) if isinstance(deflated, int | float) else None,
        "complete": isinstance(count, int), "text": str(tries.get("text") or ""),
    }  # fmt: skip


def table_slice(
    run: Run, name: str, *, begin: int, most: int, columns: Sequence[str] | None = None,
    start: str | None = None, end: str | None = None, every: int | None = None,
) -> tuple[pl.DataFrame, bool]:  # fmt: skip
    """Return some rows of a table of a run, times as text, and whether more follow.

    Only these rows are read if they are contiguous: a long table is never loaded completely.

    Parameters
    ----------
    begin, most
        The first row, of those between the times, and how many.
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
    from septet._store.damage_messages import damaged
    from septet._store.table_values import impossible_in

    if name not in TABLES:
        raise InputError(f"there is no table {name[:40]!r}", hint=f"one of {', '.join(TABLES)}")
    if every is not None and not 1 <= every <= _MOST_BETWEEN:
        raise InputError(
            f"every is {str(every)[:24]}, expected a number of rows from 1 to {_MOST_BETWEEN:,}"
        )
    frame = run.rows(name, whole=False)
    schema = frame.collect_schema()
    times = [each for each, kind in schema.items() if isinstance(kind, pl.Datetime)]
    unknown = [each for each in columns or () if each not in schema]
    if unknown:
        raise InputError(
            f"the table {name} has no column {unknown[0][:40]!r}",
            hint=f"it has {', '.join(list(schema)[:60])}",
        )
    if (start or end) and not times:
        raise InputError(f"the table {name} has no column of times", hint="leave start and end out")
    if start or end:
        frame = _between(run, name, frame, times[0], start, end)
    frame = frame.gather_every(every) if every is not None and every > 1 else frame
    if columns:
        frame = frame.select(list(dict.fromkeys(columns)))
    rows = run.collected(name, frame.slice(begin, most + 1), engine="streaming")
    if run.reads_files and (impossible := impossible_in(name, rows.lazy())):
        raise damaged(run.folder, impossible)
    time_columns = [each for each in times if each in rows.columns]
    texts = rows.head(most).with_columns(
        pl.col(each).dt.to_string("iso:strict") for each in time_columns
    )
    return texts, rows.height > most


def _between(
    run: Run, name: str, frame: pl.LazyFrame, column: str, start: str | None, end: str | None
) -> pl.LazyFrame:
    """Return the rows between two times, as a span of rows if they are contiguous.

    A span is read without the rows around it; a filter would be evaluated on many other rows.
    """
    import polars as pl

    kind = frame.collect_schema()[column]
    zone = kind.time_zone if isinstance(kind, pl.Datetime) else None
    is_between = pl.lit(True)
    for text, is_wanted in ((start, pl.col(column).ge), (end, pl.col(column).lt)):
        if text:
            is_between = is_between & is_wanted(pl.lit(_moment(text)).cast(pl.Datetime("ns", zone)))
    row = pl.col("row")
    rows = frame.select(column).with_row_index("row").filter(is_between)
    extent = rows.select(row.min().alias("first"), row.max().alias("last"), pl.len().alias("count"))
    first, last, count = run.collected(name, extent).row(0)
    if not count:
        return frame.slice(0, 0)
    return frame.slice(first, count) if last - first + 1 == count else frame.filter(is_between)


def _moment(text: str) -> int:
    from pydantic_core import PydanticCustomError

    from septet_schemas.times import parse_moment

    try:
        return int(parse_moment(text))
    except (PydanticCustomError, ValueError) as error:
        raise InputError(
            f"{text[:60]!r} is no time: {error}", hint="such as 2026-03-01T16:00:00Z"
        ) from None
