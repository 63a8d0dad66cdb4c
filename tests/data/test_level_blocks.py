"""Blocks of rows of another symbol are refused at any ratio; what markets do is not."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from septet._config.load import load
from septet._data.bad_rows import doubts
from septet._data.level_blocks import LevelBlocks, LevelEdge, likely_blocks, mixed_blocks
from septet._data.level_checks import LEVEL_SIGN
from septet._data.load import load_market, read_candles
from septet._data.stretches import Memory, Stretches
from septet.errors import DataError
from septet_plugins.data.sample import SAMPLES
from tests.data.helpers import HOUR_NS, START_NS, block, checked, request

PRICES = ("open", "high", "low", "close")
TEXT = """\
version: 1
name: x
universe: {symbols: [BTC/USDT], bar: 1h}
data: {candles: {use: parquet, path: "{symbol}.parquet"}}
features: {fast: {use: sma, period: 5}}
signal: {use: rules, long_if: close > fast, exit_if: close < fast}
risk: {sizing: {use: fixed_fraction, fraction: 50%}}
"""
Bars = tuple[np.ndarray, np.ndarray, np.ndarray]


def walk(count: int, seed: int, size: float = 0.005) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(draw.normal(0.0, size, count)))
    opened = np.concatenate(([100.0], close[:-1]))
    return pl.DataFrame(
        {
            "timestamp": START_NS + HOUR_NS * np.arange(count, dtype=np.int64),
            "open": opened,
            "high": np.maximum(opened, close) * (1.0 + size / 3.0 * draw.random(count)),
            "low": np.minimum(opened, close) * (1.0 - size / 3.0 * draw.random(count)),
            "close": close,
            "volume": np.ones(count),
        }
    )


def mixed(rows: int, ratio: float, count: int = 2_000, *, alike: bool = True) -> pl.DataFrame:
    """Rows of two symbols in turn, a block of each; they move alike, or by themselves."""
    first, second = walk(count, 1), walk(count, 1 if alike else 2)
    second = second.with_columns(pl.col(name) * ratio for name in PRICES)
    other = pl.Series(np.arange(count) // rows % 2 == 1)
    return pl.DataFrame({name: second[name].zip_with(other, first[name]) for name in first.columns})


@pytest.mark.parametrize("ratio", [1.15, 1.3, 1.5, 1.9, 3.0])
@pytest.mark.parametrize("rows", [1, 15, 100])
def test_blocks_of_two_symbols_are_refused(rows: int, ratio: float) -> None:
    frame = mixed(rows, ratio)
    with pytest.raises(DataError, match=r"price_levels: \d+ closes that jump between separate"):
        checked(frame, max_bad=0.01)
    kept = checked(frame, policy={"price_levels": "keep", "price_step": "keep"})
    assert len(kept.bars) == frame.height
    assert LEVEL_SIGN not in {each.kind for each in kept.findings}


@pytest.mark.parametrize("rows", [20, 50])
def test_blocks_of_symbols_that_go_their_own_ways_are_refused(rows: int) -> None:
    with pytest.raises(DataError, match="price_levels"):
        checked(mixed(rows, 1.6, alike=False), max_bad=0.01)


def test_a_few_blocks_are_a_warning() -> None:
    frame = mixed(500, 1.4)
    (doubt,) = doubts(checked(frame, max_bad=0.01).findings)
    assert doubt.kind == LEVEL_SIGN
    assert "jump to another price level and back" in doubt.message
    assert "2020-02-11T16:00:00Z" in doubt.message
    assert "policy: {price_levels: keep}" in doubt.hint
    assert not doubts(checked(frame, policy={"price_levels": "keep"}).findings)


@pytest.mark.parametrize(("rows", "ratio"), [(15, 1.15), (100, 1.5), (500, 1.4)])
def test_stretches_give_of_blocks_what_the_whole_gives(
    tmp_path: Path, rows: int, ratio: float
) -> None:
    (tmp_path / "x.yaml").write_text(TEXT, encoding="utf-8")
    mixed(rows, ratio).write_parquet(tmp_path / "BTCUSDT.parquet")
    loaded = load(tmp_path / "x.yaml")
    if rows < 500:
        for read in (load_market, lambda it: list(_stretches(it))):
            with pytest.raises(DataError, match="price_levels"):
                read(loaded)
        return
    parts = _stretches(loaded)
    assert sum(1 for _ in parts) > 10
    signs = [
        [(each.count, each.examples) for each in found if each.kind == LEVEL_SIGN]
        for found in (parts.findings, load_market(loaded).findings)
    ]
    assert signs[0] == signs[1]
    assert len(signs[0]) == 1


def _stretches(loaded: object) -> Stretches:
    return Stretches(loaded, bars=100, memory=Memory(20), warmup_ns=0)  # type: ignore[arg-type]


@given(st.lists(st.integers(0, 90), max_size=12), st.sampled_from([3, 15, 100]))
def test_parts_have_the_jumps_of_the_whole(lengths: list[int], rows: int) -> None:
    frame = mixed(rows, 1.3, 600)
    columns = [frame[name].to_numpy() for name in ("timestamp", "high", "low", "close")]
    whole, parts = LevelBlocks(HOUR_NS), LevelBlocks(HOUR_NS)
    whole.add(*columns)
    cuts = [0, *np.minimum(np.cumsum(lengths), 600).tolist(), 600]
    for begin, end in pairwise(cuts):
        parts.add(*(each[begin:end] for each in columns))
    assert parts.finish() == whole.finish()
    assert len(whole.finish()) == 599 // rows


@pytest.mark.parametrize("symbol", sorted(SAMPLES))
def test_bundled_samples_have_no_blocks(symbol: str) -> None:
    for each in SAMPLES[symbol]:
        made = block("candles", "sample", {"adjust": "none"})
        ((_, done),) = read_candles(made, request(each.bar, symbol))
        assert not {"price_levels", LEVEL_SIGN} & {found.kind for found in done.findings}


def _own_open(logs: np.ndarray, draw: np.random.Generator, wick: float) -> Bars:
    close = np.exp(logs)
    opened = np.concatenate((close[:1], close[:-1]))
    high = np.maximum(opened, close) * np.exp(wick * draw.random(len(close)))
    return high, np.minimum(opened, close) * np.exp(-wick * draw.random(len(close))), close


def _closes(draw: np.random.Generator) -> Bars:
    close = np.exp(np.cumsum(draw.standard_t(3.0, 3_000) * draw.choice([0.002, 0.01, 0.04])))
    return close, close, close


def _volatility_in_clusters(draw: np.random.Generator) -> Bars:
    moves, variance = np.empty(3_000), 1e-4
    for at in range(3_000):
        moves[at] = draw.standard_t(4.0) * np.sqrt(variance / 2.0)
        variance = 1e-6 + 0.1 * moves[at] ** 2 + 0.89 * variance
    return _own_open(np.cumsum(moves), draw, 0.004)


def _jumps(sizes: np.ndarray, size: float, draw: np.random.Generator) -> Bars:
    """Return a walk whose whole bars are shifted by jumps, so that the ranges beside are empty."""
    bars = _own_open(np.cumsum(draw.normal(0.0, size, 3_000)), draw, size)
    shift = np.zeros(3_000)
    shift[draw.integers(100, 2_900, len(sizes))] = sizes
    high, low, close = (each * np.exp(np.cumsum(shift)) for each in bars)
    return high, low, close


def _halts(draw: np.random.Generator) -> Bars:
    return _jumps(draw.standard_t(3.0, int(draw.integers(2, 12))) * 0.1, 0.003, draw)


def _splits(draw: np.random.Generator) -> Bars:
    return _jumps(np.log(draw.choice([0.5, 1 / 3, 0.25, 0.1], draw.integers(1, 6))), 0.015, draw)


def _crash(draw: np.random.Generator) -> Bars:
    """Return a fall through all prices within a few bars, and the way back."""
    logs = np.cumsum(draw.normal(0.0, 0.002, 3_000))
    for _ in range(int(draw.integers(1, 5))):
        at, bars, depth = int(draw.integers(100, 2_800)), int(draw.integers(1, 60)), draw.random()
        logs[at : at + bars] -= depth
    return _own_open(logs, draw, 0.002)


def _nights(draw: np.random.Generator) -> Bars:
    """Return sessions of minutes with wide gaps over night."""
    moves = draw.normal(0.0, 0.0005, 6_000)
    bars = _own_open(np.cumsum(moves), draw, 0.0005)
    shift = np.zeros(6_000)
    shift[::60] = draw.standard_t(3.0, 100) * 0.04
    high, low, close = (each * np.exp(np.cumsum(shift)) for each in bars)
    return high, low, close


def _coarse_ticks(draw: np.random.Generator) -> Bars:
    path = np.round(np.cumsum(draw.normal(0.0, 0.1, 12_000)) % 8.0 + 3.0) * 0.01
    bars = path.reshape(3_000, 4)
    return bars.max(axis=1), bars.min(axis=1), bars[:, -1]


def _bid_and_ask(draw: np.random.Generator) -> Bars:
    """Return rare trades at a bid and an ask a tenth apart, one for each bar."""
    close = np.exp(np.cumsum(draw.normal(0.0, 0.002, 2_000)) + 0.1 * (draw.random(2_000) < 0.5))
    return close, close, close


MARKETS = (
    _closes, _volatility_in_clusters, _halts, _splits, _crash, _nights, _coarse_ticks, _bid_and_ask,
)  # fmt: skip


def _edges(bars: Bars, every: int) -> list[LevelEdge]:
    """Jumps of bars a nanosecond long, of which a night follows every so many."""
    count = np.arange(len(bars[0]), dtype=np.int64)
    blocks = LevelBlocks(1)
    blocks.add(count + count // every * 1_000, *bars)
    return blocks.finish()


@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize("seed", range(12))
def test_no_market_is_refused_for_its_jumps(market: object, seed: int) -> None:
    bars = market(np.random.default_rng(seed))  # type: ignore[operator]
    edges = _edges(bars, 60 if market is _nights else 10**9)
    assert mixed_blocks(edges) == []
    if market not in (_halts, _bid_and_ask):
        assert likely_blocks(edges) == []
