"""The list of features: complete, summed up in a line, and importable one by one."""

from __future__ import annotations

from pathlib import Path

import septet_plugins.features
from septet._host.declare import Step
from septet._host.plugin_registry import Host
from septet_plugins.features.manifest import FEATURES, septet_features


def test_there_are_forty_and_more() -> None:
    names = [component.name for component in septet_features()]
    assert len(names) >= 40
    assert len(set(names)) == len(names)


def test_each_has_a_summary_and_a_module() -> None:
    folder = Path(septet_plugins.features.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} == {*FEATURES, "__init__", "manifest"}
    for component in septet_features():
        assert 0 < len(component.summary) < 60
        assert not component.summary.endswith(".")


def test_each_shows_what_it_gives_and_what_it_remembers() -> None:
    host = Host()
    for entry in host.components("features"):
        if entry.distribution != "septet":
            continue
        declaration = host.load(entry)
        assert isinstance(declaration, Step)
        assert (declaration.config.__doc__ or "").strip(), entry.component.name
        if declaration.function is not None:
            assert (declaration.function.__doc__ or "").strip(), entry.component.name
            if declaration.state and declaration.kind == "feature":
                assert declaration.memory is not None, entry.component.name
