"""Models of a run that cannot be read at a restart: the run goes on without them.

A run with a history may hold positions, so that it starts: what a damaged model has predicted is
taken from the journal's decisions while that is folded, and from then on its window has no model
(`no_model`): nothing is entered, stops, levels, exits and halts go on. The journal says so with a
`ModelFailed`, so that replay and shadow know it. Once the model is restored, the next start
announces it again.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from septet import messages as m
from septet._live.model_in_force import Models

__all__ = ["LOST", "changes_of", "instructions"]

LOST: Final = "its copy cannot be read: "
"""How the text of a `ModelFailed` begins whose model was there."""


def changes_of(models: Any, at_ns: int) -> list[m.ModelReady | m.ModelFailed]:
    """Return what has become of models since the last process: lost, or restored."""
    if not isinstance(models, Models):
        return []
    changes: list[m.ModelReady | m.ModelFailed] = [
        m.ModelFailed(
            at_ns=at_ns, number=each.number, trained_to_ns=each.trained_to_ns,
            text=f"{LOST}{models.lost[each.fingerprint]}",
        )
        for each in models.entries()
        if isinstance(each, m.ModelReady) and each.fingerprint in models.lost
    ]  # fmt: skip
    for failed in models.entries():
        was = models.replaced.get(failed.number)
        if was is None or isinstance(failed, m.ModelReady) or not failed.text.startswith(LOST):
            continue
        models.lost.pop(was.fingerprint, None)
        models.load(was)
        if was.fingerprint not in models.lost:
            changes.append(msgspec.structs.replace(was, at_ns=at_ns))
    return changes


def instructions(event: m.ModelReady | m.ModelFailed) -> tuple[str, str]:
    """Return the level and the text of what an operator is told of a change."""
    if isinstance(event, m.ModelReady):
        return "warning", f"model {event.number} can be read again ({event.folder}): it decides on"
    return "critical", (
        f"model {event.number}: {event.text}; nothing is entered while it would decide (no_model), "
        "and stops, exits and halts go on. Restore the models folder of the run from a backup and "
        "start it again, or wait for the next model of the schedule; --fresh begins another run"
    )
