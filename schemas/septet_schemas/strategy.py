"""The strategy file: one pydantic model, attribute names are the YAML's keys.

Validate with a resolver that finds plugins::

    Strategy.model_validate(data, context={"resolver": resolver})

Durations are integer nanoseconds, fractions plain floats, `start` and `end` nanoseconds since
the epoch. Every `use:` block is a `UseBlock` (see `septet_schemas.blocks`).
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
    """What the strategy starts with. `currency` defaults to the universe's quote currency."""

    capital: float = Field(default=10_000.0, gt=0.0, le=1e15)
    """Money the strategy starts with, in `currency`."""
    currency: Currency = "USDT"
    """The currency of capital and results; every symbol must be priced in it."""
    type: Literal["spot", "perpetual"] = "spot"
    """`spot` never goes short, a short signal means flat; `perpetual` trades linear perpetuals."""


class Universe(Config):
    """What is traded and when decisions are taken: at the close of every bar.

    The first decision is at `start` or later, the last at `end` or earlier; an `end` written as
    a date includes that day. None: as far as the data reaches. `trading_hours` None: at all hours.
    """

    symbols: Annotated[tuple[Symbol, ...], Field(min_length=1, max_length=5_000)]
    """What is traded, as the source names it; the order breaks ties."""
    bar: MarketDuration
    """Length of a bar; a decision is taken at the close of each."""
    start: StartTime | None = None
    """The first decision is at this time or later; what features need before it is read as well."""
    end: EndTime | None = None
    """The last decision is at this time or earlier; a date includes that day."""
    trading_hours: HoursField = None
    """When a position may be increased: weekly hours with a zone, or a calendar such as XNYS."""
    where: Annotated[None, later(None)] = None
    """Not yet."""
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
    """Funding rates of perpetuals; a constant stands under `perpetual.funding` instead."""

    @property
    def series(self) -> Mapping[str, UseBlock]:
        """The named series, without `funding`."""
        return dict(self.__pydantic_extra__ or {})

    @property
    def readable(self) -> Mapping[str, UseBlock]:
        """The series that features may read: the named ones, and `funding`."""
        funding = {} if self.funding is None else {"funding": self.funding}
        return {**self.series, **funding}


class Rebalance(Config):
    """Resize a held position when it is off its target by more than `band` of the target."""

    band: Annotated[Fraction, Field(gt=0.0)]
    """Resize when the position is off its target by more than this share of the target."""


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
    """Require a signal and a sizing where nothing else decides what is held."""
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
    """Leave it to the whole file whether a sizing is required."""
    schema.pop("required", None)


class Risk(Config):
    """How much, and when to stop.

    `rebalance` None is never; with `volatility_target` the loader makes it a band of 20%. Limits
    that the file does not name stand at their defaults; none is ever unlimited. `max_positions`
    bounds how many symbols are held or being entered; None bounds them by the limits alone.
    """

    model_config = ConfigDict(json_schema_extra=_needs_no_sizing)

    sizing: SizingBlock
    """How large an entry is."""
    limits: LimitMap = Field(default={}, validate_default=True)
    """Upper bounds of entries by name; those not named stand at their defaults, none is
    unlimited."""
    stops: StopMap = {}
    """Levels and times at which a position is closed, by name."""
    halts: HaltMap = {}
    """Losses at which trading stops, by name; live refuses a file without one."""
    rebalance: Annotated[Rebalance | None, BeforeValidator(_rebalance), _REBALANCE_SCHEMA] = None
    """Resize a held position towards its target; `never`, or `band: 20%`."""
    allocate: Literal["confidence", "pro_rata"] = "confidence"
    """Who gets the buying power of a decision time: highest confidence first, or all scaled
    alike."""
    split: Literal["none", "equal"] = "none"
    """`equal` divides the size by the number of symbols."""
    adopt: Literal["refuse", "adopt"] = "refuse"
    """What a live start does about a position that its journal does not explain."""
    cash_buffer: Annotated[Fraction, Field(lt=1.0)] = 0.0
    """Share of equity that entries leave as cash."""
    position: PositionSteps | None = None
    """How a position grows and shrinks in steps between its entry and its exit."""
    max_positions: Annotated[int, Field(ge=1, le=5_000)] | None = None
    """How many symbols are held or being entered at most."""

    @field_validator("limits", mode="before")
    @classmethod
    def _fill_limits(cls, value: Any) -> Any:
        if value is None:
            return dict(DEFAULT_LIMITS)
        return {**DEFAULT_LIMITS, **value} if isinstance(value, Mapping) else value


class Execution(Config):
    """Where orders go and how.

    `on_shutdown` is what the shutdown of a paper or live run does to orders and positions: `keep`
    leaves them, `cancel` cancels entries, `flatten` closes what is held as well.
    """

    simulation: Simulation = Simulation()
    """Costs and fills of a backtest and of paper, whatever the venues are."""
    venues: dict[BlockName, VenueBlock] = Field(
        default={"sim": {"use": "simulated"}}, min_length=1, validate_default=True
    )
    """Where orders go, by a name of your choice."""
    order: OrderBlock = Field(default={"use": "market"})  # type: ignore[assignment]
    """The order type of entries; exits are market orders."""
    at_start: Literal["reconcile", "refuse_if_different"] = "reconcile"
    """What a start does where the venue and the journal differ: adjust to the venue, or refuse."""
    instruments: dict[Symbol, InstrumentSpec] = {}
    """Tick, lot and minimum notional by symbol, in place of those stored with the data."""
    on_shutdown: Literal["keep", "cancel", "flatten"] = "keep"
    """At a shutdown: `keep` all orders and positions, `cancel` entries, or `flatten`."""
    one_cancels_other: Annotated[Literal[False], later(False)] = False
    """Not yet."""
    router: Annotated[None, later(None)] = None
    """Not yet."""


class Funding(Config):
    """A constant funding rate, for who has no funding series: paid every `every` (UTC)."""

    rate: SignedCost
    """Funding rate of one interval as a share of the notional; longs pay a positive one."""
    every: MarketDuration = Field(default="8h")  # type: ignore[assignment]
    """Time between two fundings, at its UTC multiples."""


class Perpetual(Config):
    """Terms of linear perpetuals; used when `account.type` is perpetual."""

    leverage: float = Field(default=1.0, ge=1.0, le=125.0)
    """Notional over margin of a position."""
    margin: Literal["isolated"] = "isolated"
    """Each position has a margin of its own, and never loses more."""
    maintenance: Annotated[Fraction, Field(lt=1.0)] = Field(default="1%")  # type: ignore[assignment]
    """Share of the notional below which the margin must not fall: the position is liquidated."""
    liquidation_fee: Annotated[Fraction, Field(lt=1.0)] = Field(default="0.5%")  # type: ignore[assignment]
    """Share of the notional that a liquidation costs besides the loss."""
    funding: Funding | None = None
    """A constant funding rate, without a series under `data.funding`."""
    hedge_mode: Annotated[Literal[False], later(False)] = False
    """Not yet."""


class Schedule(Config):
    """Jobs at a time of day, in paper and live."""

    report: Daily | None = None
    """When the report of a paper or live run is written: daily 08:00 UTC."""


class Strategy(Config):
    """A whole strategy file.

    With a portfolio that decides, regular buys or a grid, `signal` and sizing follow from them.
    """

    model_config = ConfigDict(json_schema_extra=_needs_signal)

    version: Literal[1]
    """Version of this file format."""
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,63}$")]
    """Names the folder of the runs; letters, digits, point, dash and underscore."""
    mode: Literal["backtest", "paper", "live"] = "backtest"
    """What `septet run` does with the file unless `--mode` says otherwise."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of every random number of a run."""
    plugins: tuple[str, ...] = ()
    """Packages that must be installed, such as `my-features >=1.2`; their names can then be
    used."""
    account: Account = Account()
    """What the strategy starts with."""
    universe: Universe
    """What is traded, in which bars, from when to when."""
    data: Data
    """Sources of bars, of funding and of other series."""
    features: dict[FeatureName, FeatureBlock] = Field(default={}, max_length=2_000)
    """Columns computed from bars, by a name of your choice; rules and models read them."""
    model: ModelBlock | None = None
    """A classifier whose probability the signal acts on; without it rules decide."""
    portfolio: Portfolio = Portfolio()
    """Weighs all symbols at one time, in place of a signal for each."""
    signal: SignalBlock
    """When to be long, short or flat."""
    risk: Risk
    """How much, and when to stop."""
    execution: Execution = Field(default={})  # type: ignore[assignment]
    """How orders reach the market, and what they cost."""
    perpetual: Perpetual = Perpetual()
    """Terms of perpetuals; read when `account.type` is perpetual."""
    monitoring: Monitoring = Field(default={})  # type: ignore[assignment]
    """What is watched while the strategy runs."""
    schedule: Schedule = Schedule()
    """Jobs at a time of day, in paper and live."""
    time_zone: TimeZone = "UTC"
    """The clock of days, hours and anchors, such as America/New_York."""
    day_start: DayTime = Field(default="00:00")  # type: ignore[assignment]
    """When a day begins on that clock: for daily halts, statistics and anchors."""
    spreads: Annotated[None, later(None)] = None
    """Not yet."""
    strategies: Annotated[None, later(None)] = None
    """Not yet."""
    netting: Annotated[None, later(None)] = None
    """Not yet."""
    reset: Annotated[None, later(None)] = None
    """Not yet."""
    benchmark: Symbol | None = None
    """Symbol of the universe that the result is compared with; else all in equal parts."""
    sweep: Sweep | None = None
    """Settings to try with `septet sweep`; a run ignores it."""
    paper: dict[str, Any] | None = None
    """Keys that differ in paper mode."""
    live: dict[str, Any] | None = None
    """Keys that differ in live mode."""

    @property
    def follows_signal(self) -> bool:
        """Whether a signal of the file decides what is held: no portfolio, buys or grid."""
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
            )  # what such a file leaves out is no second mistake
            raise ValidationError.from_exception_data("strategy", [detail])
        return with_derived(data)
