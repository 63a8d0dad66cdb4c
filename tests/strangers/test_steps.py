"""Steps in a plan: what they may not write to, and how a fault of theirs is reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from septet._config import load
from septet._plan.plain import COMPILE
from septet._shell.backtest import backtest
from septet.errors import PluginError, RunError, SeptetError
from tests.strangers.package import STRATEGY, installed, manifest_of, write_package
from tests.strangers.steps import HEAD

WRITES = """
@feature(Over{more})
def mine(i, of, period):
    of[i] = 1.0
    return of[i]
"""
CAP = """
@limit(Plain{more})
def mine(requested, notionals, share):
    notionals[0] = 0.0
    return abs(requested)
"""
RAISES = """
@feature(Over, compiled=False)
def mine(i, of, period):
    return {"a": of[i]}["b"]
"""
NO_TYPE = """
@feature(Over)
def mine(i, of, period):
    return {"a": of[i]}["a"]
"""


def ran(folder: Path, source: str, layer: str = "features", engine: str = "batch") -> Any:
    kind = "feature" if layer == "features" else "limit"
    files = {
        "steps.py": f"{HEAD}{source}\n# {folder}\n",
        "manifest.py": manifest_of("odd_steps", {"mine": (layer, kind)}),
    }
    write_package(folder, "odd-steps", files)
    feature = "{use: mine}" if layer == "features" else "{use: simple_return}"
    text = STRATEGY.format(plugins="plugins: [odd-steps]", feature=feature)
    if layer == "risk":
        text += "  limits: {mine: {share: 10%}}\n"
    path = folder / "strategy.yaml"
    path.write_text(text, encoding="utf-8")
    with installed(folder, "odd_steps"):
        return backtest(load(path, unchecked=True), engine=engine)


@pytest.mark.parametrize("engine", ["batch", "event"])
@pytest.mark.parametrize(("source", "layer"), [(WRITES, "features"), (CAP, "risk")])
def test_no_step_can_write_to_what_it_is_given(
    tmp_path: Path, source: str, layer: str, engine: str
) -> None:
    line = (HEAD + source).splitlines().index(source.splitlines()[3]) + 1
    with pytest.raises(SeptetError) as caught:
        ran(tmp_path, source.format(more=", compiled=False"), layer, engine)
    assert isinstance(caught.value, RunError)
    kind = "feature" if layer == "features" else "limit"
    assert caught.value.message.startswith(f"the {kind} mine of odd-steps failed at ")
    assert (
        f"steps.py:{line}: ValueError: assignment destination is read-only" in caught.value.message
    )


@pytest.mark.parametrize(("source", "layer"), [(WRITES, "features"), (CAP, "risk")])
def test_a_compiled_step_cannot_either(
    tmp_path: Path, source: str, layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(COMPILE, "always")
    with pytest.raises(PluginError) as caught:
        ran(tmp_path, source.format(more=""), layer)
    kind = "feature" if layer == "features" else "limit"
    assert caught.value.message.startswith(f"the {kind} mine of odd-steps cannot be compiled: ")
    assert "steps.py:" in caught.value.message
    assert "read" in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 500


def test_what_no_compiler_takes_is_reported_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(COMPILE, "always")
    with pytest.raises(PluginError) as caught:
        ran(tmp_path, NO_TYPE)
    line = (HEAD + NO_TYPE).splitlines().index(NO_TYPE.splitlines()[3]) + 1
    assert caught.value.message.startswith("the feature mine of odd-steps cannot be compiled: ")
    assert f"steps.py:{line}: " in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("engine", ["batch", "event"])
def test_an_exception_names_plugin_step_file_and_line(tmp_path: Path, engine: str) -> None:
    with pytest.raises(RunError) as caught:
        ran(tmp_path, RAISES, engine=engine)
    line = (HEAD + RAISES).splitlines().index(RAISES.splitlines()[3]) + 1
    assert caught.value.message.startswith("the feature mine of odd-steps failed at ")
    assert f"steps.py:{line}: KeyError: 'b'" in caught.value.message
