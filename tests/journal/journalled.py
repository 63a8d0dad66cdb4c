"""A backtest, and the journal of a paper run of the same bars through the live core."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from septet import messages as m
from septet._config import load
from septet._data.bars import Instrument
from septet._journal.journal_format import Head
from septet._journal.journal_writer import Journal
from septet._kernel import layout
from septet._live.build_core import core_of
from septet._results.result import RunResult
from septet._shell.backtest import backtest
from septet._shell.session import Session, open_session

STRATEGY = """\
version: 1
name: told
universe: {{symbols: [AAA/USDT, BBB/USDT], bar: 1h}}
data: {{candles: {{use: synthetic, bars: 900, volatility: 120%, gaps: 2}}}}
features: {{fast: {{use: sma, period: 5}}, slow: {{use: sma, period: 20}}}}
signal: {{use: rules, long_if: "fast > slow", exit_if: "fast < slow"}}
risk: {{sizing: {{use: fixed_fraction, fraction: 30%}}, stops: {{stop_loss: 2%}}}}
execution:
  simulation:
    fee: {{maker: 10bps, taker: 20bps, fee_currency: {fee_currency}}}
    participation: 0.5%
"""


PERPETUAL = """\
version: 1
name: told
account: {type: perpetual}
universe: {symbols: [AAA/USDT, BBB/USDT], bar: 1h}
data: {candles: {use: synthetic, bars: 900, volatility: 99%, gaps: 2}}
features: {fast: {use: sma, period: 5}, slow: {use: sma, period: 20}}
signal: {use: rules, long_if: "fast > slow", short_if: "fast < slow"}
risk:
  sizing: {use: fixed_fraction, fraction: 40%}
  limits: {position: 80%, gross_exposure: 80%}
perpetual: {leverage: 30, maintenance: 1%, funding: {rate: 5bps, every: 2h}}
execution: {simulation: {fee: {maker: 10bps, taker: 20bps}, slippage: 5bps}}
"""
"""Short and long, with gaps, funding between two bars, and liquidations."""


def reported(folder: Path, *, fee_currency: str) -> tuple[RunResult, Path]:
    """Run both; return the backtest's result and the folder of the paper run.

    `fee_currency` states what the fee of a spot account is paid in, or ``perpetual``.
    """
    path = folder / "told.yaml"
    text = PERPETUAL if fee_currency == "perpetual" else STRATEGY.format(fee_currency=fee_currency)
    path.write_text(text, encoding="utf-8")
    loaded = load(path)
    result = backtest(loaded)
    session, facts = open_session(loaded), result.facts
    market = session.market
    rules = [market.instruments.get(name) or Instrument(name) for name in market.symbols]
    build = core_of(
        load(path, mode="paper"), tag="atagtagx", instruments=rules, run_folder=folder,
        calendars=dict(market.calendars),
    )  # fmt: skip
    head = Head(
        run_id="told-1", strategy=facts.strategy, mode="paper", account="", created_ns=1,
        origin_ns=facts.start_ns,
        facts={
            "symbols": list(facts.symbols), "features": list(build.features),
            "currency": facts.currency, "bar_ns": facts.bar_ns, "capital": facts.initial_capital,
            "venue": "sim", "resolved": result.resolved,
            "instruments": {
                each.symbol: {
                    "lot": each.lot, "min_notional": each.min_notional,
                    "precision": each.precision,
                }
                for each in rules
            },
        },
    )  # fmt: skip
    folder.joinpath("run").mkdir()
    with Journal.create(folder / "run" / "journal.sqlite", head) as journal:
        _run(session, build.core, journal, facts.first_decision_ns)
    return result, folder / "run"


def _run(session: Session, core: Any, journal: Journal, first_ns: int) -> None:
    aligned = session.aligned
    for t in range(aligned.times):
        now_ns = int(aligned.T[layout.KNOWN, t])
        bars = _bars(session, t, now_ns)
        decision_time = m.DecisionTimeReached(
            at_ns=now_ns, time_ns=now_ns, present=tuple(bar.symbol for bar in bars),
            decides=now_ns >= first_ns,
        )  # fmt: skip
        for event in (*bars, decision_time):
            journal.append(event, core.handle(event))
    journal.commit()


def _bars(session: Session, t: int, now_ns: int) -> list[m.BarClosed]:
    found = []
    for k, symbol in enumerate(session.market.symbols):
        i, table = int(session.aligned.T[layout.ROW + k, t]), session.market.bars[symbol]
        if i >= 0:
            bar = m.BarClosed(
                at_ns=now_ns, symbol=k, open_ns=int(table.open_ns[i]), known_ns=now_ns,
                open=float(table.open[i]), high=float(table.high[i]), low=float(table.low[i]),
                close=float(table.close[i]), volume=float(table.volume[i]),
            )  # fmt: skip
            found.append(bar)
    return found
