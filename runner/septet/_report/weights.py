"""Data of the chart of a portfolio's weights: targets of rebalances, and weights held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from septet._report.over_time import notionals
from septet._report.thinning import floats, milliseconds, short, stamps
from septet._results.by_symbol import rows_by_symbol

if TYPE_CHECKING:
    import polars as pl

    from septet._data.bars import Floats, Ints
    from septet._store.run_folder import Run

__all__ = [
    "NAMED_SYMBOLS", "REBALANCE_REASONS", "held_weights", "is_portfolio", "target_weights",
    "weights",
]  # fmt: skip

REBALANCE_REASONS: Final = (
    "drift", "not_ranked", "below_rank", "wrong_sign", "net_target", "keeps_weight",
    "keeps_units",
)  # fmt: skip
"""Values of `rejected_by` of a decision at a rebalance, and at no other time."""
POINTS: Final = 480
REBALANCES: Final = 900
NAMED_SYMBOLS: Final = 7
"""Number of symbols with a separate colour; the others are drawn together."""
OTHERS: Final = "others"


def is_portfolio(run: Run) -> bool:
    """Whether the weights of a portfolio decide the positions of the run."""
    portfolio = (run.manifest.get("resolved") or {}).get("portfolio") or {}
    return str(portfolio.get("use", "each")) != "each"


def target_weights(run: Run) -> tuple[Ints, dict[str, Floats]]:
    """Return the weights in force from each rebalance on: the times, and the weights by symbol.

    A symbol that a rebalance did not decide, for lack of a bar, keeps its weight. Empty if the
    decisions were left out.
    """
    import polars as pl

    stored = run.scan("decisions").collect_schema().names() if run.has("decisions") else ()
    if "target_weight" not in stored:
        return np.zeros(0, np.int64), {}
    table = run.table("decisions", ["time", "symbol", "target_weight", "rejected_by"])
    is_decided = (pl.col("target_weight") != 0.0) | pl.col("rejected_by").is_in(REBALANCE_REASONS)
    sent = run.table("orders", ["time", "reason"]).filter(pl.col("reason") == "rebalance")
    parts = (table.filter(is_decided), sent)
    rebalance_times = pl.concat([part.get_column("time") for part in parts]).unique().sort()
    time_ns = np.asarray(rebalance_times.to_physical().to_numpy(), dtype=np.int64)
    decided = table.filter(pl.col("time").is_in(rebalance_times.implode()))
    by_symbol = {}
    for symbol, rows in rows_by_symbol(decided).items():
        own_rows = decided[rows]
        last = np.searchsorted(stamps(own_rows), time_ns, side="right") - 1
        weight = floats(own_rows, "target_weight")[np.maximum(last, 0)]
        by_symbol[symbol] = np.where(last >= 0, weight, 0.0)
    return time_ns, by_symbol


def held_weights(run: Run, bars: dict[str, pl.DataFrame]) -> tuple[Ints, dict[str, Floats]]:
    """Return notional over equity of each symbol ever held, at equally spaced rows of equity.

    A fill at exactly the time of a row counts as in `exposure`.
    """
    table = run.table("equity", ["time", "equity", "exposure"])
    rows = np.unique(np.linspace(0, table.height - 1, POINTS).astype(np.int64))
    time_ns, equity = stamps(table)[rows], floats(table, "equity")[rows]
    by_symbol = dict(notionals(time_ns, run.table("fills"), bars, run.facts.currency))
    gross = floats(table, "exposure")[rows] * equity
    sums = np.zeros((2, len(rows)))
    for signed in by_symbol.values():
        sums += np.abs(signed)
    distance = np.abs(sums - gross)
    late = distance[1] < distance[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        return time_ns, {
            symbol: np.nan_to_num(
                np.where(late, signed[1], signed[0]) / equity, posinf=0.0, neginf=0.0
            )
            for symbol, signed in by_symbol.items()
        }


def weights(run: Run, bars: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """Return the data of the chart: a row for each symbol and side, the largest symbols first.

    Targets are those of at most `REBALANCES` rebalances; the last hold until the end of the run.
    """
    if not is_portfolio(run) or not run.table("equity", ["time"]).height:
        return {"names": []}
    held_ns, held_by_symbol = held_weights(run, bars)
    made_ns, target = target_weights(run)
    picked = np.unique(np.linspace(0, len(made_ns) - 1, REBALANCES).astype(np.int64))
    picked = picked[: len(made_ns)]
    until = np.append(picked, picked[-1:])
    drawn_ns = np.append(made_ns[picked], held_ns[-1:]) if len(made_ns) else made_ns
    drawn = {symbol: values[until] for symbol, values in target.items()}
    size = {
        symbol: sum(
            float(np.abs(each[symbol]).mean()) for each in (held_by_symbol, drawn) if symbol in each
        )
        for symbol in dict.fromkeys((*drawn, *held_by_symbol))
    }
    order = sorted((each for each in size if size[each] > 0.0), key=lambda each: -size[each])
    return {
        "names": [*order[:NAMED_SYMBOLS], *([OTHERS] if len(order) > NAMED_SYMBOLS else [])],
        "held": {"t": milliseconds(held_ns), "rows": _rows(held_by_symbol, order)},
        "target": {"t": milliseconds(drawn_ns), "rows": _rows(drawn, order)},
        "rebalances": len(made_ns),
        "others": max(0, len(order) - NAMED_SYMBOLS),
    }


def _rows(by_symbol: dict[str, Floats], order: list[str]) -> list[dict[str, Any]]:
    """Return one row for each named symbol and one for all others, long and short separately."""
    rows = []
    groups = [[each] for each in order[:NAMED_SYMBOLS]] + [order[NAMED_SYMBOLS:]]
    for name, group in enumerate(groups):
        for side, bound in (("long", np.maximum), ("short", np.minimum)):
            parts = [bound(by_symbol[each], 0.0) for each in group if each in by_symbol]
            if parts and any(part.any() for part in parts):
                total = np.sum(parts, axis=0)
                rows.append({"name": name, "side": side, "values": short(total)})
    return rows
