"""What a person or a monitor does to a run whose plan is compiled, as every live run's is."""

from __future__ import annotations

from typing import Any

import pytest

from septet._core.engine import Engine
from septet._core.monitor_blocks import cancel_entries
from septet._core.venue_fills import VenueFillsEngine
from septet._kernel import layout
from tests.core.engine_harness import EngineHarness
from tests.core.venue_fills import placed

pytestmark = pytest.mark.compiled

HALTS = {"drawdown": {"above": 0.01, "then": "flatten", "resume": "manual"}}


def acted(kind: type[Engine], act: str, *, compiled: bool) -> tuple[Any, ...]:
    """Hold two positions, or enter them, and let a person or a monitor act; return what follows."""
    harness = EngineHarness(
        "++===", "++===", kind=kind, compiled=compiled, amount=30.0, halts=HALTS, spot=False
    )
    entries = placed(harness.step(2))
    engine = harness.engine
    if kind is VenueFillsEngine and act != "cancel":
        for entry in entries:
            harness.fill(entry, entry.units, entry.price)
    if act == "halt":
        found = engine.halt(harness.now_ns, flatten=False)
    elif act == "flatten":
        found = engine.halt(harness.now_ns, flatten=True)
    elif act == "resume":
        engine.halt(harness.now_ns, flatten=False)
        found = engine.resume(harness.now_ns)
    else:
        cancel_entries(engine.plan, engine._arrays, harness.now_ns)
        found = []
    state, rows = engine.state, int(engine.state.C[layout.LOG])
    kept = [each.tobytes() for each in (state.A, state.C, state.B, state.I)]
    log = [engine._arrays[name][:rows].tobytes() for name in ("LI", "LF")]
    return repr(found), kept, log, [repr(each) for each in harness.step()]


@pytest.mark.parametrize("act", ["halt", "flatten", "resume", "cancel"])
@pytest.mark.parametrize("kind", [Engine, VenueFillsEngine])
def test_what_a_person_does_to_a_compiled_run_is_what_it_does_to_a_plain_one(kind, act):
    compiled, plain = (acted(kind, act, compiled=each) for each in (True, False))
    assert compiled == plain
    assert compiled[0] != "[]" or act == "cancel"
