"""``septet plugins``: what is installed, what it takes, and a package that passes at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import septet.cli as septet_cli
import septet_plugins.manifest
from septet._app import plugins as module
from septet._app.conformance import check_entries
from septet._host.plugin_registry import Failure, Host
from septet.hookspecs import Component
from septet.plugin import Config, Step, feature
from tests.cli.conftest import Command

HERE = "tests.cli.test_plugins"


class Peeking(Config):
    """Reads the next bar."""


@feature(Peeking)
def peeking(i, close):
    return close[i + 1]


class Undescribed(Config):
    pass


Undescribed.__doc__ = None


@feature(Undescribed)
def undescribed(i, close):
    return close[i]


class Odd(Config):
    """Asks for something nobody has."""


def _asks_too_much(requested, moon_phase):
    return requested * moon_phase


asks_too_much = Step("limit", Odd, _asks_too_much)  # past the decorator, which refuses it


STRANGER = SimpleNamespace(
    __name__="stranger",
    septet_features=lambda: [
        Component("features", "peeking", f"{HERE}:peeking", "feature"),
        Component("features", "undescribed", f"{HERE}:undescribed", "feature"),
        Component("features", "gone", "no.such.module:x", "feature"),
        Component("features", "odd", f"{HERE}:HERE", "feature"),
        Component("features", "rsi", "septet_plugins.features.oscillators:rsi", "feature"),
    ],
    septet_risk=lambda: [
        Component("risk", "asks_too_much", f"{HERE}:asks_too_much", "limit"),
        Component("risk", "position", "septet_plugins.risk.limits:position", "limit"),
    ],
)


@pytest.fixture
def strangers(monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host(manifests=[("stranger", "1.0", STRANGER)])
    host._failures.append(Failure("broken-plugin", "broken.manifest", "ImportError: no"))
    monkeypatch.setattr(module, "_host", lambda: host)
    return host


def test_list(septet: Command) -> None:
    outcome = septet("plugins", "list", "--layer", "features")
    assert outcome.code == 0
    assert any(line.split()[2:3] == ["rsi"] for line in outcome.out.splitlines())


def test_list_as_json(septet: Command) -> None:
    document = json.loads(septet("plugins", "list", "--json").out)
    rsi = next(each for each in document["plugins"] if each["name"] == "rsi")
    assert (rsi["layer"], rsi["kind"], rsi["distribution"]) == ("features", "feature", "septet")
    assert document["failures"] == []


@pytest.mark.usefixtures("strangers")
def test_list_names_what_cannot_be_loaded_and_lists_the_rest(septet: Command) -> None:
    outcome = septet("plugins", "list")
    assert outcome.code == 0
    assert "peeking" in outcome.out
    assert "broken-plugin cannot be loaded: ImportError: no" in outcome.err


def test_show(septet: Command) -> None:
    outcome = septet("plugins", "show", "rsi")
    assert outcome.code == 0
    assert "period" in outcome.out
    assert "remembers:" in outcome.out


def test_show_as_json(septet: Command) -> None:
    (kelly,) = json.loads(septet("plugins", "show", "kelly", "--json").out)
    about = {key["key"]: key["about"] for key in kelly["keys"]}
    assert set(about) == {
        "fraction", "max", "odds", "odds.window", "odds.average_win", "odds.average_loss",
        "odds.min_each",
    }  # fmt: skip
    assert all(about.values())
    assert "equity" in kelly["reads"]


def test_show_blocks_by_name(septet: Command) -> None:
    (groups,) = json.loads(septet("plugins", "show", "groups", "--json").out)
    assert [key["key"] for key in groups["keys"]] == [
        "groups", "groups.NAME.symbols", "groups.NAME.max",
    ]  # fmt: skip
    assert all(key["about"] for key in groups["keys"])


def test_show_an_unknown_plugin(septet: Command) -> None:
    outcome = septet("plugins", "show", "kely")
    assert outcome.code == 2
    assert "kelly" in outcome.err


def test_check_one_of_ours(septet: Command) -> None:
    outcome = septet("plugins", "check", "rsi")
    assert (outcome.code, outcome.out) == (0, "1 of 1 plugins keep their promises\n")


def test_check_finds_what_is_wrong(strangers: Host, septet: Command) -> None:
    outcome = septet("plugins", "check", "--json")
    assert outcome.code == 2
    results = {each["plugin"]: each for each in json.loads(outcome.out)["results"]}
    assert results["stranger:rsi"]["ok"]
    assert "no docstring" in results["stranger:undescribed"]["message"]
    assert "cannot be imported" in results["stranger:gone"]["message"]
    assert "septet.plugin" in results["stranger:odd"]["message"]
    assert not results["stranger:peeking"]["ok"]
    assert results["stranger:position"]["ok"]
    assert "moon_phase" in results["stranger:asks_too_much"]["message"]
    assert results["broken-plugin"]["message"] == "ImportError: no"


def test_check_states_how_many_failed(strangers: Host, septet: Command) -> None:
    entries = strangers.components("features")
    assert sum(each["ok"] for each in check_entries(strangers, entries)) == 1
    outcome = septet("plugins", "check", "stranger:gone")
    assert "failed: stranger:gone" in outcome.err
    assert "0 of 1" in outcome.out


def test_new_makes_a_package_whose_tests_pass(septet: Command, tmp_path: Path) -> None:
    folder = tmp_path / "my-new-plugin"
    outcome = septet("plugins", "new", folder, "--json")
    assert outcome.code == 0
    assert "src/my_new_plugin/manifest.py" in json.loads(outcome.out)["files"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_new_in_a_folder_that_is_not_empty(septet: Command, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("", encoding="utf-8")
    outcome = septet("plugins", "new", tmp_path)
    assert outcome.code == 2
    assert "is not empty" in outcome.err


def test_new_with_an_odd_name(septet: Command, tmp_path: Path) -> None:
    outcome = septet("plugins", "new", tmp_path / "123")
    assert outcome.code == 2
    assert "makes no package name" in outcome.err


@pytest.mark.parametrize("name", ["direction", "threshold", "triple_barrier"])
def test_show_knows_the_labels_of_models(septet: Command, name: str) -> None:
    [found] = json.loads(septet("plugins", "show", name, "--json").out)
    assert (found["kind"], found["name"]) == ("label", name)
    assert "horizon" in str(found["keys"]) or "time_limit" in str(found["keys"])
    assert f"did you mean {name}" in septet("plugins", "show", f"{name}x").err


def test_show_states_the_range_of_a_feature(septet: Command) -> None:
    assert "range: 0 to 100" in septet("plugins", "show", "rsi").out
    assert "range: that of of" in septet("plugins", "show", "sma").out
    assert "range of direction: -1 to 1" in septet("plugins", "show", "supertrend").out


def test_packages_with_impossible_names_and_endings_break_no_command(
    septet: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends() -> list[Component]:
        raise SystemExit(0)

    def named(name: object) -> SimpleNamespace:
        made = Component("features", name, f"{HERE}:peeking", "feature")  # type: ignore[arg-type]
        return SimpleNamespace(__name__="bad", septet_features=lambda: [made])

    bad = [
        ("seven", named(7)),
        ("long", named("x" * 5_000)),
        ("turned", named("a\nerror: b\u202e")),
    ]
    bad.append(("ending", SimpleNamespace(__name__="ending", septet_risk=ends)))
    manifests = [(name, "1.0", made) for name, made in bad]
    made = Host([("septet", "1", septet_plugins.manifest), *manifests])
    monkeypatch.setattr(module, "_host", lambda: made)
    monkeypatch.setattr(septet_cli.cli, "_host", made)
    for words in (["plugins", "list"], ["plugins", "list", "--json"], ["--help"], ["schema"]):
        outcome = septet(*words)
        assert outcome.code == 0, words
        assert "Traceback" not in outcome.err
    outcome = septet("plugins", "list")
    assert "rsi" in outcome.out
    for name, _ in bad:
        assert f"{name} cannot be loaded" in outcome.err
    assert not any(line.startswith("error: b") for line in outcome.err.splitlines())
    assert septet("plugins", "show", "rsi").code == 0
    assert septet("plugins", "show", "rsii").code == 2
