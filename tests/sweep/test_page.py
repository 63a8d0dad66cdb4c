from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from septet._results.number_texts import chance
from septet._results.selection_bias import Overfitting
from septet._sweep.axes import axes_of, mapped, write_value
from septet._sweep.chart_data import chart_data
from septet._sweep.page import render, write_page
from septet._sweep.sweep_findings import Findings, findings_of, goal_text
from septet._sweep.verdict import choice, overfitted, overview, tone
from tests.report.goldens import check_golden
from tests.report.reading import EVIL, Page, drawn, needs_chromium, overflowing
from tests.sweep.synthetic import PROBLEMS, make_manifest, make_table

GOLDEN = Path(__file__).parent / "golden" / "page"
FAST, SLOW, STOP = "features.fast.period", "features.slow.period", "risk.stops.stop_loss.loss"
HOUR, DAY = 3_600e9, 86_400e9
SMALL: dict[str, list[float]] = {FAST: [5, 10, 15, 20], SLOW: [40, 80, 120], STOP: [0.01, 0.03]}
SMALL_TEXTS = {FAST: ["5", "10", "15", "20"], SLOW: ["40", "80", "120"], STOP: ["1%", "3%"]}


def small(**more: Any) -> tuple[pl.DataFrame, dict[str, Any]]:
    given = {"failed": 3, "idle": 1, "days": 400, **more}
    return make_table(SMALL, **given), make_manifest(SMALL_TEXTS)


@pytest.fixture(scope="module")
def found() -> Findings:
    return findings_of(*small())


@pytest.fixture(scope="module")
def page(found: Findings) -> Page:
    return Page(render(found, make_manifest(SMALL_TEXTS)))


# ---------------------------------------------------------------------- the whole page


def test_what_the_page_states(page: Page) -> None:
    check_golden(GOLDEN / "text.txt", "\n".join(filter(None, map(str.strip, page.text))) + "\n")


def test_what_the_charts_draw(found: Findings) -> None:
    check_golden(GOLDEN / "charts.json", json.dumps(chart_data(found), indent=1) + "\n")


def test_page_is_whole_and_fetches_nothing(page: Page) -> None:
    assert page.open == []
    assert page.crossed == []
    assert len(page.scripts) == 2
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    fetching = {"src", "href", "srcset", "action", "data", "poster", "background"}
    for tag, attrs in page.elements:
        assert not fetching & set(attrs), (tag, attrs)
        assert tag not in {"link", "iframe", "object", "embed", "base"}
    policy = next(attrs["content"] for _, attrs in page.elements if "http-equiv" in attrs)
    assert (policy or "").startswith("default-src 'none'")
    assert page.data() == {}, "the charts are stills"


def test_verdict_comes_before_any_figure(page: Page) -> None:
    text = page.visible_text()
    assert text.index("Overfitting probability") < text.index("Seen alone (PSR)")
    assert text.index("(DSR)") < text.index("Sharpe ratio over the settings")


def test_page_is_written_whole(tmp_path: Path) -> None:
    table, manifest = small()
    path = write_page(tmp_path, table, manifest)
    assert path == tmp_path / "sweep.html"
    first = path.read_text(encoding="utf-8")
    assert first == render(findings_of(table, manifest), manifest)
    assert write_page(tmp_path, table, manifest, findings_of(table, manifest)) == path
    assert path.read_text(encoding="utf-8") == first
    assert [each.name for each in tmp_path.iterdir()] == ["sweep.html"]
    assert path.stat().st_size < 6_000_000


def test_nothing_of_a_sweep_becomes_markup() -> None:
    over: dict[str, list[float]] = {"a.b": [1, 2, 3], f"x.{EVIL}": [1, 2]}
    table = make_table(over, failed=2, days=200).with_columns(
        pl.when(pl.col("status") == "failed").then(pl.lit(EVIL)).alias("problem")
    )
    manifest = make_manifest({}, strategy=EVIL, sweep_id=EVIL, strategy_text=EVIL, odd=EVIL)
    manifest["space"]["where"] = EVIL
    page = Page(render(findings_of(table, manifest), manifest))
    assert page.open == []
    assert page.crossed == []
    assert len(page.scripts) == 2
    assert not [tag for tag, _ in page.elements if tag == "img"]
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
    assert any("script" in text for text in page.chart_text)


def test_a_manifest_may_be_empty() -> None:
    table, _ = small()
    page = Page(render(findings_of(table, {}), {}))
    assert "strategy: 24 settings" in page.visible_text()
    assert page.open == []


def test_failed_settings_are_grouped_by_problem(page: Page, found: Findings) -> None:
    text = page.visible_text()
    assert "3 settings failed" in text
    failed = found.table.filter(pl.col("status") == "failed")
    for problem in set(failed.get_column("problem")):
        assert problem in PROBLEMS
        assert problem in text
    assert f"{failed.get_column('setting')[0]}: fast.period" in text


def test_many_problems_are_cut(found: Findings) -> None:
    table, manifest = small(failed=24)
    own = table.with_columns(pl.format("problem {}", "setting").alias("problem"))
    text = Page(render(findings_of(own, manifest), manifest)).visible_text()
    assert "20 of 24 problems are shown." in text
    assert "No setting has a result." in text
    assert "chart-map" not in Page(render(findings_of(own, manifest), manifest)).ids()


# ---------------------------------------------------------------------- the verdict


def test_few_plain_sentences(found: Findings) -> None:
    assert overview(found) == "24 settings tried, 3 failed, 1 without a Sharpe ratio."
    text = choice(found)
    assert text.startswith("Best by Sharpe ratio: setting ")
    best = r"as the best of 20 settings that have a ratio, with a probability of [\d.]+ % \(DSR\)"
    assert re.search(best, text)
    assert "12,870 splits" in overfitted(found)


def test_the_page_notes_an_unfinished_sweep() -> None:
    table, manifest = small()
    manifest["space"]["settings"] = 5_000
    cut = findings_of(table.head(12), manifest)
    assert overview(cut).startswith("12 of 5,000 settings tried: the sweep is not complete")
    assert tone(cut) == "caution"


def test_chance_is_named_where_it_explains_the_result() -> None:
    table, manifest = small(edge=0.0, days=300)
    luck = findings_of(table, manifest)
    assert "It cannot be distinguished from chance." in choice(luck)
    assert tone(luck) == "caution"


def test_a_setting_that_stands_out_gets_no_praise() -> None:
    over = {FAST: list(range(5, 45, 2)), SLOW: list(range(50, 210, 8))}
    good = findings_of(make_table(over, edge=0.004), {})
    assert "exceeds chance" not in choice(good), "a rising market is not taken out"
    assert "by more than selection explains. How much of it is due to a rising market" in choice(
        good
    )
    beside = replace(good, over_holding=True)
    assert "In this sample it exceeds chance; another sample may differ." in choice(beside)
    assert "more often a mistake" in choice(good)
    assert "later days were not tested" in overfitted(good)
    assert tone(good) == "plain"


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0, "Overfitting probability under 0.1 %"),
        (0.05, "Within these days the choice carried over"),
        (0.2, "more often than not, but not reliably"),
        (0.4, "That is about a coin toss"),
        (0.6, "That is about a coin toss"),
        (0.61, "no better than a coin toss"),
    ],
)
def test_overfitting_in_words(found: Findings, share: float, words: str) -> None:
    seen = Overfitting(share, settings=20, logits=np.zeros(12_870))
    assert words in overfitted(replace(found, overfitting=seen))


def test_too_few_trades_and_the_edge_of_a_grid_are_named() -> None:
    table, manifest = small()
    best = findings_of(table, manifest).best
    assert best is not None
    top = pl.col("setting") == best["setting"]
    few = table.with_columns(
        pl.when(top).then(12).otherwise(pl.col("trades")).alias("trades"),
        pl.when(top).then(SMALL[FAST][0]).otherwise(pl.col(FAST)).alias(FAST),
    )
    text = choice(findings_of(few, manifest))
    assert "It made 12 trades, too few to judge." in text
    assert "It lies at the edge of what was tried: fast.period" in text
    # Of two values each one is at the edge: that means nothing.
    assert "stop_loss.loss." not in text.partition("at the edge")[2]


def test_nothing_to_choose_from() -> None:
    table, manifest = small(failed=24)
    nothing = findings_of(table, manifest)
    assert choice(nothing) == "No setting has a Sharpe ratio, so none is the best."
    assert overfitted(nothing) == "No overfitting probability: no setting has daily returns."
    assert tone(nothing) == "bad"


def test_one_setting_is_not_the_best_of_many() -> None:
    table = make_table({FAST: [5]}, days=300)
    one = findings_of(table, make_manifest({FAST: ["5"]}))
    assert "DSR" not in choice(one)
    assert "a choice needs at least two" in overfitted(one)
    assert "No key has two values." in Page(render(one, {})).visible_text()


def test_too_few_days_give_words() -> None:
    table, manifest = small(days=20)
    short = findings_of(table, manifest)
    assert "20 days are too few" in overfitted(short)
    assert "chart-ranks" not in Page(render(short, manifest)).ids()


# ---------------------------------------------------------------------- goals


@pytest.mark.parametrize("goal", ["sortino", "total_return", "profit_factor", "win_rate"])
def test_other_goals_choose_their_own_best(goal: str) -> None:
    table, manifest = small(idle=0)
    other = findings_of(table, {**manifest, "goal": goal})
    top = table.filter(pl.col(goal).is_not_null()).sort(goal, descending=True).row(0, named=True)
    assert other.best is not None
    assert other.best["setting"] == top["setting"]
    assert "Sharpe ratio" in choice(other)
    data = chart_data(other)
    assert data["expected_maximum"] is None
    assert data["best"]["value"] == pytest.approx(top[goal], rel=1e-4)


def test_less_drawdown_is_better() -> None:
    table, manifest = small(idle=0)
    calm = findings_of(table, {**manifest, "goal": "max_drawdown"})
    assert calm.best is not None
    assert calm.best["max_drawdown"] == table.get_column("max_drawdown").min()
    data = chart_data(calm)
    assert not data["more_is_better"]
    best = data["maps"][0]["best"]
    assert min(v for row in best for v in row if v is not None) == data["best"]["value"]


def test_equal_goals_go_to_the_lower_number() -> None:
    table, manifest = small(failed=0, idle=0)
    same = findings_of(table.with_columns(pl.lit(1.5).alias("sharpe")), manifest)
    assert same.best is not None
    assert same.best["setting"] == 0
    assert chart_data(same)["maps"][0]["setting"][0][0] == 0
    assert chart_data(same)["spread"] is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "under 0.1 %"), (1.0, "over 99.9 %"), (0.5, "50.0 %"), (None, "n/a")],
)
def test_chances_are_never_shown_as_certain(value: float | None, text: str) -> None:
    assert chance(value) == text


def test_goals_in_words() -> None:
    assert goal_text("sharpe", 1.234) == "1.23"
    assert goal_text("total_return", 0.5) == "+50.0 %"
    assert goal_text("max_drawdown", 0.125) == "12.5 %"


# ---------------------------------------------------------------------- the map and the line


def plain_cell(found: Findings, across: int, up: int) -> list[float]:
    part = found.ranked.filter(
        (pl.col(FAST) == SMALL[FAST][across]) & (pl.col(SLOW) == SMALL[SLOW][up])
    )
    return part.get_column("sharpe").to_list()


def test_a_place_shows_the_best_and_the_middle_over_the_other_keys(found: Findings) -> None:
    shown = next(m for m in chart_data(found)["maps"] if (m["x"], m["y"]) == (FAST, SLOW))
    for up in range(3):
        for across in range(4):
            values = plain_cell(found, across, up)
            assert shown["of"][up][across] == len(values)
            assert shown["tried"][up][across] == 2
            if values:
                assert shown["best"][up][across] == pytest.approx(max(values), rel=1e-4)
                middle = pytest.approx(float(np.median(values)), rel=1e-4, abs=1e-4)
                assert shown["middle"][up][across] == middle
            else:
                assert shown["best"][up][across] is None
                assert shown["setting"][up][across] == -1


def test_the_keys_with_most_values_are_mapped_first() -> None:
    over = {"a.a": [1, 2], "b.b": [1, 2, 3, 4], "c.c": [1, 2, 3], "d.d": [7]}
    table = make_table(over, days=100)
    axes = axes_of(table, {})
    assert [axis.key for axis in axes] == list(over)
    assert [axis.key for axis in mapped(axes)] == ["b.b", "c.c", "a.a"]
    data = chart_data(findings_of(table, {}))
    assert (data["maps"][0]["x"], data["maps"][0]["y"]) == ("b.b", "c.c")
    assert len(data["maps"]) == 3


def test_many_keys_are_cut_and_the_page_notes_it() -> None:
    over: dict[str, list[float]] = {f"k.k{place}": [1, 2] for place in range(8)}
    table = make_table(over, days=60)
    found = findings_of(table, {})
    assert len(chart_data(found)["maps"]) == 15
    page = Page(render(found, {}))
    assert "The 6 keys with most values can be chosen." in page.visible_text()
    assert len([tag for tag, _ in page.elements if tag == "option"]) == 15


def test_two_keys_need_no_control() -> None:
    table = make_table({FAST: [5, 10, 15], SLOW: [40, 80]}, days=100)
    page = Page(render(findings_of(table, {}), {}))
    assert "chart-map" in page.ids()
    assert "pick-pair" not in page.ids()
    assert not [1 for _, attrs in page.elements if "data-show" in attrs]


def test_one_key_is_a_line() -> None:
    table = make_table({"features.vol.window": [DAY * k for k in range(1, 40)]}, days=100, failed=2)
    found = findings_of(table, make_manifest({"features.vol.window": ["1d"]}))
    line = chart_data(found)["line"]
    assert line["title"] == "vol.window, d"
    assert line["x"] == [float(k) for k in range(1, 40)]
    assert line["y"].count(None) == 2
    assert line["text"][:7] == ["1d", "2 d", "3 d", "4 d", "5 d", "6 d", "1 w"]
    page = Page(render(found, {}))
    assert "chart-line" in page.ids()
    assert "chart-map" not in page.ids()


def test_draws_are_joined_into_places() -> None:
    over = {"a.threshold": [0.1, 0.9], "b.window": [2 * HOUR, 400 * HOUR]}
    table = make_table(over, drawn=500, days=100)
    texts = {"a.threshold": ["0.1", "0.9"], "b.window": ["2h", "400h"]}
    found = findings_of(table, make_manifest(texts, method="random"))
    for axis in found.axes:
        assert axis.drawn
        assert len(axis.labels) == len(axis.ticks) == 24
        assert set(axis.place.tolist()) == set(range(24))
        assert np.all(np.diff(axis.place[np.argsort(table.get_column(axis.key))]) >= 0)
    assert " to " in found.axes[0].labels[0]
    assert found.axes[1].ticks[3].endswith((" h", " d"))
    of = chart_data(found)["maps"][0]["of"]
    assert sum(sum(row) for row in of) == found.ranked.height
    assert "at the edge" not in choice(found)


def test_the_distribution_counts_every_setting(found: Findings) -> None:
    spread = chart_data(found)["spread"]
    assert sum(spread["counts"]) == found.ranked.height
    assert len(spread["edges"]) == len(spread["counts"]) + 1


def test_ranks_agree_with_the_probability(found: Findings) -> None:
    ranks = chart_data(found)["ranks"]
    assert sum(ranks) == pytest.approx(1.0, abs=1e-4)
    assert sum(ranks[:10]) == pytest.approx(found.overfitting.probability, abs=1e-4)


# ---------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("value", "family", "text"),
    [
        (0.1, "fraction", "10 %"),
        (0.07, "fraction", "7 %"),
        (0.0123456, "fraction", "1.23456 %"),
        (20.0, "bars", "20 bars"),
        (123_456_789.0, "number", "123456789"),
        (0.5, "number", "0.5"),
        (90 * 60e9, "duration", "90 min"),
        (14 * DAY, "duration", "2 w"),
        (36 * HOUR, "duration", "36 h"),
        (0.0, "duration", "0 ms"),
    ],
)
def test_values_in_their_unit(value: float, family: str, text: str) -> None:
    assert write_value(value, family) == text


def test_short_names_stay_different() -> None:
    table = make_table({"a.x.period": [1, 2], "b.x.period": [1, 2], "seed": [1, 2]}, days=60)
    assert [axis.name for axis in axes_of(table, {})] == ["a.x.period", "b.x.period", "seed"]


def test_values_are_written_as_the_file_does(found: Findings) -> None:
    assert [axis.labels for axis in found.axes] == [
        ("5", "10", "15", "20"),
        ("40", "80", "120"),
        ("1%", "3%"),
    ]


# ---------------------------------------------------------------------- a real browser


@needs_chromium
@pytest.mark.parametrize("keys", [1, 3])
def test_every_chart_is_drawn(keys: int, tmp_path: Path) -> None:
    table = make_table(dict(list(SMALL.items())[:keys]), days=400)
    path = write_page(tmp_path, table, make_manifest(SMALL_TEXTS))
    text, console = drawn(path, tmp_path / "profile")
    assert console == ""
    body = text[text.index("<main>") : text.index("</main>")]
    assert len(re.findall(r'<div id="chart-\w+" class="chart(?: wide)?"', body)) == 3
    assert body.count('<svg class="still"') == (3 if keys == 1 else 14)


@needs_chromium
def test_the_controls_of_the_map_work(found: Findings, tmp_path: Path) -> None:
    """One map is shown: of the chosen pair, and the middle in place of the best."""
    path = tmp_path / "sweep.html"
    act = """<script>
      const shown = () => [...document.querySelectorAll("[data-map]")].filter((n) => !n.hidden)
        .map((n) => n.querySelector("title").textContent);
      const said = [shown()];
      const pair = document.getElementById("pick-pair");
      pair.value = "2"; pair.dispatchEvent(new Event("change"));
      said.push(shown());
      document.querySelector("[data-show=middle]").click();
      said.push(shown());
      document.documentElement.dataset.shown = JSON.stringify(said);
    </script></body>"""
    path.write_text(render(found, {}).replace("</body>", act), encoding="utf-8")
    text, console = drawn(path, tmp_path / "profile")
    assert console == ""
    shown = re.search(r'data-shown="([^"]*)"', text)
    assert shown is not None
    maps, names = chart_data(found)["maps"], {axis.key: axis.name for axis in found.axes}
    said = [
        f"Sharpe ratio, {show} of each place: {names[m['x']]} across, {names[m['y']]} up"
        for m, show in ((maps[0], "best"), (maps[2], "best"), (maps[2], "middle"))
    ]
    assert json.loads(unescape(shown[1])) == [[each] for each in said]


@needs_chromium
def test_no_figure_reaches_beyond_its_box_in_a_narrow_window(tmp_path: Path) -> None:
    path = write_page(tmp_path, *small())
    for width, (tiles, beyond) in overflowing(path, tmp_path).items():
        assert tiles == 5, width
        assert beyond == []
