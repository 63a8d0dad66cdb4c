"""What a strategy file says, as dataclasses whose fields are named for the keys of the file.

Shares are plain numbers (0.4 for 40 %); durations inside `every` are texts as in the file.
Conditions and distances are texts, read by `expression`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "Add", "Blackout", "BuyEvery", "Costs", "Delisting", "Forecast", "Grid", "Halt", "Instrument",
    "Limits", "Net", "Portfolio", "Position", "Rebalance", "Sides", "Signal", "Sizing", "Stops",
    "Strategy", "Take", "TradingHours", "Trailing", "Universe", "check",
]  # fmt: skip


@dataclass(frozen=True)
class Costs:
    """`execution.simulation`; fees are paid in the quote currency."""

    maker: float = 0.0
    taker: float = 0.0
    slippage: float = 0.0
    latency_ns: int = 0
    participation: float | None = None


@dataclass(frozen=True)
class Instrument:
    """`execution.instruments`."""

    lot: float = 1e-8
    tick: float = 0.0
    min_notional: float = 0.0
    min_quantity: float = 0.0


@dataclass(frozen=True)
class Sides:
    """`where: {long: EXPR, short: EXPR}`."""

    long: str | None = None
    short: str | None = None


@dataclass(frozen=True)
class Net:
    """`net: {target, beta}`; without beta the weights themselves are summed."""

    target: float = 0.0
    beta: str | None = None


@dataclass(frozen=True)
class Rebalance:
    """`portfolio.rebalance`."""

    every: str = "1 bars"
    drift: float = 0.0
    to: Literal["target", "edge"] = "target"
    max_turnover: float | None = None
    quorum: float = 0.9


@dataclass(frozen=True)
class Forecast:
    """`portfolio.forecast`; `window` in bars."""

    of: Mapping[str, float]
    volatility: str
    target: float
    window: int
    cap: float = 2.0


@dataclass(frozen=True)
class Portfolio:
    """`portfolio`; `weight` is equal, score, rank or {"inverse_volatility": FEATURE}."""

    use: Literal["top", "weights", "forecast"] = "top"
    by: str = ""
    long: int = 0
    short: int = 0
    hold_rank: int = 0
    where: str | Sides | None = None
    weight: str | Mapping[str, str] = "equal"
    weights: str = ""
    forecast: Forecast | None = None
    gross: float = 1.0
    net: Net | None = None
    max_weight: float | None = None
    exit_if: str | None = None
    rebalance: Rebalance = Rebalance()

    def where_of(self, side: int) -> str | None:
        """Return the condition that names of a side must meet."""
        if isinstance(self.where, Sides):
            return self.where.long if side > 0 else self.where.short
        return self.where


@dataclass(frozen=True)
class Signal:
    """`signal: {use: rules}`."""

    long_if: str | None = None
    short_if: str | None = None
    exit_if: str | None = None
    opposite: bool = True
    min_interval: int = 1


@dataclass(frozen=True)
class Grid:
    """`signal: {use: grid}`."""

    centre: str
    step: float
    levels: int
    size: float
    short: bool = False


@dataclass(frozen=True)
class Sizing:
    """`risk.sizing`; `amount` is its risk, fraction or quantity."""

    use: Literal["fixed_risk", "fixed_fraction", "fixed_quantity"]
    amount: float


@dataclass(frozen=True)
class Trailing:
    """`stops.trailing`."""

    distance: str
    after: str | None = None


@dataclass(frozen=True)
class Stops:
    """`risk.stops`: a share (`4%`), a distance (`3 * atr_14`), a multiple of R (`4R`)."""

    stop_loss: str | None = None
    level: str | Sides | None = None
    trailing: Trailing | None = None
    break_even: str | None = None
    take_profit: str | None = None

    def level_of(self, side: int) -> str | None:
        """Return the expression of the stop's price for a side."""
        if isinstance(self.level, Sides):
            return self.level.long if side > 0 else self.level.short
        return self.level


@dataclass(frozen=True)
class Add:
    """One entry of `risk.position.add`: `when`, or `at` with resting orders."""

    size: float
    when: str | None = None
    times: int = 1
    min_interval: int = 0
    at: tuple[str, ...] = ()


@dataclass(frozen=True)
class Take:
    """One entry of `risk.position.take`."""

    size: float
    at: str | None = None
    when: str | None = None
    then_stop: Literal["break_even"] | None = None


@dataclass(frozen=True)
class BuyEvery:
    """`risk.position.buy_every`."""

    every: str
    amount: float


@dataclass(frozen=True)
class Position:
    """`risk.position`."""

    add: tuple[Add, ...] = ()
    take: tuple[Take, ...] = ()
    buy_every: BuyEvery | None = None


@dataclass(frozen=True)
class Limits:
    """`risk.limits` and `risk.max_positions`; groups: name -> (symbols, max)."""

    position: float = 1.0
    gross: float = 1.0
    groups: Mapping[str, tuple[tuple[str, ...], float]] = field(default_factory=dict)
    max_positions: int | None = None


@dataclass(frozen=True)
class Halt:
    """`risk.halts`: a drawdown, or a loss of the day that is cleared on the next one.

    `resume` is in bars of time, None for manual.
    """

    above: float
    then: Literal["flatten", "block_entries"] = "flatten"
    resume: int | None = None
    of: Literal["drawdown", "daily_loss"] = "drawdown"


@dataclass(frozen=True)
class Blackout:
    """`trading_hours.blackout`: instants of a series and the spans around them."""

    instants_ns: tuple[int, ...]
    before_ns: int
    after_ns: int


@dataclass(frozen=True)
class TradingHours:
    """`trading_hours`: a weekly text as in the file, or sessions of a calendar (from, to)."""

    open: str | None = None
    sessions: tuple[tuple[int, int], ...] | None = None
    flat_at_close: bool = False
    blackout: Blackout | None = None
    calendar: str = ""


@dataclass(frozen=True)
class Universe:
    """`universe: {where, top, by, every}` over the pool; members are point in time."""

    where: str | None = None
    top: int | None = None
    by: str = ""
    every: str = "1d"
    member: str | None = None


@dataclass(frozen=True)
class Delisting:
    """`delisted_after` in bars, and instants at which a row states that a symbol is gone."""

    after: int | None = None
    known_ns: Mapping[str, int] = field(default_factory=dict)
    value_change: float = 0.0


@dataclass(frozen=True)
class Strategy:
    """One strategy; `signal` or `portfolio` decides the side, `buy_every` may be alone."""

    account: Literal["spot", "perpetual"] = "spot"
    capital: float = 10_000.0
    leverage: float = 1.0
    costs: Costs = Costs()
    instrument: Instrument = Instrument()
    instruments: Mapping[str, Instrument] = field(default_factory=dict)
    portfolio: Portfolio | None = None
    signal: Signal | Grid | None = None
    reentry: Literal["rearm", "immediate"] | int = "rearm"
    sizing: Sizing | None = None
    stops: Stops = Stops()
    position: Position = Position()
    limits: Limits = field(default_factory=Limits)
    hours: TradingHours | None = None
    halt: Halt | None = None
    universe: Universe | None = None
    delisting: Delisting | None = None
    benchmark: str | None = None
    time_zone: str = "UTC"
    risk_rebalance: bool = False
    intrabar: bool = False
    start_ns: int | None = None

    def instrument_of(self, symbol: str) -> Instrument:
        """Return lot, tick and minimum notional of a symbol."""
        return self.instruments.get(symbol, self.instrument)


def check(s: Strategy) -> None:
    """Refuse what the rules exclude.

    Shorts and negative weights need a perpetual account; `add` excludes `risk.rebalance`; a
    portfolio excludes add, buy_every and grid.
    """
    portfolio, position = s.portfolio, s.position
    if position.add and s.risk_rebalance:
        raise ValueError("add excludes risk.rebalance")
    if portfolio is not None:
        if position.add or position.buy_every or isinstance(s.signal, Grid):
            raise ValueError("portfolio excludes add, buy_every and grid")
        if portfolio.short and s.account == "spot":
            raise ValueError("portfolio.short needs a perpetual account")
    if isinstance(s.signal, Signal) and s.signal.short_if and s.account == "spot":
        raise ValueError("short_if needs a perpetual account")
    if isinstance(s.signal, Grid) and s.signal.short and s.account == "spot":
        raise ValueError("a short grid needs a perpetual account")
    if sum(take.size for take in position.take) > 1.0 + 1e-12:
        raise ValueError("takes are more than 100 % together")
    for add in position.add:
        if bool(add.at) == bool(add.when):
            raise ValueError("an add has either `at` or `when`")
    for take in position.take:
        if bool(take.at) == bool(take.when):
            raise ValueError("a take has either `at` or `when`")
