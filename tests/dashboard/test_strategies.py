"""Strategies as pages: files of the folder only, the checker's marks, origins, and plugins."""

from __future__ import annotations

import html
import sys
from pathlib import Path

import pytest

from septet._dashboard.accounts import accounts_file, add_user
from septet._dashboard.serve import make_server
from septet._jobs import bounds
from septet.errors import InputError
from tests.dashboard.browser import Browser
from tests.dashboard.conftest import Dashboard, listening_to
from tests.report.reading import needs_chromium

TEXT = """\
version: 1
name: cross
account: {capital: 10000, currency: USD}
universe: {symbols: [BTC/USD], bar: 15m}
data:
  candles: {use: sample}
features:
  fast: {use: sma, period: 8}
  slow: {use: sma, period: 32}
signal: {use: rules, long_if: fast > slow}
risk: {sizing: {use: fixed_fraction, fraction: 50%}}
"""
WRONG = TEXT.replace("period: 32", "perod: 32")
PASSWORD = "correct horse battery"
HOSTILE = ("<script>alert(1)</script>", "\x1b[2J\x07", '"><b>', "x" * 10_000)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def put(dashboard: Dashboard, name: str, text: str) -> Path:
    path = dashboard.root.parent / "strategies" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def check(dashboard: Dashboard, text: str, sets: str = "", file: str = "cross.yaml") -> str:
    answer = dashboard.ask("POST", "/strategy", {"file": file, "text": text, "sets": sets})
    assert answer.status == 200, answer.text
    return answer.text


def test_the_files_of_the_folder_are_listed_and_no_others(dashboard: Dashboard) -> None:
    dashboard.log_in()
    path = put(dashboard, "cross.yaml", TEXT)
    put(dashboard, "deep/other.yml", TEXT)
    put(dashboard, ".hidden/secret.yaml", TEXT)
    put(dashboard, "runs/cross/1/strategy.yaml", TEXT)
    outside = dashboard.root.parent / "outside.yaml"
    outside.write_text(TEXT, encoding="utf-8")
    path.with_name("link.yaml").symlink_to(outside)
    text = dashboard.ask("GET", "/strategies").text
    assert "file=cross.yaml" in text
    assert "deep/other.yml" in text
    assert not [each for each in ("secret", "link.yaml", "runs/cross") if each in text]
    for name in ("../outside.yaml", "link.yaml", "/etc/passwd", ".hidden/secret.yaml"):
        assert dashboard.ask("GET", f"/strategy?file={name}").status == 404
    assert TEXT in html.unescape(dashboard.ask("GET", "/strategy?file=cross.yaml").text)


def test_a_wrong_text_is_marked_where_it_is_wrong(dashboard: Dashboard) -> None:
    dashboard.log_in()
    path = put(dashboard, "cross.yaml", TEXT)
    found = check(dashboard, WRONG)
    assert 'data-line="9"' in found
    assert "features.slow" in found
    assert "period" in found
    assert "did you mean" in found
    assert path.read_text(encoding="utf-8") == TEXT


def test_a_right_text_shows_every_value_with_its_origin(dashboard: Dashboard) -> None:
    dashboard.log_in()
    put(dashboard, "cross.yaml", TEXT)
    found = check(dashboard, TEXT, "features.fast.period=9\r\n\r\n")
    assert "No errors" in found, found
    row = found[found.index(">features.fast.period<") :][:200]
    assert ">9</td>" in row
    assert "--set" in row
    assert "cross.yaml:9:" in found[found.index(">features.slow.period<") :][:200]


def test_settings_that_cannot_be_read_are_all_reported(dashboard: Dashboard) -> None:
    dashboard.log_in()
    put(dashboard, "cross.yaml", TEXT)
    found = check(dashboard, TEXT, "no equals sign\nalso none")
    assert found.count("this setting cannot be read") == 2


def test_a_text_that_leads_out_of_the_folder_is_not_read(dashboard: Dashboard) -> None:
    dashboard.log_in()
    put(dashboard, "cross.yaml", TEXT)
    away = TEXT.replace("{use: sample}", "{use: csv, path: ../outside.csv}")
    assert "leads out of the workspace" in check(dashboard, away)
    venue = TEXT.replace("{use: sample}", "{use: store}")
    assert "not used here" in check(dashboard, venue)
    form = {"file": "../other.yaml", "text": TEXT, "sets": ""}
    assert dashboard.ask("POST", "/strategy", form).status == 400


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_names_stay_text(dashboard: Dashboard, hostile: str) -> None:
    dashboard.log_in()
    put(dashboard, "cross.yaml", TEXT)
    put(dashboard, "<b>bold.yaml", TEXT)
    for text in (TEXT.replace("name: cross", f"name: '{hostile}'"), f"'{hostile}': 1\n", hostile):
        found = check(dashboard, text, f"{hostile}=1")
        outside = found[: found.index("<textarea")] + found[found.rindex("</textarea>") :]
        assert "<script>alert" not in found
        assert '"><b>' not in found
        assert "\x1b" not in outside
        assert "x" * 1_000 not in outside
    assert "<b>" not in dashboard.ask("GET", "/strategies").text


def test_who_may_only_view_checks_nothing(dashboard: Dashboard) -> None:
    put(dashboard, "cross.yaml", TEXT)
    form = {"file": "cross.yaml", "text": TEXT}
    assert dashboard.ask("POST", "/strategy", form).status == 401
    add_user(accounts_file(), "vera", "view", PASSWORD)
    answer = dashboard.ask("POST", "/login", {"name": "vera", "password": PASSWORD})
    dashboard.cookie = answer.headers["set-cookie"].partition(";")[0]
    shown = dashboard.ask("GET", "/strategy?file=cross.yaml")
    assert (shown.status, "<button>Check</button>" in shown.text) == (200, False)
    assert dashboard.ask("POST", "/strategy", form).status == 403


def test_a_text_too_large_is_refused(dashboard: Dashboard) -> None:
    dashboard.log_in()
    put(dashboard, "cross.yaml", TEXT)
    assert "the limit is 200,000" in check(dashboard, "x" * 210_000)
    form = {"file": "cross.yaml", "text": "#" * 700_000}
    assert dashboard.ask("POST", "/strategy", form).status == 413


@pytest.mark.skipif(sys.platform != "linux", reason="the bound of memory is Linux's")
def test_a_check_that_takes_too_much_memory_ends_its_process_and_not_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "memory_bytes", lambda: 1 << 30)
    (tmp_path / "strategies").mkdir()
    large = TEXT.replace("{use: sample}", "{use: synthetic, bars: 10000000}").replace("15m", "1m")
    with listening_to(tmp_path / "runs", tmp_path / "strategies", check=None) as served:
        served.log_in()
        put(served, "cross.yaml", TEXT)
        assert "0.5 GiB of memory" in check(served, large)
        found = check(served, TEXT, "features.fast.period=9")
        assert "No errors" in found
        assert "cross.yaml:9:" in found[found.index(">features.slow.period<") :][:200]


def test_plugins_are_listed(dashboard: Dashboard) -> None:
    dashboard.log_in()
    text = dashboard.ask("GET", "/plugins").text
    assert ">rsi</td>" in text
    assert "built in" in text


def test_a_path_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        make_server(tmp_path, 0, print, strategies=tmp_path / "none")


@needs_chromium
def test_a_click_selects_the_place_in_the_text(dashboard: Dashboard, tmp_path: Path) -> None:
    put(dashboard, "cross.yaml", WRONG)
    with Browser(tmp_path / "profile") as browser:
        browser.log_in(dashboard.host, dashboard.codes[-1])
        browser.open(f"http://{dashboard.host}/strategy?file=cross.yaml")
        browser.submit('form[action="/strategy"]')
        browser.run("document.querySelector('a[data-line=\"9\"]').click()")
        chosen = browser.run(
            "(() => { const t = document.getElementById('text');"
            " return t.value.slice(t.selectionStart, t.selectionEnd); })()"
        )
        assert chosen.startswith("perod: 32")
        assert browser.console == []
