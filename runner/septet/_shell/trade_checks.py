"""Findings of `check` on files whose every entry would be rejected, or could never fill.

Until a first entry fills, equity is the capital. So from the bars, the size, the limits and the
instruments follows whether any bar can see a first entry: where none can, there is never a trade.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from septet._config.pydantic_problems import problem_at
from septet._config.tree import Path as KeyPath
from septet._data.bars import Floats, Instrument
from septet._data.stamps import iso
from septet._host.plugin_registry import BUILT_IN
from septet._kernel import layout
from septet._plan.run_terms import Terms, terms_of
from septet._shell.session import Session
from septet.errors import Problem

__all__ = ["trade_problems"]

_ROUNDING = 1.0 + 1e-9
_SLOW_BARS = 10
_MOST_BARS = 300
_LONG_WAIT = 0.1
"""A run without a rebalance for at least this share of its length is reported."""
_RARELY = 0.01
"""A share of decision times with a quorum below this is reported."""
_VOLATILE = 1.05
"""Factor by which an entry may cost more if slippage follows volatility."""


class _Obstacle(msgspec.Struct, frozen=True):
    """The reason why a symbol's entries are rejected: at all bars, or at the last and most."""

    path: KeyPath
    message: str
    hint: str
    always: bool
    certain: bool = True


def trade_problems(session: Session) -> list[Problem]:
    """Return why no entry can be sent or filled; an error if that holds for every symbol."""
    terms = terms_of(session.strategy)
    problems = [*_latency(session, terms), *_never_due(session, terms), *_no_quorum(session)]
    obstacles = [
        next(_obstacles(session, terms, k, each), None)
        for k, each in enumerate(session.instruments)
    ]
    is_never = [each is not None and each.always and each.certain for each in obstacles]
    severity = "error" if all(is_never) else "warning"
    reported: set[str] = set()
    for each in obstacles:
        if each is not None and each.message not in reported:
            reported.add(each.message)
            problems.append(
                problem_at(
                    session.loaded.tree, each.path, each.message, hint=each.hint,
                    severity=severity if each.always and each.certain else "warning",
                )
            )  # fmt: skip
    return problems


def _never_due(session: Session, terms: Terms) -> list[Problem]:
    """A portfolio whose rebalance falls on no decision holds nothing, nor do buys never due.

    An instant before the first decision does not count: until the next one nothing is held.
    """
    if terms.due_every is None:
        return []
    due = session.aligned.DUE[session.first :]
    waits = int(due.argmax()) if due.any() else len(due)
    if waits <= _LONG_WAIT * len(due):
        return []
    rebalances = terms.portfolio is not None
    path = "portfolio.rebalance.every" if rebalances else "risk.position.buy_every.every"
    event = "rebalance" if rebalances else "buy"
    text = f"no {event} falls due between the first decision and the last: nothing is ever held"
    hint, severity = "write a shorter interval, or extend the data", "error"
    if waits < len(due):
        known_ns = session.aligned.T[layout.KNOWN, session.first :]
        first, at = int(known_ns[0]), int(known_ns[waits])
        text = (
            f"the first {event} falls due at {iso(at)}, {waits} decisions after the first one at "
            f"{iso(first)}: nothing is held in {100 * waits / len(due):.0f} % of the run; an "
            "instant before the first decision does not count"
        )
        hint = "begin the run shortly before an instant of every, or write a shorter interval"
        severity = "warning"
    return [
        problem_at(
            session.loaded.tree, tuple(path.split(".")), text, hint=hint, severity=severity
        )
    ]  # fmt: skip


def _no_quorum(session: Session) -> list[Problem]:
    """Rebalances that are never made, or hardly ever: too few members have a bar at one time."""
    row, portfolio = session.plan.facts.members_row, session.strategy.portfolio
    if row is None or portfolio is None:
        return []
    quorum = float(portfolio.rebalance.quorum)
    present = (session.aligned.bar_rows[:, session.first :] >= 0).sum(axis=0)
    members = session.aligned.T[row, session.first :]
    is_met = present >= quorum * members - 1e-9
    share = float((present / np.maximum(members, 1)).max(initial=0.0))
    if not len(is_met) or is_met.mean() >= _RARELY:
        return []
    calendars = sorted(set(session.market.calendars.values()))
    why = f", whose calendars are {', '.join(calendars)}," if len(calendars) > 1 else ""
    times = f"{int(is_met.sum()):,} of {len(is_met):,} decision times"
    out = "write a file for the symbols of each calendar" if why else "bring data of all symbols"
    lower = math.floor(share * 100.0 + 1e-9)
    if not is_met.any() and lower > 0:
        out += f", or quorum: {lower}%, which lets a rebalance act on that part of them"
    return [
        problem_at(
            session.loaded.tree, ("portfolio", "rebalance", "quorum"),
            f"a rebalance acts only where {100 * quorum:.0f} % of its members have a bar: the "
            f"{len(session.market.symbols)} symbols{why} allow that at {times}, with "
            f"{100 * share:.0f} % at most having one",
            hint=out,
            severity="warning",
        )
    ]  # fmt: skip


def _latency(session: Session, terms: Terms) -> list[Problem]:
    """Find orders that reach the market after the end of the data, or long after their decision."""
    bars = int(terms.simulation.latency)
    times_left = session.aligned.times - session.first
    if bars < _SLOW_BARS:
        return []
    late = bars >= times_left
    text = f"an order reaches the market {bars} bars after its decision"
    never_filled = (
        f", and the data has {times_left} bars from the first decision on: nothing is ever filled"
    )
    return [
        problem_at(
            session.loaded.tree, ("execution", "simulation", "latency"),
            text + (never_filled if late else ""),
            hint="latency is in bars; an exit that is decided before an entry fills cancels it",
            severity="error" if late else "warning",
        )
    ]  # fmt: skip


def _obstacles(
    session: Session, terms: Terms, k: int, instrument: Instrument
) -> Iterator[_Obstacle]:
    """Yield reasons why a symbol's entries cannot be sent or filled, in the order of the rules."""
    symbol = session.market.symbols[k]
    table = session.market.bars[symbol]
    first_row = int(np.searchsorted(table.known_ns, session.aligned.T[0][session.first]))
    close = table.close[first_row:]
    if not len(close):
        return
    value, quantity = _largest(session.strategy, terms, symbol)
    lot = instrument.lot
    most = np.minimum(value / close, quantity)
    units = np.floor(most / lot * _ROUNDING) * lot
    key_path = ("execution", "instruments", symbol)
    written = session.loaded.tree.at(key_path) is not None
    lot_path = key_path if written else ("risk", "sizing")
    currency = session.strategy.account.currency
    worth = float((most * close).max())
    if not worth > 0.0:
        text = f"no entry of {symbol} has a size: capital, sizing and limits leave nothing"
        yield _Obstacle(("risk", "sizing"), text, "write a size and limits above zero", True)
        return
    cost = f"the largest entry is worth {worth:,.6g} {currency}"
    yield from _refused(
        units < lot * 0.5, lot_path, symbol, "is rejected (lot)",
        f"one lot of {lot:g} costs {float((lot * close).min()):,.6g} or more, {cost}",
        "write the lot of the instrument, more capital, or a larger size or limit",
    )  # fmt: skip
    yield from _refused(
        (units >= lot * 0.5) & (units < instrument.min_quantity / _ROUNDING), lot_path, symbol,
        "is rejected (lot)", f"min_quantity is {instrument.min_quantity:,.6g}, {cost}",
        "write the min_quantity of the instrument, more capital, or a larger size or limit",
    )  # fmt: skip
    yield from _refused(
        units * close * _ROUNDING < instrument.min_notional, lot_path, symbol,
        "is rejected (min_notional)",
        f"min_notional is {instrument.min_notional:,.6g}, {cost}",
        "write the min_notional of the instrument, more capital, or a larger size or limit",
    )  # fmt: skip
    yield from _wire(session, terms, symbol, close, lot, (value, quantity))
    yield from _volume(session, terms, symbol, table.volume[first_row:], lot)
    yield from _reach(session, terms, symbol, first_row)


def _refused(
    refused: Any, path: KeyPath, symbol: str, rejected: str, why: str, hint: str
) -> Iterator[_Obstacle]:
    """Yield an obstacle if all bars reject entries, or the last one does."""
    if bool(refused.all()):
        yield _Obstacle(path, f"every entry of {symbol} {rejected}: {why}", hint, True)
    elif bool(refused[-1]):
        share = f"an entry of {symbol} {rejected} at {refused.mean() * 100:.3g} % of the bars"
        yield _Obstacle(path, f"{share}, the last included: {why}", hint, False)


def _largest(strategy: Any, terms: Terms, symbol: str) -> tuple[float, float]:
    """Return the maximum of a first entry: its value (quote), and its quantity (base)."""
    capital, spot = float(strategy.account.capital), terms.spot
    values = [capital * (1.0 - (terms.cash_buffer or 0.0))] if spot else []
    values += [] if spot else [capital * float(terms.perpetual.leverage)]
    for block in strategy.risk.limits.values():
        if block.distribution == BUILT_IN:
            values += [capital * share for share in _shares(block, symbol)]
    sizing, quantity = strategy.risk.sizing, math.inf
    parts = len(terms.symbols) if terms.split else 1
    if sizing.distribution == BUILT_IN:
        share = {"fixed_fraction": "fraction", "volatility_target": "max", "kelly": "max"}
        name = share.get(sizing.use.rpartition(":")[2])
        if getattr(sizing.config, "target", 1.0) == 0.0:
            values.append(0.0)
        if name is not None:
            values.append(capital * float(getattr(sizing.config, name)) / parts)
        else:
            quantity = float(getattr(sizing.config, "quantity", math.inf)) / parts
    return min(values), quantity


def _shares(block: Any, symbol: str) -> list[float]:
    """Return the shares of equity to which a limit caps a first entry."""
    groups = getattr(block.config, "groups", None)
    if groups is not None:
        return [float(each.max) for each in groups.values() if symbol in each.symbols]
    capped = block.use.rpartition(":")[2] in ("position", "gross_exposure", "correlated")
    return [float(block.config.max)] if capped else []


def _wire(
    session: Session,
    terms: Terms,
    symbol: str,
    close: Floats,
    lot: float,
    largest: tuple[float, float],
) -> Iterator[_Obstacle]:
    """Find orders above max_order_value, which are rejected, not cut; limits outside the collar."""
    strategy = session.strategy
    limits = {
        each.use.rpartition(":")[2]: (name, each.config)
        for name, each in strategy.risk.limits.items()
        if each.distribution == BUILT_IN
    }
    fixed = strategy.risk.sizing.use.rpartition(":")[2] in ("fixed_fraction", "fixed_quantity")
    fixed = fixed and strategy.follows_signal
    if "max_order_value" in limits and fixed and strategy.risk.sizing.distribution == BUILT_IN:
        name, config = limits["max_order_value"]
        simulation = terms.simulation
        cost = (1.0 + simulation.slippage.fraction) * (1.0 + simulation.fee.taker)
        cost *= _VOLATILE if simulation.slippage.volatility is not None else 1.0
        leverage = 1.0 if terms.spot else max(1.0, float(terms.perpetual.leverage))
        value, quantity = largest
        least = np.minimum(value / (close * (1.0 + leverage * (cost - 1.0))), quantity)
        units = np.floor(least / lot / _ROUNDING) * lot
        is_above_limit = units * close > config.max * _ROUNDING
        smallest = float((units * close).min())
        if bool(is_above_limit.all()):
            yield _Obstacle(
                ("risk", "limits", name),
                f"every entry of {symbol} is rejected: its value is {smallest:,.6g} or more, above "
                f"max_order_value {config.max:,.6g}",
                "an order above it is rejected, not made smaller: raise it, or lower the size",
                always=True,
                certain=not (terms.pro_rata and len(terms.symbols) > 1),
            )
    order = strategy.execution.order
    quotes_limit = order.use.rpartition(":")[2] in ("limit", "stop_limit")
    if "price_collar" in limits and order.distribution == BUILT_IN and quotes_limit:
        name, config = limits["price_collar"]
        offset = 1.0 - (1.0 - order.config.offset) * (1.0 - getattr(order.config, "slack", 0.0))
        if offset > config.max * _ROUNDING:
            yield _Obstacle(
                ("execution", "order", "offset"),
                f"every entry is rejected: its limit price lies {offset * 100:g} % "
                f"off the close, outside the price_collar of {config.max * 100:g} %",
                "raise limits.price_collar, or lower the offset",
                always=True,
            )


def _reach(session: Session, terms: Terms, symbol: str, begin: int) -> Iterator[_Obstacle]:
    """Find limits and triggers that no bar reaches while an order waits."""
    order = session.strategy.execution.order
    style = order.use.rpartition(":")[2]
    if order.distribution != BUILT_IN or style not in ("limit", "stop", "stop_limit"):
        return
    table, offset = session.market.bars[symbol], float(order.config.offset)
    bars = int(order.config.time_in_force) + int(terms.simulation.latency) + 1
    if bars > _MOST_BARS or not offset:
        return
    close, high, low = (getattr(table, name)[begin:] for name in ("close", "high", "low"))
    below = above = False
    for later in range(1, min(bars, len(close) - 1) + 1):
        below = below or bool((low[later:] <= close[:-later] * (1.0 - offset) * _ROUNDING).any())
        above = above or bool((high[later:] * _ROUNDING >= close[:-later] * (1.0 + offset)).any())
    long, short = (below, above) if style == "limit" else (above, below)
    if not (long or (short and not terms.spot)):
        text = (
            f"no entry of {symbol} is ever filled: no bar comes {offset * 100:g} % off the close "
            f"of a decision in the {order.config.time_in_force} bars for which an order waits"
        )
        hint = "lower the offset, or raise time_in_force"
        yield _Obstacle(("execution", "order", "offset"), text, hint, True)


def _volume(
    session: Session, terms: Terms, symbol: str, volume: Floats, lot: float
) -> Iterator[_Obstacle]:
    """Find bars whose volume is too small for one lot."""
    share = terms.simulation.participation
    if share is None:
        return
    path = ("execution", "simulation", "participation")
    none = np.floor(share * volume / lot * _ROUNDING) < 1.0
    if bool(none.all()):
        largest = float(volume.max())
        why = (
            f"{share * 100:g} % of the largest volume, {largest:,.6g}, is less than a lot ({lot:g})"
        )
        if largest == 0.0:
            why = f"the volume of {symbol} is zero in every bar"
        hint = "leave participation out, or bring data with volume"
        yield _Obstacle(path, f"no order of {symbol} is ever filled: {why}", hint, True)
    elif none.mean() > 0.5:
        text = (
            f"no order of {symbol} fills at {none.mean() * 100:.3g} % of the bars: "
            f"{share * 100:g} % of their volume is less than a lot ({lot:g})"
        )
        yield _Obstacle(path, text, "raise participation, or check the unit of volume", False)
