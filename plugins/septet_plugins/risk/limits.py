"""Limits: each returns the largest quantity that it allows, which may be zero.

Shares are of equity after the order, working orders included. The cost of an order is its fee and
slippage, ``cost / price - 1`` of its notional.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, model_validator

from septet.plugin import Config, Fraction, Span, World, limit
from septet.plugin.numeric import TOLERANCE

__all__ = [
    "Correlated",
    "Group",
    "Groups",
    "GrossExposure",
    "MaxOrderValue",
    "OrdersPerMinute",
    "Position",
    "PriceCollar",
    "correlated",
    "groups",
    "gross_exposure",
    "max_order_value",
    "orders_per_minute",
    "position",
    "price_collar",
]


class Position(Config):
    """The largest position in one symbol, as a share of equity."""

    shorthand: ClassVar[str | None] = "max"
    max: Annotated[Fraction, Field(gt=0.0)] = 1.0
    """Largest position in one symbol as a share of equity."""


@limit(Position)
def position(notional, side, price, cost, equity, max):
    """Return the quantity that brings |notional| to `max` of the equity after the order."""
    room = max * equity - side * notional
    return room / (price + max * (cost - price)) if room > 0.0 else 0.0


class GrossExposure(Config):
    """The largest sum of |positions|, as a share of equity."""

    shorthand: ClassVar[str | None] = "max"
    max: Annotated[Fraction | float, Field(gt=0.0)] = 1.0
    """Largest sum of |positions| as a share of equity."""


@limit(GrossExposure)
def gross_exposure(gross, price, cost, equity, max):
    """Return the quantity that brings the gross notional to `max` of the equity after the order."""
    room = max * equity - gross
    return room / (price + max * (cost - price)) if room > 0.0 else 0.0


class Group(Config):
    """Symbols with a common limit."""

    symbols: tuple[str, ...] = Field(min_length=1)
    """The symbols with a common limit."""
    max: Annotated[Fraction, Field(gt=0.0)]
    """Largest sum of their |positions| as a share of equity."""


def _names_schema(schema: dict[str, Any]) -> None:
    """Describe the short form in the schema: the groups themselves, by name."""
    schema["additionalProperties"] = schema.pop("properties")["groups"]["additionalProperties"]
    schema.pop("required", None)


class Groups(Config):
    """Named groups of symbols, each with its largest gross share of equity."""

    model_config = ConfigDict(json_schema_extra=_names_schema)

    groups: dict[str, Group]
    """Groups of symbols by name."""

    @model_validator(mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        """Read ``{majors: {symbols, max}}`` as the groups themselves."""
        if isinstance(value, Mapping) and set(value) != {"groups"}:
            return {"groups": dict(value)}
        return value


def _group_table(config: Groups, world: World) -> Any:
    """Return one row per group: its `max`, then 1 or 0 for each symbol."""
    import numpy as np

    rows = [
        [group.max, *(1.0 if symbol in group.symbols else 0.0 for symbol in world.symbols)]
        for group in config.groups.values()
    ]
    return np.array(rows, dtype=np.float64).reshape(len(rows), 1 + len(world.symbols))


@limit(Groups, tables=_group_table)
def groups(k, notionals, price, cost, equity, tables):
    """Return the smallest remaining quantity in the groups of the symbol."""
    allowed = math.inf
    for row in range(tables.shape[0]):
        if tables[row, k + 1] == 0.0:
            continue
        used = 0.0
        for other in range(tables.shape[1] - 1):
            used += tables[row, other + 1] * abs(notionals[other])
        share = tables[row, 0]
        room = share * equity - used
        if not room > 0.0:
            return 0.0
        allowed = min(allowed, room / (price + share * (cost - price)))
    return allowed


class Correlated(Config):
    """The largest sum of correlated positions, which count as one, as a share of equity.

    Held symbols whose log returns over `window` correlate above `above` with this one (taking the
    sides into account; unknown counts as correlated) are summed, including this one.
    """

    above: Annotated[float, Field(gt=-1.0, lt=1.0)] = 0.8
    """Correlation above which positions count as one."""
    window: Span = Span(bar_count=720)
    """Number of bars over which log returns are correlated."""
    max: Annotated[Fraction, Field(gt=0.0)] = 0.15
    """Largest sum of positions that count as one, as a share of equity."""
    min_bars: Annotated[int, Field(ge=3)] = 30
    """Number of common bars below which symbols count as correlated."""


@limit(Correlated)
def correlated(k, side, notionals, correlations, price, cost, equity, above, max):
    """Return the quantity that brings the correlated sum to `max` of the equity after the order."""
    correlated_sum = abs(notionals[k])
    for other in range(notionals.shape[0]):
        if other == k or notionals[other] == 0.0:
            continue
        toward = 1.0 if notionals[other] > 0.0 else -1.0
        value = side * toward * correlations[other]
        if value > above or value != value:
            correlated_sum += abs(notionals[other])
    room = max * equity - correlated_sum
    return room / (price + max * (cost - price)) if room > 0.0 else 0.0


class MaxOrderValue(Config):
    """The largest notional of one order (quote)."""

    shorthand: ClassVar[str | None] = "max"
    max: Annotated[float, Field(gt=0.0)]
    """Largest notional of one order, in quote currency."""


@limit(MaxOrderValue, role="wire")
def max_order_value(price, max):
    """Return the quantity worth `max`."""
    return max / price


class OrdersPerMinute(Config):
    """Orders in a minute of market time; half of them are kept for reductions and cancels."""

    shorthand: ClassVar[str | None] = "max"
    max: Annotated[int, Field(ge=1, le=100_000)] = 60
    """Largest number of orders in a minute of market time."""


@limit(OrdersPerMinute, role="wire")
def orders_per_minute(entries_this_minute, max):
    """Return zero once half of the budget, at least one order, is used."""
    half = max // 2
    return 0.0 if entries_this_minute >= (half if half > 1 else 1) else math.inf


class PriceCollar(Config):
    """Largest distance of an entry's limit price from the close."""

    shorthand: ClassVar[str | None] = "max"
    max: Annotated[Fraction, Field(gt=0.0, le=1.0)] = 0.05
    """Largest distance of an entry's price from the close, as a share."""


@limit(PriceCollar, role="wire")
def price_collar(limit_price, price, max):
    """Return zero for a limit price outside the collar; market orders have no limit price."""
    return 0.0 if abs(limit_price / price - 1.0) > max + TOLERANCE else math.inf
