"""What a person or a monitor does to a run whose plan is compiled, as every live run's is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from septet._core.engine import Engine
from septet._core.monitor_blocks import cancel_entries
from septet._core.venue_fills import VenueFillsEngine
from septet._kernel import layout
from septet._shell.event_backtest import decision_times
from septet._shell.session import Session
from tests.core.column_rules import EVERY_WORD, session_with
from tests.core.paths import plainly
from tests.core.properties import session_of_body
from tests.core.venue_fills import engine_of, placed, with_venue_fills

pytestmark = pytest.mark.compiled


def session(kind: type[Engine], *, compiled: bool) -> Session:
    """Return a session of several symbols that trades both sides; others compile its plan too."""
    if kind is VenueFillsEngine:
        return with_venue_fills(session_with(EVERY_WORD), compiled=compiled)
    made = session_of_body("leaders")
    return made if compiled else plainly(made)


def acted(kind: type[Engine], act: str, *, compiled: bool) -> tuple[Any, ...]:
    """Hold two positions, or enter them, and let a person or a monitor act; return what follows."""
    made = session(kind, compiled=compiled)
    engine, events = engine_of(made, 40, kind), iter(list(decision_times(made)))
    symbols = range(len(made.plan.symbols))
    with np.errstate(all="ignore"):
        for event in events:
            entries = [each for each in placed(engine.handle(event)) if not each.reduces]
            if act == "cancel":
                if len(entries) >= 2:
                    break
                continue
            if kind is VenueFillsEngine:
                for each in entries:
                    fill = each.units, each.price, each.units, 0.0, False, event.time_ns
                    engine.fill(each.symbol, each.order, *fill)
            if sum(engine.position(k)[0] != 0.0 for k in symbols) >= 2:
                break
        now_ns = event.time_ns
        if act == "halt":
            found = engine.halt(now_ns, flatten=False)
        elif act == "flatten":
            found = engine.halt(now_ns, flatten=True)
        elif act == "resume":
            engine.halt(now_ns, flatten=False)
            found = engine.resume(now_ns)
        else:
            cancel_entries(engine.plan, engine._arrays, now_ns)
            found = []
        state, rows = engine.state, int(engine.state.C[layout.LOG])
        kept = [each.tobytes() for each in (state.A, state.C, state.B, state.I)]
        log = [engine._arrays[name][:rows].tobytes() for name in ("LI", "LF")]
        return repr(found), kept, log, [repr(each) for each in engine.handle(next(events))]


@pytest.mark.parametrize("act", ["halt", "flatten", "resume", "cancel"])
@pytest.mark.parametrize("kind", [Engine, VenueFillsEngine])
def test_what_a_person_does_to_a_compiled_run_is_what_it_does_to_a_plain_one(kind, act):
    compiled, plain = (acted(kind, act, compiled=each) for each in (True, False))
    assert compiled == plain
    assert compiled[0] != "[]" or act == "cancel"
