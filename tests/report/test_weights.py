"""The weights of a portfolio on its page: what was asked for and held, by symbol and side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from septet._config import load
from septet._plan.portfolio import PORTFOLIO_REASONS
from septet._report.chart_data import chart_data
from septet._report.page import render
from septet._report.save import save_run
from septet._report.weights import (
    NAMED_SYMBOLS,
    REBALANCE_REASONS,
    held_weights,
    is_portfolio,
    target_weights,
)
from septet._report.why import explain, sentence_of
from septet._shell.backtest import backtest
from septet._store.run_folder import Run
from tests.report.conftest import NOW_NS
from tests.report.read_once import ReadOnce
from tests.report.reading import Page, drawn, needs_chromium, needs_library

NAMES = [f"{name}/USDT" for name in ("AA", "BB", "CC", "DD", "EE", "FF", "GG", "HH", "II")]
TEXT = """
version: 1
name: long-short
account: {capital: 100000, type: perpetual}
perpetual: {leverage: 3, maintenance: 1%, liquidation_fee: 0.5%, funding: {rate: 0, every: 8h}}
universe: {symbols: [AA/USDT, BB/USDT, CC/USDT, DD/USDT, EE/USDT, FF/USDT, GG/USDT, HH/USDT,
  II/USDT], bar: 1d}
data: {candles: {use: synthetic, bars: 260, seed: 4}}
features: {month: {use: roc, period: 20}}
portfolio:
  use: top
  by: month
  long: 2
  short: 2
  gross: 120%
  rebalance: {every: 1w on mon 00:00, drift: 1%}
risk:
  limits: {position: 100%, gross_exposure: 200%}
  stops: {trailing: 10%}
execution: {simulation: {fee: 5bps, slippage: 2bps}}
"""


def _stored(folder: Path, *, tables: bool) -> Run:
    path = folder / "long-short.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return save_run(backtest(load(str(path)), tables=tables), folder / "runs", now_ns=NOW_NS)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return _stored(tmp_path_factory.mktemp("weights"), tables=True)


def _bars(run: Run) -> dict[str, pl.DataFrame]:
    groups = run.table("bars").group_by("symbol", maintain_order=True)
    return {str(symbol): part for (symbol,), part in groups}


def test_targets_are_the_weights_of_each_rebalance(run: Run) -> None:
    time_ns, found = target_weights(run)
    assert sorted(found) == NAMES
    mondays = pl.Series(time_ns).cast(pl.Datetime("ns", "UTC")).dt.weekday().unique().to_list()
    assert mondays == [1]
    assert (np.diff(time_ns) == 7 * 86_400_000_000_000).all()
    total = np.sum([np.abs(each) for each in found.values()], axis=0)
    assert total == pytest.approx(np.full(len(time_ns), 1.2))
    table = run.table("decisions", ["time", "symbol", "target_weight"])
    asked = table.filter(pl.col("target_weight") != 0.0).rows()
    at = {int(each): row for row, each in enumerate(time_ns)}
    assert len(asked) == 4 * len(time_ns)
    stamps = table.filter(pl.col("target_weight") != 0.0).get_column("time").to_physical()
    for stamp, (_, symbol, weight) in zip(stamps, asked, strict=True):
        assert found[symbol][at[stamp]] == weight


def test_held_is_units_at_the_close_over_equity(run: Run) -> None:
    """By hand: a fill at the time of a row is of the next open, or of a stop inside the bar.

    Where both are at one time the page cannot distinguish them, and takes the nearer.
    """
    time_ns, found = held_weights(run, _bars(run))
    bars, equity = _bars(run), run.table("equity")
    worth = dict(zip(equity["time"].to_physical(), equity["equity"], strict=True))
    gross = dict(zip(equity["time"].to_physical(), equity["exposure"], strict=True))
    opens = {(symbol, time, price) for symbol, part in bars.items()
             for time, price in zip(part["open_time"], part["open"], strict=True)}  # fmt: skip
    stops = {
        order["order_id"] for order in run.table("orders").rows(named=True)
        if order["reason"] == "trailing"
        and (order["symbol"], order["time"], order["decision_price"]) not in opens
    }  # fmt: skip
    fills = [
        (fill["time"], fill["order_id"] in stops, fill["symbol"],
         fill["quantity"] * (1.0 if fill["side"] == "buy" else -1.0))
        for fill in run.table("fills").with_columns(pl.col("time").to_physical()).rows(named=True)
    ]  # fmt: skip
    reported = 0
    for row, stamp in enumerate(time_ns.tolist()):
        if {inside for time, inside, _, _ in fills if time == stamp} == {True, False}:
            continue
        reported += 1
        for name in NAMES:
            units = sum(
                each for time, inside, symbol, each in fills
                if symbol == name and (time < stamp or (inside and time == stamp))
            )  # fmt: skip
            price = bars[name].filter(pl.col("time").to_physical() <= stamp)["close"][-1]
            assert found[name][row] == pytest.approx(units * price / worth[stamp], abs=1e-9)
        assert sum(abs(each[row]) for each in found.values()) == pytest.approx(gross[stamp])
    assert reported > 200
    assert any(inside and time in set(time_ns.tolist()) for time, inside, _, _ in fills)


def test_the_chart_has_every_symbol_once_a_side_and_the_smallest_together(run: Run) -> None:
    found = chart_data(run)["weights"]
    assert len(found["names"]) == NAMED_SYMBOLS + 1
    assert found["names"][-1] == "others"
    assert found["others"] == len(NAMES) - NAMED_SYMBOLS
    for part, whole in (("held", held_weights(run, _bars(run))), ("target", target_weights(run))):
        rows = found[part]["rows"]
        sides = [(row["name"], row["side"]) for row in rows]
        assert len(sides) == len(set(sides))
        for side, bound in (("long", np.maximum), ("short", np.minimum)):
            drawn_sum = np.sum([row["values"] for row in rows if row["side"] == side], axis=0)
            total = np.sum([bound(each, 0.0) for each in whole[1].values()], axis=0)
            assert drawn_sum[: len(total)] == pytest.approx(total, abs=1e-5)
    assert len(found["target"]["t"]) == found["rebalances"] + 1
    assert found["target"]["t"][-1] == found["held"]["t"][-1]


def test_the_page_shows_what_is_drawn(run: Run) -> None:
    text = Page(render(run)).visible_text()
    assert "Target is what a rebalance asked for, until the next." in text
    assert "The 7 largest symbols have a colour each, 2 others are drawn together." in text


def test_without_decisions_only_what_was_held_is_drawn(tmp_path: Path) -> None:
    run = _stored(tmp_path, tables=False)
    found = chart_data(run)["weights"]
    assert found["rebalances"] == 0
    assert found["target"] == {"t": [], "rows": []}
    assert found["held"]["rows"]
    assert "what was asked for is not drawn" in Page(render(run)).visible_text()


def test_a_run_by_signals_has_no_weights(full_run: Run) -> None:
    assert not is_portfolio(full_run)
    assert chart_data(full_run)["weights"] == {"names": []}
    assert "chart-weights" not in Page(render(full_run)).ids()


def test_the_reasons_of_rebalances_are_those_of_the_plan() -> None:
    assert {*REBALANCE_REASONS, "rebalance", "quorum"} == set(PORTFOLIO_REASONS.values())


@needs_chromium
@needs_library
def test_the_chart_is_drawn(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(render(run), "utf-8")
    text, console = drawn(page, tmp_path / "profile")
    assert console == ""
    assert 'data-drawn="2"' in text
    at = text.index('id="chart-weights"')
    assert "<title>Weights held and asked for, by symbol</title>" in text[at : at + 400]


def test_why_states_rank_weights_and_change_of_each_order_of_a_rebalance(run: Run) -> None:
    """The order is the gap between what is asked for and held: an increase, or a reduction."""
    orders = run.table("orders").filter(pl.col("reason") == "rebalance")
    for row in orders.head(30).iter_rows(named=True):
        found = explain(run, row["order_id"])
        asked, equity = found["rebalance"], run.table("equity")
        assert asked["made"]
        assert asked["last_rebalance"] == found["time"]
        at = equity.filter(pl.col("time") == row["time"]).item(0, "equity")
        gap = (asked["target_weight"] - asked["held_weight"]) * at / row["decision_price"]
        side = 1.0 if row["side"] == "buy" else -1.0
        closes = asked["held_weight"] * asked["target_weight"] < 0.0
        if not closes:  # a change of side is two orders
            assert side * row["quantity"] == pytest.approx(gap, rel=0.002)
        month = dict(
            run.table("decisions").filter(pl.col("time") == row["time"])
            .select(pl.col("symbol").cast(pl.String), "month").iter_rows()
        )  # fmt: skip
        better = sum(value > month[row["symbol"]] for value in month.values())
        assert (asked["place"], asked["places"]) == (better + 1, len(month))
        assert f"rank {better + 1} of {len(month)} by month" in sentence_of(found)
        assert f"{asked['held_weight'] * 100:.4g}% held" in sentence_of(found)


def test_why_shows_what_was_not_traded(run: Run) -> None:
    made_ns, targets = target_weights(run)
    last = int(made_ns[-1])
    day = str(np.datetime64(last, "ns"))[:19]
    seen = set()
    for symbol, weights in targets.items():
        found = explain(run, f"{symbol}@{day}")
        text = sentence_of(found)
        if found["order"] is None and weights[-1] == 0.0 and not found["decision"]["rejected_by"]:
            assert "it is not among those that are chosen, rank " in text
            seen.add("chosen")
        elif found["order"] is None and found["decision"]["rejected_by"] == "drift":
            assert "its weight differs by less than the drift" in text
            seen.add("drift")
    assert "chosen" in seen
    symbol = next(name for name, weights in targets.items() if weights[-1] != 0.0)
    after = str(np.datetime64(last, "ns") + np.timedelta64(1, "D"))[:19]
    found = explain(run, f"{symbol}@{after}")
    if found["order"] is None and not found["decision"]["rejected_by"]:
        assert not found["rebalance"]["made"]
        assert "no rebalance was made at this time; the last was at" in sentence_of(found)


WHERE = (
    TEXT.replace("name: long-short", "name: where-turnover")
    .replace(
        "by: month",
        "by: month\n  where: {long: close > mean and month > 2, short: 'close < prev(mean, 3)'}",
    )
    .replace("drift: 1%}", "drift: 1%, max_turnover: 40%}")
    .replace(
        "{month: {use: roc, period: 20}}",
        "{month: {use: roc, period: 20}, mean: {use: sma, period: 10}}",
    )
)


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose portfolio has a condition a side and a limit of the turnover."""
    folder = tmp_path_factory.mktemp("where")
    path = folder / "where-turnover.yaml"
    path.write_text(WHERE, encoding="utf-8")
    return save_run(backtest(load(str(path))), folder / "runs", now_ns=NOW_NS)


def _why_at_rebalances(stored: Run) -> list[tuple[dict[str, Any], pl.DataFrame]]:
    run = ReadOnce(stored.folder)
    made_ns, targets = target_weights(run)
    table = run.table("decisions").with_columns(pl.col("time").to_physical().alias("at"))
    return [
        (explain(run, f"{symbol}@{str(np.datetime64(int(at), 'ns'))[:19]}"),
         table.filter(pl.col("symbol").cast(pl.String) == symbol, pl.col("at") <= at).tail(4))
        for at in made_ns[4::6] for symbol in targets
    ]  # fmt: skip


def test_why_shows_that_a_where_is_false_and_its_values(limited: Run) -> None:
    bars = _bars(limited)
    seen = set()
    for found, rows in _why_at_rebalances(limited):
        if found["order"] is not None and found["order"]["reason"] != "rebalance":
            continue
        asked, name = found["rebalance"], found["symbol"]
        close = bars[name].filter(pl.col("time") <= rows["time"][-1])["close"][-1]
        mean, month = rows["mean"].to_list(), rows["month"].to_list()
        states = {
            "long": close > mean[-1] and month[-1] > 2.0,
            "short": close < mean[0],
        }
        for side, state in states.items():
            assert asked[f"where_{side}"].startswith(str(state).lower() + ": close "), found
            assert f"close {close:.6g}" in asked[f"where_{side}"]
            weight = asked["target_weight"] * (1.0 if side == "long" else -1.0)
            if weight >= 0.0 and not state:
                assert f"its `where.{side}` is false: close " in sentence_of(found)
                seen.add((found["order"] is None, weight > 0.0))
            else:
                assert f"`where.{side}`" not in sentence_of(found)
    assert {(True, False), (False, True)} <= seen


def test_why_shows_how_much_the_turnover_limit_allowed(limited: Run) -> None:
    """Independently: the changes as made sum to the limit wherever one of them was scaled."""
    made_ns, targets = target_weights(limited)
    bars, scaled = _bars(limited), 0
    closes = {
        name: [part.filter(pl.col("time").to_physical() <= at)["close"][-1] for at in made_ns]
        for name, part in bars.items()
    }
    for row in range(1, len(made_ns), 5):
        found = explain(limited, f"{NAMES[0]}@{str(np.datetime64(int(made_ns[row]), 'ns'))[:19]}")
        before = {name: each[row - 1] for name, each in targets.items()}
        moved = {
            name: weight * closes[name][row] / closes[name][row - 1]
            for name, weight in before.items()
        }
        whole = 1.0 + sum(moved.values()) - sum(before.values())
        change = sum(abs(each[row] - moved[name] / whole) for name, each in targets.items())
        factor = found["rebalance"].get("turnover_factor", 0.0)
        if 0.0 < factor < 1.0:
            scaled += 1
            assert change == pytest.approx(0.4)
            if found["order"] is not None and found["order"]["reason"] == "rebalance":
                text = f"max_turnover 40% let through {factor * 100:.4g}% of each change"
                assert text in sentence_of(found)
        else:
            assert change < 0.4 + 1e-9
    assert scaled > 3


def test_of_a_run_by_signals_nothing_is_reported_of_rebalances(full_run: Run) -> None:
    assert explain(full_run, "o1")["rebalance"] == {}
