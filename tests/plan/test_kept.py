"""Texts kept on disk: never stale, never read when damaged, optional."""

from __future__ import annotations

import pytest

from septet._cache_folder import cache_folder
from septet._host import sources
from septet._plan import plan_text as plan_text
from septet._plan import stored_texts
from septet._shell.session import plan_of
from tests.core.world import load_text

SMALL = """\
version: 1
name: small
universe: {symbols: [BTC/USDT], bar: 1h}
data: {candles: {use: synthetic}}
features:
  fast: {use: sma, period: 20}
signal: {use: rules, long_if: close > fast, exit_if: close < fast}
risk:
  sizing: {use: fixed_fraction, fraction: 50%}
"""


@pytest.fixture
def rendered(tmp_path, monkeypatch):
    """Return what was rendered, not read; the folder of texts is empty."""
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path))
    calls: list[str] = []

    def render(*parts, **named):
        calls.append(plan_text.render_text(*parts, **named))
        return calls[-1]

    monkeypatch.setattr(stored_texts, "render_text", render)
    return calls


def text(body=SMALL, **options):
    return plan_of(load_text(body), **options).assembly.text


def files():
    return sorted((cache_folder() / "texts").iterdir())


def test_a_text_is_rendered_once_and_read_afterwards(rendered):
    first = text()
    assert text() == first == rendered[0]
    assert text(SMALL.replace("period: 20", "period: 31")) == first  # values are parameters
    assert len(rendered) == len(files()) == 1


def test_whatever_changes_a_text_changes_its_name(rendered):
    bodies = (SMALL, SMALL.replace("close > fast", "close >= fast"), SMALL.replace("sma", "ema"))
    assert len({text(body) for body in bodies}) == 3
    assert text(tables=False) not in {text(body) for body in bodies}
    assert len(rendered) == len(files()) == 4


def test_another_rule_or_planner_is_another_text(rendered, monkeypatch):
    text()
    digest = sources.package_digest
    assert set(stored_texts.SOURCES) >= {"septet._plan", "septet._rules", "septet._kernel"}
    for changed in stored_texts.SOURCES:
        with monkeypatch.context() as patch:
            patch.setattr(
                stored_texts,
                "package_digest",
                lambda name, one=changed: digest(name) + "!" * (name == one),
            )
            text()
    assert len(rendered) == 1 + len(stored_texts.SOURCES)


@pytest.mark.parametrize("damage", [b"", b"half", b"\xff\xfe\n", None])
def test_a_damaged_text_is_rendered_again(rendered, damage):
    first = text()
    (path,) = files()
    path.write_bytes(path.read_bytes()[:-40] if damage is None else damage)
    assert text() == first
    assert len(rendered) == 2
    assert text() == first
    assert len(rendered) == 2


def test_where_nothing_can_be_written_every_process_renders(rendered, monkeypatch, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be", encoding="utf-8")
    monkeypatch.setenv("SEPTET_CACHE", str(blocked))
    assert text() == text()
    assert len(rendered) == 2
