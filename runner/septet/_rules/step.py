"""One decision time, in the order in which everything happens at it."""

from __future__ import annotations

from septet._rules.account import list_all, list_held, mark, watch
from septet._rules.bars import settle
from septet._rules.decide import decide
from septet._rules.form import kernel
from septet._rules.halts import test_halts
from septet._rules.run import Run
from septet._rules.settings import HALTS

__all__ = ["step"]


@kernel
def step(t, run: Run):
    """Everything that happens at one decision time."""
    now_ns = run.known_ns[t]
    watch(now_ns, run)
    count = list_all(run)
    settle(t, now_ns, count, run)
    held = list_held(run)
    mark(t, held, run)
    if HALTS:
        test_halts(t, now_ns, run)
    decide(t, now_ns, count, run)
