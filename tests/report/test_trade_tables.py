"""Tables of trades, round trips, drawdowns and symbols: their figures, and how they are built."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from septet._report import over_time, trade_tables
from septet._report.page import render
from septet._report.save import save_run
from septet._results.result import NOT_CLOSED
from septet._store.find_runs import open_run
from septet._store.run_folder import Run
from tests.report.reading import Page
from tests.report.synthetic import make_result

OLD = ("mae", "mfe", "bars_held")


def table_of(text: str, name: str) -> str:
    """Return the markup of a table by its id."""
    return text.partition(f'<table id="{name}"')[2].partition("</table>")[0]


def values_of(table: str, head: str) -> list[str]:
    """Return what the cells of a column are sorted by."""
    heads = re.findall(r"<button[^>]*>([^<]*)</button>", table)
    rows = re.findall(r"<tr>(<td.*?)</tr>", table)
    place = heads.index(head)
    cells = [re.findall(r'<td(?: class="n" data-v="([^"]*)")?>(.*?)</td>', row) for row in rows]
    return [row[place][0] or row[place][1] for row in cells]


@pytest.fixture(scope="module")
def text(full_run: Run) -> str:
    return (full_run.folder / "report.html").read_text("utf-8")


def test_the_symbols_together_are_the_return_of_the_run(full_run: Run, text: str) -> None:
    table = table_of(text, "by-symbol")
    net = [float(each) for each in values_of(table, "Net")]
    gained = full_run.summary["final_equity"] - full_run.facts.initial_capital
    assert sum(net) == pytest.approx(gained, abs=1e-6)
    share = [float(each) for each in values_of(table, "Of capital")]
    assert sum(share) == pytest.approx(full_run.summary["total_return"], abs=1e-9)
    trades = [int(float(each)) for each in values_of(table, "Trades")]
    assert sum(trades) == full_run.summary["trades"]


def test_many_symbols_are_summed_into_others(tmp_path: Path) -> None:
    names = tuple(f"S{k:03d}/USDT" for k in range(3))
    run = save_run(make_result(symbols=names, bars=700), tmp_path)
    before = trade_tables.SYMBOLS_SHOWN
    try:
        trade_tables.SYMBOLS_SHOWN = 1  # type: ignore[misc]
        table = table_of(trade_tables.by_symbol(run), "by-symbol")
    finally:
        trade_tables.SYMBOLS_SHOWN = before  # type: ignore[misc]
    assert values_of(table, "Symbol")[1:] == ["2 others"]
    gained = run.summary["final_equity"] - run.facts.initial_capital
    assert sum(map(float, values_of(table, "Net"))) == pytest.approx(gained, abs=1e-6)


def test_trades_show_how_far_the_price_went_and_for_how_long(full_run: Run, text: str) -> None:
    table, rows = table_of(text, "trades"), full_run.table("trades").sort("entry_time")
    for head, name in (("MAE", "mae"), ("MFE", "mfe"), ("Bars", "bars_held"), ("Net", "pnl")):
        found = [float(each) for each in values_of(table, head)]
        assert found == pytest.approx(rows[name].to_list(), rel=1e-9), head
    held = (rows["exit_time"] - rows["entry_time"]).dt.total_seconds().to_list()
    assert [float(each) for each in values_of(table, "Held")] == held
    closed = [s for s, why in zip(held, rows["exit_reason"], strict=True) if why not in NOT_CLOSED]
    assert trade_tables.holding_times(rows) == (float(np.median(closed)), max(closed))
    assert "Held for" in Page(text).visible_text()


def test_round_trips_are_listed_and_have_their_own_win_rate(full_run: Run, text: str) -> None:
    rows = full_run.table("round_trips")
    assert len(values_of(table_of(text, "round-trips"), "Net")) == rows.height > 40
    assert full_run.summary["round_trips"] == rows.height
    share = float((rows["pnl"] > 0).sum()) / rows.height
    assert full_run.summary["round_trip_win_rate"] == share


def test_the_drawdown_table_begins_with_the_deepest(full_run: Run, text: str) -> None:
    part = text.partition('aria-label="Deepest drawdowns"')[2].partition("</table>")[0]
    depth = [float(each) for each in re.findall(r'<td class="n">([0-9.]+) %</td>', part)]
    assert 1 <= len(depth) <= 5
    assert depth == sorted(depth, reverse=True)
    assert depth[0] == pytest.approx(100 * full_run.summary["max_drawdown"], abs=0.005)


def test_a_fall_between_stored_rows_is_reported(tmp_path: Path) -> None:
    run = save_run(replace(make_result(bars=900), max_drawdown=0.75), tmp_path)
    assert "75.00 %" in trade_tables.drawdowns(run)


def test_tables_that_sort_are_accessible(text: str) -> None:
    page = Page(text)
    sorting = [attrs for tag, attrs in page.elements if tag == "table" and "data-sorts" in attrs]
    names = {attrs["id"] for attrs in sorting}
    assert names == {"by-symbol", "trades", "round-trips"}
    heads = [attrs for tag, attrs in page.elements if tag == "th" and "aria-sort" in attrs]
    assert {attrs["aria-sort"] for attrs in heads} == {"none"}
    assert {attrs["scope"] for attrs in heads} == {"col"}
    boxes = [attrs for tag, attrs in page.elements if tag == "input"]
    assert {attrs["aria-controls"] for attrs in boxes} == {"trades", "round-trips"}
    # No control that would do nothing is offered where scripts do not run.
    in_heads = re.findall(r"<th[^>]*aria-sort[^>]*><button([^>]*)>", text)
    assert len(in_heads) == len(heads)
    assert all(" disabled" in attrs for attrs in in_heads)
    assert text.count('<div class="search" hidden>') == len(boxes)
    for name in ("Trades", "Round trips"):
        heads_of = re.findall(
            r"<button[^>]*>([^<]*)</button>", table_of(text, name.lower().replace(" ", "-"))
        )
        assert len(set(heads_of)) == len(heads_of), name


def test_long_lists_show_the_ends_the_best_and_the_worst(
    full_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trade_tables, "SHOWN_ROWS", 20)
    made = trade_tables.trades(full_run)
    rows = full_run.table("trades").sort("entry_time", maintain_order=True)
    net = values_of(table_of(made, "trades"), "Net")
    assert 5 < len(net) <= 20
    closed = rows.filter(~pl.col("exit_reason").is_in(NOT_CLOSED))["pnl"].sort()
    shown = {float(each) for each in net}
    for wanted in (rows["pnl"][:5], rows["pnl"][-5:], closed[:5], closed[-5:]):
        for value in wanted:
            assert any(value == pytest.approx(each, rel=1e-9) for each in shown)
    assert f"of {rows.height} are shown" in made


def test_a_run_of_an_earlier_version_still_opens(full_run: Run, tmp_path: Path) -> None:
    folder = tmp_path / full_run.run_id
    shutil.copytree(full_run.folder, folder)
    (folder / "round_trips.parquet").unlink()
    path = folder / "trades.parquet"
    pl.read_parquet(path).drop(OLD).write_parquet(path)
    run = open_run(folder)
    assert run.table("trades").select(OLD).null_count().row(0) == (run.table("trades").height,) * 3
    assert run.table("round_trips").height == 0
    page = render(run)
    assert "n/a" in table_of(page, "trades")
    assert values_of(table_of(page, "trades"), "MAE") == ["n/a"] * run.table("trades").height
    kept = table_of((full_run.folder / "report.html").read_text("utf-8"), "round-trips")
    assert table_of(page, "round-trips") == kept


def test_exposure_by_side_adds_up_to_the_column(full_run: Run) -> None:
    bars = {
        str(symbol): part
        for (symbol,), part in full_run.table("bars").group_by("symbol", maintain_order=True)
    }
    found = over_time.exposure(full_run, bars)
    assert found["short"] == [0.0] * len(found["t"])
    assert found["long"] == found["mean"]
    assert max(found["long"]) > 0.05


def test_rolling_figures_need_thirty_points_of_ninety_days(full_run: Run, tmp_path: Path) -> None:
    bars = {"BTC/USDT": full_run.table("bars").filter(pl.col("symbol") == "BTC/USDT")}
    assert over_time.rolling(full_run, bars)["t"] == []
    run = save_run(make_result(symbols=("BTC/USDT",), bars=24 * 150, model=False), tmp_path)
    found = over_time.rolling(run, {"BTC/USDT": run.table("bars")})
    assert found["days"] == run.summary["days"] >= 119
    assert len(found["t"]) == len(found["sharpe"]) == len(found["beta"]) == found["days"] - 89
    assert None not in found["sharpe"]
    run = save_run(make_result(symbols=("BTC/USDT",), bars=24 * 121, model=False), tmp_path)
    found = over_time.rolling(run, {"BTC/USDT": run.table("bars")})
    assert (found["t"], found["days"]) == ([], run.summary["days"])
    assert 90 <= found["days"] < 119


def test_a_run_whose_equity_never_changes_has_a_page(tmp_path: Path) -> None:
    """Nothing was traded for months: no window has a Sharpe ratio."""
    made = make_result(symbols=("BTC/USDT",), bars=24 * 150, model=False, never=True)
    assert made.equity is not None
    run = save_run(made, tmp_path)
    found = over_time.rolling(run, {"BTC/USDT": run.table("bars")})
    assert found["t"]
    assert set(found["sharpe"]) == {None}
    assert "No window of the run has a Sharpe ratio" in render(run)
