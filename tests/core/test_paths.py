"""The batch path's own machinery: a log that grows, tiles, one symbol beside none."""

from __future__ import annotations

import numpy as np
import pytest

from septet._core import batch as batch_module
from tests.core.settings import Settings, walk
from tests.core.test_parity import assert_parity, same_bits
from tests.core.world import run_core, run_events, session_of, session_of_text

BUSY = Settings(symbols=("AAA/USDT", "BBB/USDT"), exit_back=1, stops={"stop_loss": 0.01})

ALONE = """\
version: 1
name: alone
universe: {symbols: [AAA/USDT], bar: 1h}
data: {candles: {use: synthetic}}
features:
  place: {use: cross_rank, of: close}
  mix: {use: expr, formula: "close + 0 * place"}
signal: {use: rules, long_if: "mix > 0 or close > prev(close, 1)", exit_if: close < 90}
risk: {sizing: {use: fixed_fraction, fraction: 50%}}
"""


def test_a_log_that_is_full_grows_and_loses_nothing(monkeypatch):
    bars = [walk(seed, 600) for seed in (1, 2)]
    large = run_core(session_of(BUSY, bars))
    monkeypatch.setattr(batch_module, "FIRST_LOG", -64)
    small = run_core(session_of(BUSY, bars))
    assert len(small.batch.LI) < len(large.batch.LI)
    for ours, theirs in zip(large.log, small.log, strict=True):
        assert same_bits(ours.astype(float), theirs.astype(float))


def test_tiles_of_any_size_give_the_same_bits(monkeypatch):
    bars = [walk(seed, 300) for seed in (1, 2)]
    whole = run_core(session_of(BUSY, bars))
    monkeypatch.setattr(batch_module, "TILE", 7)
    tiled = run_core(session_of(BUSY, bars))
    assert same_bits(whole.batch.G[:3, 5:].copy(), tiled.batch.G[:3, 5:].copy())


def test_a_rank_over_a_universe_of_one_is_unknown_in_both_paths():
    def session():
        return session_of_text(ALONE, [walk(4, 120)])

    ran = run_core(session())
    row = ran.session.plan.assembly.features["place"]
    assert np.isnan(ran.batch.F[0, row, :120]).all()
    assert_parity(ran, run_events(session()))


@pytest.mark.parametrize("late", [True, False])
def test_a_late_decision_exits_but_does_not_enter(late):
    """SEMANTICS, "Time": exits act, entries do not."""
    import msgspec

    from septet._kernel import layout
    from septet._shell.eventful import barriers, make_engine
    from tests.core.cases import CALM, bars_of
    from tests.core.world import plain_module

    rows = [CALM, (100, 103, 99, 102), (102, 105, 101, 104), (104, 105, 94, 95), (95, 96, 94, 95)]
    session = session_of(Settings(exit_back=1), [bars_of(rows)], 1)
    session.plan.__dict__["module"] = plain_module(session.plan)
    engine = make_engine(session, None)
    sides = []
    for event in barriers(session):
        is_late = late and event.time_ns == session.tape.T[layout.KNOWN, 1]
        engine.handle(msgspec.structs.replace(event, late=is_late))
        sides.append(int(engine.state.I[0, layout.OPEN_SIDE]))
    assert sides == [0, 0, 0 if late else 1, 1, 0]
