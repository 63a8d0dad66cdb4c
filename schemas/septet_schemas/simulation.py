"""Simulation of order execution in a backtest and in paper mode."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from septet_schemas.base import Config, LazySchema
from septet_schemas.later import later
from septet_schemas.units import Bars, BarsOrZero, Cost, Fraction, SignedCost

__all__ = ["Fee", "InstrumentSpec", "Simulation", "Slippage"]


class Fee(Config):
    """Fees as fractions of the notional; a negative maker fee is a rebate.

    `fee_currency: base` charges the fee of a buy in the base currency, as spot venues do.
    """

    maker: SignedCost = Field(default="10bps")  # type: ignore[assignment]
    """Fee of an order that rested in the book, as a share of the notional; negative is a rebate."""
    taker: SignedCost = Field(default="10bps")  # type: ignore[assignment]
    """Fee of an order that takes liquidity, as a share of the notional."""
    fee_currency: Literal["quote", "base"] = "quote"
    """Whether the fee of a buy is paid in quote currency or in the bought currency."""


class Slippage(Config):
    """Slippage of a market order: a fraction, or `volatility` times the realised volatility.

    With `volatility` the slippage of a bar is that factor times the standard deviation of the last
    `window` one-bar log returns, plus `fraction`.
    """

    fraction: Cost = 0.0
    """Slippage of a market order as a share of the price."""
    volatility: float | None = Field(default=None, gt=0.0, le=100.0)
    """Multiple of the standard deviation of one-bar log returns that is added to the slippage."""
    window: Bars = 20
    """Number of bars over which the standard deviation is computed."""


def _one_fee(value: Any) -> Any:
    if isinstance(value, Mapping | Fee):
        return value
    return {"maker": value, "taker": value}


def _one_slippage(value: Any) -> Any:
    return value if isinstance(value, Mapping | Slippage) else {"fraction": value}


_SHORT = {"type": ["number", "string"]}
FeeField = Annotated[
    Fee,
    BeforeValidator(_one_fee),
    LazySchema(lambda: {"anyOf": [_SHORT, Fee.model_json_schema()]}),
]
SlippageField = Annotated[
    Slippage,
    BeforeValidator(_one_slippage),
    LazySchema(lambda: {"anyOf": [_SHORT, Slippage.model_json_schema()]}),
]


class Simulation(Config):
    """The simulated market: the same for backtest and paper, independent of the venues.

    `latency` is in bars after the decision; `participation` caps a fill at that share of its bar's
    volume (None: no cap); the unfilled rest of an entry expires after `time_in_force`.
    """

    fee: FeeField = Field(default="10bps")  # type: ignore[assignment]
    """Fees: one share, or {maker, taker, fee_currency}."""
    slippage: SlippageField = Field(default="5bps")  # type: ignore[assignment]
    """Slippage of market orders: one share, or {fraction, volatility, window}."""
    latency: BarsOrZero = 0
    """Number of bars from a decision until its order works."""
    participation: Annotated[Fraction, Field(gt=0.0, le=1.0)] | None = None
    """Largest share of a bar's volume that may fill; by default no cap."""
    time_in_force: Bars = 1
    """Number of bars that the unfilled rest of an entry keeps working."""
    fills: Literal["next_open", "quotes", "book"] = "next_open"
    """Source of fills: bars, or in paper mode live quotes or the order book."""
    intrabar: Annotated[None, later(None)] = None
    """Not implemented yet."""


class InstrumentSpec(Config):
    """Trading rules of an instrument: the steps `lot` and `tick` (0: no step), minimum sizes."""

    tick: float = Field(default=0.0, ge=0.0)
    """Smallest step of a price; 0 means no step."""
    lot: float = Field(default=1e-8, gt=0.0)
    """Smallest step of a quantity."""
    min_notional: float = Field(default=0.0, ge=0.0)
    """Smallest notional of an order, in quote currency."""
    min_quantity: float = Field(default=0.0, ge=0.0)
    """Smallest quantity of an order, if it is larger than `lot`."""
