"""The demo strategy in live mode on bars of memory: its model fitted, its venue in this process.

Everything between the two is the product's: bars, decision times, shell, core, journal, dispatcher.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from common import ROOT
from live_common import WORK

from septet import messages as m
from septet._config import load
from septet._host.venues import BarSeen, FeedFacts, FeedRequest, Market, QuoteSeen, VenueFacts
from septet._journal.journal_writer import Journal
from septet._live.clock import WallClock
from septet._live.strategy_run import StrategyRun
from septet._live.supervisor import Supervisor
from septet._shell.backtest import backtest
from septet._shell.session import open_session

__all__ = [
    "BAR_NS", "SYMBOL", "BenchRun", "LeapClock", "MemoryFeed", "MemoryVenue", "demo", "fit",
    "prices", "supervisor",
]  # fmt: skip

BAR_NS = 900 * 1_000_000_000
SYMBOL = "BTC/USD"
MARKET = Market(SYMBOL, "BTC", "USD", 1e-5, 0.01, 5.0)
ORIGIN_NS = 1_800_000_000 * 1_000_000_000 // BAR_NS * BAR_NS
SETS = (
    "signal.threshold=0", "signal.min_interval=1 bar", "signal.reentry=immediate",
    "signal.regime.trade_in=[low, mid, high]",
    "risk.sizing={use: fixed_fraction, fraction: 9%}",
    "risk.stops={stop_loss: 4%, take_profit: 8%, time_limit: 15m}",
    "risk.halts={drawdown: {above: 99%, then: flatten, resume: manual}}",
    "execution.venues={here: {use: ccxt, exchange: binance, key: env:KEY, secret: env:SECRET}}",
)  # fmt: skip
"""What makes the demo trade on nearly every bar: in at one, out at the next."""


def demo(mode: str = "live") -> Any:
    """Return the demo's file with rules that trade whenever they can."""
    return load(ROOT / "strategies" / "demo.yaml", mode=mode, sets=list(SETS))


def fit(place: Path) -> m.ModelReady:
    """Give a folder one of the demo's forests; fitted as a backtest does, once for all parts."""
    kept = WORK / "forest"
    if (kept / "ready.json").exists():
        shutil.copytree(kept / "models", place / "models")
        ready = msgspec.json.decode((kept / "ready.json").read_bytes(), type=m.ModelReady)
        return ready
    ready = _fit(kept)
    (kept / "ready.json").write_bytes(msgspec.json.encode(ready))
    return fit(place)


def _fit(place: Path) -> m.ModelReady:
    # The last forest of the whole sample, and no other: it has the same bits.
    loaded = load(ROOT / "strategies" / "demo.yaml", sets=["universe.start=2021-12-26"])
    result: Any = backtest(loaded, engine="batch")
    folder = Path(list(result.model_files)[-1]).parts[0]
    for name, data in result.model_files.items():
        if Path(name).parts[0] == folder:
            target = place / "models" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    card = result.models[-1]
    return m.ModelReady(
        at_ns=0, number=0, fingerprint=str(card["model_sha256"]), trained_to_ns=0, ready_ns=0,
        expires_ns=2**62, folder=f"models/{folder}",
    )  # fmt: skip


def prices() -> list[tuple[float, float, float, float, float]]:
    """Return open, high, low, close and volume of the sample's bars, in order."""
    table = open_session(load(ROOT / "strategies" / "demo.yaml")).market.bars[SYMBOL]
    columns = (table.open, table.high, table.low, table.close, table.volume)
    return [tuple(map(float, row)) for row in zip(*columns, strict=True)]  # type: ignore[misc]


def supervisor(clock: WallClock) -> Supervisor:
    """Return what looks after the tasks of a run; a task that dies is printed."""

    def notify(level: str, event: str, fields: Mapping[str, Any]) -> None:
        print(level, event, fields, file=sys.stderr)

    return Supervisor(clock, notify)


class LeapClock(WallClock):
    """A real clock that also leaps: bars come faster than they last, time within one is real."""

    def __init__(self, start_ns: int) -> None:
        ahead = start_ns - time.time_ns()
        super().__init__(wall=lambda: time.time_ns() + ahead)

    def reach(self, now_ns: int) -> None:
        """Be at a later time at once."""
        self._offset_ns += max(0, now_ns - self.now_ns())


class MemoryFeed:
    """The sample's bars one after the other, without gaps, for ever."""

    def __init__(self, rows: Sequence[tuple[float, float, float, float, float]]) -> None:
        self._rows = rows
        self.receive: Callable[[Any], None] = lambda message: None

    def bar(self, open_ns: int) -> BarSeen:
        """Return the bar that opens then."""
        row = self._rows[open_ns // BAR_NS % len(self._rows)]
        return BarSeen(SYMBOL, open_ns, *row, closed=True)

    def quote(self, time_ns: int, number: int = 0) -> QuoteSeen:
        """Return a quote around the close of the bar that ends then; odd ones are 6 bps higher.

        Later ones have higher numbers.
        """
        middle = self.bar(time_ns - BAR_NS).close * (1.0 + number % 2 * 6e-4)
        return QuoteSeen(SYMBOL, time_ns + number, middle - 0.01, 1.0, middle + 0.01, 1.0)

    async def open(self, request: FeedRequest, sink: Callable[[Any], None]) -> FeedFacts:
        """Begin to speak."""
        self.receive = sink
        return FeedFacts("memory", dict.fromkeys(request.kinds, "stream"), {SYMBOL: MARKET})

    async def bars(self, symbol: str, since_ns: int, until_ns: int) -> Sequence[BarSeen]:
        """Return history."""
        first = -(-since_ns // BAR_NS) * BAR_NS
        return [self.bar(each) for each in range(first, until_ns - BAR_NS + 1, BAR_NS)]

    async def close(self) -> None:
        """Nothing is open."""


class MemoryVenue:
    """Fills every order at once at the last close; notes when each reached it.

    Its answers come a step of the loop later, as those of a socket would.
    """

    def __init__(self, clock: WallClock, last: Callable[[], float]) -> None:
        self._clock, self._last = clock, last
        self._sink: Callable[[Any], None] = lambda event: None
        self.reached_ns = 0
        self.orders = 0
        self.base, self.quote = 0.0, 10_000.0

    async def open(self, symbols: Sequence[str], sink: Callable[[Any], None]) -> VenueFacts:
        """Return its facts."""
        self._sink = sink
        return VenueFacts(
            venue="here", exchange="memory", account="memory", markets={SYMBOL: MARKET},
            order_types=frozenset({"market", "limit"}), can_withdraw=False, is_test=True,
            answers_final_after_ns=60_000_000_000, streams_orders=True, amends=False,
        )  # fmt: skip

    async def submit(self, order: m.Submit) -> m.Event:
        """Note the time first, then fill."""
        self.reached_ns = time.perf_counter_ns()
        self.orders += 1
        now_ns, price = self._clock.now_ns(), self._last()
        sign = 1.0 if order.side == "buy" else -1.0
        self.base += sign * order.quantity
        self.quote -= sign * order.quantity * price
        name = f"v{self.orders}"
        self._sink(
            m.Filled(
                at_ns=now_ns, venue="here", symbol=0, trade_id=name, client_id=order.client_id,
                venue_order_id=name, venue_ns=now_ns, market_ns=now_ns, side=order.side,
                quantity=order.quantity, price=price, fee=0.0, fee_currency="USD",
            )
        )  # fmt: skip
        return m.Acked(
            at_ns=now_ns, client_id=order.client_id, venue_order_id=name, state="filled",
            side=order.side, quantity=order.quantity, filled=order.quantity,
        )  # fmt: skip

    async def amend(self, order: m.Amend) -> Sequence[m.Event]:
        """Nothing rests, so nothing is amended."""
        return []

    async def cancel(self, order: m.Cancel) -> m.Event:
        """Nothing rests, so nothing is cancelled."""
        now_ns = self._clock.now_ns()
        return m.NotFound(at_ns=now_ns, client_id=order.client_id, asked_ns=now_ns, by="cancel")

    async def cancel_all(self, symbols: Sequence[int]) -> Sequence[m.Event]:
        """Nothing rests."""
        return []

    async def query(self, order: m.Query) -> m.Event | None:
        """Nothing was lost, so nobody asks."""
        return None

    async def open_orders(self) -> m.OpenOrders | None:
        """There are none."""
        now_ns = self._clock.now_ns()
        return m.OpenOrders(at_ns=now_ns, orders=(), asked_ns=now_ns)

    async def fills(self, symbol: int, since_ns: int) -> Sequence[m.Filled] | None:
        """All were reported."""
        return []

    async def holdings(self) -> m.Holdings | None:
        """Return what the account holds."""
        now_ns = self._clock.now_ns()
        balances = {"BTC": (self.base, 0.0), "USD": (self.quote, 0.0)}
        return m.Holdings(at_ns=now_ns, balances=balances, asked_ns=now_ns)

    async def skew(self) -> m.Skewed | None:
        """It has our clock."""
        return m.Skewed(at_ns=self._clock.now_ns(), venue="here", skew_ns=0)

    async def refresh_markets(self) -> Sequence[m.FiltersChanged] | None:
        """Nothing changes."""
        return []

    async def close(self) -> None:
        """Nothing is open."""


class BenchRun(StrategyRun):
    """A strategy's run whose windows all get the one model that was fitted before."""

    ready_model: m.ModelReady

    def _make_shell(self, journal: Journal) -> None:
        super()._make_shell(journal)
        if self.training is not None:
            self.training.close()
        self.dispatcher._train = self._fitted

    async def _fitted(self, command: m.Train) -> m.Event:
        from msgspec.structs import replace

        return replace(
            self.ready_model, at_ns=self.clock.now_ns(), number=command.number,
            trained_to_ns=command.trained_to_ns,
        )  # fmt: skip
