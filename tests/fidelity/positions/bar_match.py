"""What orders and levels do in one bar, its path unknown.

(a) The open: reductions of all symbols, then increases; a position closed there loses its adds.
(b) Where the stop is touched: first every add that lies before it and was traded through, resting
stops too, then the stop on all. (c) Else the takes, nearest first, of what was held after the
open, then the adds. What fills inside a bar moves levels from the next bar on.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.exact_fraction import Fraction
from tests.fidelity.positions import levels
from tests.fidelity.positions.exact import exact, floor_lots, on_tick, sign
from tests.fidelity.positions.grid import after_grid_fill, rest_again
from tests.fidelity.positions.levels import TradeState
from tests.fidelity.positions.market import Bar
from tests.fidelity.positions.orders import Order
from tests.fidelity.positions.state import BLOCKING, State
from tests.fidelity.positions.steps import place_ladders, take_units

__all__ = ["match_bars", "tighten_stop"]


def match_bars(run: State, here: Sequence[str]) -> None:
    """Let the bars that end now meet what works: opens of all symbols, then inside each."""
    bars = {symbol: run.market.bar(symbol, run.now_ns) for symbol in here}
    known = {symbol: bar for symbol, bar in bars.items() if bar is not None}
    _begin_volume(run, known)
    _opens(run, known)
    coarse = _inside_finer_bars(run, known)
    for symbol in coarse:
        _inside(run, symbol, known[symbol], run.now_ns)
        _note_best(run, symbol, known[symbol])
    for symbol in known:
        run.held(symbol).bars_held += bool(run.held(symbol).side)
    _expire(run)


def _begin_volume(run: State, known: dict[str, Bar]) -> None:
    """Every bar has its own volume, of which all that fills in it takes a share together."""
    share = run.s.costs.participation
    run.bars_ns = {symbol: bar.open_ns for symbol, bar in known.items()}
    run.room = {} if share is None else {
        symbol: floor_lots(exact(share) * bar.volume, run.lot(symbol))
        for symbol, bar in known.items()
    }  # fmt: skip


def _opens(run: State, known: dict[str, Bar]) -> None:
    """Opens of all symbols: reductions first, then increases; levels move at once."""
    for symbol, bar in known.items():
        _reduce_at_open(run, symbol, bar)
    if run.s.portfolio is None:
        for symbol, bar in known.items():
            _place_late_ladder(run, symbol, bar)
            for order in _increases_in_order(run, {symbol: bar}):
                _increase_at_open(run, order, bar)
    else:
        for order in _increases_in_order(run, known):
            _increase_at_open(run, order, known[order.symbol])
    for symbol, bar in known.items():
        tighten_stop(run, symbol, None)
        _stop_at_open(run, symbol, bar)  # entered beyond its stop, or moved there by an add
        rest_again(run, symbol, bar.open_ns, at_open=True)


def _stop_at_open(run: State, symbol: str, bar: Bar) -> None:
    """Close what the open has carried beyond its stop."""
    trade, side = run.trade.get(symbol), run.held(symbol).side
    if trade is None or trade.stop is None or side * (bar.open - trade.stop) > 0:
        return
    if run.exit_has_met(symbol, bar.open_ns):
        return
    rested = (
        run.held(symbol).begun_ns < bar.open_ns
        and side * (run.marks[symbol] - trade.stop) > 0
        and side * (run.held(symbol).best - trade.stop) >= 0
    )
    judged = trade.stop if rested else bar.open  # what rested was accepted at its trigger
    _stop_out(run, symbol, bar.open, bar.open_ns, judged)


def _inside_finer_bars(run: State, known: dict[str, Bar]) -> list[str]:
    """Apply the rules of a bar to its finer bars where there are; return the other symbols.

    Every finer bar is a bar of its own: what fills inside one moves levels from the next one on.
    """
    if not run.s.intrabar:
        return list(known)
    found = {name: run.market.fine_bars(name, bar, run.tick(name)) for name, bar in known.items()}
    coarse = [name for name, bars in found.items() if not bars]
    for name in coarse:
        run.report(name, "no_finer_bars")
    for number in range(run.market.bar_ns // run.market.fine_ns):
        fine = {name: bars[number] for name, bars in found.items() if bars}
        if number:
            _opens(run, fine)
        for symbol, bar in fine.items():
            _inside(run, symbol, bar, bar.open_ns + run.market.fine_ns)
            _note_best(run, symbol, bar)
    return coarse


def tighten_stop(run: State, symbol: str, level: Fraction | None) -> None:
    """Move a trade's stop to what holds now, never away from the price."""
    trade = run.trade.get(symbol)
    if trade is not None:
        levels.tighten(trade, run.held(symbol), level, run.s.costs, run.tick(symbol))


# ------------------------------------------------------------------------------ (a) the open


def _reduce_at_open(run: State, symbol: str, bar: Bar) -> None:
    """Fill exits that were sent; then the takes, and then the stop, that the open has passed.

    Last the exit that replaces a reversal which has found no open in time.
    """
    for order in run.working(symbol):
        if order.reduces and order.kind == "market" and order.active_ns <= bar.open_ns:
            price = run.slipped(symbol, bar.open, sign(order.units))
            run.fill(order, price, maker=False, time_ns=bar.open_ns)
    _fill_takes(run, symbol, bar, bar.open, bar.open_ns)
    _stop_at_open(run, symbol, bar)
    turns = run.reversal(symbol)
    if turns is None or turns.kind != "market":
        return
    if bar.open_ns >= run.market.expires_ns(symbol, turns.active_ns):
        _replace_reversal(run, turns, bar)


def _increases_in_order(run: State, known: dict[str, Bar]) -> list[Order]:
    """Return increases as they fill at one open: a rebalance's in its order, else by symbol."""
    names = list(run.market.symbols)
    found = [order for symbol in known for order in run.increases(symbol)]
    if run.s.portfolio is not None:
        return sorted(found, key=lambda o: o.number)
    return sorted(found, key=lambda o: (names.index(o.symbol), o.kind == "market", o.number))


def _place_late_ladder(run: State, symbol: str, bar: Bar) -> None:
    """Place the adds of a trade whose first order has ended without filling whole."""
    trade, working = run.trade.get(symbol), run.working(symbol)
    if trade is None or trade.has_ladder or symbol in run.exits_to_retry:
        return
    if not any(o.tag[0] == "entry" for o in working) and not run.is_exiting(symbol):
        place_ladders(run, symbol, bar.open_ns)


def _increase_at_open(run: State, order: Order, bar: Bar) -> None:
    if not order.is_working or order.active_ns > bar.open_ns:
        return
    late = bar.open_ns >= run.market.expires_ns(order.symbol, order.active_ns)
    if order.kind == "market" and late:
        return  # it has found no open in time
    side, symbol = sign(order.units), order.symbol
    price, maker = run.slipped(symbol, bar.open, side), False
    if order.kind == "limit":
        assert order.price is not None
        if side * (order.price - bar.open) <= 0:
            return
        if order.rested:
            price, maker = bar.open, True
        else:  # it takes liquidity as it arrives, never beyond its limit
            price = price if side * (order.price - price) > 0 else order.price
    elif order.kind == "stop":
        assert order.price is not None
        if side * (bar.open - order.price) < 0:
            return
    before = len(run.orders)
    _fill_increase(run, order, price, maker, bar.open_ns)
    for placed in run.orders[before:]:  # this open may have passed their prices already
        _increase_at_open(run, placed, bar)


def _replace_reversal(run: State, order: Order, bar: Bar) -> None:
    """What an expired reversal would have closed is closed: a reduction waits for any open."""
    symbol, held = order.symbol, run.held(order.symbol)
    run.end(order, "expired", "no_market", bar.open_ns)
    if not run.may_send(symbol, held.units, run.marks[symbol]):
        run.let_exit_wait(symbol, "reversal", bar.open_ns)
        return
    exit_order = run.send(symbol, -held.units, "reversal", reduces=True, active_ns=order.active_ns)
    price = run.slipped(symbol, bar.open, -held.side)
    run.fill(exit_order, price, maker=False, time_ns=bar.open_ns)


def _fill_increase(run: State, order: Order, price: Fraction, maker: bool, time_ns: int) -> None:
    """Fill an increase; when it was the first order of a trade its ladders are placed."""
    symbol = order.symbol
    run.fill(order, price, maker=maker, time_ns=time_ns)
    trade = run.trade.get(symbol)
    if order.tag[0] == "grid":
        after_grid_fill(run, order)
    elif order.tag[0] == "entry" and not order.is_working and trade and not trade.has_ladder:
        place_ladders(run, symbol, time_ns)


def _expire(run: State) -> None:
    """An entry at market that finds no open within one bar after it works expires."""
    for symbol in run.market.symbols:
        for order in run.increases(symbol):
            late = run.now_ns >= run.market.expires_ns(symbol, order.active_ns)
            if order.kind == "market" and late:
                turns, bar = order is run.reversal(symbol), run.market.bar(symbol, run.now_ns)
                run.end(order, "expired", "no_market", run.now_ns)
                if turns:  # the exit was sent with it, and waits for any open
                    mark = None if bar is None else bar.close
                    run.close(symbol, "reversal", mark=mark, active_ns=order.active_ns)


# ------------------------------------------------------------------------------ inside the bar


def _stop_out(
    run: State, symbol: str, price: Fraction, time_ns: int, judged: Fraction | None = None
) -> None:
    """Close all at the stop, or owe it where the order is too small at the price `judged`."""
    trade, held = run.trade[symbol], run.held(symbol)
    if not run.may_send(symbol, held.units, price if judged is None else judged):
        if symbol not in run.exits_to_retry:
            run.block(symbol, trade.side, trade.stop_name)
            run.let_exit_wait(symbol, trade.stop_name, time_ns)
        return
    if trade.stop_name in BLOCKING:
        run.block(symbol, trade.side, trade.stop_name)
    for order in run.working(symbol):  # what a rebalance opens on the other side is not the trade's
        if order.tag[0] != "rebalance" or sign(order.units) == trade.side:
            run.end(order, "cancelled", trade.stop_name, time_ns)
    order = run.send(symbol, -held.units, trade.stop_name, reduces=True, kind="stop",
                     price=trade.stop, active_ns=time_ns)  # fmt: skip
    run.fill(order, run.slipped(symbol, price, -held.side), maker=False, time_ns=time_ns)


def _take_levels(run: State, symbol: str) -> list[tuple[Fraction, str, int]]:
    """Return the levels above a long position (below a short) at which it takes, nearest first."""
    trade, held = run.trade.get(symbol), run.held(symbol)
    if trade is None:
        return []
    found: list[tuple[Fraction, str, int]] = []
    waits = symbol in run.exits_to_retry  # an exit of all was decided: nothing sells a part
    for index, distance in enumerate(() if waits else trade.plan.takes):
        level = levels.offset(held.entry_price, trade.side, distance, trade.r)
        done = index in trade.takes_done and index not in trade.takes_left
        if level is not None and not done:
            found.append((on_tick(level, run.tick(symbol), trade.side), "take", index))
    target = levels.offset(held.entry_price, trade.side, trade.plan.take_profit, trade.r)
    if target is not None:
        found.append((on_tick(target, run.tick(symbol), trade.side), "take_profit", 0))
    for order in run.working(symbol):
        if order.reduces and order.kind == "limit":
            assert order.price is not None
            found.append((order.price, "grid", order.number))
    return sorted(found, key=lambda each: trade.side * each[0])


def _fill_takes(run: State, symbol: str, bar: Bar, reach: Fraction, time_ns: int) -> None:
    """Fill every take that the price has passed, at its level or the better open, as maker.

    None sells a part of what a reversal that works was sent for; a target closes all, and ends it,
    as it ends an entry on its way into what could not be sold.
    """
    at_open = time_ns == bar.open_ns
    for level, kind, index in _take_levels(run, symbol):
        held = run.held(symbol)
        if not held.side or held.side * (reach - level) <= 0 or run.room.get(symbol) == 0:
            return
        price, maker = (bar.open if at_open else level), True
        if kind == "grid":
            order = run.orders[index]
            if order.active_ns > bar.open_ns:
                continue
            if at_open and not order.rested:  # it takes liquidity as it arrives
                price, maker = run.slipped(symbol, bar.open, -held.side), False
                price = price if held.side * (price - level) > 0 else level
        elif kind == "take":
            if not floor_lots(abs(held.units) - run.leaving(symbol), run.lot(symbol)):
                continue
            trade = run.trade[symbol]
            if index in trade.takes_left:  # what the volume has held back of it
                free = floor_lots(abs(held.units) - run.leaving(symbol), run.lot(symbol))
                units = min(trade.takes_left.pop(index), free)
            else:
                units = take_units(run, symbol, index, price)
            if not units:
                continue
            order = run.send(symbol, -held.side * units, "take", reduces=True, kind="limit",
                             price=level, tag=("take", index, 0), active_ns=time_ns)  # fmt: skip
        else:
            if not run.may_send(symbol, held.units, level):  # it would not rest at the venue
                run.let_exit_wait(symbol, "take_profit", time_ns)
                return
            turns = run.reversal(symbol)
            run.cancel_entries(symbol, "take_profit", time_ns)
            order = run.send(symbol, -held.units, "take_profit", reduces=True, kind="limit",
                             price=level, active_ns=time_ns)  # fmt: skip
        run.fill(order, price, maker=maker, time_ns=time_ns)
        if kind == "grid":
            after_grid_fill(run, order)
        elif kind == "take" and order.status == "expired":
            trade.takes_left[index] = abs(order.units)
        elif order.status == "expired" and turns is not None:  # what it was to close is closed
            run.close(symbol, "reversal", active_ns=turns.active_ns)


def _touched(run: State, symbol: str, bar: Bar) -> list[Order]:
    """Return resting increases that the bar has traded through, nearest to the open first."""
    found = []
    for order in run.increases(symbol):
        if order.kind == "market" or order.active_ns > bar.open_ns:
            continue
        assert order.price is not None
        side = sign(order.units)
        if order.kind == "limit":
            worst = bar.low if side > 0 else bar.high
            traded = side * (order.price - worst) > 0
        else:
            best = bar.high if side > 0 else bar.low
            traded = side * (best - order.price) >= 0
        if traded:
            found.append((abs(order.price - bar.open), order.number, order))
    return [order for _, _, order in sorted(found, key=lambda each: each[:2])]


def _fill_add(run: State, order: Order, time_ns: int) -> None:
    """Fill a resting add inside the bar: a limit at its price, a stop with slippage."""
    assert order.price is not None
    side, maker = sign(order.units), order.kind == "limit"
    price = order.price if maker else run.slipped(order.symbol, order.price, side)
    _fill_increase(run, order, price, maker, time_ns)


def _inside(run: State, symbol: str, bar: Bar, time_ns: int) -> None:
    trade, side = run.trade.get(symbol), run.held(symbol).side
    if not side:
        _enter_inside(run, symbol, bar, time_ns)
        return
    worst, best = (bar.low, bar.high) if side > 0 else (bar.high, bar.low)
    if run.exit_has_met(symbol, bar.open_ns):
        return
    stop = trade.stop if trade is not None else None
    if symbol in run.exits_to_retry and stop is not None:
        opened_beyond = side * (bar.open - stop) <= 0
        if opened_beyond or not run.may_send(symbol, run.held(symbol).units, stop):
            stop = None  # that at the open has been tested
    if stop is not None and side * (worst - stop) <= 0:
        for order in _touched(run, symbol, bar):
            assert order.price is not None
            if side * (order.price - stop) > 0:
                _fill_add(run, order, time_ns)
        _stop_out(run, symbol, stop, time_ns)
        return
    _fill_takes(run, symbol, bar, best, time_ns)
    _fill_touched(run, symbol, bar, time_ns, trade)
    if run.trade.get(symbol) is not trade:  # a grid left and entered again
        _stop_new_trade(run, symbol, bar, time_ns)


def _enter_inside(run: State, symbol: str, bar: Bar, time_ns: int) -> None:
    """Let resting orders of a grid open a position; its stop is active in the same bar."""
    _fill_touched(run, symbol, bar, time_ns, None)
    _stop_new_trade(run, symbol, bar, time_ns)


def _fill_touched(
    run: State, symbol: str, bar: Bar, time_ns: int, before: TradeState | None
) -> None:
    """Fill resting increases; of a trade that they begin, those before its stop alone."""
    for order in _touched(run, symbol, bar):
        trade = run.trade.get(symbol)
        assert order.price is not None
        beyond = (
            trade is not None and trade is not before and trade.stop is not None
            and trade.side * (order.price - trade.stop) <= 0
        )  # fmt: skip
        if order.is_working and not beyond:
            _fill_add(run, order, time_ns)


def _stop_new_trade(run: State, symbol: str, bar: Bar, time_ns: int) -> None:
    trade, side = run.trade.get(symbol), run.held(symbol).side
    if trade is not None and trade.stop is not None:
        worst = bar.low if side > 0 else bar.high
        if side * (worst - trade.stop) <= 0:  # never better than what it was entered at
            pick, entry = (min if side > 0 else max), run.held(symbol).entry_price
            _stop_out(run, symbol, pick(trade.stop, entry), time_ns)


def _note_best(run: State, symbol: str, bar: Bar) -> None:
    """Note the best price so far; an order that has worked in a bar rests in the next."""
    held = run.held(symbol)
    if held.side:
        held.best = max(held.best, bar.high) if held.side > 0 else min(held.best, bar.low)
    for order in run.working(symbol):
        order.rested = order.rested or order.active_ns <= bar.open_ns
