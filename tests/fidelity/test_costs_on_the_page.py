"""Funding, liquidation and fees of one run: fills, trades, summary and page agree."""

from __future__ import annotations

import io
import re

import polars as pl
import pytest
from rich.console import Console

from septet._config import load
from septet._report.save import save_run
from septet._report.terminal import show
from septet._results.number_texts import money, number
from septet._results.result import NOT_CLOSED
from septet._shell import backtest as shell
from septet._shell import result_tables
from septet._store.run_folder import Run
from tests.core.paths import Left
from tests.core.settings import Settings, walk
from tests.core.world import file_of, open_made
from tests.fidelity.audit import Audit
from tests.fidelity.test_books import run_and_audit

COSTS = ("fees", "funding", "liquidation")
MARKET = Settings(
    spot=False, leverage=10.0, maintenance=0.05, amount=0.9, limits={"position": 3.0},
    funding=0.001, exit_back=4, short_back=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Audit, str]:
    """A leveraged run with funding and liquidations, its account worked out again, its page."""
    folder = tmp_path_factory.mktemp("costs")
    path = folder / "made.yaml"
    path.write_text(file_of(MARKET), encoding="utf-8")
    bars = [walk(11, 200, holes=0.0)]
    session = open_made(load(path), bars)
    audit = Audit(MARKET, bars)
    left: Left = run_and_audit(session, audit)
    ended = result_tables.Ran(left.outcome, None, 0.1)
    run = save_run(shell._result(session, ended, [], "batch", {}), folder, now_ns=10**18)
    return run, audit, (run.folder / "report.html").read_text(encoding="utf-8")


def table_of(page: str, label: str) -> list[list[str]]:
    """Rows of one table of the page as text."""
    body = page.partition(f'aria-label="{label}"')[2].partition("</table>")[0].partition("<tbody>")
    rows = re.findall(r"<tr>(.*?)</tr>", body[2], re.DOTALL)
    return [
        [re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)]
        for row in rows
    ]


def test_figures_and_columns_are_those_of_the_fills(ran: tuple[Run, Audit, str]) -> None:
    run, audit, _ = ran
    trades, fills = run.table("trades"), run.table("fills")
    assert fills.get_column("liquidation").sum() == pytest.approx(run.summary["liquidation"])
    assert (trades.get_column("exit_reason").cast(pl.String) == "liquidation").sum() >= 2
    for name in COSTS:
        expected = float(getattr(audit, name))
        assert abs(expected) > 1.0, f"{name} is seen with another value than zero"
        assert run.summary[name] == pytest.approx(expected, rel=1e-9)
        assert trades.get_column(name).sum() == pytest.approx(expected, rel=1e-9)
    gained = run.summary["final_equity"] - MARKET.capital
    assert trades.get_column("pnl").sum() == pytest.approx(gained, abs=1e-9 * MARKET.capital)


def test_the_page_and_the_terminal_state_them(ran: tuple[Run, Audit, str]) -> None:
    run, audit, page = ran
    unit, costs = run.facts.currency, dict(table_of(page, "Costs"))
    closed = run.table("trades").filter(~pl.col("exit_reason").cast(pl.String).is_in(NOT_CLOSED))
    console = Console(file=io.StringIO(), width=120)
    show(run, console)
    text = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    whole = {"fees": "All fees", "funding": "All funding", "liquidation": "All liquidation costs"}
    for name, line in whole.items():
        assert costs[line] == money(float(getattr(audit, name)), unit)
        paid = -float(closed.get_column(name).sum())
        assert costs[f"{name.capitalize()} of closed trades"] == money(paid, unit, signed=True)
        assert f"{name.capitalize()} {money(run.summary[name], unit)}" in text


def test_the_page_lists_them_of_each_trade(ran: tuple[Run, Audit, str]) -> None:
    run, _, page = ran
    rows, trades = table_of(page, "Trades"), run.table("trades").sort("entry_time")
    assert len(rows) == trades.height
    for shown, trade in zip(rows, trades.iter_rows(named=True), strict=True):
        assert shown[12:15] == [number(trade[name]) for name in COSTS]
        assert shown[-1] == trade["exit_reason"]
    assert any(row[10] not in ("0.00", "-0.00") for row in rows)
