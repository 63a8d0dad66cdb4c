from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as draw

from septet._report.chart_data import chart_data
from septet._report.page import render, write_report
from septet._report.save import save_run
from septet._report.thinning import thin_rows
from septet._store.find_runs import open_run
from septet._store.run_folder import Run
from tests.report.conftest import NOW_NS
from tests.report.reading import EVIL, Page
from tests.report.synthetic import make_result, without_trades


@pytest.fixture(scope="module")
def full(full_run: Run) -> Page:
    return Page((full_run.folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def rules(rules_run: Run) -> Page:
    return Page((rules_run.folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def rejected(rejected_run: Run) -> Page:
    return Page((rejected_run.folder / "report.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["full", "rules", "rejected"])
def test_page_is_well_formed(name: str, request: pytest.FixtureRequest) -> None:
    page: Page = request.getfixturevalue(name)
    assert page.open == []
    assert page.crossed == []
    assert len(page.scripts) == 4
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", ["full", "rules", "rejected"])
def test_page_fetches_nothing(name: str, request: pytest.FixtureRequest) -> None:
    page: Page = request.getfixturevalue(name)
    fetching = {"src", "href", "srcset", "action", "data", "poster", "background"}
    for tag, attrs in page.elements:
        assert not fetching & set(attrs), (tag, attrs)
        assert tag not in {"link", "iframe", "object", "embed", "base"}
    policy = next(a["content"] for _, a in page.elements if "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_styles_fetch_nothing(full_run: Run) -> None:
    text = (full_run.folder / "report.html").read_text(encoding="utf-8")
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style


def test_page_is_one_file_of_a_bounded_size(full_run: Run) -> None:
    text = (full_run.folder / "report.html").read_text(encoding="utf-8")
    assert len(text.encode()) < 1_000_000
    assert text.count("TradingView Lightweight Charts\u2122 v") == 1
    assert "plotly" not in text.lower()


def test_verdict_comes_before_any_figure(full: Page, full_run: Run) -> None:
    text = full.visible_text()
    assert text.index(full_run.summary["verdict"]) < text.index("Buy and hold")


def test_every_section_is_there(full: Page) -> None:
    text = full.visible_text()
    for title in (
        "Equity, drawdown, exposure",
        "Price, entries and exits",
        "Calibration",
        "Feature importance",
        "Drift from the training window",
        "Monitoring",
        "Rolling Sharpe and beta",
        "Returns by month",
        "Deepest drawdowns",
        "Result by symbol",
        "Trades",
        "Round trips",
        "Costs",
        "Why decisions did not act",
        "Data",
        "Read this with it",
        "Configuration",
    ):
        assert title in text, title
    assert {"chart-curve", "chart-price", "chart-psi", "chart-health-0", "symbol"} <= full.ids()
    assert "threshold: 0.3" in text
    assert "zero_volume" in text
    assert "limit_then_market on bars" in text


def test_charts_hold_the_runs_numbers(full: Page, full_run: Run) -> None:
    data = chart_data(full_run)
    equity = full_run.table("equity")["equity"]
    assert data["curve"]["equity"][-1] == pytest.approx(equity[-1], rel=1e-6)
    assert data["curve"]["hold"][0] == pytest.approx(full_run.facts.initial_capital)
    assert data["curve"]["hold"][-1] / full_run.facts.initial_capital - 1 == pytest.approx(
        full_run.summary["buy_and_hold_return"], abs=1e-6
    )
    assert [item["symbol"] for item in data["price"]] == ["BTC/USDT", "ETH/USDT"]
    assert sum(len(item["trades"]["side"]) for item in data["price"]) == (
        full_run.table("trades").height
    )
    assert sum(row[2] for row in data["calibration"]) == full_run.table("predictions").height
    assert set(data["importance"]["features"]) == {"rsi_14", "bb_width", "vol_10", "volume_z"}
    assert {item["metric"] for item in data["health"]} == {"auc", "brier", "hit_rate"}
    assert "psi:prediction" in {item["metric"] for item in data["psi"]}


def test_a_run_by_rules_has_no_empty_model_sections(rules: Page) -> None:
    text = rules.visible_text()
    for title in ("Calibration", "Feature importance", "Monitoring", "Drift"):
        assert title not in text
    assert "PSI" not in text
    assert "symbol" not in rules.ids()
    assert "Halts" in text
    assert "halted on 2023-01-30" in text
    assert "never" in text


def test_an_all_rejected_run_shows_what_rejected(rejected: Page) -> None:
    text = rejected.visible_text()
    assert "0 trades, too few to judge." in text
    assert "No trade was opened." in text
    assert "threshold" in text
    assert "n/a" in text


def test_nothing_of_a_run_becomes_markup(tmp_path: Path) -> None:
    result = make_result(symbols=("BTC/USDT",), bars=1300, strategy=EVIL)
    finding = replace(result.findings[0], symbol=EVIL, kind=EVIL, policy=EVIL, examples=(EVIL,))
    cards = [{**card, "importance": {EVIL: 1.0}} for card in result.models]
    monitoring = dict(result.monitoring or {})
    monitoring["metric"] = [EVIL] * len(monitoring["metric"])
    monitoring["verdict"] = [EVIL] * len(monitoring["metric"])
    trades = dict(result.trades or {})
    trades["exit_reason"] = [EVIL] * len(trades["exit_reason"])
    result = replace(
        result,
        findings=(finding,),
        models=cards,
        monitoring=monitoring,
        trades=trades,
        notes=(EVIL,),
        resolved={EVIL: EVIL},
        strategy_text=EVIL,
        facts=replace(result.facts, currency=EVIL),
        distributions={EVIL: EVIL},
    )
    run = save_run(result, tmp_path)
    page = Page((run.folder / "report.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert page.crossed == []
    assert len(page.scripts) == 4
    assert not [tag for tag, _ in page.elements if tag == "img"]
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
    assert "alert(1)" in page.visible_text()
    assert any("alert(1)" in text for text in page.chart_text)


def test_many_symbols_share_the_page(tmp_path: Path) -> None:
    names = tuple(f"S{k:02d}/USDT" for k in range(40))
    run = save_run(make_result(symbols=names, bars=700), tmp_path)
    page = Page((run.folder / "report.html").read_text(encoding="utf-8"))
    options = [attrs for tag, attrs in page.elements if tag == "option"]
    assert len(options) == 40
    assert "and 34 more" in page.visible_text()
    assert sum(len(item["t"]) for item in chart_data(run)["price"]) <= 41_000
    assert (run.folder / "report.html").stat().st_size < 1_500_000


def test_a_run_without_any_rows(tmp_path: Path) -> None:
    result = without_trades(make_result(symbols=("BTC/USDT",), bars=700, model=False))
    empty = replace(result, equity=None, decisions=None, bars={}, findings=())
    page = Page((save_run(empty, tmp_path).folder / "report.html").read_text(encoding="utf-8"))
    text = page.visible_text()
    for words in ("No bars were stored.", "No equity was recorded.", "No decision was rejected."):
        assert words in text
    assert "Nothing was found wrong with the data." in text


def test_the_folder_alone_is_enough(full_run: Run, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for path in full_run.folder.iterdir():
        if path.is_file() and path.name != "report.html":
            (moved / path.name).write_bytes(path.read_bytes())
    made = write_report(open_run(moved)).read_text(encoding="utf-8")
    assert made == render(full_run)


@given(values=draw.lists(draw.floats(-1e6, 1e6), max_size=300), limit=draw.integers(9, 60))
def test_thinning_keeps_every_extreme(values: list[float], limit: int) -> None:
    array = np.array(values)
    rows = thin_rows(array, limit)
    assert len(rows) <= limit + 2
    assert np.all(np.diff(rows) > 0)
    if values:
        assert rows[0] == 0
        assert rows[-1] == len(values) - 1
        assert array[rows].max() == array.max()
        assert array[rows].min() == array.min()


def test_a_long_run_is_thinned_and_the_page_notes_it(tmp_path: Path) -> None:
    result = make_result(symbols=("BTC/USDT",), bars=20_000, model=False)
    run = save_run(result, tmp_path)
    data = chart_data(run)
    assert len(data["curve"]["t"]) <= 2_410
    assert len(data["price"][0]["t"]) <= 20_000
    text = Page((run.folder / "report.html").read_text(encoding="utf-8")).visible_text()
    assert "of 19,400 rows, every extreme kept" in text


def test_parts_of_months_are_marked(tmp_path: Path) -> None:
    """A run from 1 January to 10 March: two whole months, a part of the third and of the year."""
    result = make_result(bars=24 * 69, first=1)
    run = save_run(result, tmp_path, now_ns=NOW_NS)
    text = (run.folder / "report.html").read_text(encoding="utf-8")
    row = text.partition('<th scope="row">2023</th>')[2].partition("</tr>")[0]
    cells = [re.sub(r"<[^>]*>", "", each) for each in re.findall(r"<td.*?</td>", row)]
    assert len(cells) == 13
    assert [each.endswith("*") for each in cells] == [False] * 2 + [True] + [False] * 9 + [True]
    assert [bool(each) for each in cells] == [True] * 3 + [False] * 9 + [True]
    assert "* the run covers a part of the month or of the year." in Page(text).visible_text()
