"""Measure the pages of `septet dashboard` and the chart over time, in a real Chromium.

    python benchmarks/viewing.py [--quick] [--only pan,live,viewers]

`pan` moves a chart of 500,000 bars, a step each frame. `live` opens the page of a live run with a
year of minute bars, then lets a bar close and waits for the page to change. `viewers` compares the
processor time of the trading process for the same events without viewers and with 50, each of
which reads the page again on request: 40 pairs of blocks, one of each with viewers and dashboard
halted; the figure is the median of the pairs, with its interval. The trading process is this one:
the product's core and journal without a socket. The dashboard, the browser and the viewers are
processes of their own.
The table is printed; nothing is written. Chromium draws without a graphics card.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import live_latency
import live_mill
import live_world
import numpy as np
import polars as pl
from common import ROOT, machine
from live import table
from live_common import Figure, folder, median, quantile

from septet import messages as m
from septet._charts import time_chart
from septet._config import load

sys.path.insert(0, str(ROOT))
from tests.dashboard.browser import Browser

PARTS = ("pan", "live", "viewers")
MINUTE_NS = 60 * 1_000_000_000
YEAR_BARS, PAN_BARS = 525_600, 500_000
FRAMES, EVENTS_SEEN, VIEWERS, OF_SESSION = 600, 15, 50, 10
VIEWED_EVENTS, AT_ONCE, PAIRS = 4_000, 100, 40
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
WATCH = """globalThis.changed = 0;
new MutationObserver((_, observer) => {
  globalThis.changed = performance.timeOrigin + performance.now(); observer.disconnect();
}).observe(document.querySelector('[data-live]'), { childList: true, subtree: true });"""
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
    mill = live_mill.Mill(world, 0)
    mill.run(2 * bars)  # a bar and its decision time
    return mill


@contextmanager
def _dashboard(root: Path) -> Iterator[tuple[str, Iterator[str], int]]:
    """Serve the runs in a process of its own; yield its host, its codes in turn, and its id."""
    command = [sys.executable, __file__, "--serve", str(root)]
    served = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert served.stdout is not None
        host = served.stdout.readline().strip()
        yield host, map(str.strip, served.stdout), served.pid
    finally:
        served.terminate()
        served.communicate(timeout=30)


def _serve(root: Path) -> None:
    from septet._dashboard.serve import make_server, open_socket

    with open_socket("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        print(f"127.0.0.1:{port}", flush=True)
        server = make_server(root, port, partial(print, flush=True), listening=listening)
        server.run([listening])


def _address(mill: live_mill.Mill) -> str:
    place = mill.world.strategy_run.location.folder
    return "/run?" + urlencode({"run": f"{place.parent.name}/{place.name}"})


def look(mill: live_mill.Mill, root: Path, place: Path, quick: bool) -> Iterator[Figure]:
    """Open the page of the run twice, then let bars close and wait for the page to change."""
    bars, decisions = mill.world.strategy_run.journal, mill.world.strategy_run.known.decisions
    note = f"{decisions:,} decisions, {bars.last_seq:,} journal entries" if bars else ""
    with _dashboard(root) as (host, codes, _), Browser(place / "profile") as browser:
        browser.look()
        browser.log_in(host, next(codes))
        for name, bound in (("first paint of a live run", 1_000.0), ("first paint, again", None)):
            began = time.monotonic()
            browser.open(f"http://{host}{_address(mill)}")
            loaded = time.monotonic() - began
            more = f"{note}; loaded after {loaded:.2f} s" if bound else f"loaded {loaded:.2f} s"
            yield Figure("live", name, browser.run(PAINTED), "ms", bound, note=more)
        took = []
        for _ in range(3 if quick else EVENTS_SEEN):
            time.sleep(3.0)  # the page has nothing under way: a run that rests, then writes
            browser.run(WATCH)
            mill.run(2, batch=2)
            began_ms = time.time() * 1e3
            browser.until("globalThis.changed")
            took.append(browser.run("globalThis.changed") - began_ms)
        yield Figure("live", "event to page, median", median(took), "ms", 250.0)
        yield Figure("live", "event to page, longest", max(took), "ms")


# ---------------------------------------------------------------- many who look


def _cookie(host: str, code: str) -> str:
    name, port = host.split(":")
    connection = http.client.HTTPConnection(name, int(port), timeout=60)
    headers = {
        "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin",
        "Content-Type": "application/x-www-form-urlencoded",
    }  # fmt: skip
    connection.request("POST", "/login", urlencode({"code": code}), headers)
    cookie = str(connection.getresponse().getheader("set-cookie")).partition(";")[0]
    connection.close()
    return cookie


def _view(host: str, path: str, streams: int, cookies: list[str]) -> None:
    """Be so many viewers: read the page whenever the run has written; report when all see it."""
    ready = threading.Barrier(streams + 1)
    name, port = host.split(":")

    def viewer(cookie: str) -> None:
        events = http.client.HTTPConnection(name, int(port))
        events.request("GET", path.replace("/run?", "/events?"), headers={"Cookie": cookie})
        answer = events.getresponse()
        assert answer.status == 200, answer.status
        ready.wait()
        for line in answer:
            if line.startswith(b"event: grew"):
                page = http.client.HTTPConnection(name, int(port))
                page.request("GET", path, headers={"Cookie": cookie})
                page.getresponse().read()
                page.close()

    for number in range(streams):
        given = (cookies[number // OF_SESSION],)
        threading.Thread(target=viewer, args=given, daemon=True).start()
    ready.wait()
    print("all", flush=True)
    threading.Event().wait()


def _spent(pid: int) -> float:
    """Return the processor time that a process has used so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rest(pid: int) -> None:
    """Wait until a process has nothing under way: half a second in which it uses no time."""
    before = -1.0
    while (used := _spent(pid)) != before:
        before = used
        time.sleep(0.5)


class Crowd:
    """Viewers in a process of their own, and the dashboard that they read: both can be halted."""

    def __init__(self, looking: subprocess.Popen[str], dashboard: int) -> None:
        self._processes = (looking.pid, dashboard)

    def halt(self) -> None:
        """Let both finish what is under way, and stop them where they stand."""
        for pid in self._processes:
            _rest(pid)
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let both go on."""
        for pid in self._processes:
            os.kill(pid, signal.SIGCONT)


def interval_of_median(values: list[float]) -> tuple[float, float]:
    """Return bounds between which the median of what is measured lies, with 95 % confidence.

    They are two of the values, by the binomial distribution of how many lie below the median:
    nothing is assumed of how they are distributed.
    """
    found, count = sorted(values), len(values)
    below, rank = 0.5**count, 0
    while below <= 0.025 and rank < count // 2:
        rank += 1
        below += math.comb(count, rank) * 0.5**count
    return found[max(0, rank - 1)], found[min(count - 1, count - rank)]


def _block(mill: live_mill.Mill, events: int) -> float:
    """Return the processor time of this process for so many events, rests between them included."""
    mill.run(20, batch=20)  # what was begun or halted before is under way
    began = time.process_time()
    for _ in range(events // AT_ONCE):
        mill.run(AT_ONCE, batch=20)
        time.sleep(0.05)  # the run goes on for a while, and is looked at meanwhile
    return time.process_time() - began


def crowd(mill: live_mill.Mill, root: Path, quick: bool) -> Iterator[Figure]:
    """Compare blocks of events with and without viewers, in pairs, by processor time.

    The viewers are connected all the time; for the blocks without them, they and the dashboard are
    halted. Two blocks of a pair follow each other, in an order that changes from pair to pair, so
    that what changes slowly (the machine, the length of the journal) is in both.
    """
    viewers, events, pairs = (5, 400, 3) if quick else (VIEWERS, VIEWED_EVENTS, PAIRS)
    more, spent = list[float](), list[float]()
    with _dashboard(root) as (host, codes, dashboard):
        cookies = [_cookie(host, next(codes)) for _ in range(0, viewers, OF_SESSION)]
        command = [sys.executable, __file__, "--view", host, _address(mill), str(viewers)]
        looking = subprocess.Popen([*command, *cookies], stdout=subprocess.PIPE, text=True)
        seen = Crowd(looking, dashboard)
        try:
            assert looking.stdout is not None
            assert looking.stdout.readline() == "all\n"
            _block(mill, events)
            for number in range(pairs):
                used = {}
                for with_viewers in (True, False) if number % 2 else (False, True):
                    if not with_viewers:
                        seen.halt()
                    used[with_viewers] = _block(mill, events)
                    if not with_viewers:
                        seen.resume()
                spent.append(used[False])
                more.append(100.0 * (used[True] / used[False] - 1.0))
        finally:
            seen.resume()
            looking.terminate()
            looking.communicate(timeout=30)
    low, high = interval_of_median(more)
    note = (
        f"{pairs} pairs, 95 % interval {low:+.1f} to {high:+.1f} %; "
        f"{1e3 * median(spent):.0f} ms a block without"
    )
    yield Figure(
        "viewers", f"processor time of a trading process more with {viewers} viewers",
        median(more), "%", 2.0, note=note,
    )  # fmt: skip


# ---------------------------------------------------------------- the whole


async def _looked_at(parts: list[str], place: Path, quick: bool) -> list[Figure]:
    mill = await _live(place, 2_000 if quick else YEAR_BARS)
    found = list[Figure]()
    try:
        if "live" in parts:
            found += look(mill, place / "runs", place, quick)
        if "viewers" in parts:
            found += crowd(mill, place / "runs", quick)
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
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--view", nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args(words)
    if asked.serve:
        _serve(asked.serve)
    elif asked.view:
        host, path, streams, *cookies = asked.view
        _view(host, path, int(streams), cookies)
    else:
        parts = asked.only.split(",")
        if unknown := [each for each in parts if each not in PARTS]:
            parser.error(f"--only was {unknown[0]}; expected some of {', '.join(PARTS)}")
        print(f"{machine()}\n\n{table(measure(parts, asked.quick))}")


if __name__ == "__main__":
    main()
