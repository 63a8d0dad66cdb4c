"""The demo on paper against the local venue, killed again and again, and its backtest.

``SEPTET_FAULTS_TIMES=20 python -m pytest tests/faults/test_paper_demo.py`` plays 200 bars of
``SEPTET_PAPER_BAR_S`` seconds (8, at least 6). A shorter bar leaves a start too little of it: its
decisions come late, and are marked so; and four kills in ten minutes are a crash loop.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import polars as pl
import pytest

from septet._config.load import load
from septet._drill.local_market import KEY, SECRET, LocalMarket, make_local_market, settings_for
from septet._drill.processes import RunProcess, VenueProcess
from septet._live.replay import replay
from septet._live.shadow import shadow

ASKED = bool(os.environ.get("SEPTET_FAULTS_TIMES"))
BARS: Final = 200
BAR_S: Final = float(os.environ.get("SEPTET_PAPER_BAR_S", "8"))
KILLS: Final = 5
STRATEGY: Final = Path(__file__).parents[2] / "strategies" / "demo.yaml"

pytestmark = [
    pytest.mark.skipif(not ASKED, reason="set SEPTET_FAULTS_TIMES=20, the acceptance run"),
    pytest.mark.timeout(7_200),
]


def settings(written: dict[str, Any]) -> list[str]:
    return [
        word for path, value in written.items() for word in ("--set", f"{path}={json.dumps(value)}")
    ]


def lived(stage: LocalMarket, venue: VenueProcess, folder: Path, seed: int) -> Path:
    """Run on paper for so many bars, killed with signal 9 at moments drawn by chance."""
    loaded = load(STRATEGY)
    words = [
        str(STRATEGY), "--mode", "paper", "--clock", venue.admin, "--out", str(folder / "runs"),
        "--bars", str(BARS), "--log-level", "info",
    ]  # fmt: skip
    for each in settings_for(loaded, "paper", venue.urls):
        words += ["--set", each]
    environment = {
        KEY: stage.config.api_key, SECRET: stage.config.secret,
        "SEPTET_STATE_DIR": str(folder / "state"),
    }  # fmt: skip
    chance, log = random.Random(seed), folder / "run.log"
    run = RunProcess(words, environment, log)
    run.start()
    part = BARS // KILLS
    kills = [part * number + part // 2 + chance.randint(-4, 4) for number in range(KILLS)]
    began_ns, bar_ns = 0, stage.config.bar_ns
    while run.ended is None:
        time.sleep(0.1)
        if not began_ns and log.exists() and '"event": "live"' in log.read_text("utf-8"):
            began_ns = venue.clock().market_ns
        done = (venue.clock().market_ns - began_ns) // bar_ns if began_ns else 0
        if kills and done >= kills[0]:
            kills.pop(0)
            time.sleep(chance.uniform(0.0, BAR_S / 8))
            run.kill()
            run.start()
    assert run.ended == 0, run.tail(30)
    assert not kills, f"the run ended before {len(kills)} kills"
    return max((folder / "runs" / "demo").iterdir())


def backtest(stage: LocalMarket, folder: Path, first: str, until: str) -> Path:
    """Run the same file on the bars that the venue played."""
    (bars,) = stage.bars.values()
    (market,) = stage.config.symbols
    frame = pl.DataFrame({name: getattr(bars, name) for name in bars.__struct_fields__})
    times = pl.from_epoch("open_ns", time_unit="ns").dt.replace_time_zone("UTC").alias("timestamp")
    frame.with_columns(times).drop("open_ns").write_parquet(folder / "bars.parquet")
    rules = {
        "tick": float(market.tick), "lot": float(market.lot),
        "min_notional": float(market.min_notional),
    }  # fmt: skip
    words = settings({
        "data.candles": {"use": "parquet", "path": str(folder / "bars.parquet")},
        "execution.instruments": {load(STRATEGY).strategy.universe.symbols[0]: rules},
        "universe.start": first, "universe.end": until,
    })  # fmt: skip
    out = folder / "past"
    subprocess.run(
        [sys.executable, "-m", "septet.cli", "run", str(STRATEGY), "--out", str(out), *words],
        check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return max((out / "demo").iterdir())


def table(run: Path, name: str) -> pl.DataFrame:
    frame = pl.read_parquet(run / f"{name}.parquet")
    coded = [key for key, kind in frame.schema.items() if isinstance(kind, pl.Enum)]
    return frame.with_columns(pl.col(coded).cast(pl.String))


def test_two_hundred_bars_killed_five_times_are_their_backtest(tmp_path: Path) -> None:
    stage = make_local_market(
        load(STRATEGY), tmp_path, seed=7, bars=BARS + 40, bar_wall_ns=int(BAR_S * 1e9),
        synthetic=False,
    )  # fmt: skip
    with VenueProcess(stage.config, tmp_path) as venue:
        paper = lived(stage, venue, tmp_path, 7)
    for proof in (replay(paper), shadow(paper)):
        assert proof.differences == 0, proof.first
        print(proof.text)
    rows = table(paper, "decisions")
    first, last = rows["time"][0], rows["time"][-1]
    past = backtest(stage, tmp_path, f"{first:%Y-%m-%dT%H:%M:%SZ}", f"{last:%Y-%m-%dT%H:%M:%SZ}")
    late = rows.filter(pl.col("late"))["time"].implode()
    undecided = len(table(past, "decisions")) - len(rows)
    print(f"{len(rows)} rows, {len(late.item())} late, {undecided} undecided")
    assert len(table(paper, "fills")) > 0
    for name in ("decisions", "orders", "fills", "trades", "equity"):
        ours, theirs = table(paper, name), table(past, name)
        if name in ("decisions", "equity"):
            there = pl.col("time").is_in(rows["time"].implode()) & ~pl.col("time").is_in(late)
            ours, theirs = ours.filter(there), theirs.filter(there)
        assert ours.equals(theirs), name
        print(f"{name}: {len(ours)} rows are equal")
