"""A quote beyond stop and liquidation: a paper run's position is liquidated, and at no more cost.

A wallet of isolated margin loses what the margin is; with a stop that filled first it would lose
the whole gap.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from septet._config import load
from septet._host.venues import BarSeen, FeedFacts, FeedRequest, Market, QuoteSeen
from septet._journal.fold import Fold
from septet._journal.reader import Reader
from septet._live import build_core as built
from septet._live.process import run_live
from septet._live.replay import replay
from septet._live.run_location import JOURNAL
from septet._live.shadow import shadow
from septet._live.wiring import WIRING, Wiring
from tests.live.feeds import HOUR_NS, MemoryFeed, World
from tests.live.test_paper_process import plain

ENTRY, LEAVES, AFTER = 101.0, 99.2, 93.0
LEVERAGE = 20.0
SIMULATION = "fills: quotes, fee: {maker: 5bps, taker: 10bps}, slippage: 5bps"
STRATEGY = """\
version: 1
name: gap
account: {{capital: 10000, type: perpetual}}
universe: {{symbols: [BTC/USDT], bar: 1h}}
data: {{candles: {{use: synthetic, bars: 500, seed: 4}}}}
features: {{mean: {{use: sma, period: 2}}}}
signal: {{use: rules, long_if: close > 100.5, exit_if: close < 99.5}}
risk:
  sizing: {{use: fixed_fraction, fraction: 50%}}
  stops: {{stop_loss: 3%}}
  halts: {{drawdown: {{above: 90%, then: flatten, resume: manual}}}}
perpetual:
  {{leverage: {leverage:g}, maintenance: 1%, liquidation_fee: 1%, funding: {{rate: 0%, every: 8h}}}}
execution:
  instruments: {{BTC/USDT: {{lot: 0.001, tick: 0.01, min_notional: 0}}}}
  simulation: {{{simulation}}}
"""


class GapFeed(MemoryFeed):
    """Hours of a close each, and quotes at the close of their hour."""

    closes: Sequence[float] = ()
    bad: tuple[int, float] | None = None
    """An hour and a price that one quote in it has."""

    async def open(self, request: FeedRequest, sink: Callable[[Any], None]) -> FeedFacts:
        self._task = asyncio.get_running_loop().create_task(self._emit(request, sink))
        market = Market("BTC/USDT", "BTC", "USDT", 1e-3, 0.01)
        return FeedFacts("memory", {"bars": "stream", "quotes": "stream"}, {"BTC/USDT": market})

    async def _emit(self, request: FeedRequest, sink: Callable[[Any], None]) -> None:
        hour_ns, before = self.clock.market_ns() // HOUR_NS * HOUR_NS, 100.0
        for n, close in enumerate(self.closes):
            for part in (1, 2):  # the last half hour is left to a busy machine
                await self._until(hour_ns + part * HOUR_NS // 4)
                price = self.bad[1] if self.bad and part == 2 and n == self.bad[0] else close
                now_ns = self.clock.now_ns()
                sink(QuoteSeen("BTC/USDT", now_ns, price - 0.01, 1e6, price + 0.01, 1e6))
            await self._until(hour_ns + HOUR_NS)
            sink(bar_of(hour_ns, before, close))
            hour_ns, before = hour_ns + HOUR_NS, close

    async def _until(self, at_ns: int) -> None:
        due = self.clock.wall_of_market(at_ns) - self.clock.now_ns()
        await asyncio.sleep(max(0.0, due / 1e9))

    async def bars(self, symbol: str, since_ns: int, until_ns: int) -> Sequence[BarSeen]:
        last = min(until_ns, self.clock.market_ns() // HOUR_NS * HOUR_NS)
        return [bar_of(each, 100.0, 100.0) for each in range(since_ns, last, HOUR_NS)]


def bar_of(open_ns: int, first: float, last: float) -> BarSeen:
    high, low = max(first, last), min(first, last)
    return BarSeen("BTC/USDT", open_ns, first, high, low, last, 1e6, closed=True)


CASES: dict[str, tuple[str, Sequence[float]]] = {
    "a stop that rests": ("", (100.0, ENTRY, ENTRY, AFTER, AFTER)),
    "an exit that was sent": (
        ", latency: 1", (100.0, ENTRY, ENTRY, ENTRY, LEAVES, LEAVES, AFTER, AFTER)
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_gap_beyond_both_liquidates_and_costs_the_margin(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, trades = lived(tmp_path, monkeypatch, *CASES[case])
    assert list(trades["exit_reason"]) == ["liquidation"]
    assert AFTER - 0.1 < trades["exit_price"][0] < AFTER
    margin, fees = trades["quantity"][0] * trades["entry_price"][0] / LEVERAGE, trades["fees"][0]
    assert -margin - fees <= trades["pnl"][0] <= -margin + fees
    for prove in (replay, shadow):
        found = prove(run.location.folder)
        assert found.differences == 0, str(found.first)


def test_one_bad_quote_fills_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is doubted: the core does not use it, and the simulated venue does not either."""
    closes = (100.0, ENTRY, ENTRY, ENTRY, ENTRY)
    run, trades = lived(tmp_path, monkeypatch, "", closes, leverage=1.0, bad=(3, 50.0))
    assert list(trades["exit_reason"]) == ["open"]
    lines = (run.location.folder / "log.jsonl").read_text("utf-8").splitlines()
    assert not [each for each in lines if json.loads(each)["level"] in ("error", "critical")]


def lived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terms: str, closes: Sequence[float],
    leverage: float = LEVERAGE, bad: tuple[int, float] | None = None,
) -> tuple[Any, Any]:  # fmt: skip
    """Run hours with these closes in paper mode; return the run and the columns of its trades."""
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(built, "plan_of", plain)
    path = tmp_path / "gap.yaml"
    path.write_text(
        STRATEGY.format(simulation=SIMULATION + terms, leverage=leverage), encoding="utf-8"
    )
    world = World(tmp_path, bar_wall_ns=400_000_000)

    def feed(loaded: Any, clock: Any, tasks: Any = None) -> GapFeed:
        made = GapFeed(clock)
        made.closes, made.bad = closes, bad
        return made

    return traded(path, world, feed, len(closes))


def traded(path: Path, world: World, feed: Callable[..., Any], bars: int) -> tuple[Any, Any]:
    """Run a file in paper mode for so many bars of a feed; return the run and its trades."""
    result = run_live(
        [load(path, mode="paper")], world.options(bars=bars), clock=world.clock,
        wiring=Wiring(WIRING.core, WIRING.venue, feed), signals=False,
    )  # fmt: skip
    [(run, _)] = result.ends
    with Reader(run.location.folder / JOURNAL) as journal:
        fold = Fold(journal.head)
        fold.take(list(journal.read()))
    return run, fold.trade_columns()
