"""Why the first decision of a backtest is later than `universe.start` asks for.

Warm-up and the first training window are read before the start. Where the data does not reach
that far back, the first decision moves, and `check` and the verdict report it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np

from septet import _learn as learn
from septet._config.pydantic_problems import problem_at
from septet._data.day_calendars import day_calendar, written_calendars
from septet._kernel import layout
from septet._results.number_texts import date, plural, when
from septet._shell.session import Session, first_ready
from septet.errors import Problem
from septet_schemas.cron import Cron
from septet_schemas.units import format_duration

__all__ = ["LateStart", "ModelWindow", "Ready", "late_start", "late_start_problem", "ready_of"]

_DAY_NS: Final = 86_400_000_000_000
_CLOSED_NS: Final = 7 * _DAY_NS
"""Longest time around a start for which a market with sessions may be closed."""


class Ready(msgspec.Struct, frozen=True):
    """Times at which rules could be read: the open of the first bar, first due, first ready."""

    begin_ns: int
    due_ns: int
    ready_ns: int


class ModelWindow(msgspec.Struct, frozen=True):
    """A training window in time order; `reason` is why it yields no model, empty if it does."""

    trained_to_ns: int
    ready_ns: int
    reason: str = ""


class LateStart(msgspec.Struct, frozen=True):
    """A first decision after the requested start: its time, the reason, and a hint."""

    start_ns: int
    first_ns: int
    why: str
    hint: str

    @property
    def text(self) -> str:
        """The late start as a sentence, without its full stop."""
        start, first = when(self.start_ns), when(self.first_ns)
        return f"The first decision is {first}, not universe.start ({start}): {self.why}"


def ready_of(session: Session) -> Ready:
    """Return when the rules of a session could be read, regardless of any model."""
    start_ns, known_ns = session.strategy.universe.start, session.aligned.T[layout.KNOWN]
    due = 0 if start_ns is None else int(np.searchsorted(known_ns, start_ns, side="left"))
    ready = max(due, first_ready(session.plan, session.aligned) or 0)
    begin_ns = int(known_ns[0]) - session.market.bar_ns
    return Ready(begin_ns, int(known_ns[due]), int(known_ns[ready]))


def late_start(
    strategy: Any,
    ready: Ready,
    first_ns: int,
    warmup_bars: int,
    windows: Sequence[ModelWindow] = (),
) -> LateStart | None:
    """Return why the first decision is at `first_ns`; None if that is the requested start.

    `windows` are those of a model that is trained in the run.
    """
    start_ns, bar_ns = strategy.universe.start, strategy.universe.bar
    if start_ns is None:
        return None
    closes = set(written_calendars(strategy)) != {"24x7"}
    slack = max(bar_ns, _CLOSED_NS) if closes else bar_ns
    if first_ns <= start_ns + slack and first_ns <= ready.due_ns:
        return None
    data_text = f"the data begins {when(ready.begin_ns)}"
    instead = f", or write start: {date(first_ns + _DAY_NS - 1)} or later"
    if first_ns > ready.ready_ns and windows:
        why, hint = _by_model(strategy, data_text, first_ns, windows)
    elif ready.ready_ns > ready.due_ns:
        why, hint = _by_warmup(data_text, ready, warmup_bars, start_ns, closes, bar_ns)
    elif first_ns > ready.ready_ns:
        why = "another setting that this one is compared with can decide no earlier"
        hint = "bring data from before the start"
    elif ready.begin_ns > start_ns + slack:
        why, hint = data_text, f"bring data from {when(start_ns)} on"
    else:
        return None
    return LateStart(start_ns, first_ns, why, hint + instead)


def _by_warmup(
    data_text: str, ready: Ready, bars: int, start_ns: int, closes: bool, bar_ns: int
) -> tuple[str, str]:
    needed = f"the features need {plural(bars, 'bar')} before they have a value"
    broken = not closes and ready.begin_ns + bars * bar_ns < start_ns
    why = (
        f"{data_text}, {needed}, and a gap makes them begin anew"
        if broken
        else f"{data_text}, and {needed}"
    )
    return why, f"bring {plural(bars, 'bar')} from before the start, or shorten the features"


def _by_model(
    strategy: Any, data_text: str, first_ns: int, windows: Sequence[ModelWindow]
) -> tuple[str, str]:
    """Return how training delays the first decision."""
    start_ns, training = strategy.universe.start, strategy.model.extra["training"]
    failing = next((n for n, each in enumerate(windows) if not each.reason), len(windows))
    if failing:
        why = f"{plural(failing, 'training window')} before it gave no model: {windows[0].reason}"
        return why, "lengthen training.train, lower its min_rows"
    first = windows[0]
    if first.ready_ns <= start_ns:
        why = "no earlier bar has a finite value of every feature that the model reads"
        return why, "look for gaps in what the features read"
    train = format_duration(training.train)
    why = f"{data_text}, and the first whole training window (train: {train}) serves from "
    days = day_calendar(each or "24x7" for each in written_calendars(strategy))
    rule = learn.training_rule(training, strategy.universe.bar, days)
    from_ns = _trained_to(training, start_ns - rule.ready_after_ns)
    while rule.ready_at(from_ns) > start_ns:
        from_ns = _trained_to(training, from_ns - 1)
    data = f"bring data from {when(from_ns - training.train)} on"
    return why + when(first.ready_ns), f"{data}, shorten training.train"


def _trained_to(training: Any, latest_ns: int) -> int:
    """Return the newest time of the schedule that is not after `latest_ns`."""
    step = training.step
    if isinstance(step, Cron):
        return int(max(step.times(latest_ns - step.longest_ns, latest_ns), default=latest_ns))
    return int(latest_ns // step * step)


def late_start_problem(session: Session, windows: Sequence[ModelWindow] = ()) -> list[Problem]:
    """Warn if a run would decide later than its file asks for, as far as the windows show."""
    ready = ready_of(session)
    first_ns = int(session.aligned.T[layout.KNOWN, session.first])
    served = next((each.ready_ns for each in windows if not each.reason), first_ns)
    late = late_start(
        session.strategy, ready, max(first_ns, served), session.plan.warmup_bars, windows
    )
    if late is None:
        return []
    text = late.text[0].lower() + late.text[1:]
    return [
        problem_at(
            session.loaded.tree, ("universe", "start"), text, hint=late.hint, severity="warning"
        )
    ]
