"""The part of a backtest that nobody had seen when its strategy was first tried.

Only bars that became known after the first record of a file in the ledger of trials are untouched:
whoever wrote it cannot have looked at them. Their figures stand apart, as *forward*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from septet._results.number_texts import number, percent, plural

if TYPE_CHECKING:
    import polars as pl

    from septet._results.result import RunResult

__all__ = ["forward_part", "forward_text"]

DAY_NS: Final = 86_400 * 10**9
_BEGIN_COLUMNS: Final = {
    **dict.fromkeys(("decisions", "orders", "fills", "equity", "monitoring"), "time"),
    **dict.fromkeys(("trades", "round_trips"), "entry_time"),
}  # fmt: skip
"""The time at which a row of a table begins: one that began before is not untouched."""


def forward_part(
    result: RunResult, frames: Mapping[str, pl.DataFrame]
) -> tuple[RunResult, dict[str, pl.DataFrame]] | None:
    """Return what of a result came after its file was first tried, as a result of its own.

    It begins with the last equity known at that instant. A position held across counts in the
    equity and not in the trades. Doubts about data and plugins are reported for the whole.

    Returns
    -------
    tuple or None
        None where the ledger does not know the file, less than a day came after, the run was made
        in stretches (which keep one row a day), or its data end after it was made: bars that
        nobody can have seen yet are synthetic.
    """
    first_ns = None if result.tries is None else result.tries.file_first_ns
    facts, equity = result.facts, frames["equity"]
    if first_ns is None or facts.end_ns - first_ns < DAY_NS or result.mean_equity is not None:
        return None
    if result.tries is not None and facts.end_ns > result.tries.asked_ns:
        return None
    times = equity.get_column("time").to_physical().to_numpy()
    before = int((times <= first_ns).sum())
    began_ns, capital = facts.first_decision_ns, facts.initial_capital
    if before:
        began_ns, capital = first_ns, float(equity.get_column("equity")[before - 1])
    if facts.end_ns - began_ns < DAY_NS:
        return None
    bars = sum(int((each.known_ns > first_ns).sum()) for each in result.bars.values())
    part = replace(
        result,
        facts=replace(
            facts, start_ns=max(facts.start_ns, first_ns), first_decision_ns=began_ns,
            initial_capital=capital, bars=bars, seconds=0.0, seconds_total=0.0, late_start="",
        ),
        halts=[each for each in result.halts if each.time_ns > first_ns],
        findings=(), doubts=(), invalid_answers=(), notes=(), manifest={}, tries=None,
        max_drawdown=None, mean_exposure=None,
    )  # fmt: skip
    return part, {name: _after(name, frame, first_ns) for name, frame in frames.items()}


def _after(name: str, frame: pl.DataFrame, first_ns: int) -> pl.DataFrame:
    """Return the rows of a table that began after an instant; the equity known at it is a row."""
    import polars as pl

    if name not in _BEGIN_COLUMNS:
        return frame
    epoch = pl.col(_BEGIN_COLUMNS[name]).dt.epoch("ns")
    later = frame.filter(epoch > first_ns)
    if name == "equity":
        return pl.concat([frame.filter(epoch <= first_ns).tail(1), later])
    return later


def forward_text(summary: Mapping[str, Any]) -> str:
    """Return the sentence on the forward figures of a summary; empty if there are none."""
    forward = summary.get("forward")
    if not isinstance(forward, Mapping):
        return ""
    return (
        f"Since {str(forward['start'])[:16].replace('T', ' ')} UTC, after this strategy was first "
        f"tried: return {percent(forward['total_return'], signed=True)}, deepest drawdown "
        f"{percent(forward['max_drawdown'])}, Sharpe {number(forward['sharpe'])} of "
        f"{plural(int(forward['days']), 'whole day')}, {plural(int(forward['trades']), 'trade')}."
    )
