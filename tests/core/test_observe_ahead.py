"""Features observed in a thread, in chunks and sliding windows, change no bit of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from septet._core import batch, observe_ahead, observe_halves
from septet._core.batch import Batch
from septet._kernel import layout
from septet._shell.result_tables import Outcome
from septet._shell.session import Session
from tests.core.paths import Left, by_batch
from tests.core.settings import walk
from tests.core.shapes import body_of, plainest, written
from tests.core.table_comparison import assert_same
from tests.core.world import session_of_text

CROSSES = """\
version: 1
name: crosses
universe: {symbols: [AAA/USDT], bar: 1h}
data: {candles: {use: synthetic}}
features:
  fast: {use: ema, period: 3}
  slow: {use: sma, period: 11}
  stretch: {use: zscore, of: slow, period: 9}
signal:
  use: rules
  long_if: "fast > slow and prev(stretch, 3) < 2"
  exit_if: "fast < prev(slow, 2)"
risk:
  sizing: {use: fixed_fraction, fraction: 50%}
  stops: {stop_loss: 4%}
"""


SHIPPED = Path(__file__).parents[2] / "strategies" / "us-stocks.yaml"
SEVERAL = SHIPPED.read_text("utf-8").replace("use: sample, adjust: total", "use: synthetic")
"""Five symbols, ranked side by side: a plan that `tests/strategies` compiles as well."""
compiled = pytest.mark.compiled
"""Only compiled plans slide and halve."""


def several(*counts: int) -> Session:
    """Return a session of five symbols with so many bars of each, hours as all made bars."""
    return session_of_text(SEVERAL, [walk(n, each, holes=0.0) for n, each in enumerate(counts, 4)])


def session() -> Session:
    return session_of_text(CROSSES, [walk(4, 1_000)])


def crosses() -> Session:
    """Return a session of a shape that other tests compile as well."""
    text = written(plainest(body_of("crosses")), "crosses")
    return session_of_text(text, [walk(4, 1_000)])


def run(session: Session, *, keeps: bool) -> tuple[Batch, Left]:
    state = session.plan.state(session.strategy.account.capital, session.instruments)
    made = Batch(session.plan, session.aligned, state, keeps=keeps)
    made.run(session.first)
    rows = int(state.C[layout.LOG])
    log = made.LI[:rows], made.LF[:rows]
    return made, Left("run", session, Outcome(*log, made.F, made.D, made.G, state))


@pytest.mark.parametrize("chunk", [200, 333, 499])
def test_chunks_of_any_size_give_the_same_bits(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = by_batch(session())
    monkeypatch.setattr(batch, "CHUNK", chunk)
    assert_same(whole, run(session(), keeps=True)[1])


@compiled
@pytest.mark.parametrize("chunk", [200, 333])
def test_a_window_that_slides_trades_the_same(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    _, whole = run(crosses(), keeps=True)
    first = whole.session.first
    monkeypatch.setattr(batch, "CHUNK", chunk)
    made, slid = run(crosses(), keeps=False)
    assert made.F.shape[2] == chunk + made.plan.memory_bars < 1_000
    one, other = whole.outcome, slid.outcome
    assert np.array_equal(one.LI, other.LI)
    assert np.array_equal(one.LF, other.LF, equal_nan=True)
    assert np.array_equal(one.G[:, first:], other.G[:, first:])
    assert int(slid.outcome.state.C[layout.TRADES]) > 10


@compiled
@pytest.mark.parametrize("least", [160, 230])
def test_windows_of_several_symbols_trade_the_same(
    least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = by_batch(several(700, 700, 700, 700, 700))
    first = whole.session.first
    monkeypatch.setattr(batch, "CHUNK", 450)
    monkeypatch.setattr(batch, "LEAST_CHUNK", least)
    made, slid = run(several(700, 700, 700, 700, 700), keeps=False)
    assert made.F.shape[2] == least + made.plan.memory_bars < 700
    assert np.array_equal(whole.outcome.LI, slid.outcome.LI)
    assert np.array_equal(whole.outcome.LF, slid.outcome.LF, equal_nan=True)
    assert np.array_equal(whole.outcome.G[:, first:], slid.outcome.G[:, first:])
    assert len(slid.outcome.rows(layout.TRADE)) > 10
    # bars of one are not the times: nothing slides
    assert run(several(700, 650, 700, 700, 700), keeps=False)[0].F.shape[2] == 700


@compiled
def test_two_halves_are_one_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gaps and a late symbol included: every feature has the bits of one pass."""
    asked = several(1_000, 700, 1_000, 1_000, 1_000)
    for gap in (430, 498, 505):
        asked.aligned.M[0, layout.AGE, gap:] = np.arange(asked.aligned.width - gap)
    before = asked.aligned.M.copy()
    state = asked.plan.state(1.0, asked.instruments)
    one, two = (
        Batch(asked.plan, asked.aligned, state),
        Batch(asked.plan, asked.aligned, state.copy()),
    )
    one.observe(0, 1)
    one.observe(1, asked.aligned.times)
    monkeypatch.setattr(observe_halves, "LEAST", 100)
    used = observe_halves.observe_halves(
        two.arrays, asked.aligned.times, asked.plan.entries.observe, asked.plan.memory_bars
    )
    assert used
    assert np.array_equal(asked.aligned.M, before)
    for k, length in enumerate(asked.aligned.lengths):
        assert np.array_equal(one.F[k, :, :length], two.F[k, :, :length], equal_nan=True)


def test_what_fails_while_observing_is_reported() -> None:
    asked = session()
    state = asked.plan.state(1.0, asked.instruments)
    made = Batch(asked.plan, asked.aligned, state)

    def broken(start: int, stop: int, table: object) -> int:
        if start:
            raise ZeroDivisionError
        return made.plan.entries.observe(start, stop, table)

    seen: list[tuple[int, int]] = []
    with pytest.raises(ZeroDivisionError):
        seen += observe_ahead.chunks_ahead(made.arrays, 1_000, broken, 200, None)
    assert len(seen) <= 1
