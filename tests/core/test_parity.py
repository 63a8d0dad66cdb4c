"""P1: the batch path and the event path give the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet._kernel import layout
from tests.core import draws
from tests.core.settings import walk
from tests.core.shapes import FEATURES, PARTS, made_series, two_markets
from tests.core.world import Events, Ran, run_core, run_events, session_of, session_of_text
from tests.scale import examples

BITS = np.int64


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Compare arrays bit for bit, NaN equal to NaN."""
    if a.shape != b.shape:
        return False
    both = np.isnan(a) & np.isnan(b)
    return bool(np.all(both | (a.view(BITS) == b.view(BITS))))


def assert_parity(ran: Ran, events: Events) -> None:
    """Features of every bar, decisions from the first on, the curve, the log and the state."""
    tape, assembly = ran.session.tape, ran.session.plan.assembly
    first, decisions = ran.session.first, assembly.decision_row
    for k, n in enumerate(tape.lengths):
        for row in range(decisions):
            ours, theirs = ran.batch.F[k, row, :n].copy(), events.F[k, row, :n].copy()
            assert same_bits(ours, theirs), f"feature row {row} of symbol {k}"
        rows = tape.T[layout.ROW + k, first:]
        decided = rows[rows >= 0]
        for row in range(decisions, decisions + layout.D_ROWS):
            ours, theirs = ran.batch.F[k, row, decided], events.F[k, row, decided]
            assert same_bits(ours, theirs), f"decision row {row - decisions} of symbol {k}"
    for row in (layout.G_EQUITY, layout.G_CASH, layout.G_EXPOSURE):
        assert same_bits(ran.batch.G[row, first:].copy(), events.G[row, first:].copy())
    for ours, theirs in zip(ran.log, events.log, strict=True):
        assert same_bits(ours.astype(float), theirs.astype(float))
    for name in ("A", "B", "C", "I"):
        ours, theirs = getattr(ran.batch.state, name), getattr(events.engine.state, name)
        scratch = slice(0, layout.A_SLOTS) if name == "A" else slice(None)
        assert same_bits(ours[scratch].astype(float), theirs[scratch].astype(float)), name


@given(st.data())
@settings(max_examples=examples(40))
def test_trading_is_the_same_in_both_paths(data):
    s = data.draw(draws.settings())
    bars = data.draw(draws.markets(s))
    events = run_events(session_of(s, bars), spare=data.draw(st.integers(8, 60)))
    assert events.slides > 2
    assert_parity(run_core(session_of(s, bars)), events)


@given(st.integers(0, 2**20), st.integers(8, 70))
@settings(max_examples=examples(20))
def test_every_kind_of_feature_is_the_same_in_both_paths(seed, spare):
    def session():
        return session_of_text(FEATURES, two_markets(seed, 260), 40, made_series())

    ran = run_core(session())
    assert_parity(ran, run_events(session(), spare=spare))


@pytest.mark.parametrize("name", [*PARTS, "features"])
def test_compiled_paths_agree_with_each_other_and_with_the_plain_text(name):
    def session():
        if name == "features":
            return session_of_text(FEATURES, two_markets(5, 400), 40, made_series())
        s = PARTS[name]
        return session_of(s, [walk(11 + k, 400, tick=s.tick) for k in range(len(s.symbols))])

    compiled = run_core(session(), plain=False)
    assert len(compiled.log[0]) > 20
    assert_parity(compiled, run_events(session(), plain=False, spare=9))
    assert_parity(compiled, run_events(session(), plain=True))
    assert_parity(run_core(session()), run_events(session(), plain=False, spare=300))
