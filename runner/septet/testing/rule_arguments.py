"""Plausible values for the words of a rule: an account, a position and an order that could be."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from septet._host.declare import Step, World
from septet._host.guarded_arrays import StepError
from septet.testing.bars import HOUR_NS
from septet.testing.evaluate import column_fields, number_of
from septet_schemas.base import Config
from septet_schemas.position import Distance, distances_of

__all__ = [
    "SYMBOLS", "Situation", "drawn_situation", "edge_situations", "situation", "tables_of",
]  # fmt: skip

SYMBOLS: Final = 3
START_NS: Final = 1_640_995_200_000_000_000
"""2022-01-01."""
SMALLEST_FLOAT: Final = 5e-324
"""The smallest float64 above zero: dividing by it gives infinity."""
ZERO_WORDS: Final = ("held", "gross", "notional", "cash_available", "cash")
"""Words that are zero for an account that holds and has nothing free."""
Situation = dict[str, Any]


def situation(step: Step, config: Config, random: np.random.Generator, bar_ns: int) -> Situation:
    """Draw a value for every parameter of a rule but its state; they fit each other.

    A word means the same in every draw that it means in a run: a price is above zero, equity is
    cash and positions, a side is +1 or -1. Conditions are true, false or unknown.
    """
    return drawn_situation(step, config, random, bar_ns)[0]


def drawn_situation(
    step: Step, config: Config, random: np.random.Generator, bar_ns: int
) -> tuple[Situation, Situation]:
    """Draw a situation, and return with it all words it was drawn from."""
    words = _words(random, bar_ns)
    marks, away = column_fields(type(config)), distances_of(type(config))
    found: Situation = {}
    for name in step.parameters:
        if name in marks:
            number = 0.0 if getattr(config, name) is None else random.choice([0.0, 1.0, math.nan])
            if marks[name] == "input":
                number = words["price"] * math.exp(random.normal(0.0, 0.01))
            found[name] = np.float64(number)
        elif name.removesuffix("_amount") in away:
            found[name] = _distance(config, name, words["price"])
        elif name in type(config).model_fields or name not in words:
            if name not in ("state", "tables"):
                found[name] = _setting(config, name, bar_ns)
        else:
            found[name] = words[name]
    return found, words


def edge_situations(
    step: Step, config: Config, random: np.random.Generator, bar_ns: int
) -> list[Situation]:
    """Draw situations that a run meets seldom, and a division by what it reads not at all.

    Columns of zero (the volatility of flat prices, a volume), of almost nothing, and equal to the
    price; then an account without cash, positions or drawdown, whose prices have not moved.
    """
    inputs = [name for name, mark in column_fields(type(config)).items() if mark == "input"]
    found = []
    for number in (0.0, SMALLEST_FLOAT, None):
        words = situation(step, config, random, bar_ns)
        price = words.get("price", np.float64(100.0))
        for name in set(inputs) & words.keys():
            words[name] = price if number is None else np.float64(number)
        found.append(words)
    still = situation(step, config, random, bar_ns)
    price = still.get("price", np.float64(100.0))
    still |= {name: price for name in ("average_price", "high_water") if name in still}
    still |= {name: np.float64(0.0) for name in ZERO_WORDS if name in still}
    if "peak" in still and "equity" in still:
        still["peak"] = still["equity"]
    return [*found, still]


def _distance(config: Config, name: str, price: Any) -> Any:
    """Return a distance as a share, or with ``_amount`` behind its name in the quote currency."""
    value = getattr(config, name.removesuffix("_amount"))
    if name.endswith("_amount"):
        return np.float64(0.02 * price if isinstance(value, Distance) else 0.0)
    return np.float64(0.0 if isinstance(value, Distance) else value)


def _setting(config: Config, name: str, bar_ns: int) -> Any:
    if getattr(config, name) is None:
        return np.float64(math.nan)
    return number_of(config, name, bar_ns)


def _words(random: np.random.Generator, bar_ns: int) -> Situation:
    """Draw one account, one symbol and one time."""
    price = math.exp(random.normal(4.0, 1.5))
    equity = math.exp(random.normal(9.0, 1.0))
    side = float(random.choice([-1.0, 1.0]))
    share = random.random() * 0.8
    up = random.random()
    average = price * math.exp(random.normal(0.0, 0.02))
    best = max(average, price) if side > 0.0 else min(average, price)
    now = START_NS + int(random.integers(0, 10**5)) * bar_ns
    notionals = random.normal(0.0, 0.2, SYMBOLS) * equity
    correlations = random.uniform(-1.0, 1.0, SYMBOLS)
    for array in (notionals, correlations):
        array.flags.writeable = False
    plain = {
        "price": price, "equity": equity, "side": side, "cash": (1.0 - share) * equity,
        "gross": share * equity, "notional": side * share * equity,
        "held": side * share * equity / price, "fee": 0.001, "slippage": 0.0005,
        "cost": price * 1.0015, "up": up, "down": 1.0 - up, "confidence": 2.0 * abs(up - 0.5),
        "stop_distance": price * random.uniform(0.001, 0.1),
        "requested": side * random.random() * equity / price,
        "cash_available": (1.0 - share) * equity,
        "limit_price": float(random.choice([math.nan, 0.99, 1.01])) * price,
        "average_price": average, "high_water": best, "tick": 0.01,
        "entry_fee": 0.001 * average, "taker_fee": 0.001,
        "peak": equity * (1.0 + random.random() * 0.3),
        "day_base": equity * math.exp(random.normal(0.0, 0.02)),
    }  # fmt: skip
    whole: Situation = {
        "symbols": SYMBOLS, "k": random.integers(0, SYMBOLS), "bar_ns": bar_ns, "now_ns": now,
        "entry_ns": now - int(random.integers(1, 500)) * bar_ns,
        "held_bars": random.integers(0, 50), "losses_in_a_row": random.integers(0, 6),
        "entries_this_minute": random.integers(0, 4),
    }  # fmt: skip
    values = random.normal(0.0, 1.0, SYMBOLS)
    values[random.integers(0, SYMBOLS)] = math.nan
    values.flags.writeable = False
    return {
        **{name: np.float64(value) for name, value in plain.items()},
        **{name: np.int64(value) for name, value in whole.items()},
        "notionals": notionals, "correlations": correlations, "values": values,
    }  # fmt: skip


def tables_of(step: Step, config: Config, bar_ns: int = HOUR_NS) -> Any:
    """Make a rule's constant array as a plan would, read-only; None where it has none.

    Raises
    ------
    StepError
        If it is no array of two dimensions of float64.
    """
    if step.tables is None:
        return None
    made = step.tables(config, World(tuple(f"S{n}/USDT" for n in range(SYMBOLS)), bar_ns))
    if not isinstance(made, np.ndarray) or made.ndim != 2 or made.dtype != np.float64:
        raise StepError("tables= makes no array of two dimensions of float64")
    sealed = np.ascontiguousarray(made).view()
    sealed.flags.writeable = False
    return sealed
