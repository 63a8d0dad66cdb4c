"""Increases and partial exits of the file that no trade of a run reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from septet_schemas.late_patterns import late_pattern

if TYPE_CHECKING:
    import polars as pl

__all__ = ["unreached_text"]

_LEVEL: Final = late_pattern(r"(-?)[0-9.e-]+(R?)%?")
"""A share of the price or a multiple of R, as the resolved file has it."""


def unreached_text(frames: Mapping[str, pl.DataFrame], resolved: Mapping[str, Any]) -> str:
    """Return which adds and takes never filled; empty where each did or it is unknown.

    Levels of one unit are reached in their order: the most that filled in one trade are those that
    ever did. Of others, and of conditions, it is known only when none filled.
    """
    if not frames["trades"].height:
        return ""
    position = (resolved.get("risk") or {}).get("position") or {}
    parts = []
    for kind in ("take", "add"):
        known, levels = _levels(position.get(kind) or ())
        if not known:
            continue
        filled = _most_filled(frames, kind)
        if not filled:
            none = f"none of {known} {kind}s ever filled"
            parts.append(f"the {kind} never filled" if known == 1 else none)
        elif levels and filled < known:
            parts.append(f"{known - filled} of {known} {kind}s never filled")
    text = " and ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _levels(steps: Sequence[Mapping[str, Any]]) -> tuple[int, bool]:
    """Return how many there are, and whether they are levels in an order that never changes."""
    levels = [str(each) for step in steps for each in _at(step)]
    conditions = sum(1 for step in steps if step.get("when") is not None)
    kinds = {found.groups() if (found := _LEVEL.fullmatch(each)) else None for each in levels}
    is_ordered = not conditions and len(kinds) == 1 and None not in kinds
    return len(levels) + conditions, is_ordered and len(set(levels)) == len(levels)


def _at(step: Mapping[str, Any]) -> Iterator[object]:
    at = step.get("at")
    if isinstance(at, str) or not isinstance(at, Sequence):
        yield from () if at is None else (at,)
    else:
        yield from at


def _most_filled(frames: Mapping[str, pl.DataFrame], kind: str) -> int:
    """Return how many orders of a kind filled in the trade with the most of them."""
    import polars as pl

    text = pl.col("symbol").cast(pl.String)
    mine = frames["orders"].filter(pl.col("reason").cast(pl.String) == kind).select("order_id")
    fills = frames["fills"].join(mine, on="order_id", how="semi")
    first = fills.group_by("order_id").agg(text.first(), pl.col("time").min())
    trades = frames["trades"].select(text, "entry_time", "exit_time").with_row_index("trade")
    found = first.join(trades, on="symbol").filter(
        pl.col("time").is_between("entry_time", "exit_time")
    )
    return int(found.group_by("trade").len().get_column("len").max() or 0)  # type: ignore[arg-type]
