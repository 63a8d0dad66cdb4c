"""A formula as a feature is what its text says, with every number of it, in batch and event."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as draw

import septet
from tests.scale import examples

BARS = 30
TEXT = """
version: 1
name: formulas
account: {capital: 10000}
universe: {symbols: [BTC/USDT], bar: 1h}
data: {candles: {use: parquet, path: none.parquet}}
features:
  slow: {use: lag, of: close, by: 2}
{features}
signal: {use: rules, long_if: close > 1e9}
risk: {sizing: {use: fixed_fraction, fraction: 10%}}
execution: {simulation: {fee: 0bps, slippage: 0bps}}
"""


def _parts(inner: draw.SearchStrategy[str]) -> draw.SearchStrategy[str]:
    pairs = draw.tuples(inner, inner)
    return draw.one_of(
        draw.tuples(draw.sampled_from("+-*/"), pairs).map(
            lambda p: f"({p[1][0]} {p[0]} {p[1][1]})"
        ),
        draw.tuples(draw.sampled_from(["max", "min"]), pairs).map(
            lambda p: f"{p[0]}({p[1][0]}, {p[1][1]})"
        ),
    )


NUMBERS = draw.decimals(0, 9, places=2).map(str)
FORMULAS = draw.recursive(
    NUMBERS | draw.sampled_from(["close", "slow", "open"]), _parts, max_leaves=7
)


def _expected(text: str, frame: pl.DataFrame, row: int) -> float:
    close, open_ = frame["close"], frame["open"]
    names = {
        "close": close[row],
        "open": open_[row],
        "slow": close[row - 2],
        "max": max,
        "min": min,
    }
    try:
        return float(eval(text, {"__builtins__": {}}, names))
    except ZeroDivisionError:
        return float("nan")


@settings(max_examples=examples(15), deadline=None)
@given(draw.integers(0, 999), draw.lists(FORMULAS, min_size=4, max_size=4))
def test_every_number_of_a_formula_counts(seed: int, formulas: list[str]) -> None:
    chance = np.random.default_rng(seed)
    close = np.round(100 + chance.normal(size=BARS).cumsum(), 2)
    frame = pl.DataFrame(
        {
            "time": [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(BARS)],
            "open": close + 0.25, "high": close + 1, "low": close - 1, "close": close,
            "volume": np.ones(BARS),
        }
    )  # fmt: skip
    rows = "\n".join(
        f'  f{number}: {{use: expr, formula: "close * 0 + {text}"}}'
        for number, text in enumerate(formulas)
    )
    strategy = septet.loads(TEXT.replace("{features}", rows))
    tables = {}
    for engine in ("batch", "event"):
        tables[engine] = septet.run(strategy, data=frame, engine=engine).decisions
    assert tables["batch"].equals(tables["event"])
    found = tables["batch"]
    first = BARS - len(found)
    for number, text in enumerate(formulas):
        for row in range(2 - first, len(found)):
            wanted = _expected(f"close * 0 + {text}", frame, first + row)
            value = found[f"f{number}"][row]
            assert value == wanted or (np.isnan(wanted) and np.isnan(value)), (text, row)
