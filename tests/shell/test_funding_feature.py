"""The rates of `data.funding` as a feature: the same file is charged and read."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from septet import messages as m
from septet._config import load
from septet._live.intake import Intake, Schedule
from septet._plan.graph import BAR_COLUMNS
from septet._shell.aligned_bars import AlignmentRules
from septet._shell.backtest import backtest
from septet._store.memory_run import MemoryRun
from septet.errors import ConfigError
from tests.core.settings import HOUR, START

FILE = """
version: 1
name: funded
account: {capital: 10000, currency: USDT, type: perpetual}
universe: {symbols: ["AA/USDT:USDT", "BB/USDT:USDT"], bar: 1h}
data:
  candles: {use: synthetic, bars: 200, seed: 3}
  funding: {use: csv_series, path: "FOLDER/{symbol}.csv", time_zone: UTC, KNOWN}
features:
  paid: {use: series, of: funding}
  year: {use: expr, formula: 1095 * funding}
signal: {use: rules, long_if: paid < 0.0001, short_if: year > 0.2}
risk: {sizing: {use: fixed_fraction, fraction: 10%}}
"""
EVERY = 8
RATES = (0.0001, -0.0002, 0.0003)
FIRST = datetime(2020, 1, 1)


def written(folder: Path, known: str) -> Path:
    for shift, symbol in enumerate(("AAUSDT", "BBUSDT")):
        rows = [f"{FIRST + timedelta(hours=EVERY * n)},{RATES[(n + shift) % 3]}" for n in range(26)]
        (folder / f"{symbol}.csv").write_text("time,rate\n" + "\n".join(rows) + "\n")
    path = folder / "x.yaml"
    text = FILE.replace("FOLDER", str(folder)).replace("KNOWN", known)
    path.write_text(text.replace(", }", "}"), encoding="utf-8")
    return path


def test_both_engines_read_the_rate_that_was_known(tmp_path: Path) -> None:
    path = written(tmp_path, "known_after: 1h")
    tables = []
    for engine in ("batch", "event"):
        result = backtest(load(str(path)), engine=engine)
        tables.append(
            {n: MemoryRun(result, now_ns=0).table(n) for n in ("decisions", "fills", "trades")}
        )
    for name, frame in tables[0].items():
        assert_frame_equal(frame, tables[1][name])
    assert tables[0]["trades"].get_column("funding").abs().sum() > 0.0
    for row in tables[0]["decisions"].iter_rows(named=True):
        at = (row["time"].replace(tzinfo=None) - FIRST) / timedelta(hours=1)
        shift = ("AA/USDT:USDT", "BB/USDT:USDT").index(row["symbol"])
        rate = RATES[(math.floor((at - 1) / EVERY) + shift) % 3]
        assert row["paid"] == rate
        assert row["year"] == pytest.approx(1095 * rate)
    signals = tables[0]["decisions"].get_column("signal").cast(pl.String).unique()
    assert set(signals) >= {"long", "short"}


def test_a_rate_that_is_read_says_when_it_was_known(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"known_after: nothing states when a value"):
        load(str(written(tmp_path, "")))


def test_a_live_run_reads_rates_as_they_become_known_and_charges_them_at_their_stamp() -> None:
    columns = [*BAR_COLUMNS, "funding_before", "funding", "series:funding"]
    ages: dict[str, int | None] = {"funding": 9 * HOUR}
    intake = Intake(["AA/USDT:USDT"], columns, [Schedule(HOUR)], AlignmentRules(), ages)
    found = []
    for n in range(1, 13):
        time_ns = START + n * HOUR
        if n == 3:  # due two hours ago, and known now
            intake.point(
                m.SeriesPoint(
                    at_ns=0, name="funding", stamp_ns=START + HOUR, known_ns=time_ns, value=0.5
                )
            )
        intake.bar(
            m.BarClosed(
                at_ns=0, symbol=0, open_ns=time_ns - HOUR, known_ns=time_ns, open=1.0, high=1.0,
                low=1.0, close=1.0, volume=1.0, source="stream",
            )
        )  # fmt: skip
        kept = intake.snapshot()
        intake.restore(kept)
        decision = intake.decision_time(
            m.DecisionTimeReached(at_ns=0, time_ns=time_ns, present=(0,))
        )
        found.append(float(decision.columns[0][-1]))
    assert [each for each in found if not math.isnan(each)] == [0.5] * 10
    assert math.isnan(found[1])
