"""Every kind of step is compiled where a live plan calls it, not by itself alone."""

from __future__ import annotations

from typing import Any

import pytest

from septet.errors import PluginError
from septet.plugin import Config, Step, stop
from septet.testing import steps_of
from septet.testing.planning import _groups, compile_steps

NEEDED: dict[str, Any] = {
    "beta": {"to": "close@S1/USDT"}, "correlation": {"to": "close@S1/USDT"},
    "difference": {"of": "high", "minus": "low"}, "ratio": {"of": "high", "to": "low"},
    "expr": {"formula": "close"}, "series": {"of": "close"}, "volatility_regime": {"of": "close"},
    "rules": {"long_if": "close > open", "exit_if": "close < open"},
    "daily_loss": {"above": "3%"}, "risk.drawdown": {"above": "9%"},
    "losses_in_a_row": {"count": 6},
    "fixed_quantity": {"quantity": 1}, "volatility_target": {"of": "close"},
    "max_order_value": {"max": 900}, "groups": {}, "stop_loss": {"distance": "2%"},
    "take_profit": {"distance": "4%"}, "time_limit": {"after": "9h"},
    "trailing": {"distance": "2%"}, "break_even": {"after": "2%"}, "level": {"price": "low"},
}  # fmt: skip
"""Settings of built-in steps that have no defaults."""
LEFT_OUT = ("sizing", "order", "feature")
"""Kinds of which one is compiled here: other tests run every one of septet's."""


def steps() -> list[tuple[Step, Config]]:
    """Return septet's own steps with settings, one of each kind that is left out."""
    found = list[tuple[Step, Config]]()
    for name, step in steps_of("septet").items():
        if step.kind not in LEFT_OUT or step.kind not in {each.kind for each, _ in found}:
            found.append((step, step.config(**NEEDED.get(name, {}))))
    return found


GROUPS = list(_groups(steps()))


def test_every_kind_is_compiled() -> None:
    kinds = {step.kind for _, group in GROUPS for step, _ in group}
    assert kinds == {
        "feature", "across", "regime", "signal", "sizing", "limit", "stop", "halt", "order"
    }  # fmt: skip


@pytest.mark.parametrize("number", range(len(GROUPS)))
def test_septets_own_steps_compile_in_a_live_plan(number: int) -> None:
    _, group = GROUPS[number]
    assert compile_steps(group) == 1


class Level(Config):
    """A stop that no live plan can be compiled with."""


@stop(Level)
def listed(average_price: float, side: float) -> Any:
    return [average_price * (1.0 - 0.01 * side)]


def test_what_cannot_be_compiled_there_is_named() -> None:
    message = r"the stop listed of tried cannot be compiled: .*test_live_plans\.py:\d+"
    with pytest.raises(PluginError, match=message):
        compile_steps([(listed, Level())])
