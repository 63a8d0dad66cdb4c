"""``septet check`` finds what would stop a run, and both name the same place."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from septet._config import load
from septet._data.calendars import Sessions, load_calendar
from septet._sweep.compiled import CompiledEvaluator
from septet._sweep.space import space_of
from septet._sweep.swept_parameters import numbers_of
from septet.errors import ConfigError
from tests.cli.conftest import Command
from tests.data.helpers import HOUR_NS, START_NS, clean

HEAD = """\
version: 1
name: x
{universe}
data:
  candles: {candles}
{series}features:
  fast: {{use: sma, period: {period}}}
{features}signal: {{use: rules, long_if: close > fast, exit_if: close < fast}}
risk: {{sizing: {{use: fixed_fraction, fraction: 50%}}}}
"""


def strategy(
    folder: Path,
    *,
    universe: str = "universe: {symbols: [BTC/USDT], bar: 1h}",
    candles: str = '{use: parquet, path: "{symbol}.parquet"}',
    series: str = "",
    features: str = "",
    period: int = 5,
) -> Path:
    path = folder / "x.yaml"
    text = HEAD.format(
        universe=universe, candles=candles, series=series, features=features, period=period
    )
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with 400 hours of two symbols, the second of another year."""
    clean(400).write_parquet(tmp_path / "BTCUSDT.parquet")
    late = START_NS + 366 * 24 * HOUR_NS
    clean(400, start_ns=late).write_parquet(tmp_path / "ETHUSDT.parquet")
    early = pl.DataFrame({"time": [START_NS], "value": [1.0]})
    early.write_parquet(tmp_path / "mood.parquet")
    return tmp_path


def refused(
    septet: Command, path: Path, place: str, message: str, *, run_says: str = "", status: int = 2
) -> None:
    """Check that both commands name the place, and leave with 2, or a run with its `status`."""
    run = ("run", path, "--out", path.parent / "runs")
    for words, text, code in ((("check", path), message, 2), (run, run_says or message, status)):
        outcome = septet(*words)
        assert outcome.code == code, outcome
        assert f"{path}:{place}: " in outcome.err
        assert text in " ".join(outcome.err.split())
        assert "hint" in outcome.err


def test_good_data(septet: Command, data: Path) -> None:
    outcome = septet("check", strategy(data))
    assert (outcome.code, outcome.err) == (0, "")


def test_a_missing_file(septet: Command, data: Path) -> None:
    path = strategy(data, candles="{use: parquet, path: BTCUSD.parquet}")
    refused(septet, path, "5:33", "no such file")
    assert "BTCUSDT.parquet" in septet("check", path).err
    assert septet("check", path, "--no-data").code == 0


def test_a_missing_file_as_json(septet: Command, data: Path) -> None:
    path = strategy(data, candles="{use: parquet, path: BTCUSD.parquet}")
    for words in (("check", path), ("run", path)):
        [problem] = json.loads(septet(*words, "--json").out)["problems"]
        assert (problem["line"], problem["column"], problem["key"]) == (5, 33, "data.candles.path")


def test_a_symbol_that_is_not_there(septet: Command, data: Path) -> None:
    both = pl.read_parquet(data / "BTCUSDT.parquet").with_columns(symbol=pl.lit("BTC/USDT"))
    both.write_parquet(data / "all.parquet")
    path = strategy(
        data, universe="universe: {symbols: [BTC/USDT, SOL/USDT], bar: 1h}",
        candles="{use: parquet, path: all.parquet}",
    )  # fmt: skip
    refused(septet, path, "3:32", "no data for SOL/USDT")


@pytest.mark.parametrize(
    ("span", "place"), [("start: 2022-01-01", "3:49"), ("end: 2019-01-01", "3:47")]
)
def test_a_span_without_data(septet: Command, data: Path, span: str, place: str) -> None:
    path = strategy(data, universe=f"universe: {{symbols: [BTC/USDT], bar: 1h, {span}}}")
    refused(septet, path, place, "do not overlap")


def test_a_look_back_longer_than_the_data(septet: Command, data: Path) -> None:
    refused(septet, strategy(data, period=500), "7:9", "400 bars are too few")


def test_times_of_day_without_a_zone(septet: Command, data: Path) -> None:
    times = pl.col("timestamp").cast(pl.Datetime("ns"))
    clean(50).with_columns(times).write_parquet(data / "BTCUSDT.parquet")
    refused(septet, strategy(data), "5:12", "name no time zone")


def test_a_column_that_is_not_there(septet: Command, data: Path) -> None:
    keys = '{use: parquet, path: "{symbol}.parquet", columns: {close: last}}'
    refused(septet, strategy(data, candles=keys), "5:62", "no column last")


def test_a_broken_series(septet: Command, data: Path) -> None:
    path = strategy(
        data, series="  mood: {use: parquet_series, path: moods.parquet, known_after: 1h}\n",
        features="  mood: {use: series, of: mood}\n",
    )  # fmt: skip
    refused(septet, path, "6:37", "no such file")


def refused_in_stretches(septet: Command, path: Path, place: str, message: str) -> None:
    """Check a run in stretches and the compiled way of a sweep, which see other parts of history.

    A session is opened for the second without compiling anything.
    """
    outcome = septet("run", path, "--out", path.parent / "runs", "--chunk", 90)
    assert (outcome.code, f"{path}:{place}: " in outcome.err) == (2, True), outcome
    assert message in " ".join(outcome.err.split())
    sweep = "sweep: {over: {features.fast.period: [5, 6]}}\n"
    swept = path.with_name("sweep.yaml")
    swept.write_text(path.read_text(encoding="utf-8") + sweep, encoding="utf-8")
    loaded = load(swept)
    space = space_of(loaded)
    numbers = numbers_of(loaded, space, tables=False)
    with pytest.raises(ConfigError, match=message):
        CompiledEvaluator(loaded, space, numbers, 0, 1, lambda text: None)


def test_a_series_that_is_never_known(septet: Command, data: Path) -> None:
    keys = "{use: parquet_series, path: mood.parquet, known_after: 1h, max_age: 2h}"
    path = strategy(
        data, series=f"  mood: {keys}\n", features="  mood: {use: series, of: mood}\n",
    )  # fmt: skip
    message = "no value of this series is known at any decision"
    refused(septet, path, "6:9", message)
    refused_in_stretches(septet, path, "6:9", message)


def test_a_join_without_a_common_time(septet: Command, data: Path) -> None:
    path = strategy(
        data, universe="universe: {symbols: [BTC/USDT, ETH/USDT], bar: 1h}",
        features="  gap: {use: ratio, of: close, to: close@ETH/USDT}\n",
    )  # fmt: skip
    message = "ETH/USDT has no bar at a time of another symbol"
    refused(septet, path, "8:36", message)
    refused_in_stretches(septet, path, "8:36", message)


def test_a_training_window_longer_than_the_data(septet: Command, data: Path) -> None:
    path = strategy(data)
    text = path.read_text(encoding="utf-8")
    model = (
        "model: {use: sklearn, estimator: LogisticRegression, training: {train: 60d, step: 1d}}\n"
        "signal: {use: confidence, threshold: 0.1}"
    )
    lines = [line if not line.startswith("signal") else model for line in text.splitlines()]
    path.write_text("\n".join(lines), encoding="utf-8")
    refused(
        septet, path, "8:72", "no training window fits into the data", status=1,
        run_says="no training time falls into the data: it is shorter than one training window",
    )  # fmt: skip


LIVE = """\
version: 1
name: x
mode: live
account: {capital: 1000}
universe: {symbols: [BTC/USDT], bar: 1h}
data: {candles: {use: ccxt, venue: binance}}
features: {fast: {use: sma, period: 5}}
signal: {use: rules, long_if: close > fast, exit_if: close < fast}
risk:
  sizing: {use: fixed_fraction, fraction: 50%}
  halts: {drawdown: {above: 15%, then: flatten, resume: manual}}
execution:
  venues:
    main: {use: ccxt, exchange: binance, key: env:SEPTET_TEST_KEY, secret: file:gone}
"""


def test_secrets_that_cannot_be_read(
    septet: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEPTET_TEST_KEY", raising=False)
    path = tmp_path / "x.yaml"
    path.write_text(LIVE, encoding="utf-8")
    outcome = septet("check", path)
    assert outcome.code == 2
    assert f"{path}:14:47: " in outcome.err
    assert "the environment variable SEPTET_TEST_KEY is not set" in outcome.err
    assert f"{path}:14:76: " in outcome.err
    assert septet("check", path, "--mode", "paper").code == 0
    monkeypatch.setenv("SEPTET_TEST_KEY", "k")
    (tmp_path / "gone").write_text("s", encoding="utf-8")
    assert septet("check", path).code == 0


def test_what_the_verdict_would_state_of_the_data_is_a_warning(septet: Command, data: Path) -> None:
    rows = pl.int_range(400)
    frame = clean(400).with_columns(
        pl.when(rows.is_in([50, 90])).then(pl.col(name) * 100.0).otherwise(pl.col(name)).alias(name)
        for name in ("open", "high", "low", "close")
    )
    split = frame.with_columns(
        pl.when(rows < 200).then(pl.col(name)).otherwise(pl.col(name) * 0.5).alias(name)
        for name in ("open", "high", "low", "close")
    )
    split.write_parquet(data / "BTCUSDT.parquet")
    outcome = septet("check", strategy(data))
    text = " ".join(outcome.err.split())
    assert outcome.code == 0
    assert "0.5 % of the rows of BTC/USDT were dropped or mended (2 of 400: price_spike 2)" in text
    assert "price_gap 1" in text
    assert "as a split of 2 for 1 would" in text
    assert "policy: {price_gap: keep}" in text


def test_a_stop_nearer_than_a_tick_is_a_warning(septet: Command, data: Path) -> None:
    path = strategy(data)
    text = path.read_text(encoding="utf-8").replace("50%}}", "50%}, stops: {stop_loss: 1%}}")
    text += "execution: {instruments: {BTC/USDT: {tick: 5, lot: 0.001, min_notional: 10}}}\n"
    path.write_text(text, encoding="utf-8")
    outcome = septet("check", path)
    assert outcome.code == 0
    assert "less than its tick of 5" in " ".join(outcome.err.split())
    path.write_text(text.replace("tick: 5", "tick: 0.01"), encoding="utf-8")
    assert septet("check", path).err == ""


@pytest.mark.parametrize(("calendar", "expected"), [("XNYS", True), ("24x7", False)])
def test_days_of_shares_that_move_by_a_fifth_are_listed(
    septet: Command, data: Path, calendar: str, expected: bool
) -> None:
    first, day = START_NS + 24 * HOUR_NS, 24 * HOUR_NS
    sessions = load_calendar("XNYS", first, first + 300 * day)
    assert isinstance(sessions, Sessions)
    frame = clean(120).with_columns(timestamp=pl.Series(sessions.day_number[:120] * day))
    falls = pl.when(pl.int_range(120) < 60).then(1.0).otherwise(2.0 / 3.0)
    frame = frame.with_columns(pl.col(name) * falls for name in ("open", "high", "low", "close"))
    frame.write_parquet(data / "AAPL.parquet")
    path = strategy(
        data, universe="universe: {symbols: [AAPL], bar: 1d}",
        candles=f"{{use: parquet, path: AAPL.parquet, calendar: {calendar}, stamp: open, "
        "adjust: none}",
    )  # fmt: skip
    outcome = septet("check", path)
    text = "AAPL: 1 closes more than 20 % away from the close of the session before"
    assert outcome.code == 0, outcome.err
    assert (text in " ".join(outcome.err.split())) == expected
    if expected:
        outcome = septet("run", path, "--out", data / "runs")
        [page] = (data / "runs").rglob("report.html")
        assert "closes more than 20 % away" in page.read_text(encoding="utf-8")
