"""The signals plugins of this package."""

from septet.hookspecs import Component, hookimpl

__all__ = ["septet_signals"]

HERE = "septet_plugins.signals"


@hookimpl
def septet_signals() -> list[Component]:
    """List every built-in of the layer."""
    return [
        Component("signals", "rules", f"{HERE}.rules:rules", "signal", "conditions over features"),
        Component(
            "signals", "confidence", f"{HERE}.confidence:confidence_threshold", "signal",
            "a threshold on the model's confidence",
        ),
        Component(
            "signals", "volatility_regime", f"{HERE}.regimes:volatility_regime", "regime",
            "terciles of a volatility feature",
        ),
    ]  # fmt: skip
