"""A daily series stamped with dates is known when its day is over, not when it begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from septet._config.load import load
from septet._data.bad_rows import doubts
from septet._data.dated_series import known_early
from septet._data.series import normalise_series
from septet._data.source import Facts, RawSeries
from septet._shell.preflight import check_data
from septet_schemas.data import SeriesConfig

HOUR_NS = 3_600_000_000_000
DAY_NS = 24 * HOUR_NS
START_NS = 18_262 * DAY_NS  # 2020-01-01


def found_of(stamps: list[int], published: bool = False, **keys: Any) -> tuple[Any, ...]:
    frame = pl.DataFrame({"time": stamps, "value": [1.0 + k for k in range(len(stamps))]})
    if published:
        frame = frame.with_columns(pl.col("time").alias("known"))
    config = SeriesConfig.model_validate(keys)
    table, _ = normalise_series("close", RawSeries(frame, Facts("x.csv")), config)
    return known_early(table, config)


DAILY = [START_NS + k * DAY_NS for k in range(20)]


@pytest.mark.parametrize("delay", ["0s", "5m", "5h"])
def test_a_value_of_a_day_that_is_known_as_it_begins_is_reported(delay: str) -> None:
    (found,) = found_of(DAILY, known_after=delay)
    assert found.count == 20
    assert f"known {delay} after its day begins, as 2020-01-01T00:00:00Z" in found.message
    (message,) = doubts([found])
    assert "known_after: 24h" in message.hint


def test_a_date_is_midnight_in_the_zone_of_the_file() -> None:
    winter = [stamp + 5 * HOUR_NS for stamp in DAILY]  # midnight in New York
    assert found_of(winter, known_after="0s", time_zone="America/New_York")
    assert not found_of(winter, known_after="0s", time_zone="UTC")


@pytest.mark.parametrize(
    ("stamps", "keys"),
    [
        (DAILY, {"known_after": "24h"}),
        (DAILY, {"known_after": "6h"}),  # the close in Tokyo
        (DAILY, {"known_after": "0s", "every": "1d at 09:00"}),
        ([START_NS + k * HOUR_NS for k in range(200)], {"known_after": "1m"}),
        ([START_NS + k * HOUR_NS + 7_000_000_000 for k in range(50)], {"known_after": "0s"}),
        ([START_NS + k * k * HOUR_NS // 4 for k in range(1, 40)], {"known_after": "0s"}),
        ([each + 16 * HOUR_NS for each in DAILY], {"known_after": "0s"}),  # a time of day
        (DAILY[:4], {"known_after": "0s"}),
    ],
)
def test_what_is_known_in_time_is_not(stamps: list[int], keys: dict[str, Any]) -> None:
    assert not found_of(stamps, **keys)


@pytest.mark.parametrize(("every", "delay"), [(60, "0s"), (60, "30s"), (5, "0s"), (240, "1m")])
@pytest.mark.parametrize("offset", [0, 30])
def test_a_value_of_an_hour_that_is_known_as_it_begins_is_reported(
    every: int, delay: str, offset: int
) -> None:
    step_ns = every * 60_000_000_000
    stamps = [START_NS + offset * 60_000_000_000 + k * step_ns for k in range(200)]
    (found,) = found_of(stamps, known_after=delay)
    assert f"each counts as known {delay} after its stamp" in found.message
    assert "before it has ended" in found.message
    (message,) = doubts([found])
    assert "as long as the period" in message.hint
    assert not found_of(stamps, published=True)


def test_a_source_that_states_when_it_was_published_is_accepted() -> None:
    assert not found_of(DAILY, published=True, known_after="0s")
    assert not found_of(DAILY, published=True)


def test_check_names_the_series(tmp_path: Path) -> None:
    dates = [f"2020-01-{day:02d}" for day in range(1, 29)]
    rows = "\n".join(f"{each},{day}.5" for day, each in enumerate(dates))
    (tmp_path / "fear.csv").write_text(f"time,value\n{rows}\n", encoding="utf-8")
    hours = pl.datetime_range(
        pl.datetime(2020, 1, 1), pl.datetime(2020, 1, 28), "1h", time_zone="UTC", eager=True
    )
    price = pl.Series([100.0 + (k % 7) for k in range(len(hours))])
    pl.DataFrame(
        {"time": hours, "open": price, "high": price + 1, "low": price - 1, "close": price + 0.5,
         "volume": [9.0] * len(hours)}
    ).write_parquet(tmp_path / "btc.parquet")  # fmt: skip
    path = tmp_path / "x.yaml"
    path.write_text(
        """version: 1
name: dated
universe: {symbols: [BTC/USD], bar: 1h}
data:
  candles: {use: parquet, path: btc.parquet, stamp: open}
  fear: {use: csv_series, path: fear.csv, time_zone: UTC, known_after: 0s}
features:
  high_fear: {use: expr, formula: fear - 10}
signal: {use: rules, long_if: high_fear > 0, exit_if: high_fear < 0}
risk: {sizing: {use: fixed_fraction, fraction: 50%}}
execution:
  simulation: {fee: 10bps, slippage: 5bps}
  instruments: {BTC/USD: {lot: 0.0001}}
""",
        encoding="utf-8",
    )
    text = [each for each in check_data(load(path)).problems if each.key == "data.fear"]
    (problem,) = text
    assert problem.severity == "warning"
    assert problem.line == 6
    assert "stamped with dates" in problem.message


WEEKLY = [START_NS + 7 * k * DAY_NS for k in range(60)]
MONTHS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] * 2
MONTHLY = [START_NS + sum(MONTHS[:k]) * DAY_NS for k in range(24)]


@pytest.mark.parametrize("delay", ["0s", "24h", "5d"])
@pytest.mark.parametrize("stamps", [WEEKLY, MONTHLY], ids=["weekly", "monthly"])
def test_a_value_of_a_longer_period_that_is_known_before_its_end_is_reported(
    stamps: list[int], delay: str
) -> None:
    (found,) = found_of(stamps, known_after=delay)
    assert "before they have ended" in found.message
    (message,) = doubts([found])
    assert "as long as the period" in message.hint


@pytest.mark.parametrize(
    ("stamps", "delay"),
    [
        (WEEKLY, "7d"),
        (MONTHLY, "31d"),
        (MONTHLY, "28d"),
        ([each + 16 * HOUR_NS for each in WEEKLY], "24h"),  # a time of publication
        ([START_NS + (40 * k + 13 * (k % 3)) * DAY_NS for k in range(30)], "24h"),  # events
    ],
)
def test_a_longer_period_that_is_over_is_not(stamps: list[int], delay: str) -> None:
    assert not found_of(stamps, known_after=delay)
