"""Ranges of settings: ours are declared, and a slip in a stranger's is warned of."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from pydantic import Field

import septet_plugins.manifest
from septet._config.load import load
from septet._host.plugin_registry import Host
from septet.errors import ConfigError
from septet.hookspecs import Component
from septet.plugin import Config, Fraction, SignedFraction, halt, limit

HERE = __name__
SMALLEST = Path(__file__).parent / "valid" / "smallest.yaml"


class Cap(Config):
    """A cap of a stranger."""

    limit: float = 1.0
    tilt: SignedFraction = 0.0
    least: Annotated[float, Field(ge=-10.0)] = 0.0


@limit(Cap)
def cap(requested, limit, tilt, least):
    return requested * limit + tilt + least


class Loss(Config):
    """A halt of a stranger."""

    above: Fraction = 0.1
    at_most: Annotated[Fraction, Field(le=5.0)] = 0.1


@halt(Loss)
def loss(equity, peak, above, at_most):
    return peak - equity >= above * peak


def host() -> Host:
    made = SimpleNamespace(
        __name__="stranger",
        septet_risk=lambda: [
            Component("risk", "cap", f"{HERE}:cap", "limit"),
            Component("risk", "loss", f"{HERE}:loss", "halt"),
        ],
    )
    return Host([("septet", "1", septet_plugins.manifest), ("stranger", "1", made)])


def warned(text: str, tmp_path: Path) -> dict[str, str]:
    file = tmp_path / "file.yaml"
    before = SMALLEST.read_text(encoding="utf-8")
    assert "\nrisk:" in before
    file.write_text(before.replace("\nrisk:", f"\nrisk:\n{text}", 1), encoding="utf-8")
    loaded = load(file, host=host(), unchecked=True)
    return {
        each.key: each.message
        for each in loaded.warnings
        if each.key.startswith(("risk.limits.cap", "risk.halts.loss"))
    }


def test_slips_in_settings_of_a_stranger_are_warned_of(tmp_path: Path) -> None:
    found = warned(
        "  limits: {cap: {use: 'stranger:cap', limit: -5, tilt: -1%, least: -3}}\n"
        "  halts: {loss: {use: 'stranger:loss', above: 250%, at_most: 250%, then: flatten}}",
        tmp_path,
    )
    assert set(found) == {"risk.limits.cap.limit", "risk.halts.loss.above"}
    assert "-5 is below zero" in found["risk.limits.cap.limit"]
    assert "250% is more than all" in found["risk.halts.loss.above"]
    found = warned("  limits: {cap: {use: 'stranger:cap', limit: 5}}", tmp_path)
    assert found == {}


@pytest.mark.parametrize(
    "key",
    [
        "risk.halts.drawdown=250%", "risk.halts.daily_loss=250%", "risk.halts.daily_loss=-5%",
        "risk.limits.price_collar=250%", "risk.limits.position=-5%",
        "risk.limits.max_order_value=-5", "risk.limits.orders_per_minute=-5",
        "risk.halts.losses_in_a_row=-5",
    ],
)  # fmt: skip
def test_ours_declare_their_ranges(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(SMALLEST, sets=[key])
    name = key.partition("=")[0]
    assert any(each.key.startswith(name) for each in caught.value.problems), caught.value


def test_no_number_of_a_built_in_setting_is_without_a_lower_bound() -> None:
    """A count or an amount below zero is refused by its type, but where it may be signed."""
    signed = {"synthetic.drift", "simulated.fee", "series.missing"}
    found: list[str] = []
    plugins = Host([("septet", "1", septet_plugins.manifest)])
    for entry in plugins.components():
        if entry.component.layer == "commands":
            continue
        model: Any = plugins.load(entry).config
        for name in model.model_fields:
            if f"{entry.component.name}.{name}" in signed:
                continue
            for value in (-5, -1.5, "-5%", "-5s"):
                if _takes(model, name, value):
                    found.append(f"{entry.qualified}.{name}: {value}")
    assert found == []


def _takes(model: Any, name: str, value: Any) -> bool:
    """Whether a numeric field takes a value; text and expressions take any."""
    made = model.model_construct()
    try:
        model.__pydantic_validator__.validate_assignment(made, name, value)
    except Exception:  # refused, or another field that is missing is asked for
        return False
    kept = getattr(made, name)
    return isinstance(kept, int | float) and not isinstance(kept, bool) and kept < 0
