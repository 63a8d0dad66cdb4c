"""Three-valued conditions after Kleene: 1 true, 0 false, NaN unknown; and the language's functions.

A comparison with NaN is unknown, and only true has an effect. True is therefore tested first:
where nothing else is needed, the compiler removes the tests for NaN.
"""

import math

from septet._kernel.marks import helper

__all__ = [
    "between",
    "both",
    "crosses_above",
    "crosses_below",
    "either",
    "equal",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "max_of",
    "min_of",
    "negation",
    "not_equal",
    "raised",
    "sign",
]

NAN = math.nan


@helper
def less(a, b):
    """Return a < b."""
    if a < b:
        return 1.0
    return NAN if a != a or b != b else 0.0


@helper
def less_equal(a, b):
    """Return a <= b."""
    if a <= b:
        return 1.0
    return NAN if a != a or b != b else 0.0


@helper
def greater(a, b):
    """Return a > b."""
    if a > b:
        return 1.0
    return NAN if a != a or b != b else 0.0


@helper
def greater_equal(a, b):
    """Return a >= b."""
    if a >= b:
        return 1.0
    return NAN if a != a or b != b else 0.0


@helper
def equal(a, b):
    """Return a == b."""
    if a == b:
        return 1.0
    return NAN if a != a or b != b else 0.0


@helper
def not_equal(a, b):
    """Return a != b."""
    if a != b and a == a and b == b:
        return 1.0
    return NAN if a != a or b != b else 0.0


@helper
def both(a, b):
    """Return a and b: false if either is false, else unknown if either is unknown."""
    if a == 1.0 and b == 1.0:
        return 1.0
    return 0.0 if a == 0.0 or b == 0.0 else NAN


@helper
def either(a, b):
    """Return a or b: true if either is true, else unknown if either is unknown."""
    if a == 1.0 or b == 1.0:
        return 1.0
    if a != a or b != b:
        return NAN
    return 0.0


@helper
def negation(a):
    """Return not a."""
    return 1.0 - a


@helper
def between(x, low, high):
    """Return low <= x <= high."""
    if low <= x <= high:
        return 1.0
    return NAN if x != x or low != low or high != high else 0.0


@helper
def crosses_above(a, b, a_before, b_before):
    """Return whether a is above b now and was not the bar before; needs all four values."""
    if a > b and a_before <= b_before:
        return 1.0
    if a != a or b != b or a_before != a_before or b_before != b_before:
        return NAN
    return 0.0


@helper
def crosses_below(a, b, a_before, b_before):
    """Return whether a is below b now and was not the bar before; needs all four values."""
    if a < b and a_before >= b_before:
        return 1.0
    if a != a or b != b or a_before != a_before or b_before != b_before:
        return NAN
    return 0.0


@helper
def min_of(a, b):
    """Return the smaller; NaN if either is NaN."""
    if a != a or b != b:
        return NAN
    return a if a < b else b


@helper
def max_of(a, b):
    """Return the larger; NaN if either is NaN."""
    if a != a or b != b:
        return NAN
    return a if a > b else b


@helper
def sign(x):
    """Return -1, 0 or 1; NaN for NaN."""
    if x > 0.0:
        return 1.0
    if x < 0.0:
        return -1.0
    return x


@helper
def raised(x, exponent):
    """Return x to the power of exponent; NaN where there is no real answer."""
    if x != x or exponent - exponent != 0.0:  # one that is not finite, too
        return NAN
    if x == 0.0:
        return 0.0 if exponent > 0.0 else (1.0 if exponent == 0.0 else NAN)
    if x < 0.0 and exponent != math.floor(exponent):
        return NAN
    if exponent * math.log(abs(x)) > 709.0:
        odd = exponent - 2.0 * math.floor(exponent / 2.0) == 1.0
        return -math.inf if x < 0.0 and odd else math.inf
    return math.pow(x, exponent)
