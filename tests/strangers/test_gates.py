"""What one gate refuses all refuse: the author's test, the kit's command, check, and so run."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from septet._app.conformance import check_entries
from septet._config import load
from septet._host.plugin_registry import Host
from septet.errors import ConfigError, PluginError
from septet.testing import ConformanceError, check_component, check_object, check_rule
from tests.strangers.classes import MOVING
from tests.strangers.package import STRATEGY, installed, manifest_of, write_package
from tests.strangers.steps import HEAD, RULES, UNSOUND
from tests.strangers.unplanned import UNPLANNED

LAYERS = {
    "feature": "features", "signal": "signals", "model": "models", "monitor": "monitoring",
    "alerts": "monitoring", "series": "data", "candles": "data", "venue": "execution",
}  # fmt: skip
WHERE = {
    "sizing": "  sizing: {use: broken}\n",
    "limit": "  limits: {mine: {use: broken}}\n",
    "stop": "  stops: {mine: {use: broken}}\n",
    "halt": "  halts: {mine: {use: broken}}\n",
    "monitor": "monitoring: {mine: {use: broken}}\n",
    "alerts": "monitoring: {alerts: {use: broken}}\n",
    "venue": "execution: {venues: {mine: {use: broken}}}\n",
    "model": "model: {use: broken, label: {use: direction, horizon: 2 bars}, "
    "training: {train: 5d, step: 5d, min_rows: 50}}\n",
}
DECLARED = {
    "a word that there is not": (
        "feature",
        "@feature(Over)\ndef broken(i, of, perod):\n    return of[i]\n",
        "broken asks for 'perod'",
    ),
    "a word of another kind": (
        "limit",
        "@limit(Plain)\ndef broken(requested, peak):\n    return requested\n",
        "broken asks for 'peak'",
    ),
    "a state that is not declared": (
        "feature",
        "@feature(Over)\ndef broken(i, of, state):\n    return of[i]\n",
        "it declares no state",
    ),
    "any number of words": (
        "feature",
        "@feature(Over)\ndef broken(i, *rest):\n    return 0.0\n",
        "takes *rest",
    ),
    "a halt that reads columns": (
        "halt",
        "@halt(Over)\ndef broken(equity, of):\n    return False\n",
        "the halt broken reads columns",
    ),
}
OBJECTS = {kind for kind, _, _ in MOVING.values()}
CASES: dict[str, tuple[str, str, str]] = {
    **{name: ("feature", *case) for name, case in UNSOUND.items()},
    **RULES,
    **UNPLANNED,
    **DECLARED,
    **MOVING,
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path / "cache"))


def written(folder: Path, kind: str, source: str) -> Path:
    """Write the package and a file that uses its one plugin."""
    files = {
        "steps.py": f"{HEAD}\n{source}",
        "manifest.py": manifest_of("odd_steps", {"broken": (LAYERS.get(kind, "risk"), kind)}),
    }
    write_package(folder, "odd-steps", files)
    feature = "{use: broken}" if kind == "feature" else "{use: simple_return}"
    text = STRATEGY.format(plugins="plugins: [odd-steps]", feature=feature)
    if kind == "signal":
        head, _, tail = text.partition("signal: ")
        text = f"{head}signal: {{use: broken}}\n{tail.partition(chr(10))[2]}"
    if kind == "model":
        head, _, tail = text.partition("signal: ")
        text = f"{head}signal: {{use: confidence, threshold: 0.1}}\n{tail.partition(chr(10))[2]}"
    if kind == "candles":
        text = text.replace("{use: synthetic, bars: 400, volatility: 90%}", "{use: broken}")
    if kind == "series":
        text = text.replace("data: {", "data: {mine: {use: broken, known_after: 1h}, ")
    if kind == "sizing":
        text = text.replace("  sizing: {use: fixed_fraction, fraction: 50%}\n", "")
    text = text.replace("  stops: {stop_loss: 2%}\n", "") if kind == "stop" else text
    path = folder / "strategy.yaml"
    path.write_text(text + WHERE.get(kind, ""), encoding="utf-8")
    return path


def by_decorator_or_kit(kind: str) -> str:
    """Return what an author's own test reports: of the import, or of the kit's call."""
    try:
        module: Any = importlib.import_module("odd_steps.steps")
    except PluginError as error:
        return error.message
    check: Any = check_component if kind == "feature" else check_rule
    if kind in OBJECTS:
        check = check_object
    with pytest.raises(ConformanceError) as caught:
        check(module.broken, module.broken.config())
    return str(caught.value)


def by_command() -> str:
    """Return what `septet plugins check` reports."""
    entries = [each for each in Host().components() if each.distribution == "odd-steps"]
    (result,) = check_entries(Host(), entries)
    assert result["state"] == "failed", result
    return str(result["message"])


def by_file(path: Path) -> str:
    """Return the output of `check` and `run`: they load the file."""
    with pytest.raises(ConfigError) as caught:
        load(path)
    return "\n".join(each.message for each in caught.value.problems)


@pytest.mark.parametrize("case", CASES)
def test_every_gate_refuses_it_with_the_line(tmp_path: Path, case: str) -> None:
    kind, source, message = CASES[case]
    path = written(tmp_path, kind, source)
    with installed(tmp_path, "odd_steps"):
        text = [by_decorator_or_kit(kind), by_command(), by_file(path)]
    assert [message in each for each in text] == [True] * 3, text
    assert ["steps.py:" in each for each in text] == [True] * 3, text
