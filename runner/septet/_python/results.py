"""Results of a run as values: figures, verdict, the reason of an order, the gap of two runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from septet._python import html

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

__all__ = ["Gap", "Model", "Summary", "Trials", "Verdict", "Why"]


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of a run, as in summary.json: fractions, not percents; None if undefined.

    `more` has the entries that not every run has: the currency, round trips, rejections, halts.
    """

    run_id: str
    strategy: str
    mode: str
    engine: str
    start: str
    end: str
    first_decision: str
    bars: int
    trades: int
    initial_capital: float
    final_equity: float
    total_return: float | None
    cagr: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    max_drawdown: float | None
    win_rate: float | None
    profit_factor: float | None
    fees: float
    funding: float
    liquidation: float
    slippage: float | None
    turnover: float | None
    exposure: float | None
    seconds: float
    seconds_total: float
    bars_per_second: float | None
    verdict: str
    more: Mapping[str, Any]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Summary:
        """Return the figures in the document of a summary."""
        own_fields = {each.name for each in fields(cls)} - {"more"}
        other_fields = {name: value for name, value in document.items() if name not in own_fields}
        return cls(
            **{name: document[name] for name in own_fields}, more=MappingProxyType(other_fields)
        )

    def document(self) -> dict[str, Any]:
        """Return the summary as plain data, with the keys of summary.json."""
        own_fields = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            **{name: value for name, value in own_fields.items() if name != "more"},
            **self.more,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """An assessment of a result in words; `tone` is ``bad``, ``caution`` or ``plain``."""

    text: str
    tone: Literal["bad", "caution", "plain"]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Trials:
    """The number of plans tried on the data of a run, from this user's ledger.

    `count` includes this plan, `effective` is the number of independent tries that they are worth,
    and `deflated_sharpe` is the probability that the true Sharpe ratio of the best of them is above
    zero. If the ledger does not know (`complete` is False) they are None, or lower bounds. `frame`
    has the rows of the ledger if the value came from `septet.trials`, and no rows if it came from a
    summary.
    """

    count: int | None
    effective: float | None
    declared: int
    deflated_sharpe: float | None
    complete: bool
    text: str
    _rows: tuple[tuple[Any, ...], ...] = field(default=(), repr=False)

    @property
    def frame(self) -> pl.DataFrame:
        """Rows of the ledger: `time strategy face client hypothesis plan`, in the order of writing.

        A plan has a row for each client and each hypothesis; `count` counts plans.
        """
        import polars as pl

        names = ("strategy", "face", "client", "hypothesis", "plan")
        schema = {"time": pl.Int64, **dict.fromkeys(names, pl.String)}
        made = pl.DataFrame(list(self._rows), schema=schema, orient="row")
        return made.with_columns(pl.col("time").cast(pl.Datetime("ns", "UTC")))

    def _repr_html_(self) -> str:
        text = html.paragraph(self.text or "Nothing is known of earlier tries.")
        if not self._rows:
            return html.page(text)
        import polars as pl

        last = (
            self.frame.tail(20)
            .reverse()
            .with_columns(pl.col("time").dt.strftime("%Y-%m-%d %H:%M"), pl.col("plan").str.head(12))
        )
        head = html.heading(f"{len(self._rows):,} rows of the ledger, the latest first")
        return html.page(text, head, html.table(last.columns, last.rows(), len(self._rows)))

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Why:
    """The reason why a run made an order, or none: `text` states it, `facts` has its values.

    The keys of `facts` are those of ``septet why --json``, among them `order`, `decision`,
    `features`, `bar` and `fills`.
    """

    run_id: str
    symbol: str
    time: str
    text: str
    facts: Mapping[str, Any]

    def document(self) -> dict[str, Any]:
        """Return the reason as plain data."""
        return dict(self.facts)

    def _repr_html_(self) -> str:
        from septet._report.why import parts_of

        parts = [html.heading(self.text), html.paragraph(f"decided at {self.time}")]
        for title, values in parts_of({**self.facts, "fills": self.facts["fills"][:10]}):
            parts += [html.heading(title.lower()), html.pairs(list(values.items())[:40])]
        return html.page(*parts)


@dataclass(frozen=True, slots=True)
class Gap:
    """The difference between the results of a paper or live run and its backtest.

    `parts` are the amounts that each cause lost (negative) or gained, in `currency`. `remainder` is
    the amount without a cause; with `explained` it is only rounding.
    """

    live: str
    backtest: str
    currency: str
    parts: Mapping[str, float]
    remainder: float
    explained: bool
    facts: Mapping[str, Any]

    def document(self) -> dict[str, Any]:
        """Return the gap as plain data, as ``septet runs diff --json`` prints it."""
        return dict(self.facts)

    def _repr_html_(self) -> str:
        rows = [*self.parts.items(), ("remainder", self.remainder)]
        head = html.heading(f"{self.live} against {self.backtest}")
        return html.page(head, html.table(("cause", self.currency), rows))


@dataclass(frozen=True, slots=True)
class Model:
    """A stored model: its folder, and its card, which records the data it was fitted on."""

    folder: Path
    card: Mapping[str, Any]
