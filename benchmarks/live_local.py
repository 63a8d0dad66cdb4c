"""The local venue in a process of its own, and the real adapter that trades on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from septet._drill.venue import SymbolConfig, Synthetic, VenueConfig
from septet._live.clock import WallClock
from septet.plugin import SecretRef
from septet_plugins.exchange.clients import Terms
from septet_plugins.execution.ccxt_venue import CcxtVenue, VenueTerms

__all__ = ["BTC", "Local", "certificate", "connection", "local", "terms"]

BTC = "BTC/USDT"
OPTIONS = {
    "defaultType": "spot", "fetchMarkets": {"types": ["spot"]}, "fetchMargins": False,
    "fetchCurrencies": False,
}  # fmt: skip
HOUR_NS = 3_600 * 1_000_000_000


@dataclass(frozen=True)
class Local:
    """Where a local venue is, and where it writes what really happened."""

    urls: dict[str, Any]
    truth: Path


def certificate(place: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 that is its own authority; return it and its key."""
    cert, key = place / "cert.pem", place / "key.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        "-keyout", str(key), "-out", str(cert), "-subj", "/CN=127.0.0.1",
        "-addext", "subjectAltName=IP:127.0.0.1",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@contextmanager
def local(place: Path, *, tls: tuple[Path, Path] | None = None) -> Iterator[Local]:
    """Start a venue whose prices stand still and whose books are deep, and end it afterwards."""
    truth = place / "venue-journal.jsonl"
    config = VenueConfig(
        symbols=[SymbolConfig(base="BTC", synthetic=Synthetic(count=400), level_notional="1e9")],
        history=100, bar_wall_ns=HOUR_NS, balances={"USDT": "1000000000", "BTC": "1000000"},
        journal_path=str(truth),
        certificate=str(tls[0]) if tls else "", private_key=str(tls[1]) if tls else "",
    )  # fmt: skip
    path = place / "venue.json"
    path.write_bytes(msgspec.json.encode(config))
    command = [sys.executable, "-m", "septet._drill.venue", "--config", str(path)]
    venue = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert venue.stdout is not None
        ready = json.loads(venue.stdout.readline())
        yield Local(ready["urls"], truth)
    finally:
        venue.terminate()
        venue.communicate()


def terms(urls: dict[str, Any]) -> Terms:
    """Return how the exchange is reached."""
    return Terms("binance", urls=urls, options=OPTIONS, rate_limit=False)


def connection(urls: dict[str, Any], clock: WallClock) -> CcxtVenue:
    """Return the real adapter, not yet open."""
    os.environ |= {"LOCAL_KEY": "k", "LOCAL_SECRET": "s"}
    secrets = {
        "apiKey": SecretRef(scheme="env", name="LOCAL_KEY"),
        "secret": SecretRef(scheme="env", name="LOCAL_SECRET"),
    }
    from septet_plugins.exchange.clients import read_secret

    return CcxtVenue(VenueTerms(terms(urls), secrets, {}), "local", clock, read_secret)
