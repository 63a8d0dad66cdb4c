"""Binds a portfolio for the text of a plan: its columns, parameters and settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np

from septet._expressions import names_in, parse_expression
from septet._kernel import layout
from septet._plan.binding import Binder
from septet._plan.observe import Observing
from septet._plan.parameter_names import LAYOUT
from septet._plan.run_terms import Terms
from septet_schemas.blocks import UseBlock
from septet_schemas.portfolio import InverseVolatility, Portfolio

__all__ = [
    "EDGE", "PORTFOLIO_REASONS", "PortfolioPart", "columns_of", "group_table", "portfolio_columns",
    "texts_of",
]  # fmt: skip

EDGE: Final = "edge"
"""Name of the model's probability up minus down, where a portfolio may name a column."""
PORTFOLIO_REASONS: Final = {
    "R_INCREASE": "rebalance", "R_QUORUM": "quorum", "R_DRIFT": "drift",
    "R_NOT_RANKED": "not_ranked", "R_BELOW_RANK": "below_rank", "R_WRONG_SIGN": "wrong_sign",
    "R_KEEPS_WEIGHT": "keeps_weight", "R_KEEPS_UNITS": "keeps_units",
    "R_NET_TARGET": "net_target",
}  # fmt: skip
"""Reasons that only a portfolio has, by the names that the rules use.

Increases and reductions of a rebalance are both named `rebalance`; their numbers differ.
"""


class PortfolioPart:
    """The portfolio in the trading part of a plan; empty where no portfolio decides.

    `reasons` are numbered once it is bound; `model_row` is that of the probability up in F.
    """

    def __init__(self, terms: Terms, binder: Binder) -> None:
        self.terms, self.binder = terms, binder
        self.reasons: dict[str, int] = {}
        self.model_row: int | None = None
        self._groups = ""
        self._table = None
        if terms.portfolio is not None:
            self._table = group_table(terms.limits, terms.symbols)

    @property
    def first_column(self) -> int:
        """Column of B after those of every plan and its own."""
        return layout.B_SLOTS + (0 if self.terms.portfolio is None else layout.B_PORTFOLIO)

    @property
    def look_back(self) -> int:
        """How many bars before the newest it reads."""
        forecast = getattr(self.terms.portfolio, "forecast", None)
        return 0 if forecast is None else int(forecast.window)

    @property
    def scale_slots(self) -> int:
        """Slots of A that forecasts take: two each."""
        forecast = getattr(self.terms.portfolio, "forecast", None)
        return 0 if forecast is None else 2 * len(forecast.of)

    @property
    def log_rows(self) -> int:
        """Rows of the log that a symbol may need besides those of every plan, at one time."""
        return 0 if self.terms.portfolio is None else 6

    def decision_rows(self, *, tables: bool) -> int:
        """Return how many rows of F a decision has: with a turnover, levels, a weight, or none."""
        if not tables:
            return 0
        if self.terms.caps_turnover:
            return layout.F_TURNOVER + 1
        if self.terms.levels:
            return layout.F_LEVELS
        return layout.F_DECISION + (0 if self.terms.portfolio is None else 1)

    @property
    def limits(self) -> Mapping[str, UseBlock]:
        """The limits that apply: `orders_per_minute` does not, a rebalance is one decision."""
        if self.terms.portfolio is None:
            return self.terms.limits
        all_limits = self.terms.limits.items()
        return {name: each for name, each in all_limits if each.use != "orders_per_minute"}

    def arrays(self, tables: int) -> dict[str, tuple[str, int]]:
        """Return the arrays that it adds after so many constant ones, those of buys included."""
        if self.terms.due_every is None:
            return {}
        added = {"DUE": LAYOUT["DUE"]}
        if self._table is None:
            return added
        self._groups = f"L{tables}"
        return {self._groups: ("float64", 2), **added}

    def bind(
        self, observing: Observing, condition: Any, reason: Callable[[str], int]
    ) -> dict[str, Any] | None:
        """Bind what it reads, and number its reasons."""
        if self.terms.portfolio is None:
            return None
        self.reasons = {constant: reason(name) for constant, name in PORTFOLIO_REASONS.items()}
        if self._table is not None:
            self.binder.tables.append(self._table)

        def edge_rows(name: str) -> list[str]:
            if name != EDGE or self.model_row is None:
                return []
            return [self.binder.row(self.model_row + n) for n in (0, 1)]

        def column(name: str) -> str:
            if not (rows := edge_rows(name)):
                return observing.scalar(observing.graph.column(name))
            return f"(2.0 * F[k, {rows[0]}, i] - 1.0 if F[k, {rows[1]}, i] == 0.0 else nan)"

        def place_of(name: str) -> str:
            if rows := edge_rows(name):
                return f"(F, {rows[0]}, {rows[1]})"
            found = observing.graph.column(name)
            if found.kind == "node":
                return f"(F, {self.binder.row(observing.f_row(found))}, -1)"
            return f"(X, {observing.rows.x_row(found)}, -1)"

        return texts_of(self.terms, self.binder, column, place_of, condition, self._groups)


def portfolio_columns(terms: Terms) -> list[str]:
    """Return the names of the columns that a portfolio reads; none where no portfolio decides."""
    columns = [] if terms.portfolio is None else columns_of(terms.portfolio)
    return [each for each in columns if each != EDGE or not terms.has_model]


def columns_of(portfolio: Portfolio) -> Iterator[str]:
    """Yield the names of the columns that a portfolio reads, `exit_if` left out."""
    yield from (each for each in (portfolio.by, portfolio.weights) if each is not None)
    if isinstance(portfolio.weight, InverseVolatility):
        yield portfolio.weight.inverse_volatility
    if portfolio.net is not None and portfolio.net.beta is not None:
        yield portfolio.net.beta
    if portfolio.where is not None:
        for text in (portfolio.where.long, portfolio.where.short):
            yield from map(str, names_in(parse_expression(text)) if text is not None else ())
    if portfolio.forecast is not None:
        yield from portfolio.forecast.of
        yield portfolio.forecast.volatility


def group_table(limits: Mapping[str, UseBlock], symbols: tuple[str, ...]) -> Any:
    """Return one row a group of the limits: its `max`, then 1 or 0 for each symbol; or None."""
    rows = [
        [group.max, *(1.0 if symbol in group.symbols else 0.0 for symbol in symbols)]
        for block in limits.values()
        if block.use == "groups" and block.distribution == "septet"
        for group in getattr(block.config, "groups", {}).values()
    ]
    return np.array(rows, dtype=np.float64).reshape(len(rows), 1 + len(symbols)) if rows else None


def _limit(terms: Terms, use: str) -> float | None:
    """Return the share of one of septet's limits, if the file has it."""
    for block in terms.limits.values():
        if block.use == use and block.distribution == "septet":
            return float(getattr(block.config, "max"))  # noqa: B009
    return None


def texts_of(
    terms: Terms, binder: Binder, column: Any, place: Any, condition: Any, groups: str
) -> dict[str, Any]:
    """Bind what a portfolio reads: values, numbers and conditions as texts.

    `column` and `condition` write the value of a column and of an expression at bar `i` of `k`,
    `place` where a column is; `groups` names the array of the groups' table.
    """
    portfolio: Portfolio = terms.portfolio
    number, rebalance, net = binder.number, portfolio.rebalance, portfolio.net
    assert rebalance is not None

    def optional(key: str, value: float | None) -> str | None:
        return None if value is None else number(f"portfolio.{key}", value)

    def where(side: str) -> str | None:
        text = None if portfolio.where is None else getattr(portfolio.where, side)
        return "1.0" if text is None else condition(text, f"portfolio.where.{side}")

    weight: Any = portfolio.weight
    volatility = None
    if isinstance(weight, InverseVolatility):
        weight, volatility = "inverse_volatility", column(weight.inverse_volatility)
    table = group_table(terms.limits, terms.symbols)
    count = 0 if table is None else len(table)
    return {
        "use": portfolio.use,
        "shorts": portfolio.short > 0,
        "weight_by": weight,
        "long": number("portfolio.long", portfolio.long),
        "short": number("portfolio.short", portfolio.short),
        "hold_rank": number("portfolio.hold_rank", portfolio.hold_rank or 0),
        "gross": number("portfolio.gross", portfolio.gross),
        "net": optional("net.target", None if net is None else net.target),
        "max_weight": optional("max_weight", portfolio.max_weight),
        "position": optional("limits.position", _limit(terms, "position")),
        "gross_limit": optional("limits.gross_exposure", _limit(terms, "gross_exposure")),
        "drift": number("portfolio.rebalance.drift", rebalance.drift),
        "to_edge": rebalance.to == "edge",
        "max_turnover": optional("rebalance.max_turnover", rebalance.max_turnover),
        "quorum": number("portfolio.rebalance.quorum", rebalance.quorum),
        "members_row": terms.members_row,
        "by": None if portfolio.by is None else column(portfolio.by),
        "where_long": where("long"),
        "where_short": where("short"),
        "volatility": volatility,
        "beta": None if net is None or net.beta is None else column(net.beta),
        "given": None if portfolio.weights is None else column(portfolio.weights),
        "groups": [
            {"holds": f"{groups}[{row}, k + 1] == 1.0", "most": f"{groups}[{row}, 0]"}
            for row in range(count)
        ],
        **_forecasts(portfolio, binder, column, place),
        "leaves": portfolio.exit_if is not None,
    }  # fmt: skip


def _forecasts(portfolio: Portfolio, binder: Binder, column: Any, place: Any) -> dict[str, Any]:
    """Bind the forecasts with their shares, and what they are sized by."""
    forecast = portfolio.forecast
    if forecast is None:
        return {"forecasts": [], "window": None, "cap": None, "target": None}
    return {
        "forecasts": [
            {
                "number": str(number), "column": place(name),
                "share": binder.number(f"portfolio.forecast.of.{name}", share),
            }
            for number, (name, share) in enumerate(forecast.of.items())
        ],
        "volatility": column(forecast.volatility),
        "window": binder.number("portfolio.forecast.window", forecast.window),
        "cap": binder.number("portfolio.forecast.cap", forecast.cap),
        "target": binder.number("portfolio.forecast.target", forecast.target),
    }  # fmt: skip
