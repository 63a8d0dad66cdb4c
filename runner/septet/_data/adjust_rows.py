"""Adjustment of prices by the key `adjust`: none, for splits, or for splits and dividends."""

from __future__ import annotations

import numpy as np

from septet._data import adjust
from septet._data.bar_checks import MAX_VALUE, MIN_VALUE, Rows, numbers_of, pick
from septet._data.bars import Ints
from septet._data.defects import Findings, first_rows
from septet._data.source import RawBars
from septet._data.stamps import iso
from septet.errors import DataError
from septet_schemas.data import CandlesConfig

__all__ = ["adjust_rows"]


def adjust_rows(
    raw: RawBars,
    keys: CandlesConfig,
    findings: Findings,
    rows: Rows,
    order: Ints | slice,
    time_ns: Ints,
) -> Rows:
    """Apply `adjust` if the data has an adjusted close or splits.

    `order` selects the raw rows from which `rows` and `time_ns` were made.

    Raises
    ------
    DataError
        If there is an adjusted close and `adjust` is not set, if the column that `adjust` needs
        is missing, or if its values are not valid factors.
    """
    columns = raw.frame.columns
    has_close, has_split = "adj_close" in columns, "split" in columns
    if not has_close and not has_split:
        if keys.adjust in ("splits", "total"):
            raise DataError(
                f"{raw.symbol} from {raw.facts.origin}: adjust: {keys.adjust} needs a column "
                f"adj_close{' or split' if keys.adjust == 'splits' else ''}; "
                f"found {', '.join(columns)}",
                hint="write adjust: none, or bring adjusted data",
            )
        return rows
    if keys.adjust is None:
        raise DataError(
            f"{raw.symbol} from {raw.facts.origin}: the data has "
            f"{'an adjusted close' if has_close else 'a column of splits'}, and nothing "
            "states what to do with it; unadjusted prices show a split as a loss of half",
            hint="write adjust: total (splits and dividends), adjust: splits or adjust: none"
            if has_close
            else "write adjust: splits, or adjust: none if the prices are adjusted already",
        )
    if keys.adjust == "none":
        return rows
    if keys.adjust == "splits" and has_split:
        change = pick(numbers_of(raw.frame["split"]), order)
        change = np.where(np.isfinite(change) & (change > 0.0), change, 1.0)
        later = np.cumprod(change[::-1])[::-1] / change
        return adjust.adjusted(rows, 1.0 / later)
    if not has_close:
        raise DataError(
            f"{raw.symbol} from {raw.facts.origin}: adjust: total needs a column adj_close",
            hint="write adjust: splits",
        )
    return _adjust_by_close(raw, keys, findings, rows, order, time_ns)


def _adjust_by_close(
    raw: RawBars,
    keys: CandlesConfig,
    findings: Findings,
    rows: Rows,
    order: Ints | slice,
    time_ns: Ints,
) -> Rows:
    with np.errstate(over="ignore"):  # an overflow is not finite, and rejected
        total = pick(numbers_of(raw.frame["adj_close"]), order) / rows.close
        bad = ~((total * rows.high <= MAX_VALUE) & (total * rows.low >= MIN_VALUE))
    if bad.any():
        findings("bad_adjustment", int(bad.sum()), [iso(time_ns[j]) for j in first_rows(bad)])
        raise DataError(
            f"{raw.symbol} from {raw.facts.origin}: {int(bad.sum())} adjusted closes are missing "
            f"or not above zero, first at {iso(time_ns[first_rows(bad)[0]])}",
            hint="mend the column, or write adjust: none",
        )
    if keys.adjust == "total":
        findings.note("prices are adjusted for splits and dividends: levels and lots are not "
                         "historical")  # fmt: skip
        return adjust.adjusted(rows, total)
    factor, splits = adjust.split_factors(total)
    findings("split", len(splits), [f"{iso(time_ns[row])} {ratio} for 1" for row, ratio in splits])
    findings.note("prices are adjusted for splits: levels and lots are not historical")
    return adjust.adjusted(rows, factor)
