"""Pairs of runs that differ in what is chosen: a backtest of a file, and a run fed by hand."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from septet import messages as m
from septet._config import load
from septet._data.bars import Instrument
from septet._data.stamps import iso
from septet._diff.compare import Gap, diff
from septet._journal.journal_format import Head
from septet._journal.journal_writer import Journal
from septet._live.build_core import core_of
from septet._live.journal_head import facts_of
from septet._live.replay import JOURNAL
from septet._live.start import fingerprints_of
from septet._live.wiring import core_terms
from septet._report.save import save_run
from septet._shell.backtest import backtest
from septet._shell.session import open_session
from septet._store.run_folder import Run
from tests.live.test_core import STRATEGIES, bars_at, instruments, ready_models

HOUR = 3_600_000_000_000
SECOND = 1_000_000_000
START = 1_700_000_000_000_000_000 // HOUR * HOUR
WARMUP = 4
TAG = "sabcdefg"
LOT, TICK, SLIPPAGE, FEE = 1e-5, 0.01, 2e-4, 1e-3
STRATEGY = """\
version: 1
name: pair
account: {capital: 5000}
universe: {symbols: [BTC/USDT], bar: 1h}
data:
  candles: {use: csv, path: bars.csv, stamp: open}
features:
  fast: {use: sma, period: 2}
  slow: {use: sma, period: 5}
signal: {use: rules, long_if: fast > slow, exit_if: fast < slow}
risk:
  sizing: {use: fixed_fraction, fraction: 50%}
  halts: {drawdown: {above: 90%, then: flatten, resume: manual}}
execution:
  instruments: {BTC/USDT: {lot: 0.00001, tick: 0.01, min_notional: 0}}
  simulation: {fee: 10bps, slippage: 2bps}
"""


@dataclass(frozen=True)
class Bar:
    """One hour."""

    open_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def known_ns(self) -> int:
        return self.open_ns + HOUR


def walk(count: int = 60, seed: int = 7) -> list[Bar]:
    """Bars of a random walk."""
    chance, found, price = random.Random(seed), [], 100.0
    for n in range(count):
        opened = round(price * math.exp(chance.gauss(0.0, 0.002)), 2)
        close = round(opened * math.exp(chance.gauss(0.0, 0.02)), 2)
        high = round(max(opened, close) * (1.0 + abs(chance.gauss(0.0, 0.004))), 2)
        low = round(min(opened, close) * (1.0 - abs(chance.gauss(0.0, 0.004))), 2)
        found.append(Bar(START + n * HOUR, opened, high, low, close, 10.0 + n))
        price = close
    return found


@dataclass(frozen=True)
class Hand:
    """What a minimal venue does with one order: the share it fills, how much worse, and its fee."""

    share: float = 1.0
    worse: float = 0.0
    fee: float = FEE
    currency: str = "quote"
    rejected: str = ""


@dataclass(frozen=True)
class Lives:
    """What happens to a run: bars by number that are late, missed or have another close.

    One that is `behind` comes with the next one. The process is `dead` while the bars of a span
    close and is given them at the end of the last; `flattened` while it was: at that start.
    """

    late: frozenset[int] = frozenset()
    missed: frozenset[int] = frozenset()
    closes: Mapping[int, float] = field(default_factory=dict)
    hands: Mapping[int, Hand] = field(default_factory=dict)
    venue_fills: bool = False
    first: int = WARMUP
    halted: int = -1
    behind: frozenset[int] = frozenset()
    dead: tuple[int, int] = (-1, -1)
    flattened: bool = False
    resumed: int = -1

    def comes_later(self, n: int) -> bool:
        """Whether bar n is not there when it closes."""
        return self.dead[0] <= n < self.dead[1] or n in self.behind


def write_file(folder: Path, bars: Sequence[Bar]) -> Path:
    """Write the strategy and its bars."""
    lines = ["timestamp,open,high,low,close,volume"]
    for bar in bars:
        prices = (bar.open, bar.high, bar.low, bar.close, bar.volume)
        lines.append(",".join([iso(bar.open_ns), *map(repr, prices)]))
    (folder / "bars.csv").write_text("\n".join(lines), encoding="utf-8")
    path = folder / "pair.yaml"
    path.write_text(STRATEGY, encoding="utf-8")
    return path


def backtested(folder: Path, bars: Sequence[Bar], *, sets: Sequence[str] = ()) -> Run:
    """Store a backtest of some bars."""
    path = write_file(folder, bars)
    return save_run(backtest(load(path, sets=sets), engine="batch"), folder / "runs", report=False)


class Venue:
    """Fills each order at the next open as ordered: truthful, whatever it did."""

    def __init__(self, hands: Mapping[int, Hand], quote: str) -> None:
        self._hands, self._quote, self._orders = hands, quote, 0
        self.resting = 0.0

    def cancel(self, order: m.Cancel, at_ns: int) -> Iterator[m.Event]:
        """Answer the cancel of a stop that rests."""
        for by in ("stream", "query"):
            yield m.OrderSeen(
                at_ns=at_ns, client_id=order.client_id, venue_order_id=order.venue_order_id,
                symbol=0, side="sell", state="cancelled", quantity=self.resting, filled=0.0, by=by,
            )  # fmt: skip

    def take(self, order: m.Submit, at_ns: int, opened: float) -> Iterator[m.Event]:
        """Answer an order of a decision; orders count from 0. A stop rests until its cancel."""
        hand = self._hands.get(self._orders, Hand())
        self._orders += 1
        name, number = order.client_id, self._orders
        if hand.rejected:
            yield m.Rejected(at_ns=at_ns, client_id=name, code=hand.rejected, text="no")
            return
        yield m.Acked(
            at_ns=at_ns, client_id=name, venue_order_id=f"v{number}", state="open",
            side=order.side, quantity=order.quantity,
        )  # fmt: skip
        if order.order_type == "stop":
            self.resting = order.quantity
            return
        quantity = round(math.floor(order.quantity * hand.share / LOT + 1e-6) * LOT, 5)
        side = 1.0 if order.side == "buy" else -1.0
        steps = opened * (1.0 + side * SLIPPAGE) / TICK
        whole = math.ceil(steps - 1e-9) if side > 0 else math.floor(steps + 1e-9)
        price = round(whole * TICK, 2)  # a venue gives decimals
        price *= 1.0 + side * hand.worse
        worth = quantity * price * hand.fee
        fee = {"BTC": round(quantity * hand.fee, 8), "BNB": worth / 300.0}.get(hand.currency, worth)
        currency = self._quote if hand.currency == "quote" else hand.currency
        if quantity > 0.0:
            yield m.Filled(
                at_ns=at_ns + 1, venue="v", symbol=0, trade_id=f"t{number}", client_id=name,
                venue_order_id=f"v{number}", venue_ns=at_ns, market_ns=at_ns, side=order.side,
                quantity=quantity, price=price, fee=fee, fee_currency=currency,
                fee_quote=worth if currency == "BNB" else None,
            )  # fmt: skip
        state: m.OrderState = "filled" if hand.share >= 1.0 else "expired"
        ways: tuple[Any, ...] = ("stream", "query")  # the query that an end asks for
        for by in ways:
            yield m.OrderSeen(
                at_ns=at_ns + 2, client_id=name, venue_order_id=f"v{number}", symbol=0,
                side=order.side, state=state, quantity=order.quantity, filled=quantity, by=by,
            )  # fmt: skip


class Runner:
    """A core whose events and commands are kept, as the shell does."""

    def __init__(
        self, loaded: Any, folder: Path, traded: Sequence[Instrument], hands: Mapping[int, Hand],
        *, holds_stops: bool = False,
    ) -> None:  # fmt: skip
        build = core_of(
            loaded, tag=TAG, instruments=traded, run_folder=folder, holds_stops=holds_stops
        )
        terms = core_terms(None, 1.0) | {"holds_stops": holds_stops}
        head = Head(
            run_id="run", strategy="pair", mode="paper", account="", created_ns=1, origin_ns=START,
            fingerprints=fingerprints_of(loaded, build.plan.name),
            facts=facts_of(loaded, build, terms=terms, tag=TAG, market_ns=0),
        )  # fmt: skip
        self.core, self.quote = build.core, build.names.quote[0]
        self.journal = Journal.create(folder / JOURNAL, head, durability="process")
        self.venue = Venue(hands, self.quote)
        self.waiting: list[Bar] = []

    def handle(self, event: m.Event) -> list[m.Command]:
        commands = self.core.handle(event)
        self.journal.append(event, commands)
        return commands

    def follow(self, event: m.Event, opened: float) -> None:
        """Handle an event, and let the venue fill what it causes."""
        waiting = self.handle(event)
        while waiting:
            each = waiting.pop(0)
            answers: Iterable[m.Event] = ()
            if isinstance(each, m.Submit):
                answers = self.venue.take(each, event.at_ns + SECOND, opened)
            elif isinstance(each, m.Cancel):
                answers = self.venue.cancel(each, event.at_ns + SECOND)
            for answer in answers:
                waiting += self.handle(answer)

    def start(self, session: int, now_ns: int) -> None:
        """Start, or start again after a kill."""
        event = m.Started(
            at_ns=now_ns, session=session, run_id="run", mode="paper", strategy="pair",
            origin_ns=START, market_ns=now_ns, fingerprints={},
        )  # fmt: skip
        self.handle(event)

    def operate(self, action: Any, now_ns: int, following: float) -> None:
        """Let a person act, as the shell passes it on: at the newest time it has reported."""
        event = m.Operated(at_ns=now_ns, action=action, name="ann", reason="a look")
        self.follow(event, following)

    def bar(self, n: int, bar: Bar, following: float, lives: Lives) -> None:
        """Let one bar close: its event, then its decision time; first those that wait."""
        at_ns, (died, back) = bar.known_ns, lives.dead
        if n == back > died:
            self.start(2, at_ns - HOUR // 2)
            if lives.flattened:
                self.operate("flatten", at_ns - HOUR // 2 + 1, following)
        if lives.comes_later(n) and n not in lives.missed:
            self.waiting.append(bar)
            if not died <= n < back:
                self.decision_time(bar, n, lives, following, there=False)
            return
        missed = n in lives.missed
        if died <= n < back:
            return
        old = [] if missed else self.waiting
        for each in [*old, *([] if missed else [bar])]:
            self.closed(each, at_ns)
        for each in old:
            event = m.DecisionTimeReached(
                at_ns=at_ns, time_ns=each.known_ns, present=(0,), decides=False
            )
            self.follow(event, following)
        if not missed:
            self.waiting = []
        self.decision_time(bar, n, lives, following, there=not missed)
        if n == lives.halted:
            self.operate("flatten", at_ns + 1, following)
        if n == lives.resumed:
            self.operate("resume", at_ns + 1, following)

    def closed(self, bar: Bar, at_ns: int) -> None:
        """Give a bar."""
        self.handle(
            m.BarClosed(
                at_ns=at_ns, symbol=0, open_ns=bar.open_ns, known_ns=bar.known_ns, open=bar.open,
                high=bar.high, low=bar.low, close=bar.close, volume=bar.volume,
            )
        )  # fmt: skip

    def decision_time(
        self, bar: Bar, n: int, lives: Lives, following: float, *, there: bool
    ) -> None:
        """Reach the decision time of a bar."""
        event = m.DecisionTimeReached(
            at_ns=bar.known_ns, time_ns=bar.known_ns, present=(0,) if there else (),
            missing=() if there else (0,), decides=n >= lives.first, late=n in lives.late,
        )  # fmt: skip
        self.follow(event, following)


def begun(folder: Path, bars: Sequence[Bar], text: str, **options: Any) -> Any:
    """Begin a run of a strategy's text in `folder`/run, one lot of BTC, filled at quotes by hand.

    `options` are those of `Runner`.
    """
    path = write_file(folder, bars)
    path.write_text(text, encoding="utf-8")
    (folder / "run").mkdir()
    traded = [Instrument("BTC/USDT", LOT, TICK, 0.0, 1e-8)]
    loaded = load(path, mode="paper", sets=["execution.simulation.fills=quotes"])
    run: Any = Runner(loaded, folder / "run", traded, {}, **options)
    run.start(1, START)
    return run


def lived(path: Path, folder: Path, bars: Sequence[Bar], lives: Lives) -> Path:
    """Let a run live through some bars; return its folder."""
    folder.mkdir()
    sets = ["execution.simulation.fills=quotes"] if lives.venue_fills else []
    traded = [Instrument("BTC/USDT", LOT, TICK, 0.0, 1e-8)]
    run = Runner(load(path, mode="paper", sets=sets), folder, traded, lives.hands)
    run.start(1, START)
    seen = [
        replace(bar, close=lives.closes.get(n, bar.close), high=max(bar.high, lives.closes.get(
            n, bar.close)), low=min(bar.low, lives.closes.get(n, bar.close)))
        for n, bar in enumerate(bars)
    ]  # fmt: skip
    for n, bar in enumerate(seen):
        after = [each.open for k, each in enumerate(seen) if k > n and k not in lives.missed]
        run.bar(n, bar, after[0] if after else bar.close, lives)
    run.journal.commit()
    run.journal.close()
    return folder


Explain = Callable[[Lives], Gap]


def explained(run: Run, path: Path, folder: Path, bars: Sequence[Bar], lives: Lives) -> Gap:
    """Live through a backtest's bars, and explain the gap."""
    return diff(lived(path, folder, bars, lives), run, base=path.parent)


def facts(gap: Gap, part: str, kind: str) -> list[Mapping[str, Any]]:
    """Facts of the causes of a kind."""
    return [each.facts for each in gap.causes if (each.part, each.kind) == (part, kind)]


# ---------------------------------------------------------------- strategies of the shelf


def shelf(
    name: str, folder: Path, *, sets: Sequence[str] = (), venue_fills: bool = False,
    late_model: int = -1,
) -> Gap:  # fmt: skip
    """Explain a run of one of our strategies that missed bars, decided late and filled otherwise.

    `late_model` comes one day after its time; without one a run with a model lives as backtested.
    """
    path, live = STRATEGIES / f"{name}.yaml", folder / "live"
    loaded = load(path, sets=sets)
    result, session = backtest(loaded, engine="batch"), open_session(loaded)
    stored = save_run(result, folder / "runs", report=False)
    live.mkdir()
    fills = ["execution.simulation.fills=quotes"] if venue_fills else []
    run = Runner(load(path, mode="paper", sets=[*sets, *fills]), live, instruments(session), {})
    decisions: Any = result.decisions
    first_ns, chance = int(decisions["time"][0]), random.Random(3)
    models = ready_models(result, live) if result.models else []
    ready = {
        each.number: each.trained_to_ns + (each.number == late_model) * 24 * HOUR for each in models
    }
    all_bars = [bars_at(session, t) for t in range(session.aligned.times)]
    for t, bars in enumerate(all_bars):
        now_ns = int(session.aligned.T[0, t])
        while models and ready[models[0].number] <= now_ns:
            run.handle(models.pop(0))
        there = [
            bar for bar in bars if not venue_fills or now_ns < first_ns or chance.random() > 0.01
        ]
        for bar in there:
            run.handle(bar)
        decision_time = m.DecisionTimeReached(
            at_ns=now_ns, time_ns=now_ns, present=tuple(bar.symbol for bar in there),
            missing=tuple(bar.symbol for bar in bars if bar not in there),
            decides=now_ns >= first_ns, late=venue_fills and chance.random() < 0.01,
        )  # fmt: skip
        following = all_bars[t + 1] if t + 1 < len(all_bars) else bars
        run.follow(decision_time, following[0].open)
        for bar in there if venue_fills and chance.random() < 0.2 else ():
            price = bar.close * math.exp(chance.gauss(0.0, 0.01))
            quote = m.Quoted(
                at_ns=now_ns + HOUR, symbol=bar.symbol, venue_ns=now_ns + HOUR, bid=price * 0.999,
                bid_quantity=1.0, ask=price * 1.001, ask_quantity=1.0,
            )  # fmt: skip
            run.follow(quote, price)
    run.journal.commit()
    run.journal.close()
    return diff(live, stored)
