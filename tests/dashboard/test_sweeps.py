"""Sweeps as pages: the list, the map, the best settings that can be run, and damaged folders."""

from __future__ import annotations

import html
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote_plus

import polars as pl
import pytest

import septet
from septet._app.large_sweeps import MOST_CELLS, MOST_JUDGED
from septet._app.sweeps import sweep_view
from septet.errors import Cancelled
from tests.dashboard.conftest import Dashboard
from tests.dashboard.test_strategies import put
from tests.python.samples import TEXT, written

AXES = {"features.fast.period": [3, 5, 8], "features.slow.period": [15, 20]}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, septet.Sweep]:
    """A stored sweep, of which tests are given copies, and the folder of its file."""
    place = tmp_path_factory.mktemp("swept")
    return place, septet.sweep(septet.load(written(place)), AXES, out=place / "sweeps")


@pytest.fixture
def swept(dashboard: Dashboard, made: tuple[Path, septet.Sweep]) -> septet.Sweep:
    """A sweep stored beside the runs, whose file is one of the folder of strategies."""
    place, found = made
    shutil.copytree(place / "sweeps", dashboard.root.parent / "sweeps")
    put(dashboard, "cross.yaml", TEXT)
    dashboard.log_in()
    return found


def key_of(dashboard: Dashboard) -> str:
    [link] = re.findall(r'href="/sweep\?sweep=([^"]+)"', dashboard.ask("GET", "/sweeps").text)
    return unquote_plus(str(link))


def test_a_sweep_is_listed_drawn_and_its_best_can_be_run(
    dashboard: Dashboard, swept: septet.Sweep
) -> None:
    answer = dashboard.ask("GET", f"/sweep?sweep={key_of(dashboard)}")
    assert answer.status == 200, answer.text
    text = html.unescape(answer.text)
    assert swept.verdict.text.split(".")[0] in text
    assert "fast.period across, slow.period up" in text or "slow.period across" in text
    drawn = re.findall(r'<div class="(wide|narrow)-still"><svg[^>]* width="(\d+)"', text)
    assert drawn, text
    assert drawn == [("wide", "1040"), ("narrow", "400")] * (len(drawn) // 2)
    assert text.count("<svg") == len(drawn) + 1, "the distribution fits both"
    assert 'style="' not in answer.text
    best = swept.best(1).to_dicts()[0]
    link = re.search(r'href="(/strategy\?[^"]+)">setting ', answer.text)
    assert link is not None
    sets = unquote_plus(html.unescape(link[1]).partition("sets=")[2])
    assert sets.splitlines() == [f"{key}={best[key]:.0f}" for key in AXES]
    page = html.unescape(dashboard.ask("GET", html.unescape(link[1])).text)
    assert sets in page


def test_a_sweep_without_its_file_is_shown_and_not_run(
    dashboard: Dashboard, swept: septet.Sweep
) -> None:
    put(dashboard, "deep/cross.yaml", TEXT)  # two of that name: which one was swept is not known
    text = dashboard.ask("GET", f"/sweep?sweep={key_of(dashboard)}").text
    assert "/strategy?" not in text
    assert "has the swept file, cross.yaml" in text


@pytest.mark.parametrize("name", ["../runs", "none/1", "/etc", ""])
def test_no_other_folder_is_read(dashboard: Dashboard, swept: septet.Sweep, name: str) -> None:
    assert dashboard.ask("GET", f"/sweep?sweep={name}").status == 404


def test_damaged_sweeps_end_as_messages(dashboard: Dashboard, swept: septet.Sweep) -> None:
    key = key_of(dashboard)
    folder = dashboard.root.parent / "sweeps" / key
    whole = json.loads((folder / "manifest.json").read_text())
    hostile = "<script>alert(1)</script>\x1b[2J" + "x" * 5_000
    for manifest in (
        {}, {**whole, "goal": "money"}, {**whole, "space": 5}, {**whole, "space": {"over": [1]}},
    ):  # fmt: skip
        (folder / "manifest.json").write_text(json.dumps(manifest))
        answer = dashboard.ask("GET", f"/sweep?sweep={key}")
        assert answer.status in (200, 404)
        assert "Internal" not in answer.text
    (folder / "manifest.json").write_text(json.dumps({**whole, "strategy": hostile}))
    text = dashboard.ask("GET", f"/sweep?sweep={key}").text
    assert "<script>alert" not in text
    assert "\x1b" not in text
    assert "x" * 1_000 not in text
    (folder / "settings.parquet").write_bytes(b"PAR1nothingPAR1")
    assert dashboard.ask("GET", f"/sweep?sweep={key}").status == 404
    (folder / "manifest.json").write_text("{")
    assert "Damaged" in dashboard.ask("GET", "/sweeps").text
    (folder / "settings.parquet").unlink()
    (folder / "settings.parquet").symlink_to("/etc/passwd")
    assert dashboard.ask("GET", f"/sweep?sweep={key}").status == 404


def many(folder: Path, rows: int) -> None:
    """Let a stored sweep have so many settings; the last one is the best, the first has none."""
    table = pl.read_parquet(folder / "settings.parquet")
    number = pl.int_range(rows).cast(table["setting"].dtype)
    table.select(pl.all().gather(pl.int_range(rows) % table.height)).with_columns(
        setting=number, sharpe=pl.when(number > 0).then(number / rows)
    ).write_parquet(folder / "settings.parquet")


def test_a_large_sweep_is_sorted_in_its_file_and_not_judged(
    dashboard: Dashboard, swept: septet.Sweep
) -> None:
    """PSR, DSR and overfitting of 90,000 settings took a minute and a half of a processor."""
    key = key_of(dashboard)
    folder = dashboard.root.parent / "sweeps" / key
    many(folder, MOST_JUDGED)
    assert "verfitting probability" in dashboard.ask("GET", f"/sweep?sweep={key}").text
    many(folder, MOST_JUDGED + 1)
    text = html.unescape(dashboard.ask("GET", f"/sweep?sweep={key}").text)
    assert f"Best by Sharpe ratio: setting {MOST_JUDGED:,} (" in text
    assert "computes PSR, DSR and the overfitting probability of up to 5,000 settings" in text
    assert text.count("<svg") >= 3
    first = re.findall(r"setting ([\d,]+)</a>", text)
    assert first == [f"{MOST_JUDGED - each:,}" for each in range(20)]
    link = re.search(r'<a href="([^"]+)">Worse ones', text)
    assert link is not None
    second = html.unescape(dashboard.ask("GET", link[1]).text)
    assert re.findall(r"setting ([\d,]+)</a>", second)[0] == f"{MOST_JUDGED - 20:,}"
    assert "Settings 21 to 40 of 5000" in second
    assert "Better ones" in second
    for given in ("99999999", "-1", "x", "1" * 40, "²"):
        assert dashboard.ask("GET", f"/sweep?sweep={key}&from={quote(given)}").status == 200


def test_a_sweep_that_is_too_large_is_refused_before_its_rows_are_read(
    dashboard: Dashboard, swept: septet.Sweep
) -> None:
    folder = dashboard.root.parent / "sweeps" / key_of(dashboard)
    many(folder, MOST_CELLS // 5 + 1)
    answer = dashboard.ask("GET", f"/sweep?sweep={key_of(dashboard)}")
    assert answer.status == 404
    assert "has 1,000,001 settings of 2 keys, and a page shows at most 1,000,000" in answer.text


@pytest.mark.parametrize("rows", [6, MOST_JUDGED + 1])
def test_a_server_that_ends_ends_the_work_for_a_page(
    dashboard: Dashboard, swept: septet.Sweep, rows: int
) -> None:
    """Each part of the work asks, so that one request keeps no process for longer than a part."""
    folder = dashboard.root.parent / "sweeps" / key_of(dashboard)
    many(folder, rows)
    asked: list[int] = []
    sweep_view(folder, stop=lambda: asked.append(1))
    assert len(asked) >= 5
    for part in range(len(asked)):
        left = iter([None] * part)

        def stop(left: Iterator[None] = left) -> None:
            if next(left, 0) == 0:
                raise Cancelled("the server is ending")

        with pytest.raises(Cancelled):
            sweep_view(folder, stop=stop)
