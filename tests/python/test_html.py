"""What a notebook shows: static, small, every value escaped."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import septet
from septet._config.pydantic_problems import MOST_ERRORS
from tests.python.samples import TEXT, written

MOST_BYTES = 60_000
HOSTILE = "<script>alert(1)</script>\"'&\x1b[31m\u202e<img src=x onerror=alert(2)>"
ALLOWED = {
    "div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "svg", "title",
    "desc", "path", "text",
}  # fmt: skip


class Reader(HTMLParser):
    """Collects tags and attributes, and whether every tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def judge(text: str) -> Reader:
    """Insist that a fragment is static, whole and small; return what is in it."""
    assert len(text.encode()) <= MOST_BYTES
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    assert reader.tags <= ALLOWED
    names = {name for name, _ in reader.attributes}
    assert not [name for name in names if name.startswith("on")]
    assert names & {"href", "src", "data", "action", "id"} == set()
    values = " ".join(value for name, value in reader.attributes if name != "xmlns")
    assert not re.search(r"url\(|javascript:|https?:", values)
    assert not re.search("[\x00-\x08\x1b\u202e]", text)
    return reader


@pytest.fixture
def run(tmp_path: Path) -> septet.Run:
    return septet.run(septet.load(written(tmp_path)))


def test_a_run_shows_its_figures_its_verdict_and_a_line(run: septet.Run) -> None:
    text = run._repr_html_()
    assert {"table", "svg", "path"} <= judge(text).tags
    assert run.verdict.text[:40] in text
    assert f"{run.summary.sharpe:,.6g}" in text
    assert run.id in text


def test_a_long_run_is_as_small(tmp_path: Path) -> None:
    run = septet.run(septet.load(written(tmp_path, count=20_000)))
    text = run._repr_html_()
    judge(text)
    (path,) = re.findall(r'<path d="([^"]*)" fill="none"', text)
    points = [each.split() for each in re.split("[ML]", path)[1:]]
    places = [float(x) for x, _ in points]
    assert places == sorted(places)
    assert places[0] < 90
    assert places[-1] > 560
    assert "between" in text, "the lowest and the highest are named"


def test_everything_that_shows_itself_is_static(run: septet.Run, tmp_path: Path) -> None:
    strategy = run.strategy.with_({"features.fast.period": 4})
    swept = septet.sweep(strategy, {"features.slow.period": "10..60:1"})
    why = run.why(run.orders["order_id"][0])
    shown: list[Any] = [
        strategy, swept, why, septet.check(strategy), septet.check({"version": 1}),
        septet.check(tmp_path / "gone.yaml"),
    ]  # fmt: skip
    for each in shown:
        judge(each._repr_html_())
        assert "None" not in each._repr_html_(), "what is not there is left empty"
        assert "\\n" not in each._repr_html_()
    checked = septet.check({"version": 1, "features": {"a": {"use": "smaa"}}})._repr_html_()
    assert '<p style="margin:0">hint: did you mean sma?</p>' in checked
    assert "features.fast.period" in strategy._repr_html_()
    assert why.text.split(":")[0] in why._repr_html_()
    assert "features.slow.period" in swept._repr_html_()


def test_tries_are_shown_with_the_latest_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEPTET_TRIALS", "on")
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    strategy = septet.load(written(tmp_path))
    septet.run(strategy)
    swept = septet.sweep(strategy, {"features.fast.period": [4, 6]}, threads=1)
    assert swept.trials is not None
    assert swept.trials.count == 3
    run = septet.run(strategy)
    tried = septet.trials(run)
    judge(tried._repr_html_())
    assert "3 rows of the ledger" in tried._repr_html_()
    for each in (run, swept, run.trials):
        text = each._repr_html_()  # type: ignore[union-attr]
        judge(text)
        assert "one of 3 tries on these data" in text
    judge(septet.trials(septet.load(written(tmp_path), settings={"name": "x"}))._repr_html_())


def test_a_hostile_name_is_text(run: septet.Run) -> None:
    for name in (HOSTILE, "x" * 10_000 + HOSTILE):
        checked = septet.check({"version": 1, "name": name, name: HOSTILE})
        text = checked._repr_html_()
        judge(text)
        assert "<script" not in text
        assert "<img" not in text
    run._stored.summary["strategy"] = HOSTILE * 200  # as a stranger's folder may state
    run._stored.summary["verdict"] = HOSTILE * 200
    judge(run._repr_html_())
    assert "\x1b" not in repr(run)


def test_a_thousand_problems_are_few(run: septet.Run) -> None:
    keys = {f"key_{k}": "x" * 500 for k in range(1_000)}
    checked = septet.check({"version": 1, "name": "x", **keys})
    assert len(checked.problems) == MOST_ERRORS + 1
    judge(checked._repr_html_())
    assert "more problems" in checked._repr_html_()


def test_a_name_in_the_file_is_shown(tmp_path: Path) -> None:
    strategy = septet.loads(TEXT.replace("name: cross", "name: cross-and-more"), base=tmp_path)
    assert "cross-and-more" in strategy._repr_html_()
