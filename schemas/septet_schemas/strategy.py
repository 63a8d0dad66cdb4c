"""The strategy file as a pydantic model; attribute names are the keys of the YAML.

Validate it with a resolver that finds plugins::

    Strategy.model_validate(data, context={"resolver": resolver})

Durations are integer nanoseconds, fractions plain floats, `start` and `end` nanoseconds since the
epoch. Every `use:` block is a `UseBlock` (see `septet_schemas.blocks`).
"""

import keyword
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from septet_schemas.base import Config, LazySchema
from septet_schemas.blocks import BlockName, BlockOf, NamedBlocks, UseBlock
from septet_schemas.data import Policies
from septet_schemas.hours import Blackout, HoursField, OpenHours, TradingHours
from septet_schemas.keys import (
    CandleKeys,
    ExitRule,
    FeatureKeys,
    HaltKeys,
    ModelKeys,
    Reentry,
    RegimeKeys,
    SeriesKeys,
    SignalKeys,
)
from septet_schemas.later import later
from septet_schemas.monitoring import Monitoring
from septet_schemas.portfolio import DECIDES, Portfolio, with_derived
from septet_schemas.position import LEVEL_COLUMNS, POSITION_WORDS, PositionSteps
from septet_schemas.simulation import Fee, InstrumentSpec, Simulation, Slippage
from septet_schemas.sweep import Sweep
from septet_schemas.times import Daily, DayTime, EndTime, StartTime, TimeZone
from septet_schemas.training import (
    DirectionLabel,
    Label,
    ThresholdLabel,
    Training,
    TripleBarrierLabel,
)
from septet_schemas.units import (
    Fraction,
    MarketDuration,
    SignedCost,
)

__all__ = [
    "Account",
    "Blackout",
    "CandleKeys",
    "Data",
    "DirectionLabel",
    "Execution",
    "ExitRule",
    "Fee",
    "Funding",
    "HaltKeys",
    "InstrumentSpec",
    "Label",
    "MODES",
    "ModelKeys",
    "OpenHours",
    "Perpetual",
    "Portfolio",
    "Policies",
    "Rebalance",
    "Reentry",
    "RegimeKeys",
    "Risk",
    "Schedule",
    "SeriesKeys",
    "SignalKeys",
    "Simulation",
    "Slippage",
    "Strategy",
    "ThresholdLabel",
    "TradingHours",
    "Training",
    "TripleBarrierLabel",
    "Universe",
    "UseBlock",
]

MODES = ("backtest", "paper", "live")
_BAR_COLUMNS = ("open", "high", "low", "close", "volume")
_WORDS = frozenset(
    {
        "abs", "and", "between", "crosses_above", "crosses_below", "exp", "log", "max", "min",
        "not", "or", "prev", "sign", "sqrt",
    }
)  # fmt: skip


def _free_name(name: str) -> str:
    """Reject names that expressions could not distinguish from a column or a function."""
    if (
        name in (*_BAR_COLUMNS, *LEVEL_COLUMNS, *POSITION_WORDS)
        or name in _WORDS
        or keyword.iskeyword(name)
    ):
        raise PydanticCustomError(
            "reserved_name",
            "{name} is taken: it is a column, a word of the position or one of the expression "
            "language",
            {"name": name, "expected": "another name", "found": repr(name)},
        )
    return name


Symbol = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/^=\-]{0,63}$")]
Currency = Annotated[str, Field(pattern=r"^[A-Za-z0-9._\-]{1,16}$")]
FeatureName = Annotated[BlockName, AfterValidator(_free_name)]

CandlesBlock = Annotated[UseBlock, BlockOf("data", "candles", CandleKeys)]
SeriesBlock = Annotated[UseBlock, BlockOf("data", "series", SeriesKeys)]
FeatureBlock = Annotated[UseBlock, BlockOf("features", "feature", FeatureKeys)]
ModelBlock = Annotated[UseBlock, BlockOf("models", "model", ModelKeys)]
SignalBlock = Annotated[UseBlock, BlockOf("signals", "signal", SignalKeys)]
SizingBlock = Annotated[UseBlock, BlockOf("risk", "sizing")]
LimitBlock = Annotated[UseBlock, BlockOf("risk", "limit", None, True)]
StopBlock = Annotated[UseBlock, BlockOf("risk", "stop", None, True)]
HaltBlock = Annotated[UseBlock, BlockOf("risk", "halt", HaltKeys, True)]
VenueBlock = Annotated[UseBlock, BlockOf("execution", "venue")]
OrderBlock = Annotated[UseBlock, BlockOf("execution", "order")]


class Account(Config):
    """Capital and type of the account. `currency` defaults to the universe's quote currency."""

    capital: float = Field(default=10_000.0, gt=0.0, le=1e15)
    """Initial capital in `currency`."""
    currency: Currency = "USDT"
    """The currency of capital and results; every symbol must be priced in it."""
    type: Literal["spot", "perpetual"] = "spot"
    """`spot` never holds short positions: a short signal means flat. `perpetual` trades linear
    perpetuals."""


class Universe(Config):
    """Traded symbols and decision times: a decision is taken at the close of every bar.

    The first decision is at `start` or later, the last at `end` or earlier; an `end` written as a
    date includes that day. None means the whole span of the data. `trading_hours` None means all
    hours.
    """

    symbols: Annotated[tuple[Symbol, ...], Field(min_length=1, max_length=5_000)]
    """Traded symbols by the names of the source; the order breaks ties."""
    bar: MarketDuration
    """Length of a bar; a decision is taken at the close of each."""
    start: StartTime | None = None
    """Earliest time of the first decision; the data that features need before it is read as
    well."""
    end: EndTime | None = None
    """Latest time of the last decision; a date includes that day."""
    trading_hours: HoursField = None
    """When a position may be increased: weekly hours with a zone, or a calendar such as XNYS."""
    where: Annotated[None, later(None)] = None
    """Not implemented yet."""
    top: Annotated[None, later(None)] = None
    """Not yet."""
    by: Annotated[None, later(None)] = None
    """Not yet."""
    every: Annotated[None, later(None)] = None
    """Not yet."""
    member: Annotated[None, later(None)] = None
    """Not yet."""
    delisted_after: Annotated[None, later(None)] = None
    """Not yet."""
    delisting_return: Annotated[None, later(None)] = None
    """Not yet."""

    @field_validator("symbols")
    @classmethod
    def _once_each(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({symbol for symbol in symbols if symbols.count(symbol) > 1})
        if twice:
            raise PydanticCustomError(
                "symbol_twice",
                "{symbol} is listed more than once",
                {"symbol": ", ".join(twice), "expected": "each symbol once"},
            )
        return symbols

    @model_validator(mode="after")
    def _start_before_end(self) -> Self:
        if self.start is not None and self.end is not None and self.start >= self.end:
            problem = PydanticCustomError(
                "span_order", "the end is not after the start", {"expected": "start before end"}
            )
            detail = InitErrorDetails(type=problem, loc=("end",), input=self.end)
            raise ValidationError.from_exception_data("universe", [detail])
        return self


class Data(Config):
    """Sources: `candles`, `funding` for perpetuals, and any number of named series."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[FeatureName, SeriesBlock]

    candles: CandlesBlock
    """The source of bars."""
    funding: SeriesBlock | None = None
    """Funding rates of perpetuals; for a constant rate use `perpetual.funding` instead."""

    @property
    def series(self) -> Mapping[str, UseBlock]:
        """Named series without `funding`."""
        return dict(self.__pydantic_extra__ or {})

    @property
    def readable(self) -> Mapping[str, UseBlock]:
        """Series that features may read: the named ones, and `funding`."""
        funding = {} if self.funding is None else {"funding": self.funding}
        return {**self.series, **funding}


class Rebalance(Config):
    """Resizing of a position that differs from its target by more than `band` of the target."""

    band: Annotated[Fraction, Field(gt=0.0)]
    """Resize a position that differs from its target by more than this share of the target."""


def _rebalance(value: Any) -> Any:
    return None if value in (None, "never") else value


_REBALANCE_SCHEMA = LazySchema(
    lambda: {"anyOf": [{"enum": ["never", None]}, Rebalance.model_json_schema()]}
)
LimitMap = Annotated[dict[BlockName, LimitBlock], NamedBlocks()]
StopMap = Annotated[dict[BlockName, StopBlock], NamedBlocks()]
HaltMap = Annotated[dict[BlockName, HaltBlock], NamedBlocks()]
DEFAULT_LIMITS: Mapping[str, Any] = {
    "position": "100%",
    "gross_exposure": "100%",
    "orders_per_minute": 60,
    "price_collar": "5%",
}


def _needs_signal(schema: dict[str, Any]) -> None:
    """Require a signal and a sizing if nothing else decides the positions."""
    schema["required"] = [each for each in schema["required"] if each not in ("signal", "risk")]
    decides = {"properties": {"use": {"enum": list(DECIDES)}}, "required": ["use"]}
    buys: dict[str, Any] = {"anyOf": [{"required": [key]} for key in ("buy_every", "grid")]}
    for key in ("position", "risk"):
        buys = {"properties": {key: buys}, "required": [key]}
    by_weights = {"properties": {"portfolio": decides}, "required": ["portfolio"]}
    schema["if"] = {"anyOf": [by_weights, buys]}
    schema["else"] = {
        "properties": {"risk": {"required": ["sizing"]}}, "required": ["signal", "risk"]
    }  # fmt: skip


def _needs_no_sizing(schema: dict[str, Any]) -> None:
    """Remove the requirement of a sizing: the schema of the whole file decides it."""
    schema.pop("required", None)


class Risk(Config):
    """Sizes, limits, stops and halts.

    `rebalance` None means never; with `volatility_target` the loader makes it a band of 20%. Limits
    that the file does not name have their defaults; none is ever unlimited. `max_positions` bounds
    the number of symbols that are held or being entered; with None only the limits bound it.
    """

    model_config = ConfigDict(json_schema_extra=_needs_no_sizing)

    sizing: SizingBlock
    """Size of an entry."""
    limits: LimitMap = Field(default={}, validate_default=True)
    """Upper bounds of entries by name; those not named have their defaults, none is unlimited."""
    stops: StopMap = {}
    """Levels and times at which a position is closed, by name."""
    halts: HaltMap = {}
    """Losses at which trading stops, by name; live refuses a file without one."""
    rebalance: Annotated[Rebalance | None, BeforeValidator(_rebalance), _REBALANCE_SCHEMA] = None
    """Resize a held position towards its target; `never`, or `band: 20%`."""
    allocate: Literal["confidence", "pro_rata"] = "confidence"
    """Allocation of buying power at a decision time: highest confidence first, or all scaled
    alike."""
    split: Literal["none", "equal"] = "none"
    """`equal` divides the size by the number of symbols."""
    adopt: Literal["refuse", "adopt"] = "refuse"
    """Action of a live start for a position that its journal does not explain."""
    cash_buffer: Annotated[Fraction, Field(lt=1.0)] = 0.0
    """Share of equity that entries keep as cash."""
    position: PositionSteps | None = None
    """Increases and partial exits of a position between its entry and its exit."""
    max_positions: Annotated[int, Field(ge=1, le=5_000)] | None = None
    """Largest number of symbols that are held or being entered."""

    @field_validator("limits", mode="before")
    @classmethod
    def _fill_limits(cls, value: Any) -> Any:
        if value is None:
            return dict(DEFAULT_LIMITS)
        return {**DEFAULT_LIMITS, **value} if isinstance(value, Mapping) else value


class Execution(Config):
    """Venues, order types and simulated costs.

    `on_shutdown` is the action at the shutdown of a paper or live run: `keep` leaves all orders and
    positions, `cancel` cancels entries, `flatten` closes the positions as well.
    """

    simulation: Simulation = Simulation()
    """Costs and fills of a backtest and of paper mode, independent of the venues."""
    venues: dict[BlockName, VenueBlock] = Field(
        default={"sim": {"use": "simulated"}}, min_length=1, validate_default=True
    )
    """Venues that receive orders, by a name of your choice."""
    order: OrderBlock = Field(default={"use": "market"})  # type: ignore[assignment]
    """The order type of entries; exits are market orders."""
    at_start: Literal["reconcile", "refuse_if_different"] = "reconcile"
    """Action of a start if the venue and the journal differ: adjust to the venue, or refuse."""
    instruments: dict[Symbol, InstrumentSpec] = {}
    """Tick, lot and minimum notional by symbol; they replace those stored with the data."""
    on_shutdown: Literal["keep", "cancel", "flatten"] = "keep"
    """At shutdown: `keep` all orders and positions, `cancel` entries, or `flatten`."""
    one_cancels_other: Annotated[Literal[False], later(False)] = False
    """Not yet."""
    router: Annotated[None, later(None)] = None
    """Not yet."""


class Funding(Config):
    """A constant funding rate, used without a funding series: paid every `every` (UTC)."""

    rate: SignedCost
    """Funding rate of one interval as a share of the notional; longs pay a positive one."""
    every: MarketDuration = Field(default="8h")  # type: ignore[assignment]
    """Time between two funding payments, at its UTC multiples."""


class Perpetual(Config):
    """Terms of linear perpetuals; used when `account.type` is perpetual."""

    leverage: float = Field(default=1.0, ge=1.0, le=125.0)
    """Notional over margin of a position."""
    margin: Literal["isolated"] = "isolated"
    """Margin mode: each position has a separate margin, and never loses more than it."""
    maintenance: Annotated[Fraction, Field(lt=1.0)] = Field(default="1%")  # type: ignore[assignment]
    """Maintenance margin as a share of the notional; a position whose margin falls below it is
    liquidated."""
    liquidation_fee: Annotated[Fraction, Field(lt=1.0)] = Field(default="0.5%")  # type: ignore[assignment]
    """Cost of a liquidation as a share of the notional, in addition to the loss."""
    funding: Funding | None = None
    """A constant funding rate, used without a series under `data.funding`."""
    hedge_mode: Annotated[Literal[False], later(False)] = False
    """Not yet."""


class Schedule(Config):
    """Jobs at a time of day, in paper and live."""

    report: Daily | None = None
    """When the report of a paper or live run is written, for example daily 08:00 UTC."""


class Strategy(Config):
    """A whole strategy file.

    With a portfolio that decides, regular buys or a grid, `signal` and sizing are implied.
    """

    model_config = ConfigDict(json_schema_extra=_needs_signal)

    version: Literal[1]
    """Version of this file format."""
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,63}$")]
    """Name of the strategy and of the folder of its runs; letters, digits, point, dash and
    underscore."""
    mode: Literal["backtest", "paper", "live"] = "backtest"
    """Mode of `septet run` unless the option `--mode` is given."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of every random number of a run."""
    plugins: tuple[str, ...] = ()
    """Packages that must be installed, such as `my-features >=1.2`; the file can then use their
    plugins."""
    account: Account = Account()
    """Capital and type of the account."""
    universe: Universe
    """Traded symbols, length of a bar, first and last decision."""
    data: Data
    """Sources of bars, of funding and of other series."""
    features: dict[FeatureName, FeatureBlock] = Field(default={}, max_length=2_000)
    """Columns computed from bars, by a name of your choice; rules and models read them."""
    model: ModelBlock | None = None
    """A classifier whose probability the signal uses; without it the signal is rules."""
    portfolio: Portfolio = Portfolio()
    """Weights of all symbols, decided at one time in place of a signal for each."""
    signal: SignalBlock
    """When to be long, short or flat."""
    risk: Risk
    """Sizes, limits, stops and halts."""
    execution: Execution = Field(default={})  # type: ignore[assignment]
    """Venues, order types and simulated costs."""
    perpetual: Perpetual = Perpetual()
    """Terms of perpetuals; used when `account.type` is perpetual."""
    monitoring: Monitoring = Field(default={})  # type: ignore[assignment]
    """Monitors and alerts of a run."""
    schedule: Schedule = Schedule()
    """Jobs at a time of day, in paper and live."""
    time_zone: TimeZone = "UTC"
    """Time zone of days, hours and anchors, such as America/New_York."""
    day_start: DayTime = Field(default="00:00")  # type: ignore[assignment]
    """Time of day at which a day begins in that zone: for daily halts, statistics and anchors."""
    spreads: Annotated[None, later(None)] = None
    """Not yet."""
    strategies: Annotated[None, later(None)] = None
    """Not yet."""
    netting: Annotated[None, later(None)] = None
    """Not yet."""
    reset: Annotated[None, later(None)] = None
    """Not yet."""
    benchmark: Symbol | None = None
    """Symbol of the universe with which the result is compared; by default all in equal parts."""
    sweep: Sweep | None = None
    """Search space of `septet sweep`; a run ignores it."""
    paper: dict[str, Any] | None = None
    """Keys that differ in paper mode."""
    live: dict[str, Any] | None = None
    """Keys that differ in live mode."""

    @property
    def follows_signal(self) -> bool:
        """Whether a signal of the file decides the positions: no portfolio, buys or grid."""
        position = self.risk.position
        return not self.portfolio.decides and not (position is not None and position.enters)

    @model_validator(mode="before")
    @classmethod
    def _derived(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("strategies") is not None:
            detail = InitErrorDetails(
                type=PydanticCustomError(
                    "not_yet",
                    "not yet: a file is one strategy so far",
                    {"expected": "the keys of one strategy", "hint": "write a file for each"},
                ),
                loc=("strategies",),
                input=data["strategies"],
            )  # keys that such a file omits are not reported as a second error
            raise ValidationError.from_exception_data("strategy", [detail])
        return with_derived(data)
