"""Checks of a package in the command line: one budget, progress on a terminal, nothing kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from septet._cli.plugins import plugins
from septet._config import load
from septet.testing import budget
from tests.strangers.package import STRATEGY, installed, manifest_of, write_package
from tests.strangers.steps import HEAD

STEPS = "".join(
    f"\n@feature(Plain)\ndef {name}(i, close, share):\n    return close[i] * {k}.0\n"
    for k, name in enumerate(("first", "second", "third"))
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path / "cache"))


def package(folder: Path) -> Path:
    names = dict.fromkeys(("first", "second", "third"), ("features", "feature"))
    files = {
        "steps.py": f"{HEAD}{STEPS}\n# {folder}\n", "manifest.py": manifest_of("odd_many", names),
    }  # fmt: skip
    write_package(folder, "odd-many", files)
    path = folder / "strategy.yaml"
    blocks = "{use: first}\n  b: {use: second}\n  c: {use: third}"
    path.write_text(STRATEGY.format(plugins="plugins: [odd-many]", feature=blocks), "utf-8")
    return path


class Spends(budget.Budget):
    """A budget that the first check takes whole."""

    def run(self, check: Callable[[], Any], place: str = "") -> Any:
        try:
            return super().run(check, place)
        finally:
            self.used_s = self.total_s


def test_the_plugins_of_a_file_share_the_time_and_are_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = package(tmp_path)
    with installed(tmp_path, "odd_many"):
        with monkeypatch.context() as less:
            less.setattr(budget, "Budget", Spends)
            found = load(path)
            assert [each.state for each in found.verdicts] == ["not tried"] * 3
            assert "was not begun" in found.verdicts[2].untried[0]
        assert [each.state for each in load(path).verdicts] == ["kept"] * 3


def test_the_whole_kit_shares_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path)
    monkeypatch.setattr(budget, "Budget", Spends)
    with installed(tmp_path, "odd_many"):
        printed = CliRunner().invoke(plugins, ["check", "odd-many"]).output
    assert printed.count("not tried: odd-many:") == 3
    assert "0 of 3 plugins keep their promises, 3 could not be tried" in printed


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_is_reported_where_a_terminal_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    from septet._cli import plugins as module

    package(tmp_path)
    monkeypatch.setattr(budget, "Budget", Spends)
    monkeypatch.setattr(module, "is_terminal", lambda: is_terminal)
    with installed(tmp_path, "odd_many"):
        result = CliRunner().invoke(plugins, ["check", "odd-many", "--json"])
    reported = [f"checking odd-many:{name}" in result.stderr for name in ("first", "third")]
    assert reported == [is_terminal] * 2
    assert "checking" not in result.stdout
