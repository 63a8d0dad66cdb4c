"""Conditions that `why` evaluates are those that the plan of the run evaluated."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from septet._config import load
from septet._report.conditions import condition_at
from septet._report.save import save_run
from septet._shell.backtest import backtest
from septet._store.run_folder import Run
from septet.errors import ConfigError
from tests.report.read_once import ReadOnce

FILE = """
version: 1
name: drawn
account: {{capital: 10000, currency: USDT}}
universe: {{symbols: [AA/USDT], bar: 1d}}
data: {{candles: {data}}}
features:
  fast: {{use: sma, period: 3}}
  part: {{use: expr, formula: log(close - {level})}}
  none: {{use: expr, formula: 1 / (close - close)}}
signal: {{use: rules, long_if: '{text}'}}
risk: {{sizing: {{use: fixed_fraction, fraction: 20%}}}}
"""
SYNTHETIC = "{use: synthetic, bars: 90, seed: 3}"
NAMES = ("fast", "part", "none", "close", "volume", "open")


def number(rng: random.Random, depth: int) -> str:
    kind = rng.randrange(9 if depth else 2)
    if kind == 0:
        return rng.choice(("0", "1.5", "3", "100", "1e-3"))
    if kind == 1:
        return rng.choice(NAMES)
    one, two = number(rng, depth - 1), number(rng, depth - 1)
    return {
        2: f"({one} {rng.choice('+-*/')} {two})", 3: f"(-{one})", 4: f"({one}) ** 2",
        5: f"{rng.choice(('min', 'max'))}({one}, {two})", 6: f"prev({one}, {rng.choice((1, 2))})",
        7: f"{rng.choice(('abs', 'log', 'exp', 'sqrt', 'sign'))}({one})", 8: rng.choice(NAMES),
    }[kind]  # fmt: skip


def condition(rng: random.Random, depth: int) -> str:
    kind = rng.randrange(7 if depth else 3)
    one, two, three = (number(rng, 1) for _ in range(3))
    if kind < 3:
        return (
            f"{one} {rng.choice(('<', '<=', '>', '>=', '==', '!='))} {two}",
            f"{rng.choice(('crosses_above', 'crosses_below'))}({one}, {two})",
            f"between({one}, {two}, {three})",
        )[kind]
    left, right = condition(rng, depth - 1), condition(rng, depth - 1)
    return (f"({left}) and ({right})", f"({left}) or ({right})", f"not ({left})")[kind % 3]


def stored(tmp_path: Path, text: str, data: str = SYNTHETIC, level: float = 100.0) -> Run:
    path = tmp_path / "drawn.yaml"
    path.write_text(FILE.format(text=text, data=data, level=level), encoding="utf-8")
    made = save_run(backtest(load(str(path))), tmp_path / "runs", report=False)
    return ReadOnce(made.folder)


def states(run: Run, text: str) -> list[tuple[bool, bool | None]]:
    """Return what the plan signalled at each decision, and what `why` finds there."""
    found = []
    for row in run.table("decisions").iter_rows(named=True):
        time_ns = int(pl.Series([row["time"]]).dt.timestamp("ns").item())
        at = condition_at(run, text, "AA/USDT", time_ns)
        if at is not None:  # the bars before the first decision are not stored
            found.append((row["signal"] == "long", at.state))
    return found


def test_drawn_conditions_are_as_the_plan_found_them(tmp_path: Path) -> None:
    rng = random.Random(5)
    seen = set[bool | None]()
    tried = 0
    while tried < 14:
        text, level = condition(rng, 3), rng.choice((90.0, 100.0, 110.0))
        try:
            run = stored(tmp_path, text, level=level)
        except ConfigError:  # a condition that cannot be true is no rule
            continue
        tried += 1
        found = states(run, text)
        assert len(found) > 60, text
        for signalled, state in found:
            assert signalled == (state is True), text
            seen.add(state)
    assert seen == {True, False, None}


def test_what_reaches_over_a_cut_of_history_is_unknown(tmp_path: Path) -> None:
    first, rows = datetime(2024, 1, 1), []
    for n in range(60):
        day = first + timedelta(days=n + (30 if n >= 40 else 0))
        rows.append(f"{day:%Y-%m-%d},100,102,99,{100 + n % 2},10")
    path = tmp_path / "a.csv"
    path.write_text("time,open,high,low,close,volume\n" + "\n".join(rows), encoding="utf-8")
    text = "close != prev(close, 1)"
    run = stored(tmp_path, text, f"{{use: csv, path: {path}, stamp: open}}")
    found = states(run, text)
    assert [state for _, state in found if state is not True] == [None]
    for signalled, state in found:
        assert signalled == (state is True)
