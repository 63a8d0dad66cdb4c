"""A report is made of what is in memory, and is the one that the stored files give."""

from __future__ import annotations

from pathlib import Path

import pytest

from septet._config import load
from septet._report.page import render
from septet._report.save import save_run
from septet._shell.backtest import backtest
from septet._store.find_runs import open_run
from tests.live.test_core import FEW_TREES

STRATEGIES = Path(__file__).resolve().parents[2] / "strategies"


@pytest.mark.parametrize("name", ["sma-cross", "demo", "bitcoin-grid", "us-stocks-momentum"])
def test_a_report_is_the_same_from_memory_and_from_its_folder(tmp_path: Path, name: str) -> None:
    sets = FEW_TREES if name == "demo" else ()
    run = save_run(backtest(load(str(STRATEGIES / f"{name}.yaml"), sets=sets)), tmp_path)
    written = (run.folder / "report.html").read_text(encoding="utf-8")
    again = render(open_run(run.folder))
    assert again == written
