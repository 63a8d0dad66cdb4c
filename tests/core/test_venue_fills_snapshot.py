"""A snapshot goes on bit for bit, the log stays short, and both renderings agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet._core.engine import KNOWN, Engine
from septet._core.venue_fills import VenueFillsEngine
from septet._kernel import layout
from septet._shell.event_backtest import decision_times
from septet.errors import RunError
from tests.core.engine_harness import ONE, EngineHarness
from tests.core.paths import plainly
from tests.core.properties import session_of_body
from tests.core.venue_fills import (
    Follower,
    engine_of,
    placed,
    recorded,
    same_words,
    with_venue_fills,
    words_of,
)
from tests.scale import examples

SHAPES = ("quoting", "breakouts", "nightly", "pair", "leaders", "pyramids", "ladders")


def bits(engine: Engine) -> list[bytes]:
    """Return everything that is remembered."""
    state = engine.state
    return [getattr(state, name).tobytes() for name in ("S", "A", "B", "I", "C")]


@pytest.mark.parametrize("name", SHAPES)
@given(st.data())
@settings(max_examples=examples(2))
def test_a_snapshot_goes_on_bit_for_bit(name, data):
    run = recorded(plainly(session_of_body(name, data.draw(st.integers(0, 99)), 150)))
    session = with_venue_fills(run.session)
    cuts = data.draw(st.sets(st.integers(1, len(run.times) - 1), min_size=1, max_size=4))
    whole = engine_of(session, 12)
    parts = engine_of(session, 12)
    followers = [Follower(each, run) for each in (whole, parts)]
    with np.errstate(all="ignore"):
        for t, at in enumerate(run.times):
            if t in cuts:
                saved = parts.snapshot()
                parts = engine_of(session, 12)
                parts.restore(saved)
                assert parts.snapshot() == saved
            for follower in followers:
                follower.engine = whole if follower is followers[0] else parts
                for _ in follower.follow(at.deeds):
                    pass
            assert repr(whole.handle(at.event)) == repr(parts.handle(at.event))
            same_words(words_of(parts), words_of(whole))
            assert bits(parts) == bits(whole)


@pytest.mark.parametrize("keeps_log", [True, False])
def test_a_simulated_run_goes_on_from_a_snapshot_and_drops_its_log(keeps_log):
    session = plainly(session_of_body("held", 5, 200))
    dropped: list[Any] = []
    whole = engine_of(session, 12, Engine)
    reported = engine_of(
        session, 12, Engine, keeps_log=keeps_log, dropped=lambda LI, LF: dropped.append(LI)
    )
    with np.errstate(all="ignore"):
        for t, event in enumerate(decision_times(session)):
            if t == 120:
                saved = reported.snapshot()
                reported = engine_of(
                    session, 12, Engine, keeps_log=keeps_log,
                    dropped=lambda LI, LF: dropped.append(LI),
                )  # fmt: skip
                reported.restore(saved)
            assert len(whole.handle(event)) == len(reported.handle(event))
            same_words(words_of(reported), words_of(whole))
    if keeps_log:
        assert dropped == []
    else:
        assert np.concatenate(dropped).tolist() == whole.log[0].tolist()
        assert reported.state.C[layout.LOG] == 0


def test_a_snapshot_of_another_run_is_refused():
    harness, other = EngineHarness("++++"), EngineHarness("++++", stops={"stop_loss": 0.1})
    harness.step(2)
    saved = harness.engine.snapshot()
    with pytest.raises(RunError, match="of another plan"):
        other.engine.restore(saved)
    with pytest.raises(RunError, match="of another values"):
        EngineHarness("++++", amount=2.0).engine.restore(saved)
    with pytest.raises(RunError, match="cannot be read"):
        harness.engine.restore(saved[:-9])


def test_a_late_fill_is_known_after_a_restart():
    harness = EngineHarness("+-===", order="limit", time_in_force=9)
    entry = harness.order(harness.step(2))
    harness.step()
    saved = harness.engine.snapshot()
    harness.engine = engine_of(harness.session, 40)
    harness.engine.restore(saved)
    (exit_,) = placed(harness.fill(entry, ONE, 101.0))
    assert harness.why(exit_) == "late_fill"


def test_what_is_remembered_stays_small():
    harness = EngineHarness("++++", stops={"stop_loss": 0.05})
    entry = harness.order(harness.step(2))
    harness.fill(entry, ONE, 101.0)
    rows = len(harness.engine.window.arrays["LI"])
    exit_ = harness.order(harness.engine.mark(0, 90.0, 90.0, harness.now_ns))
    for n in range(3 * KNOWN):
        harness.engine.end(0, exit_.order, layout.STATUS_CANCELLED, harness.now_ns + n)
        exit_ = harness.order(harness.engine.go_on(0, harness.now_ns + n))
    assert len(harness.engine._known) == KNOWN
    assert harness.count(layout.LOG) == 0
    assert len(harness.engine.window.arrays["LI"]) == rows


def _story(harness: EngineHarness) -> list[Any]:
    """Do a bit of everything."""
    reported: list[Any] = []
    for n in range(14):
        found = harness.step()
        for each in placed(found):
            found += harness.fill(each, 0.6 * each.units, each.price + 0.25, fee=0.1)
            found += harness.fill(each, 0.4 * each.units, each.price - 0.5, fee=0.05)
        engine = harness.engine
        if n == 4:
            found += engine.adopt(1, 3.0 * ONE, 99.0, harness.now_ns)
            found += engine.trigger(1, engine.protection(1)[1], harness.now_ns)
            found += engine.end(1, engine.working(1).order, layout.STATUS_CANCELLED, harness.now_ns)
            found += engine.go_on(1, harness.now_ns)
        if n == 8:
            found += engine.mark(0, 80.0, 80.0, harness.now_ns)
        if n == 11:
            found += engine.resume(harness.now_ns) + engine.halt(harness.now_ns, flatten=True)
        reported += [found, engine.protection(0), engine.equity, engine.cash, words_of(engine)]
    return reported


def test_the_compiled_text_gives_what_the_plain_one_gives():
    keys: dict[str, Any] = {
        "stops": {"stop_loss": 0.02, "trailing": 0.03, "take_profit": 0.04}, "amount": 20.0,
        "halts": {"drawdown": {"above": 0.02, "then": "flatten", "resume": "manual"}},
        "spot": False, "short_back": 1,
    }  # fmt: skip
    moves = ("++-+-+=+--+++-", "+--++=-++-+-+-")
    one, other = (EngineHarness(*moves, compiled=compiled, **keys) for compiled in (False, True))
    assert repr(_story(one)) == repr(_story(other))
    assert one.engine.snapshot()[-200:] == other.engine.snapshot()[-200:]
    assert bits(one.engine) == bits(other.engine)
    assert isinstance(other.engine, VenueFillsEngine)
