"""Trading hours of a universe of several calendars: each symbol fills on its own calendar."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet._data.calendars import Anchor
from septet._data.trading_hours import FillGrid
from septet._shell.session import Session
from tests.core.compare import tables_of
from tests.core.paths import by_batch, by_events
from tests.core.settings import HOUR, START, Bars, made_bars
from tests.core.table_comparison import assert_same
from tests.core.world import load_text, open_made, run_core
from tests.scale import examples

FILE = """\
version: 1
name: made
account: {capital: 1000000}
universe: {symbols: [SYMBOLS], bar: 1h, trading_hours: HOURS}
data: {candles: {use: synthetic}}
features: {mean: {use: sma, period: 3}}
signal: {use: rules, long_if: close > mean, exit_if: close < mean, min_interval: 2}
risk:
  sizing: {use: fixed_quantity, quantity: 1}
  stops: {stop_loss: 2%}
  limits: {orders_per_minute: 1000}
execution:
  simulation: {fee: {maker: 1bps, taker: 2bps}, slippage: 1bps, latency: LATENCY}
  order: ORDER
"""
HOURS = (
    "XNYS", "XLON", "mon-fri 09:30-16:00 America/New_York", "mon-sun 06:00-17:00 UTC",
    "mon-fri 00:00-24:00 UTC", "mon-tue 20:00-15:00 UTC",
    "mon-fri 10:00-15:00 America/New_York",
)  # fmt: skip
CALENDARS = ("24x7", "XLON", "XFX", "XNYS")
"""The bars of XNYS count from its open: those of the others end inside them."""
ORDERS = (
    "{use: market}", "{use: limit, offset: 10bps, time_in_force: 3 bars}",
    "{use: limit, offset: 0bps}", "{use: stop, offset: 10bps, time_in_force: 2 bars}",
)  # fmt: skip
"""The second limit lies beyond the market: it fills at the open at which it arrives."""
DAYS = 14


def bars_on(calendar: str, seed: int) -> Bars:
    """Make the hourly bars of a calendar over two weeks."""
    anchor: Anchor = "session" if calendar == "XNYS" else "utc"
    grid, opens = FillGrid(calendar, HOUR, anchor), list[int]()
    at = START
    while at < START + DAYS * 24 * HOUR:
        opened = int(grid.next_open(np.array([at], dtype=np.int64))[0])
        opens.append(opened)
        at = opened + 1
    chance = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(chance.normal(0.0, 0.006, len(opens))))
    opened_at = np.concatenate(([100.0], close[:-1])) * np.exp(chance.normal(0, 0.001, len(opens)))
    high, low = np.maximum(opened_at, close) * 1.002, np.minimum(opened_at, close) * 0.998
    volume = np.full(len(opens), 1e9)
    return made_bars(np.array(opens, dtype=np.int64), [opened_at, high, low, close, volume])


def session_on(
    calendars: Sequence[str], seeds: Sequence[int], hours: str, latency: int = 0,
    order: str = "{use: market}",
) -> Session:  # fmt: skip
    """Return a session whose symbols have these calendars."""
    names = [f"S{seed}/USDT" for seed in seeds]
    text = FILE.replace("SYMBOLS", ", ".join(names)).replace("HOURS", hours)
    loaded = load_text(text.replace("LATENCY", f"{latency}").replace("ORDER", order))
    bars = [bars_on(each, seed) for each, seed in zip(calendars, seeds, strict=True)]
    return open_made(loaded, bars, 0, calendars=dict(zip(names, calendars, strict=True)))


def of_symbol(session: Session, k: int) -> dict[str, list[Any]]:
    """Return the fills and the rejections of one symbol."""
    tables = tables_of(run_core(session))
    fills = [(t, units, price) for t, each, _, units, price, *_ in tables["fills"] if each == k]
    rejected = [(d[0], d[7]) for d in tables["decisions"] if d[1] == k and d[7]]
    return {"fills": fills, "rejected": rejected}


@given(
    st.lists(st.sampled_from(CALENDARS), min_size=2, max_size=4), st.sampled_from(HOURS),
    st.booleans(), st.integers(0, 2), st.sampled_from(ORDERS), st.integers(1, 2**20),
)  # fmt: skip
@settings(max_examples=examples(24), deadline=None)
def test_a_symbol_trades_in_hours_as_it_does_alone(calendars, opened, flat, latency, order, seed):
    """Whatever the calendars of the others are, and on either path."""
    hours = f"{{open: {opened}, flat_at_close: {str(flat).lower()}}}"
    seeds = [seed + k for k in range(len(calendars))]
    for k, calendar in enumerate(calendars):
        alone = of_symbol(session_on([calendar], seeds[k : k + 1], hours, latency, order), 0)
        assert of_symbol(session_on(calendars, seeds, hours, latency, order), k) == alone, calendar
    made = [session_on(calendars, seeds, hours, latency, order) for _ in range(2)]
    for each in made:
        each.plan.run_plain()
    assert_same(by_batch(made[0]), by_events(made[1], 40))


@pytest.mark.parametrize("opened", ["XLON", "mon-fri 08:00-16:30 Europe/London"])
def test_what_trades_round_the_clock_is_not_entered_at_the_weekend_of_the_others(opened):
    session = session_on(["24x7", "XLON", "XLON"], [1, 2, 3], f"{{open: {opened}}}")
    found, stock = of_symbol(session, 0), of_symbol(session, 1)
    times = [t for t, units, _ in found["fills"] if units > 0]
    bought = [datetime.fromtimestamp(t // 10**9, UTC) for t in times]
    assert len(bought) > 5
    assert all(each.weekday() < 5 and 8 <= each.hour < 17 for each in bought)
    assert "closed_hours" in {reason for _, reason in found["rejected"]}
    opens = [t for t, units, _ in stock["fills"] if units > 0 and t % (24 * HOUR) == 8 * HOUR]
    assert opens, "decided at the close, filled at the open of the next session"
