"""A gap in paper mode ends a position as the open of the gap's bar does in a backtest.

Beyond the liquidation price it is a liquidation, else beyond the stop the stop, whether or not the
signal turns on the bar of the gap; each at the price behind the gap, never at the one before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from septet._host.venues import BarSeen, FeedFacts, FeedRequest, QuoteSeen
from septet._live import build_core as built
from septet._live.replay import replay
from septet._live.shadow import shadow
from tests.live.feeds import HOUR_NS, World
from tests.live.test_paper_liquidation import GapFeed, bar_of, traded
from tests.live.test_paper_process import plain

ENTRY, STOP, MAINTENANCE = 101.0, 0.03, 0.01
STRATEGY = """\
version: 1
name: gap
account: {{capital: 10000, type: {account}}}
universe: {{symbols: [BTC/USDT], bar: 1h}}
data: {{candles: {{use: synthetic, bars: 500, seed: 4}}}}
features: {{mean: {{use: sma, period: 2}}}}
signal: {{use: rules, {signal}}}
risk:
  sizing: {{use: fixed_fraction, fraction: 50%}}
  stops: {{stop_loss: 3%}}
  halts: {{drawdown: {{above: 90%, then: flatten, resume: manual}}}}
{perpetual}
execution:
  instruments: {{BTC/USDT: {{lot: 0.001, tick: 0.01, min_notional: 0}}}}
  simulation: {{fills: {fills}, fee: {{maker: 5bps, taker: 10bps}}, slippage: 5bps}}
"""
PERPETUAL = """\
perpetual:
  {{leverage: {leverage:g}, maintenance: 1%, liquidation_fee: 1%, funding: {{rate: 0%, every: 8h}}}}
"""


class JumpFeed(GapFeed):
    """Hours that open where their quotes are, with a quote every tenth of an hour."""

    async def open(self, request: FeedRequest, sink: Callable[[Any], None]) -> FeedFacts:
        facts = await super().open(request, sink)
        return FeedFacts(facts.exchange, dict.fromkeys(request.kinds, "stream"), facts.markets)

    async def _emit(self, request: Any, sink: Any) -> None:
        self.known = dict[int, BarSeen]()
        hour_ns = self.clock.market_ns() // HOUR_NS * HOUR_NS
        quotes = bool({"quotes", "book"} & set(request.kinds))
        for close in self.closes:
            self.known[hour_ns] = bar_of(hour_ns, close, close)
            for part in range(1, 10):
                await self._until(hour_ns + part * HOUR_NS // 10)
                bid, ask = close - 0.01, close + 0.01
                sides = ((bid, 1e6),), ((ask, 1e6),)
                if quotes:
                    sink(QuoteSeen("BTC/USDT", self.clock.now_ns(), bid, 1e6, ask, 1e6, *sides))
            await self._until(hour_ns + HOUR_NS)
            sink(self.known[hour_ns])
            hour_ns += HOUR_NS

    async def bars(self, symbol: str, since_ns: int, until_ns: int) -> Sequence[BarSeen]:
        last = min(until_ns, self.clock.market_ns() // HOUR_NS * HOUR_NS)
        hours = range(since_ns, last, HOUR_NS)
        return [self.known.get(each, bar_of(each, 100.0, 100.0)) for each in hours]


CASES = [
    *(("quotes", side, leverage, jump, flips)
      for side in ("long", "short") for leverage, jump in ((10, 0.1), (10, 0.22), (2, 0.22))
      for flips in (False, True)),
    ("quotes", "long", 10, 0.4, True), ("quotes", "short", 10, 0.4, True),
    ("quotes", "long", 10, -0.22, True), ("quotes", "short", 10, -0.22, True),
    ("book", "long", 10, 0.22, True), ("book", "short", 2, 0.22, True),
    ("next_open", "long", 10, 0.22, True), ("next_open", "short", 2, 0.22, True),
    ("quotes", "long", 0, 0.22, False), ("quotes", "long", 0, 0.4, True),
    ("quotes", "long", 0, -0.22, True),
]  # fmt: skip
"""Fills, side, leverage (0: spot), the jump against the position, whether the signal turns."""


@pytest.mark.parametrize(("fills", "side", "leverage", "jump", "flips"), CASES)
def test_a_gap_ends_a_position_as_in_a_backtest(
    fills: str, side: str, leverage: int, jump: float, flips: bool, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    sign = 1.0 if side == "long" else -1.0
    behind = round(ENTRY * (1.0 - sign * jump), 2)
    run, trades = lived(tmp_path, monkeypatch, fills, side, leverage, behind, flips)
    entry, exit_price = trades["entry_price"][0], trades["exit_price"][0]
    assert abs(entry / ENTRY - 1.0) < 0.001
    assert abs(exit_price / behind - 1.0) < 0.001
    assert trades["exit_reason"][0] == reason(sign, leverage, entry, behind)
    if trades["exit_reason"][0] == "liquidation":
        margin, fees = trades["quantity"][0] * entry / leverage, trades["fees"][0]
        assert -margin - fees <= trades["pnl"][0] <= -margin + fees
    lines = (run.location.folder / "log.jsonl").read_text("utf-8").splitlines()
    assert not [each for each in lines if json.loads(each)["level"] in ("error", "critical")]
    for prove in (replay, shadow):
        found = prove(run.location.folder)
        assert found.differences == 0, str(found.first)


def reason(sign: float, leverage: int, entry: float, price: float) -> str:
    """Return why a position ends at an open, by the text of the documents."""
    if leverage:
        level = entry * (1.0 - sign / leverage) / (1.0 - sign * MAINTENANCE)
        if sign * (price - level) <= 0.0:
            return "liquidation"
    if sign * (price - entry * (1.0 - sign * STOP)) <= 0.0:
        return "stop_loss"
    return "reversal" if leverage else "exit"


def lived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fills: str, side: str, leverage: int,
    behind: float, flips: bool,
) -> tuple[Any, Any]:  # fmt: skip
    """Run hours whose price jumps to `behind` in paper mode; return the run and its trades."""
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(built, "plan_of", plain)
    other = ("short_if" if side == "long" else "long_if") if leverage else "exit_if"
    signal = f"{side}_if: close > 100.5 and close < 102"
    signal += f", {other}: close < 95 or close > 105" if flips else ""
    path = tmp_path / "gap.yaml"
    perpetual = PERPETUAL.format(leverage=leverage) if leverage else ""
    account = "perpetual" if leverage else "spot"
    text = STRATEGY.format(account=account, signal=signal, perpetual=perpetual, fills=fills)
    path.write_text(text, encoding="utf-8")
    closes = (100.0, ENTRY, ENTRY, behind, behind, behind)
    world = World(tmp_path, bar_wall_ns=250_000_000)

    def feed(loaded: Any, clock: Any, tasks: Any = None) -> JumpFeed:
        made = JumpFeed(clock)
        made.closes = closes
        return made

    return traded(path, world, feed, len(closes))
