"""Entries that limits made smaller, and the verdict where that was all of them."""

from __future__ import annotations

import polars as pl
import pytest

from septet._results.capped_entries import capped_entries, capped_text

Row = tuple[float, float, str | None, str | None]


def decisions(*rows: Row) -> pl.DataFrame:
    names = ("requested", "granted", "capped_by", "rejected_by")
    schema = {"requested": pl.Float64(), "granted": pl.Float64(),
              "capped_by": pl.String(), "rejected_by": pl.String()}  # fmt: skip
    return pl.DataFrame([dict(zip(names, row, strict=True)) for row in rows], schema=schema)


CUT: Row = (6.0, 2.0, "position", None)
SHORT: Row = (-6.0, -3.0, "gross_exposure", None)
REJECTED: Row = (6.0, 0.0, "cash", "lot")
IDLE: Row = (0.0, 0.0, None, None)
WHOLE: Row = (6.0, 6.0, None, None)
BY_A_LOT: Row = (6.0, 5.99, "cash", None)


def test_every_entry_cut_is_reported_with_the_limits_and_the_share_that_was_left() -> None:
    found = capped_entries(decisions(IDLE, CUT, CUT, REJECTED, SHORT, IDLE))
    assert found is not None
    assert found.by == {"position": 2, "gross_exposure": 1}
    assert capped_text(found) == (
        "Every entry was capped by a limit (position 2 times, gross_exposure 1 time): it had "
        "33.3 % of the size that the sizing asked for."
    )


@pytest.mark.parametrize(
    "rows", [(CUT, CUT, CUT, WHOLE), (CUT, CUT), (BY_A_LOT,) * 5, (REJECTED,) * 5, ()]
)
def test_otherwise_nothing_is_reported(rows: tuple[Row, ...]) -> None:
    assert capped_text(capped_entries(decisions(*rows))) == ""


def test_without_decisions_nothing_is_known() -> None:
    assert capped_text(capped_entries(None)) == ""
