"""Finding plugins: names, collisions, and packages that do not import."""

from __future__ import annotations

import importlib
import importlib.metadata
import itertools
import os
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import septet_plugins.manifest
from septet._config.load import load
from septet._host.plugin_registry import Host
from septet.errors import ConfigError, PluginError
from septet.hookspecs import Component, hookimpl

SMALLEST = Path(__file__).parents[1] / "config" / "valid" / "smallest.yaml"
SMA = "septet_plugins.features.averages:sma"


def manifest(*components: Component) -> Any:
    @hookimpl
    def septet_features() -> list[Component]:
        return list(components)

    return SimpleNamespace(septet_features=septet_features, __name__="made")


def host(*strangers: tuple[str, Any]) -> Host:
    ours = ("septet", "1", septet_plugins.manifest)
    return Host([ours, *((name, "1", made) for name, made in strangers)])


def test_a_name_alone_means_septets_whoever_else_has_it() -> None:
    both = host(("other-package", manifest(Component("features", "sma", SMA, "feature"))))
    assert both.find("features", "sma").distribution == "septet"
    assert both.find("features", "sma", scope=("other-package",)).distribution == "septet"
    assert both.find("features", "other-package:sma").distribution == "other-package"
    assert both.find("features", "Other_Package:sma").distribution == "other-package"


def test_a_collision_of_strangers_names_both_and_the_way_out() -> None:
    names = ("one-package", "two-package")
    both = host(*((name, manifest(Component("features", "own", SMA, "feature"))) for name in names))
    with pytest.raises(PluginError) as caught:
        both.find("features", "own", scope=names)
    message = "features plugin 'own' is declared by one-package and two-package"
    assert caught.value.message == message
    assert caught.value.hint == "write use: one-package:own or use: two-package:own"
    assert both.find("features", "own", scope=names[:1]).distribution == "one-package"


def test_a_package_that_brings_a_name_of_ours_breaks_no_file(tmp_path: Path) -> None:
    alone = load(SMALLEST, host=host())
    both = host(("other-package", manifest(Component("features", "sma", SMA, "feature"))))
    beside = load(SMALLEST, host=both)
    assert beside.resolved == alone.resolved
    assert beside.warnings == alone.warnings
    assert beside.strategy.features["fast"].distribution == "septet"


def strategy_with(tmp_path: Path, use: str, *listed: str) -> Path:
    text = SMALLEST.read_text(encoding="utf-8").replace("use: sma", f"use: {use}", 1)
    path = tmp_path / "strategy.yaml"
    head = f"plugins: [{', '.join(listed)}]\n" if listed else ""
    path.write_text(head + text, encoding="utf-8")
    return path


def test_a_name_of_an_unlisted_package_shows_what_to_write(tmp_path: Path) -> None:
    both = host(("other-package", manifest(Component("features", "own", SMA, "feature"))))
    path = strategy_with(tmp_path, "own")
    with pytest.raises(ConfigError) as caught:
        load(path, host=both)
    (found,) = (each for each in caught.value.problems if "does not list" in each.message)
    assert (found.line, found.key) == (7, "features.fast.use")
    assert "comes from other-package, which the file does not list" in found.message
    assert "plugins: [other-package]" in found.hint
    assert "use: other-package:own" in found.hint
    for right in (("own", "other-package >=1"), ("other-package:own",)):
        loaded = load(strategy_with(tmp_path, *right), host=both)
        assert loaded.strategy.features["fast"].distribution == "other-package"


def test_a_listed_package_with_a_name_of_ours_is_reported(tmp_path: Path) -> None:
    both = host(("other-package", manifest(Component("features", "sma", SMA, "feature"))))
    loaded = load(strategy_with(tmp_path, "sma", "other-package"), host=both)
    assert loaded.strategy.features["fast"].distribution == "septet"
    reported = [each.message for each in loaded.warnings if "means septet's" in each.message]
    assert len(reported) == 2  # fast and slow
    loaded = load(strategy_with(tmp_path, "septet:sma", "other-package"), host=both)
    assert loaded.strategy.features["fast"].use == "sma"


def test_rules_that_ask_for_a_plugin_know_it_by_either_name(tmp_path: Path) -> None:
    text = SMALLEST.read_text(encoding="utf-8")
    assert "use: fixed_fraction" in text
    path = tmp_path / "strategy.yaml"
    path.write_text(text.replace("use: fixed_fraction", "use: septet:fixed_fraction"), "utf-8")
    loaded = load(path, host=host())
    assert loaded.strategy.risk.sizing.use == "fixed_fraction"
    assert loaded.resolved == load(SMALLEST, host=host()).resolved


def test_an_unknown_name_gets_the_closest() -> None:
    with pytest.raises(PluginError) as caught:
        host().find("features", "smma")
    assert caught.value.message == "unknown features plugin 'smma'"
    assert "did you mean sma" in caught.value.hint
    with pytest.raises(PluginError) as caught:
        host().find("features", "expression")
    assert caught.value.hint == "did you mean expr?"


def test_settings_without_a_validator_fail_when_their_plugin_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "septet_odd_settings.py").write_text(
        "from septet.plugin import Config, feature\n\n\n"
        "class Odd:\n    pass\n\n\n"
        "class Settings(Config):\n    odd: Odd | None = None\n\n\n"
        "@feature(Settings)\ndef step(i, close):\n    return close[i]\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    odd = Component("features", "odd", "septet_odd_settings:step", "feature")
    both = host(("other-package", manifest(odd)))
    for _ in range(2):
        with pytest.raises(PluginError, match="cannot be imported") as caught:
            both.declaration("features", "odd")
        assert "Odd" in caught.value.message
    assert both.declaration("features", "sma").config.__pydantic_complete__


def test_a_plugin_that_fails_to_import_is_named_and_the_others_work() -> None:
    broken = Component("features", "broken", "septet_no_such_module:step", "feature")
    both = host(("other-package", manifest(broken)))
    with pytest.raises(PluginError) as caught:
        both.declaration("features", "broken")
    assert "features plugin 'broken' of other-package cannot be imported" in caught.value.message
    assert "ModuleNotFoundError" in caught.value.message
    assert both.declaration("features", "sma").parameters


def test_a_manifest_that_fails_to_import_is_reported_and_the_others_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken:
        value = "other_package.manifest"
        dist = SimpleNamespace(name="other-package", version="1")

        def load(self) -> Any:
            raise ImportError("no module named 'something'")

    real = importlib.metadata.entry_points(group="septet")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [*real, Broken()])
    found = Host()
    assert [each.distribution for each in found.failures] == ["other-package"]
    assert "something" in found.failures[0].reason
    assert found.find("features", "sma").distribution == "septet"
    with pytest.raises(PluginError, match="other-package failed to load"):
        found.find("features", "theirs")


def raises() -> list[Component]:
    raise ValueError("nothing is ready")


def raising(kind: type[BaseException]) -> Any:
    def hook() -> list[Component]:
        raise kind

    return hook


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"septet_features": raises}, "septet_features failed: ValueError: nothing is ready"),
    ({"septet_features": lambda: None}, "septet_features returned nothing"),
    ({"septet_risk": lambda: "cap"}, "septet_risk returned a str"),
    ({"septet_risk": lambda: [3]}, "septet_risk returned a int among its components"),
    ({"septet_features": lambda layer: []}, "septet_features failed: TypeError"),
    (
        {"septet_features": lambda: [Component("signals", "own", SMA, "signal")]},
        "septet_features declares 'own' for layer 'signals', expected 'features'",
    ),
    (
        {"septet_risk": lambda: [Component("risk", "own", SMA)]},
        "septet_risk declares 'own' of kind None; kinds: sizing, limit, stop, halt",
    ),
    (
        {"septet_features": lambda: [Component("features", "own", SMA)] * 2},
        "septet_features declares 'own' twice",
    ),
    *(
        (
            {"septet_features": lambda name=name: [Component("features", name, SMA, "feature")]},
            f"septet_features declares a component whose name is {found}",
        )
        for name, found in (
            (7, "a int"),
            (None, "a NoneType"),
            (b"own", "a bytes"),
            ("", "''"),
            ("a/b", "'a/b'"),
            ("..", "'..'"),
            ("x" * 5_000, "of 5,000 characters"),
            ("own\nerror: x", "'own\\nerror"),
            (["own"], "a list"),
            ("own" + "\u202e", "'own\\u202e'"),
        )
    ),
    (
        {"septet_features": lambda: [Component("features", "own", 3, "feature")]},  # type: ignore
        "septet_features declares 'own' with a target that is a int",
    ),
    (
        {"septet_features": lambda: [Component("features", "own", SMA, ["feature"])]},  # type: ignore
        "septet_features declares 'own' of kind ['feature']",
    ),
    (
        {"septet_features": lambda: [Component("features", "own", SMA, "feature", 3)]},  # type: ignore
        "septet_features declares 'own' with a summary that is a int",
    ),
    (
        {"septet_features": lambda: itertools.repeat(Component("features", "own", SMA))},
        "septet_features returned more than 10,000 components",
    ),
    *(
        ({"septet_features": raising(error)}, f"septet_features failed: {error.__name__}")
        for error in (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError, RecursionError)
    ),
    (
        {"septet_feature": hookimpl(lambda: [])},
        "septet_feature is no hook of septet; expected septet_features",
    ),
]


@pytest.mark.parametrize(("hooks", "reason"), FAULTS, ids=range(len(FAULTS)))
def test_a_broken_package_is_set_aside_and_named(hooks: dict[str, Any], reason: str) -> None:
    good = manifest(Component("features", "own", SMA, "feature"))
    broken = SimpleNamespace(
        __name__="broken",
        **{"septet_data": lambda: [Component("data", "x", SMA, "series")]} | hooks,
    )
    found = host(("broken-package", broken), ("good-package", good))
    (failure,) = found.failures
    assert failure.distribution == "broken-package"
    assert reason in failure.reason
    assert found.find("features", "own").distribution == "good-package"
    assert "x" not in found.names("data")
    assert load(SMALLEST, host=found).strategy.features["fast"].distribution == "septet"


def test_the_line_of_a_hook_that_fails_is_reported() -> None:
    (failure,) = host(("broken", SimpleNamespace(__name__="b", septet_data=raises))).failures
    assert f"{Path(__file__).name}:{raises.__code__.co_firstlineno + 1})" in failure.reason


def test_a_file_that_lists_a_broken_package_is_refused_with_its_line(tmp_path: Path) -> None:
    broken = SimpleNamespace(__name__="broken", septet_features=lambda: None)
    with pytest.raises(ConfigError) as caught:
        load(
            strategy_with(tmp_path, "sma", "broken-package"), host=host(("broken-package", broken))
        )
    (found,) = caught.value.problems
    assert (found.line, found.key) == (1, "plugins.0")
    assert "the plugins of broken-package cannot be used" in found.message
    assert "septet_features returned nothing" in found.message


@pytest.mark.parametrize(
    ("name", "version"), [(None, "1"), ("../up", "1"), ("x" * 300, "1"), ("x", 1)]
)
def test_a_distribution_with_an_impossible_name_is_set_aside(name: Any, version: Any) -> None:
    good = manifest(Component("features", "own", SMA, "feature"))
    found = Host([("septet", "1", septet_plugins.manifest), (name, version, good)])
    assert [each.distribution for each in found.failures] == [str(name)]
    assert "own" not in found.names("features")


def test_an_interrupt_from_the_keyboard_is_no_fault_of_the_package() -> None:
    def hook() -> list[Component]:
        os.kill(os.getpid(), signal.SIGINT)
        return []

    # Python's own handler, which a process that a script began in the background does not have
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            host(("slow-package", SimpleNamespace(__name__="slow", septet_features=hook)))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_module_that_raises_what_ends_processes_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ending:
        value = "other_package.manifest"
        dist = SimpleNamespace(name="other-package", version="1")

        def load(self) -> Any:
            raise KeyboardInterrupt

    class Damaged:
        value = "damaged.manifest"

        @property
        def dist(self) -> Any:
            raise KeyError("Name")

    real = importlib.metadata.entry_points(group="septet")
    points = [Damaged(), Ending(), *real]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points)
    found = Host()
    assert [each.distribution for each in found.failures] == ["damaged.manifest", "other-package"]
    assert found.find("features", "sma").distribution == "septet"


def test_a_package_is_seen_as_soon_as_it_is_installed_and_no_longer_than_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment is read again whenever the search path or a folder on it changes."""

    def theirs() -> list[str]:
        return [name for name in Host().versions() if name.startswith("seen-")]

    def install(folder: Path, name: str, version: str) -> Path:
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        facts = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (info / "METADATA").write_text(facts, encoding="utf-8")
        entry = f"[septet]\nplugins = {name.replace('-', '_')}\n"
        (info / "entry_points.txt").write_text(entry, encoding="utf-8")
        text = "from septet.hookspecs import Component, hookimpl\n\n\n@hookimpl\n"
        text += "def septet_features():\n"
        text += f'    return [Component("features", "own", "{SMA}", "feature")]\n'
        (folder / f"{name.replace('-', '_')}.py").write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        return info

    assert theirs() == []
    install(tmp_path, "seen-before", "1")
    assert theirs() == [], "its folder is not on the path"
    monkeypatch.syspath_prepend(tmp_path)
    assert theirs() == ["seen-before"]
    info = install(tmp_path, "seen-later", "1")
    assert theirs() == ["seen-before", "seen-later"]
    info.rename(info.with_name("seen_later-2.dist-info"))
    (tmp_path / "seen_later-2.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: seen-later\nVersion: 2\n", encoding="utf-8"
    )
    assert Host().versions()["seen-later"] == "2"
    shutil.rmtree(tmp_path / "seen_later-2.dist-info")
    assert theirs() == ["seen-before"]


def test_the_environment_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    real, read = importlib.metadata.entry_points, list[str]()

    def counted(group: str) -> Any:
        read.append(group)
        return real(group=group)

    monkeypatch.setattr(importlib.metadata, "entry_points", counted)
    assert [Host().versions() for _ in range(3)] == [Host().versions()] * 3
    assert read == ["septet"]
