"""Measure the pages of `septet dashboard` and the chart over time, in a real Chromium.

    python benchmarks/viewing.py [--quick] [--only pan,live,viewers]

`pan` moves a chart of 500,000 bars, a step each frame. `live` opens the page of a live run with a
year of minute bars, then lets a bar close and waits for the page to change. `viewers` compares the
processor time of the trading process for the same events with 50 viewers, without them, and beside
other work as large as theirs (`viewers.py`); it takes at least four minutes. The trading process is
this one: the product's core and journal without a socket. The dashboard, the browser and the
viewers are processes of their own.
The table is printed, progress goes to stderr; nothing is written. Chromium draws without a
graphics card.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import live_latency
import live_mill
import live_world
import numpy as np
import polars as pl
from common import ROOT, machine
from live import table
from live_common import Figure, folder, median, quantile
from viewers import crowd, dashboard, run_address, spent

from septet import messages as m
from septet._charts import time_chart
from septet._config import load

sys.path.insert(0, str(ROOT))
from tests.dashboard.browser import Browser

PARTS = ("pan", "live", "viewers")
MINUTE_NS = 60 * 1_000_000_000
YEAR_BARS, VIEWED_BARS, PAN_BARS = 525_600, 20_000, 500_000
FRAMES, EVENTS_SEEN = 600, 15
PROGRESS_BARS = 50_000
SETS = (
    "universe.bar=1m",
    "risk.halts={drawdown: {above: 99%, then: flatten, resume: manual}}",
    "execution.venues={here: {use: ccxt, exchange: binance, key: env:KEY, secret: env:SECRET}}",
)
COLORS = ("accent", "contrast", "neutral", "soft", "line", "grid", "candle", "card", "bad", "ink")
OHLC = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
PAN = """new Promise((done) => {
  const [begin, end] = chart.range, span = [];
  let at = begin, before = 0, count = 0;
  const step = (now) => {
    if (before) span.push(now - before);
    before = now;
    if ((count += 1) > %d) { done({ span, bars: chart.first.made.data().length }); return; }
    at += %f; chart.show(at, at + end - begin);
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""
WATCH = """globalThis.changed = new Promise((done) => {
  new MutationObserver((_, observer) => {
    done(performance.timeOrigin + performance.now()); observer.disconnect();
  }).observe(document.querySelector('[data-live]'), { childList: true, subtree: true });
}); 0"""
CHANGED = """Promise.race([globalThis.changed, new Promise((done) => setTimeout(() => done(
  `the page has not changed within %d s; it says: ${document.getElementById('stale').textContent}`
), %d))])"""
CHANGES_WITHIN_S = 300
"""A page of a long run on a busy machine takes long: that is a figure and no failure."""
PAINTED = """new Promise((done) => new PerformanceObserver((list) => done(
  list.getEntriesByName('first-contentful-paint')[0].startTime
)).observe({ type: 'paint', buffered: true }))"""


# ---------------------------------------------------------------- a chart that is moved


def _bars(count: int) -> pl.DataFrame:
    draw = np.random.default_rng(5)
    close = np.round(20_000 * np.exp(np.cumsum(draw.normal(0, 0.0005, count))), 2)
    start = np.concatenate([[20_000.0], close[:-1]])
    return pl.DataFrame(
        {
            "t": 1_600_000_000 + 60 * np.arange(count), "open": start,
            "high": np.maximum(start, close) + 1, "low": np.minimum(start, close) - 1,
            "close": close, "volume": np.round(draw.gamma(2, 10, count), 3),
        }
    )  # fmt: skip


def _chart_page(count: int) -> str:
    """Return a page with one chart of candles and volume, which it names `chart`."""
    library = time_chart.library()
    assert library is not None, "septet was built without npm"
    candles = {"kind": "candles", "name": "price"}
    volume = {"kind": "columns", "column": "volume", "name": "volume", "overlay": True}
    data = {
        "levels": time_chart.levels(_bars(count), OHLC),
        "panes": [{"unit": "USDT", "series": [candles, volume]}],
    }
    colors = "".join(f"--{name}: #456;" for name in COLORS)
    return (
        f"<!doctype html><html><style>:root{{{colors}}}{time_chart.style()}</style><body>"
        f"{time_chart.figure('price', 'Price', 'A price.', '<svg></svg>')}"
        f"<script>{library}</script><script>{time_chart.script()}</script><script>"
        f"septetTimeChart(document.getElementById('price'), {json.dumps(data)})"
        ".then((made) => { globalThis.chart = made; });</script></body></html>"
    )


def pan(quick: bool) -> Iterator[Figure]:
    """Pan at the finest level and over all bars, the same share of the window each frame."""
    count, frames = (20_000, 60) if quick else (PAN_BARS, FRAMES)
    with tempfile.TemporaryDirectory() as place:
        page = Path(place) / "page.html"
        page.write_text(_chart_page(count), "utf-8")
        with Browser(Path(place) / "profile") as browser:
            browser.look()
            browser.open(page.as_uri())
            browser.until("globalThis.chart")
            for name, bars in (("1,000 bars seen", 1_000), ("a tenth of all seen", count // 10)):
                browser.run(f"chart.show(0, {bars})")
                found = browser.run(PAN % (frames, bars / 20))
                assert found["bars"] <= 5_000
                yield Figure(
                    "pan", f"frame while {count:,} bars are moved, {name}, 95 %",
                    quantile(found["span"], 0.95), "ms", 33.0,
                    note=f"median {median(found['span']):.1f} ms, {len(found['span'])} frames",
                )  # fmt: skip
            held = browser.send("Runtime.getHeapUsage")
            arrays = held.get("backingStorageSize", 0)
            used = (held["usedSize"] + arrays) / 1e6
            note = f"{arrays / 1e6:.1f} MB of them in arrays"
            yield Figure("pan", "heap of the page after it", used, "MB", 150.0, note=note)


# ---------------------------------------------------------------- a live run that is looked at


def notify(text: str) -> None:
    """State on stderr how far it is."""
    print(text, file=sys.stderr, flush=True)


def _strategy() -> Any:
    return load(ROOT / "strategies" / "sma-cross.yaml", mode="live", sets=list(SETS))


async def _live(place: Path, bars: int) -> live_mill.Mill:
    """Begin a live run on minute bars, and let so many pass."""
    for module in (live_world, live_latency, live_mill):
        module.BAR_NS = MINUTE_NS  # the other scripts have bars of 15 minutes
    live_latency.demo = _strategy
    ready = m.ModelReady(
        at_ns=0, number=0, fingerprint="", trained_to_ns=0, ready_ns=0, expires_ns=0, folder=""
    )
    world = await live_latency.live(place, ready, "process")
    models = world.strategy_run.location.folder / "models"
    models.unlink()  # a link, which a page does not follow; this strategy has no model
    mill = live_mill.Mill(world, 0)
    for first in range(0, bars, PROGRESS_BARS):
        mill.run(2 * min(PROGRESS_BARS, bars - first))  # a bar and its decision time
        notify(f"live run: {min(first + PROGRESS_BARS, bars):,} of {bars:,} bars")
    return mill


def look(mill: live_mill.Mill, root: Path, place: Path, quick: bool) -> Iterator[Figure]:
    """Open the page of the run twice, then let bars close and wait for the page to change."""
    journal, decisions = mill.world.strategy_run.journal, mill.world.strategy_run.known.decisions
    assert journal is not None
    note = f"{decisions:,} decisions, {journal.last_seq:,} journal entries"
    with dashboard(root) as (host, codes, served), Browser(place / "profile") as browser:
        browser.look()
        browser.log_in(host, next(codes))
        for name, bound in (("first paint of a live run", 1_000.0), ("first paint, again", None)):
            began = time.monotonic()
            browser.open(f"http://{host}{run_address(mill)}")
            loaded = time.monotonic() - began
            assert browser.run("document.querySelector('#chart-price') !== null"), "no figures"
            more = f"{note}; loaded after {loaded:.2f} s" if bound else f"loaded {loaded:.2f} s"
            yield Figure("live", name, browser.run(PAINTED), "ms", bound, note=more)
        took, used_s = list[float](), spent(served)
        for _ in range(3 if quick else EVENTS_SEEN):
            time.sleep(3.0)  # the page has nothing under way: a run that rests, then writes
            browser.run(WATCH)
            mill.run(2, batch=2)
            began_ms = time.time() * 1e3
            changed = browser.run(CHANGED % (CHANGES_WITHIN_S, CHANGES_WITHIN_S * 1_000))
            if not isinstance(changed, float):
                raise RuntimeError(
                    f"{changed or 'nothing'}; the last entry is {journal.last_seq:,}"
                )
            took.append(changed - began_ms)
        busy = f"the dashboard used {1e3 * (spent(served) - used_s) / len(took):.0f} ms each"
        yield Figure("live", "event to page, median", median(took), "ms", 250.0, note=busy)
        yield Figure("live", "event to page, longest", max(took), "ms")


# ---------------------------------------------------------------- the whole


async def _looked_at(parts: list[str], place: Path, quick: bool) -> list[Figure]:
    bars = YEAR_BARS if "live" in parts else VIEWED_BARS
    mill = await _live(place, 2_000 if quick else bars)
    found = list[Figure]()
    try:
        if "live" in parts:
            found += look(mill, place / "runs", place, quick)
        if "viewers" in parts:
            found += crowd(mill, place / "runs", quick, notify)
    finally:
        await live_latency.stop(mill.world)
    return found


def measure(parts: list[str], quick: bool) -> list[Figure]:
    """Return the figures of the parts."""
    found = list(pan(quick)) if "pan" in parts else []
    if "live" in parts or "viewers" in parts:
        with folder() as place:
            os.environ["SEPTET_STATE_DIR"] = str(place / "state")
            found += asyncio.run(_looked_at(parts, place, quick))
    return found


def main(words: list[str] | None = None) -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--only", default=",".join(PARTS), help="parts by name")
    asked = parser.parse_args(words)
    parts = asked.only.split(",")
    if unknown := [each for each in parts if each not in PARTS]:
        parser.error(f"--only was {unknown[0]}; expected some of {', '.join(PARTS)}")
    print(f"{machine()}\n\n{table(measure(parts, asked.quick))}")


if __name__ == "__main__":
    main()
