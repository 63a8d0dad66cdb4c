"""Stored runs that several tests read; made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from septet._report.save import save_run
from septet._store.run_folder import Run
from tests.report.synthetic import make_result, without_trades

NOW_NS = 1_760_000_000_000_000_000


@pytest.fixture(scope="session")
def runs_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def full_run(runs_root: Path) -> Run:
    """Two symbols, a model, many trades."""
    return save_run(make_result(bars=1500, first=600), runs_root, now_ns=NOW_NS)


@pytest.fixture(scope="session")
def rules_run(runs_root: Path) -> Run:
    """One symbol, no model, few trades, and a halt that was never cleared."""
    result = make_result(
        symbols=("BTC/USDT",), bars=900, model=False, hold=40, halted=True, strategy="sma-cross"
    )
    return save_run(result, runs_root, now_ns=NOW_NS + 60_000_000_000)


@pytest.fixture(scope="session")
def rejected_run(runs_root: Path) -> Run:
    """Every decision was rejected."""
    result = make_result(symbols=("BTC/USDT",), bars=700, never=True, strategy="rejected")
    return save_run(without_trades(result), runs_root, now_ns=NOW_NS + 120_000_000_000)
