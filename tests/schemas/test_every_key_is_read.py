"""No key without a reader: what a file may contain is read, or is answered with "not yet"."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import septet_schemas
from septet._config import load
from septet._host.plugin_registry import Host
from septet.errors import ConfigError
from septet_schemas.base import Config

ROOT = Path(__file__).resolve().parents[2]
CODE = (ROOT / "runner" / "septet", ROOT / "plugins" / "septet_plugins")
NOT_YET = {
    "execution.router": "smart",
    "execution.one_cancels_other": "true",
    "execution.simulation.intrabar": "1m",
    "netting": "net",
    "perpetual.hedge_mode": "true",
    "reset": "{every: 1mo, to: shares}",
    "spreads": "{pair: {long: A/USDT, short: B/USDT, hedge_ratio: 1}}",
    "strategies": "{trend: {file: trend.yaml, share: 50%}}",
    "portfolio.optimise": "hrp",
    "universe.where": "close > 1",
    "universe.top": "20",
    "universe.by": "volume",
    "universe.every": "1d",
    "universe.member": "listed",
    "universe.delisted_after": "20 bars",
    "universe.delisting_return": "-30%",
}
"""Keys that come later, and a value that is not their default."""
READ_BY_PYDANTIC = {("Strategy", "version")}
"""What the schema itself reads: another version is refused."""
FILE = """\
version: 1
name: plain
universe: {symbols: [A/USDT], bar: 1h}
data: {candles: {use: synthetic, bars: 300}}
features: {fast: {use: sma, period: 5}}
signal: {use: rules, long_if: close > fast, exit_if: close < fast}
risk:
  sizing: {use: fixed_fraction, fraction: 50%}
execution:
  at_start: reconcile
"""


def _words(tree: ast.AST) -> set[str]:
    """Names by which a module may read a key: attributes, texts, parameters of functions."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
        elif isinstance(node, ast.arg | ast.keyword) and node.arg is not None:
            found.add(node.arg)
    return found


@cache
def _words_of(path: Path) -> frozenset[str]:
    return frozenset(_words(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def _all_words() -> frozenset[str]:
    paths = [path for root in CODE for path in root.rglob("*.py")]
    return frozenset().union(*(_words_of(path) for path in paths))


def _schemas() -> list[type[Config]]:
    found: set[type[Config]] = set()
    for each in pkgutil.iter_modules(septet_schemas.__path__):
        module = importlib.import_module(f"septet_schemas.{each.name}")
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, Config) and kind.__module__ == module.__name__:
                found.add(kind)
    return sorted(found, key=lambda kind: kind.__name__)


def _settings() -> list[tuple[str, type[Config]]]:
    """Settings of every plugin of septet, by the plugin's name."""
    host, found = Host(), []
    layers: tuple[Any, ...] = (
        "data",
        "features",
        "models",
        "signals",
        "risk",
        "execution",
        "monitoring",
    )
    for layer in layers:
        for entry in host.components(layer):
            declaration: Any = host.load(entry)
            config = getattr(declaration, "config", None)
            if inspect.isclass(config) and issubclass(config, Config):
                found.append((f"{layer}: {entry.component.name}", config))
    return found


@pytest.mark.parametrize("kind", _schemas(), ids=lambda kind: kind.__name__)
def test_every_key_of_the_schema_is_read_outside_of_it(kind: type[Config]) -> None:
    later = {path.rpartition(".")[2] for path in NOT_YET} | {"benchmark"}
    for name in kind.model_fields:
        if (kind.__name__, name) in READ_BY_PYDANTIC or name in later:
            continue
        readers = [path for root in CODE for path in root.rglob("*.py") if name in _words_of(path)]
        own = Path(inspect.getfile(kind)).read_text(encoding="utf-8").count(f"self.{name}")
        assert readers or own, f"{kind.__name__}.{name} is accepted, and no code reads it"


def test_every_setting_of_a_plugin_is_read_where_it_is_declared() -> None:
    seen = _settings()
    assert len(seen) > 80
    unread = []
    for plugin, config in seen:
        for kind in config.__mro__:
            if (
                kind is Config
                or not issubclass(kind, Config)
                or "septet_schemas" in kind.__module__
            ):
                continue
            module = Path(inspect.getfile(kind))
            words = _words_of(module)
            beside = frozenset().union(*(_words_of(path) for path in module.parent.glob("*.py")))
            for name in kind.__annotations__:
                if name not in words and name not in beside and name not in _all_words():
                    unread.append(f"{plugin}: {name}")
    assert not unread


@pytest.mark.parametrize("key", list(NOT_YET))
def test_keys_that_come_later_are_refused_with_their_place(key: str, tmp_path: Path) -> None:
    path = tmp_path / "plain.yaml"
    top, _, name = key.rpartition(".")
    line = {
        "": ("execution:\n", f"{name}: {NOT_YET[key]}\nexecution:\n"),
        "perpetual": ("execution:\n", f"perpetual: {{{name}: {NOT_YET[key]}}}\nexecution:\n"),
        "execution.simulation": (
            "execution:\n",
            f"execution:\n  simulation: {{{name}: {NOT_YET[key]}}}\n",
        ),
        "universe": ("bar: 1h}", f"bar: 1h, {name}: '{NOT_YET[key]}'}}"),
        "risk": ("risk:\n", f"risk:\n  {name}: {NOT_YET[key]}\n"),
        "execution": ("execution:\n", f"execution:\n  {name}: {NOT_YET[key]}\n"),
        "portfolio": ("risk:\n", f"portfolio: {{{name}: {NOT_YET[key]}}}\nrisk:\n"),
    }[top]
    path.write_text(FILE.replace(*line), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert len(caught.value.problems) == 1
    message = str(caught.value)
    assert "not yet" in message
    assert key in message
    lines = path.read_text(encoding="utf-8").splitlines()
    number = next(n for n, text in enumerate(lines, start=1) if f"{name}:" in text)
    assert f"{path}:{number}:" in message


def test_a_file_of_several_strategies_is_one_mistake(tmp_path: Path) -> None:
    path = tmp_path / "both.yaml"
    path.write_text("version: 1\nname: both\nstrategies: {a: {file: a.yaml, share: 50%}}\n")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [problem.message for problem in caught.value.problems] == [
        "not yet: a file is one strategy so far"
    ]


@pytest.mark.parametrize("key", ["exit_long_if", "exit_short_if"])
def test_rules_of_one_side_come_with_hedge_mode(key: str, tmp_path: Path) -> None:
    path = tmp_path / "plain.yaml"
    path.write_text(FILE.replace("exit_if: ", f"{key}: "), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert f"{path}:6:" in str(caught.value)
    assert "not yet: this key is reserved for a later version" in str(caught.value)
