"""What each column of a run's tables means: the page, and a check that no column is left out."""

from __future__ import annotations

from typing import Final

__all__ = ["COLUMNS", "tables_page"]

_DECIDED: Final = "the decision time: when its newest bar was known"
_SYMBOL: Final = "the symbol, as in the file"
_FEES: Final = "fees of its fills, in the account's currency"
_FUNDING: Final = "funding paid while held, in the account's currency; negative was received"
_LIQUIDATION: Final = (
    "the liquidation fee, less what the venue bears of a loss beyond the isolated margin"
)
_PROBABILITY: Final = "the model's probability of an up label, 0 to 1; NaN without a model"
_QUANTITY: Final = "in the base currency"

COLUMNS: Final[dict[str, dict[str, str]]] = {
    "decisions": {
        "time": _DECIDED,
        "symbol": _SYMBOL,
        "probability_up": _PROBABILITY,
        "confidence": "0 to 1; 2 · abs(probability_up - 0.5) of a model, 1 of a rule",
        "signal": "`long`, `short`, `flat`, or `none`, which keeps what is there",
        "requested": f"the size that the sizing rule gave, {_QUANTITY}",
        "granted": f"what the limits left of it, {_QUANTITY}",
        "capped_by": "the tightest limit that made it smaller; empty where none did",
        "rejected_by": "the rule or reason that kept it from acting; empty where it acted",
        "late": "true where the decision came too late to enter (paper and live)",
    },
    "orders": {
        "time": "when it was decided",
        "symbol": _SYMBOL,
        "order_id": "the order's name within the run, as `septet why RUN ORDER` takes it",
        "type": "`market`, `limit`, `stop` and the others of `execution.order`",
        "side": "`buy` or `sell`",
        "quantity": f"what was ordered, {_QUANTITY}",
        "filled": f"what was filled of it, {_QUANTITY}",
        "limit_price": "in the quote currency; NaN without a limit",
        "trigger_price": "the level of a stop, in the quote currency; NaN without one",
        "status": "the last state: `filled`, `cancelled`, `expired`, `rejected`, or a working one",
        "reason": "what it was made for: `entry`, `exit`, or the rule that asked for it",
        "ended_by": "what ended it before it was filled; empty where nothing did",
        "decision_price": "the price that slippage is measured from, in the quote currency",
        "confidence": "that of its decision; NaN of an exit",
        "probability_up": _PROBABILITY,
        "sizing_inputs": "JSON text: the numbers that the sizing rule saw",
    },
    "fills": {
        "time": "the instant of the fill; inside a bar, the close of that bar",
        "symbol": _SYMBOL,
        "venue": "the venue's name in `execution.venues`",
        "order_id": "the order it belongs to",
        "trade_id": "the venue's identifier of the execution; each is counted once",
        "side": "`buy` or `sell`",
        "quantity": f"what was traded, {_QUANTITY}",
        "price": "per unit, in the quote currency, slippage included",
        "fee": "in `fee_currency`; positive is paid, negative a rebate",
        "fee_currency": "the currency of the fee",
        "fee_quote": "the fee as it was booked, in the quote currency",
        "liquidation": f"{_LIQUIDATION}; zero of any other fill",
        "liquidity": "`maker` or `taker`",
    },
    "trades": {
        "symbol": _SYMBOL,
        "side": "`long` or `short`",
        "entry_time": "time of the first fill that entered",
        "entry_price": "mean price of the fills that entered, in the quote currency",
        "exit_time": "time of the fill that made it flat, or of the last row",
        "exit_price": "mean price of the fills that left, in the quote currency",
        "quantity": f"all that was entered, {_QUANTITY}",
        "pnl": "result in the account's currency, net of fees, funding and liquidation",
        "fees": _FEES,
        "funding": _FUNDING,
        "liquidation": _LIQUIDATION,
        "slippage": "cost of filling away from the decision price; it lies in the prices already",
        "mae": "maximum adverse excursion, a fraction of `entry_price`",
        "mfe": "maximum favourable excursion, a fraction of `entry_price`",
        "bars_held": "bars whose range counts for the excursions",
        "exit_reason": "the rule that closed it; `open` and `dust` were not closed",
    },
    "round_trips": {
        "symbol": _SYMBOL,
        "side": "`long` or `short`",
        "entry_time": "time of the fill that entered",
        "entry_price": "price of that fill, in the quote currency",
        "exit_time": "time of the fill that left",
        "exit_price": "price of that fill, in the quote currency",
        "quantity": f"the part that both fills have in common, {_QUANTITY}",
        "pnl": "result in the account's currency, net of fees, funding and liquidation",
        "fees": "this part's share of the fees of both fills",
        "funding": "this part's share of the trade's funding",
        "liquidation": "this part's share of the liquidation fee",
    },
    "equity": {
        "time": _DECIDED,
        "equity": "cash and positions at the mark, in the account's currency",
        "cash": "in the account's currency",
        "exposure": "sum of |notional| over equity, a fraction",
        "drawdown": "fall below the highest equity so far, a fraction",
    },
    "bars": {
        "time": "when the bar was known: its close",
        "open_time": "when it opened",
        "symbol": _SYMBOL,
        "open": "in the quote currency",
        "high": "in the quote currency",
        "low": "in the quote currency",
        "close": "in the quote currency",
        "volume": f"traded volume, {_QUANTITY}",
    },
    "monitoring": {
        "time": "when the reading would have been known",
        "symbol": "the symbol, or empty where it is about all of them",
        "metric": "`auc`, `slippage`, `psi:FEATURE`, or the name of the file's monitor",
        "value": "the reading, in the unit of its metric",
        "threshold": "what it is compared with; null where there is too little to decide",
        "verdict": "`ok`, `warn`, `block`, `retrain` or `halt`",
        "window": "how many rows the reading is made of",
        "compared": "the number that was compared: `value`, or an end of its 95 % interval",
    },
    "predictions": {
        "time": _DECIDED,
        "symbol": _SYMBOL,
        "probability_up": "out of sample, 0 to 1",
        "label": "1 up, 0 down, NaN while it is unknown",
        "known_ns": "when the label became known, in nanoseconds since 1970 (UTC)",
    },
}
_TYPES: Final = {
    "time": "time (UTC, ns)", "number": "float64", "text": "text", "count": "int64",
    "flag": "boolean",
}  # fmt: skip
_INTRODUCTION: Final = """\
# Tables and figures

The tables in the folder of a run, `NAME.parquet`, and of `run.NAME` in Python, with their columns
in order. `decisions` has one more number for each feature after `symbol`, then the levels of the
position where the file has such levels. [Results](../results.md) defines the figures.

"""


def tables_page() -> str:
    """Return the page of all tables.

    Raises
    ------
    ValueError
        If a column of the code is not described here, or one is that the code does not have.
    """
    from septet._results.result import SUMMARY, TABLES

    parts = [_INTRODUCTION]
    for table, columns in TABLES.items():
        described = COLUMNS.get(table, {})
        if list(described) != list(columns):
            wrong = sorted(set(described) ^ set(columns)) or "their order"
            raise ValueError(f"docs/site/site_tables.py does not describe {table}: {wrong}")
        lines = [f"## {table}\n", "| column | type | meaning |", "|---|---|---|"]
        lines += [
            f"| `{name}` | {_TYPES[kind]} | {described[name]} |" for name, kind in columns.items()
        ]
        parts.append("\n".join(lines) + "\n\n")
    lines = ["## summary.json\n", "What every summary has; null where undefined.\n"]
    lines += ["| figure | type |", "|---|---|"]
    lines += [f"| `{name}` | {_TYPES[kind]} |" for name, kind in SUMMARY.items()]
    return "".join(parts) + "\n".join(lines) + "\n"
