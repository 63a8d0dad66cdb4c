"""From a strategy file to market data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from septet._config.load import load
from septet._data import fingerprints, load_market
from septet._data.bar_store import BarStore
from septet.errors import ConfigError, DataError
from tests.data.helpers import DAY_NS, HOUR_NS, clean, ns

BASE: dict[str, Any] = {
    "version": 1,
    "name": "x",
    "universe": {"symbols": ["BTC/USDT"], "bar": "1h"},
    "data": {"candles": {"use": "parquet", "path": "{symbol}.parquet"}},
    "features": {"fast": {"use": "sma", "period": 5}, "slow": {"use": "sma", "period": 9}},
    "signal": {"use": "rules", "long_if": "fast > slow", "exit_if": "fast < slow"},
    "risk": {"sizing": {"use": "fixed_fraction", "fraction": "100%"}},
    "execution": {"venues": {"sim": {"use": "simulated"}}},
}


def loaded(folder: Path, **changes: Any) -> Any:
    tree = {**BASE, **{k: {**BASE.get(k, {}), **v} for k, v in changes.items()}}
    path = folder / "x.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return load(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    clean(24 * 20).write_parquet(tmp_path / "BTCUSDT.parquet")
    clean(24 * 5, start_ns=ns("2020-01-10"), seed=1).write_parquet(tmp_path / "ETHUSDT.parquet")
    return tmp_path


def test_everything_up_to_the_end_and_warm_up_before_the_start(folder: Path) -> None:
    file = loaded(folder, universe={"start": "2020-01-05", "end": "2020-01-08"})
    market = load_market(file)
    bars = market.bars["BTC/USDT"]
    assert market.bar_ns == HOUR_NS
    assert bars.known_ns[0] == ns("2020-01-01T01:00")
    assert bars.known_ns[-1] == ns("2020-01-09")  # the day of the end is inside
    part = load_market(file, warmup_ns=DAY_NS).bars["BTC/USDT"]
    assert part.known_ns[0] == ns("2020-01-04")
    for name in ("open_ns", "close", "session"):
        assert getattr(part, name).flags.owndata
        assert getattr(part, name).flags.writeable
    assert market.sources["BTC/USDT"].endswith("BTCUSDT.parquet")
    assert market.calendar == "24x7"


def test_symbols_join_at_their_first_bar(folder: Path) -> None:
    market = load_market(loaded(folder, universe={"symbols": ["BTC/USDT", "ETH/USDT"]}))
    assert market.symbols == ("BTC/USDT", "ETH/USDT")
    assert len(market.bars["ETH/USDT"]) == 120
    early = load_market(
        loaded(folder, universe={"symbols": ["BTC/USDT", "ETH/USDT"], "end": "2020-01-05"})
    )
    assert len(early.bars["ETH/USDT"]) == 0
    assert [each.symbol for each in early.findings if each.kind == "no_overlap"] == ["ETH/USDT"]


@pytest.mark.parametrize(
    ("universe", "expected"),
    [
        ({"start": "2021-01-01"}, "asked 2021-01-01T00:00:00Z to the end"),
        ({"end": "2019-01-01"}, "asked the beginning to 2019-01-02T00:00:00Z"),
    ],
)
def test_no_overlap_shows_what_there_is(folder: Path, universe: Any, expected: str) -> None:
    with pytest.raises(DataError, match=expected) as caught:
        load_market(loaded(folder, universe=universe))
    assert "there is BTC/USDT 2020-01-01T01:00:00Z to 2020-01-21T00:00:00Z" in str(caught.value)


def test_instruments_are_written_stored_or_default(folder: Path, tmp_path: Path) -> None:
    plain = load_market(loaded(folder)).instruments["BTC/USDT"]
    assert (plain.lot, plain.tick) == (1e-8, 0.0)
    given = {"instruments": {"BTC/USDT": {"lot": 0.01, "tick": 0.5, "min_notional": 5}}}
    spec = load_market(loaded(folder, execution=given)).instruments["BTC/USDT"]
    assert (spec.lot, spec.tick, spec.min_notional) == (0.01, 0.5, 5.0)
    store = BarStore(tmp_path / "store")
    frame = clean(50)
    store.append("binance", "BTC/USDT", "1h", frame, (0, 1))
    kept = {"lot": 1e-5, "tick": 0.01, "min_notional": 10.0, "precision": 1e-8}
    store.describe("binance", "BTC/USDT", "1h", instrument=kept)
    candles = {"candles": {"use": "ccxt", "venue": "binance"}}
    snapshot = load_market(loaded(folder, data=candles), store=store).instruments["BTC/USDT"]
    assert (snapshot.lot, snapshot.tick, snapshot.min_notional) == (1e-5, 0.01, 10.0)


def test_series_come_along(folder: Path) -> None:
    pl.DataFrame({"date": ["2020-01-01", "2020-01-02"], "mood": [40, 60]}).write_csv(
        folder / "mood.csv"
    )
    file = loaded(
        folder,
        data={
            "mood": {"use": "csv_series", "path": "mood.csv", "known_after": "24h"},
            "gone": {"use": "csv_series", "path": "no.csv", "known_after": "1h", "optional": True},
        },
        features={
            "m": {"use": "series", "of": "mood", "missing": 50},
            "g": {"use": "series", "of": "gone", "missing": 50},
        },
    )
    market = load_market(file)
    assert market.series["mood"].value.tolist() == [40.0, 60.0]
    assert market.series["mood"].known_ns.tolist() == [ns("2020-01-02"), ns("2020-01-03")]
    assert len(market.series["gone"].value) == 0
    assert any(each.kind == "missing" and each.symbol == "gone" for each in market.findings)


def test_two_calendars_in_one_universe(folder: Path) -> None:
    days = [ns(f"2020-01-{day:02d}") for day in (2, 3, 6, 7, 8, 9, 10, 13)]
    clean(8, DAY_NS).with_columns(pl.Series("timestamp", days)).write_parquet(
        folder / "AAPL.parquet"
    )
    clean(15, DAY_NS).write_parquet(folder / "BTCUSD.parquet")
    calendars = {"AAPL": "XNYS", "BTC/USD": "24x7"}
    market = load_market(
        loaded(
            folder,
            universe={"symbols": ["AAPL", "BTC/USD"], "bar": "1d"},
            data={"candles": {**BASE["data"]["candles"], "calendar": calendars}},
        )
    )
    assert dict(market.calendars) == calendars
    assert market.bars["AAPL"].known_ns[0] == ns("2020-01-02T21:00")
    assert market.bars["BTC/USD"].known_ns[0] == ns("2020-01-02")
    assert any("survivorship" in each.message for each in market.findings)


def test_fingerprints_follow_the_rows(folder: Path) -> None:
    first = fingerprints(load_market(loaded(folder)))
    assert first == fingerprints(load_market(loaded(folder)))
    clean(24 * 20).with_columns(pl.col("volume") + 1).write_parquet(folder / "BTCUSDT.parquet")
    assert first != fingerprints(load_market(loaded(folder)))


def test_policies_of_the_file_reach_the_data(folder: Path) -> None:
    spoiled = clean(24 * 20)[[*range(100), *range(105, 480)]]
    spoiled.write_parquet(folder / "BTCUSDT.parquet")
    given = {"candles": {**BASE["data"]["candles"], "policy": {"gap": "refuse"}}}
    with pytest.raises(DataError, match=r"gap: 5 bars missing.*first: 5 after"):
        load_market(loaded(folder, data=given))
    given["candles"]["policy"] = {"gap": "melt"}
    with pytest.raises(ConfigError, match="gap"):
        loaded(folder, data=given)
