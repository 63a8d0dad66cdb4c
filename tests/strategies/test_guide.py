"""The guide to the strategy file: its snippets load, and it leaves no key out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from septet._config import load
from septet._host.plugin_registry import Host
from septet.hookspecs import LAYERS
from septet_schemas import keys, monitoring, portfolio, simulation, strategy, training
from septet_schemas.base import Config

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "yaml.md").read_text("utf-8")
STRATEGIES = (ROOT / "docs" / "strategies.md").read_text("utf-8")
SNIPPETS = re.findall(r"^```yaml\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
BASE = SNIPPETS[0]

SHARED = (
    keys.CandleKeys, keys.ExitRule, keys.FeatureKeys, keys.HaltKeys, keys.ModelKeys,
    keys.RegimeKeys, keys.SeriesKeys, keys.SignalKeys, simulation.Fee, simulation.InstrumentSpec,
    simulation.Simulation, simulation.Slippage, strategy.Account, strategy.Data,
    strategy.Execution, monitoring.FillMonitoring, strategy.Funding, monitoring.Metrics,
    portfolio.Forecast, portfolio.InverseVolatility, portfolio.Net, portfolio.Portfolio,
    portfolio.PortfolioRebalance, portfolio.Where, monitoring.ModelMonitoring,
    monitoring.Monitoring, strategy.Perpetual, strategy.Rebalance,
    strategy.Risk, strategy.Schedule, strategy.Strategy, strategy.Universe,
    training.DirectionLabel, training.ThresholdLabel, training.Training,
    training.TripleBarrierLabel,
)  # fmt: skip


def _merged(snippet: str) -> str:
    """A snippet's sections in place of the first one's."""
    base, own = yaml.safe_load(BASE), yaml.safe_load(snippet)
    if own.get("portfolio", {}).get("use", "each") != "each":
        del base["signal"], base["risk"]
    return yaml.safe_dump({**base, **own}, sort_keys=False)


def _heading(snippet: str) -> str:
    before = GUIDE[: GUIDE.index(snippet)]
    return re.findall(r"^##+ (.*)$", before, re.MULTILINE)[-1] if "\n## " in before else "whole"


@pytest.mark.parametrize(
    "number", range(len(SNIPPETS)), ids=lambda n: f"{n}-{_heading(SNIPPETS[n])}"
)
def test_every_snippet_loads_without_a_warning(number: int, tmp_path: Path) -> None:
    file = tmp_path / "strategy.yaml"
    file.write_text(_merged(SNIPPETS[number]), "utf-8")
    loaded = load(file)
    assert [f"{each.key}: {each.message}" for each in loaded.warnings] == []


def test_overlays_load_in_their_modes(tmp_path: Path) -> None:
    file = tmp_path / "strategy.yaml"
    (snippet,) = (each for each in SNIPPETS if each.find("live:") >= 0)
    file.write_text(_merged(snippet), "utf-8")
    assert load(file).strategy.account.capital == 10_000
    assert load(file, mode="paper").strategy.account.capital == 5_000


def _keys() -> Iterator[tuple[str, str]]:
    for model in SHARED:
        for name in model.model_fields:
            yield model.__name__, name


def test_the_guide_names_every_shared_key() -> None:
    words = set(re.findall(r"[a-z_0-9]+", GUIDE))
    missing = [f"{model}.{name}" for model, name in _keys() if name not in words]
    assert not missing


def test_the_guide_names_every_choice() -> None:
    """Every word that a key with a fixed set of words takes; kinds of defects are in the report."""
    words = set(re.findall(r"[a-z_0-9]+", GUIDE))

    def choices(model: type[Config]) -> Iterator[str]:
        for info in model.model_fields.values():
            yield from (each for each in get_args(info.annotation) if isinstance(each, str))

    missing = {each for model in SHARED for each in choices(model)} - words
    assert not missing - {"s", "ms", "us", "ns"}


def test_the_guide_names_every_plugin() -> None:
    host = Host()
    own = {layer: [each.component.name for each in host.components(layer)] for layer in LAYERS}
    words = set(re.findall(r"[a-z_0-9]+", GUIDE))
    missing = [
        f"{layer}/{name}" for layer, names in own.items() for name in names if name not in words
    ]
    assert not missing


def test_the_list_of_strategies_is_complete() -> None:
    named = set(re.findall(r"\((?:\.\./)?strategies/([a-z-]+)\.yaml\)", STRATEGIES))
    there = {path.stem for path in (ROOT / "strategies").glob("*.yaml")}
    assert named == there


def test_what_the_list_of_strategies_states_is_so() -> None:
    for name, bar, layers in re.findall(
        r"^\| \[([a-z-]+)\]\([^)]*\) \| [^|]*?, (\w+) \| ([^|]*) \|", STRATEGIES, re.MULTILINE
    ):
        file: dict[str, Any] = yaml.safe_load((ROOT / "strategies" / f"{name}.yaml").read_text())
        assert file["universe"]["bar"] == bar
        decides = "rules" if "signal" in file or "portfolio" in file else "no signal"
        judged = file["model"]["estimator"] if "model" in file else decides
        assert judged in layers, name
