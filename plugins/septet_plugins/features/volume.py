"""Features of traded volume."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import model_validator

from septet.plugin import Bars, Config, Inner, feature, inner
from septet.plugin.numeric import divide

__all__ = [
    "Mfi",
    "Obv",
    "Vwap",
    "VwapRolling",
    "mfi",
    "money_flow",
    "obv",
    "signed_volume",
    "traded_value",
    "typical_price",
    "vwap",
    "vwap_rolling",
]

Anchor = Literal["day", "session", "week"]
TIE = 1e-14


class OneBar(Config):
    """A feature of each bar and the previous bar; takes no settings."""


class Obv(Config):
    """On-balance volume: since the first bar, over a `window`, or since each `anchor`."""

    window: Bars | None = None
    """Number of bars of the sum."""
    anchor: Anchor | None = None
    """When the sum restarts."""

    @model_validator(mode="after")
    def _one_at_most(self) -> Obv:
        if self.window is not None and self.anchor is not None:
            raise ValueError("expected `window` or `anchor`, found both; leave one out")
        return self


class Vwap(Config):
    """Volume-weighted average price since the last `anchor`."""

    anchor: Anchor = "session"
    """When the average restarts."""


class VwapRolling(Config):
    """Volume-weighted average price of `period` bars."""

    period: Bars = 20
    """Number of bars of the window."""


class Mfi(Config):
    """Money flow index over `period` bars."""

    period: Bars = 14
    """Bars of the window."""


def _since(of: str, anchor: str) -> Inner:
    return inner("sum_since", of=of, by="@day" if anchor == "day" else anchor)


@feature(OneBar, value_range=(0.0, math.inf))
def typical_price(i, high, low, close):
    """Return ``(high + low + close) / 3``, in quote currency."""
    return (high[i] + low[i] + close[i]) / 3.0


@feature(OneBar, value_range=(0.0, math.inf))
def traded_value(i, high, low, close, volume):
    """Return typical price times volume, in quote currency."""
    return (high[i] + low[i] + close[i]) / 3.0 * volume[i]


@feature(OneBar, lookback=lambda c: 1)
def signed_volume(i, close, volume):
    """Return the volume, negative on a lower close and 0 on an equal one; NaN where a close is."""
    change = close[i] - close[i - 1]
    if change > 0.0:
        return volume[i]
    if change < 0.0:
        return -volume[i]
    return change


@feature(OneBar, outputs=("up", "down"), lookback=lambda c: 1, value_range=(0.0, math.inf))
def money_flow(i, high, low, close, volume):
    """Return traded value as `up` where the typical price rose and as `down` where it fell.

    In quote currency. Prices on a tick grid tie often, and the rounded sums of equal ones differ in
    the last bits: a move below one part in 1e14 counts as no move, and both are 0.
    """
    now = (high[i] + low[i] + close[i]) / 3.0
    last = (high[i - 1] + low[i - 1] + close[i - 1]) / 3.0
    value = now * volume[i]
    least = TIE * abs(last)
    if now - last > least:
        return value, 0.0
    if last - now > least:
        return 0.0, value
    return (now - last) * 0.0, (now - last) * 0.0


def _obv_parts(config: Obv) -> dict[str, Inner]:
    signed = {"signed": inner("signed_volume")}
    if config.window is not None:
        return {**signed, "total": inner("sum", of="@signed", period=config.window)}
    if config.anchor is not None:
        day = {"day": inner("day_number")} if config.anchor == "day" else {}
        return {**signed, **day, "total": _since("@signed", config.anchor)}
    return {**signed, "total": inner("running_sum", of="@signed")}


@feature(Obv, inner=_obv_parts)
def obv(i, total):
    """Return the sum of `signed_volume`, in base currency; it begins at 0.

    Without `window` or `anchor` its memory is unbounded, and models and rules reject it: its level
    depends on the start of the history. Source: J. Granville.
    """
    return total[i]


def _vwap_parts(config: Vwap) -> dict[str, Inner]:
    return {
        **({"day": inner("day_number")} if config.anchor == "day" else {}),
        "value": inner("traded_value"),
        "over": _since("@value", config.anchor),
        "under": _since("volume", config.anchor),
    }


@feature(Vwap, inner=_vwap_parts, value_range=(0.0, math.inf))
def vwap(i, over, under):
    """Return traded value over volume since the anchor, in quote currency; NaN without volume."""
    return divide(over[i], under[i])


@feature(
    VwapRolling,
    inner=lambda c: {
        "value": inner("traded_value"),
        "over": inner("sum", of="@value", period=c.period),
        "under": inner("sum", of="volume", period=c.period),
    },
    value_range=(0.0, math.inf),
)
def vwap_rolling(i, over, under):
    """Return traded value over volume of `period` bars, in quote currency; NaN without volume."""
    return divide(over[i], under[i])


@feature(
    Mfi,
    inner=lambda c: {
        "flow": inner("money_flow"),
        "up": inner("sum", of="@flow_up", period=c.period),
        "down": inner("sum", of="@flow_down", period=c.period),
    },
    value_range=(0.0, 100.0),
)
def mfi(i, up, down):
    """Return ``100 * up / (up + down)`` of money flows, 0 to 100; NaN if both are zero."""
    return divide(100.0 * up[i], up[i] + down[i])
