"""Rows of two sources in turn are refused, however near their prices are; markets are not."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from septet._config.load import load
from septet._data.alternation import Alternation
from septet._data.bad_rows import doubts
from septet._data.level_checks import LEVEL_SIGN
from septet._data.load import load_market
from septet._data.stretches import Memory, Stretches
from septet.errors import DataError
from tests.data.helpers import HOUR_NS, START_NS, checked

PRICES = ("open", "high", "low", "close")
Bars = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def bars_of(moves: np.ndarray, gaps: np.ndarray, draw: np.random.Generator, wick: float) -> Bars:
    """Bars that open off the close before by `gaps` and move by `moves`, logarithms."""
    logs = np.cumsum(moves + gaps)
    close, opened = 100.0 * np.exp(logs), 100.0 * np.exp(logs - moves)
    high = np.maximum(opened, close) * np.exp(wick * draw.random(len(logs)))
    return opened, high, np.minimum(opened, close) * np.exp(-wick * draw.random(len(logs))), close


def walk(count: int, seed: int, size: float, gap: float = 0.0) -> Bars:
    draw = np.random.default_rng(seed)
    gaps = draw.normal(0.0, gap, count) if gap else np.zeros(count)
    return bars_of(draw.normal(0.0, size, count), gaps, draw, 0.3 * size)


def mixed(bars: Bars, ratio: float, other: np.ndarray) -> pl.DataFrame:
    """Bars of which some are of a source that is dearer by `ratio`."""
    times = START_NS + HOUR_NS * np.arange(len(other), dtype=np.int64)
    columns = {name: each * np.where(other, ratio, 1.0) for name, each in zip(PRICES, bars)}  # noqa: B905
    return pl.DataFrame({"timestamp": times, **columns, "volume": np.ones(len(other))})


def found_in(bars: Bars) -> Alternation:
    found = Alternation()
    found.add(np.arange(len(bars[0]), dtype=np.int64), *bars)
    found.finish()
    return found


@pytest.mark.parametrize(("ratio", "size"), [(1.02, 0.01), (1.01, 0.01), (1.003, 0.003)])
@pytest.mark.parametrize("rows", [1, 2, 5, 24])
@pytest.mark.parametrize("seed", range(3))
def test_a_dearer_source_in_turn_is_refused(
    ratio: float, size: float, rows: int, seed: int
) -> None:
    frame = mixed(walk(4_000, seed, size), ratio, np.arange(4_000) // rows % 2 == 1)
    order = "row by row" if rows == 1 else f"every {rows} rows"
    with pytest.raises(DataError, match=f"price_levels: (?s:.*)take turns, {order}") as caught:
        checked(frame)
    assert "as if rows of two symbols or sources were mixed" in str(caught.value)
    assert "policy: {price_levels: keep}" in str(caught.value)
    kept = checked(frame, policy={"price_levels": "keep"})
    assert len(kept.bars) == 4_000
    assert LEVEL_SIGN not in {each.kind for each in kept.findings}


@pytest.mark.parametrize("count", [200, 1_000])
def test_few_rows_and_opens_off_the_close_before_are_enough(count: int) -> None:
    frame = mixed(walk(count, 1, 0.01, 0.005), 1.02, np.arange(count) % 2 == 1)
    with pytest.raises(DataError, match="row by row"):
        checked(frame)


def test_a_dearer_source_in_no_order_is_refused() -> None:
    other = np.random.default_rng(5).random(2_000) < 0.5
    with pytest.raises(DataError, match="take turns, in no fixed order"):
        checked(mixed(walk(2_000, 2, 0.01), 1.02, other))


def test_what_is_likely_is_a_warning() -> None:
    other = np.random.default_rng(5).random(2_000) < 0.5
    (doubt,) = doubts(checked(mixed(walk(2_000, 2, 0.01, 0.01), 1.02, other)).findings)
    assert doubt.kind == LEVEL_SIGN
    assert "two price levels" in doubt.message
    assert "policy: {price_levels: keep}" in doubt.hint


TEXT = """\
version: 1
name: x
universe: {symbols: [BTC/USDT], bar: 1h}
data: {candles: {use: parquet, path: "{symbol}.parquet"}}
features: {fast: {use: sma, period: 5}}
signal: {use: rules, long_if: close > fast, exit_if: close < fast}
risk: {sizing: {use: fixed_fraction, fraction: 50%}}
"""


@pytest.mark.parametrize(("ratio", "rows"), [(1.02, 1), (1.3, 200), (20.0, 200), (4.0, 60)])
def test_stretches_refuse_the_levels_that_the_whole_refuses(
    tmp_path: Path, ratio: float, rows: int
) -> None:
    (tmp_path / "x.yaml").write_text(TEXT, encoding="utf-8")
    frame = mixed(walk(6_000, 3, 0.005), ratio, np.arange(6_000) // rows % 2 == 1)
    frame.write_parquet(tmp_path / "BTCUSDT.parquet")
    loaded = load(tmp_path / "x.yaml")

    def stretches(_: object) -> object:
        return list(Stretches(loaded, bars=100, memory=Memory(20), warmup_ns=0))

    for read in (load_market, stretches):
        with pytest.raises(DataError, match=r"price_(levels|step)"):
            read(loaded)
    keeps = TEXT.replace('parquet"', 'parquet", policy: {price_levels: keep, price_step: keep}')
    (tmp_path / "x.yaml").write_text(keeps, encoding="utf-8")
    loaded = load(tmp_path / "x.yaml")
    parts = Stretches(loaded, bars=100, memory=Memory(20), warmup_ns=0)
    assert sum(1 for _ in parts) > 50
    kinds = ("price_levels", "price_step", "price_gap")
    counted = [
        {
            (each.kind, each.message, each.count, each.examples)
            for each in found
            if each.kind in kinds
        }
        for found in (parts.findings, load_market(loaded).findings)
    ]
    assert counted[0] == counted[1]


@pytest.mark.parametrize("lengths", [[1, 700, 32_767, 2], [32_768], [7_000] * 5])
def test_parts_have_what_the_whole_has(lengths: list[int]) -> None:
    count = 40_000
    bars = mixed(walk(count, 4, 0.01), 1.01, np.arange(count) % 2 == 1)
    columns = [bars[name].to_numpy() for name in ("timestamp", *PRICES)]
    whole, parts = Alternation(), Alternation()
    whole.add(*columns)
    for begin, end in pairwise([0, *np.minimum(np.cumsum(lengths), count).tolist(), count]):
        parts.add(*(each[begin:end] for each in columns))
    whole.finish()
    parts.finish()
    assert parts.certain == whole.certain
    assert parts.likely == whole.likely
    assert whole.certain


def _plain(draw: np.random.Generator, count: int) -> Bars:
    size = draw.choice([0.001, 0.01, 0.04])
    return walk(count, int(draw.integers(2**31)), size, size * draw.choice([0.0, 0.3, 1.0, 2.0]))


def _fat_tails(draw: np.random.Generator, count: int) -> Bars:
    moves, gaps = draw.standard_t(2.5, (2, count))
    return bars_of(0.01 * moves, 0.005 * gaps, draw, 0.003)


def _closes(draw: np.random.Generator, count: int) -> Bars:
    close = np.exp(np.cumsum(draw.normal(0.0, 0.01, count)))
    return close, close, close, close


def _constant(_: np.random.Generator, count: int) -> Bars:
    close = np.full(count, 100.0)
    return close, close, close, close


def _nights(draw: np.random.Generator, count: int) -> Bars:
    gaps = np.zeros(count)
    gaps[::7] = 0.02 * draw.standard_t(3.0, len(gaps[::7]))
    return bars_of(draw.normal(0.0, 0.002, count), gaps, draw, 0.0005)


def _noisy_closes(draw: np.random.Generator, count: int) -> Bars:
    close = np.exp(np.cumsum(draw.normal(0.0, 0.01, count)) + draw.normal(0.0, 0.005, count))
    opened = np.concatenate((close[:1], close[:-1]))
    return opened, np.maximum(opened, close) * 1.002, np.minimum(opened, close) * 0.998, close


def _coarse_ticks(draw: np.random.Generator, count: int) -> Bars:
    path = np.round(np.cumsum(draw.normal(0.0, 0.1, 4 * count)) % 8.0 + 3.0) * 0.01
    bars = path.reshape(count, 4)
    return bars[:, 0], bars.max(axis=1), bars.min(axis=1), bars[:, -1]


def _rare_trades(draw: np.random.Generator, count: int) -> Bars:
    """Trades at bid and ask, none to four in a bar; a bar without one has the close before."""
    logs = np.cumsum(draw.normal(0.0, draw.choice([0.0003, 0.001, 0.005]), 4 * count))
    side = draw.choice([0.0005, 0.002, 0.01]) * ((draw.random(4 * count) < 0.5) - 0.5)
    tick = draw.choice([1e-9, 0.01, 0.05])
    price = (np.round(100.0 * np.exp(logs + side) / tick) * tick).reshape(count, 4)
    trades = draw.poisson(draw.choice([0.7, 1.5, 3.0]), count).clip(0, 4)
    bars, last = np.empty((4, count)), price[0, 0]
    for row, some in enumerate(trades.tolist()):
        seen = price[row, :some] if some else np.array([last])
        bars[:, row] = seen[0], seen.max(), seen.min(), seen[-1]
        last = seen[-1]
    return bars[0], bars[1], bars[2], bars[3]


MARKETS = (
    _plain, _fat_tails, _closes, _constant, _nights, _noisy_closes, _coarse_ticks, _rare_trades,
)  # fmt: skip


@pytest.mark.parametrize("market", MARKETS)
def test_markets_take_no_turns(market: Callable[[np.random.Generator, int], Bars]) -> None:
    for seed in range(60):
        draw = np.random.default_rng(seed)
        found = found_in(market(draw, int(draw.choice([130, 300, 1_000, 3_000]))))
        assert not found.certain, seed
        assert not found.likely, seed
