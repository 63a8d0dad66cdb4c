"""Invalid answers counted by the rules, as results and as messages.

`septet._rules.checked` counts in C. The number already reported is kept there too, so that a run
that is rebuilt from its journal reports the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from septet import messages as m
from septet._core.state import Ints, PlanFacts
from septet._kernel.layout import CHECKED_FIRST, CHECKED_REPORTED, CHECKED_TIMES
from septet_schemas.times import format_moment

if TYPE_CHECKING:
    from septet._core.engine import Engine

__all__ = ["invalid_answers", "new_invalid_answers"]


def invalid_answers(facts: PlanFacts, C: Ints) -> list[dict[str, Any]]:
    """Return the rules that gave invalid answers: `rule`, `kind`, `first_ns` and `times`."""
    answers = []
    for (rule, kind), at in sorted(zip(facts.checked, facts.checked_at, strict=True)):
        times = int(C[at + CHECKED_TIMES])
        if times:
            first_ns = int(C[at + CHECKED_FIRST])
            answers.append({"rule": rule, "kind": kind, "first_ns": first_ns, "times": times})
    return answers


def new_invalid_answers(engine: Engine) -> list[m.Command]:
    """Return the counts since the last call; the first time of a rule is an alert."""
    commands: list[m.Command] = []
    facts, C = engine.plan.facts, engine.state.C
    for (rule, kind), at in zip(facts.checked, facts.checked_at, strict=True):
        times, reported = int(C[at + CHECKED_TIMES]), int(C[at + CHECKED_REPORTED])
        if times == reported:
            continue
        C[at + CHECKED_REPORTED] = times
        first_ns = int(C[at + CHECKED_FIRST])
        commands.append(m.InvalidAnswer(rule=rule, rule_kind=kind, first_ns=first_ns, times=times))
        if not reported:
            text = f"{rule} gave an answer that a {kind} may not give, at {format_moment(first_ns)}"
            commands.append(m.Alerted(level="warning", event="invalid_answer", text=text))
    return commands
