"""A whole paper process whose fills come from quotes: its books, its account and its replays.

Two perpetuals, long and short with leverage: bars that one of them lacks, funding, reversals and
liquidations. The plan runs as plain text, which compiles nothing.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from septet import messages as m
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
from septet._shell.session import plan_of
from septet.errors import PluginError
from tests.live.feeds import HOUR_NS, MemoryFeed, World, bar, price

CAPITAL = 10_000.0
QUOTES_A_BAR = 5
STRATEGY = """\
version: 1
name: quoted
account: {capital: 10000, type: perpetual}
universe: {symbols: [BTC/USDT, ETH/USDT], bar: 1h}
data: {candles: {use: synthetic, bars: 500, seed: 4}}
features:
  fast: {use: sma, period: 2}
  slow: {use: sma, period: 3}
signal: {use: rules, long_if: fast > slow, short_if: fast < slow}
risk:
  sizing: {use: fixed_fraction, fraction: 60%}
  limits: {position: 80%, gross_exposure: 160%}
  halts: {drawdown: {above: 90%, then: flatten, resume: manual}}
perpetual: {leverage: 20, maintenance: 1%, liquidation_fee: 1%, funding: {rate: 5bps, every: 2h}}
execution:
  instruments:
    BTC/USDT: {lot: 0.001, tick: 0.01, min_notional: 0}
    ETH/USDT: {lot: 0.001, tick: 0.01, min_notional: 0}
  simulation: {fills: quotes, fee: {maker: 5bps, taker: 10bps}, slippage: 5bps}
"""


def is_missing(symbol: str, open_ns: int) -> bool:
    return symbol == "ETH/USDT" and open_ns // HOUR_NS % 4 == 3


class QuotingFeed(MemoryFeed):
    """Bars at their close, of which one symbol lacks some, and quotes between them."""

    async def open(self, request: FeedRequest, sink: Callable[[Any], None]) -> FeedFacts:
        self._task = asyncio.get_running_loop().create_task(self._emit(request, sink))
        markets = {
            name: Market(name, name.partition("/")[0], "USDT", 1e-3, 0.01)
            for name in request.symbols
        }
        return FeedFacts("memory", {"bars": "stream", "quotes": "stream"}, markets)

    async def _emit(self, request: FeedRequest, sink: Callable[[Any], None]) -> None:
        step_ns = request.bar_ns // QUOTES_A_BAR
        now_ns = self.clock.market_ns() // request.bar_ns * request.bar_ns
        while True:
            now_ns += step_ns
            due = self.clock.wall_of_market(now_ns) - self.clock.now_ns()
            await asyncio.sleep(max(0.0, due / 1e9))
            for symbol in request.symbols:
                open_ns = now_ns - request.bar_ns
                if now_ns % request.bar_ns == 0 and not is_missing(symbol, open_ns):
                    sink(bar(symbol, open_ns))
                middle = price(now_ns // HOUR_NS * HOUR_NS) + 1.5 * math.sin(now_ns / step_ns)
                bid, ask = round(middle - 0.02, 2), round(middle + 0.02, 2)
                sink(QuoteSeen(symbol, self.clock.now_ns(), bid, 50.0, ask, 50.0))

    async def bars(self, symbol: str, since_ns: int, until_ns: int) -> Sequence[BarSeen]:
        found = await super().bars(symbol, since_ns, until_ns)
        return [each for each in found if not is_missing(symbol, each.open_ns)]


def plain(*given: Any, **keys: Any) -> Any:
    """Return a plan that runs as plain text."""
    plan = plan_of(*given, **keys)
    plan.run_plain()
    return plan


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run of two processes: its folder, and venue and core of the last one."""
    folder = tmp_path_factory.mktemp("quoted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEPTET_STATE_DIR", str(folder / "state"))

        patch.setattr(built, "plan_of", plain)
        path = folder / "quoted.yaml"
        path.write_text(STRATEGY, encoding="utf-8")
        world = World(folder, bar_wall_ns=250_000_000)
        venues: list[Any] = []

        def venue(*given: Any) -> Any:
            venues.append(WIRING.venue(*given))
            return venues[-1]

        def feed(loaded: Any, clock: Any, tasks: Any = None) -> QuotingFeed:
            return QuotingFeed(clock)

        wiring = Wiring(WIRING.core, venue, feed)
        for bars in (16, 26):
            result = run_live(
                [load(path, mode="paper")], world.options(bars=bars), clock=world.clock,
                wiring=wiring, signals=False,
            )  # fmt: skip
            [(run, end)] = result.ends
            assert end.how == "finished", end
        yield run, venues[-1]


def entries_of(folder: Path) -> list[Any]:
    with Reader(folder / JOURNAL) as journal:
        return list(journal.read())


def test_trades_explain_every_row_of_the_curve(lived: Any) -> None:
    """Those that are open at each decision time included, at the mark of that time."""
    run, _ = lived
    with Reader(run.location.folder / JOURNAL) as journal:
        fold, entries = Fold(journal.head), list(journal.read())
    ruled = 0
    for entry in entries:
        fold.take([entry])
        for row in entry.commands:
            if isinstance(row, m.Ruled):
                ruled += 1
                gained = math.fsum(fold.trade_columns()["pnl"])
                assert gained == pytest.approx(row.equity - CAPITAL, rel=0.0, abs=1e-9 * CAPITAL)
    assert ruled >= 26
    reasons = set(fold.trade_columns()["exit_reason"])
    assert {"reversal", "liquidation"} <= reasons, "else the test has lost its cases"
    table = fold.trade_columns()
    for n, reason in enumerate(table["exit_reason"]):
        assert (reason == "liquidation") == (table["liquidation"][n] != 0.0), n


def test_the_books_add_up_and_the_account_agrees(lived: Any) -> None:
    run, venue = lived
    lines = (run.location.folder / "log.jsonl").read_text("utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    assert not [each for each in events if each["event"] in ("books", "insufficient_funds")]
    assert not [each for each in events if each["level"] in ("error", "critical")]
    booked = {
        each.trade_id
        for entry in entries_of(run.location.folder)
        if isinstance(each := entry.event, m.Filled)
    }
    engine = run.build.core.engine
    assert all(each.trade_id in booked for each in venue._fills)
    assert venue._account.cash == pytest.approx(engine.cash, rel=0.0, abs=1e-9 * CAPITAL)
    for k in range(2):
        assert venue._account.held(k) == engine.position(k)[1]


def test_replay_and_shadow_give_every_row_again(lived: Any, monkeypatch: Any) -> None:
    run, _ = lived

    monkeypatch.setattr(built, "plan_of", plain)
    for prove in (replay, shadow):
        found = prove(run.location.folder)
        assert found.differences == 0, str(found.first)


class BarsOnly(QuotingFeed):
    """A feed that names no quotes among what it serves."""

    async def open(self, request: FeedRequest, sink: Callable[[Any], None]) -> FeedFacts:
        facts = await super().open(request, sink)
        return FeedFacts(facts.exchange, {"bars": "stream"}, facts.markets)


def test_a_feed_that_serves_less_than_a_run_needs_ends_its_first_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No quote would ever come, and every entry would be rejected for it."""
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(built, "plan_of", plain)
    path = tmp_path / "quoted.yaml"
    path.write_text(STRATEGY, encoding="utf-8")
    world = World(tmp_path, bar_wall_ns=250_000_000)

    def feed(loaded: Any, clock: Any, tasks: Any = None) -> BarsOnly:
        return BarsOnly(clock)

    with pytest.raises(PluginError) as caught:
        run_live(
            [load(path, mode="paper")], world.options(bars=3), clock=world.clock,
            wiring=Wiring(WIRING.core, WIRING.venue, feed), signals=False,
        )  # fmt: skip
    assert caught.value.message == "the feed of memory serves bars, and this run needs quotes"
