"""Several strategies on one account: one connection, one gate; each sees only its own orders.

The gate follows every strategy's own checks, just before an order is sent, and sums over all of
them. The shared venue gives each strategy a venue of its own: its symbols, its orders, the fills
of its orders, and orders of no strategy here. Positions of the strategies add up on the account;
what one holds is passed to the others, so that none takes it for a foreign position.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from septet import messages as m
from septet._core.account_check import unreported_cash
from septet._core.orders.ids import is_marked
from septet._core.orders.manager import ENDLESS
from septet._host.venues import LiveVenue, Sink, VenueFacts
from septet._live.own_orders import cancel_listed

if TYPE_CHECKING:
    from septet._core.live_core import LiveCore

__all__ = ["AccountGate", "AccountLimits", "Member", "SharedVenue"]

_MINUTE_NS: Final = 60_000_000_000
_FINAL: Final = frozenset({"filled", "cancelled", "expired", "rejected"})
_SLACK: Final = 1.1
"""Factor on the limits of this check, which only stops a runaway strategy: each strategy has its
own exact check, and prices move between the two."""


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """Limits of one strategy that count towards those of its account, as shares of its equity."""

    gross: float = 1.0
    position: float = 1.0
    orders_per_minute: int = 60

    @classmethod
    def of(cls, strategy: Any) -> AccountLimits:
        """Read what a file allows."""
        limits = strategy.risk.limits
        return cls(
            gross=_bound(limits, "gross_exposure", "max", 1.0),
            position=_bound(limits, "position", "max", 1.0),
            orders_per_minute=int(_bound(limits, "orders_per_minute", "max", 60)),
        )


def _bound(limits: Mapping[str, Any], name: str, field_name: str, default: float) -> float:
    """Return the value of a built-in limit; a third-party limit of that name has none."""
    block = limits.get(name)
    return float(getattr(block.config, field_name, default)) if block is not None else default


@dataclass(slots=True)
class _Working:
    """An entry in flight or in the book, which may still be filled by `quantity - filled`."""

    symbol: str
    buys: bool
    quantity: float
    price: float
    filled: float = 0.0

    @property
    def value(self) -> float:
        """Return the quote value that may still be bought or sold."""
        return max(0.0, self.quantity - self.filled) * self.price


@dataclass(slots=True)
class _Others:
    """Amounts of all other strategies that `Holdings` passes to one strategy, by currency."""

    held: dict[str, float] = field(default_factory=dict)
    open: dict[str, tuple[float, float]] = field(default_factory=dict)
    fills: dict[str, tuple[tuple[int, int, float, float], ...]] = field(default_factory=dict)


@dataclass(slots=True)
class Member:
    """One strategy's share of the account: its gate, and what it holds."""

    name: str
    symbols: tuple[str, ...]
    bases: tuple[str, ...]
    quote: str
    limits: AccountLimits
    equity: float
    cash: float
    gate: AccountGate = field(repr=False)
    fills_inside: bool = False
    """The core fills its orders itself: the cash of a decision time has its fills in it."""
    positions: dict[str, float] = field(default_factory=dict)
    working: dict[str, _Working] = field(default_factory=dict)
    core: LiveCore | None = field(default=None, repr=False)

    def rejection(self, order: m.Submit | m.Amend) -> str:
        """Return why an order must not be sent; if it may, count it and return an empty text."""
        return self.gate.check(self, order)

    def update(self, command: m.Changed | m.Traded) -> None:
        """Count a fill or the end of an order; the same command may be given twice."""
        if type(command) is m.Traded:
            symbol = self.symbols[command.symbol]
            self.positions[symbol] = command.position
            self.gate.prices[symbol] = command.price
        elif type(command) is m.Changed and command.state in _FINAL:
            self.working.pop(command.client_id, None)
        elif type(command) is m.Changed and command.client_id in self.working:
            self.working[command.client_id].filled = command.filled

    def worst(self, replaced: str = "") -> dict[str, float]:
        """Return the largest value of each symbol (quote) if its working entries are filled.

        The part of an order that closes a position adds nothing; the order `replaced` is left out.
        NaN where no price of a position is known.
        """
        prices, names = self.gate.prices, {exposure.symbol for exposure in self.working.values()}
        worst = dict[str, float]()
        for name in {*names, *(exposure for exposure, held in self.positions.items() if held)}:
            held, price = self.positions.get(name, 0.0), prices.get(name, 0.0)
            worth = 0.0 if not held else held * price if price > 0.0 else math.nan
            bought, sold = (
                math.fsum(
                    exposure.value for client_id, exposure in self.working.items()
                    if exposure.symbol == name and exposure.buys is buys and client_id != replaced
                )
                for buys in (True, False)
            )  # fmt: skip
            worst[name] = max(worth + bought, sold - worth, key=abs)
        return {name: abs(exposure) for name, exposure in worst.items()}

    def watch(self, event: m.Event, commands: Sequence[m.Command]) -> None:
        """Update prices, positions, orders and cash from an event and its commands."""
        if type(event) is m.BarClosed:
            self.gate.prices[self.symbols[event.symbol]] = event.close
        elif type(event) is m.Quoted:
            self.gate.prices[self.symbols[event.symbol]] = (event.bid + event.ask) / 2.0
        for each in commands:
            if type(each) is m.Traded:
                self.update(each)
                self._pay(each)
            elif type(each) is m.Corrected:
                self.cash += each.cash
                if each.position is not None:
                    self.positions[self.symbols[each.symbol]] = each.position
            elif type(each) is m.Changed:
                self.update(each)
            elif type(each) is m.Ruled:
                self.cash, self.equity = each.cash, each.equity

    def _pay(self, trade: m.Traded) -> None:
        if self.fills_inside:
            return
        sign = -1.0 if trade.side == "buy" else 1.0
        self.cash += sign * trade.quantity * trade.price - trade.liquidation
        if trade.fee_currency == self.quote:
            self.cash -= trade.fee

    def take_up(self, core: LiveCore) -> None:
        """Count the open orders of a restored core, at its last known prices."""
        if core.checks is None or core.orders is None:
            return
        for symbol, checked in zip(self.symbols, core.checks.symbols, strict=True):
            if checked.price > 0.0:
                self.gate.prices.setdefault(symbol, checked.price)
        records = core.orders.records
        for child in (records.children[name] for name in records.live):
            if not child.reduces:
                symbol = self.symbols[child.symbol]
                price = child.limit_price or self.gate.prices.get(symbol, 0.0)
                self.working[child.client_id] = _Working(
                    symbol, child.sign > 0, child.quantity, price, child.quantity - child.rest
                )

    def add_to(self, others: _Others, asked_ns: int) -> None:
        """Add what the strategy holds, and what of that a read of the account may not show.

        All of it is read from the core at one moment: rows are stored a little later.
        """
        core = self.core
        others.held[self.quote] = others.held.get(self.quote, 0.0) + self.booked_cash
        self._add_cash(others, asked_ns)
        for k, (symbol, base) in enumerate(zip(self.symbols, self.bases, strict=True)):
            if core is None or core.checks is None or core.orders is None:
                others.held[base] = others.held.get(base, 0.0) + self.positions.get(symbol, 0.0)
                continue
            others.held[base] = others.held.get(base, 0.0) + core.engine.held(k)
            (sold, bought), fills = core.orders.unread(k, asked_ns)
            if sold or bought:
                low, high = others.open.get(base, (0.0, 0.0))
                others.open[base] = (low + sold, high + bought)
            if fills:
                others.fills[base] = (*others.fills.get(base, ()), *fills)

    @property
    def current_equity(self) -> float:
        """Return the strategy's equity at the newest mark: the core's own if it has one.

        That of its last decision time may be as old as a bar.
        """
        engine = getattr(self.core, "engine", None)
        return float(engine.equity) if engine is not None else self.equity

    @property
    def booked_cash(self) -> float:
        """Return the cash of the strategy's ledger, fees included: the core's own if it has one."""
        engine = getattr(self.core, "engine", None)
        return float(engine.cash) if engine is not None else self.cash

    def _add_cash(self, others: _Others, asked_ns: int) -> None:
        """Add the cash amounts that a read of the account may not show."""
        core = self.core
        if core is None or core.checks is None or core.orders is None:
            return
        buying, returning = unreported_cash(core.orders, core.checks, asked_ns)
        if buying:
            low, high = others.open.get(self.quote, (0.0, 0.0))
            others.open[self.quote] = (low - buying, high)
        if returning:
            row = (asked_ns, asked_ns, min(returning, ENDLESS), 0.0)
            others.fills[self.quote] = (*others.fills.get(self.quote, ()), row)


class AccountGate:
    """Adds up over the strategies of an account; a reduction always passes."""

    def __init__(self, *, now_ns: Callable[[], int]) -> None:
        self.members: list[Member] = []
        self.prices: dict[str, float] = {}
        self._now_ns = now_ns
        self._sent: deque[int] = deque()

    def member(
        self, name: str, symbols: Sequence[str], *, bases: Sequence[str], quote: str,
        capital: float, limits: AccountLimits, fills_inside: bool = False,
    ) -> Member:  # fmt: skip
        """Add a strategy."""
        member = Member(
            name, tuple(symbols), tuple(bases), quote, limits, capital, capital, self, fills_inside
        )
        self.members.append(member)
        return member

    def check(self, member: Member, order: m.Submit | m.Amend) -> str:
        """Return the limit that an order would exceed; if none, count it and return ""."""
        now_ns = self._now_ns()
        while self._sent and self._sent[0] <= now_ns - _MINUTE_NS:
            self._sent.popleft()
        if isinstance(order, m.Submit) and order.reduces:
            self._sent.append(now_ns)
            return ""
        symbol = member.symbols[order.symbol]
        trigger = order.trigger_price if isinstance(order, m.Submit) else None
        price = order.limit_price or trigger or self.prices.get(symbol, 0.0)
        if not order.quantity * price > 0.0:
            return f"no price of {symbol} is known, so its value cannot be checked"
        new_id = order.new_client_id if isinstance(order, m.Amend) else order.client_id
        before = member.working.get(new_id)
        member.working[new_id] = _Working(symbol, order.side == "buy", order.quantity, price)
        reason = self._passed(symbol, order.client_id if isinstance(order, m.Amend) else "")
        if reason:
            member.working.pop(new_id)
            if before is not None:
                member.working[new_id] = before
            return reason
        self._sent.append(now_ns)  # an order that is replaced counts until it is final
        return ""

    def _passed(self, symbol: str, replaced: str) -> str:
        # Worst value of positions and working orders, of the symbol and of all, and their limits.
        held = total = most_held = most_total = 0.0
        orders = 0
        for member in self.members:
            limits = member.limits
            orders += limits.orders_per_minute
            equity = member.current_equity * _SLACK
            most_total += limits.gross * equity
            if symbol in member.symbols:
                most_held += limits.position * equity
            for name, worth in member.worst(replaced).items():
                if worth != worth:
                    return f"no price of {name} is known, which {member.name} holds"
                total += worth
                held += worth if name == symbol else 0.0
        if len(self._sent) >= orders:
            return f"the account's strategies sent {len(self._sent)} orders within a minute"
        if not held <= most_held:  # comparisons with NaN reject
            return f"all strategies would hold {held:.2f} of {symbol}, at most {most_held:.2f}"
        if not total <= most_total:
            return f"all strategies would hold {total:.2f}, at most {most_total:.2f}"
        return ""

    def beside(self, member: Member, event: m.Holdings) -> m.Holdings:
        """Add the positions and recent fills of the other strategies to a read of the account."""
        others = _Others()
        for each in self.members:
            if each is not member:
                each.add_to(others, event.asked_ns)
        return msgspec.structs.replace(
            event, others=others.held, others_open=others.open, others_fills=others.fills
        )


class SharedVenue:
    """One connection for several strategies."""

    def __init__(self, venue: LiveVenue, gate: AccountGate) -> None:
        self.venue = venue
        self.gate = gate
        self.facts: VenueFacts | None = None
        self._symbols: tuple[str, ...] = ()
        self._shares: list[_Share] = []

    def share(self, member: Member, tag: str) -> LiveVenue:
        """Return the venue as one strategy sees it."""
        share = _Share(self, member, tag)
        self._shares.append(share)
        return share

    async def open(self) -> VenueFacts:
        """Open the connection once, for all symbols of all strategies."""
        if self.facts is None:
            names = [name for each in self._shares for name in each.member.symbols]
            self._symbols = tuple(dict.fromkeys(names))
            for each in self._shares:
                each.number(self._symbols)
            self.facts = await self.venue.open(self._symbols, self.receive)
        return self.facts

    async def close(self) -> None:
        """Close the connection when the last strategy has gone."""
        if all(each.closed for each in self._shares):
            await self.venue.close()

    def owner(self, client_id: str) -> _Share | None:
        """Return the strategy that made an order, if it is one of these."""
        return next((each for each in self._shares if is_marked(each.tag, client_id)), None)

    def shared(self, share: _Share, numbers: Iterable[int]) -> bool:
        """Whether another strategy trades one of these symbols of the account."""
        queried = set(numbers)
        others = [each for each in self._shares if each is not share]  # ended ones included
        return any(queried & set(each.numbers) for each in others)

    def receive(self, event: Any, asked: _Share | None = None) -> None:
        """Hand an event on to all strategies, except the one that has `asked` for it."""
        for share in self._shares:
            if share is asked:  # it has the answer
                continue
            if not share.closed and (reported := share.translate(event)) is not None:
                share.sink(reported)


class _Share:
    """`LiveVenue` for one strategy: numbers translated, orders of the others left out."""

    def __init__(self, shared: SharedVenue, member: Member, tag: str) -> None:
        self.member = member
        self.tag = tag
        self.closed = False
        self.numbers: tuple[int, ...] = ()
        self.sink: Sink = lambda event: None
        self._shared = shared
        self._back: dict[int, int] = {}

    def number(self, symbols: Sequence[str]) -> None:
        """Store the numbers that the account gives to this strategy's symbols."""
        self.numbers = tuple(symbols.index(each) for each in self.member.symbols)
        self._back = {number: k for k, number in enumerate(self.numbers)}

    def translate(self, event: Any) -> Any:
        """Return an event translated for this strategy; None if it does not concern it."""
        if isinstance(event, m.OpenOrders):
            seen = [
                reported for each in event.orders if (reported := self.translate(each)) is not None
            ]
            return msgspec.structs.replace(event, orders=tuple(seen))
        if isinstance(event, m.Holdings):
            return self._shared.gate.beside(self.member, event)
        client_id = getattr(event, "client_id", "")
        if client_id:
            owner = self._shared.owner(client_id)
            if owner is not None and owner is not self:
                return None
        return self._numbered(event)

    def _numbered(self, event: Any) -> Any:
        symbol = getattr(event, "symbol", None)
        if symbol is None:
            return event
        own = self._back.get(symbol)
        if own is None:
            return None
        return event if own == symbol else msgspec.structs.replace(event, symbol=own)

    def _out(self, command: Any) -> Any:
        number = self.numbers[command.symbol]
        if number == command.symbol:
            return command
        return msgspec.structs.replace(command, symbol=number)

    def _all(self, events: Sequence[Any]) -> list[Any]:
        return [reported for each in events if (reported := self.translate(each)) is not None]

    # ------------------------------------------------------------ LiveVenue

    async def open(self, symbols: Sequence[str], sink: Sink) -> VenueFacts:
        self.sink = sink
        self.closed = False
        facts = await self._shared.open()
        markets = {name: facts.markets[name] for name in symbols if name in facts.markets}
        unlisted = {name: facts.unlisted[name] for name in symbols if name in facts.unlisted}
        return replace(facts, markets=markets, unlisted=unlisted)

    async def submit(self, order: m.Submit) -> m.Event:
        event: m.Event = self._numbered(await self._shared.venue.submit(self._out(order)))
        return event

    async def amend(self, order: m.Amend) -> Sequence[m.Event]:
        return self._all(await self._shared.venue.amend(self._out(order)))

    async def cancel(self, order: m.Cancel) -> m.Event:
        event: m.Event = self._numbered(await self._shared.venue.cancel(self._out(order)))
        return event

    async def cancel_all(self, symbols: Sequence[int]) -> Sequence[m.Event]:
        numbers = [self.numbers[k] for k in symbols]
        if not self._shared.shared(self, numbers):
            return self._all(await self._shared.venue.cancel_all(numbers))
        listing = await self.open_orders()  # others trade there: cancel only own orders
        orders = () if listing is None else listing.orders
        return await cancel_listed(self, self.tag, orders, set(symbols))

    async def query(self, order: m.Query) -> m.Event | None:
        answer = await self._shared.venue.query(self._out(order))
        return None if answer is None else self._numbered(answer)

    async def open_orders(self) -> m.OpenOrders | None:
        listing = await self._shared.venue.open_orders()
        return None if listing is None else self.translate(listing)

    async def fills(self, symbol: int, since_ns: int) -> Sequence[m.Filled] | None:
        fills = await self._shared.venue.fills(self.numbers[symbol], since_ns)
        return None if fills is None else self._all(fills)

    async def holdings(self) -> m.Holdings | None:
        holdings = await self._shared.venue.holdings()
        return None if holdings is None else self.translate(holdings)

    async def skew(self) -> m.Skewed | None:
        return await self._shared.venue.skew()

    async def refresh_markets(self) -> Sequence[m.FiltersChanged] | None:
        """Read the filters; the venue reports a change once, and all strategies get it."""
        changes = await self._shared.venue.refresh_markets()
        for each in changes or ():
            self._shared.receive(each, self)
        return None if changes is None else self._all(changes)

    async def close(self) -> None:
        self.closed = True
        await self._shared.close()
