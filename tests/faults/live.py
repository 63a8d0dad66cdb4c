"""`septet run --mode live` as a process against the local venue as a process, and both books."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from septet import messages as m
from septet._drill.processes import RunProcess, VenueProcess
from septet._drill.record_checks import Finding, check_trading
from septet._drill.trading_records import RunRecord, VenueRecord
from septet._drill.venue import SymbolConfig, Synthetic, VenueConfig
from septet._journal.reader import Reader
from septet._live.kill_switch import ask_resume
from tests.cli.local import OPTIONS, STRATEGY, store_credential
from tests.faults.fault_checks import FEW

WITHIN_S = 90.0
LOOK_S = 0.05


class Live:
    """One strategy, its venue, and what is known of both."""

    def __init__(self, folder: Path, venue: VenueProcess, seed: int, bar_ns: int) -> None:
        self.folder, self.venue, self.chance = folder, venue, random.Random(seed)
        self.file = folder / "faults.yaml"
        text = STRATEGY.format(
            name="faults", capital=5_000.0, urls=json.dumps(venue.urls), options=json.dumps(OPTIONS)
        )
        text = text.replace("period: 2", "period: 4").replace("period: 5", "period: 10")
        # An order that was never sent is known to be lost after three seconds, not a minute.
        text = text.replace("rate_limit: false", "rate_limit: false, answers_final_after: 3s")
        self.file.write_text(text, encoding="utf-8")
        store_credential(folder / "config")
        self.environment = {
            "LOCAL_KEY": "k", "LOCAL_SECRET": "s", "SEPTET_STATE_DIR": str(folder / "state"),
            "XDG_CONFIG_HOME": str(folder / "config"),
        }  # fmt: skip
        self.words = [
            str(self.file), "--mode", "live", "--yes", "--clock", venue.admin,
            "--out", str(folder / "runs"), "--log-level", "info",
        ]  # fmt: skip
        self.run = RunProcess(self.words, self.environment, folder / "run.log")
        self.bar_ns = bar_ns
        self.theirs = VenueRecord()
        self._reader: Reader | None = None
        self._book: RunRecord | None = None
        self._inode = 0

    @property
    def place(self) -> Path:
        """The run's folder."""
        return max((self.folder / "runs" / "faults").iterdir())

    @property
    def journal(self) -> Path:
        return self.place / "journal.sqlite"

    def ours(self) -> RunRecord:
        """Our book: what the journal holds by now."""
        inode = self.journal.stat().st_ino
        if self._reader is None or inode != self._inode:
            self.forget()
            self._reader, self._inode = Reader(self.journal), inode
            self._book = RunRecord(self._reader.head)
        assert self._book is not None
        return self._book.take(self._reader.read(self._book.seq))

    def forget(self) -> None:
        """Read the journal anew the next time."""
        if self._reader is not None:
            self._reader.close()
        self._reader = self._book = None

    def look(self) -> list[Finding]:
        """Compare both books as they are now."""
        ours = self.ours()  # first: what the venue did since is not yet expected here
        self.theirs.take(self.venue.rows())
        return check_trading(self.theirs, ours)

    def until(self, done: Callable[[], Any], what: str, within_s: float = WITHIN_S) -> Any:
        until_s = time.monotonic() + within_s
        while not (found := done()):
            if time.monotonic() > until_s:
                raise AssertionError(f"{what}: not within {within_s:g} s\n{self.run.tail(25)}")
            time.sleep(LOOK_S)
        return found

    def start(self) -> None:
        """Start the process and wait until it trades or reports why not."""
        before = self.count_of("live")
        self.run.start()
        self.until(lambda: self.count_of("live") > before or self.run.ended is not None, "live")
        assert self.run.ended is None, self.run.tail(25)

    def count_of(self, event: str) -> int:
        """Return how often the log holds an event."""
        if not (self.folder / "run.log").exists():
            return 0
        text = (self.folder / "run.log").read_text("utf-8", "replace")
        return text.count(f'"event": "{event}"') + text.count(f'"event":"{event}"')

    def until_reported(self, event: str, before: int) -> None:
        """Wait until the log has a line once more."""
        self.until(lambda: self.count_of(event) > before, event)

    def wait_until_idle(self) -> None:
        """Wait until both books agree."""
        found: list[Finding] = []

        def agree() -> bool:
            found[:] = self.look()
            return not found

        try:
            self.until(agree, "both books agree", 60.0)
        except AssertionError as error:
            raise AssertionError(f"{[str(each) for each in found]}\n{error}") from None

    def fills(self) -> int:
        self.theirs.take(self.venue.rows())
        return len(self.theirs.fills)

    def sold(self) -> int:
        """Count the sales so far."""
        self.theirs.take(self.venue.rows())
        return sum(each.side.lower() == "sell" for each in self.theirs.fills.values())

    def trade(self, fills: int = 1) -> None:
        """Wait until something was traded."""
        before = self.fills()
        self.until(
            lambda: self.fills() >= before + fills or self.run.ended is not None, "a trade"
        )  # fmt: skip
        assert self.run.ended is None, self.run.tail(25)

    def pause(self, most_s: float) -> None:
        """Let a random while go by: where the fault strikes is left to chance."""
        time.sleep(self.chance.uniform(0.0, most_s))

    def bars(self, count: int) -> None:
        """Wait until the venue has played so many bars more."""
        until_ns = self.venue.clock().market_ns + count * self.bar_ns
        self.until(lambda: self.venue.clock().market_ns >= until_ns, f"{count} bars")

    def resume(self) -> None:
        """Do what a person would who has looked."""
        ask_resume(self.place, name="ann", reason="looked", now_ns=time.time_ns())

    def septet(self, *words: object) -> tuple[int, str]:
        """Run a command to its end."""
        found = subprocess.run(
            [sys.executable, "-m", "septet.cli", *map(str, words)], text=True, timeout=WITHIN_S,
            env={**os.environ, **self.environment}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        return found.returncode, found.stdout

    def commands(self, kind: type[m.Command]) -> list[Any]:
        with Reader(self.journal) as journal:
            rows = [each.commands for each in journal.read()]
        return [each for caused in rows for each in caused if isinstance(each, kind)]


@contextmanager
def live(
    folder: Path, seed: int = 1, bases: Sequence[str] = ("BTC",), **changes: Any
) -> Iterator[Live]:
    """Serve a venue, and make a strategy that trades all of its symbols."""
    bars = 2_000 + 1_000 * FEW
    config = VenueConfig(
        symbols=[SymbolConfig(base=base, synthetic=Synthetic(count=bars)) for base in bases],
        history=300,
        bar_wall_ns=250_000_000, seed=seed, journal_path=str(folder / "venue-journal.jsonl"),
        **changes,
    )  # fmt: skip
    with VenueProcess(config, folder) as venue:
        made = Live(folder, venue, seed, config.bar_ns)
        names = ", ".join(f"{base}/USDT" for base in bases)
        text = made.file.read_text(encoding="utf-8").replace("[BTC/USDT]", f"[{names}]")
        made.file.write_text(text, encoding="utf-8")
        try:
            yield made
        finally:
            made.run.kill()
            made.forget()
