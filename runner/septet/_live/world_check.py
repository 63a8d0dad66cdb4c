"""Checks a strategy file against its venue and feed before anything is traded.

Read-only: the feed is opened as a run would open it, the newest bars and the account are
looked at. No order is sent, no run folder is made and no lease is taken.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeVar

from septet import _learn as learn
from septet import messages as m
from septet._data.stamps import iso
from septet._host.venues import FeedFacts, Market, VenueFacts, require_listed_symbols
from septet._live.build_core import currencies
from septet._live.clock import LiveClock, WallClock
from septet._live.market_data.opening import history_ns_of, request_of, require_kinds
from septet._live.wiring import feed_of, venue_of
from septet._plan.run_terms import simulation_of
from septet._shell.session import plan_of
from septet.errors import DataError, InputError, Problem, SeptetError
from septet_schemas.units import format_duration

__all__ = ["Row", "World", "look"]

T = TypeVar("T")
Verdict = Literal["ok", "note", "warning", "error"]

WITHIN_S: Final = 120.0
_BARS: Final = 50
_COARSE: Final = 0.2
"""Part of the largest entry that one lot may be worth before it is reported."""
_KINDS: Final = {
    "market": ("market",), "limit": ("limit",), "stop": ("stop",), "stop_limit": ("stop_limit",),
    "limit_then_market": ("limit", "market"),
}  # fmt: skip
"""Parameters that a venue must accept for own entry orders; other orders are not checked."""


@dataclass(frozen=True, slots=True)
class Row:
    """One check and its result. An error stops a run, or prevents every entry."""

    what: str
    found: str
    verdict: Verdict = "ok"


@dataclass(frozen=True, slots=True)
class World:
    """All findings, and the problems among them that have a place in the file."""

    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing would stop a run."""
        return all(each.verdict != "error" for each in self.rows)


def look(loaded: Any, clock: LiveClock | None = None) -> World:
    """Check the feed of a file, and in live mode its venue, as a run would find them.

    Raises
    ------
    InputError
        The file is for a backtest, or names a source or a venue that has no live side.
    """
    if loaded.strategy.mode == "backtest":
        raise InputError(
            "--world looks at what a paper or a live run meets, and the mode of the file is "
            "backtest",
            hint="add --mode paper or --mode live",
        )
    clock = clock or WallClock()
    feed_of(loaded, clock)
    if loaded.strategy.mode == "live":
        venue_of(loaded, clock, {})
    looking = _Looking(loaded, clock)
    asyncio.run(looking.all())
    return World(tuple(looking.rows), tuple(looking.problems))


class _Looking:
    """Collects findings in order."""

    def __init__(self, loaded: Any, clock: LiveClock) -> None:
        self.loaded, self.strategy, self.clock = loaded, loaded.strategy, clock
        self.symbols: tuple[str, ...] = tuple(self.strategy.universe.symbols)
        self.rows: list[Row] = []
        self.problems: list[Problem] = []
        self._prices: dict[str, float] = {}
        self._name = next(iter(self.strategy.execution.venues))

    # ------------------------------------------------------------ reports

    def report(
        self, subject: str, result: str, verdict: Verdict = "ok", path: Sequence[Any] = (),
        hint: str = "",
    ) -> None:  # fmt: skip
        """Add a row; a failed one with a place in the file is a problem as well."""
        self.rows.append(Row(subject, result, verdict))
        if verdict not in ("warning", "error"):
            return
        node, reached = self.loaded.tree.nearest(tuple(path))
        mark = node.place
        self.problems.append(
            Problem(
                f"{subject}: {result}", file=mark.source, line=mark.line, column=mark.column,
                key=".".join(map(str, reached)), hint=hint, severity=verdict,
            )
        )  # fmt: skip

    # ------------------------------------------------------------ the whole

    async def all(self) -> None:
        """Check the feed, then the venue."""
        received = await self._within("the feed", ("data", "candles"), self._feed)
        markets = dict(received.markets) if received is not None else {}
        if self.strategy.mode == "live":
            path = ("execution", "venues", self._name)
            facts = await self._within("the venue", path, self._venue)
            markets = dict(facts.markets) if facts is not None else {}
        else:
            fills = simulation_of(self.strategy).fills
            self.report("fills", f"simulated in this process ({fills}); no key is used", "note")
            self._stops(held=False)
        for name in self.strategy.data.series:
            self.report(f"series {name}", "not asked here", "note")
        for symbol in self.symbols:
            if symbol in markets:
                self._market(symbol, markets[symbol])

    async def _within(
        self, subject: str, path: Sequence[Any], work: Callable[[Sequence[str]], Awaitable[T]]
    ) -> T | None:
        """Run the checks of one side within a time limit; leave a refused symbol out next time."""
        symbols = list(self.symbols)
        while symbols:
            try:
                return await asyncio.wait_for(work(tuple(symbols)), WITHIN_S)
            except TimeoutError:
                self.report(subject, f"no answer within {WITHIN_S:.0f} s", "error", path)
                return None
            except OSError as error:
                self.report(subject, f"cannot be reached: {error}", "error", path)
                return None
            except SeptetError as error:
                named = self._named(error.message)
                place = self._symbol(named) if named else self._bar(error.message) or path
                self.report(subject, error.message, "error", place, error.hint)
                if not isinstance(error, DataError) or named not in symbols:
                    return None
                symbols.remove(named)
        return None

    def _named(self, message: str) -> str:
        """Return the symbol that a refusal names, or None."""
        for symbol in self.symbols:
            if re.search(rf"(?<![\w/:]){re.escape(symbol)}(?![\w/:])", message):
                return symbol
        return ""

    def _bar(self, message: str) -> Sequence[str]:
        bar = format_duration(int(self.strategy.universe.bar))
        return ("universe", "bar") if f"bars of {bar}" in message else ()

    # ------------------------------------------------------------ the feed

    async def _feed(self, symbols: Sequence[str]) -> FeedFacts:
        feed = feed_of(self.loaded, self.clock)
        try:
            request = replace(request_of(self.strategy), symbols=tuple(symbols))
            facts = require_kinds(request, await feed.open(request, _ignore))
            for kind, how in facts.how.items():
                verb = "streamed" if how == "stream" else "polled"
                self.report(kind, f"{verb} by {facts.exchange}")
            for note in facts.notes:
                self.report("feed", note, "note")
            for symbol in symbols:
                await self._history(feed, symbol)
            return facts
        finally:
            await feed.close()

    async def _history(self, feed: Any, symbol: str) -> None:
        """Read the newest bars, and compare the depth of history with what a start reads."""
        bar_ns, now_ns = int(self.strategy.universe.bar), self.clock.market_ns()
        bars = await feed.bars(symbol, now_ns - _BARS * bar_ns, now_ns)
        subject = f"history {symbol}"
        if not bars:
            text = f"no bar within the last {format_duration(_BARS * bar_ns)}"
            self.report(subject, text, "error", self._symbol(symbol))
            return
        self._prices[symbol] = bars[-1].close
        if not hasattr(feed, "oldest"):
            self.report(subject, "the feed does not report how far back it reaches", "note")
            return
        oldest_ns = await feed.oldest(symbol)
        if oldest_ns is None:
            self.report(subject, "none", "error", self._symbol(symbol))
            return
        self._reach(subject, now_ns - oldest_ns, oldest_ns)

    def _reach(self, subject: str, depth_ns: int, oldest_ns: int) -> None:
        """Check a depth against the bars that features and models need before their first value."""
        bar_ns = int(self.strategy.universe.bar)
        memory = plan_of(self.loaded).memory_bars + 2
        warm_ns = memory * bar_ns
        text = f"reaches back to {iso(oldest_ns)}"
        if depth_ns < warm_ns:
            late = format_duration(-(-(warm_ns - depth_ns) // bar_ns) * bar_ns)
            text += f"; features need {memory} bars, and speak first in {late}"
            self.report(subject, text, "warning", ("features",))
            return
        model = self.strategy.model
        learns = model is not None and learn.stored_folder(model) is None
        training = model.extra["training"] if learns else None
        train_ns = 0 if training is None or training.scheme == "none" else training.train
        if train_ns and depth_ns < warm_ns + train_ns:
            late = format_duration(-(-(warm_ns + train_ns - depth_ns) // bar_ns) * bar_ns)
            text += f"; a training window of {format_duration(train_ns)} is whole in {late}"
            self.report(subject, text, "warning", ("model", "training", "train"))
            return
        read_ns = history_ns_of(self.strategy, memory)
        text += f"; a first start reads {format_duration(read_ns // bar_ns * bar_ns)}"
        self.report(subject, text)

    # ------------------------------------------------------------ the venue

    async def _venue(self, symbols: Sequence[str]) -> VenueFacts:
        venue = venue_of(self.loaded, self.clock, {})
        assert venue is not None, "live mode has a venue or was refused"
        try:
            facts = await venue.open(symbols, _ignore)
            require_listed_symbols(facts.exchange, facts.unlisted)
            await self._clock(venue)
            holdings = await venue.holdings()
        finally:
            await venue.close()
        self._account(facts, holdings)
        self._orders(facts)
        return facts

    async def _clock(self, venue: Any) -> None:
        skewed = await venue.skew()
        if skewed is None:
            self.report("clock", "the venue does not give its time", "note")
            return
        block = self.strategy.execution.venues[self._name]
        limit_ns = getattr(block.config, "skew", 500_000_000)
        text = f"{skewed.skew_ns / 1e6:+.0f} ms from the venue's, {limit_ns / 1e6:.0f} ms allowed"
        if abs(skewed.skew_ns) <= limit_ns:
            self.report("clock", text)
            return
        hint = "set this machine's clock (ntp); entries are blocked while they differ"
        self.report("clock", text, "error", ("execution", "venues", self._name, "skew"), hint)

    def _account(self, facts: VenueFacts, holdings: m.Holdings | None) -> None:
        """Check the rights of the key and the balances of the account."""
        kind = "a test venue" if facts.is_test else "real money"
        self.report("account", f"{facts.exchange}, {kind}, known as {facts.account}")
        path = ("execution", "venues", self._name, "key")
        block = self.strategy.execution.venues[self._name]
        if facts.can_withdraw and not getattr(block.config, "allow_withdrawal", False):
            hint = "make a key that may only trade, or write allow_withdrawal: true"
            self.report("key", "it may withdraw, and a run refuses it", "error", path, hint)
        elif facts.can_withdraw is None:
            self.report("key", "whether it may withdraw is not known", "warning", path)
        else:
            self.report(
                "key", "may withdraw, as allowed" if facts.can_withdraw else "may only trade"
            )
        if holdings is None:
            text = "the balances cannot be read: a wrong key, or one without the right to trade"
            self.report("balances", text, "error", path)
            return
        self._funds(holdings)

    def _funds(self, holdings: m.Holdings) -> None:
        account = self.strategy.account
        free = holdings.balances.get(account.currency, (0.0, 0.0))[0]
        text = f"{free:.2f} {account.currency} free, capital {account.capital:.2f}"
        if free < account.capital * (1.0 - 1e-9):
            hint = "a new run is refused; one that goes on needs only the cash of its own ledger"
            self.report("balances", text, "warning", ("account", "capital"), hint)
        else:
            self.report("balances", text)
        for symbol in self.symbols:
            base = currencies(symbol, account.currency)[0]
            held = sum(holdings.balances.get(base, (0.0, 0.0)))
            if held > 0.0 and self.strategy.risk.adopt != "adopt":
                hint = "sell it, or let the run take it over: risk: {adopt: adopt}"
                text = f"{held:g} {base} are there, and a new run does not enter beside them"
                self.report(symbol, text, "warning", ("risk", "adopt"), hint)

    def _orders(self, facts: VenueFacts) -> None:
        """Report how orders are tracked, and check the order types that the file sends."""
        how = "streamed" if facts.streams_orders else "polled"
        final_after = format_duration(facts.answers_final_after_ns)
        text = f"{how}; an order that the venue does not know counts as absent after {final_after}"
        self.report("orders", text)
        self.report("changes", "one request" if facts.amends else "cancel, then a new order")
        kind = self.strategy.execution.order.use
        lacking = [each for each in _KINDS.get(kind, ()) if each not in facts.order_types]
        if lacking:
            text = f"{facts.exchange} takes no {' and no '.join(lacking)} orders here"
            self.report("orders", text, "error", ("execution", "order"), "use: market or limit")
        self._stops(held="stop" in facts.order_types)
        for note in facts.notes:
            self.report("venue", note, "note")

    def _stops(self, *, held: bool) -> None:
        if not self.strategy.risk.stops:
            self.report("stops", "the file has none", "note")
        elif held:
            text = "the nearest loss-side stop rests at the venue; targets and time limits do not"
            self.report("stops", text)
        elif self.strategy.mode == "live":
            text = "held by this process: such stops die with it"
            self.report("stops", text, "warning", ("risk", "stops"))
        else:
            self.report("stops", "held by this process", "note")
        position = self.strategy.risk.position
        takes = position is not None and any(each.at is not None for each in position.take)
        adds = position is not None and any(each.at for each in position.add)
        if position is not None and position.grid is not None:
            text = "the levels of a grid are watched by this process: an order at market once a "
            self.report("grid", text + "price has passed; nothing rests at the venue", "note")
        if takes or adds:
            kinds = " and ".join(name for name, has in (("takes", takes), ("adds", adds)) if has)
            text = (
                f"{kinds} at levels are watched by this process: an order at market once a price "
            )
            self.report("levels", text + "has passed; nothing rests at the venue for them", "note")

    # ------------------------------------------------------------ sizes

    def _market(self, symbol: str, listed: Market) -> None:
        """Compare the filters of a symbol with the orders that the file would send."""
        text = f"lot {listed.lot:g}, tick {listed.tick:g}, from {listed.min_notional:g}"
        if not listed.trading:
            text += ", not trading now"
            self.report(symbol, text, "error", self._symbol(symbol), "entries wait until it trades")
            return
        self.report(symbol, f"{text} {listed.quote}")
        self._written(symbol, listed)
        price = self._prices.get(symbol)
        if price is None:
            return
        largest = min(self._largest(price))
        least = max(listed.min_notional, listed.min_quantity * price, listed.lot * price)
        path, name = ("risk", "sizing"), f"size {symbol}"
        text = f"at most {largest:.2f} an entry at {price:g}"
        if largest < least:
            self.report(name, f"{text}; the venue takes none below {least:.2f}", "error", path)
        elif 0.0 < listed.max_quantity * price < largest:
            most = listed.max_quantity * price
            self.report(name, f"{text}; the venue takes {most:.2f} in one order", "warning", path)
        elif listed.lot * price > _COARSE * largest:
            text += f"; one lot is {listed.lot * price:.2f}, so that much may be cut off"
            self.report(name, text, "warning", path)
        else:
            self.report(name, f"{text}, from {least:.2f}")

    def _written(self, symbol: str, listed: Market) -> None:
        """Compare the file's own instruments, which backtest and paper use, with the venue's."""
        spec = self.strategy.execution.instruments.get(symbol)
        if spec is None:
            return
        pairs = {
            "lot": (float(spec.lot), listed.lot), "tick": (float(spec.tick), listed.tick),
            "min_notional": (float(spec.min_notional), listed.min_notional),
            "min_quantity": (
                _beyond(float(spec.min_quantity), float(spec.lot)),
                _beyond(listed.min_quantity, listed.lot),
            ),
        }  # fmt: skip
        for key, (written, real) in pairs.items():
            if abs(written - real) > 1e-9 * max(written, real):
                path = ("execution", "instruments", symbol, key)
                text = f"{key} is {written:g} in the file and {real:g} at the venue"
                hint = "live trades by the venue's, backtest and paper by the file's"
                self.report(symbol, text, "warning", path, hint)

    def _largest(self, price: float) -> Iterator[float]:
        """Yield the limits on the value of one entry; third-party sizing has no known limit."""
        strategy, capital = self.strategy, self.strategy.account.capital
        sizing = strategy.risk.sizing
        shares = {"fixed_fraction": "fraction", "volatility_target": "max", "kelly": "max"}
        parts = len(self.symbols) if strategy.risk.split == "equal" else 1
        yield capital if strategy.account.type == "spot" else math.inf
        if sizing.use in shares:
            yield capital * float(getattr(sizing.config, shares[sizing.use])) / parts
        elif sizing.use == "fixed_quantity":
            yield sizing.config.quantity * price / parts
        for block in strategy.risk.limits.values():
            if block.use in ("position", "gross_exposure"):
                yield capital * float(block.config.max)
            elif block.use == "max_order_value":
                yield float(block.config.max)

    def _symbol(self, symbol: str) -> Sequence[Any]:
        return ("universe", "symbols", self.symbols.index(symbol))


def _ignore(event: Any) -> None:
    """Ignore messages that arrive unrequested: no run is active."""


def _beyond(min_quantity: float, lot: float) -> float:
    """Return a minimum quantity that is larger than its lot; 0 where one lot is enough."""
    return min_quantity if min_quantity > lot * (1.0 + 1e-9) else 0.0
