"""The source of steps that break one rule each, as a stranger's module would hold them."""

from __future__ import annotations

__all__ = ["HEAD", "RULES", "SOUND", "UNSOUND"]

HEAD = '''\
"""Steps of a stranger."""

import math
import random
import time

import numpy as np

from septet.plugin import Bars, Config, Expression, Fraction, Input
from septet.plugin import feature, fading, limit, sizing, stop, halt, signal, window
from septet.plugin.numeric import helper

PRICES = np.arange(100_000.0)
WEIGHTS = [0.5, 0.5]
LIMITS = (0.25, 0.75)
SEEN = {}


class Over(Config):
    """Reads a column."""

    of: Input = "close"
    period: Bars = 4


class Plain(Config):
    """Has a number."""

    share: Fraction = 0.1


@helper
def half(value):
    """Return a half."""
    return 0.5 * value


def unmarked(value):
    """Return a half."""
    return 0.5 * value


@helper
def loud(value):
    """Say it."""
    print(value)
    return value

'''

SOUND = """
@feature(Over, lookback=lambda c: c.period)
def broken(i, of, period):
    return half(of[i] / of[i - period] - 1.0) + LIMITS[0] * math.pi * 0.0
"""

UNSOUND: dict[str, tuple[str, str]] = {
    "the cursor as a count of bars": (
        """
@feature(Over, lookback=lambda config: 5)
def broken(i, of):
    return of[i] if i > 500 else 0.0
""",
        "broken tests i > 500: i is a place in the arrays, never a count of bars",
    ),
    "the future": (
        """
@feature(Over, lookback=lambda c: c.period)
def broken(i, of, period):
    return of[i + 1] / of[i] - 1.0
""",
        "reads of[i + 1]: the future",
    ),
    "the future by way of a setting": (
        """
@feature(Over, lookback=lambda c: c.period)
def broken(i, of, period):
    return of[i - period + 5] / of[i] - 1.0
""",
        "reads of[i + 1]: the future",
    ),
    "writes to its input": (
        """
@feature(Over)
def broken(i, of, period):
    of[i] = 1.0
    return of[i]
""",
        "writes to its input of",
    ),
    "beyond its look-back": (
        """
@feature(Over)
def broken(i, of, period):
    return of[i] / of[i - period] - 1.0
""",
        "declare a larger lookback",
    ),
    "remembers longer than it declares": (
        """
@feature(Over, state=("sum",), memory=lambda c: window(c.period))
def broken(i, of, period, state):
    state[0] += of[i]
    return state[0]
""",
        "it declares a window memory of 4 bars",
    ),
    "an array of its module": (
        """
@feature(Over)
def broken(i, of, period):
    return of[i] / PRICES[i]
""",
        "reads PRICES, a ndarray of its module",
    ),
    "a list of its module": (
        """
@feature(Over)
def broken(i, of, period):
    return of[i] * WEIGHTS[0]
""",
        "reads WEIGHTS, a list of its module",
    ),
    "prints": (
        """
@feature(Over)
def broken(i, of, period):
    print(of[i])
    return of[i]
""",
        "broken calls print",
    ),
    "a helper that prints": (
        """
@feature(Over)
def broken(i, of, period):
    return loud(of[i])
""",
        "loud calls print",
    ),
    "the clock": (
        """
@feature(Over, compiled=False)
def broken(i, of, period):
    return of[i] + time.time()
""",
        "uses the module time",
    ),
    "chance": (
        """
@feature(Over, compiled=False)
def broken(i, of, period):
    return of[i] + random.random()
""",
        "uses the module random",
    ),
    "chance of numpy": (
        """
@feature(Over, compiled=False)
def broken(i, of, period):
    return of[i] + np.random.normal()
""",
        "draws random numbers",
    ),
    "keeps what it saw beside its state": (
        """
@feature(Over, compiled=False)
def broken(i, of, period):
    SEEN[i] = of[i]
    return SEEN.get(i - 1, 0.0)
""",
        "reads SEEN, a dict of its module",
    ),
    "a global that it counts": (
        """
COUNT = 0

@feature(Over, compiled=False)
def broken(i, of, period):
    global COUNT
    COUNT += 1
    return of[i] + COUNT
""",
        "writes COUNT, a name of its module",
    ),
    "calls what is no helper": (
        """
@feature(Over)
def broken(i, of, period):
    return unmarked(of[i])
""",
        "unmarked, which is not marked with @helper",
    ),
    "raises": (
        """
@feature(Over)
def broken(i, of, period):
    if of[i] < 0.0:
        raise ValueError("below zero")
    return of[i]
""",
        "broken raises",
    ),
    "too few outputs": (
        """
@feature(Over, outputs=("one", "two"))
def broken(i, of, period):
    return of[i]
""",
        "returns 1 value and declares 2",
    ),
    "too many outputs": (
        """
@feature(Over)
def broken(i, of, period):
    return of[i], of[i]
""",
        "returns 2 values and declares 1",
    ),
    "nothing": (
        """
@feature(Over)
def broken(i, of, period):
    of[i]
""",
        "returns None; expected a number",
    ),
    "a slot it has not": (
        """
@feature(Over, state=("one",))
def broken(i, of, period, state):
    state[1] = of[i]
    return state[1]
""",
        "uses state[1]; it declares 1 slots",
    ),
    "an exception": (
        """
@feature(Over, compiled=False)
def broken(i, of, period):
    return {"a": of[i]}["b"]
""",
        "KeyError: 'b'",
    ),
    "what no compiler takes": (
        """
@feature(Over)
def broken(i, of, period):
    return {"a": of[i]}["a"]
""",
        "it does not compile",
    ),
    "a declaration that fails": (
        """
@feature(Over, lookback=lambda c: c.period // 0)
def broken(i, of, period):
    return of[i]
""",
        "ZeroDivisionError",
    ),
}

RULES: dict[str, tuple[str, str, str]] = {
    "a size that is NaN": (
        "sizing",
        """
@sizing(Plain)
def broken(equity, price, share):
    return math.nan
""",
        "asks for a quantity that is NaN",
    ),
    "a negative size": (
        "sizing",
        """
@sizing(Plain)
def broken(side, equity, price, share):
    return side * share * equity / price
""",
        "asks for a quantity of -",
    ),
    "a limit that is NaN": (
        "limit",
        """
@limit(Plain)
def broken(requested, price, share):
    return math.nan
""",
        "allows a quantity that is NaN",
    ),
    "a limit below zero": (
        "limit",
        """
@limit(Plain)
def broken(notional, side, price, equity, share):
    return (share * equity - side * notional) / price
""",
        "allows a quantity of -",
    ),
    "a stop on the wrong side of a short": (
        "stop",
        """
@stop(Plain)
def broken(average_price, side, share):
    return average_price * (1.0 - share)
""",
        "puts the stop of a short on the wrong side",
    ),
    "a stop on the wrong side of a long": (
        "stop",
        """
@stop(Plain)
def broken(high_water, share):
    return high_water * (1.0 + share)
""",
        "puts the stop of a long on the wrong side",
    ),
    "a target on the wrong side": (
        "stop",
        """
@stop(Plain, role="target")
def broken(average_price, side, share):
    return average_price * (1.0 - side * share)
""",
        "on the wrong side",
    ),
    "a halt that answers a number": (
        "halt",
        """
@halt(Plain)
def broken(equity, peak, share):
    return 1.0 - equity / peak
""",
        "expected true or false",
    ),
    "a signal with a side of two": (
        "signal",
        """
@signal(Plain)
def broken(up, price, share):
    return 2.0, 1.0, -1
""",
        "gives the side 2",
    ),
    "a signal with a reason it has not": (
        "signal",
        """
@signal(Plain, reasons=("one",))
def broken(price, share):
    return math.nan, 0.0, 1
""",
        "gives the reason 1; it declares 1",
    ),
    "a signal of too few values": (
        "signal",
        """
@signal(Plain)
def broken(price, share):
    return 1.0
""",
        "returns 1 value and declares 3",
    ),
    "writes to the account": (
        "limit",
        """
@limit(Plain)
def broken(requested, notionals, share):
    notionals[0] = 0.0
    return abs(requested)
""",
        "read-only",
    ),
    "prints": (
        "sizing",
        """
@sizing(Plain)
def broken(equity, price, share):
    print(equity)
    return share * equity / price
""",
        "broken calls print",
    ),
}
