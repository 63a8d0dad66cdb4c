"""The live run's own bars, decision times and models with fills simulated at the next open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from septet import messages as m
from septet._config.load import Loaded, reopen
from septet._config.read import parse_text
from septet._data.bars import Instrument
from septet._diff.decision_rows import Row, row_of
from septet._diff.live_side import Lived, is_deed, trace_of
from septet._diff.orders import STEPS, Origin, stops_of
from septet._kernel import layout
from septet._live.build_core import Build, core_of
from septet._live.journal_head import instruments_in
from septet._shell.aligned_bars import FUNDING, FUNDING_BEFORE
from septet.errors import ConfigError

__all__ = ["Due", "Simulated", "build_paper", "simulate"]


Due = tuple[int, float, float, bool]


@dataclass
class Simulated:
    """The result of a simulation over journalled decision times: account, orders, decisions.

    `worth` is the equity at the last time; `traded` the signed quantity filled by the orders of
    each origin; `funding` the funding due at each decision time that the account saw, in order:
    symbol, rate, mark, and whether it was due before the bar.
    """

    worth: float = 0.0
    equity: dict[int, float] = field(default_factory=dict)
    decisions: dict[tuple[int, int], Row] = field(default_factory=dict)
    traded: dict[Origin, float] = field(default_factory=dict)
    within: set[int] = field(default_factory=set)
    funding: list[list[Due]] = field(default_factory=list)


def build_paper(
    lived: Lived, instruments: Sequence[Instrument] | None = None, *, log: Any = None
) -> Build:
    """Build the core of the live run's strategy with simulated fills at the next open."""
    if instruments is None:
        instruments = instruments_in(lived.head.facts)
    return core_of(
        _paper(lived), tag=str(lived.head.facts["tag"]), instruments=instruments,
        run_folder=lived.folder, log=log, speed=float(lived.head.facts["core"]["speed"]),
    )  # fmt: skip


def _paper(lived: Lived) -> Loaded:
    resolved: Mapping[str, Any] = lived.head.facts["resolved"]
    execution = dict(resolved["execution"])
    execution["simulation"] = {**execution["simulation"], "fills": "next_open"}
    changed = {**resolved, "mode": "paper", "execution": execution}
    text = yaml.safe_dump(changed, sort_keys=False, allow_unicode=True)
    tree, problems = parse_text(text, str(lived.folder / "resolved"))
    if problems:
        raise ConfigError(problems)
    return reopen(tree, lived.folder / "strategy.yaml", lived.folder)


def simulate(lived: Lived, build: Build, until_ns: int, *, deeds: bool = False) -> Simulated:
    """Feed a journal's market data to a core with simulated fills, up to a decision time.

    With `deeds`, actions of persons are fed too. The account is valued at the live run's prices. If
    the run's own fills are simulated, starts and timers are fed as well: an order that a person
    causes between two bars has the time that they report.
    """
    found, core = Simulated(), build.core
    columns = build.plan.assembly.rows.x
    funding = [columns[name] for name in (FUNDING_BEFORE, FUNDING) if name in columns]
    stops = stops_of(build.loaded.strategy)
    for event in lived.events:
        if is_deed(event) and not deeds:
            continue
        for each in core.handle(event):
            _take(found, each, stops, core.market_ns)
        if not isinstance(event, m.DecisionTimeReached) or not event.present:
            continue
        if event.decides or found.equity:
            found.funding.append(_funding(core.engine, funding) if funding else [])
        if event.decides and event.time_ns == until_ns:
            break
    found.worth = found.equity[until_ns] + _revalued(core.engine, lived.marks[until_ns])
    return found


def _take(found: Simulated, each: m.Command, stops: frozenset[str], now_ns: int) -> None:
    match each:
        case m.Ruled():
            found.equity[each.time_ns] = each.equity
        case m.Decided():
            found.decisions[(each.time_ns, each.symbol)] = row_of(each)
        case m.Traded():
            trace = trace_of(each.trace)
            if trace is not None:
                within = each.order in found.within
                origin = Origin(trace[0], now_ns if within else trace[1], within)
                sign = 1.0 if each.side == "buy" else -1.0
                found.traded[origin] = found.traded.get(origin, 0.0) + sign * each.quantity
        case m.Placed():
            rests = each.reason in STEPS and each.order_type != "market"
            if each.reason in stops or rests:
                found.within.add(each.order)


def _funding(engine: Any, columns: Sequence[int]) -> list[Due]:
    """Return the funding charged at the newest time."""
    arrays, t = engine.window.arrays, engine.window.time - 1
    found = []
    for k in range(len(engine.plan.symbols)):
        i = int(arrays["T"][layout.ROW + k, t])
        if i < 0:
            mark = engine.state.B.item(k, layout.MARK)
            found.append((k, float(arrays["U"][k, t]), mark, True))
            continue
        bars = arrays["X"][k]
        for row, at, before in zip(columns, (max(i - 1, 0), i), (True, False), strict=True):
            found.append((k, float(bars[row, i]), float(bars[layout.CLOSE, at]), before))
    return found


def _revalued(engine: Any, marks: Mapping[int, float]) -> float:
    """Return the change in the position's value at other prices, for symbols missing at T."""
    more = 0.0
    for k, price in marks.items():
        mark = engine.state.B.item(k, layout.MARK)
        if price != mark:
            more += engine.position(k)[0] * (price - mark)
    return more
