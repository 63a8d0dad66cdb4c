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

from septet._data.files import one_file, read_bars, read_parquet_file, rename_columns
from septet._data.source import (
    CandlesSource,
    Facts,
    Fetches,
    FetchReport,
    Progress,
    RawBars,
    RawSeries,
    Request,
    SeriesSource,
    Store,
)
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
from septet._host.monitoring import FillRows, Monitor, Reading, RunView, TradeRows, Verdict
from septet._kernel.extremes import EXTREME, window_max, window_min
from septet._kernel.maths import (
    NAN,
    cosine,
    divide,
    exponential,
    finite,
    logarithm,
    positive_part,
    power,
    root,
    sine,
)
from septet._kernel.moments import (
    COMOMENTS,
    MOMENTS,
    POWERS,
    window_comoments,
    window_moments,
    window_powers,
)
from septet._kernel.recursive import AVERAGE, absorb, recursive_average, replay_due
from septet._kernel.sums import SUM, WEIGHTED, add, due, gather, roll, weighted_sum, window_sum
from septet.hookspecs import Component, hookimpl
from septet_schemas.base import Config, Expression, Input, Secret, SecretRef
from septet_schemas.simulation import Simulation
from septet_schemas.times import StartTime
from septet_schemas.units import (
    Bars,
    Fraction,
    MarketDuration,
    Probability,
    SignedFraction,
    Span,
    Trades,
    WallDuration,
    format_duration,
    parse_duration,
)

__all__ = [
    "AVERAGE",
    "COMOMENTS",
    "EXTREME",
    "MOMENTS",
    "NAN",
    "POWERS",
    "SUM",
    "VOCABULARY",
    "WEIGHTED",
    "Bars",
    "CandlesSource",
    "Component",
    "Config",
    "Declaration",
    "Expression",
    "Factory",
    "Facts",
    "FetchReport",
    "FillRows",
    "Fetches",
    "Fraction",
    "Inner",
    "Input",
    "MarketDuration",
    "Memory",
    "Monitor",
    "Probability",
    "Progress",
    "RawBars",
    "RawSeries",
    "Reading",
    "Request",
    "RunView",
    "Secret",
    "SecretRef",
    "SeriesSource",
    "SignedFraction",
    "Simulation",
    "Span",
    "StartTime",
    "Step",
    "Store",
    "TradeRows",
    "Trades",
    "Verdict",
    "WallDuration",
    "World",
    "absorb",
    "across",
    "add",
    "alerts",
    "anchored",
    "candles",
    "composition",
    "cosine",
    "divide",
    "due",
    "exponential",
    "fading",
    "feature",
    "finite",
    "gather",
    "format_duration",
    "halt",
    "helper",
    "hookimpl",
    "inner",
    "limit",
    "logarithm",
    "model",
    "monitor",
    "one_file",
    "order",
    "parse_duration",
    "positive_part",
    "power",
    "read_bars",
    "read_parquet_file",
    "recursive_average",
    "regime",
    "rename_columns",
    "replay_due",
    "roll",
    "root",
    "series",
    "signal",
    "sine",
    "sizing",
    "stop",
    "unbounded",
    "venue",
    "weighted_sum",
    "window",
    "window_comoments",
    "window_max",
    "window_min",
    "window_moments",
    "window_powers",
    "window_sum",
]
