"""Regimes in the kit: every value is the number of a label, or NaN, at each gate."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from septet._config import load
from septet._host.plugin_registry import BUILT_IN, Host
from septet.errors import ConfigError
from septet.testing import ConformanceError, check_component, check_rule
from septet.testing.verdict import decisive, state_of
from tests.strangers.package import STRATEGY, installed, manifest_of, write_package
from tests.strangers.steps import HEAD

MADE = """
@regime(Over, lookback=lambda c: c.period, reasons=("low", "high"))
def {name}(i, of, period):
    change = of[i] - of[i - period]
    return {high} if change > 0.0 else change * 0.0
"""
VALUES = {"sound": "1.0", "above": "2.0", "below": "-1.0", "between": "0.5", "endless": "math.inf"}
SAYS = "expected the number of one of its 2 labels (low, high), or NaN"
RULES = "{use: rules, long_if: far > 0.001, exit_if: far < -0.001}"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    source = "".join(MADE.format(name=name, high=value) for name, value in VALUES.items())
    files = {
        "steps.py": f"{HEAD}from septet.plugin import regime\n{source}\n# {tmp_path}\n",
        "manifest.py": manifest_of("odd_regimes", dict.fromkeys(VALUES, ("signals", "regime"))),
    }
    write_package(tmp_path, "odd-regimes", files)
    return tmp_path


def loaded(folder: Path, name: str) -> Any:
    text = STRATEGY.format(plugins="plugins: [odd-regimes]", feature="{use: roc, period: 2}")
    path = folder / "strategy.yaml"
    more = f"{RULES[:-1]}, regime: {{use: {name}, trade_in: [high]}}}}"
    path.write_text(text.replace(RULES, more), encoding="utf-8")
    return load(path)


@pytest.mark.parametrize("name", [name for name in VALUES if name != "sound"])
def test_a_value_that_is_no_label_fails_at_every_gate(package: Path, name: str) -> None:
    with installed(package, "odd_regimes"):
        step = getattr(import_module("odd_regimes.steps"), name)
        with pytest.raises(ConformanceError, match="the number of one of its 2 labels") as caught:
            check_component(step, step.config())
        assert SAYS in str(caught.value)
        *_, last = decisive(step, step.config())
        assert (last.state, SAYS in last.message) == ("failed", True)
        assert "steps.py:" in last.message
        with pytest.raises(ConfigError) as refused:
            loaded(package, name)
    assert SAYS in str(refused.value)


def test_labels_and_nan_are_kept(package: Path) -> None:
    with installed(package, "odd_regimes"):
        step = import_module("odd_regimes.steps").sound
        check_component(step, step.config(), absorbs_nan=True)
        checks = decisive(step, step.config())
        assert state_of(checks) == "kept"
        loaded(package, "sound")


def test_the_regime_of_septet_is_tried_whole() -> None:
    host = Host()
    (entry,) = (
        each
        for each in host.components()
        if each.distribution == BUILT_IN and each.component.kind == "regime"
    )
    step = host.load(entry)
    settings = {"of": "close", "window": "60h", "min": 20}
    config = step.config(**settings)
    assert state_of(decisive(step, config)) == "kept"
    check_component(step, config)


def test_each_call_of_the_kit_names_the_other_for_what_it_does_not_try(package: Path) -> None:
    with installed(package, "odd_regimes"):
        step = import_module("odd_regimes.steps").sound
        with pytest.raises(ConformanceError, match="sound is a regime: check_component tries it"):
            check_rule(step, step.config())
    entries = {each.component.name: each for each in Host().components()}
    limit = Host().load(entries["gross_exposure"])
    with pytest.raises(ConformanceError, match="gross_exposure is a limit: check_rule tries it"):
        check_component(limit, limit.config())
