"""Decides whether a run over history compiles its plan, or runs it as plain Python.

Compiling takes about ten seconds, once for each shape of strategy; plain Python takes a second for
some ten thousand bars. So a short history runs plain unless its plan was compiled before. The bits
are the same. The work decides, which is counted from the file and the length of its data, and
never a time, which is measured.
"""

from __future__ import annotations

import dis
from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeVar

from septet._plan.plain import compile_choice, is_arithmetic
from septet._shell.session import Session

__all__ = ["PLAIN_BARS", "choose_plain", "ran_plain_first"]

PLAIN_BARS: Final = 40_000
"""Most bars, over all symbols, for which a run over history is not compiled.

A window that is read whole on every bar adds one bar for each `SCANNED` of its values. A window
that plain Python reads by numpy, a thousand values in some microseconds, adds none.
"""
SCANNED: Final = 60
CANDIDATES: Final = 20
"""A symbol may be entered at one bar in this many; its correlations are computed only there."""
WINDOWS: Final = 3
"""Windows of forecasts that count as one bar: each takes some microseconds, a bar tens."""
READ_AT_ONCE: Final = 1_000
"""Values of a window that numpy reads in the time of its call overhead."""
KEPT: Final = tuple(f"septet._kernel.{each}" for each in ("sums", "moments", "recursive"))
"""Modules whose helpers read a window now and then, not on every bar."""

Ran = TypeVar("Ran")


def choose_plain(session: Session) -> None:
    """Run the plan of a session as plain Python if that is faster than compiling."""
    plan = session.plan
    if compile_choice() == "auto" and plain_bars(session) <= PLAIN_BARS and not plan.is_stored:
        plan.run_plain()


def plain_bars(session: Session) -> int:
    """Return the number of bars of all symbols, weighted by the work per bar."""
    assembly = session.plan.assembly
    correlated = (assembly.lookback_times - 1) * len(session.aligned.lengths)
    scanned = correlated // CANDIDATES
    for node in assembly.graph.nodes:
        # a step that keeps averages recomputes them from its memory now and then, not on every bar
        renews = bool(node.step.state) and node.memory.kind == "fading"
        if node.step.function is not None and not renews and _scans(node.step.function):
            scanned += min(node.reach, node.memory.bars)  # without the memory of its inner features
    work = sum(session.aligned.lengths) * (SCANNED + scanned) // SCANNED
    return work + _forecast_bars(session)


def _forecast_bars(session: Session) -> int:
    """Return the work of a portfolio's forecasts over all rebalances, as a number of bars.

    Plain Python reads their windows by numpy: `septet._kernel.forecast_sums`.
    """
    forecast = getattr(session.plan.assembly.terms.portfolio, "forecast", None)
    if forecast is None:
        return 0
    symbols, count, window = len(session.aligned.lengths), len(forecast.of), int(forecast.window)
    windows = symbols * (1 + count * (count + 1)) + symbols * (symbols - 1) // 2 + 2 * count
    due = int(session.aligned.DUE.sum())
    return due * windows * (READ_AT_ONCE + window) // (WINDOWS * READ_AT_ONCE)


@cache
def _scans(function: Any) -> bool:
    """Whether a step, or a helper it calls, has a loop that may read its window on every bar."""
    code = function.__code__
    named = (function.__globals__.get(name) for name in code.co_names)
    helpers = [each for each in named if getattr(each, "__septet_helper__", False)]
    if any(hasattr(each, "__septet_text__") for each in helpers):
        return False  # plain Python reads the window by numpy, not in a loop of its own
    if any("JUMP_BACKWARD" in each.opname for each in dis.get_instructions(code)):
        return True
    return any(each.__module__ not in KEPT and _scans(each) for each in helpers)


def ran_plain_first(session: Session, run: Callable[[], Ran]) -> Ran:
    """Return the result of a run; plain Python that divides by zero is compiled and run again."""
    try:
        return run()
    except Exception as error:  # a step may raise anything; only arithmetic errors are handled
        free = compile_choice() == "auto" and session.plan.plain
        if not free or not is_arithmetic(error):
            raise
        session.log(f"compiling after all: plain Python stops at {_last(error)}")
    session.plan.compile()
    return run()


def _last(error: BaseException) -> str:
    passed = {id(error)}
    while error.__cause__ is not None and id(error.__cause__) not in passed:
        error = error.__cause__
        passed.add(id(error))
    return f"{type(error).__name__}: {error}"
