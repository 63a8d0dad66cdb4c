"""Fair games and rules without skill as whole runs: how often their verdicts are wrong.

Every run has its own market or its own dice, and goes through the plan, the tables, the summary
and the sentence. The plan of a strategy is made once, and runs as plain Python.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from septet._config import load
from septet._results.summary import summarise
from septet._shell import backtest as shell
from septet._shell.aligned_bars import align_bars
from septet._shell.session import Session, alignment_rules, open_session
from septet._store.tables import frames_of

BARS, GAMES, RULES = 300, 40, 30
STEPS = 60
"""Moves of a price inside a bar."""
MISTAKEN = 0.01
"""How often a measure that keeps its promise would fail a test with other draws."""
ABOVE_HOLDING = "and its return above that of holding the same exposure"
FILE = """\
version: 1
name: verdicts
account: {capital: 10000, currency: USDT}
universe: {symbols: [AAA/USDT], bar: 1d}
data:
  candles: {use: synthetic, bars: 300, start: 2021-01-01}
  dice: {use: csv_series, path: dice.csv, known_after: 1m, max_age: 2d}
features:
  dice: {use: series, of: dice}
signal: {use: rules, long_if: dice > 0.55, exit_if: dice < 0.45, reentry: immediate}
risk:
  sizing: {use: %s}
  stops: {%s}
execution:
  simulation: {fee: 0, slippage: 0}
"""
STOPS = {
    "symmetric": "",
    "lottery": "stop_loss: 1%, take_profit: 6%",
    "pennies": "stop_loss: 6%, take_profit: 1%",
}


def session_for(folder: Path, sizing: str, stops: str = "") -> Session:
    """Return a session over bars and dice that each run replaces."""
    days = pl.datetime_range(
        pl.datetime(2020, 12, 30), pl.datetime(2021, 12, 31), "1d", time_zone="UTC", eager=True
    )
    rows = {"time": days.dt.timestamp("ns"), "value": np.full(len(days), 0.5)}
    pl.DataFrame(rows).write_csv(folder / "dice.csv")
    path = folder / "verdicts.yaml"
    path.write_text(FILE % (sizing, stops), encoding="utf-8")
    return open_session(load(path))


def market(dice: np.random.Generator, drift: float = 0.0) -> dict[str, Any]:
    """Bars of a price whose expected change is `drift` a bar, many small moves each."""
    spread = 0.02 / math.sqrt(STEPS)
    moves = dice.normal(drift / STEPS - spread**2 / 2, spread, (BARS, STEPS))
    path = 100.0 * np.exp(np.cumsum(moves).reshape(BARS, STEPS))
    opened = np.append(100.0, path[:-1, -1])
    return {
        "open": opened, "close": path[:, -1],
        "high": np.maximum(opened, path.max(axis=1)), "low": np.minimum(opened, path.min(axis=1)),
    }  # fmt: skip


def verdict_of(
    session: Session, prices: dict[str, Any], dice: np.random.Generator, skill: float = 0.0
) -> str:
    """Run a strategy over a market with its own dice; return its verdict.

    With `skill` so many of the dice know which way the bar will go that a decision trades.
    """
    bars = {name: replace(each, **prices) for name, each in session.market.bars.items()}
    table = session.market.series["dice"]
    values = dice.random(len(table.value))
    opens = next(iter(bars.values())).open_ns
    at = np.searchsorted(opens, table.stamp_ns, side="right").clip(max=BARS - 1)
    knows = dice.random(len(values)) < skill
    values = np.where(knows, (prices["close"] > prices["open"])[at], values)
    series = {"dice": replace(table, value=values)}
    made = replace(session.market, bars=bars, series=series)
    aligned = align_bars(session.plan, made, alignment_rules(session.strategy))
    own = replace(session, market=made, aligned=aligned)
    with np.errstate(all="ignore"):
        ran = shell.run_batch(own)
    result = shell._result(own, ran, [], "batch", {})
    summary: dict[str, Any] = summarise(result, frames_of(result), run_id="r")
    assert summary["trades"] >= 30
    given: str = summary["verdict"]
    assert "The average trade" in given
    return given


def at_most(share: float, count: int) -> int:
    """Return how many of `count` may be wrong: more are rarer than `MISTAKEN` at that share."""
    below = 0.0
    for wrong in range(count + 1):
        below += math.comb(count, wrong) * share**wrong * (1.0 - share) ** (count - wrong)
        if below >= 1.0 - MISTAKEN:
            return wrong
    return count


def test_verdicts_on_fair_games_are_seldom_wrong(tmp_path: Path) -> None:
    """Of those that are given an interval, as few miss zero as 92 of 100 that hold it allow."""
    wrong = given = 0
    for n, stops in enumerate(STOPS.values()):
        session = session_for(tmp_path, "fixed_quantity, quantity: 10", stops)
        for seed in range(GAMES):
            dice = np.random.default_rng([7, n, seed])
            verdict_text = verdict_of(session, market(dice), dice)
            given += "95 % interval" in verdict_text
            wrong += "was above zero" in verdict_text or "lost money" in verdict_text
    assert given >= 2 * GAMES
    assert wrong <= at_most(0.08, given), (wrong, given)


def test_rules_without_skill_in_a_rising_market(tmp_path: Path) -> None:
    """At most one of twenty is reported above holding, though most made money."""
    session = session_for(tmp_path, "fixed_fraction, fraction: 100%")
    prices = market(np.random.default_rng(3), drift=0.005)
    verdicts = [verdict_of(session, prices, np.random.default_rng([9, n])) for n in range(RULES)]
    above = sum("was above zero" in given for given in verdicts)
    passed = sum(ABOVE_HOLDING in given for given in verdicts)
    assert above >= RULES // 3, "measured over zero, many would pass"
    assert passed <= at_most(0.05, RULES), (passed, above)
    judged = sum(
        "cannot be distinguished from that of holding the same exposure" in s for s in verdicts
    )
    assert passed + judged == above


def test_a_rule_with_skill_is_above_holding(tmp_path: Path) -> None:
    session = session_for(tmp_path, "fixed_fraction, fraction: 100%")
    prices = market(np.random.default_rng(3), drift=0.005)
    made = [verdict_of(session, prices, np.random.default_rng([9, n]), 0.4) for n in range(5)]
    assert all(ABOVE_HOLDING in text for text in made)


@pytest.mark.parametrize(("share", "count", "most"), [(0.0, 60, 0), (0.08, 60, 10), (0.05, 30, 5)])
def test_the_bound_is_that_of_the_binomial_distribution(
    share: float, count: int, most: int
) -> None:
    assert at_most(share, count) == most
