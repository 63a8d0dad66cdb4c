"""Backtests and sweeps write to the ledger, and report how many tries preceded them."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from septet.cli import cli

FILE = """\
version: 1
name: {name}
universe: {{symbols: [BTC/USDT], bar: 1h{span}}}
data: {{candles: {{use: synthetic, bars: 2400, seed: 3}}}}
features:
  fast: {{use: sma, period: {fast}}}
  slow: {{use: sma, period: 40}}
signal: {{use: rules, long_if: fast > slow, exit_if: fast < slow}}
risk: {{sizing: {{use: fixed_fraction, fraction: 50%}}}}
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("SEPTET_TRIALS", raising=False)


def ran(
    tmp_path: Path, *more: str, name: str = "demo", span: str = "", fast: int = 10
) -> dict[str, Any]:
    file = tmp_path / f"{name}.yaml"
    file.write_text(FILE.format(name=name, span=span, fast=fast), "utf-8")
    out = str(tmp_path / "runs")
    done = CliRunner().invoke(cli, ["run", str(file), "--out", out, "--json", "--no-report", *more])
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)["tries"]
    return found


SHARES = """\
version: 1
name: shares
account: {{currency: USD}}
universe: {{symbols: [AAPL], bar: 1d, start: {start}}}
data: {{candles: {{use: sample, adjust: total}}}}
features: {{slow: {{use: sma, period: 20}}}}
signal: {{use: rules, long_if: close > slow, exit_if: close < slow}}
risk: {{sizing: {{use: fixed_fraction, fraction: {fraction}}}}}
"""


def test_tries_on_sessions_are_compared_on_the_days_of_their_returns(tmp_path: Path) -> None:
    """Three sizes of one strategy that begin in different weeks are worth one try, not three."""
    found = []
    for start, fraction in (("2011-06-01", "50%"), ("2011-06-10", "80%"), ("2011-06-21", "30%")):
        file = tmp_path / "shares.yaml"
        file.write_text(SHARES.format(start=start, fraction=fraction), "utf-8")
        out = str(tmp_path / "runs")
        done = CliRunner().invoke(cli, ["run", str(file), "--out", out, "--json", "--no-report"])
        assert done.exit_code == 0, done.output
        found.append(json.loads(done.stdout)["tries"])
    assert found[-1]["count"] == 3
    assert found[-1]["effective"] < 1.2


def test_accidents_are_no_new_tries_and_other_settings_are(tmp_path: Path) -> None:
    first = ran(tmp_path)
    assert (first["count"], first["deflated_sharpe"]) == (None, None)
    assert first["problem"] == "this run is the first in a new ledger of trials"
    assert "the first in a new ledger" in first["text"]
    assert ran(tmp_path)["count"] == 1
    assert ran(tmp_path, name="another")["count"] == 1
    assert ran(tmp_path, span=", start: 2020-02-01")["count"] == 1
    assert ran(tmp_path, "--fast")["count"] == 1
    assert ran(tmp_path, fast=11)["count"] == 2
    again = ran(tmp_path, "--tries", "40")
    assert (again["count"], again["declared"]) == (42, 40)
    assert 1.0 <= again["effective"] <= 42.0
    assert "40 of them declared" in again["text"]


def test_a_deleted_run_another_folder_and_another_bar_are_still_tries(tmp_path: Path) -> None:
    ran(tmp_path)
    assert ran(tmp_path, fast=11)["count"] == 2
    shutil.rmtree(tmp_path / "runs")
    assert ran(tmp_path)["count"] == 2, "the file was tried before, and its run is deleted"
    assert ran(tmp_path, "--out", str(tmp_path / "elsewhere"), fast=12)["count"] == 3
    assert not list((tmp_path / "elsewhere").glob("*/*/report.html"))
    bars = tmp_path / "demo.csv"
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.01, 2400)))
    start = datetime(2021, 1, 1, tzinfo=UTC)
    rows = [f"{start + timedelta(hours=at):%Y-%m-%dT%H:%M:%SZ},{one:.4f},{one:.4f},{one:.4f},"
            f"{one:.4f},1" for at, one in enumerate(close)]  # fmt: skip
    bars.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]) + "\n", "utf-8")
    source = "--set=data.candles={use: csv, path: demo.csv, stamp: open}"
    assert ran(tmp_path, source)["count"] == 1, "other data"
    four = [rows[at].rsplit(",", 5)[0] + "," + ",".join(
        f"{one:.4f}" for one in (close[at], max(close[at:at + 4]), min(close[at:at + 4]),
                                 close[min(at + 3, 2399)], 4.0)
    ) for at in range(0, 2400, 4)]  # fmt: skip
    bars.write_text("\n".join(["timestamp,open,high,low,close,volume", *four]) + "\n", "utf-8")
    longer = ran(tmp_path, source, "--set=universe.bar=4h")
    assert longer["count"] == 2, "the same market, in longer bars, by another plan"


def test_settings_of_a_sweep_count(tmp_path: Path) -> None:
    ran(tmp_path)
    axis = "features.fast.period=4,6,8,12"
    arguments = ["sweep", str(tmp_path / "demo.yaml"), "--sweep", axis, "--json", "--out"]
    done = CliRunner().invoke(cli, [*arguments, str(tmp_path / "sweeps")])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["tries"]["count"] == 5
    assert ran(tmp_path)["count"] == 5
    assert ran(tmp_path, fast=8)["count"] == 5, "a setting of a sweep is the same plan"
    listed = json.loads(CliRunner().invoke(cli, ["trials", "--json"]).stdout)
    assert [each["tries"] for each in listed["strategies"]] == [5]
    assert listed["rows"] == 5


SETTINGS = 200
"""More than a sweep computes before it notices that it is to end."""
ENDED_EARLY = """\
import os, signal, sys
from pathlib import Path
from septet._app.sweep import SweepRequest, sweep_file
from septet._config.load import load

def after_three(stage, done, total, best):
    if done >= 3:
        os.kill(os.getpid(), getattr(signal, sys.argv[3]))

loaded = load(Path(sys.argv[1]))
request = SweepRequest(out=Path(sys.argv[2]), threads=1, page=False)
sweep_file(loaded, request, progress=after_three)
"""


@pytest.mark.parametrize("by", ["SIGKILL", "SIGINT"])
def test_settings_of_a_sweep_that_was_ended_are_tries_before_it_is_resumed(
    tmp_path: Path, by: str
) -> None:
    file, out = tmp_path / "demo.yaml", str(tmp_path / "sweeps")
    over = f"sweep: {{over: {{features.fast.period: {[*range(4, 4 + SETTINGS)]}}}}}\n"
    file.write_text(FILE.format(name="demo", span="", fast=10) + over, "utf-8")
    ended = subprocess.run(
        [sys.executable, "-c", ENDED_EARLY, str(file), out, by],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == -getattr(signal, by), ended.stderr
    before = json.loads(CliRunner().invoke(cli, ["trials", "--json"]).stdout)
    assert 3 <= before["rows"] < SETTINGS
    done = CliRunner().invoke(cli, ["sweep", str(file), "--resume", "--json", "--out", out])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["tries"]["count"] == SETTINGS
    after = json.loads(CliRunner().invoke(cli, ["trials", "--json"]).stdout)
    assert after["rows"] == SETTINGS, "what was resumed is no second row"


def test_a_ledger_that_is_off_or_damaged_is_reported_and_never_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEPTET_TRIALS", "off")
    off = ran(tmp_path)
    assert off["count"] is None
    assert "is off" in off["text"]
    monkeypatch.delenv("SEPTET_TRIALS")
    folder = tmp_path / "state"
    folder.mkdir(exist_ok=True)
    (folder / "trials.sqlite").write_bytes(b"something else" * 99)
    damaged = ran(tmp_path)
    assert damaged["count"] is None
    assert damaged["text"].startswith("How many tries preceded it is not known:")


READ = """\
version: 1
name: demo
universe: {{symbols: [{symbol}], bar: 1h}}
data: {{candles: {{use: csv, path: bars.csv, {keys}}}}}
features:
  fast: {{use: sma, period: {fast}}}
  slow: {{use: sma, period: 40}}
signal: {{use: rules, long_if: fast > slow, exit_if: fast < slow}}
risk: {{sizing: {{use: fixed_fraction, fraction: 50%}}}}
"""
PLAIN = "stamp: open, time_zone: UTC"


def tries_of_file(tmp_path: Path, fast: int, symbol: str = "BTC/USDT", keys: str = PLAIN) -> Any:
    """Return how many tries the ledger knows once a file of rows is read in some way."""
    file = tmp_path / "read.yaml"
    file.write_text(READ.format(symbol=symbol, keys=keys, fast=fast), "utf-8")
    out = str(tmp_path / "runs")
    done = CliRunner().invoke(cli, ["run", str(file), "--out", out, "--json", "--no-report"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["tries"]["count"]


def test_the_same_rows_read_in_another_way_are_the_same_data(tmp_path: Path) -> None:
    write_rows(tmp_path / "bars.csv", seed=1)
    swapped = "columns: {close: open, open: close}"
    ways = [
        "stamp: close, time_zone: UTC", "stamp: open, time_zone: Asia/Tokyo", f"{PLAIN}, {swapped}",
        f"stamp: close, time_zone: Asia/Tokyo, {swapped}",
    ]  # fmt: skip
    tries_of_file(tmp_path, 10)
    for count, keys in enumerate(ways, 2):
        assert tries_of_file(tmp_path, 10 + count, f"A{count}/USD", keys) == count
    assert tries_of_file(tmp_path, 10) == 1 + len(ways), "and the plain file counts all of them"


def test_other_rows_of_the_same_range_are_other_data(tmp_path: Path) -> None:
    write_rows(tmp_path / "bars.csv", seed=1)
    tries_of_file(tmp_path, 10)
    write_rows(tmp_path / "bars.csv", seed=2)
    assert tries_of_file(tmp_path, 11, "FOO/USD") == 1


def write_rows(path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    closes = np.round(100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.004, 24 * 150))), 2)
    opens = np.round(np.concatenate([[100.0], closes[:-1]]) + rng.normal(0.0, 0.02, len(closes)), 2)
    start = datetime(2024, 1, 3, tzinfo=UTC)
    lines = ["timestamp,open,high,low,close,volume"]
    for place, (first, last) in enumerate(zip(opens, closes, strict=True)):
        time = (start + timedelta(hours=place)).strftime("%Y-%m-%d %H:%M")
        high, low = max(first, last) + 0.05, min(first, last) - 0.05
        lines.append(f"{time},{first:.2f},{high:.2f},{low:.2f},{last:.2f},{1_000 + place % 7}")
    path.write_text("\n".join(lines), "utf-8")
