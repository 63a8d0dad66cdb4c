"""Lengths of time in a file that are longer than the data, so that they never end in the run."""

from __future__ import annotations

from typing import Final

from septet._config.amounts import lengths_of
from septet._config.pydantic_problems import problem_at
from septet._shell.session import Session
from septet.errors import Problem
from septet_schemas.units import format_duration

__all__ = ["length_problems"]

_DAY_NS: Final = 86_400_000_000_000


def length_problems(session: Session) -> list[Problem]:
    """Warn of durations written in trading rules that are longer than all bars of the run."""
    tables = [each for each in session.market.bars.values() if len(each)]
    if not tables:
        return []
    bar_ns, tree = session.market.bar_ns, session.loaded.tree
    bars = max(len(each) for each in tables)
    first = min(int(each.open_ns[0]) for each in tables)
    span_ns = max(int(each.known_ns[-1]) for each in tables) - first
    problems = []
    for each in lengths_of(session.strategy):
        node, reached = tree.nearest(each.path)
        is_written = tuple(reached) == each.path or node.kind == "scalar"
        longer = each.span.bar_count >= bars or each.span.duration_ns >= span_ns
        if not is_written or not longer:
            continue
        span_text = format_duration(max(bar_ns, span_ns // bar_ns * bar_ns))
        if span_ns > 2 * _DAY_NS:
            span_text = f"{span_ns // _DAY_NS:,} days"
        text = (
            f"{reached[-1]} of {each.span} is not over within the data, {bars:,} bars of "
            f"{format_duration(bar_ns)} in {span_text}"
        )
        hint = "write a shorter one, or bring more history"
        problems.append(problem_at(tree, each.path, text, hint=hint, severity="warning"))
    return problems
