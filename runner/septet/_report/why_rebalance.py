"""Explains what a rebalance did with a symbol at a decision time: rank, weight, change."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from septet._data.stamps import iso
from septet._report.conditions import condition_at
from septet._report.weights import is_portfolio, target_weights

if TYPE_CHECKING:
    import polars as pl

    from septet._store.run_folder import Run

__all__ = ["no_order_sentence", "not_traded_words", "rebalance_of", "rebalance_words"]

_ROUNDING: Final = 1e-9


def rebalance_of(run: Run, symbol: str, time_ns: int, decided: Mapping[str, Any]) -> dict[str, Any]:
    """Explain the target weight of a symbol at a decision time, or that no rebalance was made.

    `decided` is the symbol's row of the decisions at that time.

    Empty if no portfolio decides, or the decisions were left out. `place` is the rank among symbols
    with a value of `by`, best first; held is the position at the close over equity.
    """
    if not is_portfolio(run) or not run.has("decisions"):
        return {}
    made_ns, targets = target_weights(run)
    if symbol not in targets:
        return {}
    last = int(np.searchsorted(made_ns, time_ns, side="right")) - 1
    is_rebalance = last >= 0 and int(made_ns[last]) == time_ns
    portfolio = run.manifest["resolved"]["portfolio"]
    previous = last - 1 if is_rebalance else last
    explanation: dict[str, Any] = {
        "made": is_rebalance,
        "last_rebalance": iso(int(made_ns[last])) if last >= 0 else None,
        "weight_before": float(targets[symbol][previous]) if previous >= 0 else 0.0,
    }
    if not is_rebalance:
        return explanation
    explanation |= {
        "use": portfolio["use"],
        "target_weight": float(targets[symbol][last]),
        "held_weight": _held(run, symbol, time_ns),
        "drift": portfolio["rebalance"]["drift"],
        "gross": float(sum(abs(each[last]) for each in targets.values())),
    }
    if portfolio.get("max_weight") is not None:
        explanation["at_max_weight"] = (
            abs(explanation["target_weight"]) >= portfolio["max_weight"] - _ROUNDING
        )
    factor = decided.get("turnover_factor")
    if factor:
        explanation |= {
            "max_turnover": portfolio["rebalance"]["max_turnover"],
            "turnover_factor": factor,
        }
    if portfolio["use"] == "forecast":
        explanation["window"] = portfolio["forecast"]["window"]
    if portfolio["use"] == "top":
        explanation |= _side_conditions(run, symbol, time_ns, portfolio)
        explanation |= _rank_of(run, symbol, time_ns, str(portfolio["by"]))
    return explanation


def _side_conditions(
    run: Run, symbol: str, time_ns: int, portfolio: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the states of the conditions of both sides for a symbol: one if they are the same."""
    each = portfolio.get("where") or {}
    sides = [side for side in ("long", "short") if portfolio[side] and each.get(side)]
    texts = {side: str(each[side]) for side in sides}
    both = len(texts) == 2 and texts["long"] == texts["short"]
    states = {}
    for side, text in texts.items():
        name = "where" if both or not portfolio["short"] else f"where_{side}"
        condition = condition_at(run, text, symbol, time_ns)
        if condition is not None:
            states[name] = condition.words()
    return states


def _rank_of(run: Run, symbol: str, time_ns: int, by: str) -> dict[str, Any]:
    """Return the rank of a symbol's value among those that have one."""
    import polars as pl

    names = run.scan("decisions").collect_schema().names()
    if by not in names:
        return {"by": by}
    rows = run.collected("decisions", _at(run.scan("decisions"), time_ns).select("symbol", by))
    order = {name: rank for rank, name in enumerate(run.facts.symbols)}
    values = {
        str(name): float(value)
        for name, value in rows.with_columns(pl.col("symbol").cast(pl.String)).iter_rows()
        if value is not None and math.isfinite(value)
    }
    ranks = sorted(values, key=lambda name: (-values[name], order[name]))
    rank = ranks.index(symbol) + 1 if symbol in values else None
    return {"by": by, "place": rank, "places": len(ranks)}


def _at(table: pl.LazyFrame, time_ns: int) -> pl.LazyFrame:
    import polars as pl

    at = pl.lit(time_ns).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
    return table.filter(pl.col("time") == at)


def _held(run: Run, symbol: str, time_ns: int) -> float | None:
    """Return the share of equity held before the orders of this time, if known.

    A fill at exactly this time belongs to an earlier order, unless its order is of this rebalance.
    """
    import polars as pl

    equity = _at(run.table("equity", ["time", "equity"]).lazy(), time_ns).collect()
    bar = _at(run.table("bars").lazy().filter(pl.col("symbol") == symbol), time_ns).collect()
    if not equity.height or not bar.height or not equity.item(0, "equity"):
        return None
    sent = _at(run.table("orders", ["time", "order_id", "reason"]).lazy(), time_ns)
    ids = sent.filter(pl.col("reason") == "rebalance").select("order_id").collect()
    fills = run.table("fills").filter(
        (pl.col("symbol").cast(pl.String) == symbol)
        & (pl.col("time").dt.timestamp("ns") <= time_ns)
        & ~pl.col("order_id").is_in(ids.get_column("order_id").implode())
    )
    side = pl.when(pl.col("side").cast(pl.String) == "buy").then(1.0).otherwise(-1.0)
    units = float(fills.select((side * pl.col("quantity")).sum()).item() or 0.0)
    return units * float(bar.item(0, "close")) / float(equity.item(0, "equity"))


def rebalance_words(rebalance: Mapping[str, Any]) -> str:
    """Return the rank and the change of a rebalance's order as text, after its weight."""
    parts = []
    if rebalance.get("place"):
        parts.append(_place_text(rebalance))
    if rebalance.get("held_weight") is not None:
        parts.append(f"{rebalance['held_weight'] * 100:.4g}% held")
    if rebalance.get("at_max_weight"):
        parts.append("its max_weight")
    parts += _not_true(rebalance)
    if 0.0 < rebalance.get("turnover_factor", 1.0) < 1.0:
        parts.append(_turnover_text(rebalance))
    return f" ({', '.join(parts)})" if parts else ""


def _place_text(rebalance: Mapping[str, Any]) -> str:
    return f"rank {rebalance['place']} of {rebalance['places']} by {rebalance['by']}"


def not_traded_words(rebalance: Mapping[str, Any], reason: str) -> str:
    """Return the conditions behind the reason for which a rebalance did not trade a symbol."""
    words = "".join(f", {each}" for each in _not_true(rebalance))
    if reason == "keeps_units" and "window" in rebalance:
        words += (
            f": its forecasts and returns are not all known over its last {rebalance['window']} "
            "bars, or its volatility is not known now"
        )
    return words


def _not_true(rebalance: Mapping[str, Any]) -> list[str]:
    """Return the conditions that a symbol does not fulfil: of both sides if it has no weight.

    With a weight it is the condition of its side, which is false: an unknown one is treated as
    true.
    """
    weight = rebalance.get("target_weight", 0.0)
    sides = ("long",) if weight > 0.0 else ("short",) if weight < 0.0 else ("long", "short")
    each = [
        (name, str(rebalance.get(name, "true")))
        for name in ("where", *map("where_{}".format, sides))
    ]
    return [
        f"its `{name.replace('_', '.')}` is {text}"
        for name, text in each
        if text.startswith(("false", "unknown") if weight == 0.0 else "false")
    ]


def _turnover_text(rebalance: Mapping[str, Any]) -> str:
    return (
        f"max_turnover {rebalance['max_turnover'] * 100:.4g}% let through "
        f"{rebalance['turnover_factor'] * 100:.4g}% of each change"
    )


def no_order_sentence(symbol: str, rebalance: Mapping[str, Any]) -> str:
    """Return why a portfolio that rejected nothing sent no order."""
    if not rebalance["made"]:
        last = (
            f"the last was at {rebalance['last_rebalance']}" if rebalance["last_rebalance"] else ""
        )
        since = f"; {last}, to a weight of {100 * rebalance['weight_before']:.4g}%" if last else ""
        return f"No order for {symbol}: no rebalance was made at this time{since}."
    if rebalance["target_weight"] == 0.0:
        if rebalance["use"] != "top":
            return f"No order for {symbol}: its weight is 0."
        parts = [_place_text(rebalance)] if rebalance.get("place") else []
        parts = ["it is not among those that are chosen", *parts, *_not_true(rebalance)]
        return f"No order for {symbol}: {', '.join(parts)}."
    weight = f"{rebalance['target_weight']:.4g}"
    cut = (
        f" ({_turnover_text(rebalance)})"
        if 0.0 < rebalance.get("turnover_factor", 1.0) < 1.0
        else ""
    )
    return f"No order for {symbol}: it has its weight of {weight}{cut}."
