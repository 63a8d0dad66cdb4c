"""Paper runs in trading hours, and what their shutdown does: whole runs in memory.

Fills come from quotes, or at the next open as in a backtest. Plans run as plain text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from septet import messages as m
from septet._config import load
from septet._journal.fold import Fold
from septet._journal.reader import Reader
from septet._kernel import layout
from septet._live import build_core as built
from septet._live.process import run_live
from septet._live.replay import replay
from septet._live.run_location import JOURNAL
from septet._live.shadow import shadow
from septet._live.wiring import WIRING, Wiring
from tests.fidelity.positions.settings import TradingHours
from tests.fidelity.positions.trading_hours import is_last_fill, is_open
from tests.live.feeds import HOUR_NS, World
from tests.live.test_paper_process import QuotingFeed, plain

STRATEGY = """\
version: 1
name: hours
account: {capital: 10000, type: perpetual}
universe:
  symbols: [BTC/USDT, ETH/USDT]
  bar: 1h
  trading_hours: HOURS
data: {candles: {use: synthetic, bars: 500, seed: 4, decide_within: 60s}}
features:
  fast: {use: sma, period: 2}
  slow: {use: sma, period: 3}
signal: {use: rules, long_if: fast > slow, short_if: fast < slow}
risk:
  sizing: {use: fixed_fraction, fraction: 40%}
  max_positions: 1
perpetual: {leverage: 2, maintenance: 1%, funding: {rate: 0, every: 8h}}
execution:
  on_shutdown: SHUTDOWN
  instruments:
    BTC/USDT: {lot: 0.001, tick: 0.01, min_notional: 0}
    ETH/USDT: {lot: 0.001, tick: 0.01, min_notional: 0}
  simulation: {fills: FILLS, fee: {maker: 5bps, taker: 10bps}, slippage: 5bps}
"""
DAILY = (
    ", ".join(f"mon-sun {n:02d}:00-{n + 4:02d}:00" for n in range(0, 20, 5))
    + ", mon-sun 20:00-24:00 UTC"
)
HOURS = TradingHours(open=DAILY, flat_at_close=True)
IN_HOURS = f"{{open: '{DAILY}', flat_at_close: true}}"


class Lived:
    """A paper run in a folder, which goes on where it is run again."""

    def __init__(self, folder: Path, fills: str, *, hours: str = "null", shutdown: str = "keep"):
        self.path = folder / "hours.yaml"
        text = STRATEGY.replace("HOURS", hours).replace("SHUTDOWN", shutdown)
        self.path.write_text(text.replace("FILLS", fills), encoding="utf-8")
        self.world = World(folder, bar_wall_ns=250_000_000)

    def run(self, bars: int) -> Any:
        """Run until so many decisions were taken since the first start."""

        def feed(loaded: Any, clock: Any, tasks: Any = None) -> QuotingFeed:
            return QuotingFeed(clock)

        wiring = Wiring(WIRING.core, WIRING.venue, feed)
        result = run_live(
            [load(self.path, mode="paper")], self.world.options(bars=bars), clock=self.world.clock,
            wiring=wiring, signals=False,
        )  # fmt: skip
        [(run, end)] = result.ends
        assert end.how == "finished", end
        return run


@pytest.fixture(autouse=True)
def _plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(built, "plan_of", plain)


def fold_of(run: Any) -> tuple[Fold, list[Any]]:
    """Read a run's journal."""
    with Reader(run.location.folder / JOURNAL) as journal:
        entries = list(journal.read())
        fold = Fold(journal.head)
    fold.take(entries)
    return fold, entries


@pytest.mark.parametrize("fills", ["quotes", "next_open"])
def test_a_paper_run_keeps_its_hours_and_is_proved_again(fills: str, tmp_path: Path) -> None:
    lived = Lived(tmp_path, fills, hours=IN_HOURS)
    lived.run(14)
    run = lived.run(24)  # restarted in between
    fold, entries = fold_of(run)
    reasons = set(fold.trade_columns()["exit_reason"])
    assert "flat_at_close" in reasons, "else the test has lost its case"
    rejected = {
        row.rejected_by for e in entries for row in e.commands if isinstance(row, m.Decided)
    }
    assert rejected & {"closed_hours", "flat_at_close"}, "else the test has lost its case"
    held: dict[int, float] = {}
    leaving: set[int] = set()  # an exit in flight has no place, however long its bar is missing
    for row in (each for e in entries for each in e.commands):
        if isinstance(row, m.Placed) and row.reason == "entry":
            assert is_open(HOURS, row.time_ns)
            assert not is_last_fill(HOURS, row.time_ns, HOUR_NS)
            leaving.discard(row.symbol)
        elif isinstance(row, m.Placed):
            leaving.add(row.symbol)
        elif isinstance(row, m.Traded):
            held[row.symbol] = row.position
            assert sum(held[each] != 0.0 for each in held.keys() - leaving) <= 1
    for prove in (replay, shadow):
        found = prove(run.location.folder)
        assert found.differences == 0, str(found.first)


def stopped_while_held(lived: Lived) -> tuple[Any, list[Any], int]:
    """Run on until a stop finds a position; return the run, its rows and the row of that stop.

    On a loaded machine bars pass before anything is decided, and a run of few bars enters nothing.
    """
    for bars in range(6, 600, 6):
        run = lived.run(bars)
        _, entries = fold_of(run)
        acts = [n for n, each in enumerate(entries) if isinstance(each.event, m.Operated)]
        stop = [n for n in acts if entries[n].event.action == "stop"][-1]
        held = {
            row.symbol: row.position
            for each in entries[:stop] for row in each.commands if isinstance(row, m.Traded)
        }  # fmt: skip
        if any(held.values()):
            return run, entries, stop
    raise AssertionError("nothing was ever held")


@pytest.mark.parametrize("shutdown", ["keep", "cancel", "flatten"])
def test_what_a_shutdown_does_to_what_is_held(shutdown: str, tmp_path: Path) -> None:
    run, entries, stop = stopped_while_held(Lived(tmp_path, "quotes", shutdown=shutdown))
    engine = run.build.core.engine
    held = [engine.position(k)[1] for k in range(2)]
    assert (held == [0.0, 0.0]) == (shutdown == "flatten")
    placed = [each for each in entries[stop].commands if isinstance(each, m.Placed)]
    assert [each.reason for each in placed] == (["operator"] if shutdown == "flatten" else [])
    found = replay(run.location.folder)
    assert found.differences == 0, str(found.first)


def test_a_flatten_that_fills_at_an_open_is_done_by_the_next_start(tmp_path: Path) -> None:
    lived = Lived(tmp_path, "next_open", shutdown="flatten")
    run = lived.run(6)
    engine = run.build.core.engine
    assert [engine.working(k) is not None for k in range(2)].count(True) == 1
    run = lived.run(9)
    fold, _ = fold_of(run)
    assert "operator" in fold.trade_columns()["exit_reason"]
    assert int(run.build.core.engine.state.C[layout.BLOCKED]) == 0, "it goes on trading"
