"""`septet run --mode live` at a venue that speaks Bybit, by streams and by polls, to its replay."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from septet import messages as m
from septet._drill.record_checks import check_trading
from septet._drill.trading_records import RunRecord, VenueRecord
from septet._drill.venue import SymbolConfig, Synthetic, VenueConfig
from septet._drill.venue.venue_journal import read_venue_journal
from septet._journal.reader import Reader
from tests.cli.local import STRATEGY, store_credential
from tests.wire.bybit import BybitVenue

WITHIN_S = 300.0
STREAMS = "from septet.cli import main; main()"
POLLS = f"import ccxt.pro; ccxt.pro.exchanges.remove('bybit'); {STREAMS}"
"""Without its half of streams the client is that of an exchange which has none."""


class LiveHarness:
    """A folder with a strategy, its processes, and the venue."""

    def __init__(self, folder: Path, venue: BybitVenue, start: str) -> None:
        self.folder, self.venue, self.start = folder, venue, start
        text = STRATEGY.format(
            name="run", capital=5_000.0, urls=json.dumps(venue.urls), options="{}"
        ).replace("binance", "bybit")
        text = text.replace("  halts:", "  stops: {stop_loss: 2%}\n  halts:")
        self.file = folder / "run.yaml"
        text = text.replace("use: ccxt,", "use: ccxt, poll: 200ms,")
        self.file.write_text(text, encoding="utf-8")
        self.log = folder / "run.log"
        store_credential(folder / "config", "bybit")
        self.environment = {
            **os.environ, "LOCAL_KEY": venue.inner.config.api_key,
            "LOCAL_SECRET": venue.inner.config.secret, "SEPTET_STATE_DIR": str(folder / "state"),
            "XDG_CONFIG_HOME": str(folder / "config"),
        }  # fmt: skip

    async def run(self) -> Process:
        """Start the live run and wait until it trades."""
        words = (
            "run", str(self.file), "--mode", "live", "--yes", "--log-level", "info", "--out",
            str(self.folder / "runs"), "--clock", f"http://127.0.0.1:{self.venue.inner.admin_port}",
        )  # fmt: skip
        before = self.count_of("live")
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", self.start, *words, env=self.environment, stdin=PIPE,
                stdout=log, stderr=log,
            )  # fmt: skip
        await self.until(lambda: self.count_of("live") > before, process)
        return process

    async def until(self, met: Callable[[], Any], process: Process) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(WITHIN_S):
                while not met() and process.returncode is None:
                    await asyncio.sleep(0.05)
        assert met(), self.log.read_text("utf-8", "replace")[-3000:]

    def count_of(self, event: str) -> int:
        return self.log.read_text("utf-8").count(f'"{event}"') if self.log.exists() else 0

    async def septet(self, *words: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "septet.cli", *words, "--runs", str(self.folder / "runs"),
            env=self.environment, stdin=PIPE, stdout=PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await asyncio.wait_for(process.communicate(), WITHIN_S)
        return int(process.returncode or 0), out.decode()

    @property
    def fills(self) -> int:
        return len(self.venue.inner.journal.dump().fills)

    @property
    def journal(self) -> Path:
        return next((self.folder / "runs" / "run").iterdir()) / "journal.sqlite"


async def lived(folder: Path, start: str, bar_wall_ns: int) -> None:
    config = VenueConfig(
        symbols=[SymbolConfig(base="BTC", synthetic=Synthetic(count=3_000))], history=300,
        bar_wall_ns=bar_wall_ns, seed=3, balances={"USDT": "10000"},
        journal_path=str(folder / "venue-journal.jsonl"),
    )  # fmt: skip
    async with BybitVenue(config) as venue:
        harness = LiveHarness(folder, venue, start)
        process = await harness.run()
        await harness.until(lambda: harness.fills >= 2, process)
        venue.lose = 1
        await harness.until(lambda: harness.fills >= 4 and not venue.lose, process)
        process.kill()
        await process.wait()
        process = await harness.run()
        before = harness.fills
        await harness.until(lambda: harness.fills > before, process)
        code, output = await harness.septet("halt", "run", "--reason", "enough")
        assert code == 0, output
        assert not venue.engine.open
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), WITHIN_S)
        code, output = await harness.septet("replay", "run")
        assert code == 0, output
        assert "0 differences" in output
        assert len(set(venue.created())) == len(venue.created()), "no id was sent twice"
        with Reader(harness.journal) as journal:
            ours = RunRecord(journal.head).take(journal.read())
            uncertain = [e for e in journal.read() if isinstance(e.event, m.Uncertain)]
        assert uncertain
        theirs = VenueRecord().take(read_venue_journal(folder / "venue-journal.jsonl"))
        assert check_trading(theirs, ours) == []


@pytest.mark.parametrize("start", [STREAMS, POLLS], ids=["streams", "polls"])
def test_a_live_run_from_its_start_to_its_replay(tmp_path: Path, start: str) -> None:
    asyncio.run(lived(tmp_path, start, 1_000_000_000 if start is POLLS else 400_000_000))
    text = (tmp_path / "run.log").read_text("utf-8")
    notes = ("bybit streams no orders: the account is polled", "bybit streams no bars: they are")
    assert all((each in text) == (start is POLLS) for each in notes), text[:3000]
