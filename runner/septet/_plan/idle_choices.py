"""Decides which times without a change of signal can be processed in one stretch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from septet._plan.run_terms import Terms

__all__ = ["idle_choices"]

TILE: Final = 2_048  # times whose target sides are found before they are traded
DECIDES_WHILE_HELD = ("after", "below", "renews", "rebalance", "exits", "steps")


def idle_choices(context: Mapping[str, Any], terms: Terms) -> dict[str, Any]:
    """Return the settings that state what can happen at times without a new target side.

    `held_signal_is_idle`: a target side that is kept decides nothing; `idle_while_held`: nor do
    bars. `marks_idle_spans`: such spans are marked at once (`idle_while_held_alone`: with a
    position, too). `trades_active_symbols`: only symbols that can act are stepped.
    """
    signal_idle = not any(context[name] for name in DECIDES_WHILE_HELD)
    bars_idle = signal_idle and not context["protects"] and not context["tracks_best"]
    bars_idle = bars_idle and context["funding_column"] is None
    reads_time = any("now_ns" in halt.declaration.parameters for halt in terms.halts.values())
    is_ahead, is_single = context["signal_ignores_account"], context["one"]
    is_ahead = is_ahead and terms.grid is None  # it is laid anew at every time
    return {
        "held_signal_is_idle": signal_idle, "idle_while_held": bars_idle,
        "idle_while_held_alone": bars_idle and not context["halts"],
        "marks_idle_spans": is_ahead and is_single and not reads_time and terms.due_every is None,
        "trades_active_symbols": is_ahead and not is_single,
        "tile": "W.shape[0]" if is_ahead and not is_single else str(TILE),
    }  # fmt: skip
