"""Rules that nobody ships, for what a stranger's may see and ours do not look at."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Annotated, Any

from pydantic import Field

from septet._host.plugin_registry import Host
from septet.hookspecs import Component
from septet.plugin import Bars, Config, Expression, Fraction, halt, signal

__all__ = ["Curfew", "Watching", "curfew", "host_with_strangers", "watching"]

HERE = "tests.core.strangers"
HOUR_NS = 3_600_000_000_000


class Watching(Config):
    """Target sides from conditions and from what is held: its age, its entry price."""

    long_if: Expression
    short_if: Expression | None = None
    most: Bars = 9
    pain: Fraction = 0.02


@signal(Watching, reasons=("nothing_to_do",))
def watching(long_if, short_if, side, held_bars, average_price, price, most, pain):
    """Leave what is old or has lost too much; else follow the conditions."""
    lost = side * (1.0 - price / average_price)  # NaN, and so never too much, when flat
    if side != 0.0 and (held_bars >= most or lost > pain):
        return 0.0, 1.0, -1
    if long_if == 1.0:
        return 1.0, 0.75, -1
    if short_if == 1.0:
        return -1.0, 0.5, -1
    return math.nan, 0.0, 0


class Curfew(Config):
    """No entries in some hours of the day."""

    begins: Annotated[int, Field(ge=0, le=23)] = 20


@halt(Curfew)
def curfew(now_ns, begins):
    """Return whether the hour (UTC) has come."""
    return now_ns // HOUR_NS % 24 >= begins


def host_with_strangers() -> Host:
    """Return the installed plugins and these."""
    host = Host()
    signals = [Component("signals", "watching", f"{HERE}:watching", "signal")]
    halts = [Component("risk", "curfew", f"{HERE}:curfew", "halt")]
    brought: Any = SimpleNamespace(septet_signals=lambda: signals, septet_risk=lambda: halts)
    host.register("strangers", "1.0", brought)
    return host
