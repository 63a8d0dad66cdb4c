"""The public names that every plugin package imports.

A component is a config model and a decorated function or class::

    from septet.plugin import Bars, Config, Input, feature

    class Momentum(Config):
        of: Input = "close"
        period: Bars = 10

    @feature(Momentum, lookback=lambda c: c.period)
    def momentum(i, of, period):
        return of[i] - of[i - period]

A manifest module names it (`Component`, `hookimpl` of `septet.hookspecs`) and the distribution
names the manifest in the entry-point group ``septet``.

Here are settings, their units, and the decorators of steps. What one trade needs lies in its own
module, and a name lies in one of the six:

- `septet.plugin.numeric`: what a step calls, and `helper` for functions of your own;
- `septet.plugin.data`: sources of bars and series (`candles`, `series`);
- `septet.plugin.risk`: distances of stops and targets;
- `septet.plugin.model`: models (`model`);
- `septet.plugin.live`: feeds, venues, monitors and alert channels (`venue`, `monitor`, `alerts`).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from septet._host.declare import (
    VOCABULARY,
    Declaration,
    Factory,
    Inner,
    Memory,
    Step,
    World,
    across,
    anchored,
    composition,
    fading,
    feature,
    halt,
    inner,
    limit,
    order,
    regime,
    signal,
    sizing,
    stop,
    unbounded,
    window,
)
from septet.hookspecs import Component, hookimpl
from septet_schemas.base import Config, Expression, Input, Secret, SecretRef
from septet_schemas.units import (
    Bars,
    Fraction,
    MarketDuration,
    Probability,
    SignedFraction,
    Span,
    Trades,
    WallDuration,
)

__all__ = [
    "Bars",
    "Component",
    "Config",
    "Declaration",
    "Expression",
    "Factory",
    "Fraction",
    "Inner",
    "Input",
    "MarketDuration",
    "Memory",
    "Probability",
    "Secret",
    "SecretRef",
    "SignedFraction",
    "Span",
    "Step",
    "Trades",
    "VOCABULARY",
    "WallDuration",
    "World",
    "across",
    "anchored",
    "composition",
    "fading",
    "feature",
    "halt",
    "hookimpl",
    "inner",
    "limit",
    "order",
    "regime",
    "signal",
    "sizing",
    "stop",
    "unbounded",
    "window",
]

_MODULES: Final = (
    "septet.plugin.numeric",
    "septet.plugin.data",
    "septet.plugin.risk",
    "septet.plugin.model",
    "septet.plugin.live",
)

if not TYPE_CHECKING:  # to a type checker a module with this function has every name

    def __getattr__(name: str) -> object:
        """Return an error that names the module which has the requested name."""
        if not name.startswith("_") and f"{__name__}.{name}" not in _MODULES:
            for module in _MODULES:
                if name in import_module(module).__all__:
                    raise ImportError(f"{name} is in {module}, not in {__name__}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
