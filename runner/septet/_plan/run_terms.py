"""The terms of a run: the parts of a strategy that the planner needs, with defaults resolved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from septet._data.trading_hours import HourRules
from septet._kernel import layout
from septet_schemas.blocks import UseBlock
from septet_schemas.every import Every
from septet_schemas.position import LEVEL_COLUMNS, BuyEvery, Grid, PositionSteps
from septet_schemas.simulation import Simulation
from septet_schemas.strategy import Strategy

__all__ = ["Terms", "hours_of", "simulation_of", "terms_of"]


class Terms(msgspec.Struct, frozen=True):
    """The blocks and numbers a plan is made from, independent of where they were written.

    `is_local` means that days begin elsewhere than at midnight UTC.
    """

    title: str
    symbols: tuple[str, ...]
    bar_ns: int
    features: Mapping[str, UseBlock]
    signal: UseBlock
    sizing: UseBlock
    limits: Mapping[str, UseBlock]
    stops: Mapping[str, UseBlock]
    halts: Mapping[str, UseBlock]
    order: UseBlock
    simulation: Any
    has_model: bool = False
    horizon_bars: int = 0
    spot: bool = True
    perpetual: Any = None
    has_funding: bool = False
    cash_buffer: float = 0.0
    pro_rata: bool = False
    split: bool = False
    rebalance: float | None = None
    position: PositionSteps | None = None
    calendar: str = "24x7"
    calendars: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    model_inputs: tuple[str, ...] = ()
    portfolio: Any = None
    time_zone: str = "UTC"
    max_age: Mapping[str, int] = msgspec.field(default_factory=dict)
    hours: HourRules | None = None
    max_positions: int | None = None
    is_local: bool = False

    @property
    def members_row(self) -> int | None:
        """The row of T with the number of members, None where nothing counts them."""
        if self.portfolio is None or len(self.symbols) == 1:
            return None
        return layout.ROW + len(self.symbols) + self.hours_rows

    @property
    def hours_rows(self) -> int:
        """How many rows of T, and slots of C, the flags of the trading hours have: one a symbol."""
        return 0 if self.hours is None else len(self.symbols)

    @property
    def buys(self) -> BuyEvery | None:
        """The regular buys of the file."""
        return None if self.position is None else self.position.buy_every

    @property
    def adds_between(self) -> bool:
        """Whether a price between two decision times may enter or add: a grid, resting adds."""
        position = self.position
        return position is not None and (
            position.grid is not None or any(each.at for each in position.add)
        )

    @property
    def grid(self) -> Grid | None:
        """The grid of the file."""
        return None if self.position is None else self.position.grid

    @property
    def caps_turnover(self) -> bool:
        """Whether a portfolio limits the turnover of a rebalance."""
        rebalance = getattr(self.portfolio, "rebalance", None)
        return rebalance is not None and rebalance.max_turnover is not None

    @property
    def levels(self) -> tuple[str, ...]:
        """The columns of decisions for the levels of a position, as far as the file has them."""
        roles = {block.declaration.role or "stop" for block in self.stops.values()}
        add = () if self.position is None else self.position.add
        take = () if self.position is None else self.position.take
        has = {
            "stop_price": "stop" in roles or any(each.then is not None for each in take),
            "target_price": "target" in roles or any(each.at is not None for each in take),
            "add_price": any(each.at for each in add),
        }
        return tuple(name for name in LEVEL_COLUMNS if has[name])

    @property
    def due_every(self) -> Every | None:
        """How often a rebalance, or a regular buy, falls due."""
        if self.portfolio is not None:
            every: Every = self.portfolio.rebalance.every
            return every
        return None if self.buys is None else self.buys.every

    @property
    def long_only(self) -> bool:
        """Whether nothing in the file can open a short: a spot account, or rules without one.

        Of another signal on a perpetual account this is not known before the run: a model decides
        by its probabilities, another package's signal by its code.
        """
        if self.spot:
            return True
        if self.portfolio is not None:
            return self.portfolio.use == "top" and not self.portfolio.short
        is_rules = self.signal.use == "rules" and self.signal.distribution == "septet"
        return is_rules and getattr(self.signal.config, "short_if", None) is None


def simulation_of(strategy: Strategy) -> Simulation:
    """Return the simulation of a file: the fields of its simulated venue go before the rest."""
    simulation = strategy.execution.simulation
    for block in strategy.execution.venues.values():
        if block.use == "simulated":
            set_here = block.config.model_fields_set
            simulation = simulation.model_copy(
                update={name: getattr(block.config, name) for name in set_here}
            )
    return simulation


def hours_of(strategy: Strategy) -> HourRules | None:
    """Return the trading hours of a file, None without any; latency is the simulation's."""
    hours = strategy.universe.trading_hours
    if hours is None:
        return None
    blackout = hours.blackout
    return HourRules(
        open=hours.open,
        flat_at_close=hours.flat_at_close,
        latency_ns=int(simulation_of(strategy).latency) * strategy.universe.bar,
        series=blackout.series if blackout is not None else "",
        before_ns=blackout.before if blackout is not None else 0,
        after_ns=blackout.after if blackout is not None else 0,
    )


def _horizon_bars(strategy: Any, bar_ns: int) -> int:
    """Return after how many bars a position of the model's signal is closed; 0 for never.

    A portfolio, regular buys and a grid hold what no signal entered.
    """
    if strategy.model is None or not strategy.follows_signal:
        return 0
    return int(strategy.model.extra["label"].horizon.bars(bar_ns))


def terms_of(strategy: Strategy, calendar: str = "24x7", calendars: tuple[str, ...] = ()) -> Terms:
    """Decide what the file leaves open: the venue's simulation, exits of a model.

    `calendar` is that of most symbols of the data, known once it was read, `calendars` are all.
    """
    simulation = simulation_of(strategy)
    bar_ns = strategy.universe.bar
    model = strategy.model
    rebalance = strategy.risk.rebalance
    return Terms(
        title=strategy.name,
        symbols=strategy.universe.symbols,
        bar_ns=bar_ns,
        features=strategy.features,
        signal=strategy.signal,
        sizing=strategy.risk.sizing,
        limits=strategy.risk.limits,
        stops=strategy.risk.stops,
        halts=strategy.risk.halts,
        order=strategy.execution.order,
        simulation=simulation,
        has_model=model is not None,
        horizon_bars=_horizon_bars(strategy, bar_ns),
        spot=strategy.account.type == "spot",
        perpetual=strategy.perpetual,
        has_funding=strategy.data.funding is not None or strategy.perpetual.funding is not None,
        cash_buffer=strategy.risk.cash_buffer,
        pro_rata=strategy.risk.allocate == "pro_rata",
        split=strategy.risk.split == "equal",
        rebalance=rebalance.band if rebalance is not None else None,
        position=strategy.risk.position,
        calendar=calendar,
        calendars=calendars,
        series=tuple(strategy.data.readable),
        portfolio=strategy.portfolio if strategy.portfolio.decides else None,
        time_zone=strategy.time_zone,
        model_inputs=tuple((model.extra.get("inputs") or ()) if model is not None else ()),
        hours=hours_of(strategy),
        max_positions=strategy.risk.max_positions,
        is_local=strategy.time_zone != "UTC" or strategy.day_start != 0,
    )
