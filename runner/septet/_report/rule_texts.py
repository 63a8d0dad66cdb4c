"""Sentences of `why` on the calendar, the number of positions and positions in steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from septet._report.conditions import condition_at
from septet._results.no_trades import highest_confidence, threshold_of, threshold_text

if TYPE_CHECKING:
    from septet._store.run_folder import Run

__all__ = [
    "NO_BUY", "rule_states", "text_of_rule", "text_of_signal", "text_of_threshold",
]  # fmt: skip

NO_BUY: Final = "no regular buy was due"
_RULES: Final = {"long": "long_if", "short": "short_if", "flat": "exit_if"}


def text_of_rule(
    resolved: Mapping[str, Any], reason: str, *, ordered: bool, order_type: str = ""
) -> str | None:
    """Return a sentence on the meaning of a reason in a run's file; None if its name suffices.

    `ordered`: it is the reason of an order of that type, else that of a rejection.
    """
    if ordered and (text := _text_of_step(resolved, reason, order_type)):
        return text
    hours = _block(resolved, "universe").get("trading_hours")
    hours = hours if isinstance(hours, Mapping) else {}
    opened = hours.get("open") or "no hours of its own"
    if reason == "closed_hours":
        text = f"the first fill would lie outside of the trading hours ({opened})"
        blackout = hours.get("blackout")
        if isinstance(blackout, Mapping):
            text += f", or around an event of {blackout.get('series')}"
        return text
    if reason == "flat_at_close":
        if ordered:
            return f"the last fill inside the trading hours ({opened}) closes what is held"
        return f"this is the last fill inside the trading hours ({opened}), which enters nothing"
    if reason == "max_positions":
        most = _block(resolved, "risk").get("max_positions")
        return f"max_positions is {most}: so many symbols were held or being entered already"
    return None


def text_of_threshold(run: Run, resolved: Mapping[str, Any], reason: str) -> str | None:
    """Return the probability that the file's threshold requires, if it rejected a decision."""
    threshold = threshold_of(resolved)
    if threshold is None or reason != "below_threshold":
        return None
    highest = highest_confidence(run.table("decisions")) if run.has("decisions") else None
    return threshold_text(threshold, highest)


def text_of_signal(
    resolved: Mapping[str, Any], decision: Mapping[str, Any], threshold: Any, reason: str, *,
    ordered: bool,
) -> str | None:  # fmt: skip
    """Return the sentence that a confidence gave the signal, or that no regular buy was due.

    `ordered`: `reason` is that of the order that follows, else that of a rejection.
    """
    buys = _block(_block(_block(resolved, "risk"), "position"), "buy_every")
    if buys and not ordered and not reason:
        return f"{NO_BUY} (risk.position.buy_every: {buys.get('every')})"
    confidence, side = decision.get("confidence"), decision.get("signal")
    if ordered and reason not in ("entry", "opposite", "reversal"):
        return None
    if (reason and not ordered) or side not in ("long", "short") or confidence is None:
        return None
    if not isinstance(threshold, float) or not confidence >= threshold:
        return None
    reached = _percent(round(confidence, 6))
    return f"the confidence of {reached} reaches the threshold of {_percent(threshold)}"


def rule_states(
    run: Run, resolved: Mapping[str, Any], symbol: str, time_ns: int, side: str
) -> str | None:
    """Return the rule of the file that gave the signal of a decision, with the values it read.

    `side` is the signal, ``long``, ``short`` or ``flat``, or ``both``; of ``none`` it is which
    rules of entry were not true. None where no rules signal, or the run did not store what they
    read.
    """
    signal = _block(resolved, "signal")
    if signal.get("use") != "rules":
        return None
    signalled = side != "none"
    rules = (_RULES[side],) if side in _RULES else ("long_if", "short_if")
    conditions = {
        name: condition_at(run, signal[name], symbol, time_ns) for name in rules if signal.get(name)
    }
    parts = [
        f"`{name}` was {each.words()}"
        for name, each in conditions.items()
        if each and (each.state is True) == signalled
    ]
    return "; ".join(parts) or None


def _text_of_step(resolved: Mapping[str, Any], reason: str, order_type: str) -> str:
    """Return the entry of `risk.position`, or the level, to which an order belongs; else empty."""
    position = _block(_block(resolved, "risk"), "position")
    if reason in ("add", "take"):
        base_text = "the first order" if reason == "add" else "all that was entered"
        base = "the first price" if reason == "add" else "the average entry price"
        is_resting = order_type in ("limit", "stop")
        each = [
            f"{_share(entry)} of {base_text} {text}"
            for entry in position.get(reason) or ()
            for text in _reached(entry, base, is_resting=is_resting)
        ]
        return f"of risk.position.{reason}: {'; or '.join(each)}" if each else ""
    if reason == "break_even":
        return "the stop stood where what is held closes at zero after its entry and taker fees"
    if reason == "buy_every":
        buys = _block(position, reason)
        return f"of risk.position.buy_every: {buys.get('amount')} at {buys.get('every')}"
    grid = _block(position, "grid")
    if reason == "grid" and grid:
        return f"a level of the grid, {_share(grid)} of equity as it was laid"
    if reason == "grid_exit" and grid:
        return f"what a level of the grid has bought is sold one step ({_percent(grid['step'])}) up"
    return ""


def _reached(entry: Mapping[str, Any], base: str, *, is_resting: bool) -> Iterator[str]:
    """Yield the condition of an increase or partial exit, and its levels.

    For resting orders only these.
    """
    if entry.get("when") and not is_resting:
        yield f"when {entry['when']}"
    at = entry.get("at")
    levels = at if isinstance(at, list | tuple) else [] if at is None else [at]
    if levels:
        yield f"at {', '.join(map(_percent, levels))} from {base}"


def _share(entry: Mapping[str, Any]) -> str:
    return _percent(entry.get("size"))


def _percent(value: Any) -> str:
    return f"{100.0 * value:g}%" if isinstance(value, float | int) else str(value)


def _block(resolved: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    block = resolved.get(name)
    return block if isinstance(block, Mapping) else {}
