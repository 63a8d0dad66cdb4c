"""Results of a run for the store: plain tables and facts, without derived figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from septet._data.bars import BarTable, Finding
    from septet._results.previous_trials import Tries

    Columns = Mapping[str, npt.NDArray[Any] | Sequence[Any] | pl.Series]
    Table = pl.DataFrame | Columns

__all__ = [
    "COUNT",
    "FLAG",
    "NOT_CLOSED",
    "NUMBER",
    "SUMMARY",
    "TABLES",
    "TEXT",
    "TIME",
    "HaltEvent",
    "RunFacts",
    "RunResult",
]

TIME: Final = "time"
NUMBER: Final = "number"
TEXT: Final = "text"
COUNT: Final = "count"
FLAG: Final = "flag"

# The columns of every table, in order, and what they hold. `decisions` has one more number for
# each feature, between `symbol` and `probability_up`. Times are UTC; an int64 is nanoseconds.
TABLES: Final[dict[str, dict[str, str]]] = {
    "decisions": {
        "time": TIME,
        "symbol": TEXT,
        "probability_up": NUMBER,
        "confidence": NUMBER,
        "signal": TEXT,
        "requested": NUMBER,
        "granted": NUMBER,
        "capped_by": TEXT,
        "rejected_by": TEXT,
        "late": FLAG,
    },
    "orders": {
        "time": TIME,
        "symbol": TEXT,
        "order_id": TEXT,
        "type": TEXT,
        "side": TEXT,
        "quantity": NUMBER,
        "filled": NUMBER,
        "limit_price": NUMBER,
        "trigger_price": NUMBER,
        "status": TEXT,
        "reason": TEXT,
        "ended_by": TEXT,
        "decision_price": NUMBER,
        "confidence": NUMBER,
        "probability_up": NUMBER,
        "sizing_inputs": TEXT,
    },
    "fills": {
        "time": TIME,
        "symbol": TEXT,
        "venue": TEXT,
        "order_id": TEXT,
        "trade_id": TEXT,
        "side": TEXT,
        "quantity": NUMBER,
        "price": NUMBER,
        "fee": NUMBER,
        "fee_currency": TEXT,
        "fee_quote": NUMBER,
        "liquidation": NUMBER,
        "liquidity": TEXT,
    },
    "trades": {
        "symbol": TEXT,
        "side": TEXT,
        "entry_time": TIME,
        "entry_price": NUMBER,
        "exit_time": TIME,
        "exit_price": NUMBER,
        "quantity": NUMBER,
        "pnl": NUMBER,
        "fees": NUMBER,
        "funding": NUMBER,
        "liquidation": NUMBER,
        "slippage": NUMBER,
        "mae": NUMBER,
        "mfe": NUMBER,
        "bars_held": COUNT,
        "exit_reason": TEXT,
    },
    "round_trips": {
        "symbol": TEXT,
        "side": TEXT,
        "entry_time": TIME,
        "entry_price": NUMBER,
        "exit_time": TIME,
        "exit_price": NUMBER,
        "quantity": NUMBER,
        "pnl": NUMBER,
        "fees": NUMBER,
        "funding": NUMBER,
        "liquidation": NUMBER,
    },
    "equity": {
        "time": TIME,
        "equity": NUMBER,
        "cash": NUMBER,
        "exposure": NUMBER,
        "drawdown": NUMBER,
    },
    "bars": {
        "time": TIME,
        "open_time": TIME,
        "symbol": TEXT,
        "open": NUMBER,
        "high": NUMBER,
        "low": NUMBER,
        "close": NUMBER,
        "volume": NUMBER,
    },
    "monitoring": {
        "time": TIME,
        "symbol": TEXT,
        "metric": TEXT,
        "value": NUMBER,
        "threshold": NUMBER,
        "verdict": TEXT,
        "window": COUNT,
        "compared": NUMBER,
    },
    "predictions": {
        "time": TIME,
        "symbol": TEXT,
        "probability_up": NUMBER,
        "label": NUMBER,
        "known_ns": COUNT,
    },
}

NOT_CLOSED: Final = ("open", "dust")
"""Values of `exit_reason` of what the last close marks; it does not count as a trade."""

# The figures of every summary.json, in order; a number that is undefined is null. `summary.py`
# adds what is no figure of a run alone: holding, tries, the forward part, rejections, halts.
SUMMARY: Final[dict[str, str]] = {
    **dict.fromkeys(("run_id", "strategy", "mode", "engine"), TEXT),
    **dict.fromkeys(("start", "end", "first_decision"), TEXT),
    **dict.fromkeys(("bars", "trades"), COUNT),
    **dict.fromkeys(("initial_capital", "final_equity", "total_return"), NUMBER),
    **dict.fromkeys(("cagr", "sharpe", "sortino", "calmar", "max_drawdown"), NUMBER),
    **dict.fromkeys(("win_rate", "profit_factor"), NUMBER),
    **dict.fromkeys(("fees", "funding", "liquidation", "slippage"), NUMBER),
    **dict.fromkeys(("turnover", "exposure"), NUMBER),
    **dict.fromkeys(("seconds", "seconds_total", "bars_per_second"), NUMBER),
    "verdict": TEXT,
}


@dataclass(frozen=True, slots=True)
class HaltEvent:
    """A halt that tripped: which rule, on what figure, what it did, and when it was cleared.

    `value` and `threshold` are fractions of equity; where `metric` is ``losses_in_a_row`` they
    count trades; of a monitor (`rule` begins with ``monitoring.``) they are what it read of
    `metric` and its bound, and `compared` is what was compared with the bound where that is not
    the value itself. `resumed_ns` is None while it still holds; `resume` is the rule of the file
    (``manual``, ``next_day`` or a duration).
    """

    time_ns: int
    rule: str
    value: float
    threshold: float
    then: str
    resume: str
    resumed_ns: int | None = None
    metric: str = ""
    compared: float | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the statistics need beside the tables.

    `start_ns` and `end_ns` bound the span that was run (known times), `first_decision_ns` is the
    first time a decision could be taken: every statistic spans from there to `end_ns`. `bars`
    counts bars of all symbols. `days_a_year` is 365 where one of the symbols trades around the
    clock, otherwise the sessions a year (of several calendars, of that with the most); then only
    days that have an equity row count as days (`sessions`), and `ends_inside` means that the last
    row lies inside a session. `session_close` is when sessions usually end (``17:00 ZONE``): rows
    count for the day on which their session ends; empty, for their own day.
    `long_only`: nothing in the file can open a short. A run whose positions were all long is
    measured over holding its exposure; one without positions goes by `long_only`.
    `benchmark` is the symbol that holding means, empty for all of the universe equally.
    `late_start` is the reason why the first decision is after `universe.start`, empty where it is
    not. `seconds` is from arrays in memory to arrays of results, `seconds_total` from the start of
    the command to handing over this result (storing it adds its own time).
    """

    strategy: str
    mode: str
    engine: str
    symbols: tuple[str, ...]
    currency: str
    bar_ns: int
    initial_capital: float
    start_ns: int
    end_ns: int
    first_decision_ns: int
    bars: int
    seconds: float
    seconds_total: float
    days_a_year: float = 365.0
    sessions: bool = False
    ends_inside: bool = False
    session_close: str = ""
    day_start: str = "00:00"
    time_zone: str = "UTC"
    seed: int = 0
    long_only: bool = False
    benchmark: str = ""
    late_start: str = ""


@dataclass(frozen=True, slots=True)
class RunResult:
    """Everything a run produced.

    Tables are polars frames or mappings of columns (`TABLES`); None is a table without rows.

    - decisions: one row for each symbol and decision time; any column that is not in `TABLES`
      is a feature. `requested` and `granted` are quantities in the base currency.
    - orders: `sizing_inputs` is JSON text, the numbers the sizing rule saw.
    - fills: `fee` in `fee_currency`, positive is paid; `fee_quote` is its value in the quote
      currency as it was booked, null where that is not known; `liquidation` is charged beside
      it, and negative where the venue bears a loss beyond the margin.
    - trades: flat to flat; `pnl` is net of `fees`, `funding` and `liquidation`, all in the
      account's currency; `slippage` lies in the prices. An open position has exit_reason ``open``,
      marked at the last close; what units below one lot made, ``dust``. `mae`, `mfe` and
      `bars_held` may be left out: the store works them out from `bars`.
    - equity: one row for each decision time; `exposure` = sum of |notional| / equity, `drawdown`
      = 1 - equity / highest equity so far, both fractions that are never negative. A run without
      decisions may leave `cash` and `exposure` out; then `mean_exposure` gives their figure. A
      run in stretches has a row for each start of a day and the last time; `max_drawdown` and
      `mean_equity` are then those of every time.
    - bars: the full bars of each symbol; the store thins them for display. A run in stretches
      joins them at once; `held` is then what holding is valued with: known times (rising) and
      closes, which hold the last bar at every row of the curve and at the first decision.
    - monitoring: `verdict` is ok, warn, block, retrain or halt, decided by comparing `compared`
      (`value`, or an end of its interval) with `threshold` (null: too little to decide); `metric`
      is a name such as ``auc``, ``brier``, ``hit_rate``, ``slippage``, ``psi:<feature>``,
      ``psi:prediction``; a monitor of the file writes under its block's name, ``<block>`` or
      ``<block>:<metric>``.
    - predictions: out of sample; `label` is 1 up, 0 down, NaN while unknown.
    - models: the card of each model in the order of use. The report reads ``model_id``,
      ``ready_ns``, ``importance`` (feature -> share) where a card has them.
    - model_files: what goes under ``models/``, by file name.
    - tries: what the ledger of trials knows of the data; None where it was not asked.
    - doubts: sentences, without their full stop, on why the figures may be wrong.
    - invalid_answers: rules that gave an answer which their kind does not allow: `rule` (its key
      path), `kind`, `first_ns` and `times`, once for each symbol and decision time.
    - notes: sentences the reader of the result must know ("lots and levels are not historical").
    - rebalance_waits: why due rebalances could not act, and how often, of a run that made none.
    - left_out: tables the run was asked not to make (``decisions``); they are not stored, and
      readers of the run see which.
    - manifest: anything more for manifest.json (plan hash, sources, ...).
    """

    facts: RunFacts
    decisions: Table | None
    orders: Table | None
    fills: Table | None
    trades: Table | None
    equity: Table | None
    bars: Mapping[str, BarTable]
    monitoring: Table | None = None
    predictions: Table | None = None
    findings: Sequence[Finding] = ()
    halts: Sequence[HaltEvent] = ()
    models: Sequence[Mapping[str, Any]] = ()
    model_files: Mapping[str, bytes] = field(default_factory=dict)
    resolved: Mapping[str, Any] = field(default_factory=dict)
    strategy_text: str = ""
    distributions: Mapping[str, str] = field(default_factory=dict)
    data_hashes: Mapping[str, str] | None = None
    invalid_answers: Sequence[Mapping[str, Any]] = ()
    doubts: Sequence[str] = ()
    tries: Tries | None = None
    notes: Sequence[str] = ()
    rebalance_waits: Mapping[str, int] = field(default_factory=dict)
    left_out: Sequence[str] = ()
    mean_exposure: float | None = None
    max_drawdown: float | None = None
    mean_equity: float | None = None
    held: Mapping[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]] | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)
