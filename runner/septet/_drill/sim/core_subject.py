"""The whole live core as a subject: a compiled plan, its ledger, orders, checks and guards."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from septet import __version__
from septet._config import load
from septet._core.live_core import LiveCore
from septet._data.bars import Instrument
from septet._drill.sim import ranked_signal
from septet._drill.sim.market import BASES, LOT, QUOTE, TOGETHER, listed
from septet._drill.sim.shell import Make, Subject
from septet._drill.sim.toy_strategy import AMENDING, TIMING
from septet._drill.sim.world import SPEED
from septet._drill.venue.amounts import SCALE
from septet._files import replace_file
from septet._host.register import Host
from septet._live.build import core_of

__all__ = ["ORDERS", "STRATEGY", "cores"]

STRATEGY: Final = """\
version: 1
name: simulated
mode: paper
account: {{capital: 1000, currency: USDT}}
universe: {{symbols: [{symbols}], bar: 1m}}
data:
  candles: {{use: synthetic, seed: 1}}
features:
  fast: {{use: sma, period: 2}}
  slow: {{use: sma, period: 4}}
signal: {signal}
risk:
  sizing: {{use: fixed_fraction, fraction: 60%}}
  limits: {limits}
  stops: {{stop_loss: 1%, time_limit: 8m}}
  halts:
    drawdown: {{above: 50%, then: flatten, resume: manual}}
execution:
  order: {{use: {order}}}
  instruments: {{{instruments}}}
  simulation: {{fills: quotes, fee: 10bps}}
  venues:
    sim: {{use: simulated}}
"""
_ONE: Final = {"signal": "{use: rules, long_if: fast > slow, exit_if: fast < slow}", "limits": "{}"}
_SEVERAL: Final = {
    "signal": "{use: sure, lead: fast / slow - 1}",
    "limits": f"{{correlated: {{above: 0, window: 10 bars, min_bars: 8, max: {TOGETHER}}}}}",
}
"""Symbols that move together share a limit, and the surer one goes first."""
ORDERS: Final = ("market", "limit_then_market, patience: 3s, max_slippage: 1%", "limit")
"""Three shapes of the compiled text; everything else of a schedule is data."""


@cache
def _loaded(order: str, names: Sequence[str]) -> Any:
    lots = "{lot: 0.001, tick: 0.01, min_notional: 0}"
    text = STRATEGY.format(
        order=order, symbols=", ".join(names), **(_SEVERAL if len(names) > 1 else _ONE),
        instruments=", ".join(f"{each}: {lots}" for each in names),
    )  # fmt: skip
    host = Host()
    host.register("septet", __version__, ranked_signal)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "simulated.yaml"
        replace_file(path, text)
        return load(path, host=host)


@cache
def _built(order: str, count: int, amends: bool, protects: bool) -> tuple[LiveCore, bytes]:
    """Return a core of a shape and its first snapshot."""
    names = tuple(f"{base}/{QUOTE}" for base in BASES[:count])
    instruments = [Instrument(each, LOT / SCALE, 0.01, 0.0, 1e-8) for each in names]
    build = core_of(
        _loaded(order, names), tag="s0000000", instruments=instruments, run_folder=Path("unused"),
        timing=AMENDING if amends else TIMING, speed=float(SPEED), holds_stops=protects,
    )  # fmt: skip
    return build.core, build.core.snapshot()


def cores(seed: int, *, shapes: Sequence[str] = ORDERS[:1]) -> Make:
    """Return what makes the live core of a seed.

    A core takes a fiftieth of a second to assemble, so one of a kind is made in a process and
    goes back to its first snapshot for every start.
    """
    order, amends, protects = shapes[seed % len(shapes)], seed % 2 == 0, seed % 4 != 0
    core, pristine = _built(order, listed(seed), amends, protects)

    def make() -> Subject:
        core.restore(pristine)
        return core

    return make
