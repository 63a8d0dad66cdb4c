"""Finding plugins: names, collisions, and packages that do not import."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import septet_plugins.manifest
from septet._config.load import load
from septet._host.register import Host
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


def test_a_collision_names_both_distributions_and_the_way_out() -> None:
    both = host(("other-package", manifest(Component("features", "sma", SMA, "feature"))))
    with pytest.raises(PluginError) as caught:
        both.find("features", "sma")
    assert caught.value.message == "features plugin 'sma' is declared by septet and other-package"
    assert caught.value.hint == "write use: septet/sma or use: other-package/sma"
    assert both.find("features", "other-package/sma").distribution == "other-package"
    assert both.find("features", "ema").distribution == "septet"


def test_a_collision_has_its_place_in_the_file(tmp_path: Path) -> None:
    both = host(("other-package", manifest(Component("features", "sma", SMA, "feature"))))
    with pytest.raises(ConfigError) as caught:
        load(SMALLEST, host=both)
    found = [each for each in caught.value.problems if "declared by" in each.message]
    assert [(each.line, each.key) for each in found] == [
        (7, "features.fast.use"),
        (8, "features.slow.use"),
    ]
    assert "septet and other-package" in found[0].message
    text = SMALLEST.read_text(encoding="utf-8").replace("use: sma", "use: septet/sma")
    chosen = tmp_path / "chosen.yaml"
    chosen.write_text(text, encoding="utf-8")
    assert load(chosen, host=both).strategy.features["fast"].distribution == "septet"


def test_an_unknown_name_gets_the_closest() -> None:
    with pytest.raises(PluginError) as caught:
        host().find("features", "smma")
    assert caught.value.message == "unknown features plugin 'smma'"
    assert "did you mean sma" in caught.value.hint


def test_a_plugin_that_fails_to_import_is_named_and_the_others_work() -> None:
    broken = Component("features", "broken", "septet_no_such_module:step", "feature")
    both = host(("other-package", manifest(broken)))
    with pytest.raises(PluginError) as caught:
        both.declaration("features", "broken")
    assert "features plugin 'broken' of other-package cannot be imported" in caught.value.message
    assert "ModuleNotFoundError" in caught.value.message
    assert both.declaration("features", "sma").parameters


def test_a_manifest_that_fails_to_import_is_told_and_the_others_work(
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


def test_a_component_in_the_wrong_hook_is_refused() -> None:
    wrong = manifest(Component("signals", "sma", SMA, "signal"))
    with pytest.raises(PluginError, match="declares 'sma' for layer 'signals'"):
        host(("other-package", wrong))
