"""Counts of entries that limits capped below the requested size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from septet._results.number_texts import percent, plural

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Capped", "capped_entries", "capped_text"]

_UNCAPPED_SHARE = 0.99
"""Above this share of what was asked for a cut is one to lots, or of the last cash."""
_MIN_ENTRIES = 3


class Capped(msgspec.Struct, frozen=True):
    """Entries that were sent, how many of them which limit cut, and the middle share left."""

    entries: int
    by: dict[str, int]
    share: float


def capped_entries(decisions: pl.DataFrame | None) -> Capped | None:
    """Count the entries that limits made smaller; None without a decision table."""
    import polars as pl

    if decisions is None:
        return None
    # numbers first: few rows are left of which texts are compared
    read = decisions.select("granted", "requested", "rejected_by", "capped_by")
    sized = read.filter((pl.col("granted") != 0.0) & (pl.col("requested") != 0.0))
    sent = sized.filter(pl.col("rejected_by").cast(pl.String).fill_null("").eq("")).select(
        share=pl.col("granted").abs() / pl.col("requested").abs(),
        limit=pl.col("capped_by").cast(pl.String).fill_null(""),
    )
    cut = sent.filter((pl.col("limit") != "") & (pl.col("share") < _UNCAPPED_SHARE))
    counts = cut.group_by("limit").len().sort("len", "limit", descending=[True, False])
    middle = cut.get_column("share").median()
    return Capped(
        sent.height,
        dict(counts.iter_rows()),
        float(middle) if cut.height else 1.0,  # type: ignore[arg-type]
    )


def capped_text(capped: Capped | None) -> str:
    """Return that every entry was cut by a limit; empty text where one was not."""
    if capped is None or capped.entries < _MIN_ENTRIES or sum(capped.by.values()) < capped.entries:
        return ""
    limits = ", ".join(f"{name} {plural(times, 'time')}" for name, times in capped.by.items())
    return (
        f"Every entry was capped by a limit ({limits}): it had {percent(capped.share)} of the size "
        "that the sizing asked for."
    )
