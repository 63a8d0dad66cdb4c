"""The report in a real Chromium: every chart is drawn, nothing is printed on the console."""

from __future__ import annotations

import html
import json
import re
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from septet._store.run_folder import Run
from tests.report.reading import drawn, needs_chromium, needs_library, overflowing


@needs_chromium
@needs_library
@pytest.mark.parametrize(("name", "charts"), [("full", 6), ("rules", 0), ("rejected", 2)])
def test_every_chart_is_drawn(
    name: str, charts: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    run: Run = request.getfixturevalue(f"{name}_run")
    text, console = drawn(run.folder / "report.html", tmp_path / "profile")
    assert console == ""
    assert re.search(r'<html[^>]* data-drawn="2"', text)
    body = text[text.index("<main>") : text.index("</main>")]
    assert len(re.findall(r'class="chart(?: wide)?"[^>]*><svg', body)) == charts
    assert body.count("<svg class") == charts, "what the script draws takes the place of a still"
    assert body.count("<canvas") >= 8
    assert len(re.findall(r'<a [^>]*id="tv-attr-logo"', body)) == 2
    (end,) = re.findall(r"candles, [-0-9: ]+ to ([-0-9]+) [:0-9]+ UTC", body)
    days = (datetime.fromisoformat(run.summary["end"]) - datetime.fromisoformat(f"{end}T00Z")).days
    assert abs(days) <= 3, "the run is shown to its end, not a part of the span before it"


ACTS = """<script>
const all = (what) => [...document.querySelectorAll(what)];
const head = (name) => all("#trades th button").find((b) => b.textContent === name);
const rows = (shown) => all("#trades tbody tr").filter((r) => !shown || !r.hidden);
const value = (cell) => cell.dataset.v ?? cell.textContent;
const column = (at, shown) => rows(shown).map((r) => value(r.cells[at]));
const sorts = () => all("#trades th").map((th) => th.getAttribute("aria-sort"));
const box = document.querySelector("[aria-controls=trades]");
const search = (text) => { box.value = text; box.dispatchEvent(new Event("input")); };
const observed = { disabled: all("th button:disabled").length };
head("Net").click(); observed.rising = column(7); observed.sorts = sorts();
head("Net").click(); observed.falling = column(7); observed.again = sorts();
head("In").click(); observed.times = column(2);
search("eth OPEN"); observed.found = [column(0, true), column(16, true)];
observed.status = box.closest(".search").querySelector("[role=status]").textContent;
search("nothing like it"); observed.none = rows(true).length;
search(""); observed.all = rows(true).length;
observed.hidden = box.closest(".search").hidden;
document.documentElement.dataset.observed = JSON.stringify(observed);
</script>"""


@needs_chromium
def test_tables_sort_by_a_column_and_search_by_words(full_run: Run, tmp_path: Path) -> None:
    text = (full_run.folder / "report.html").read_text("utf-8")
    page = tmp_path / "acted.html"
    before, mark, after = text.rpartition("</body>")
    page.write_text(before + ACTS + mark + after, "utf-8")
    shown, console = drawn(page, tmp_path / "profile")
    assert console == ""
    found = re.search(r'<html[^>]* data-observed="([^"]*)"', shown)
    assert found is not None
    observed = json.loads(html.unescape(found[1]))
    trades = full_run.table("trades").sort("entry_time", maintain_order=True)
    assert observed["disabled"] == 0
    assert [float(v) for v in observed["rising"]] == pytest.approx(sorted(trades["pnl"]), rel=1e-9)
    assert observed["falling"] == observed["rising"][::-1]
    assert observed["sorts"] == ["none"] * 7 + ["ascending"] + ["none"] * 9
    assert observed["again"] == ["none"] * 7 + ["descending"] + ["none"] * 9
    assert observed["times"] == sorted(observed["times"])
    wanted = trades.filter(
        pl.col("symbol").str.starts_with("ETH") & (pl.col("exit_reason") == "open")
    )
    assert observed["found"] == [wanted["symbol"].to_list(), ["open"] * wanted.height]
    assert observed["status"] == f"{wanted.height} of {trades.height} rows"
    assert observed["none"] == 0
    assert observed["all"] == trades.height
    assert observed["hidden"] is False


@needs_chromium
@pytest.mark.parametrize("name", ["full", "rules", "rejected"])
def test_no_figure_reaches_beyond_its_box_in_a_narrow_window(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The tiles cut what was too wide for two columns, and nothing scrolled."""
    run: Run = request.getfixturevalue(f"{name}_run")
    for width, (tiles, beyond) in overflowing(run.folder / "report.html", tmp_path).items():
        assert tiles >= 10, width
        assert beyond == []
