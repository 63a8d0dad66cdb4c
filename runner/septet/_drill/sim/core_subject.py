"""The whole live core as a subject: a compiled plan, its ledger, orders, checks and guards."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from septet import __version__
from septet._config import load
from septet._core.live_core import LiveCore
from septet._data.bars import Instrument
from septet._drill.sim import ranked_signal
from septet._drill.sim.market import BASES, GROUP_SHARE, LOT, QUOTE, listed
from septet._drill.sim.shell import Subject, SubjectFactory
from septet._drill.sim.sim_strategy import AMENDING, TIMING
from septet._drill.sim.simulated_time import SPEED
from septet._drill.venue.amounts import SCALE
from septet._files import replace_file
from septet._host.plugin_registry import Host
from septet._live.build_core import core_of

__all__ = ["SEEDS_PER_FORM", "FORMS", "ORDERS", "STRATEGY", "core_subjects"]

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
  spread: {{use: expr, formula: "0.008 * slow"}}
  lead: {{use: expr, formula: "fast / slow - 1"}}
{decides}
risk:
{risk}
  limits: {limits}
  halts:
    drawdown: {{above: 50%, then: flatten, resume: manual}}
execution:
  order: {{use: {order}}}
  instruments: {{{instruments}}}
  simulation: {{fills: quotes, fee: 10bps}}
  venues:
    sim: {{use: simulated}}
"""
_ONE_SYMBOL: Final = {
    "decides": "signal: {use: rules, long_if: fast > slow, exit_if: fast < slow}", "limits": "{}"
}  # fmt: skip
_SEVERAL_SYMBOLS: Final = {
    "decides": "signal: {use: ranked, lead: fast / slow - 1}",
    "limits": f"{{correlated: {{above: 0, window: 10 bars, min_bars: 8, max: {GROUP_SHARE}}}}}",
}
"""Symbols that move together share a limit, and the more confident one goes first."""
_PORTFOLIO: Final = """\
portfolio: {use: top, by: lead, long: 2, gross: 60%, where: fast > 0.99 * slow,
  rebalance: {every: 3 bars, drift: 2%}}"""
_FORMS: Final[Mapping[str, str]] = {
    "plain": """\
  sizing: {use: fixed_fraction, fraction: 60%}
  stops: {stop_loss: 1%, time_limit: 8m}""",
    "steps": """\
  sizing: {use: fixed_fraction, fraction: 25%}
  stops: {stop_loss: 1.5 * spread, trailing: {distance: 2 * spread, after: 1R}, time_limit: 12m}
  position:
    add:
      - {at: [-0.4%, 0.3 * spread], size: 40%}
      - {when: close > last_price, size: 30%, times: 2, min_interval: 2 bars}
    take:
      - {at: 0.5 * spread, size: 40%, then: {stop: break_even}}
      - {when: open_return > 0.004, size: 25%}""",
    "buys": """\
  stops: {stop_loss: 1.2%, take_profit: 1.5%}
  position:
    buy_every: {every: 3 bars, amount: 80}
    take:
      - {at: 0.4%, size: 50%, then: {stop: break_even}}
      - {when: open_return > 0.003, size: 30%}""",
    "portfolio": """\
  stops: {stop_loss: 1%, take_profit: 1.2%}""",
    "grid": """\
  stops: {stop_loss: 2%}
  position:
    grid: {centre: slow, step: 0.31%, levels: 4, size: 12%}""",
}
FORMS: Final = tuple(_FORMS)
"""A whole position; one in steps; regular buys; a portfolio, of several symbols; a grid."""
SEEDS_PER_FORM: Final = 60
"""Seeds in a row that have every order, number of symbols and kind of venue of a form."""
ORDERS: Final = ("market", "limit_then_market, patience: 3s, max_slippage: 1%", "limit")
"""Three shapes of the compiled text; everything else of a schedule is data."""


@cache
def _loaded(order: str, names: Sequence[str], form: str) -> Any:
    lots = "{lot: 0.001, tick: 0.01, min_notional: 0}"
    words = {**(_SEVERAL_SYMBOLS if len(names) > 1 else _ONE_SYMBOL), "risk": _FORMS[form]}
    if form in ("buys", "portfolio", "grid"):  # none has a signal
        words["decides"] = _PORTFOLIO if form == "portfolio" else ""
    text = STRATEGY.format(
        order=order, symbols=", ".join(names), **words,
        instruments=", ".join(f"{each}: {lots}" for each in names),
    )  # fmt: skip
    host = Host()
    host.register("septet", __version__, ranked_signal)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "simulated.yaml"
        replace_file(path, text)
        return load(path, host=host)


@cache
def _built(
    order: str, count: int, amends: bool, protects: bool, form: str
) -> tuple[LiveCore, bytes]:
    """Return a core of a shape and its first snapshot."""
    names = tuple(f"{base}/{QUOTE}" for base in BASES[:count])
    instruments = [Instrument(each, LOT / SCALE, 0.01, 0.0, 1e-8) for each in names]
    build = core_of(
        _loaded(order, names, form), tag="s0000000", instruments=instruments,
        run_folder=Path("unused"), timing=AMENDING if amends else TIMING, speed=float(SPEED),
        holds_stops=protects,
    )  # fmt: skip
    return build.core, build.core.snapshot()


def core_subjects(
    seed: int, *, shapes: Sequence[str] = ORDERS[:1], forms: Sequence[str] = FORMS[:1]
) -> SubjectFactory:
    """Return what makes the live core of a seed: of every form `SEEDS_PER_FORM` seeds in a row.

    A core takes a fiftieth of a second to assemble, so one of a kind is made in a process and
    goes back to its first snapshot for every start.
    """
    order, amends, protects = shapes[seed % len(shapes)], seed % 2 == 0, seed % 4 != 0
    form = forms[seed // SEEDS_PER_FORM % len(forms)]
    if form == "portfolio" and listed(seed) == 1:
        form = "steps"
    if form in ("buys", "portfolio", "grid") and order not in ORDERS[:2]:
        order = ORDERS[0]
    core, pristine = _built(order, listed(seed), amends, protects, form)

    def make() -> Subject:
        core.restore(pristine)
        return core

    return make
