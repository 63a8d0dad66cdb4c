"""What the README shows is what a reader gets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from septet.cli import COMMANDS, _import, main

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _snippets(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strategy.yaml").write_text(_snippets("yaml")[0], encoding="utf-8")
    return tmp_path


def _septet(*words: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return int(stopped.value.code or 0)


def test_the_strategy_is_fifteen_lines_and_runs(folder: Path) -> None:
    assert len(_snippets("yaml")[0].strip().splitlines()) == 15
    assert _septet("check", "strategy.yaml") == 0
    assert _septet("run", "strategy.yaml", "--no-report") == 0
    assert list(folder.glob("runs/sma-cross/*/summary.json"))


def test_the_mistake_is_reported_as_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (folder / "strategy.yaml").read_text(encoding="utf-8")
    (folder / "strategy.yaml").write_text(text.replace("period: 100", "period: hundred"))
    assert _septet("check", "strategy.yaml") == 2
    assert _snippets("text")[0].strip() in capsys.readouterr().err


def test_the_commands_exist() -> None:
    named = re.findall(r"^\$ septet (\w+)", README, re.MULTILINE)
    assert named
    assert set(named) <= set(COMMANDS)
    targets = re.findall(r"^\$ make (\w+)", README, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets == ["demo", "test"]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_commands_that_need_an_exchange_are_marked() -> None:
    """The commands on a live market are run by tests/strategies/test_live_example.py instead."""
    lines = re.findall(r"^\$ septet .*$", README, re.MULTILINE)
    outside = [line for line in lines if re.search(r"--mode (paper|live)|--world", line)]
    assert len(outside) == 3
    assert [line for line in outside if "# needs an exchange" not in line] == []
    for line in lines:
        words = line.partition("#")[0].split()[1:]
        command = _import(COMMANDS[words[1]][0])
        known = {name for each in command.params for name in each.opts}
        assert {word for word in words if word.startswith("--")} <= known, line


def test_the_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_yaml_snippet_is_yaml() -> None:
    assert yaml.safe_load(_snippets("yaml")[0])["name"] == "sma-cross"
