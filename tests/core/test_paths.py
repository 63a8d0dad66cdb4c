"""The batch path's own machinery: a log that grows, tiles, one symbol beside none."""

from __future__ import annotations

import numpy as np
import pytest

from septet._core import batch as batch_module
from septet._plan import idle_choices
from tests.core.paths import by_batch, by_events, plainly
from tests.core.settings import Settings, walk
from tests.core.table_comparison import assert_same
from tests.core.world import session_of, session_of_text

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


def busy(count: int = 600):
    return plainly(session_of(BUSY, [walk(seed, count) for seed in (1, 2)]))


def test_a_log_that_is_full_grows_and_loses_nothing(monkeypatch):
    large = by_batch(busy())
    monkeypatch.setattr(batch_module, "FIRST_LOG", -64)
    assert_same(large, by_batch(busy()))


def test_tiles_of_any_size_give_the_same_bits(monkeypatch):
    whole = by_batch(busy(300))
    monkeypatch.setattr(idle_choices, "TILE", 7)
    assert_same(whole, by_batch(busy(300)))


def test_a_rank_over_a_universe_of_one_is_unknown_in_both_paths():
    def session():
        return plainly(session_of_text(ALONE, [walk(4, 120)]))

    left = by_batch(session())
    row = left.session.plan.assembly.features["place"]
    assert np.isnan(left.outcome.F[0, row, :120]).all()
    assert_same(left, by_events(session()))


@pytest.mark.parametrize("late", [True, False])
def test_a_late_decision_exits_but_does_not_enter(late):
    """SEMANTICS, "Time": exits act, entries do not."""
    import msgspec

    from septet._kernel import layout
    from septet._shell.event_backtest import decision_times, make_engine
    from tests.core.cases import CALM, bars_of

    rows = [CALM, (100, 103, 99, 102), (102, 105, 101, 104), (104, 105, 94, 95), (95, 96, 94, 95)]
    session = plainly(session_of(Settings(exit_back=1), [bars_of(rows)], 1))
    engine = make_engine(session, None)
    sides = []
    for event in decision_times(session):
        is_late = late and event.time_ns == session.aligned.T[layout.KNOWN, 1]
        engine.handle(msgspec.structs.replace(event, late=is_late))
        sides.append(int(engine.state.I[0, layout.OPEN_SIDE]))
    assert sides == [0, 0, 0 if late else 1, 1, 0]
