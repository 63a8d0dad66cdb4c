"""Bars that closed while nobody was there: what rests meets each of them, in order."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet._core.events import Traded
from septet._core.monitor_blocks import NOTHING
from septet._kernel import layout
from septet._shell.event_backtest import decision_times, make_engine
from tests.core import drawn_cases
from tests.core.cases import CALM, bars_of
from tests.core.compare import assert_agrees, chances_of
from tests.core.paths import plainly
from tests.core.reference import Reference
from tests.core.settings import Settings
from tests.core.world import FIRST, Ran, chance_up, session_of
from tests.scale import examples


def _predict_row(time_ns: int, vector: Any) -> tuple[float, int]:
    return chance_up(float(vector[0])), 0


def _run(session: Any, missed: frozenset[int]) -> Ran:
    """Run the event path; nobody is there at the missed times."""
    learns = session.strategy.model is not None
    learned: Any = (
        SimpleNamespace(walk=SimpleNamespace(predict_row=_predict_row)) if learns else None
    )
    engine = make_engine(session, learned, spare=session.aligned.times + 8)
    with np.errstate(all="ignore"):
        for event in decision_times(session):
            gone = event.time_ns in missed
            engine.handle(msgspec.structs.replace(event, decides=not gone, matches=gone)
                          if event.decides else event)  # fmt: skip
    arrays, (LI, LF) = engine.window.arrays, engine.log
    left: Any = SimpleNamespace(
        state=engine.state, LI=LI, LF=LF, **{name: arrays[name] for name in "FDG"}
    )
    return Ran(session, left)


@given(st.data())
@settings(max_examples=examples(6))
def test_missed_bars_agree_with_the_reference(data):
    """SEMANTICS, "Time": bars after their decision time enter in order, and decide nothing."""
    s = data.draw(drawn_cases.settings())
    bars = data.draw(drawn_cases.markets(s))
    session = plainly(session_of(s, bars))
    times = session.aligned.T[layout.KNOWN].tolist()[FIRST + 1 :]
    spans = data.draw(
        st.lists(st.tuples(st.integers(0, len(times)), st.integers(1, 9)), max_size=4)
    )
    missed = frozenset(each for at, count in spans for each in times[at : at + count])
    ran = _run(session, missed)
    reference = Reference(s, bars, chances_of(ran), missed).run(FIRST)
    assert_agrees(ran, reference)


ROWS = [CALM, (100, 103, 99, 102), (102, 103, 101, 102), (102, 102, 90, 91), (91, 99, 91, 98),
        (98, 99, 97, 98)]  # fmt: skip


def test_an_entry_and_its_stop_fill_in_the_missed_bars_that_they_meet():
    s = Settings(exit_back=1, stops={"stop_loss": 0.05}, slippage=0.0, maker=0.0, taker=0.0)
    session = plainly(session_of(s, [bars_of(ROWS)], 1))
    engine, logged = make_engine(session, None), []
    monitor = SimpleNamespace(
        before=lambda t: NOTHING, after=lambda t, LI, LF: NOTHING,
        matched=lambda LI, LF: logged.append(LI[:, 0].tolist()),
    )  # fmt: skip
    fills: list[tuple[int, int, float]] = []
    for n, event in enumerate(decision_times(session)):
        gone = n in (2, 3)
        reported = msgspec.structs.replace(event, decides=event.decides and not gone, matches=gone)
        for each in engine.handle(reported, monitor):
            if isinstance(each, Traded):
                fills.append((n, each.time_ns, each.price))
    known = session.aligned.T[layout.KNOWN].tolist()
    assert [(n, time_ns) for n, time_ns, _ in fills[:2]] == [(2, known[1]), (3, known[3])]
    assert [price for *_, price in fills[:2]] == pytest.approx([102.0, 96.9])
    assert [layout.FILL in kinds for kinds in logged] == [True, True]
