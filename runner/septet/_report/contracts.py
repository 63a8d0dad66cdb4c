"""How often a rule of the file broke what rules promise: a size above zero, a stop that protects.

The kit tries a plugin on drawn data; a rule that breaks its promise at a few decisions only is
found here, in what the run decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from septet._report.words import plural

if TYPE_CHECKING:
    import polars as pl

    from septet._store.result import RunResult

__all__ = ["breaks_text", "contract_breaks"]


def contract_breaks(
    result: RunResult, frames: Mapping[str, pl.DataFrame], refused: Mapping[str, int] | None
) -> dict[str, int]:
    """Count entries without a size above zero, and positions with a stop on the wrong side.

    `size` counts for another package's sizing: of those of septet zero is an answer. `stop` counts
    positions whose stop, in the bar of their entry, lay beyond the price that they were entered at.
    Rules that broke nothing are left out.
    """
    kinds = {str(each["kind"]) for each in result.manifest.get("plugin_checks", ())}
    found = {
        "size": (refused or {}).get("size", 0) if "sizing" in kinds else 0,
        "stop": _wrong_stops(frames["orders"], frames["trades"], result.facts.bar_ns),
    }
    return {name: times for name, times in found.items() if times}


def _wrong_stops(orders: pl.DataFrame, trades: pl.DataFrame, bar_ns: int) -> int:
    """Count trades that a stop ended in the bar of their entry, from beyond its price."""
    import polars as pl

    stops = orders.filter(pl.col("type").cast(pl.String) == "stop").select(
        pl.col("symbol").cast(pl.String), pl.col("time").alias("exit_time"),
        pl.col("reason").cast(pl.String).alias("exit_reason"), "trigger_price",
    )  # fmt: skip
    ended = trades.with_columns(pl.col("symbol", "exit_reason").cast(pl.String))
    met = ended.join(stops, on=["symbol", "exit_time", "exit_reason"], how="inner")
    side = pl.when(pl.col("side").cast(pl.String) == "long").then(1.0).otherwise(-1.0)
    spent_ns = (pl.col("exit_time") - pl.col("entry_time")).cast(pl.Int64)
    beyond = side * (pl.col("trigger_price") - pl.col("entry_price")) >= 0.0
    return int(met.select((beyond & (spent_ns <= bar_ns)).fill_null(False).sum()).item() or 0)


def breaks_text(breaks: Mapping[str, int]) -> list[str]:
    """Say what was broken and how often."""
    said = []
    if "size" in breaks:
        times = plural(breaks["size"], "decision")
        said.append(f"The sizing gave no size above zero at {times}: each entry was rejected.")
    if "stop" in breaks:
        times = plural(breaks["stop"], "position")
        said.append(f"A stop lay on the wrong side of the entry price of {times}, closed at once.")
    return said
