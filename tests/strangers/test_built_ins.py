"""Septet's own plugins keep what a stranger's must: here, and not when somebody runs a file."""

from __future__ import annotations

from typing import Any

import pytest

from septet._host.declare import Step
from septet._host.plugin_registry import BUILT_IN, Host, Registered
from septet.testing.static import faults_of
from septet.testing.verdict import decisive

HOST = Host()
OWN = [each for each in HOST.components() if each.distribution == BUILT_IN]
PLANNED = "can be planned for a live run"
SETTINGS: dict[str, dict[str, Any]] = {
    "break_even": {"after": 0.02},
    "daily_loss": {"above": 0.03},
    "drawdown": {"above": 0.1},
    "fixed_quantity": {"quantity": 2.0},
    "groups": {"groups": {"all": {"symbols": ["S0/USDT", "S1/USDT"], "max": 0.5}}},
    "losses_in_a_row": {"count": 3},
    "max_order_value": {"max": 100.0},
    "level": {"price": "low"},
    "stop_loss": {"distance": 0.02},
    "take_profit": {"distance": 0.02},
    "time_limit": {"after": "3h"},
    "trailing": {"distance": 0.02},
    "volatility_regime": {"of": "close", "window": "60h", "min": 20},
    "volatility_target": {"of": "close"},
    "rules": {"long_if": "close > open"},
}
RULES = [
    each
    for each in OWN
    if each.component.layer in ("signals", "risk", "monitoring")
    or each.component.kind == "order"
]  # fmt: skip


def _settings(entry: Registered, declaration: Any) -> Any:
    return declaration.config(**SETTINGS.get(entry.component.name, {}))


@pytest.mark.parametrize("entry", RULES, ids=lambda entry: str(entry.component.name))
def test_a_rule_of_ours_keeps_the_decisive_checks(entry: Registered) -> None:
    declaration = HOST.load(entry)
    try:
        config = _settings(entry, declaration)
    except ValueError:
        assert not isinstance(declaration, Step), "name its settings above"
        return
    checks = decisive(declaration, config)
    assert [each for each in checks if each.state == "failed"] == []
    if isinstance(declaration, Step):
        assert {each.state for each in checks} == {"kept"}
        assert PLANNED in [each.name for each in checks]


def test_no_step_of_ours_reaches_beyond_its_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    import septet.testing.static as static

    monkeypatch.setattr(static, "OURS", frozenset())
    steps = [each for each in map(HOST.load, OWN) if isinstance(each, Step)]
    assert len(steps) > 80
    assert [str(fault) for step in steps for fault in faults_of(step)] == []
