"""The strategy file: one pydantic model, attribute names are the YAML's keys.

Validate with a resolver that finds plugins::

    Strategy.model_validate(data, context={"resolver": resolver})

Durations are integer nanoseconds, fractions plain floats, `start` and `end` nanoseconds since
the epoch. Every `use:` block is a `UseBlock` (see `septet_schemas.blocks`).
"""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from septet_schemas.base import Config
from septet_schemas.blocks import BlockOf, NamedBlocks, UseBlock
from septet_schemas.data import Policies
from septet_schemas.hosts import is_loopback
from septet_schemas.hours import Blackout, HoursField, OpenHours, TradingHours
from septet_schemas.keys import (
    AlertKeys,
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
    Cost,
    Fraction,
    MarketDuration,
    Probability,
    SignedCost,
    WallDuration,
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
    "FillMonitoring",
    "Funding",
    "HaltKeys",
    "InstrumentSpec",
    "Label",
    "MODES",
    "Metrics",
    "ModelKeys",
    "ModelMonitoring",
    "Monitoring",
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
_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"


def _later(default: object) -> Any:
    """Return a validator that refuses anything but the default: the key is not served yet."""

    def check(value: object) -> object:
        if value == default:
            return value
        shown = "nothing" if default is None else str(default)
        raise PydanticCustomError(
            "not_yet",
            "not yet: this key stands in the schema and is not served so far",
            {"expected": f"{shown}, its default", "found": repr(value)},
        )

    return BeforeValidator(check)


def _free_name(name: str) -> str:
    """Refuse names that expressions could not tell from a column or a function."""
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
FeatureName = Annotated[str, Field(pattern=_NAME), AfterValidator(_free_name)]
BlockName = Annotated[str, Field(pattern=_NAME)]

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
MonitorBlock = Annotated[UseBlock, BlockOf("monitoring", "monitor")]
AlertsBlock = Annotated[UseBlock, BlockOf("monitoring", "alerts", AlertKeys)]
_METRICS = frozenset({"auc", "brier", "hit_rate", "calibration", "psi", "slippage"})


def _free_metric(name: str) -> str:
    """Refuse names under which septet writes readings of its own."""
    if name in _METRICS:
        raise PydanticCustomError(
            "reserved_metric",
            "{name} is taken: septet writes readings of its own under it",
            {"name": name, "expected": "another name", "found": repr(name)},
        )
    return name


MonitorName = Annotated[BlockName, AfterValidator(_free_metric)]


class Account(Config):
    """What the strategy starts with. `currency` defaults to the universe's quote currency."""

    capital: float = Field(default=10_000.0, gt=0.0, le=1e15)
    currency: Currency = "USDT"
    type: Literal["spot", "perpetual"] = "spot"


class Universe(Config):
    """What is traded and when decisions are taken: at the close of every bar.

    The first decision is at `start` or later, the last at `end` or earlier; an `end` written as
    a date includes that day. None: as far as the data reaches. `trading_hours` None: at all hours.
    """

    symbols: Annotated[tuple[Symbol, ...], Field(min_length=1, max_length=5_000)]
    bar: MarketDuration
    start: StartTime | None = None
    end: EndTime | None = None
    trading_hours: HoursField = None
    where: Annotated[None, _later(None)] = None
    top: Annotated[None, _later(None)] = None
    by: Annotated[None, _later(None)] = None
    every: Annotated[None, _later(None)] = None
    member: Annotated[None, _later(None)] = None
    delisted_after: Annotated[None, _later(None)] = None
    delisting_return: Annotated[None, _later(None)] = None

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
    funding: SeriesBlock | None = None

    @property
    def series(self) -> Mapping[str, UseBlock]:
        """The named series, without `funding`."""
        return dict(self.__pydantic_extra__ or {})


class Rebalance(Config):
    """Resize a held position when it is off its target by more than `band` of the target."""

    band: Annotated[Fraction, Field(gt=0.0)]


def _rebalance(value: Any) -> Any:
    return None if value in (None, "never") else value


_REBALANCE_SCHEMA = WithJsonSchema(
    {"anyOf": [{"enum": ["never", None]}, Rebalance.model_json_schema()]}
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
    limits: LimitMap = Field(default={}, validate_default=True)
    stops: StopMap = {}
    halts: HaltMap = {}
    rebalance: Annotated[Rebalance | None, BeforeValidator(_rebalance), _REBALANCE_SCHEMA] = None
    allocate: Literal["confidence", "pro_rata"] = "confidence"
    split: Literal["none", "equal"] = "none"
    adopt: Literal["refuse", "adopt"] = "refuse"
    cash_buffer: Annotated[Fraction, Field(lt=1.0)] = 0.0
    position: PositionSteps | None = None
    max_positions: Annotated[int, Field(ge=1, le=5_000)] | None = None

    @field_validator("limits", mode="before")
    @classmethod
    def _fill_limits(cls, value: Any) -> Any:
        if value is None:
            return dict(DEFAULT_LIMITS)
        return {**DEFAULT_LIMITS, **value} if isinstance(value, Mapping) else value


class Execution(Config):
    """Where orders go and how.

    `on_shutdown` says what the shutdown of a paper or live run does to orders and positions: `keep`
    leaves them, `cancel` cancels entries, `flatten` closes what is held as well.
    """

    simulation: Simulation = Simulation()
    venues: dict[BlockName, VenueBlock] = Field(
        default={"sim": {"use": "simulated"}}, min_length=1, validate_default=True
    )
    order: OrderBlock = Field(default={"use": "market"})  # type: ignore[assignment]
    at_start: Literal["reconcile", "refuse_if_different"] = "reconcile"
    instruments: dict[Symbol, InstrumentSpec] = {}
    on_shutdown: Literal["keep", "cancel", "flatten"] = "keep"
    router: Annotated[None, _later(None)] = None


class Funding(Config):
    """A constant funding rate, for who has no funding series: paid every `every` (UTC)."""

    rate: SignedCost
    every: MarketDuration = Field(default="8h")  # type: ignore[assignment]


class Perpetual(Config):
    """Terms of linear perpetuals; used when `account.type` is perpetual."""

    leverage: float = Field(default=1.0, ge=1.0, le=125.0)
    margin: Literal["isolated"] = "isolated"
    maintenance: Annotated[Fraction, Field(lt=1.0)] = Field(default="1%")  # type: ignore[assignment]
    liquidation_fee: Annotated[Fraction, Field(lt=1.0)] = Field(default="0.5%")  # type: ignore[assignment]
    funding: Funding | None = None


class ModelMonitoring(Config):
    """Whether the model still works; windows count predictions."""

    auc_window: int = Field(default=500, ge=30, le=1_000_000)
    auc_floor: Probability = 0.50
    auc_warn: Probability = 0.53
    psi_window: int = Field(default=1_000, ge=100, le=1_000_000)
    psi_warn: float = Field(default=0.10, gt=0.0)
    psi_retrain: float = Field(default=0.25, gt=0.0)


class FillMonitoring(Config):
    """Whether fills still cost what was assumed."""

    slippage_alarm: Cost = Field(default="20bps")  # type: ignore[assignment]
    latency_alarm: WallDuration = Field(default="2s")  # type: ignore[assignment]


_ADDRESS = r"^[A-Za-z0-9.\-\[\]:]+:\d{1,5}$"


def _no_port_alone(value: object) -> object:
    """Refuse a port without a host, with the address that it is meant to be."""
    if isinstance(value, int | str) and not isinstance(value, bool) and str(value).isdigit():
        raise PydanticCustomError(
            "not_loopback",
            "this is a port without an address",
            {"expected": f"127.0.0.1:{value}", "found": repr(value)},
        )
    return value


def _loopback(address: str) -> str:
    """Refuse an address that other machines reach, and a port that is none."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not is_loopback(host) or not 0 < int(port) < 65_536:
        raise PydanticCustomError(
            "not_loopback",
            "metrics are served on this machine alone",
            {"expected": "127.0.0.1:PORT, [::1]:PORT or localhost:PORT", "found": repr(address)},
        )
    return address


class Metrics(Config):
    """Where paper and live serve metrics and health: `prometheus: 127.0.0.1:9108`.

    On this machine alone: neither page asks who reads it.
    """

    prometheus: (
        Annotated[
            str,
            Field(pattern=_ADDRESS),
            AfterValidator(_loopback),
            BeforeValidator(_no_port_alone),
        ]
        | None
    ) = None


class Monitoring(Config):
    """Watching the run; further entries are monitor plugins under names of their own.

    The metrics of an entry begin with its name.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[MonitorName, MonitorBlock]

    model: ModelMonitoring = ModelMonitoring()
    fills: FillMonitoring = FillMonitoring()
    alerts: AlertsBlock | None = None
    metrics: Metrics = Metrics()

    @property
    def monitors(self) -> Mapping[str, UseBlock]:
        """The further monitors by name."""
        return dict(self.__pydantic_extra__ or {})


class Schedule(Config):
    """Jobs at a time of day, in paper and live."""

    report: Daily | None = None


class Strategy(Config):
    """A whole strategy file.

    With a portfolio that decides, regular buys or a grid, `signal` and sizing follow from them.
    """

    model_config = ConfigDict(json_schema_extra=_needs_signal)

    version: Literal[1]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,63}$")]
    mode: Literal["backtest", "paper", "live"] = "backtest"
    seed: int = Field(default=0, ge=0, lt=2**63)
    plugins: tuple[str, ...] = ()
    account: Account = Account()
    universe: Universe
    data: Data
    features: dict[FeatureName, FeatureBlock] = Field(default={}, max_length=2_000)
    model: ModelBlock | None = None
    portfolio: Portfolio = Portfolio()
    signal: SignalBlock
    risk: Risk
    execution: Execution = Field(default={})  # type: ignore[assignment]
    perpetual: Perpetual = Perpetual()
    monitoring: Monitoring = Field(default={})  # type: ignore[assignment]
    schedule: Schedule = Schedule()
    time_zone: TimeZone = "UTC"
    day_start: DayTime = Field(default="00:00")  # type: ignore[assignment]
    benchmark: Symbol | None = None
    sweep: Sweep | None = None
    paper: dict[str, Any] | None = None
    live: dict[str, Any] | None = None

    @property
    def follows_signal(self) -> bool:
        """Whether a signal of the file decides what is held: no portfolio, buys or grid."""
        position = self.risk.position
        return not self.portfolio.decides and not (position is not None and position.enters)

    @model_validator(mode="before")
    @classmethod
    def _derived(cls, data: Any) -> Any:
        return with_derived(data)
