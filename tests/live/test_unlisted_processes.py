"""E24 with real processes: one symbol is no longer listed, and the other is traded on."""

from __future__ import annotations

from pathlib import Path

import pytest

from septet._drill.venue.config import Fault
from septet._live.kill_switch import ask_halt
from tests.faults.live import Live, live

pytestmark = pytest.mark.timeout(300)
ETH = "ETHUSDT"


def traded(run: Live, side: str) -> float:
    """Return how much of ETH was bought or sold so far."""
    run.theirs.take(run.venue.rows())
    fills = run.theirs.fills.values()
    return sum(
        float(each.quantity) for each in fills if each.symbol == ETH and each.side.lower() == side
    )


def holds(run: Live) -> bool:
    """Whether more of ETH was bought than remainders of fees explain."""
    return traded(run, "buy") - traded(run, "sell") > 0.1 * traded(run, "buy") > 0.0


def until_held(run: Live) -> None:
    run.until(lambda: holds(run), "ETH is held")


def until_flat(run: Live) -> None:
    run.until(lambda: not holds(run), "ETH is sold")


def test_e24_the_other_symbol_is_traded_on_killed_and_flattened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEPTET_COMPILE", "never")
    with live(tmp_path, bases=("BTC", "ETH")) as run:
        run.start()
        until_held(run)
        run.venue.inject(Fault(code="E24", symbol="BTC/USDT"))
        run.until_reported("unlisted", 0)
        until_flat(run)
        until_held(run)
        run.run.kill()
        run.start()
        until_flat(run)
        until_held(run)
        run.run.kill()
        ask_halt(run.place, flatten=True, name="ann", reason="news", now_ns=1)
        run.start()
        until_flat(run)
        assert run.run.ended is None
