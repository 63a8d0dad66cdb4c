"""`signal: {use: grid}`: resting buys below a centre, each sold one level up, then resting again.

While flat, at T, the levels are centre * (1 - step)^k. With `short: true` the mirror rests above.
What is held below the minimum notional stops no level: a level whose units are too few to be sold
buys again, and where all that is held is too little the grid is laid anew, as while flat.
"""

from __future__ import annotations

import math

from tests.exact_fraction import Fraction
from tests.fidelity.positions.checks import allowed, capped
from tests.fidelity.positions.exact import ZERO, exact, floor_lots, on_tick
from tests.fidelity.positions.expression import number
from tests.fidelity.positions.orders import Order
from tests.fidelity.positions.settings import Grid
from tests.fidelity.positions.state import GridState, State
from tests.fidelity.positions.steps import read_plan

__all__ = ["after_grid_fill", "rest_again", "rest_grid", "waits_too_small"]


def _cancel(run: State, symbol: str, side: int, by: str) -> None:
    for order in run.increases(symbol):
        if order.tag[0] == "grid" and order.tag[1] == side:
            run.end(order, "cancelled", by, run.now_ns)


def rest_grid(run: State, symbol: str) -> None:
    """At T: lay the grid anew while flat; else let what was bought or sold rest again."""
    grid = run.s.signal
    assert isinstance(grid, Grid)
    if run.market.row(symbol, run.now_ns) is None:
        return
    _gather_remainders(run, symbol)
    if run.held(symbol).side and not waits_too_small(run, symbol):
        rest_again(run, symbol, run.now_ns + run.s.costs.latency_ns)
        return
    for side in (1, -1):
        _cancel(run, symbol, side, "grid_moved")
    run.grids[symbol] = []
    centre = number(grid.centre, run.words(symbol))
    if not math.isfinite(centre):
        return
    for side in (1, -1) if grid.short else (1,):
        blocked = run.blocked.get((symbol, side)) is not None  # no signal can differ: bars alone
        refused = "reentry_blocked" if blocked else read_plan(run, symbol, side)
        if refused:
            run.report(symbol, refused, "grid_entry")
            continue
        run.grids[symbol].append(_laid(run, symbol, grid, side, exact(centre)))
    rest_again(run, symbol, run.now_ns + run.s.costs.latency_ns)


def waits_too_small(run: State, symbol: str) -> bool:
    """Return whether the exit of a position waits because it is too small to be sent."""
    small = not run.may_send(symbol, run.held(symbol).units, run.marks[symbol])
    return symbol in run.exits_to_retry and small


def _gather_remainders(run: State, symbol: str) -> None:
    """Where no level can sell what it holds, the nearest one sells all of it.

    If that is too little as well, the position is closed, or its exit waits.
    """
    held = run.held(symbol)
    if not held.side or run.leaving(symbol) == abs(held.units) or symbol in run.exits_to_retry:
        return
    for grid in run.grids.get(symbol, []):
        if grid.side != held.side:
            continue
        works = any(o.reduces and o.tag[:2] == ("grid", grid.side) for o in run.working(symbol))
        sells = any(run.may_send(symbol, units, grid.prices[k - 1])
                    for k, units in grid.bought.items())  # fmt: skip
        if works or sells:
            return
        if run.may_send(symbol, held.units, grid.prices[0]):
            grid.bought = {1: abs(held.units)}
            for order in run.increases(symbol):
                if order.tag == ("grid", grid.side, 1):
                    run.end(order, "cancelled", "grid_moved", run.now_ns)
            return
    run.close(symbol, "grid")


def _units_of_no_level(run: State, symbol: str, grid: GridState) -> Fraction:
    """Return what is held beside the units of the levels: it leaves with the next exit."""
    excess = abs(run.held(symbol).units) - sum(grid.bought.values(), ZERO)
    return floor_lots(max(ZERO, excess), run.lot(symbol))


def _laid(run: State, symbol: str, grid: Grid, side: int, centre: Fraction) -> GridState:
    step, tick = exact(grid.step), run.tick(symbol)
    prices = [on_tick(centre * (1 - side * step) ** k, tick, -side) for k in range(grid.levels + 1)]
    prices[0] = on_tick(centre, tick, side)
    worth = exact(grid.size) * run.equity
    units = [floor_lots(worth / run.unit_cost("limit", each), run.lot(symbol)) for each in prices]
    return GridState(side, prices, units)


def rest_again(run: State, symbol: str, active_ns: int, *, at_open: bool = False) -> None:
    """Place what is missing of a grid, nearest to the centre first: exits, else entries.

    An entry that does not fit whole is not placed. A level whose units are too few to be sold
    places its entry again. While an exit closes all nothing rests, unless it waits because it is
    too small. At an open only what has just filled there rests again at once; all else waits for T.
    """
    held = run.held(symbol).side
    leaving = held and run.leaving(symbol) == abs(run.held(symbol).units)
    if leaving or (symbol in run.exits_to_retry and not waits_too_small(run, symbol)):
        return
    levels = range(1, 1 + max((len(each.prices) for each in run.grids.get(symbol, [])), default=1))
    for k in levels:
        for grid in run.grids.get(symbol, []):
            if held not in (0, grid.side) or k >= len(grid.prices):
                continue
            working = {o.tag[2] for o in run.working(symbol) if o.tag[:2] == ("grid", grid.side)}
            if k in working or (at_open and k not in grid.changed):
                continue
            grid.changed.discard(k)
            units = grid.bought.get(k, ZERO)
            units += _units_of_no_level(run, symbol, grid) if units else ZERO
            if units and run.may_send(symbol, units, grid.prices[k - 1]):
                grid.bought[k] = units
                run.send(symbol, -grid.side * grid.bought[k], "grid", reduces=True, kind="limit",
                         price=grid.prices[k - 1], tag=("grid", grid.side, k),
                         active_ns=active_ns)  # fmt: skip
            else:
                _rest_entry(run, symbol, grid, k, active_ns, at_open=at_open)


def _rest_entry(
    run: State, symbol: str, grid: GridState, k: int, active_ns: int, *, at_open: bool
) -> None:
    price, wanted = grid.prices[k], grid.units[k]
    granted, by = capped(run, symbol, wanted, price, "limit")
    refused = allowed(run, symbol, at_open=at_open) or by
    if not refused and not run.may_send(symbol, granted, price):
        refused = run.too_small(symbol, granted)
    if refused:
        run.report(symbol, refused, "grid_entry_at_open" if at_open else "grid_entry")
        return
    run.send(symbol, grid.side * granted, "grid", reduces=False, kind="limit", price=price,
             tag=("grid", grid.side, k), active_ns=active_ns)  # fmt: skip


def after_grid_fill(run: State, order: Order) -> None:
    """Note what a level holds; the first fill of one side cancels the entries of the other."""
    _, side, k = order.tag
    for grid in run.grids.get(order.symbol, []):
        if grid.side != side:
            continue
        grid.changed.add(k)
        if order.reduces and order.is_working:  # the volume has held back a part of it
            grid.changed.discard(k)
            grid.bought[k] = abs(order.units)
            continue
        if order.reduces:
            grid.bought.pop(k, None)
            continue
        if order.is_working:  # nothing of it has filled
            grid.changed.discard(k)
            return
        filled = [each.units for each in run.fills if each.order == order.number]
        if filled:
            grid.bought[k] = grid.bought.get(k, ZERO) + abs(filled[0])
    if not order.reduces and run.held(order.symbol).side:
        _cancel(run, order.symbol, -side, "other_side")
