"""Adds and takes that no trade reached are named in the verdict, and no others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from septet._results.unreached_steps import unreached_text

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


def day(number: int) -> datetime:
    return BEGIN + timedelta(days=number)


def run(*filled: tuple[str, int], trades: int = 2) -> dict[str, pl.DataFrame]:
    """Return the tables of a run: trades of ten days each, and orders of a kind on a day."""
    ids = [f"o{n}" for n in range(len(filled))]
    kinds, days = [kind for kind, _ in filled], [day(each) for _, each in filled]
    at = pl.Datetime("ns", "UTC")
    twice = [0, 0] if filled else []  # the first order fills in two parts
    rows = [*twice[1:], *range(len(filled))]
    return {
        "orders": pl.DataFrame({"order_id": ids, "reason": kinds},
                               schema={"order_id": pl.String, "reason": pl.String}),
        "fills": pl.DataFrame(
            {"order_id": [ids[n] for n in rows], "time": [days[n] for n in rows],
             "symbol": ["A"] * len(rows)},
            schema={"order_id": pl.String, "time": at, "symbol": pl.String},
        ),
        "trades": pl.DataFrame(
            {"symbol": ["A"] * trades, "entry_time": [day(20 * n) for n in range(trades)],
             "exit_time": [day(20 * n + 10) for n in range(trades)]},
            schema={"symbol": pl.String, "entry_time": at, "exit_time": at},
        ),
    }  # fmt: skip


def takes(*at: Any) -> dict[str, Any]:
    return {"risk": {"position": {"take": [{"at": each, "when": None} for each in at], "add": []}}}


@pytest.mark.parametrize(
    ("at", "filled", "text"),
    [
        ((0.01, 0.02, 0.5), [("take", 1), ("take", 21)], "2 of 3 takes never filled."),
        ((0.01, 0.02, "900.0%"), [("take", 1), ("take", 2)], "1 of 3 takes never filled."),
        (("1R", "2R"), [("take", 1), ("take", 2)], ""),
        (("1R", "2R"), [("entry", 1), ("add", 2)], "None of 2 takes ever filled."),
        ((0.01,), [("entry", 1)], "The take never filled."),
        ((0.01,), [("take", 25)], ""),
        (("1R", 0.02), [("take", 1)], ""),
        (("2 * atr", "atr"), [("take", 1)], ""),
        ((), [("entry", 1)], ""),
    ],
)
def test_takes_that_never_filled(at: Any, filled: Any, text: str) -> None:
    assert unreached_text(run(*filled), takes(*at)) == text


def test_adds_are_counted_by_their_levels_and_named_with_the_takes() -> None:
    resolved = takes(0.01)
    resolved["risk"]["position"]["add"] = [{"when": None, "at": [-0.01, -0.2, -0.9]}]
    text = unreached_text(run(("add", 1)), resolved)
    assert text == "The take never filled and 2 of 3 adds never filled."


def test_conditions_are_named_only_where_none_filled() -> None:
    resolved = {"risk": {"position": {"take": [{"at": None, "when": "a > 1"}] * 2}}}
    assert unreached_text(run(("take", 1)), resolved) == ""
    assert unreached_text(run(("entry", 1)), resolved) == "None of 2 takes ever filled."


def test_without_trades_or_steps_nothing_is_reported() -> None:
    assert unreached_text(run(trades=0), takes(0.01)) == ""
    assert unreached_text(run(("entry", 1)), {}) == ""
