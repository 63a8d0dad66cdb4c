"""Health of a run, as `/healthz` reports it: unhealthy unless shown otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from septet._core.block_rules import PERSON, cleared_by
from septet._data.day_calendars import day_calendar, written_calendars

__all__ = ["Condition", "condition_of"]

NS: Final = 1_000_000_000
LATE_BARS: Final = 2
LATE_S: Final = 60.0
"""A decision may be two bars and so many seconds old."""
ROUND_THE_CLOCK: Final = "24x7"
BY_PERSON: Final = frozenset({"operator", "operator_halt"})
"""The halt of a person and the block that comes with it: one reason."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Health of one strategy; `reasons` lists what is wrong, and is empty if nothing is."""

    strategy: str
    run_id: str
    mode: str
    reasons: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether it is live, blocked by nothing, and deciding on time."""
        return not self.reasons


def condition_of(run: Any) -> Condition:
    """Return the health of a strategy by its stored blocks, decisions and journal."""
    strategy = run.strategy
    return Condition(strategy.name, run.location.run_id, strategy.mode, tuple(_reasons(run)))


def _reasons(run: Any) -> Sequence[str]:
    if run.ended is None or not run.ready.is_set():
        return ["it is starting, and trades nothing yet"]
    if run.ended.done():
        return [f"it has ended: {run.ended.result().text or run.ended.result().why}"]
    calendars = written_calendars(run.strategy)
    tripped = run.known.tripped
    reasons = [
        f"{rule} holds; it is cleared by: {cleared_by(clears_when)}"
        for rule, clears_when in sorted(tripped.items())
        if rule not in BY_PERSON
    ]
    if run.switch_holds or not BY_PERSON.isdisjoint(tripped):
        reasons.append(f"a person has halted it; it is cleared by: {PERSON}")
    if run.known.model_expired:
        reasons.append("its model has expired: decisions are rejected until another one is ready")
    if not run.shell.journal_works:
        reasons.append("the journal cannot be written: no entry is sent")
    if day_calendar(each or ROUND_THE_CLOCK for each in calendars) == ROUND_THE_CLOCK:
        age_s, most_s = decision_age_s(run), _longest_s(run)
        if age_s is None or age_s > most_s:
            text = "nothing was decided yet" if age_s is None else f"decided {age_s:.0f} s ago"
            reasons.append(f"{text}, and {most_s:.0f} s is the longest that may take")
    return reasons


def _longest_s(run: Any) -> float:
    bar_s = float(run.strategy.universe.bar) / NS / float(run.clock.speed)
    return LATE_BARS * bar_s + LATE_S


def decision_age_s(run: Any) -> float | None:
    """Seconds (wall time) since the newest decision time, or since it went live without one."""
    decided_ns = int(run.known.decided_ns)
    since_ns = decided_ns if decided_ns >= 0 else int(run.live_ns)
    if since_ns < 0:
        return None
    return float(int(run.clock.market_ns()) - since_ns) / NS / float(run.clock.speed)
