"""The public door: everything a plugin package imports, and nothing else.

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
"""

from septet._host.declare import (
    VOCABULARY,
    Declaration,
    Factory,
    Inner,
    Memory,
    Step,
    World,
    across,
    alerts,
    anchored,
    candles,
    composition,
    fading,
    feature,
    halt,
    helper,
    inner,
    limit,
    model,
    monitor,
    order,
    regime,
    series,
    signal,
    sizing,
    stop,
    unbounded,
    venue,
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
    "VOCABULARY",
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
    "WallDuration",
    "World",
    "across",
    "alerts",
    "anchored",
    "candles",
    "composition",
    "fading",
    "feature",
    "halt",
    "helper",
    "hookimpl",
    "inner",
    "limit",
    "model",
    "monitor",
    "order",
    "regime",
    "series",
    "signal",
    "sizing",
    "stop",
    "unbounded",
    "venue",
    "window",
]
