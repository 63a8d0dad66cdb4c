"""How often a rule of the file answered what its kind does not allow, and which rule it was.

The kit tries a plugin on drawn data; a rule that gives such an answer at a few decisions only is
found here, in what the run decided.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from septet._plan.invalid_answers import INVALID
from septet._report.words import plural

if TYPE_CHECKING:
    import polars as pl

    from septet._store.result import RunResult

__all__ = ["breaks_text", "contract_breaks"]

EXPECTED: Final = {
    "signal": "no side of +1, -1, 0 or NaN, confidence from 0 to 1 and declared reason",
    "limit": "no quantity of zero or more",
    "order": "no price above zero",
}


def contract_breaks(
    result: RunResult, frames: Mapping[str, pl.DataFrame]
) -> list[dict[str, str | int]]:
    """List rules with an invalid answer: key path, plugin, kind, first time, how often.

    `sizing` counts entries that a sizing of another package gave no finite size above zero: of
    those of septet zero is an answer. `signal`, `limit` and `order` count decisions at which an
    answer of another package was refused. `stop` counts positions that a stop of any package ended
    from the wrong side: beyond all that the market had since the entry, or beyond an entry into
    that bar.
    """
    found = [*_invalid(frames.get("decisions"), _of_others(result)), *_wrong_stops(result, frames)]
    for each in found:
        each["plugin"] = _plugin_of(result.resolved, str(each["rule"]))
    return found


def _of_others(result: RunResult) -> set[str]:
    """Return the kinds of the rules that other packages brought."""
    return {str(each["kind"]) for each in result.manifest.get("plugin_checks", ())}


def _invalid(decisions: pl.DataFrame | None, kinds: set[str]) -> Iterator[dict[str, str | int]]:
    import polars as pl

    if decisions is None or not decisions.height:
        return
    why = pl.col("refused_by").cast(pl.String)
    counted = (
        decisions.select(why, "time")
        .filter(why.str.starts_with(INVALID) | (why == "size"))
        .group_by("refused_by")
        .agg(pl.len().alias("times"), pl.col("time").min().alias("first"))
        .sort("refused_by")
    )
    for name, times, first in counted.iter_rows():
        if name == "size" and "sizing" not in kinds:
            continue
        rule = "risk.sizing" if name == "size" else name.removeprefix(INVALID)
        yield _entry(rule, _KINDS.get(rule, "limit"), first.isoformat(), times)


_KINDS: Final = {"risk.sizing": "sizing", "signal": "signal", "execution.order": "order"}


def _entry(rule: str, kind: str, first: str, times: int) -> dict[str, str | int]:
    return {"rule": rule, "plugin": "", "kind": kind, "first": first, "times": times}


def _wrong_stops(
    result: RunResult, frames: Mapping[str, pl.DataFrame]
) -> Iterator[dict[str, str | int]]:
    """Count positions that a stop has ended whose level was on the wrong side of the market.

    The order of a stop that was passed before it could act has the market's price as its decision
    price, and its level as its trigger.
    """
    import polars as pl

    stops = frames["orders"].filter(pl.col("type").cast(pl.String) == "stop").select(
        pl.col("symbol").cast(pl.String), pl.col("time").alias("exit_time"),
        pl.col("reason").cast(pl.String).alias("exit_reason"), "trigger_price", "decision_price",
    )  # fmt: skip
    ended = frames["trades"].with_columns(pl.col("symbol", "exit_reason").cast(pl.String))
    met = ended.join(stops, on=["symbol", "exit_time", "exit_reason"], how="inner")
    side = pl.when(pl.col("side").cast(pl.String) == "long").then(1.0).otherwise(-1.0)
    spent_ns = (pl.col("exit_time") - pl.col("entry_time")).cast(pl.Int64)
    beyond = side * (pl.col("trigger_price") - pl.col("entry_price")) >= 0.0
    wrong = (beyond & (spent_ns <= result.facts.bar_ns)) | (
        pl.col("trigger_price") != pl.col("decision_price")
    )
    counted = (
        met.filter(wrong.fill_null(False) & (pl.col("exit_reason") != "liquidation"))
        .group_by("exit_reason")
        .agg(pl.len().alias("times"), pl.col("exit_time").min().alias("first"))
        .sort("exit_reason")
    )
    for name, times, first in counted.iter_rows():
        yield _entry(f"risk.stops.{name}", "stop", first.isoformat(), times)


def _plugin_of(resolved: Mapping[str, Any], rule: str) -> str:
    """Return the name of the plugin that the file uses for a rule."""
    at: Any = resolved
    for key in rule.split(".", 2):
        at = at.get(key) if isinstance(at, Mapping) else None
    use = at.get("use") if isinstance(at, Mapping) else None
    return str(use or rule.rpartition(".")[2])


def breaks_text(breaks: list[dict[str, str | int]]) -> list[str]:
    """Say which rules answered what their kind does not allow, and how often."""
    said = []
    for each in breaks:
        times, since = int(each["times"]), f"first at {each['first']}"
        who = f"{each['rule']} ({each['plugin']})"
        if each["kind"] == "sizing":
            said.append(
                f"The sizing gave no finite size above zero at {plural(times, 'decision')}: each "
                f"entry was rejected; {who}, {since}."
            )
        elif each["kind"] == "stop":
            said.append(
                f"A stop lay on the wrong side of the price of {plural(times, 'position')}, closed "
                f"at once; {who}, {since}."
            )
        else:
            said.append(
                f"{who} gave {EXPECTED[str(each['kind'])]} at {plural(times, 'decision')}, "
                f"{since}: each was rejected."
            )
    return said
