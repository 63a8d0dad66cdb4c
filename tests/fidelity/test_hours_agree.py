"""Trading hours and `max_positions`: the engine fills as the reference simulator does."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from septet._results.statistics import hold_growth
from tests.fidelity.hours_engine import OF_HOURS, engine_of
from tests.fidelity.positions.draws import SEEDS, market_of
from tests.fidelity.positions.market import HOUR, MINUTE, START, Bar, Market
from tests.fidelity.positions.settings import (
    Blackout,
    Costs,
    Instrument,
    Limits,
    Signal,
    Sizing,
    Stops,
    Strategy,
    TradingHours,
    Trailing,
)
from tests.fidelity.positions.simulator import Result, simulate
from tests.scale import examples

OPEN = (
    "mon-sun 06:00-17:00 UTC", "mon 02:00-07:00, mon-tue 12:00-22:00 UTC",
    "mon-fri 09:30-16:00 America/New_York", "mon-tue 20:00-03:00 UTC", "mon-fri 00:00-24:00 UTC",
)  # fmt: skip


@st.composite
def hours(draw: Any) -> TradingHours:
    """Draw hours, an end at which all is closed, and events that were announced long before."""
    opened = draw(st.sampled_from([*OPEN, None]))
    instants = tuple(START + n * 30 * MINUTE for n in draw(st.sets(st.integers(0, 80), max_size=3)))
    around = Blackout(
        tuple(sorted(instants)), draw(st.integers(0, 4)) * 30 * MINUTE,
        draw(st.integers(1, 4)) * 30 * MINUTE,
    )  # fmt: skip
    blackout = around if opened is None or draw(st.booleans()) else None
    return TradingHours(opened, None, opened is not None and draw(st.booleans()), blackout)


@st.composite
def strategies(draw: Any, *, account: str) -> Strategy:
    """Draw rules whose side the market gives, in hours.

    The engine turns a position with one order, the reference with two: of a flip that is on its way
    for longer, or that a stop meets first, other pages and `tests/core/reference.py` speak.
    """
    short = account == "perpetual"
    stops = [Stops(), Stops(stop_loss="4%"), Stops(trailing=Trailing("3%"), take_profit="6%")]
    stops = stops[:1] if short else stops
    reentry: Any = draw(st.sampled_from(["rearm", "immediate", 2]))
    late = 0 if short else draw(st.integers(0, 2)) * HOUR
    return Strategy(
        account=account,  # type: ignore[arg-type]
        costs=draw(st.sampled_from([Costs(latency_ns=late), Costs(0.0002, 0.001, 0.0005, late)])),
        instrument=draw(st.sampled_from([Instrument(lot=0.01), Instrument(1.0, 0.5, 200.0)])),
        signal=Signal("side > 0", "side < 0" if short else None, "side == 0", min_interval=2),
        reentry=reentry, stops=draw(st.sampled_from(stops)), hours=draw(hours()),
        sizing=Sizing("fixed_fraction", draw(st.sampled_from([0.2, 0.45]))),
        limits=Limits(max_positions=draw(st.sampled_from([None, 1, 2]))),
        time_zone=draw(st.sampled_from(["UTC", "America/New_York"])),
    )  # fmt: skip


def _joined(fills: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Join fills of a symbol at one instant: the engine turns a position with one order."""
    found: dict[tuple[int, str, float], list[float]] = {}
    for time_ns, symbol, units, price, fee in fills:
        both = found.setdefault((time_ns, symbol, round(price, 9)), [0.0, 0.0])
        both[0] += units
        both[1] += fee
    return [(*key, *both) for key, both in found.items()]


def _of(result: Result) -> dict[str, Any]:
    return {
        "fills": [(f.time_ns, f.symbol, float(f.units), float(f.price), float(f.fee))
                  for f in result.fills],
        "equity": [(t, float(e)) for t, e in result.curve],
        "rejected": [(f.time_ns, f.symbol, f.what) for f in result.findings
                     if f.what in OF_HOURS and f.of == "entry"],
    }  # fmt: skip


def _market(seed: int, symbols: int, *, holes: bool) -> Market:
    """Return a market of three days without late rows; with `holes` bars are missing."""
    made = replace(market_of(seed, symbols, 60), late=frozenset(), fine={}, fine_ns=0)
    if holes:
        return made
    chance, found = random.Random(seed), made
    while any(len(each) < 60 for each in found.bars.values()):
        found = replace(market_of(chance.randrange(2**32), symbols, 60), late=frozenset(), fine={})
        found = Market(HOUR, _filled(found), _columns(found, chance))
    return found


def _filled(market: Market) -> dict[str, Any]:
    """Put a bar without a range where one is missing."""
    found = {}
    for name, bars in market.bars.items():
        made: list[Bar] = []
        rows = {bar.open_ns: bar for bar in bars}
        for n in range(60):
            bar = rows.get(START + n * HOUR)
            if bar is None:
                last = made[-1]
                bar = replace(last, open_ns=START + n * HOUR, open=last.close, high=last.close,
                              low=last.close)  # fmt: skip
            made.append(bar)
        found[name] = made
    return found


def _columns(market: Market, chance: random.Random) -> dict[str, Any]:
    sides = [1.0, 1.0, 0.0, -1.0, float("nan")]
    return {"side": {name: [chance.choice(sides) for _ in range(60)] for name in market.bars}}


def _assert_same(s: Strategy, market: Market) -> None:
    wanted, found = _of(simulate(s, market)), engine_of(s, market)
    fills, theirs_ = _joined(found.fills), _joined(wanted["fills"])
    assert [each[:2] for each in fills] == [each[:2] for each in theirs_]
    for ours, theirs in zip(fills, theirs_, strict=True):
        for a, b in zip(ours[2:], theirs[2:], strict=True):
            assert abs(a - b) <= 1e-9 * max(1.0, abs(b)), (ours, theirs)
    for (t, equity), (u, wanted_equity) in zip(found.equity, wanted["equity"], strict=True):
        assert t == u
        assert abs(equity - wanted_equity) <= 1e-9 * s.capital, (t, equity, wanted_equity)
    if s.account == "spot":  # an entry of the other side waits for the exit, and is not decided
        assert found.rejected == wanted["rejected"]


@given(strategies(account="spot"), SEEDS, st.integers(1, 3))
@settings(max_examples=examples(36), deadline=None)
def test_spot_strategies_in_hours_fill_as_in_the_reference(s, seed, symbols):
    _assert_same(s, _market(seed, symbols, holes=False))


@given(strategies(account="spot"), SEEDS, st.integers(1, 3))
@settings(max_examples=examples(40), deadline=None)
def test_and_where_bars_are_missing(s, seed, symbols):
    _assert_same(s, _market(seed, symbols, holes=True))


@given(strategies(account="perpetual"), SEEDS)
@settings(max_examples=examples(24), deadline=None)
def test_and_with_shorts_and_flips(s, seed):
    _assert_same(s, _market(seed, 1, holes=False))


@given(SEEDS, st.integers(0, 30), st.integers(0, 3))
@settings(max_examples=examples(20), deadline=None)
def test_the_benchmark_is_bought_at_the_first_decision_without_costs(seed, first, joins):
    """Also where it has no bar at a decision; one that joins later is cash until then."""
    market = _market(seed, 2, holes=True)
    late = Market(HOUR, {**market.bars, "A": market.bars["A"][joins:]})
    s = Strategy(benchmark="A", start_ns=START + (first + 1) * HOUR)
    curve = simulate(s, late).benchmark
    rows = late.bars["A"]
    known = np.array([bar.open_ns + HOUR for bar in rows], dtype=np.int64)
    close = np.array([float(bar.close) for bar in rows])
    times = np.array([time_ns for time_ns, _ in curve], dtype=np.int64)
    if not len(times):
        return
    found = s.capital * hold_growth(times, {"A": (known, close)}, simulate(s, late).curve[0][0])
    assert np.allclose(found, [float(each) for _, each in curve], rtol=1e-12, atol=0.0)
