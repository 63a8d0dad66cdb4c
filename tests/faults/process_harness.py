"""One strategy's process around the real parts, one turn at a time, which can die anywhere.

The core is the compiled one, the journal is on disk, shell and dispatcher are those of a live run,
and recovery and reconciliation are those of a start. The venue is truthful and in memory; it goes
on while the process is dead. Time passes only on request, so that a seed is the whole story.
"""

from __future__ import annotations

import asyncio
import math
import random
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from septet import messages as m
from septet._config import load
from septet._core.live_core import LiveCore
from septet._core.orders import Timing
from septet._data.bars import Instrument
from septet._host.venues import Market, QuoteSeen
from septet._journal.journal_format import Head, encode_commands
from septet._journal.journal_writer import Journal
from septet._journal.reader import Reader
from septet._journal.write_ahead_tail import tail_of
from septet._live import start as begin
from septet._live.build_core import core_of
from septet._live.clock import ManualClock
from septet._live.dispatch import Dispatcher
from septet._live.paper.venue import PaperVenue
from septet._live.shell import Ended, Limits, Shell
from septet.errors import JournalError

NS: Final = 1_000_000_000
MINUTE: Final = 60 * NS
START_NS: Final = 1_700_000_040 * NS
TAG: Final = "sfaultsa"
SYMBOL: Final = "BTC/USDT"
STEPS: Final = 3
FINGERPRINTS: Final = {"strategy": "s", "plan": "p", "septet": "1"}

STRATEGY: Final = """\
version: 1
name: faults
mode: paper
account: {capital: 1000, currency: USDT}
universe: {symbols: [BTC/USDT], bar: 1m}
data:
  candles: {use: synthetic, seed: 1}
features:
  fast: {use: sma, period: 2}
  slow: {use: sma, period: 4}
signal: {use: rules, long_if: fast > slow, exit_if: fast < slow}
risk:
  sizing: {use: fixed_fraction, fraction: 60%}
  stops: {stop_loss: 5%}
  halts:
    drawdown: {above: 20%, then: flatten, resume: manual}
execution:
  instruments: {BTC/USDT: {lot: 0.001, tick: 0.01, min_notional: 1}}
  simulation: {fills: quotes, fee: 10bps}
  venues:
    sim: {use: simulated}
"""


@cache
def loaded() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "faults.yaml"
        path.write_text(STRATEGY, encoding="utf-8")
        return load(path)


@cache
def _built(protects: bool) -> tuple[LiveCore, bytes]:
    """Return a core and its first snapshot: it takes a while to assemble one."""
    build = core_of(
        loaded(), tag=TAG, instruments=[Instrument(SYMBOL, 0.001, 0.01, 1.0, 1e-8)],
        run_folder=Path("unused"), timing=Timing(answers_final_after_ns=2 * NS),
        holds_stops=protects,
    )  # fmt: skip
    return build.core, build.core.snapshot()


def fresh_core(protects: bool) -> LiveCore:
    core, pristine = _built(protects)
    core.restore(pristine)
    return core


class Wire:
    """The venue as the process reaches it: every call is a place to die before and after."""

    def __init__(self, harness: ProcessHarness) -> None:
        self.harness, self.venue = harness, harness.venue

    async def _call(self, name: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        harness = self.harness
        await harness.moment(f"before {name}")
        answer = harness.bend(name, await ask())
        await harness.moment(f"after {name}")
        return answer

    async def submit(self, order: m.Submit) -> Any:
        return await self._call("submit", lambda: self._posted(order.client_id, order))

    async def _posted(self, client_id: str, order: m.Submit) -> Any:
        self.harness.posts.setdefault(client_id, []).append(self.harness.clock.now_ns())
        self.harness.orders.setdefault(client_id, order)
        return await self.venue.submit(order)

    async def amend(self, order: m.Amend) -> Any:
        return await self._call("amend", lambda: self.venue.amend(order))

    async def cancel(self, order: m.Cancel) -> Any:
        return await self._call("cancel", lambda: self.venue.cancel(order))

    async def cancel_all(self, symbols: Sequence[int]) -> Any:
        self.harness.cancels += 1
        if self.harness.deaf_cancels > 0:
            self.harness.deaf_cancels -= 1
            return []
        return await self._call("cancel_all", lambda: self.venue.cancel_all(symbols))

    async def query(self, order: m.Query) -> Any:
        return await self._call("query", lambda: self.venue.query(self._named(order)))

    def _named(self, order: m.Query) -> m.Query:
        """Return a query by the venue's id alone as one by the client id of that order."""
        if order.client_id:
            return order
        ids = {self.venue._seen(each, "query").venue_order_id: name
               for name, each in self.venue._orders.items()}  # fmt: skip
        return msgspec.structs.replace(order, client_id=ids.get(order.venue_order_id, ""))

    async def open_orders(self) -> Any:
        return await self._call("open_orders", self.venue.open_orders)

    async def fills(self, symbol: int, since_ns: int) -> Any:
        return await self._call("fills", lambda: self.venue.fills(symbol, since_ns))

    async def holdings(self) -> Any:
        return await self._call("holdings", self.venue.holdings)

    async def skew(self) -> Any:
        return await self.venue.skew()


class Mortal:
    """The journal of a process that may be dead: what it writes then is not written."""

    def __init__(self, harness: ProcessHarness, journal: Journal) -> None:
        self.harness, self.journal = harness, journal

    def append(self, event: m.Event, commands: Sequence[m.Command]) -> int:
        return 0 if self.harness.dead else self.journal.append(event, commands)

    def commit(self, durable: bool = False, *, reduces: bool = False) -> int:
        harness = self.harness
        if harness.dead or harness.reached("before commit"):
            return 0
        if harness.full > 0:
            harness.full -= 1
            raise JournalError("the disk is full")
        harness.clock.advance(harness.slow_ns)
        tail, mark = self.journal._tail, harness.mark.read_bytes()
        before = tail.used
        stored = self.journal.commit(durable, reduces=reduces)
        if harness.reached("inside commit"):
            harness.torn = (min(before, tail.used), tail.used, mark)
        harness.reached("after commit")
        return stored

    def move(self) -> None:
        if not self.harness.dead:
            self.journal.move()


class ProcessHarness:
    """A strategy's run, through as many processes as die.

    Parameters
    ----------
    kill_at
        Numbers of the moments at which the process dies, counted over all its lives.
    """

    def __init__(self, folder: Path, seed: int, *, kill_at: Sequence[int] = ()) -> None:
        self.folder, self.seed = folder, seed
        self.chance = random.Random(seed)
        self.clock = ManualClock(START_NS)
        market = Market(SYMBOL, "BTC", "USDT", 0.001, 0.01, 1.0)
        self.venue = PaperVenue(
            name="sim", clock=self.clock, simulation=loaded().strategy.execution.simulation,
            markets={SYMBOL: market}, cash=1_000.0, bar_ns=MINUTE,
        )  # fmt: skip
        self.kill_at = set(kill_at)
        self.moments: list[str] = []
        self.dead = True
        self.torn: tuple[int, int, bytes] | None = None
        self.full = self.slow_ns = self.deaf_cancels = self.cancels = self.starts = 0
        self.posts: dict[str, list[int]] = {}
        self.orders: dict[str, m.Submit] = {}
        self.bend: Callable[[str, Any], Any] = lambda name, answer: answer
        self.fingerprints = dict(FINGERPRINTS)
        self.bars: list[m.BarClosed] = []
        self.reached_ns = self.known_ns = 0
        self.price = 100.0
        self.reported: list[tuple[str, str, dict[str, Any]]] = []
        self.ended: asyncio.Future[Ended] | None = None
        self.mark = folder / "mark"
        self.path = folder / "journal.sqlite"
        self.change_core: Callable[[LiveCore], Any] = lambda core: core
        self.busy_s = 0.001
        self.limits = Limits(first_retry_s=0.0)
        self._tasks: set[asyncio.Task[Any]] = set()

    # ------------------------------------------------------------ dying

    def reached(self, name: str) -> bool:
        """Pass a place to die; True where it was the last."""
        if not self.dead:
            self.moments.append(name)
            self.dead = len(self.moments) in self.kill_at
            return self.dead
        return False

    async def moment(self, name: str) -> None:
        if self.dead or self.reached(name):
            await asyncio.get_running_loop().create_future()

    async def bury(self) -> None:
        """Be rid of a process that is dead: only disk and venue are left."""
        self.dead = True
        await self.venue.close()
        if self.starts:
            self.dispatcher.close()
            self.shell.stop()
        for _ in range(3):
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        if self.starts:
            self._drop_journal()

    def _drop_journal(self) -> None:
        """Leave the files as a killed process does: closing would fold the log in."""
        files = [self.path, Path(f"{self.path}-wal"), tail_of(self.path)]
        kept = [each.read_bytes() for each in files]
        self.journal.close()
        if self.torn is not None:
            before, after, mark = self.torn
            self.torn = None
            cut = self.chance.randint(before, max(before, after - 1))
            kept[2] = kept[2][:cut].ljust(len(kept[2]), b"\0")
            self.mark.write_bytes(mark)
        Path(f"{self.path}-shm").unlink(missing_ok=True)
        for path, data in zip(files, kept, strict=True):
            path.write_bytes(data)

    # ------------------------------------------------------------ living

    async def start(self) -> None:
        """Begin a process, or begin one again; it may die on the way."""
        self.dead = False
        self.starts += 1
        task = asyncio.get_running_loop().create_task(self._start())
        for _ in range(5_000):
            await asyncio.sleep(0)
            if task.done():
                task.result()
                break
            if self.dead:
                break
        else:
            raise AssertionError(f"seed {self.seed}: the start does not end")
        await self.wait_until_idle()

    async def _start(self) -> None:
        clock = self.clock
        if self.path.exists():
            self.journal = Journal.open(self.path, mark=self.mark, busy_s=self.busy_s)
        else:
            self.journal = Journal.create(
                self.path, self.head(), mark=self.mark, busy_s=self.busy_s
            )
        self.core = self.change_core(fresh_core(self.seed % 2 == 0))
        notify = self._notify
        wire: Any = Wire(self)
        self.dispatcher = Dispatcher(
            wire, clock=clock, put=lambda event: self.shell.put(event),
            fault=lambda call, error: notify("critical", "fault", {"text": f"{call}: {error}"}),
            may_send=self.core.may_send,
        )  # fmt: skip
        self.shell = Shell(
            self.core, Mortal(self, self.journal), self.dispatcher, clock=clock, notify=notify,
            limits=self.limits,
        )  # fmt: skip
        self.reached_ns = self.known_ns = 0
        tail = self.journal.tail_facts()
        self.found = begin.recover(
            self.core, self.journal, self.fingerprints, restored=self._restored,
            each=self._folded, notify=notify,
        )  # fmt: skip
        now_ns = clock.now_ns()
        session = self.journal.begin(pid=1, host="h", boot="b", now_ns=now_ns)
        self.journal.note_live()
        self.ended = self.shell.start()
        await self.venue.open((SYMBOL,), self.shell.put)
        self.shell.put(
            m.Started(
                at_ns=now_ns, session=session, run_id="faults", mode="live", strategy="faults",
                origin_ns=START_NS, market_ns=now_ns, fingerprints=self.fingerprints,
                id_part=f"{self.chance.getrandbits(20):04x}"[:4],
            )
        )  # fmt: skip
        self.shell.put(m.VenueChanged(at_ns=now_ns, venue="sim", state="up"))
        await begin.reconcile(
            wire, (SYMBOL,), since_ns=max(0, tail.at_ns - begin.OVERLAP_NS),
            first=tail.seq == 0, put=self.shell.put, notify=notify, stopping=asyncio.Event(),
        )  # fmt: skip

    def head(self) -> Head:
        facts = {"symbols": [SYMBOL], "tag": TAG, "currency": "USDT"}
        return Head(
            run_id="faults", strategy="faults", mode="live", account="a", created_ns=START_NS,
            origin_ns=START_NS, facts=facts, fingerprints=dict(FINGERPRINTS),
        )  # fmt: skip

    def _restored(self, kept: begin.Kept, seq: int) -> None:
        self.reached_ns = self.known_ns = kept.time_ns
        self.dispatcher.remember_ids(kept.sent)

    def _folded(self, event: m.Event, commands: Sequence[m.Command]) -> None:
        self.dispatcher.remember(commands)
        if isinstance(event, m.BarClosed):
            self.known_ns = event.known_ns
        elif isinstance(event, m.DecisionTimeReached):
            self.reached_ns = event.time_ns

    def _notify(self, level: str, name: str, fields: dict[str, Any]) -> None:
        self.reported.append((level, name, fields))

    def snapshot(self) -> None:
        """Keep the state, as a live run does now and then."""
        ended = self.ended is not None and self.ended.done()
        if self.dead or ended or not self.shell.journal_works or self.journal.waiting:
            return
        kept = begin.Kept(
            core=self.core.snapshot(), time_ns=self.reached_ns, waiting=[], accounted_ns=[],
            lines=[], sent=self.dispatcher.recent(), decisions=0, wakes=[], trains=[], tripped={},
            positions={}, cash=0.0, equity=0.0,
        )  # fmt: skip
        self.journal.snapshot(msgspec.msgpack.encode(kept))

    async def wait_until_idle(self) -> None:
        """Let everything happen that needs no time.

        A turn in which nothing else waited to run makes nothing new; a timer that is due is put
        in line within one such turn, so that the second is the last.
        """
        waiting, idle = asyncio.get_running_loop()._ready, 0  # type: ignore[attr-defined]
        for _ in range(40):
            await asyncio.sleep(0)
            idle = 0 if waiting else idle + 1
            if self.dead or idle == 2:
                return

    def put(self, *events: m.Event) -> None:
        for each in events if not self.dead else ():
            self.shell.put(each)

    # ------------------------------------------------------------ the market

    async def quote(self, price: float, by_ns: int = 10 * NS) -> None:
        """Let time pass; the venue and the process see a price."""
        self.clock.advance(by_ns)
        self.price = price
        now_ns = self.clock.now_ns()
        bid, ask = round(price - 0.01, 2), round(price + 0.01, 2)
        self.venue.quoted(QuoteSeen(SYMBOL, now_ns, bid, 50.0, ask, 50.0))
        self.put(
            m.Quoted(
                at_ns=now_ns, symbol=0, venue_ns=now_ns, bid=bid, bid_quantity=50.0, ask=ask,
                ask_quantity=50.0,
            ),
            m.Ticked(at_ns=now_ns, market_ns=now_ns),
        )  # fmt: skip
        await self.wait_until_idle()

    async def bar(self, close: float) -> None:
        """A bar goes by and closes; a process that was away is given what it missed."""
        first = self.price
        for step in range(1, STEPS + 1):
            await self.quote(round(first + (close - first) * step / STEPS, 2), MINUTE // STEPS)
        now_ns = self.clock.now_ns()
        self.bars.append(
            m.BarClosed(
                at_ns=now_ns, symbol=0, open_ns=now_ns - MINUTE, known_ns=now_ns, open=first,
                high=max(first, close), low=min(first, close), close=close, volume=10.0,
            )
        )  # fmt: skip
        await self.decide()

    async def decide(self) -> None:
        """Give the process every bar it has not decided."""
        now_ns = self.clock.now_ns()
        for each in self.bars if not self.dead else ():
            if each.known_ns > self.reached_ns:
                late = each.known_ns < now_ns - MINUTE // 4
                if each.known_ns > self.known_ns:
                    self.put(msgspec.structs.replace(each, at_ns=now_ns))
                self.put(
                    m.DecisionTimeReached(
                        at_ns=now_ns, time_ns=each.known_ns, present=(0,), late=late
                    ),
                )
                self.reached_ns = each.known_ns
        await self.wait_until_idle()

    def path_of(self, count: int) -> list[float]:
        """Draw closes with turns that a short rule trades."""
        found, base, turn = list[float](), self.price, self.chance.uniform(0.0, 6.0)
        for number in range(count):
            wave = math.sin(turn + number * self.chance.uniform(0.9, 1.1))
            found.append(round(base * (1.0 + 0.015 * wave + self.chance.gauss(0.0, 0.003)), 2))
        return found

    async def trade(self, closes: Sequence[float]) -> None:
        """Live through bars; whoever died is started again a while later."""
        for number, close in enumerate(closes):
            if self.dead:
                await self.bury()
                await self.start()
            await self.bar(close)
            if number % 7 == 6:
                self.snapshot()

    async def rest(self, steps: int = 8) -> None:
        """Start what is dead, and let the last things be found out while nothing happens."""
        for _ in range(steps):
            await self.quote(self.price)
        self.kill_at.clear()
        if self.dead:
            await self.bury()
            await self.start()
            for _ in range(steps):
                await self.quote(self.price)

    def rows(self) -> list[tuple[m.Event, list[m.Command]]]:
        with Reader(self.path) as journal:
            return [(each.event, list(each.commands)) for each in journal.read()]

    def commands(self, kind: type[m.Command]) -> list[Any]:
        return [each for _, caused in self.rows() for each in caused if isinstance(each, kind)]

    def differences(self) -> int:
        """Fold the whole journal through a fresh core; count commands that are not as stored."""
        core = self.change_core(fresh_core(self.seed % 2 == 0))
        with Reader(self.path) as journal:
            return sum(
                encode_commands(core.handle(each.event)) != each.commands_json
                for each in journal.read()
            )
