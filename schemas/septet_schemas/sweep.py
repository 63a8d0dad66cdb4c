"""The `sweep:` section: the varied keys with their values, and the figure to optimise."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from septet_schemas.base import Config, LazySchema
from septet_schemas.late_patterns import late_pattern
from septet_schemas.units import parse_duration, parse_fraction

__all__ = [
    "GOALS",
    "MAX_VALUES",
    "Quantity",
    "Sweep",
    "SweepDraw",
    "SweepRange",
    "parse_quantity",
]

MAX_VALUES: Final = 10_000
"""Largest number of values of one key in a grid."""
GOALS: Final[Mapping[str, bool]] = {
    "sharpe": True,
    "sortino": True,
    "total_return": True,
    "profit_factor": True,
    "win_rate": True,
    "max_drawdown": False,
}
"""Figures that a sweep can optimise, and whether a larger value is better."""

_WRITTEN: Final = late_pattern(
    r"^\s*([-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(%|bps?|bars?|trades?|ms|[smhdw])?\s*$"
)
_FAMILIES: Final[Mapping[str, str]] = {
    "": "number", "%": "fraction", "bps": "fraction", "bp": "fraction", "bar": "bars",
    "bars": "bars", "trade": "trades", "trades": "trades", "ms": "duration", "s": "duration",
    "m": "duration", "h": "duration", "d": "duration", "w": "duration",
}  # fmt: skip
_SIZES: Final[Mapping[str, Decimal]] = {
    "%": Decimal("0.01"), "bps": Decimal("0.0001"), "bp": Decimal("0.0001"),
    "ms": Decimal(1), "s": Decimal(1_000), "m": Decimal(60_000), "h": Decimal(3_600_000),
    "d": Decimal(86_400_000), "w": Decimal(604_800_000),
}  # fmt: skip
_EXPECTED: Final = "a number with its unit, such as 20, 1%, 5bps, '3 bars' or 12h"


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number exactly as written in the file: its digits and its unit."""

    number: Decimal
    unit: str = ""

    @property
    def family(self) -> str:
        """`number`, `fraction`, `bars`, `trades` or `duration`."""
        return _FAMILIES[self.unit]

    @property
    def size(self) -> Decimal:
        """Size of one unit, comparable within a family."""
        return _SIZES.get(self.unit, Decimal(1))

    @property
    def amount(self) -> Decimal:
        """The number times its unit."""
        return self.number * self.size

    @property
    def value(self) -> float:
        """The value as a run uses it: 10% is 0.1, a duration is in nanoseconds."""
        if self.family == "fraction":
            return parse_fraction(str(self))
        if self.family == "duration":
            return float(parse_duration(str(self)))
        return float(self.number)

    def __str__(self) -> str:
        space = " " if self.family in ("bars", "trades") else ""
        return f"{self.number.normalize():f}{space}{self.unit}"


def parse_quantity(value: object) -> Quantity:
    """Parse a number with or without a unit; raise `PydanticCustomError` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _wrong(value)
    match = _WRITTEN.match(repr(value) if isinstance(value, float) else str(value))
    if match is None:
        raise _wrong(value)
    quantity = Quantity(Decimal(match[1].replace("_", "")), match[2] or "")
    if quantity.family == "duration" and quantity.number <= 0:
        raise _wrong(value)
    return quantity


def _wrong(value: object) -> PydanticCustomError:
    is_text = isinstance(value, str) and any(each.isdigit() for each in value)
    hint = "a number inside a text is named by its place: signal.long_if.1: [1.01, 1.02]"
    hint = hint if is_text else ""
    return PydanticCustomError(
        "quantity",
        "this is not a number that can be swept",
        {"expected": _EXPECTED, "found": repr(value), "hint": hint},
    )


def _quantity(value: Any) -> Quantity:
    return value if isinstance(value, Quantity) else parse_quantity(value)


_QUANTITY_SCHEMA = WithJsonSchema(
    {
        "anyOf": [{"type": "number"}, {"type": "string", "pattern": _WRITTEN.pattern}],
        "description": "a number as the key takes it: 20, 1%, 5bps, '3 bars', 12h",
    }
)
Written = Annotated[Any, BeforeValidator(_quantity), _QUANTITY_SCHEMA]


def _refuse(
    where: str, key: str, message: str, expected: str, found: object = None
) -> ValidationError:
    error = PydanticCustomError("sweep", "{message}", {"message": message, "expected": expected})
    detail = InitErrorDetails(type=error, loc=(key,), input=found)
    return ValidationError.from_exception_data(where, [detail])


def _one_family(where: str, **numbers: Quantity | None) -> None:
    """Reject numbers whose units cannot be compared."""
    numbers_given = {name: each for name, each in numbers.items() if each is not None}
    first_name, first = next(iter(numbers_given.items()))
    for name, each in numbers_given.items():
        if each.family != first.family:
            expected = f"the kind of unit of {first_name}: {first}"
            message = f"{name} and {first_name} are written in different units"
            raise _refuse(where, name, message, expected, str(each))


class SweepRange(Config):
    """Values at equal distances, both ends included: `{from: 50, to: 200, step: 10}`."""

    model_config = ConfigDict(populate_by_name=True)

    first: Written = Field(alias="from")
    """The first value."""
    to: Written
    """The last value; included if it is a whole number of steps from the first."""
    step: Written
    """Distance between two values."""

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        _one_family("range", **{"from": self.first, "to": self.to, "step": self.step})
        if self.step.amount <= 0:
            raise _refuse("range", "step", "a step is more than zero", "more than 0")
        if self.to.amount < self.first.amount:
            message = "this range is empty: it ends before it begins"
            raise _refuse("range", "to", message, f"{self.first} or more")
        count = (self.to.amount - self.first.amount) // self.step.amount + 1
        if count > MAX_VALUES:
            message = f"this range has {count:,} values"
            raise _refuse("range", "step", message, f"at most {MAX_VALUES:,} values: a larger step")
        return self


class SweepDraw(Config):
    """Values drawn between two ends, both included: `{low: 1%, high: 10%, log: true}`.

    `log` draws uniformly in the logarithm. With `step` only `low` plus multiples of it are drawn;
    without it whole numbers, bars, trades and durations are drawn in whole units.
    """

    low: Written
    """The lowest value."""
    high: Written
    """The highest value."""
    log: bool = False
    """Draw uniformly in the logarithm."""
    step: Written | None = None
    """Draw only `low` plus multiples of this."""

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        _one_family("draw", low=self.low, high=self.high, step=self.step)
        if self.high.amount <= self.low.amount:
            message = "nothing can be drawn: high is not above low"
            raise _refuse("draw", "high", message, f"more than {self.low}")
        if self.log and self.low.amount <= 0:
            message = "a logarithm begins above zero"
            raise _refuse("draw", "low", message, "more than 0 with log: true")
        if self.step is not None and self.step.amount <= 0:
            raise _refuse("draw", "step", "a step is more than zero", "more than 0")
        return self


_AXIS_EXPECTED: Final = (
    "a list such as [5, 10, 20], {from: 50, to: 200, step: 10} or {low: 1%, high: 10%}"
)


def _axis(value: Any) -> Any:
    """Read a list, a range or a draw."""
    if isinstance(value, SweepRange | SweepDraw) or (
        isinstance(value, tuple) and all(isinstance(each, Quantity) for each in value)
    ):
        return value
    if isinstance(value, Mapping) and {"low", "high"} & set(value):
        return SweepDraw.model_validate(dict(value))
    if isinstance(value, Mapping) and value:
        return SweepRange.model_validate(dict(value))
    if isinstance(value, list | tuple):
        return _values(value)
    empty = isinstance(value, Mapping) or value is None
    message = "no values are given" if empty else "this is neither a list, a range nor a draw"
    raise PydanticCustomError("sweep", message, {"expected": _AXIS_EXPECTED, "found": repr(value)})


def _values(value: Any) -> tuple[Quantity, ...]:
    if not value:
        raise PydanticCustomError(
            "sweep", "this grid is empty", {"expected": "at least one value, such as [5, 10, 20]"}
        )
    if len(value) > MAX_VALUES:
        raise PydanticCustomError(
            "sweep", "this grid is too long", {"expected": f"at most {MAX_VALUES:,} values"}
        )
    quantities: list[Quantity] = []
    errors: list[InitErrorDetails] = []
    for index, each in enumerate(value):
        try:
            quantities.append(parse_quantity(each))
        except PydanticCustomError as error:
            errors.append(InitErrorDetails(type=error, loc=(index,), input=each))
            continue
        newest = quantities[-1]
        problem = _against_the_others(newest, quantities[:-1])
        if problem:
            errors.append(InitErrorDetails(type=problem, loc=(index,), input=each))
    if errors:
        raise ValidationError.from_exception_data("sweep", errors)
    return tuple(quantities)


def _against_the_others(quantity: Quantity, others: list[Quantity]) -> PydanticCustomError | None:
    """Reject a value that is listed twice, or whose unit cannot be compared with the others."""
    counted = {"number", "bars", "trades"}
    for other in others[:1]:
        pair = {quantity.family, other.family}
        bars = pair <= counted and pair != {"bars", "trades"}
        if len(pair) > 1 and not bars and pair != {"number", "fraction"}:
            context = {"expected": f"the kind of unit of the first: {other}"}
            return PydanticCustomError("sweep", "these values are in different units", context)
    if any(each.value == quantity.value for each in others):
        return PydanticCustomError(
            "sweep", "this value stands here twice", {"expected": "each value once"}
        )
    return None


_AXIS_SCHEMA = LazySchema(
    lambda: {
        "anyOf": [
            {"type": "array", "items": _QUANTITY_SCHEMA.json_schema, "minItems": 1},
            SweepRange.model_json_schema(),
            SweepDraw.model_json_schema(),
        ],
        "description": f"the values of this key: {_AXIS_EXPECTED}",
    }
)
Axis = Annotated[Any, BeforeValidator(_axis), _AXIS_SCHEMA]


def _over(value: Any) -> Any:
    if not isinstance(value, Mapping) or not value:
        expected = "keys with their values, such as features.fast.period: [5, 10, 20]"
        raise PydanticCustomError("sweep", "nothing is swept", {"expected": expected})
    return value


class Sweep(Config):
    """A search over numeric keys of this file: `septet sweep FILE`.

    `method` defaults to `random` if any key is drawn, else to `grid`. `trials` is the number of
    settings of `random` and of `tpe`, which chooses each setting by the results of earlier ones.
    """

    over: Annotated[dict[str, Axis], BeforeValidator(_over), Field(max_length=36)]
    """Varied keys with their values: a list, {from, to, step} or {low, high}."""
    where: Annotated[str, Field(min_length=1)] | None = None
    """Condition on the varied keys; settings that do not meet it are left out."""
    method: Literal["grid", "random", "tpe"] | None = None
    """grid: all settings; random: random ones; tpe: chosen by the results of earlier ones."""
    trials: int | None = Field(default=None, ge=1, le=1_000_000)
    """Number of settings of a random search or of tpe."""
    goal: Literal[
        "sharpe", "sortino", "total_return", "profit_factor", "win_rate", "max_drawdown"
    ] = "sharpe"
    """Figure by which the best setting is chosen."""

    @property
    def chosen_method(self) -> Literal["grid", "random", "tpe"]:
        """The method, with the default resolved."""
        if self.method is not None:
            return self.method
        drawn = any(isinstance(axis, SweepDraw) for axis in self.over.values())
        return "random" if drawn or self.trials is not None else "grid"

    @model_validator(mode="after")
    def _method_fits(self) -> Self:
        drawn = [key for key, axis in self.over.items() if isinstance(axis, SweepDraw)]
        if self.method == "grid" and drawn:
            message = f"a grid cannot draw: {drawn[0]} is given by low and high"
            expected = "method: random, or {from: ..., to: ..., step: ...} for that key"
            raise _refuse("sweep", "method", message, expected, "grid")
        if self.method == "grid" and self.trials is not None:
            message = "a grid tries every setting: trials is for the methods random and tpe"
            raise _refuse("sweep", "trials", message, "no trials, or method: random", self.trials)
        return self
