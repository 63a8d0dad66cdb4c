"""Packed columns, levels of detail, and the chart over time in a real Chromium."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from septet._charts import time_chart
from tests.dashboard.browser import Browser
from tests.report.reading import drawn, needs_chromium, needs_library

OHLC = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
COLORS = ["accent", "contrast", "neutral", "soft", "line", "grid", "candle", "card", "bad", "ink"]


def bars(count: int, step: int = 60) -> pl.DataFrame:
    draw = np.random.default_rng(5)
    close = np.round(20_000 * np.exp(np.cumsum(draw.normal(0, 0.0005, count))), 2)
    start = np.concatenate([[20_000.0], close[:-1]])
    return pl.DataFrame(
        {
            "t": 1_600_000_000 + step * np.arange(count),
            "open": start,
            "high": np.maximum(start, close) + 1,
            "low": np.minimum(start, close) - 1,
            "close": close,
            "volume": np.round(draw.gamma(2, 10, count), 3),
        }
    )


@pytest.mark.parametrize(
    "values",
    [
        np.array([], dtype=np.float64),
        np.array([0.0, 0.0]),
        np.array([1_600_000_000.0, 1_600_000_060.0]),
        np.array([20_000.01, 19_999.99, -3.5]),
        np.array([1.2345678e-7, 2.5e-7]),
        np.array([1.0, np.nan, 3.25]),
        np.array([1e12, 2e12]),
    ],
)
def test_a_packed_column_keeps_seven_digits(values: np.ndarray) -> None:
    back = time_chart.unpack(time_chart.pack(values))
    largest = np.nanmax(np.abs(values)) if len(values) else 0.0
    np.testing.assert_allclose(back, values, rtol=1e-7, atol=largest * 6e-7)


def test_levels_join_bars_by_their_rules() -> None:
    frame = bars(9_001)
    found = time_chart.levels(frame, OHLC)
    assert [level["step"] for level in found] == [1, 4, 16]
    fine, coarse = frame.head(4), found[1]["columns"]
    values = {name: time_chart.unpack(coarse[name]) for name in coarse}
    assert values["t"].tolist() == frame["t"].gather_every(4).to_list()
    assert values["open"][0] == pytest.approx(fine["open"][0])
    assert values["high"][0] == pytest.approx(fine["high"].max())
    assert values["low"][0] == pytest.approx(fine["low"].min())
    assert values["close"][0] == pytest.approx(fine["close"][3])
    assert values["volume"][0] == pytest.approx(fine["volume"].sum(), rel=1e-5)
    assert len(values["t"]) == 2_251
    assert values["close"][-1] == pytest.approx(frame["close"][-1])


def test_names_are_escaped_and_cut() -> None:
    evil = "<script>alert(1)</script>\x1b[2J" + "x" * 10_000
    text = time_chart.figure("price", evil, evil, "")
    assert "<script" not in text
    assert "\x1b" not in text
    assert len(text) < 6_000


def page(data: dict[str, Any], acts: str) -> str:
    """A page with one chart; `acts` runs with the chart at hand and fills `said`."""
    library = time_chart.library()
    assert library is not None, "septet was built without npm"
    colors = "".join(f"--{name}: #456;" for name in COLORS)
    return (
        f"<!doctype html><html><style>:root{{{colors}}}{time_chart.style()}</style><body>"
        f"{time_chart.figure('price', 'Price', 'A price.', '<svg></svg>', walks=True)}"
        f"<script>{library}</script><script>{time_chart.script()}</script><script>"
        f"const data = {json.dumps(data)};"
        "septetTimeChart(document.getElementById('price'), data).then((chart) => {"
        f"const said = {{}};{acts};"
        "document.documentElement.dataset.said = JSON.stringify(said); });</script></body></html>"
    )


def said(text: str, folder: Path) -> dict[str, Any]:
    path = folder / "page.html"
    path.write_text(text, "utf-8")
    shown, console = drawn(path, folder / "profile")
    assert console == ""
    found = re.search(r'<html[^>]* data-said="([^"]*)"', shown)
    assert found is not None
    return json.loads(html.unescape(found[1]))


def chart_of(frame: pl.DataFrame) -> dict[str, Any]:
    candles = {"kind": "candles", "name": "price"}
    volume = {"kind": "columns", "column": "volume", "name": "volume", "overlay": True}
    times = frame["t"].to_list()
    marks = [{"t": times[k], "kind": "long", "text": f"in {k}"} for k in (100, 200, 7_000)]
    panes = [{"unit": "USDT", "series": [candles, volume]}]
    return {"levels": time_chart.levels(frame, OHLC), "panes": panes, "marks": marks}


ACTS = """
const held = () => [chart.held.level.step, chart.held.high - chart.held.low,
  chart.first.made.data().length];
said.all = held();
said.first = chart.first.made.data()[0];
for (let i = 0; i < 8; i += 1) document.querySelector('[data-move=in]').click();
said.near = held();
said.counts = [];
for (let i = 0; i < 40; i += 1) { chart.move('left'); said.counts.push(held()[1]); }
chart.move('start'); said.begin = chart.held.low;
chart.move('end'); said.end = chart.held.high;
const key = (name) => document.querySelector('[data-canvas]').dispatchEvent(
  new KeyboardEvent('keydown', { key: name }));
key('n'); said.status = document.querySelector('[role=status]').textContent;
key('n'); key('n'); key('n'); said.last = document.querySelector('[role=status]').textContent;
said.inside = chart.range[0] < 7000 && 7000 < chart.range[1];
const table = document.querySelector('[data-rows]'); table.open = true; chart.tabulate();
said.rows = table.querySelectorAll('tbody tr').length;
said.heads = [...table.querySelectorAll('th')].map((th) => th.textContent);
key('0'); said.again = held();
chart.move('end');
chart.append({ t: 1600000000 + 60 * 500000, open: 1, high: 2, low: 0.5, close: 1.5, volume: 3 });
said.rowsNow = chart.rows;
"""


@needs_chromium
@needs_library
def test_half_a_million_bars_are_held_five_thousand_at_a_time(tmp_path: Path) -> None:
    frame = bars(500_000)
    found = said(page(chart_of(frame), ACTS), tmp_path)
    step, held, drawn_bars = found["all"]
    assert step == 256
    assert held == drawn_bars <= 5_000
    assert found["first"]["time"] == frame["t"][0]
    assert found["first"]["open"] == pytest.approx(frame["open"][0])
    assert found["near"][0] < 16
    assert max(found["counts"]) <= 5_000
    assert found["begin"] == 0
    assert found["end"] * found["near"][0] >= 500_000
    assert found["status"].startswith("1 of 3: ")
    assert found["status"].endswith("in 100")
    assert found["last"].endswith("in 7000")
    assert found["inside"]
    assert 150 < found["rows"] <= 200
    assert found["heads"] == ["Time (UTC)", "open", "high", "low", "close", "volume"]
    assert found["again"] == found["all"]
    assert found["rowsNow"] == 500_001


@needs_chromium
@needs_library
def test_of_many_trades_whole_ones_are_drawn_and_every_halt(tmp_path: Path) -> None:
    """Every n-th mark was drawn: stretches had entries alone, and halts were left out."""
    data = chart_of(bars(20_000))
    begin, step = int(data["marks"][0]["t"]), 60
    trades = [
        {"t": begin + step * (6 * trade + at), "kind": kind, "text": kind, "trade": trade}
        for trade in range(1_500)
        for at, kind in ((0, "long"), (3, "gain"))
    ]
    halts = [{"t": begin + step * 900 * k, "kind": "halt", "text": "drawdown"} for k in range(7)]
    data["marks"] = trades + halts
    acts = (
        "chart.setMarks(data.marks); said.drawn = chart.pins.markers(); said.text = chart.thinned;"
    )
    found = said(page(data, acts), tmp_path)
    shapes = Counter((each["shape"], each["position"]) for each in found["drawn"])
    assert sorted(shapes.values()) == [7, 300, 300]
    assert found["text"] == "607 of 3007 marks are drawn, of whole trades."


GAPS = """
chart.chart.timeScale().fitContent();
const picture = chart.chart.takeScreenshot();
const { data: pixels } = picture.getContext('2d').getImageData(0, 0, picture.width, picture.height);
const wide = chart.chart.timeScale().width(), ratio = picture.width / chart.canvas.clientWidth;
const drawnAt = (share) => {
  let count = 0;
  for (let k = 4 * Math.round(wide * share * ratio); k < pixels.length; k += 4 * picture.width)
    if (pixels[k] > 200 && pixels[k + 1] < 60 && pixels[k + 2] < 60) count += 1;
  return count;
};
said.shown = [0.1, 0.2, 0.4, 0.5, 0.6, 0.8, 0.9].map(drawnAt);
said.legend = chart.cells(50)[0][1];
"""


@needs_chromium
@needs_library
@pytest.mark.parametrize("steps", [True, False])
def test_a_line_is_not_drawn_across_what_is_unknown(tmp_path: Path, steps: bool) -> None:
    """A stop of one trade and that of the next are no stop of the time between them."""
    level = np.where((np.arange(100) < 30) | (np.arange(100) >= 70), 5.0, np.nan)
    level[80:] = 6.0
    frame = pl.DataFrame({"t": 1_600_000_000 + 60 * np.arange(100), "stop": level})
    line = {"kind": "line", "column": "stop", "name": "stop", "color": "bad", "steps": steps}
    data = {
        "levels": time_chart.levels(frame, {"stop": "last"}),
        "panes": [{"unit": "", "series": [line]}],
    }
    text = page(data, GAPS).replace("--bad: #456;", "--bad: #f00;")
    found = said(text, tmp_path)
    assert [each > 0 for each in found["shown"]] == [True, True, False, False, False, True, True]
    assert found["legend"] == "n/a"


HEIGHTS = f"{GAPS}said.heights = Array.from(Array(999).keys(), (k) => drawnAt(k / 1000));"


@needs_chromium
@needs_library
def test_the_stops_of_two_trades_are_not_joined(tmp_path: Path) -> None:
    level = np.full(100, np.nan)
    level[:30], level[70:] = 5.0, 9.0
    frame = pl.DataFrame({"t": 1_600_000_000 + 60 * np.arange(100), "stop": level})
    line = {"kind": "line", "column": "stop", "name": "stop", "color": "bad", "steps": True}
    data = {
        "levels": time_chart.levels(frame, {"stop": "last"}),
        "panes": [{"unit": "", "series": [line]}],
    }
    text = page(data, HEIGHTS).replace("--bad: #456;", "--bad: #f00;")
    assert 0 < max(said(text, tmp_path)["heights"]) < 10  # a line across is as high as the chart


@needs_chromium
@needs_library
def test_a_chart_shows_the_same_bars_when_its_window_becomes_wider(tmp_path: Path) -> None:
    """The first and the last that are seen, in bars of the level that is drawn."""
    path = tmp_path / "page.html"
    path.write_text(page(chart_of(bars(7_500)), "globalThis.chart = chart"), "utf-8")
    seen = "Object.values(chart.chart.timeScale().getVisibleLogicalRange()).map(Math.round)"
    with Browser(tmp_path / "profile") as browser:
        browser.look(width=390)
        browser.open(path.as_uri())
        browser.until("globalThis.chart")
        width = browser.run("chart.chart.timeScale().width()")
        before = browser.run(seen)
        browser.look(width=1280)
        browser.until(f"chart.chart.timeScale().width() > 2 * {width}")
        after = browser.run(seen)
    assert after == before
    assert before[1] - before[0] > 1_000
