"""Runs the core on made markets: the file from `Settings`, the bars from `Bars`, both paths."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from septet._config import load
from septet._core.batch import Batch
from septet._data.bars import BarTable, Instrument, MarketData, SeriesTable
from septet._data.calendars import load_calendar
from septet._host.plugin_registry import Host
from septet._kernel import layout
from septet._plan.plain import compile_choice
from septet._plan.plan import Plan
from septet._shell.aligned_bars import AlignmentRules, align_bars
from septet._shell.session import Session, plan_of
from tests.core.settings import HOUR, START, Bars, Settings
from tests.core.strangers import host_with_strangers

__all__ = [
    "FIRST", "Ran", "chance_up", "file_of", "load_text", "market_of", "open_made",
    "run_core", "session_of", "session_of_text", "steps",
]  # fmt: skip

FIRST = 5


@cache
def _host() -> Host:
    return host_with_strangers()


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_text(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return format(value, ".17g") if value != int(value) else str(int(value))
    return str(value)


def _order(s: Settings) -> dict[str, Any]:
    keys: dict[str, Any] = {"use": s.order}
    if s.order != "market":
        keys |= {"offset": s.offset, "time_in_force": f"{s.time_in_force} bars"}
    if s.order == "stop_limit":
        keys["slack"] = s.slack
    return keys


def _sizing(s: Settings) -> dict[str, Any]:
    if s.sizing == "kelly":
        odds = {"window": f"{s.kelly_window} trades", "min_each": s.kelly_least}
        return {"use": "kelly", "fraction": s.amount, "max": s.kelly_max, "odds": odds}
    key = "quantity" if s.sizing == "fixed_quantity" else "fraction"
    return {"use": s.sizing, key: s.amount}


def _signal(s: Settings) -> dict[str, Any]:
    leave: dict[str, Any] = {"opposite": s.opposite}
    if s.after is not None:
        leave["after"] = f"{s.after} bars"
    if s.below is not None:
        leave["below"] = s.below
    reentry = {"after": f"{s.reentry} bars"} if isinstance(s.reentry, int) else s.reentry
    keys = {"exit": leave, "min_interval": f"{s.min_interval} bars", "reentry": reentry}
    if s.model:
        return {"use": "confidence", "threshold": s.threshold, **keys}
    rules = {"long_if": f'"close > prev(close, {s.long_back})"'}
    if s.exit_back:
        rules["exit_if"] = f'"close < prev(close, {s.exit_back})"'
    if s.short_back:
        rules["short_if"] = f'"close < prev(close, {s.short_back})"'
    return {"use": "rules", **rules, **keys}


def _limits(s: Settings) -> dict[str, Any]:
    """Shares above one are written as percents."""
    shares = ("position", "gross_exposure")
    return {
        name: f"{round(100 * value)}%" if name in shares and value > 1.0 else value
        for name, value in s.limits.items()
    }


def _halts(s: Settings) -> dict[str, Any]:
    made = {}
    for name, keys in s.halts.items():
        resume = keys.get("resume", "manual")
        made[name] = {**keys, "resume": f"{resume}h" if isinstance(resume, int) else resume}
    return made


def file_of(s: Settings) -> str:
    """Write the strategy file of some settings."""
    simulation: dict[str, Any] = {
        "fee": {"maker": s.maker, "taker": s.taker,
                "fee_currency": "base" if s.received else "quote"},
        "slippage": s.slippage, "latency": f"{s.latency} bars" if s.latency else 0,
        "time_in_force": f"{s.time_in_force} bars",
    }  # fmt: skip
    if s.participation is not None:
        simulation["participation"] = s.participation
    stops = {
        name: f"{value}h" if name == "time_limit" else value for name, value in s.stops.items()
    }
    risk: dict[str, Any] = {"sizing": _sizing(s), "limits": _limits(s), "stops": stops,
                            "halts": _halts(s), "cash_buffer": s.cash_buffer}  # fmt: skip
    if s.pro_rata:
        risk["allocate"] = "pro_rata"
    if s.max_positions is not None:
        risk["max_positions"] = s.max_positions
    if s.split:
        risk["split"] = "equal"
    if s.band is not None:
        risk["rebalance"] = {"band": s.band}
    instrument = {"tick": s.tick, "lot": s.lot, "min_notional": s.min_notional}
    whole: dict[str, Any] = {
        "version": 1, "name": "made",
        "account": {"capital": s.capital, "type": "spot" if s.spot else "perpetual"},
        "universe": {"symbols": s.symbols, "bar": "1h"},
        "data": {"candles": {"use": "synthetic"}},
        "signal": _signal(s), "risk": risk,
        "execution": {"simulation": simulation, "order": _order(s),
                      "instruments": dict.fromkeys(s.symbols, instrument),
                      "venues": {"sim": {"use": "simulated"}}},
    }  # fmt: skip
    if not s.spot:
        whole["perpetual"] = {"leverage": s.leverage, "maintenance": s.maintenance,
                              "liquidation_fee": s.liquidation_fee}  # fmt: skip
        every = f"{s.funding_every // HOUR}h"
        whole["perpetual"]["funding"] = {"rate": s.funding, "every": every}
    if s.model:
        whole["features"] = {"ret": {"use": "log_return"}}
        whole["model"] = {"use": "sklearn", "estimator": "LogisticRegression",
                          "label": {"use": "direction", "horizon": "3 bars"},
                          "training": {"train": "30d", "step": "10d",
                                       "purge": "3 bars"}}  # fmt: skip
    return "\n".join(f"{key}: {_text(value)}" for key, value in whole.items()) + "\n"


def load_text(text: str) -> Any:
    """Load a strategy from its text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.yaml"
        path.write_text(text, encoding="utf-8")
        return load(path, host=_host(), unchecked=True)


def market_of(
    symbols: Sequence[str],
    bars: Sequence[Bars],
    instruments: Mapping[str, Instrument],
    series: Mapping[str, SeriesTable] | None = None,
    calendar: str = "24x7",
    calendars: Mapping[str, str] | None = None,
) -> MarketData:
    """Put made bars where validated ones would be."""
    tables, chosen = {}, calendars or {}
    for symbol, each in zip(symbols, bars, strict=True):
        prices = (each.open, each.high, each.low, each.close, each.volume)
        span = (int(each.open_ns[0]), int(each.open_ns[-1])) if len(each) else (START, START)
        schedule = load_calendar(chosen.get(symbol, calendar), *span)
        placed = schedule.place(each.open_ns, HOUR)
        tables[symbol] = BarTable(
            symbol, HOUR, each.open_ns, placed.known_ns, *prices, placed.session, each.made_up
        )  # fmt: skip
    return MarketData(
        tuple(symbols), HOUR, tables, series or {}, instruments,
        calendar=calendar, calendars=chosen,
    )  # fmt: skip


def session_of_text(
    text: str,
    bars: Sequence[Bars],
    first: int = FIRST,
    series: Mapping[str, SeriesTable] | None = None,
) -> Session:
    """Return a session over made bars."""
    return open_made(load_text(text), bars, first, series)


def open_made(
    loaded: Any,
    bars: Sequence[Bars],
    first: int = FIRST,
    series: Mapping[str, SeriesTable] | None = None,
    *,
    tables: bool = True,
    calendars: Mapping[str, str] | None = None,
    plan: Plan | None = None,
) -> Session:
    """Return a session over made bars for a loaded file, as `open_session` does over its data.

    `plan` is one of the same file that another session has: it is planned once, and runs anew.
    """
    strategy = loaded.strategy
    each = list((calendars or {}).values()) or ["24x7"]
    calendar = max(sorted(set(each)), key=each.count)
    plan = plan_of(loaded, tables=tables, calendar=calendar) if plan is None else _again(plan)
    instruments = {}
    for symbol in strategy.universe.symbols:
        spec = strategy.execution.instruments.get(symbol)
        instruments[symbol] = Instrument(symbol) if spec is None else Instrument(
            symbol, spec.lot, spec.tick, spec.min_notional, min(1e-8, spec.lot), spec.min_quantity
        )  # fmt: skip
    symbols = strategy.universe.symbols
    market = market_of(symbols, bars, instruments, series, calendar, calendars)
    funding = strategy.perpetual.funding
    rules = AlignmentRules(
        time_zone=strategy.time_zone,
        reset_after=strategy.data.candles.extra["reset_after"],
        funding_rate=funding.rate if funding else None,
        funding_every_ns=funding.every if funding else 1,
    )
    return Session(loaded, plan, market, align_bars(plan, market, rules), first, lambda text: None)


def _again(plan: Plan) -> Plan:
    """Return a plan of the same text that has not run, as `plan_of` would."""
    made = Plan(plan.assembly)
    made.name = plan.name
    if compile_choice() == "never":
        made.run_plain()
    return made


def session_of(s: Settings, bars: Sequence[Bars], first: int = FIRST) -> Session:
    """Return a session over made bars for some settings."""
    return session_of_text(file_of(s), bars, first)


def chance_up(value: float) -> float:
    """Return a made-up model's probability: a steep logistic of the last return."""
    return math.nan if value != value else 1.0 / (1.0 + math.exp(-60.0 * value))


@dataclass
class Ran:
    """What the core left: the log, decisions, equity, state."""

    session: Session
    batch: Batch

    @property
    def log(self) -> tuple[Any, Any]:
        """Rows of the log."""
        rows = int(self.batch.state.C[layout.LOG])
        return self.batch.LI[:rows], self.batch.LF[:rows]


def run_core(
    session: Session,
    *,
    plain: bool = True,
    until: int | None = None,
    chances: Sequence[Sequence[float]] | None = None,
) -> Ran:
    """Run the batch path; the model, if there is one, is `chance_up` of the first feature."""
    plan = session.plan
    if plain:
        plan.run_plain()
    state = plan.state(session.strategy.account.capital, session.instruments)
    batch = Batch(plan, session.aligned, state)
    batch.F[:, : session.plan.assembly.decision_row], batch.Y[:] = np.nan, np.nan
    last = session.aligned.times if until is None else until
    with np.errstate(all="ignore"):
        if session.strategy.model is None:
            batch.observe(0, last)
            batch.trade(session.first, last)
        else:
            batch.observe(0, session.aligned.times)
            predict(session, batch, chances)
            batch.trade(session.first, last)
    return Ran(session, batch)


def steps(session: Session) -> Iterator[tuple[int, Ran, int]]:
    """Run time by time; yield the time's number, the run so far and its first new log row."""
    ran = run_core(session, until=session.first)
    batch = ran.batch
    with np.errstate(all="ignore"):
        if session.strategy.model is None:
            batch.observe(session.first, session.aligned.times)
        for t in range(session.first, session.aligned.times):
            begun = int(batch.state.C[layout.LOG])
            batch.trade(t, t + 1)
            yield t, ran, begun


def predict(
    session: Session, batch: Batch, chances: Sequence[Sequence[float]] | None = None
) -> None:
    """Write the made-up model's answers where the walk would write a real one's."""
    row = session.plan.assembly.model_row
    assert row is not None
    source = next(iter(session.plan.assembly.features.values()))
    for k, n in enumerate(session.aligned.lengths):
        made = [chance_up(float(value)) for value in batch.F[k, source, :n]]
        ups = made if chances is None else list(chances[k])
        batch.F[k, row, :n] = ups
        batch.F[k, row + 1, :n] = [3.0 if up != up else 0.0 for up in ups]
