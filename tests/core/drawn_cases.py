"""Hypothesis strategies: settings that make sense together, and rough markets."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.core.settings import Bars, Settings, walk

__all__ = ["markets", "settings"]

NAMES = ("AAA/USDT", "BBB/USDT", "CCC/USDT")
share = st.sampled_from([0.05, 0.1, 0.25, 0.5, 0.9, 1.0])
small = st.sampled_from([0.0, 0.0005, 0.002, 0.01])


@st.composite
def _limits(draw: Any, symbols: tuple[str, ...], spot: bool) -> dict[str, Any]:
    top = 1.0 if spot else 3.0
    limits: dict[str, Any] = {}
    if draw(st.booleans()):
        limits["position"] = draw(share) * top
    if draw(st.booleans()):
        limits["gross_exposure"] = draw(share) * top
    if draw(st.integers(0, 3)) == 0:
        limits["max_order_value"] = draw(st.sampled_from([500.0, 2_000.0, 9_000.0]))
    if draw(st.integers(0, 3)) == 0:
        limits["orders_per_minute"] = draw(st.sampled_from([1, 2, 4]))
    if len(symbols) > 1 and draw(st.booleans()):
        limits["groups"] = {"pair": {"symbols": list(symbols[1:]), "max": draw(share)}}
    if len(symbols) > 1 and draw(st.integers(0, 2)) == 0:
        above = draw(st.sampled_from([-0.2, 0.1, 0.8]))
        limits["correlated"] = {"above": above, "window": "60 bars", "max": draw(share)}
    return limits


@st.composite
def _stops(draw: Any) -> dict[str, Any]:
    stops: dict[str, Any] = {}
    if draw(st.booleans()):
        stops["stop_loss"] = draw(st.sampled_from([0.001, 0.01, 0.03, 0.1]))
    if draw(st.booleans()):
        stops["take_profit"] = draw(st.sampled_from([0.005, 0.02, 0.06]))
    if draw(st.booleans()):
        after = draw(st.sampled_from([0.0, 0.01, 0.03]))
        stops["trailing"] = {"distance": draw(st.sampled_from([0.005, 0.02, 0.05])), "after": after}
    if draw(st.booleans()):
        stops["time_limit"] = draw(st.integers(1, 9))
    return stops


@st.composite
def _halts(draw: Any) -> dict[str, Any]:
    halts: dict[str, Any] = {}
    deeds = st.sampled_from(["flatten", "block_entries", "cancel_all"])
    clears_when = st.sampled_from(["manual", "next_day", 5])
    for name in ("drawdown", "daily_loss"):
        if draw(st.integers(0, 2)) == 0:
            above = draw(st.sampled_from([0.01, 0.04, 0.1]))
            halts[name] = {"above": above, "then": draw(deeds), "resume": draw(clears_when)}
    if draw(st.integers(0, 3)) == 0:
        halts["losses_in_a_row"] = {"count": 3, "then": draw(deeds), "resume": draw(clears_when)}
    return halts


@st.composite
def settings(draw: Any, /, count: int | None = None, **fixed: Any) -> Settings:
    """Draw a strategy."""
    symbols = NAMES[: count or draw(st.integers(1, 3))]
    spot = fixed.get("spot", draw(st.booleans()))
    model = draw(st.booleans())
    sizing = draw(st.sampled_from(["fixed_fraction", "fixed_quantity", *(["kelly"] * model)]))
    amounts = {"fixed_fraction": share, "fixed_quantity": st.sampled_from([1.0, 7.0, 40.0, 300.0]),
               "kelly": st.sampled_from([0.25, 1.0])}  # fmt: skip
    order = draw(st.sampled_from(["market", "market", "limit", "stop", "stop_limit"]))
    drawn: dict[str, Any] = {
        "symbols": symbols, "spot": spot, "model": model, "sizing": sizing,
        "amount": draw(amounts[sizing]), "order": order,
        "maker": draw(small), "taker": draw(small), "slippage": draw(small),
        "participation": draw(st.sampled_from([None, None, 0.01, 0.1, 0.5])),
        "latency": draw(st.sampled_from([0, 0, 0, 1, 2])), "time_in_force": draw(st.integers(1, 3)),
        "offset": draw(small), "slack": draw(small),
        "lot": draw(st.sampled_from([1e-8, 0.001, 0.1, 1.0, 5.0])),
        "tick": draw(st.sampled_from([0.0, 0.01, 0.5])),
        "min_notional": draw(st.sampled_from([0.0, 10.0, 800.0])),
        "limits": draw(_limits(symbols, spot)), "stops": draw(_stops()), "halts": draw(_halts()),
        "threshold": draw(st.sampled_from([0.0, 0.1, 0.4])),
        "long_back": draw(st.integers(1, 3)), "exit_back": draw(st.integers(0, 3)),
        "short_back": 0 if spot else draw(st.integers(0, 3)),
        "min_interval": draw(st.sampled_from([1, 1, 4])), "opposite": draw(st.booleans()),
        "after": draw(st.sampled_from([None, None, 2, 5])),
        "below": draw(st.sampled_from([None, None, 0.0, 0.2])) if model else None,
        "reentry": draw(st.sampled_from(["rearm", "immediate", 3])),
        "pro_rata": draw(st.booleans()), "max_positions": draw(st.sampled_from([None, None, 1, 2])),
        "split": draw(st.booleans()),
        "band": draw(st.sampled_from([None, None, 0.02, 0.2])),
        "cash_buffer": draw(st.sampled_from([0.0, 0.0, 0.1])),
        "received": spot and draw(st.booleans()),
    }  # fmt: skip
    if not spot:
        drawn |= {"leverage": draw(st.sampled_from([1.0, 3.0, 10.0])),
                  "maintenance": draw(st.sampled_from([0.005, 0.05])),
                  "funding": draw(st.sampled_from([0.0, 0.001, -0.002])),
                  "funding_every": draw(st.sampled_from([1, 8])) * 3_600_000_000_000}  # fmt: skip
    made = drawn | fixed
    # a stop beyond the liquidation, and a margin below the maintenance, are refused in a file
    if not spot and made["leverage"] >= 10.0 and made["stops"].get("stop_loss", 0.0) > 0.05:
        made["stops"] = {**made["stops"], "stop_loss": 0.03}
    return Settings(**made)


@st.composite
def markets(draw: Any, s: Settings, count: int = 110, *, missing: bool = True) -> list[Bars]:
    """Draw a market for every symbol, with bars that are `missing` or without."""
    seed = draw(st.integers(0, 2**31))
    step = draw(st.sampled_from([0.004, 0.02, 0.05]))
    holes = draw(st.sampled_from([0.0, 0.05, 0.3])) if missing else 0.0
    return [
        walk(seed + k, count, step=step, holes=holes, tick=s.tick,
             long_hole=draw(st.booleans()) and missing, quiet=draw(st.sampled_from([0.0, 0.1])),
             made_up=draw(st.sampled_from([0.0, 0.0, 0.1])))
        for k in range(len(s.symbols))
    ]  # fmt: skip
