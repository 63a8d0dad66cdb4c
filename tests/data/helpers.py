"""What the tests of the data layer share: blocks without a file, and clean bars."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from septet._data.bars import Finding
from septet._data.normalise import Normalised, normalise
from septet._data.source import Facts, RawBars, Request
from septet._host.plugin_registry import Host
from septet_schemas.blocks import UseBlock
from septet_schemas.data import CandlesConfig
from septet_schemas.keys import CandleKeys, SeriesKeys
from septet_schemas.units import parse_duration

__all__ = [
    "DAY_NS",
    "HOUR_NS",
    "MINUTE_NS",
    "NAMES",
    "START_NS",
    "block",
    "clean",
    "counts",
    "checked",
    "ns",
    "request",
]

MINUTE_NS = 60_000_000_000
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS
START_NS = 1_577_836_800_000_000_000  # 2020-01-01
NAMES = ("open", "high", "low", "close", "volume")


@cache
def _host() -> Host:
    return Host()


def ns(text: str) -> int:
    """Nanoseconds of an ISO time in UTC."""
    return int(np.datetime64(text, "ns").astype(np.int64))


def block(kind: str, use: str, keys: dict[str, Any] | None = None, **config: Any) -> UseBlock:
    """Validate one block of the data layer as a strategy file would."""
    declaration = _host().declaration("data", use, kind)
    model: Any = CandleKeys if kind == "candles" else SeriesKeys
    generic = model(**(keys or {}))
    extra = {name: getattr(generic, name) for name in model.model_fields}
    own = declaration.config(**config)
    return UseBlock(use, "data", kind, own, declaration, "septet", extra)


def request(bar: str, *symbols: str, base: Path | None = None, **more: Any) -> Request:
    """Ask for symbols."""
    return Request(symbols, parse_duration(bar), base_dir=base or Path(), **more)


def clean(
    count: int, bar_ns: int = HOUR_NS, start_ns: int = START_NS, seed: int = 0
) -> pl.DataFrame:
    """Make flawless bars."""
    draw = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(draw.normal(0.0, 0.001, count)))
    opened = np.concatenate(([100.0], close[:-1]))
    return pl.DataFrame(
        {
            "timestamp": start_ns + bar_ns * np.arange(count, dtype=np.int64),
            "open": opened,
            "high": np.maximum(opened, close) * 1.001,
            "low": np.minimum(opened, close) * 0.999,
            "close": close,
            "volume": draw.uniform(1.0, 10.0, count),
        }
    )


def checked(
    frame: pl.DataFrame, bar_ns: int = HOUR_NS, *, now_ns: int = 2**62, **keys: Any
) -> Normalised:
    """Normalise a frame whose stamps mark opens unless `keys` sets otherwise.

    Half of the rows may be bad: short frames of these tests hold many defects.
    """
    keys = {"max_bad": 0.5, **keys}
    raw = RawBars("BTC/USDT", frame, Facts("a test", stamp="open"))
    return normalise(raw, CandlesConfig(**keys), bar_ns=bar_ns, now_ns=now_ns)


def counts(findings: tuple[Finding, ...]) -> dict[str, int]:
    """Findings by kind."""
    return {each.kind: each.count for each in findings if each.count}
