"""A stranger's plugins: the same feature compiled, plain, and with a part no compiler takes."""

from __future__ import annotations

from types import SimpleNamespace

from septet._host.plugin_registry import Host
from septet.hookspecs import Component
from septet.plugin import Bars, Config, Input, feature

__all__ = ["Reach", "host_with_strangers", "reach", "reach_plain"]

HERE = "tests.plan.strangers"


class Reach(Config):
    """How far the price has come in `period` bars."""

    of: Input = "close"
    period: Bars = 3


@feature(Reach, lookback=lambda c: c.period)
def reach(i, of, period):
    """Return the change over `period` bars, a fraction."""
    return of[i] / of[i - period] - 1.0


@feature(Reach, lookback=lambda c: c.period, compiled=False)
def reach_plain(i, of, period):
    """Return the same by a dictionary, which no compiler here takes."""
    found = {"now": of[i], "before": of[i - period]}
    return found["now"] / found["before"] - 1.0


def host_with_strangers() -> Host:
    """Return the installed plugins and these two."""
    host = Host()
    parts = [Component("features", each, f"{HERE}:{each}") for each in ("reach", "reach_plain")]
    host.register("strangers", "1.0", SimpleNamespace(septet_features=lambda: parts))
    return host
