"""The bundled real data, its known defects, and who it comes from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import septet_plugins.data.sample as sample
from septet._data.load import read_candles
from septet.errors import DataError
from septet_schemas.units import parse_duration
from tests.data.helpers import block, counts, ns, request


def test_bitcoin_with_its_real_defects() -> None:
    ((raw, done),) = read_candles(block("candles", "sample"), request("15m", "BTC/USD"))
    assert raw.frame.height == 8_721
    assert counts(done.findings) == {
        "duplicate": 21, "conflict": 11, "off_grid": 3, "zero_volume": 2_084, "gap": 243,
    }  # fmt: skip
    assert len(done.bars) == 8_721 - 32 - 3
    assert done.bars.known_ns[-1] == ns("2021-12-29T14:00")
    assert 0.0 < float(np.median(done.bars.volume)) < 100_000.0  # bitcoin, not dollars


def test_euro_closes_at_weekends_and_christmas() -> None:
    ((_, done),) = read_candles(block("candles", "sample"), request("1h", "EUR/USD"))
    assert done.calendar == "XFX"
    assert len(done.bars) == 6_225
    assert counts(done.findings) == {"gap": 15}
    weekday = (done.bars.session - ns("1970-01-05") // 86_400_000_000_000) % 7
    assert sorted(set(weekday.tolist())) == [0, 1, 2, 3, 4]


def test_five_stocks_adjusted_and_not() -> None:
    symbols = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
    asked = request("1d", *symbols)
    with pytest.raises(DataError, match="write adjust: total"):
        read_candles(block("candles", "sample"), asked)
    plain = read_candles(block("candles", "sample", {"adjust": "none"}), asked)
    total = read_candles(block("candles", "sample", {"adjust": "total"}), asked)
    for (_, bare), (_, done) in zip(plain, total, strict=True):
        assert done.calendar == "XNYS"
        assert set(counts(bare.findings)) <= {"jump", "price_gap"}  # splits
        assert done.bars.known_ns.tolist() == bare.bars.known_ns.tolist()
    apple = plain[0][1]
    assert counts(apple.findings) == {"jump": 3, "price_gap": 2}
    assert counts(total[0][1].findings) == {"jump": 1}  # 2000-09-29 was real
    split = read_candles(block("candles", "sample", {"adjust": "splits"}), asked)
    found = next(each for each in split[0][1].findings if each.kind == "split")
    assert found.examples == ("2000-06-21T13:30:00Z 2 for 1", "2005-02-28T14:30:00Z 2 for 1")
    assert len(split[1][1].bars) < len(split[0][1].bars)  # FB joins in 2012


def test_every_sample_reads() -> None:
    for symbol, sets in sample.SAMPLES.items():
        for each in sets:
            made = block("candles", "sample", {"adjust": "total"} if each.bar == "1d" else {})
            if symbol == "BTC/USD":
                made = block("candles", "sample")
            asked = request(each.bar, symbol)
            ((_, done),) = read_candles(made, asked)
            assert len(done.bars) > 150
            assert done.bars.bar_ns == parse_duration(each.bar)


def test_what_is_not_bundled_is_reported() -> None:
    with pytest.raises(DataError, match=r"no bundled sample of BTC/USD with bars of 1m(?s:.*)15m"):
        read_candles(block("candles", "sample"), request("1m", "BTC/USD"))


def test_every_file_is_attributed_and_used() -> None:
    folder = Path(sample.FOLDER)
    text = (folder / "ATTRIBUTION.md").read_text(encoding="utf-8")
    files = {path.stem for path in folder.glob("*.parquet")}
    named = {each.file for sets in sample.SAMPLES.values() for each in sets}
    assert files == named | {"vix", "wti", "core_cpi"}
    for name in files:
        assert f"`{name}.parquet`" in text
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_200_000
