"""``septet init``: a folder that works at once and overwrites nothing."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from septet._config import load
from tests.cli.conftest import Command


def test_the_starter_is_right_and_has_no_warning(septet: Command, tmp_path: Path) -> None:
    folder = tmp_path / "My strategy 1"
    outcome = septet("init", folder)
    assert outcome.code == 0
    assert f"septet run {folder / 'strategy.yaml'}" in outcome.out
    loaded = load(folder / "strategy.yaml")
    assert loaded.warnings == ()
    assert loaded.strategy.name == "My-strategy-1"
    assert (folder / ".gitignore").read_text(encoding="utf-8") == "runs/\n"


def test_the_starter_reads_bundled_data(septet: Command, tmp_path: Path) -> None:
    from septet._data import load_market

    septet("init", tmp_path)
    market = load_market(load(tmp_path / "strategy.yaml"))
    assert len(market.bars["BTC/USD"]) > 5_000


def test_the_starter_agrees_with_the_schema_beside_it(septet: Command, tmp_path: Path) -> None:
    septet("init", tmp_path)
    schema = json.loads((tmp_path / "strategy.schema.json").read_text(encoding="utf-8"))
    text = (tmp_path / "strategy.yaml").read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=strategy.schema.json\n")
    jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(text))


def test_nothing_is_overwritten(septet: Command, tmp_path: Path) -> None:
    path = tmp_path / "strategy.yaml"
    path.write_text("mine", encoding="utf-8")
    outcome = septet("init", tmp_path)
    assert outcome.code == 2
    assert "is there already" in outcome.err
    assert path.read_text(encoding="utf-8") == "mine"
    assert septet("init", tmp_path, "--force").code == 0
    assert path.read_text(encoding="utf-8") != "mine"


def test_a_gitignore_is_kept(septet: Command, tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.bak\n", encoding="utf-8")
    assert septet("init", tmp_path).code == 0
    assert (tmp_path / ".gitignore").read_text(encoding="utf-8") == "*.bak\n"


def test_init_as_json(septet: Command, tmp_path: Path) -> None:
    document = json.loads(septet("init", tmp_path / "a", "--json").out)
    assert document["ok"] is True
    assert "strategy.yaml" in document["files"]


def test_a_folder_that_cannot_be_made(septet: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    outcome = septet("init", tmp_path / "file" / "below")
    assert outcome.code == 2
    assert "cannot be written" in outcome.err


def test_the_starter_runs_at_once(
    septet: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    septet("init", tmp_path)
    monkeypatch.chdir(tmp_path)
    outcome = septet("run", "strategy.yaml", "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)
    (folder,) = (tmp_path / "runs").glob("*/*")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["trades"] > 10
    assert (folder / "report.html").is_file()
