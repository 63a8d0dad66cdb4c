"""Safe mode blocks entries and cancels nothing that protects; a person halts everything."""

from __future__ import annotations

from typing import Any

from septet import messages as m
from septet._drill.sim.core_subject import core_subjects

NOW = 1_700_000_000_000_000_000


def operated(core: Any, action: Any, name: str) -> list[m.Command]:
    event = m.Operated(at_ns=NOW, action=action, name=name, reason="4 unclean ends")
    commands: list[m.Command] = core.handle(event)
    return commands


def test_safe_mode_blocks_entries_and_leaves_stops_alone() -> None:
    core: Any = core_subjects(1)()
    found = operated(core, "halt", "safe_mode")
    assert not any(isinstance(each, m.CancelAll) for each in found)
    assert core.guards.blocked(0) == "safe_mode"
    assert core.engine.blocked
    cleared = operated(core, "resume", "ann")
    assert any(isinstance(each, m.Cleared) for each in cleared)
    assert core.guards.blocked(0) == ""
    assert not core.engine.blocked


def test_a_persons_halt_cancels_everything() -> None:
    core: Any = core_subjects(1)()
    found = operated(core, "halt", "ann")
    assert any(isinstance(each, m.CancelAll) for each in found)
    assert core.guards.blocked(0) == "operator_halt"
