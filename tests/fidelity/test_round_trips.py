"""Round trips and excursions of drawn runs, against a queue of lots and a scan of every bar."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from septet._report.over_time import held_sides
from septet._results.excursions import Excursions
from septet._results.round_trips import first_in_first_out, round_trips, whole_units
from septet._shell.result_tables import equity_of, fills_of, trades_of
from septet._store.tables import as_frame
from septet.errors import ConfigError
from tests.core import drawn_cases as draws
from tests.core.paths import Left, by_batch, plainly
from tests.core.world import session_of
from tests.exact_fraction import Fraction
from tests.fidelity.positions.account import Account, Holding
from tests.fidelity.round_trips import excursion, flat_symbols, pairs
from tests.fidelity.test_books import KINDS, SHARE
from tests.scale import examples

UNITS = st.lists(st.integers(-6, 6), max_size=30)


def rows_of(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows with times as nanoseconds and text as text."""
    stamps = [pl.col(pl.Datetime).to_physical(), pl.col(pl.Enum, pl.Categorical).cast(pl.String)]
    return list(frame.with_columns(stamps).iter_rows(named=True))


def ran(kind: str, data: Any, **fixed: Any) -> tuple[Any, Left, pl.DataFrame, pl.DataFrame]:
    """Draw a run; return its settings, what it left and the tables of fills and trades."""
    s = data.draw(draws.settings(**(KINDS[kind] | fixed)))
    bars = data.draw(draws.markets(s, 90))
    try:
        session = session_of(s, bars)
    except ConfigError:
        reject()
    left = by_batch(plainly(session))
    outcome = left.outcome
    fills = as_frame("fills", fills_of(session, outcome, "sim"))
    return s, left, fills, as_frame("trades", trades_of(session, outcome))


@pytest.mark.parametrize("kind", KINDS)
@given(st.data())
@settings(max_examples=examples(8))
def test_round_trips_are_those_of_a_queue_and_sum_to_the_trades(kind: str, data: Any) -> None:
    s, _, fills, trades = ran(kind, data)
    found = rows_of(round_trips(fills, trades, "USDT"))
    expected, lots, lost = pairs(rows_of(fills))
    assert len(found) == len(expected)
    by_symbol: dict[str, list[Any]] = defaultdict(list)
    for pair in expected:
        by_symbol[pair.symbol].append(pair)
    for row in found:
        pair = by_symbol[row["symbol"]].pop(0)
        assert (row["entry_time"], row["exit_time"]) == (pair.entry_ns, pair.exit_ns)
        assert row["side"] == ("long" if pair.side > 0 else "short")
        assert (row["entry_price"], row["exit_price"]) == (pair.entry_price, pair.exit_price)
        assert row["quantity"] == float(pair.units)
        for name in ("fees", "liquidation"):
            assert math.isclose(row[name], getattr(pair, name), rel_tol=1e-12, abs_tol=1e-12)
        worth = float(pair.units * max(pair.entry_price, pair.exit_price))
        result = float(pair.result) - row["funding"]
        assert math.isclose(row["pnl"], result, rel_tol=1e-12, abs_tol=1e-12 * max(worth, 1.0))
    for symbol in flat_symbols(lots):
        made = math.fsum(row["pnl"] for row in found if row["symbol"] == symbol)
        want = math.fsum(row["pnl"] for row in rows_of(trades) if row["symbol"] == symbol)
        away = made - float(lost.get(symbol, 0)) - want
        if any(row["symbol"] == symbol for row in found):
            assert abs(away) <= SHARE * s.capital, symbol


@pytest.mark.parametrize("kind", KINDS)
@given(st.data())
@settings(max_examples=examples(8))
def test_excursions_are_those_of_a_scan_of_every_bar(kind: str, data: Any) -> None:
    _, left, _, trades = ran(kind, data)
    bars = left.session.market.bars
    found = Excursions().take(trades.drop("mae", "mfe", "bars_held"), bars)
    scanned = {
        name: list(zip(each.open_ns, each.known_ns, each.high, each.low, strict=True))
        for name, each in bars.items()
    }
    for row in rows_of(found):
        shown = row["mae"], row["mfe"], row["bars_held"]
        if row["exit_reason"] == "dust":
            assert shown == (None, None, None)
            continue
        assert shown == excursion(row, scanned[row["symbol"]])
        moved = (row["exit_price"] - row["entry_price"]) / row["entry_price"]
        moved = moved if row["side"] == "long" else -moved
        assert -row["mae"] - 1e-12 <= moved <= row["mfe"] + 1e-12


@given(UNITS)
def test_pairs_are_those_of_the_account_of_the_reference_simulator(units: list[int]) -> None:
    account, holding = Account(Fraction(0), {"A": Holding()}), Fraction(0)
    steps = []  # the account books no fill that crosses zero: such a one comes as two
    for n, each in enumerate(units):
        step, crosses = Fraction(each), holding * each < 0 and abs(each) > abs(holding)
        for part in [-holding, step + holding] if crosses else [step]:
            if part:
                account.book("A", part, Fraction(n + 1), Fraction(0), n, "")
        holding += step
        steps.append(each)
    entry, exit_, shared = first_in_first_out(np.array(steps, np.int64))
    found = list(zip(entry.tolist(), exit_.tolist(), shared.tolist(), strict=True))
    assert found == [(each.entry_ns, each.exit_ns, int(each.units)) for each in account.round_trips]
    sides = np.sign(np.array(steps, np.int64))[entry].tolist() if found else []
    assert sides == [each.side for each in account.round_trips]


@given(st.integers(0, 10), st.lists(st.integers(0, 10**11), min_size=1, max_size=20))
def test_whole_units_hold_every_decimal(decimals: int, amounts: list[int]) -> None:
    floats = np.array([each / 10**decimals for each in amounts])
    units, scale = whole_units(floats)
    assert (units / scale == floats).all()
    assert [Fraction(int(n)) / Fraction(scale) for n in units] == [
        Fraction(each, 10**decimals) for each in amounts
    ]


@pytest.mark.parametrize("amount", [1e16, 1e300, 2.0**53, 1e-13, 1 / 3])
def test_what_no_decimals_hold_is_rounded_and_leaves_nothing(amount: float) -> None:
    units, scale = whole_units(np.array([amount, amount / 2, amount / 2]))
    assert units[0] == units[1] + units[2] or amount < 1.0
    assert units[0] / scale == pytest.approx(amount, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("kind", ["spot", "flips and resizes", "fees in what is bought"])
@given(st.data())
@settings(max_examples=examples(8))
def test_sides_of_one_symbol_are_what_the_run_states_was_held(kind: str, data: Any) -> None:
    s, left, fills, _ = ran(kind, data, count=1)
    session, outcome = left.session, left.outcome
    name = session.market.symbols[0]
    bars = session.market.bars[name]
    curve = equity_of(session, outcome)
    gross = curve["exposure"] * curve["equity"]
    frame = pl.DataFrame({"time": bars.known_ns, "close": bars.close})
    long, short = held_sides(curve["time"], fills, {name: frame}, "USDT", gross)
    assert (np.minimum(long, short) == 0.0).all()
    times = fills.get_column("time").to_physical().to_numpy()
    for n, time_ns in enumerate(curve["time"].tolist()):
        if (times == time_ns).sum() <= 1:  # of more, some may be of the bar before and of the next
            assert math.isclose(
                long[n] + short[n], gross[n], rel_tol=1e-9, abs_tol=1e-9 * s.capital
            )
