"""The whole live core as a subject: a compiled plan, its ledger, orders, checks and guards."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from septet._config import load
from septet._core.live import LiveCore
from septet._data.bars import Instrument
from septet._drill.sim.market import LOT, UNIT
from septet._drill.sim.shell import Make, Subject
from septet._drill.sim.toy import AMENDING, TIMING
from septet._drill.sim.world import SPEED
from septet._live.build import core_of

__all__ = ["ORDERS", "STRATEGY", "cores"]

STRATEGY: Final = """\
version: 1
name: simulated
mode: paper
account: {capital: 1000, currency: USDT}
universe: {symbols: [BTC/USDT], bar: 1m}
data:
  candles: {use: synthetic, seed: 1}
features:
  fast: {use: sma, period: 2}
  slow: {use: sma, period: 4}
signal: {use: rules, long_if: fast > slow, exit_if: fast < slow}
risk:
  sizing: {use: fixed_fraction, fraction: 60%}
  stops: {stop_loss: 1%, time_limit: 8m}
  halts:
    drawdown: {above: 50%, then: flatten, resume: manual}
execution:
  order: {use: ORDER}
  instruments: {BTC/USDT: {lot: 0.001, tick: 0.01, min_notional: 0}}
  simulation: {fills: quotes, fee: 10bps}
  venues:
    sim: {use: simulated}
"""
ORDERS: Final = ("market", "limit_then_market, patience: 3s, max_slippage: 1%", "limit")
"""Three shapes of the compiled text; everything else of a schedule is data."""


@cache
def _loaded(order: str) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "simulated.yaml"
        path.write_text(STRATEGY.replace("ORDER", order), encoding="utf-8")
        return load(path)


@cache
def _built(order: str, amends: bool, protects: bool) -> tuple[LiveCore, bytes]:
    """Return a core of a shape and its first snapshot."""
    instrument = Instrument("BTC/USDT", LOT / UNIT, 0.01, 0.0, 1e-8)
    build = core_of(
        _loaded(order), tag="s0000000", instruments=[instrument], run_folder=Path("unused"),
        timing=AMENDING if amends else TIMING, speed=float(SPEED), holds_stops=protects,
    )  # fmt: skip
    return build.core, build.core.snapshot()


def cores(seed: int, *, shapes: Sequence[str] = ORDERS[:1]) -> Make:
    """Return what makes the live core of a seed.

    A core takes a fiftieth of a second to assemble, so one of a kind is made in a process and
    goes back to its first snapshot for every start.
    """
    core, pristine = _built(shapes[seed % len(shapes)], seed % 2 == 0, seed % 4 != 0)

    def make() -> Subject:
        core.restore(pristine)
        return core

    return make
