"""Every hook: it is documented, a stranger's implementation of it is found, and this is tested."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest

from septet._host.plugin_registry import Host
from septet.errors import PluginError
from septet.hookspecs import HOOK_OF_LAYER, LAYERS, Component, HookSpecs, Kind, Layer, hookimpl

ROOT = Path(__file__).resolve().parents[1]
HOOKS = sorted(name for name in vars(HookSpecs) if name.startswith("septet_"))
PLUGINS = {f"a_{kind}": SimpleNamespace(kind=kind) for kind in get_args(Kind)}
other_feature = SimpleNamespace(kind="feature")


def __getattr__(name: str) -> SimpleNamespace:
    """Bring a plugin of each kind, as an import of `tests.test_hooks:a_<kind>` finds it."""
    if name not in PLUGINS:
        raise AttributeError(name)
    return PLUGINS[name]


def _host(layer: Layer, *kinds: Kind) -> Host:
    """Build a host with one foreign package that implements one hook."""

    @hookimpl
    def implementation() -> Sequence[Component]:
        return [Component(layer, kind, f"{__name__}:a_{kind}", kind) for kind in kinds]

    manifest = SimpleNamespace(__name__="foreign", **{HOOK_OF_LAYER[layer]: implementation})
    return Host([("foreign", "1.0", manifest)])


def _answers(layer: Layer, *kinds: Kind) -> None:
    """Each kind of the hook is listed, found by name and by distribution, and loaded."""
    host = _host(layer, *kinds)
    assert host.names(layer) == sorted(kinds)
    for kind in kinds:
        found = host.find(layer, kind, kind)
        assert found == host.find(layer, f"foreign:{kind}", kind)
        assert (found.distribution, found.version) == ("foreign", "1.0")
        assert host.load(found) is PLUGINS[f"a_{kind}"]
        for other in LAYERS:
            if other != layer:
                with pytest.raises(PluginError, match="unknown"):
                    host.find(other, kind)


def test_septet_data() -> None:
    _answers("data", "candles", "series")


def test_septet_features() -> None:
    _answers("features", "feature")


def test_septet_models() -> None:
    _answers("models", "model")


def test_septet_signals() -> None:
    _answers("signals", "signal", "regime")


def test_septet_risk() -> None:
    _answers("risk", "sizing", "limit", "stop", "halt")


def test_septet_execution() -> None:
    _answers("execution", "venue", "order")


def test_septet_monitoring() -> None:
    _answers("monitoring", "monitor", "alerts")


def test_septet_commands() -> None:
    _answers("commands", "command")


@pytest.mark.parametrize("hook", HOOKS)
def test_hook_has_a_test(hook: str) -> None:
    assert hasattr(sys.modules[__name__], f"test_{hook}")


@pytest.mark.parametrize("hook", HOOKS)
def test_hook_is_documented(hook: str) -> None:
    specification: Any = getattr(HookSpecs, hook)
    assert inspect.getdoc(specification)
    guide = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    assert f"`{hook}`" in guide, f"docs/plugins.md does not mention {hook}"


def test_every_layer_has_its_hook() -> None:
    assert sorted(HOOK_OF_LAYER.values()) == HOOKS
    assert set(HOOK_OF_LAYER) == set(LAYERS)


def test_a_hook_takes_no_arguments() -> None:
    for hook in HOOKS:
        assert list(inspect.signature(getattr(HookSpecs, hook)).parameters) == ["self"], hook


def test_a_component_in_the_wrong_hook_is_refused_by_name() -> None:
    @hookimpl
    def septet_features() -> Sequence[Component]:
        return [Component("risk", "cap", "nowhere:cap", "limit")]

    manifest = SimpleNamespace(__name__="foreign", septet_features=septet_features)
    host = Host([("foreign", "1.0", manifest)])
    (failure,) = host.failures
    assert failure.distribution == "foreign"
    assert "septet_features declares 'cap' for layer 'risk', expected 'features'" in failure.reason
    assert host.components() == []


def test_a_name_claimed_twice_is_an_error_only_when_used() -> None:
    host = _host("features", "feature")

    @hookimpl
    def septet_features() -> Sequence[Component]:
        return [Component("features", "feature", f"{__name__}:other_feature", "feature")]

    host.register("other", "2.0", SimpleNamespace(__name__="b", septet_features=septet_features))
    with pytest.raises(PluginError) as caught:
        host.find("features", "feature")
    assert "foreign and other" in str(caught.value)
    assert "use: other:feature" in str(caught.value)
    assert host.load(host.find("features", "other:feature")) is other_feature
