"""The `portfolio:` block: decides all symbols at one time, by rank, given weights or forecasts."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from septet_schemas.base import Config, Expression, Input, LazySchema
from septet_schemas.every import Every
from septet_schemas.keys import Reentry, read_reentry
from septet_schemas.later import later
from septet_schemas.units import Bars, Fraction, SignedFraction

__all__ = [
    "DECIDES", "Forecast", "InverseVolatility", "Net", "Portfolio", "PortfolioRebalance", "Where",
    "with_derived",
]  # fmt: skip

DECIDES: Final = ("top", "weights", "forecast")
"""Values of `use` with which the portfolio decides the positions, without a signal."""
LATER: Final = "optimise"
"""A value of `use` that is not implemented yet."""
_MADE_UP: Final = {"use": "?"}
"""The block that a check inserts if one is missing."""
_OF_TOP: Final = ("by", "long", "short", "hold_rank", "where", "weight")
_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "each": (),
    "top": (*_OF_TOP, "gross"),
    "weights": ("weights", "gross"),
    "forecast": ("forecast",),
}
_SHARED: Final = ("net", "max_weight", "exit_if", "reentry", "rebalance")
_NEEDED: Final[Mapping[str, tuple[str, str]]] = {
    "top": ("by", "a feature by which symbols are ranked, such as by: momentum"),
    "weights": ("weights", "a feature that gives each symbol's weight, such as weights: target"),
    "forecast": ("forecast", "forecast: {of: {trend: 100%}, volatility: vol_60, target: 20%}"),
}

_ENTERS: Final[Mapping[str, tuple[str, str, str]]] = {
    "buy_every": (
        "regular buys enter by the clock alone: a signal enters nothing while something is held",
        "buy_every buys for its own amount",
        "no such block (stops and takes close what is bought), or no risk.position.buy_every "
        "(risk.position.add with when: adds to what a signal holds)",
    ),
    "grid": (
        "a grid enters by its levels, and no signal beside it",
        "each level of a grid buys its own size",
        "no such block, or no risk.position.grid",
    ),
}
"""Keys of `risk.position` that enter in place of a signal: why no signal and no sizing are allowed,
and a hint."""


class Where(Config):
    """Filter of the ranked symbols: one condition for each side; unknown and false both exclude."""

    long: Expression | None = None
    """Condition of a long position."""
    short: Expression | None = None
    """Condition of a short position."""


class InverseVolatility(Config):
    """Weights in proportion to the inverse of a volatility."""

    inverse_volatility: Input
    """The volatility feature."""


class Net(Config):
    """Sum of the signed weights; with `beta`, the sum of weights times that feature."""

    target: SignedFraction
    """Target of the sum of the signed weights."""
    beta: Input | None = None
    """Feature by which each weight is multiplied in that sum."""


class PortfolioRebalance(Config):
    """When target weights are recomputed, and which differences from them are traded.

    Differences below `drift` (a share of equity) are not traded; `to: edge` trades up to it.
    `max_turnover` bounds the sum of |changes|; if less than the share `quorum` of the members has a
    bar, the rebalance waits.
    """

    every: Every
    """When target weights are recomputed: bars, an interval such as 1w on mon 00:00, or a cron
    expression."""
    drift: Annotated[Fraction, Field(lt=1.0)] = 0.0
    """Differences below this share of equity are not traded."""
    to: Literal["target", "edge"] = "target"
    """Trade to the target, or only to the edge of the drift band."""
    max_turnover: Annotated[Fraction, Field(gt=0.0)] | None = None
    """Upper bound of the sum of |changes| of a rebalance."""
    quorum: Annotated[Fraction, Field(gt=0.0, le=1.0)] = 0.9
    """Share of the members that must have a bar; otherwise the rebalance waits. A symbol without a
    bar for 20 bars of its calendar is not a member."""


class Forecast(Config):
    """Forecast features with their shares, which are scaled, combined and sized by volatility.

    `target` and the feature `volatility` are annual; scale and correlations are estimated on
    `window` bars; `cap` bounds a scaled forecast, whose mean is 1.
    """

    of: Annotated[dict[str, Annotated[Fraction, Field(gt=0.0)]], Field(min_length=1)]
    """Forecast features (positive means up) with their shares; the shares sum to 100 %."""
    volatility: Input
    """Feature that is the annual volatility of a symbol."""
    target: Annotated[Fraction, Field(gt=0.0)]
    """Target annual volatility of the whole portfolio."""
    window: Annotated[Bars, Field(ge=2)] = 500
    """Number of bars on which scales and correlations are estimated."""
    cap: Annotated[float, Field(gt=0.0, le=100.0)] = 2.0
    """Bound of a scaled forecast, whose mean absolute value is 1."""

    @model_validator(mode="after")
    def _shares(self) -> Self:
        total = sum(self.of.values())
        if abs(total - 1.0) > 1e-9:
            raise _located(
                "of", self.of, "the shares of the forecasts do not sum to 100%", "shares of 100%",
                f"{100.0 * total:g}%",
            )  # fmt: skip
        return self


def _located(key: str, value: Any, message: str, expected: str, found: str = "") -> ValidationError:
    """Return an error at one key of the block."""
    context = {"expected": expected, **({"found": found} if found else {})}
    detail = InitErrorDetails(
        type=PydanticCustomError("portfolio", message, context), loc=(key,), input=value
    )
    return ValidationError.from_exception_data("portfolio", [detail])


def _use(value: object) -> object:
    if value == LATER:
        raise PydanticCustomError(
            "not_yet",
            "not yet: this key is reserved for a later version",
            {"expected": "each, top, weights or forecast", "found": "'optimise'"},
        )
    return value


def _where(value: object) -> object:
    """Read a single condition as the condition of both sides."""
    if value is None or isinstance(value, Mapping | Where):
        return value
    return {"long": value, "short": value}


def _weight(value: object) -> object:
    if isinstance(value, Mapping):
        return InverseVolatility.model_validate(dict(value))
    if value in ("equal", "score", "rank") or isinstance(value, InverseVolatility):
        return value
    raise PydanticCustomError(
        "weight", "expected {expected}, found {found}",
        {"expected": "equal, score, rank or {inverse_volatility: FEATURE}", "found": repr(value)},
    )  # fmt: skip


def _net(value: object) -> object:
    if value is None or value == "any":
        return None
    if isinstance(value, Mapping | Net):
        return value
    raise PydanticCustomError(
        "net", "expected {expected}, found {found}",
        {"expected": "any or {target: 0%, beta: FEATURE}", "found": repr(value)},
    )  # fmt: skip


def _reentry(value: object) -> object:
    reentry = read_reentry(value)
    policy = reentry.policy if isinstance(reentry, Reentry) else reentry["policy"]
    if policy == "rearm":
        raise PydanticCustomError(
            "reentry", "a portfolio has no signal whose change would end the wait",
            {"expected": "immediate or {after: 5 bars}", "found": "'rearm'"},
        )  # fmt: skip
    return reentry


Weight = Annotated[
    Literal["equal", "score", "rank"] | InverseVolatility,
    BeforeValidator(_weight),
    LazySchema(
        lambda: {
            "anyOf": [{"enum": ["equal", "score", "rank"]}, InverseVolatility.model_json_schema()]
        }
    ),
]
NetTarget = Annotated[
    Net | None,
    BeforeValidator(_net),
    PlainSerializer(lambda v: "any" if v is None else v.model_dump(mode="json"), when_used="json"),
    LazySchema(lambda: {"anyOf": [{"enum": ["any", None]}, Net.model_json_schema()]}),
]
Conditions = Annotated[
    Where | None,
    BeforeValidator(_where),
    LazySchema(lambda: {"anyOf": [{"type": ["string", "null"]}, Where.model_json_schema()]}),
]


class Portfolio(Config):
    """Method that decides the positions: `each` symbol by its signal, or rank, weights, forecasts.

    With `top`, `weights` or `forecast` the file has no `signal` and no `risk.sizing`. Weights are
    computed at rebalances only; price alone never changes a position.
    """

    use: Annotated[Literal["each", "top", "weights", "forecast"], BeforeValidator(_use)] = "each"
    """`each` symbol by its own signal, or all by rank (`top`), by `weights`, or by `forecast`."""
    by: Input | None = None
    """Feature by which symbols are ranked; high is good."""
    long: Annotated[int, Field(ge=0, le=5_000)] = 0
    """Number of symbols that are held long."""
    short: Annotated[int, Field(ge=0, le=5_000)] = 0
    """Number of symbols that are held short, on a perpetual account."""
    hold_rank: Annotated[int, Field(ge=1, le=5_000)] | None = None
    """A held symbol is kept while its rank is this or better."""
    where: Conditions = None
    """Condition for a symbol to be ranked, or one condition for each side."""
    weight: Weight = "equal"
    """How a side's budget is divided: equal, score, rank, {inverse_volatility: FEATURE}."""
    weights: Input | None = None
    """Feature that is the weight of each symbol; NaN keeps the units, 0 closes the position."""
    forecast: Forecast | None = None
    """Forecasts that are combined and sized by volatility."""
    optimise: Annotated[None, later(None)] = None
    """Not implemented yet."""
    gross: Annotated[Fraction, Field(gt=0.0)] = 1.0
    """Sum of |weights| if every slot is filled."""
    net: NetTarget = None
    """Sum of the signed weights: any, or {target: 0%, beta: FEATURE}."""
    max_weight: Annotated[Fraction, Field(gt=0.0)] | None = None
    """Upper bound of one weight."""
    exit_if: Expression | None = None
    """Condition that closes a symbol's position at any close."""
    reentry: Annotated[Reentry, BeforeValidator(_reentry)] = Reentry(policy="immediate")
    """When a symbol may be re-entered after a stop: immediate, {after: 5 bars}."""
    rebalance: PortfolioRebalance | None = None
    """When target weights are recomputed."""

    @field_validator("long", "short", mode="before")
    @classmethod
    def _whole(cls, value: object) -> object:
        if isinstance(value, str) and value.strip().isdigit():
            return int(value)
        return value

    @property
    def decides(self) -> bool:
        """Whether the portfolio decides the positions."""
        return self.use in DECIDES

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Reject keys of another `use`, and require the keys of this one."""
        allowed = {"use", *_KEYS[self.use], *(_SHARED if self.decides else ())}
        for key in sorted(self.model_fields_set - allowed):
            if getattr(self, key) == type(self).model_fields[key].default:
                continue  # given with its default value, as in the effective file
            owners = [use for use in DECIDES if key in (*_KEYS[use], *_SHARED)]
            raise _located(
                key, getattr(self, key), f"use: {self.use} does not read {key}",
                f"use: {' or '.join(owners)}, or a block without it",
            )  # fmt: skip
        if not self.decides:
            return self
        key, expected = _NEEDED[self.use]
        if getattr(self, key) is None:
            raise _located(key, None, f"{key} is missing", expected)
        if self.rebalance is None:
            raise _located("rebalance", None, "rebalance is missing", "rebalance: {every: 1w}")
        if self.use == "top":
            self._slots()
        return self

    def _slots(self) -> None:
        """Check the number of slots of `top`."""
        if not self.long + self.short:
            raise _located("long", self.long, "nothing is ever held", "long: 3, or short: 3")
        if self.net is not None and not (self.long and self.short):
            raise _located(
                "net", "net", "a net target needs both sides", "long and short, or net: any",
                f"long: {self.long}, short: {self.short}",
            )  # fmt: skip
        if self.net is not None and abs(self.net.target) >= self.gross:
            raise _located(
                "net", self.net.target, "this leaves nothing for one of the sides",
                f"a target between -{100 * self.gross:g}% and {100 * self.gross:g}%",
                f"{100 * self.net.target:g}%",
            )  # fmt: skip
        where = self.where
        if where is not None and where.long is None and where.short is not None and not self.short:
            raise _located("where", "short", "there is no short side", "where: {long: ...}")


def with_derived(data: Any) -> Any:
    """Return a strategy's keys with the signal and the sizing that its other keys imply.

    For a portfolio that decides, the signal is rules that only exit, by `exit_if`; for regular buys
    and a grid, rules that never act. The sizing is never called. Other files are returned
    unchanged.

    Raises
    ------
    ValidationError
        If the file has a signal or a sizing as well.
    """
    derived = _derived(data) if isinstance(data, Mapping) else None
    if derived is None:
        return data
    signal, no_signal, no_sizing, way_out = derived
    risk = data.get("risk", {})
    errors: list[tuple[tuple[str, ...], Any, str]] = []
    if not _is_derived(data.get("signal"), signal):
        errors.append((("signal",), data["signal"], no_signal))
    sizing = risk.get("sizing") if isinstance(risk, Mapping) else None
    if sizing is not None and not _is_sizing(sizing):
        errors.append((("risk", "sizing"), sizing, no_sizing))
    if errors:
        details = [
            InitErrorDetails(
                type=PydanticCustomError("derived", message, {"expected": way_out}),
                loc=loc,
                input=given,
            )
            for loc, given, message in errors
        ]
        raise ValidationError.from_exception_data("strategy", details)
    if isinstance(risk, Mapping):
        risk = {**risk, "sizing": {"use": "fixed_fraction", "fraction": "100%"}}
    return {**data, "signal": signal, "risk": risk}


def _derived(data: Mapping[str, Any]) -> tuple[dict[str, Any], str, str, str] | None:
    """Return the implied signal, why no other is allowed, why no sizing is, and a hint."""
    portfolio, risk = data.get("portfolio"), data.get("risk")
    position = risk.get("position") if isinstance(risk, Mapping) else None
    use = portfolio.get("use") if isinstance(portfolio, Mapping) else None
    if isinstance(portfolio, Mapping) and use in (*DECIDES, LATER):
        signal = {"use": "rules", "exit_if": portfolio.get("exit_if")}
        reentry = portfolio.get("reentry")
        signal["reentry"] = "immediate" if reentry is None else reentry
        return (
            signal, f"a portfolio with use: {use} decides itself",
            "sizes follow from the weights of the portfolio",
            "no such block, or portfolio: {use: each}",
        )  # fmt: skip
    for key, (what, own, way_out) in _ENTERS.items():
        if isinstance(position, Mapping) and position.get(key) is not None:
            return (
                {"use": "rules", "exit_if": None, "reentry": "immediate"},
                what, own, way_out,
            )  # fmt: skip
    return None


def _is_derived(written: Any, derived: Mapping[str, Any]) -> bool:
    """Whether a signal is absent, or is the implied one as shown in the effective file."""
    if written is None or written == _MADE_UP:
        return True
    if not isinstance(written, Mapping) or written.get("use") != "rules":
        return False
    entries = (written.get("long_if"), written.get("short_if"))
    return entries == (None, None) and written.get("exit_if") == derived["exit_if"]


def _is_sizing(written: Any) -> bool:
    """Whether a sizing is the implied one."""
    if written == _MADE_UP:
        return True
    return isinstance(written, Mapping) and dict(written) in (
        {"use": "fixed_fraction", "fraction": "100%"}, {"use": "fixed_fraction", "fraction": 1.0}
    )  # fmt: skip
