"""Strategies as values: the same file gives equal ones, and a change gives another."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import septet
from septet._app.documents import problem_document
from tests.cli.conftest import Command
from tests.python.samples import TEXT, written

BROKEN = Path(__file__).parents[1] / "config" / "broken"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path)


def test_a_file_its_text_and_its_mapping_mean_the_same(file: Path) -> None:
    loaded = septet.load(file)
    assert (loaded.name, loaded.mode, loaded.text) == ("cross", "backtest", TEXT)
    assert loaded == septet.load(str(file)) == septet.loads(TEXT, base=file.parent)
    assert hash(loaded) == hash(septet.loads(TEXT, base=file.parent))
    assert septet.load(yaml.safe_load(TEXT)).hash == loaded.hash
    assert loaded != septet.loads(TEXT, base=file.parent.parent), "its data is another file"
    assert loaded != "cross"


def test_comments_change_nothing_and_values_do(file: Path) -> None:
    loaded = septet.load(file)
    assert septet.loads(f"# remark\n{TEXT}", base=file.parent) == loaded
    other = septet.loads(TEXT.replace("period: 5", "period: 6"), base=file.parent)
    assert other.hash != loaded.hash
    swept = septet.loads(TEXT + "sweep: {over: {features.fast.period: [3, 4]}}", base=file.parent)
    assert swept != loaded


@pytest.mark.parametrize("value", [6, "6", "6 bars", np.int64(6), np.uint8(6)])
def test_settings_are_laid_over_and_the_first_is_kept(file: Path, value: object) -> None:
    loaded = septet.load(file)
    changed = loaded.with_({"features.fast.period": value, "risk.sizing.fraction": "20%"})
    assert changed == septet.load(
        file, settings={"features.fast.period": 6, "risk.sizing.fraction": 0.2}
    )
    assert loaded == septet.load(file)
    assert dict(loaded.settings) == {}
    assert list(changed.settings) == ["features.fast.period", "risk.sizing.fraction"]
    assert changed.with_({"features.fast.period": 5, "risk.sizing.fraction": "50%"}) == loaded


def test_a_list_and_a_block_are_values_as_well(file: Path) -> None:
    changed = septet.load(file).with_({"universe.symbols": ("ETH/USD",), "risk.stops": {}})
    assert changed.explain().filter(path="universe.symbols")["value"].item() == "[ETH/USD]"
    stops = septet.load(file).with_({"risk.stops": {"stop_loss": "3%"}})
    assert "risk.stops.stop_loss" in str(stops.explain()["path"].to_list())


def test_what_is_reported_later_wins(file: Path) -> None:
    loaded = septet.load(file)
    stopped = loaded.with_({"risk.stops": {"stop_loss": "3%"}})
    wider = stopped.with_({"risk.stops.stop_loss": "5%"})
    assert wider == loaded.with_({"risk.stops": {"stop_loss": "5%"}})
    assert wider.with_({"risk.stops": {}}) == loaded
    assert stopped.with_({"risk.stops.stop_loss": "4%"}).with_(
        {"risk.stops": {"stop_loss": "3%"}}
    ) == stopped.with_({"risk.stops.stop_loss": "3%"})
    with pytest.raises(septet.InputError, match="a Strategy already"):
        septet.load(loaded)  # type: ignore[arg-type]


def test_every_wrong_setting_comes_at_once(file: Path) -> None:
    with pytest.raises(septet.ConfigError) as caught:
        septet.load(file).with_({"features.fast.perid": 3, "risk.sizing.fraction": "x"})
    assert {each.file for each in caught.value.problems} == {
        "--set features.fast.perid", "--set risk.sizing.fraction",
    }  # fmt: skip
    with pytest.raises(septet.ConfigError) as caught:
        septet.load(file).with_({"features.fast.period": object(), "": 3})
    assert [each.message for each in caught.value.problems] == [
        "this value cannot stand in a strategy", "this key cannot be read",
    ]  # fmt: skip


def test_a_strategy_cannot_be_changed(file: Path) -> None:
    loaded = septet.load(file)
    with pytest.raises(AttributeError):
        loaded.name = "other"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        loaded.extra = 1
    with pytest.raises(TypeError):
        loaded.settings["features.fast.period"] = 3  # type: ignore[index]
    assert {loaded: 1}[septet.load(file)] == 1


def test_explain_states_where_a_value_is_from(file: Path) -> None:
    frame = septet.load(file, settings={"features.fast.period": 7}).explain()
    assert frame.columns == ["path", "value", "origin", "line"]
    fast = frame.filter(path="features.fast.period").row(0, named=True)
    assert (fast["value"], fast["origin"]) == ("7", "--set features.fast.period")
    slow = frame.filter(path="features.slow.period").row(0, named=True)
    assert (slow["value"], slow["line"]) == ("20", 9)
    assert frame.filter(origin="default").height > 20


def test_a_saved_strategy_means_the_same(file: Path, tmp_path: Path) -> None:
    loaded = septet.load(file)
    assert loaded.save(tmp_path / "plain.yaml").read_text() == TEXT
    changed = loaded.with_({"features.fast.period": 7, "execution.simulation.fee": "20bps"})
    target = changed.save(tmp_path / "changed.yaml")
    again = septet.load(target)
    assert again == changed
    assert dict(again.settings) == {}
    with pytest.raises(septet.InputError, match="is there already"):
        changed.save(target)
    loaded.save(target, replace=True)
    assert septet.load(target) == loaded


def test_the_mode_of_a_call_wins(file: Path) -> None:
    text = TEXT + "paper: {account: {capital: 500}}\n"
    file.write_text(text)
    paper = septet.load(file, mode="paper")
    assert paper.mode == "paper"
    assert paper.explain().filter(path="account.capital")["value"].item() == "500"
    assert paper.with_({"account.capital": 7}).mode == "paper"
    with pytest.raises(septet.InputError, match="is for backtests"):
        septet.run(paper)


@pytest.mark.parametrize(
    ("call", "words", "hint"),
    [
        (lambda: septet.load(TEXT), "expected the path of a strategy file, found text", "loads"),
        (lambda: septet.load("name: x"), "found text that begins 'name: x'", "loads"),
        (lambda: septet.loads("some/cross.yaml"), "found the path 'some/cross.yaml'", "load(path)"),
        (lambda: septet.load(7), "expected a path or a mapping, found a int", "loads"),  # type: ignore[arg-type]
        (lambda: septet.loads(b"x"), "found a bytes", "load takes"),  # type: ignore[arg-type]
        (lambda: septet.load({"a": object()}), "the mapping holds what no strategy", "lists"),
        (lambda: septet.run("cross.yaml"), "expected a Strategy, found a str", "load(path)"),  # type: ignore[arg-type]
    ],
)
def test_one_thing_in_place_of_another_is_reported(call: Any, words: str, hint: str) -> None:
    with pytest.raises(septet.InputError) as caught:
        call()
    assert words in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("a\0b", "this is no path of a file"),
        ("x" * 10_000, "File name too long"),
        (".", "this is a folder"),
        ("", "this is a folder"),
        ("gone.yaml", "there is no such file"),
    ],
)
def test_a_path_that_is_none_is_a_problem(source: str, words: str) -> None:
    with pytest.raises(septet.ConfigError) as caught:
        septet.load(source)
    (problem,) = caught.value.problems
    assert words in problem.message
    assert len(problem.file) < 300
    assert septet.check(source).problems == (problem,)


def test_a_file_with_a_colon_in_its_name_is_a_file(file: Path) -> None:
    odd = file.rename(file.with_name("a: b.yaml"))
    assert septet.load(odd).name == "cross"


@pytest.mark.parametrize("wrong", ["a=b", [1], None, 7])
def test_settings_are_a_mapping(file: Path, wrong: Any) -> None:
    with pytest.raises(septet.InputError, match="expected settings by key path"):
        septet.load(file).with_(wrong)
    with pytest.raises(septet.ConfigError, match="this key cannot be read"):
        septet.load(file).with_({3: 4})  # type: ignore[dict-item]


def test_a_strategy_is_copied_and_sent_to_another_process(file: Path) -> None:
    strategy = septet.load(file, settings={"features.fast.period": 7})
    for made in (copy.deepcopy(strategy), copy.copy(strategy)):
        assert made == strategy
    assert pickle.loads(pickle.dumps(strategy)) == strategy
    assert dict(pickle.loads(pickle.dumps(strategy)).settings) == dict(strategy.settings)


def test_a_strategy_that_cannot_be_written(file: Path, tmp_path: Path) -> None:
    strategy = septet.load(file)
    for target in (tmp_path, tmp_path / "gone" / "x.yaml", "a\0b"):
        with pytest.raises(septet.InputError, match="cannot be written"):
            strategy.save(target, replace=True)


def test_problems_have_the_lines_of_the_text_and_none_in_a_mapping(tmp_path: Path) -> None:
    broken = TEXT.replace("period: 5", "perid: 5")
    with pytest.raises(septet.ConfigError) as of_text:
        septet.loads(broken)
    assert {(each.file, each.line) for each in of_text.value.problems} == {("<text>", 8)}
    with pytest.raises(septet.ConfigError) as of_mapping:
        septet.load(yaml.safe_load(broken))
    assert {(each.file, each.line) for each in of_mapping.value.problems} == {("<mapping>", 0)}
    keys = [each.key for each in of_text.value.problems]
    assert keys == [each.key for each in of_mapping.value.problems]
    for wrong in ("", " \n ", "\ud800", "a: 1\n" * 300_000):
        with pytest.raises(septet.ConfigError):
            septet.loads(wrong)


def test_check_returns_what_is_wrong(file: Path) -> None:
    good = septet.check(file)
    assert (good.ok, good.strategy) == (True, septet.load(file))
    assert septet.check(septet.load(file)).problems == good.problems
    (file.parent / "bars.csv").unlink()
    missing = septet.check(septet.load(file))
    assert not missing.ok
    assert any("bars.csv" in each.message for each in missing.problems)
    broken = septet.check({"version": 1, "name": "x"})
    assert not broken.ok
    assert broken.strategy is None
    assert len(broken.problems) > 2
    assert not septet.check(file.parent / "gone.yaml").ok
    assert not septet.check(TEXT).ok


@pytest.mark.parametrize("path", sorted(BROKEN.glob("*.yaml"))[::4], ids=lambda path: path.stem)
def test_problems_are_those_of_the_command_line(path: Path, septet_command: Command) -> None:
    printed = json.loads(septet_command("check", path, "--json").out)
    found = septet.check(path)
    assert [problem_document(each) for each in found.problems] == printed["problems"]
    assert found.ok is printed["ok"]


def test_the_sections_of_a_sweep_are_counted(file: Path) -> None:
    text = TEXT + "sweep: {over: {features.fast.period: [3, 4, 5]}}\n"
    assert septet.check(septet.loads(text, base=file.parent)).settings == 3
