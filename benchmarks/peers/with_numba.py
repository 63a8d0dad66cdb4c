"""A loop written by hand for this one strategy and compiled by numba: the practical limit.

Averages are running sums, compared as fast * slow_period with slow * fast_period. W1 writes equity,
drawdown and a trade log and keeps the moments of the returns; `w1-bare` keeps nothing but the final
equity. W2 computes each average once and shares it; it writes no curves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange, set_num_threads
from protocol import Answer, Market, Setup, Work, serve

__all__: list[str] = []


@njit(cache=True)
def _full(opened, close, fast, slow, capital, fee, equity, drawdown, log, prices):
    """Write both curves and the log; return round trips, and the moments of the returns."""
    cash, held, entered, paid, trips = capital, 0.0, -1, 0.0, 0
    peak, last, total, square = capital, capital, 0.0, 0.0
    wanted, before, quick, lazy = 0, np.nan, 0.0, 0.0
    for i in range(close.size):
        if wanted != 0:
            price = opened[i]
            if wanted > 0 and held == 0.0:
                cash, held, entered, paid = cash - price * (1.0 + fee), 1.0, i, price
            elif wanted < 0 and held != 0.0:
                cash, held = cash + price * (1.0 - fee), 0.0
                log[trips, 0], log[trips, 1] = entered, i
                prices[trips, 0], prices[trips, 1] = paid, price
                prices[trips, 2] = price - paid - fee * (price + paid)
                trips += 1
            wanted = 0
        price = close[i]
        quick += price - (close[i - fast] if i >= fast else 0.0)
        lazy += price - (close[i - slow] if i >= slow else 0.0)
        if i >= slow - 1:
            spread = quick * slow - lazy * fast
            if spread > 0.0 and before <= 0.0:
                wanted = 1
            elif spread < 0.0 and before >= 0.0:
                wanted = -1
            before = spread
        worth = cash + held * price
        equity[i] = worth
        if worth > peak:
            peak = worth
        drawdown[i] = worth / peak - 1.0
        gain = worth / last - 1.0
        last = worth
        total += gain
        square += gain * gain
    return trips, total, square


@njit(cache=True)
def _bare(opened, close, fast, slow, capital, fee):
    cash, held, trips, wanted, before, quick, lazy = capital, 0.0, 0, 0, np.nan, 0.0, 0.0
    for i in range(close.size):
        if wanted != 0:
            if wanted > 0 and held == 0.0:
                cash, held = cash - opened[i] * (1.0 + fee), 1.0
            elif wanted < 0 and held != 0.0:
                cash, held, trips = cash + opened[i] * (1.0 - fee), 0.0, trips + 1
            wanted = 0
        price = close[i]
        quick += price - (close[i - fast] if i >= fast else 0.0)
        lazy += price - (close[i - slow] if i >= slow else 0.0)
        if i >= slow - 1:
            spread = quick * slow - lazy * fast
            if spread > 0.0 and before <= 0.0:
                wanted = 1
            elif spread < 0.0 and before >= 0.0:
                wanted = -1
            before = spread
    return trips, cash + held * close[-1]


@njit(cache=True)
def _average(close, period, out):
    total = 0.0
    for i in range(close.size):
        total += close[i] - (close[i - period] if i >= period else 0.0)
        out[i] = total / period if i >= period - 1 else np.nan


@njit(cache=True)
def _pair(opened, close, quick, lazy, first, capital, fee):
    cash, held, trips, wanted = capital, 0.0, 0, 0
    before = quick[first - 1] - lazy[first - 1]
    for i in range(first, close.size):
        if wanted != 0:
            if wanted > 0 and held == 0.0:
                cash, held = cash - opened[i] * (1.0 + fee), 1.0
            elif wanted < 0 and held != 0.0:
                cash, held, trips = cash + opened[i] * (1.0 - fee), 0.0, trips + 1
            wanted = 0
        spread = quick[i] - lazy[i]
        if spread > 0.0 and before <= 0.0:
            wanted = 1
        elif spread < 0.0 and before >= 0.0:
            wanted = -1
        before = spread
    return trips, cash + held * close[-1]


@njit(cache=True, parallel=True)
def _sweep(opened, close, fasts, slows, first, capital, fee, averages, table):
    for place in prange(fasts.size + slows.size):
        period = fasts[place] if place < fasts.size else slows[place - fasts.size]
        _average(close, period, averages[place])
    for number in prange(fasts.size * slows.size):
        quick = averages[number // slows.size]
        lazy = averages[fasts.size + number % slows.size]
        trips, equity = _pair(opened, close, quick, lazy, first, capital, fee)
        table[number, 0], table[number, 1] = trips, equity


def _w1(setup: Setup, market: Market) -> Work:
    count = setup.bars

    def run() -> Any:
        equity, drawdown = np.empty(count), np.empty(count)
        log, prices = np.empty((count // 2, 2), np.int64), np.empty((count // 2, 3))
        trips, total, square = _full(
            market.open, market.close, setup.fast, setup.slow, setup.capital, setup.fee,
            equity, drawdown, log, prices,
        )  # fmt: skip
        return equity, drawdown, log[:trips], prices[:trips], total, square

    def look(left: Any) -> Answer:
        equity, log = left[0], left[2]
        return Answer(len(log), float(equity[-1]), lambda: log - 1)

    return Work(run, look)


def _w1_bare(setup: Setup, market: Market) -> Work:
    def run() -> Any:
        return _bare(market.open, market.close, setup.fast, setup.slow, setup.capital, setup.fee)

    return Work(run, lambda left: Answer(int(left[0]), float(left[1])))


def _w2(setup: Setup, market: Market) -> Work:
    set_num_threads(setup.threads)
    fasts, slows = np.array(setup.fasts), np.array(setup.slows)

    def run() -> Any:
        averages = np.empty((len(fasts) + len(slows), setup.bars))
        table = np.empty((len(fasts) * len(slows), 2))
        _sweep(
            market.open, market.close, fasts, slows, setup.first, setup.capital, setup.fee,
            averages, table,
        )  # fmt: skip
        return table

    return Work(run, lambda table: Answer(int(table[:, 0].sum()), None, lambda: table))


if __name__ == "__main__":
    serve("numba", {"w1": _w1, "w1-bare": _w1_bare, "w2": _w2})
