"""The report in a real Chromium: every chart is drawn, nothing is said on the console."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from septet._store.run_folder import Run
from tests.report.reading import drawn, needs_chromium


@needs_chromium
@pytest.mark.parametrize(("name", "charts"), [("full", 8), ("rules", 2), ("rejected", 4)])
def test_every_chart_is_drawn(
    name: str, charts: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    run: Run = request.getfixturevalue(f"{name}_run")
    text, console = drawn(run.folder / "report.html", tmp_path / "profile")
    assert console == ""
    assert re.search(r'<html[^>]* data-drawn="(\d+)"', text)
    body = text[text.index("<main>") : text.index("</main>")]
    assert len(re.findall(r'class="chart [a-z ]*js-plotly-plot', body)) == charts
    assert body.count("main-svg") >= 2 * charts
