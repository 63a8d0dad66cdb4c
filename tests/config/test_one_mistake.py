"""One wrong value is one error: what was left out as wrong is not taken for its default."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from septet._config import load
from septet.errors import ConfigError

STRATEGIES = Path(__file__).resolve().parents[2] / "strategies"
WRONG = "-7zz"
NAMES = ("use", "name", "version")

ADDS = """\
version: 1
name: adds
account: {capital: 10000, currency: USDT}
universe: {symbols: [BTC/USDT], bar: 1h}
data: {candles: {use: synthetic}}
features:
  fast: {use: sma, period: 20}
  slow: {use: sma, period: 100}
signal: {use: rules, long_if: fast > slow, exit_if: fast < slow}
risk:
  sizing: {use: fixed_fraction, fraction: 25%}
  limits: {position: 90%}
  stops: {stop_loss: 4%}
  position: {add: [{when: close > last_price, size: 50%, times: 2}]}
execution:
  simulation: {fee: 10bps, slippage: 5bps}
"""


def values(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Walk the scalars of a file."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from values(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(node.value):
            yield from values(value, (*path, place))
    else:
        yield path, node


def check(text: str, path: Path) -> None:
    """Replace one value after the other by one that none can be."""
    for keys, node in values(yaml.compose(text)):
        if keys[-1] in NAMES:
            continue
        path.write_text(
            text[: node.start_mark.index] + WRONG + text[node.end_mark.index :], encoding="utf-8"
        )
        try:
            load(path)
        except ConfigError as error:
            found = [each.message for each in error.problems if each.severity == "error"]
            assert len(found) == 1, (keys, found)


@pytest.mark.parametrize("name", sorted(each.name for each in STRATEGIES.glob("*.yaml")))
def test_a_wrong_value_of_a_shipped_strategy_is_one_error(name: str, tmp_path: Path) -> None:
    check((STRATEGIES / name).read_text(encoding="utf-8"), tmp_path / name)


def test_a_wrong_size_does_not_leave_adds_without_room(tmp_path: Path) -> None:
    check(ADDS, tmp_path / "adds.yaml")
    (tmp_path / "adds.yaml").write_text(ADDS.replace("25%", "25"), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "adds.yaml")
    assert [each.message for each in caught.value.problems] == ["this is not a fraction"]
