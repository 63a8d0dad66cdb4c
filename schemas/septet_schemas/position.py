"""Positions in steps: distances of stops and levels, increases, partial exits, names."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final, Literal, Self

import msgspec
from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from septet_schemas.base import Config, Expression
from septet_schemas.every import Every
from septet_schemas.late_patterns import late_pattern
from septet_schemas.units import Bars, Fraction, format_fraction, parse_fraction

__all__ = [
    "Add",
    "Away",
    "AwayOrZero",
    "BuyEvery",
    "Distance",
    "DistanceMark",
    "Grid",
    "Level",
    "DISTANCE_PARSERS",
    "LEVEL_COLUMNS",
    "POSITION_WORDS",
    "PositionSteps",
    "SignedLevel",
    "StopAway",
    "Take",
    "Then",
    "distances_of",
    "parse_distance",
    "parse_distance_or_zero",
    "parse_signed_distance",
]

POSITION_WORDS: Final = (
    "position", "entry_price", "first_price", "last_price", "bars_held", "open_return",
    "best_return", "adds",
)  # fmt: skip
"""Names of position values that rules of the signal and of `risk.position` may use."""
LEVEL_COLUMNS: Final = ("stop_price", "target_price", "add_price")
"""Columns of the decisions table for the levels of a position."""

_NUMBER: Final = r"[-+]?(?:\d+\.?\d*|\.\d+)"
_MULTIPLE: Final = late_pattern(rf"^\s*({_NUMBER})\s*R\s*$")
_SHARE: Final = late_pattern(rf"^\s*{_NUMBER}(?:[eE][-+]?\d+)?\s*(%|bps|bp)?\s*$")
_EXPECTED: Final = "a share such as 4%, a distance such as '3 * atr_14', or a multiple such as 2R"


@dataclass(frozen=True, slots=True)
class Distance:
    """A distance that is not a share of a price: a multiple of R, or an expression (quote).

    R is the distance from the position's first fill to its first stop. An expression is evaluated
    when the entry is decided, and then fixed.
    """

    multiple: float = 0.0
    formula: str = ""

    def __str__(self) -> str:
        return self.formula or f"{self.multiple:g}R"


class DistanceMark(msgspec.Struct, frozen=True):
    """Marks a field that holds a share of a price, or a `Distance` from it.

    A step uses two parameters: one with the name of the field is the share, one with the suffix
    ``_amount`` is the distance (quote). One of the two is 0; an unknown distance is NaN.
    """

    required: bool = False
    """Whether an expression with an unknown value prevents the entry."""


@cache
def distances_of(config: type[Config]) -> Mapping[str, DistanceMark]:
    """Return the fields of a config that hold distances, with their marks."""
    return {
        name: each
        for name, info in config.model_fields.items()
        for each in info.metadata
        if isinstance(each, DistanceMark)
    }


def parse_distance(value: object, *, signed: bool = False, zero: bool = False) -> float | Distance:
    """Read `4%`, `3 * atr_14` or `2R`.

    `signed` allows a share or a multiple below zero, `zero` a distance of zero.
    """
    if isinstance(value, Distance):
        return value
    if isinstance(value, str) and not _SHARE.match(value):
        multiple = _MULTIPLE.match(value)
        distance: float | Distance = (
            Distance(multiple=float(multiple[1])) if multiple else Distance(formula=value.strip())
        )
        if not value.strip():
            raise _wrong(value)
        size = distance.multiple if multiple and isinstance(distance, Distance) else 1.0
    else:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise _wrong(value)
        distance = size = parse_fraction(value)
    if (size == 0.0 and not zero) or (size < 0.0 and not signed):
        raise PydanticCustomError(
            "distance",
            "a distance lies above zero, found {found}",
            {"expected": _EXPECTED, "found": repr(value)},
        )
    return distance


def _wrong(value: object) -> PydanticCustomError:
    context = {"expected": _EXPECTED, "found": repr(value)}
    return PydanticCustomError("distance", "expected {expected}, found {found}", context)


def _shown(value: float | Distance) -> float | str:
    return str(value) if isinstance(value, Distance) else format_fraction(value)


def parse_signed_distance(value: object) -> float | Distance:
    """Parse a distance that may be below zero."""
    return parse_distance(value, signed=True)


def parse_distance_or_zero(value: object) -> float | Distance:
    """Parse a distance that may be zero."""
    return parse_distance(value, zero=True)


DISTANCE_PARSERS: Final = (parse_distance, parse_signed_distance, parse_distance_or_zero)
"""Validators that parse distances; a number is a share."""
_SCHEMA: Final = WithJsonSchema({"type": ["string", "number"], "description": _EXPECTED})
_WRITE: Final = PlainSerializer(_shown, return_type=float | str, when_used="json")

Away = Annotated[float | Distance, DistanceMark(), BeforeValidator(parse_distance), _SCHEMA, _WRITE]
"""Distance of a target: `4%`, `3 * atr_14`, `2R`."""
StopAway = Annotated[
    float | Distance, DistanceMark(required=True), BeforeValidator(parse_distance), _SCHEMA, _WRITE
]
"""Distance of a stop; if it is unknown, nothing is entered."""
AwayOrZero = Annotated[
    float | Distance, DistanceMark(), BeforeValidator(parse_distance_or_zero), _SCHEMA, _WRITE
]  # fmt: skip
"""Distance that may be zero."""
Level = Annotated[float | Distance, BeforeValidator(parse_distance), _SCHEMA, _WRITE]
"""Return of the position at which a part is sold: `2%`, `2R`, `1.5 * atr_14`."""
SignedLevel = Annotated[float | Distance, BeforeValidator(parse_signed_distance), _SCHEMA, _WRITE]
"""Return of the position at which it is increased; negative is against the position: `-3%`,
`1R`."""


def _one_of(owner: str, given: Mapping[str, object]) -> None:
    """Reject an entry with both a condition and a level, or with neither."""
    written = [name for name in ("when", "at") if given[name] not in (None, ())]
    if len(written) != 1:
        raise PydanticCustomError(
            "one_of",
            "{owner} states either when (a condition) or at (a level)",
            {"owner": owner, "expected": "one of when, at"},
        )


def _list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


class Add(Config):
    """Increase of a position: a market order `when` a condition is true, or resting orders `at`.

    `size` is a share of the filled first order. `times` bounds how often a condition may add in one
    trade; `min_interval` is the least number of bars since the entry or its own last order.
    """

    when: Expression | None = None
    """Condition; a market order adds at the first close at which it is true."""
    at: Annotated[tuple[SignedLevel, ...], BeforeValidator(_list), Field(max_length=20)] = ()
    """Returns from the first price at which orders rest; negative is against the position: -3%,
    1R."""
    size: Annotated[Fraction, Field(gt=0.0)] = Field(default=1.0)
    """Share of the filled first order."""
    times: Annotated[int, Field(ge=1, le=1_000)] = 1
    """Upper bound of how often the condition may add in one trade."""
    min_interval: Bars | None = None
    """Least number of bars since the entry, or since its own last order, before the condition adds
    again."""

    @model_validator(mode="after")
    def _when_or_at(self) -> Self:
        _one_of("an add", {"when": self.when, "at": self.at})
        return self


class Then(Config):
    """Further action of a partial exit: `stop: break_even` moves the stop to zero after fees."""

    stop: Literal["break_even"] = "break_even"
    """Move the stop to the price at which the rest closes at zero after fees."""


class Take(Config):
    """Partial exit of a position: `at` a level, or `when` a condition is true; once per trade.

    `size` is a share of all units that the trade has entered so far.
    """

    at: Level | None = None
    """Return from the average entry price at which a limit order sells: 2%, 2R, 1.5 * atr_14."""
    when: Expression | None = None
    """Condition; a market order sells at the first close at which it is true."""
    size: Annotated[Fraction, Field(gt=0.0, le=1.0)] = Field(default=1.0)
    """Share of all units that the trade has entered so far."""
    then: Then | None = None
    """Further action once the partial exit has filled."""

    @model_validator(mode="after")
    def _when_or_at(self) -> Self:
        _one_of("a take", {"when": self.when, "at": self.at})
        if self.then is not None and self.size >= 1.0:
            raise PydanticCustomError(
                "take_all_then",
                "a take of 100 % (the default) leaves nothing whose stop could move",
                {"expected": "a smaller size", "hint": "write how much it sells, as in size: 50%"},
            )
        return self


class BuyEvery(Config):
    """A buy of `amount` (quote, fees included) at each time of `every`, from available cash.

    A buy that is not possible when it is due is dropped.
    """

    every: Every
    """When a buy is due: bars, an interval such as 1d at 12:00, or a cron expression."""
    amount: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
    """Cost of one buy at the close in quote currency, fees included."""


class Grid(Config):
    """Buy orders that rest below a centre, one `step` apart; each is sold one level higher.

    While the position is flat the levels are set at every decision: centre * (1 - step)^k for k =
    1, 2, ... Each buys `size` of equity. With `short`, mirrored sell orders rest above the centre.
    """

    centre: Expression
    """Centre of the levels, evaluated at every close while the position is flat."""
    step: Annotated[Fraction, Field(gt=0.0, lt=1.0)]
    """Distance between two levels, as a share of the price."""
    levels: Annotated[int, Field(ge=1, le=50)]
    """Number of levels on one side."""
    size: Annotated[Fraction, Field(gt=0.0)]
    """Share of equity that each level buys."""
    short: bool = False
    """Place mirrored sell orders above the centre as well, on a perpetual account."""


class PositionSteps(Config):
    """Increases and partial exits of a position between its entry and its exit."""

    add: Annotated[tuple[Add, ...], BeforeValidator(_list), Field(max_length=8)] = ()
    """Increases after the entry."""
    take: Annotated[tuple[Take, ...], BeforeValidator(_list), Field(max_length=16)] = ()
    """Partial exits; together they sell at most 100 %."""
    buy_every: BuyEvery | None = None
    """Regular buys in place of a signal."""
    grid: Grid | None = None
    """A grid of resting orders in place of a signal."""

    @property
    def enters(self) -> bool:
        """Whether regular buys or a grid enter in place of a signal."""
        return self.buy_every is not None or self.grid is not None

    @property
    def expressions(self) -> tuple[str, ...]:
        """All expressions of these steps."""
        levels = [*(each.at for each in self.take), *(at for add in self.add for at in add.at)]
        formulas = [each.formula for each in levels if isinstance(each, Distance) and each.formula]
        conditions = [*(each.when for each in self.add), *(each.when for each in self.take)]
        centres = [] if self.grid is None else [self.grid.centre]
        return (*formulas, *centres, *(each for each in conditions if each is not None))

    @field_validator("take")
    @classmethod
    def _takes_within_whole(cls, takes: tuple[Take, ...]) -> tuple[Take, ...]:
        if sum(each.size for each in takes) > 1.0 + 1e-12:
            raise PydanticCustomError(
                "takes",
                "takes sell {sum} of the position together",
                {
                    "sum": " + ".join(f"{each.size * 100:.6g}%" for each in takes),
                    "expected": "100% or less",
                },
            )  # fmt: skip
        return takes
