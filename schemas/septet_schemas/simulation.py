"""How orders meet the market in a backtest and in paper mode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from septet_schemas.base import Config
from septet_schemas.units import Bars, Cost, Fraction, SignedCost

__all__ = ["Fee", "InstrumentSpec", "Simulation", "Slippage"]


class Fee(Config):
    """Fees as fractions of the notional; a negative maker fee is a rebate.

    `fee_currency: base` takes the fee of a buy in the base currency, as spot venues do.
    """

    maker: SignedCost = Field(default="10bps")  # type: ignore[assignment]
    taker: SignedCost = Field(default="10bps")  # type: ignore[assignment]
    fee_currency: Literal["quote", "base"] = "quote"


class Slippage(Config):
    """Slippage of a market order: a fraction, or `volatility` times the realised one.

    With `volatility` the slippage of a bar is that factor times the standard deviation of the
    last `window` one-bar log returns, plus `fraction`.
    """

    fraction: Cost = 0.0
    volatility: float | None = Field(default=None, gt=0.0, le=100.0)
    window: Bars = 20


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
    WithJsonSchema({"anyOf": [_SHORT, Fee.model_json_schema()]}),
]
SlippageField = Annotated[
    Slippage,
    BeforeValidator(_one_slippage),
    WithJsonSchema({"anyOf": [_SHORT, Slippage.model_json_schema()]}),
]


class Simulation(Config):
    """The simulated market: the same for backtest and paper, whatever the venues are.

    `latency` is in bars after the decision; `participation` caps a fill at that share of its
    bar's volume (None: no cap); the rest of an entry expires after `time_in_force`.
    """

    fee: FeeField = Field(default="10bps")  # type: ignore[assignment]
    slippage: SlippageField = Field(default="5bps")  # type: ignore[assignment]
    latency: Bars | Literal[0] = 0
    participation: Annotated[Fraction, Field(gt=0.0, le=1.0)] | None = None
    time_in_force: Bars = 1
    fills: Literal["next_open", "quotes", "book"] = "next_open"


class InstrumentSpec(Config):
    """What a venue trades: quantities are whole `lot`s, prices whole `tick`s (0: no step)."""

    tick: float = Field(default=0.0, ge=0.0)
    lot: float = Field(default=1e-8, gt=0.0)
    min_notional: float = Field(default=0.0, ge=0.0)
