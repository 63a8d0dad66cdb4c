"""W7: what its plain loop trades, how orders are compared with it, and that septet trades it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from septet._config import load
from septet._kernel import layout
from septet._shell.backtest import run_batch
from septet._shell.session import open_session

from . import conftest  # noqa: F401 - puts the folder of the scripts on the path

CAPITAL = 10_000.0


@pytest.fixture(scope="module")
def w7() -> Any:
    return importlib.import_module("w7")


@pytest.fixture(scope="module")
def sizes(w7: Any) -> Any:
    return w7.Portfolio(symbols=5, times=60, held=2, momentum=20, volatility=10)


def test_bars_open_at_the_close_before(w7: Any, sizes: Any) -> None:
    market = w7.make_market(sizes)
    assert (market["open"][1:] == market["close"][:-1]).all()
    assert (np.diff(market["timestamp"]) == w7.DAY_NS).all()


def test_the_loop_holds_the_best_by_the_inverse_of_their_volatility(w7: Any, sizes: Any) -> None:
    market = w7.make_market(sizes)
    truth = w7.exact(market, sizes, CAPITAL)
    first = int(truth.orders[0, 0])
    close = market["close"][: first + 1]
    assert (market["timestamp"][first] // w7.DAY_NS + 1) % 7 == 4
    assert first >= sizes.momentum
    growth = close[-1] / close[-1 - sizes.momentum]
    bought = {int(k): size for row, k, size in truth.orders if row == first}
    assert set(bought) == set(np.argsort(-growth)[:2].tolist())
    risk = {k: np.std(np.diff(np.log(close[-11:, k])), ddof=1) for k in bought}
    worth = {k: size * close[-1, k] for k, size in bought.items()}
    assert sum(worth.values()) == pytest.approx(0.98 * CAPITAL)
    (one, two) = bought
    assert worth[one] / worth[two] == pytest.approx(risk[two] / risk[one])


def test_orders_are_compared_one_by_one(w7: Any, sizes: Any) -> None:
    truth = w7.exact(w7.make_market(sizes), sizes, CAPITAL)
    count = len(truth.orders)
    assert w7.difference(truth.orders, truth.final_equity, truth) == f"the same {count}"
    moved = truth.orders.copy()
    moved[0, 2] *= 1.001
    moved[1, 0] += 1
    text = w7.difference(moved, truth.final_equity * 1.01, truth)
    assert text == f"{count - 2} of {count}, and 1 others; final equity +1.00%"


def test_septet_trades_the_same(w7: Any, sizes: Any, tmp_path: Path) -> None:
    market = w7.make_market(sizes)
    path = w7.write_strategy(tmp_path, market, sizes, CAPITAL)
    session = open_session(load(str(path)), tables=False)
    session.plan.run_plain()
    outcome = run_batch(session)[0]
    rows = outcome.rows(layout.FILL)
    k, units = outcome.LI[rows, 2], outcome.LF[rows, 0]
    row = np.searchsorted(market["timestamp"], outcome.LI[rows, 1]) - 1
    orders = np.column_stack((row, k, units / outcome.state.B[k, layout.SCALE]))
    truth = w7.exact(market, sizes, CAPITAL)
    equity = float(outcome.G[layout.G_EQUITY, -1])
    assert w7.difference(orders, equity, truth) == f"the same {len(truth.orders)}"
