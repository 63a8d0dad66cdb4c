"""What a run's verdict reports of the data, a sweep reports as well; its errors have a place."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from septet._sweep.first_decision import begin_sweep
from septet._sweep.page import render
from septet._sweep.space import space_of
from septet._sweep.sweep_findings import findings_of
from septet._sweep.swept_parameters import numbers_of
from septet._sweep.verdict import data_text, paragraphs, tone
from septet.errors import ConfigError
from tests.cli.conftest import Command, septet
from tests.data.helpers import clean
from tests.sweep.files import swept
from tests.sweep.synthetic import make_table

__all__ = ["septet"]

TEXT = """\
version: 1
name: cross
account: {capital: 10000, currency: USD}
universe: {symbols: [BTC/USD], bar: 1h}
data: {candles: {use: csv, path: bars.csv, time_zone: UTC, stamp: open}}
features:
  fast: {use: sma, period: 5}
  slow: {use: sma, period: 20}
signal: {use: rules, long_if: fast > slow, exit_if: fast < slow}
risk:
  sizing: {use: fixed_fraction, fraction: 50%}
  stops: {stop_loss: 4%}
execution:
  simulation: {fee: 10bps, slippage: 5bps}
"""
SECTION = "{over: {features.fast.period: [5, 10]}}"


def _bars(folder: Path, bad: int) -> None:
    rows = pl.int_range(1_000)
    spoilt = pl.when((rows % 100 == 7) & (rows < 100 * bad)).then(None).otherwise(pl.col("close"))
    frame = clean(1_000).with_columns(close=spoilt)
    frame.write_csv(folder / "bars.csv")


@pytest.mark.compiled
def test_dropped_rows_stand_in_the_verdict_of_a_sweep(
    septet: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _bars(tmp_path, bad=5)
    (tmp_path / "cross.yaml").write_text(TEXT, encoding="utf-8")
    done = septet("sweep", "cross.yaml", "--sweep", "features.fast.period=5,10", "--json")
    assert done.code == 0, done.err
    text = "0.5 % of the rows of BTC/USD were dropped or mended (5 of 1,000: not_finite 5)"
    assert f"warning: {text}" in done.err
    document = json.loads(done.out)
    assert document["data_doubts"] == [text]
    assert f"{text}." in document["verdict"]
    folder = tmp_path / document["folder"]
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["data_doubts"] == [text]
    page = (folder / "sweep.html").read_text(encoding="utf-8")
    assert text.replace(" %", "&nbsp;%") in page.partition("</header>")[0]


def test_what_other_settings_read_is_reported_too(tmp_path: Path) -> None:
    _bars(tmp_path, bad=5)
    mood = clean(500).select(time="timestamp", value="close")
    mood.write_csv(tmp_path / "mood.csv")
    text = TEXT.replace(
        "data: {candles", "data: {mood: {use: csv_series, path: mood.csv, known_after: 1h}, candles"
    ).replace("features:", "features:\n  mood: {use: series, of: mood}")
    loaded = swept(tmp_path, "{over: {data.mood.known_after: [1h, 3h]}}", base=text)
    space = space_of(loaded)
    reported: list[str] = []
    begun = begin_sweep(loaded, space, numbers_of(loaded, space), reported.append)
    assert reported == [f"warning: {each}" for each in begun.doubts]
    assert [each.partition(",")[0] for each in begun.doubts] == [
        "0.5 % of the rows of BTC/USD were dropped or mended (5 of 1",
        "The values of mood end at 2020-01-21T20:00:00Z",
        "The values of mood end at 2020-01-21T22:00:00Z",
    ]


def test_a_missing_file_has_a_place(tmp_path: Path) -> None:
    loaded = swept(tmp_path, SECTION, base=TEXT)
    space = space_of(loaded)
    with pytest.raises(ConfigError) as caught:
        begin_sweep(loaded, space, numbers_of(loaded, space), print)
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (5, 34)
    assert problem.key == "data.candles.path"
    assert problem.message.startswith("the sweep cannot begin: with the file as it is, data: no")
    assert "paths are relative to the strategy file" in problem.hint


def test_many_doubts_are_cut_and_colour_the_verdict() -> None:
    table = make_table({"features.fast.period": list(np.arange(5, 45, 2))}, edge=0.004)
    plain = findings_of(table, {})
    assert data_text(plain) == ""
    doubts = [f"<b>{each}</b> is odd" for each in range(12)]
    found = findings_of(table, {"data_doubts": doubts})
    assert data_text(found).endswith("<b>9</b> is odd. And 2 more, in manifest.json.")
    assert data_text(found) in paragraphs(found)
    assert tone(found) == "caution"
    assert "<b>0</b>" not in render(found, {})
