"""One pre-trade check of an entry, with every limit on: `Checks.check` alone."""

from __future__ import annotations

import time

from live_common import Figure, Report, median, quantile

from septet._core.checks import Checks, Instrument, Limits

NS = 1_000_000_000
START_NS = 1_800_000_000 * NS
LIMITS = Limits(
    price_collar=0.05, max_order_value=50_000.0, orders_per_minute=120, repeats=200,
    position=1.0, gross=2.0, flips=200, turnover=1_000.0,
)  # fmt: skip
MARKET = Instrument(
    symbol="BTC/USDT",
    lot=1e-5,
    tick=0.01,
    min_notional=5.0,
    min_quantity=1e-5,
    max_quantity=9_000.0,
)


def busy_checks() -> Checks:
    """Return checks that know an equity, prices, positions, and an hour of orders and trades."""
    checks = Checks([MARKET] * 4, LIMITS)
    checks.equity = 100_000.0
    for k in range(4):
        checks.priced(k, 60_000.0, START_NS)
        checks.held(k, 0.1, 0.05, 0.02)
    for number in range(40):
        at_ns = START_NS - (40 - number) * NS
        checks.sent(number % 4, 1 if number % 3 else -1, 0.01 + number * 1e-5, False, at_ns)
        checks.booked(number % 4, 0.01, 60_000.0, at_ns, at_ns)
    return checks


def measure(quick: bool) -> Report:
    """Time checks of one symbol's limit orders, each with a look at the clock taken away."""
    checks, count = busy_checks(), 5_000 if quick else 200_000
    clock, spent, empty = time.perf_counter_ns, [], []
    for number in range(count):
        quantity = round(0.01 + number % 97 * 1e-5, 5)
        began = clock()
        found = checks.check(
            number % 4, 1, quantity, 1.0, 60_000.01, None, False, 60_000.0, START_NS
        )
        spent.append(clock() - began)
        assert found == "", found
        began = clock()
        empty.append(clock() - began)
    looking = median(empty)
    half, tail = (max(0.0, each - looking) / 1e3 for each in (median(spent), quantile(spent, 0.99)))
    note = f"{count:,} limit entries, all of them allowed: every rule is asked"
    return Report(
        [
            Figure("check", "pre-trade check of one order, p50", half, "µs", 5.0, note=note),
            Figure("check", "pre-trade check of one order, p99", tail, "µs"),
        ]
    )
