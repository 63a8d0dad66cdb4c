"""Made-up bars: seeded, prefix-stable, and W1 to the last bit."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet._data import stamps
from septet._data.load import read_candles
from septet.errors import DataError
from septet_plugins.data.synthetic import LAST_NS, SyntheticConfig, w1_bars, walk_bars
from tests.data.helpers import HOUR_NS, MINUTE_NS, NAMES, START_NS, block, counts, request
from tests.scale import examples


def test_w1_is_the_published_walk() -> None:
    """Figures of the walk's first and last bars, and a checksum of every close.

    Rounded to cents: machines may differ in the last bit of an exponential.
    """
    bars = w1_bars()
    assert len(bars["close"]) == 1_000_000
    assert bars["timestamp"][0] == START_NS
    assert bars["timestamp"][-1] == START_NS + 999_999 * MINUTE_NS
    assert bars["close"][[0, -1]].tolist() == pytest.approx(
        [30000.02952369511, 27411.672943703674], rel=1e-12
    )
    for name in NAMES:
        assert np.isfinite(bars[name]).all()
    assert (bars["high"] >= np.maximum(bars["open"], bars["close"])).all()
    assert (bars["low"] <= np.minimum(bars["open"], bars["close"])).all()
    digest = hashlib.sha256(np.round(bars["close"], 2).tobytes()).hexdigest()
    assert digest == W1_DIGEST
    head = w1_bars(1_000)
    assert all((head[name] == bars[name][:1_000]).all() for name in bars)


W1_DIGEST = "e34395ffe6942aeca90763ea9abb98e09b9d6aea169c12f26480f770dd6bcdcf"


def test_w1_through_the_source_is_clean() -> None:
    made = block("candles", "synthetic", series="w1", bars=20_000)
    ((_, done),) = read_candles(made, request("1m", "BTC/USDT"))
    assert counts(done.findings) == {}
    assert done.bars.close.tolist() == w1_bars(20_000)["close"].tolist()
    with pytest.raises(DataError, match=r"bars of 1m, asked for 1h"):
        read_candles(made, request("1h", "BTC/USDT"))


@settings(max_examples=examples(25), deadline=None)
@given(st.integers(0, 2**40), st.integers(2, 300), st.booleans(), st.sampled_from([0.0, 0.5, 1.0]))
def test_a_longer_walk_begins_with_the_shorter(
    seed: int, count: int, regimes: bool, common: float
) -> None:
    options = {"seed": seed, "regimes": regimes, "common": common, "regime_bars": 20}
    short = walk_bars(SyntheticConfig(bars=count, **options), "A", HOUR_NS)
    long = walk_bars(SyntheticConfig(bars=count + 77, **options), "A", HOUR_NS)
    for name, values in short.items():
        assert values.tolist() == long[name][:count].tolist()
    assert (short["high"] >= np.maximum(short["open"], short["close"])).all()
    assert (short["low"] <= np.minimum(short["open"], short["close"])).all()
    assert (short["low"] > 0.0).all()


def test_synthetic_bars_may_end_after_today() -> None:
    """The default number of daily bars ends in 2047: they were refused as unfinished."""
    ((_, done),) = read_candles(block("candles", "synthetic"), request("1d", "BTC/USDT"))
    assert counts(done.findings) == {}
    assert len(done.bars.close) == 10_000


def test_seeds_and_symbols_differ_and_may_move_together() -> None:
    def steps(symbol: str, **expected: object) -> np.ndarray:
        config = SyntheticConfig(bars=4_000, **expected)
        return np.diff(np.log(walk_bars(config, symbol, HOUR_NS)["close"]))

    apart = np.corrcoef(steps("A"), steps("B"))[0, 1]
    near = np.corrcoef(steps("A", common="64%"), steps("B", common="64%"))[0, 1]
    assert abs(apart) < 0.06
    assert abs(near - 0.64) < 0.06
    assert steps("A", seed=1).tolist() != steps("A", seed=2).tolist()
    wild = steps("A", regimes=True, regime_bars=200)
    blocks = wild[: 4_000 // 100 * 100 - 100].reshape(-1, 100).std(axis=1)
    assert blocks.max() / blocks.min() > 2.5


def test_gaps_and_defects_on_request() -> None:
    made = block(
        "candles",
        "synthetic",
        bars=3_000,
        gaps=6,
        gap_bars=9,
        defects={"conflict": 4, "off_grid": 2},
    )
    ((_, done),) = read_candles(made, request("1h", "X"))
    found = counts(done.findings)
    assert found["conflict"] == 4
    assert found["off_grid"] == 2
    assert 8 <= found["gap"] <= 6 * 9 + 2
    with pytest.raises(DataError, match="9999 defects do not fit"):
        read_candles(
            block("candles", "synthetic", bars=50, defects={"gap": 9_999}), request("1h", "X")
        )


def test_more_bars_than_the_years_of_stamps_hold_are_refused_with_the_largest_number() -> None:
    """Ten million bars of 15m were drawn, and failed as stamps that cannot be read."""
    assert LAST_NS == stamps._LAST_NS
    bar_ns = 15 * 60 * 10**9
    start = SyntheticConfig(bars=10).start
    most = (LAST_NS - start) // bar_ns
    with pytest.raises(DataError, match=f"at most {most:,} fit") as caught:
        walk_bars(SyntheticConfig(bars=10_000_000), "BTC/USDT", bar_ns)
    assert f"write bars: {most}" in caught.value.hint
    assert caught.value.key == "bars"
    few = LAST_NS - 3 * bar_ns
    day = "2129-12-31T23:15:00Z"
    assert len(walk_bars(SyntheticConfig(bars=3, start=day), "B", bar_ns)["timestamp"]) == 3
    with pytest.raises(DataError, match="at most 3 fit"):
        walk_bars(SyntheticConfig(bars=4, start=day), "B", bar_ns)
    assert walk_bars(SyntheticConfig(bars=3, start=day), "B", bar_ns)["timestamp"][0] == few
