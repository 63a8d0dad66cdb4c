from __future__ import annotations

import polars as pl
import pytest
from msgspec.structs import replace

from septet._results.no_trades import Idleness, idleness_of, why_idle

BOTH = ("long_if", "short_if", "exit_if")


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (Idleness({"none": 90}, rules=("long_if", "short_if")),
         "long_if and short_if were true on no bar."),
        (Idleness({"none": 90}, other={"conflict": 4, "no_rule_true": 86}, rules=BOTH),
         "No decision asked for a position: long_if and short_if were true together (conflict, "
         "4 times) and neither alone."),
        (Idleness({"none": 90}, other={"below_threshold": 80, "not_finite": 10}),
         "No decision asked for a position: below_threshold 80 times, not_finite 10 times."),
        (Idleness({"none": 90}, other={"below_threshold": 90}, threshold=0.55, confidence=0.3125),
         "No decision asked for a position: below_threshold 90 times. Threshold 0.55 of the "
         "confidence, 2 * |p - 0.5|, asks for p of 0.775 or more for long, 0.225 or less for "
         "short; the highest confidence of the run was 0.312."),
        (Idleness({"none": 60, "flat": 30}, other={"short_as_flat": 30}),
         "No decision asked for a position: short_as_flat 30 times."),
        (Idleness({"none": 90}), "None of 90 decisions asked for a position."),
        (Idleness({"long": 9}, rejected={"lot": 4, "cash": 3, "size": 1, "late": 1}),
         "9 decisions asked for a position: all of them were rejected (lot 4 times, cash 3 times, "
         "late 1 time, other reasons 1 time)."),
        (Idleness({"long": 9}, rejected={"lot": 4}, orders={"no_market": 5}),
         "9 decisions asked for a position: 4 were rejected (lot 4 times) and none of 5 orders was "
         "filled (no_market 5 times)."),
        (Idleness(None, orders={"unfilled": 1}), "None of 1 order was filled (unfilled 1 time)."),
        (Idleness({"none": 90}, waits={"quorum": 9}),
         "No rebalance was made: a due one could not act whole (quorum 9 times). A smaller share "
         "of the members than portfolio.rebalance.quorum had a bar at these times."),
        (Idleness(None, waits={"closed_hours": 9}),
         "No rebalance was made: a due one could not act whole (closed_hours 9 times)."),
        (Idleness(None), ""),
        (Idleness({"long": 1}), ""),
    ],
)  # fmt: skip
def test_why_nothing_was_traded(seen: Idleness, expected: str) -> None:
    rejected = dict(sorted(seen.rejected.items(), key=lambda item: (-item[1], item[0])))
    again = replace(seen, rejected=rejected)
    assert why_idle(again) == expected


@pytest.mark.parametrize("use", ["confidence", "septet:confidence"])
def test_the_threshold_and_the_highest_confidence_are_read_of_a_run(use: str) -> None:
    decisions = pl.DataFrame(
        {
            "signal": ["none"] * 4, "rejected_by": ["below_threshold"] * 3 + ["not_finite"],
            "confidence": [0.1, 0.31, 0.2, float("nan")],
        }
    )  # fmt: skip
    orders = pl.DataFrame(schema={"status": pl.String, "ended_by": pl.String})
    frames = {"decisions": decisions, "orders": orders}
    seen = idleness_of(frames, {"signal": {"use": use, "threshold": 0.55}})
    assert (seen.threshold, seen.confidence) == (0.55, 0.31)
    assert "p of 0.775 or more" in why_idle(seen)
    other = idleness_of(frames, {"signal": {"use": "rules", "threshold": 0.55}})
    assert (other.threshold, other.confidence) == (None, None)
