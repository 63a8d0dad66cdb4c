"""A count may be a whole float: so the values of a sweep's table can be written into a file."""

from __future__ import annotations

import pytest

import septet
from septet.errors import ConfigError

TEXT = """\
version: 1
name: counted
universe: {symbols: [BTC/USD], bar: 15m}
data: {candles: {use: sample}}
features: {one: {use: log_return}, rsi_14: {use: rsi, period: 14}}
model:
  use: sklearn
  estimator: RandomForestClassifier
  params: {max_depth: 4, max_features: 1.0}
  label: {use: direction, horizon: 8 bars}
  training: {train: 30d, step: 10d, purge: 50 bars}
signal: {use: confidence, threshold: 5%, min_interval: 2 bars}
risk: {sizing: {use: fixed_fraction, fraction: 20%}}
"""
COUNTS = [
    "features.rsi_14.period", "model.params.max_depth", "model.params.max_features",
    "model.label.horizon", "model.training.purge", "model.training.min_rows",
    "signal.min_interval",
]  # fmt: skip


@pytest.mark.parametrize("key", COUNTS)
def test_a_whole_float_is_a_count(key: str) -> None:
    strategy = septet.loads(TEXT)
    expected = strategy.with_({key: 20})
    found = strategy.with_({key: 20.0})
    assert _value(found, key) == _value(expected, key) != _value(strategy, key)
    with pytest.raises(ConfigError) as refused:
        strategy.with_({key: 20.5})
    assert [each.key for each in refused.value.problems] == [key]


def _value(strategy: septet.Strategy, key: str) -> float:
    shown = dict(strategy.explain().select("path", "value").iter_rows())
    return float(str(shown[key]).split()[0])


def test_a_share_stays_a_share() -> None:
    """Of `max_features` 1 is one feature, and 1.0 are all."""
    from septet_plugins.models.sklearn import Sklearn, sklearn_model

    for written, kind in ((1.0, float), (1, int), (2.0, int)):
        block = Sklearn(estimator="RandomForestClassifier", params={"max_features": written})
        assert type(sklearn_model(block).estimator(1, 100).max_features) is kind
