"""Processes as a user starts them: the local venue, and `septet run` against it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from septet._drill.parent_death import command_of
from septet._drill.venue import SymbolConfig, Synthetic, VenueConfig

STRATEGY = """\
version: 1
name: {name}
account: {{capital: {capital}}}
universe: {{symbols: [BTC/USDT], bar: 1h}}
data:
  candles: {{use: ccxt, venue: binance, urls: {urls}, options: {options}}}
features:
  fast: {{use: sma, period: 2}}
  slow: {{use: sma, period: 5}}
signal: {{use: rules, long_if: fast > slow, exit_if: fast < slow}}
risk:
  sizing: {{use: fixed_fraction, fraction: 50%}}
  halts: {{drawdown: {{above: 90%, then: flatten, resume: manual}}}}
execution:
  simulation: {{fee: 10bps}}
  venues:
    binance: {{use: ccxt, exchange: binance, key: env:LOCAL_KEY, secret: env:LOCAL_SECRET,
              urls: {urls}, options: {options}, rate_limit: false}}
"""
OPTIONS = {
    "defaultType": "spot", "fetchMarkets": {"types": ["spot"]}, "fetchMargins": False,
    "fetchCurrencies": False,
}  # fmt: skip


def store_credential(config: Path, exchange: str = "binance") -> None:
    """Write `venues.toml` as an operator would: for this machine, and private."""
    path = config / "septet" / "venues.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'[{exchange}]\nexchange = "{exchange}"\nkey = "env:LOCAL_KEY"\n'
        'secret = "env:LOCAL_SECRET"\nhosts = ["127.0.0.1"]\n',
        encoding="utf-8",
    )
    path.chmod(0o600)


@dataclass
class Local:
    """A folder, a venue in it, and what septet processes are started with."""

    folder: Path
    port: int
    admin: str
    urls: dict[str, Any]
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def file(self, name: str = "local", capital: float = 5_000.0) -> Path:
        text = STRATEGY.format(
            name=name, capital=capital, urls=json.dumps(self.urls), options=json.dumps(OPTIONS)
        )
        path = self.folder / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    def start(self, *words: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "septet.cli", *map(str, words)]
        process = subprocess.Popen(
            command, env=self.environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.started.append(process)
        return process

    @property
    def environment(self) -> dict[str, str]:
        own = {
            "LOCAL_KEY": "k", "LOCAL_SECRET": "s", "SEPTET_STATE_DIR": str(self.folder / "st"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
        }  # fmt: skip
        store_credential(self.folder / "config")
        return {**os.environ, **own}

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def run(self, *words: object, mode: str = "paper") -> subprocess.Popen[str]:
        clock = ("--clock", self.admin, "--out", self.runs, "--mode", mode)
        return self.start("run", *words, *clock)


def finish(process: subprocess.Popen[str], within_s: float = 120.0) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=within_s)
    return process.returncode, out, err


def until_reported(
    process: subprocess.Popen[str], wanted: Callable[[dict[str, Any]], bool]
) -> None:
    """Read the log on standard error until a line is there."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if line.startswith("{") and wanted(json.loads(line)):
            return
    raise AssertionError(f"it never reported it, and ended: {''.join(seen)[-3000:]}")


@contextmanager
def local(folder: Path, *, bar_wall_ns: int = 250_000_000) -> Iterator[Local]:
    config = VenueConfig(
        symbols=[SymbolConfig(base="BTC", synthetic=Synthetic(count=3_000))], history=400,
        bar_wall_ns=bar_wall_ns, balances={"USDT": "10000"}, seed=3,
    )  # fmt: skip
    path = folder / "venue.json"
    path.write_bytes(msgspec.json.encode(config))
    venue = subprocess.Popen(
        command_of("septet._drill.venue", "--config", str(path)), stdout=subprocess.PIPE, text=True
    )
    assert venue.stdout is not None
    made: Local | None = None
    try:
        ready = json.loads(venue.stdout.readline())
        admin = f"http://127.0.0.1:{ready['admin_port']}"
        made = Local(folder, ready["port"], admin, ready["urls"])
        yield made
    finally:
        for process in [*(made.started if made is not None else []), venue]:
            process.kill()
            process.communicate()
