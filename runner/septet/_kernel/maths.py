"""Arithmetic that steps share: logarithms, powers, and the cases that have no real result.

Steps use these instead of numpy's functions and of ``**``: numpy's differ from `math` in the last
bit, and so does a literal exponent from a variable one.
"""

from __future__ import annotations

import math
from typing import Any, Final

from septet._kernel.marks import helper

__all__ = [
    "NAN",
    "cosine",
    "divide",
    "exponential",
    "finite",
    "helper",
    "logarithm",
    "positive_part",
    "power",
    "root",
    "sine",
    "usual",
]

NAN: Final = math.nan
"""Not a number: a value that is not known."""


@helper
def finite(x: float) -> bool:
    """Whether `x` is neither NaN nor infinite."""
    return x - x == 0.0


@helper
def usual(is_usual: bool, state: Any) -> bool:
    """Return `is_usual`: whether a value is one of the common case.

    SIMD lanes (`lanes`) all get true; `state` records which of them was not.
    """
    return is_usual


@helper
def divide(over: float, under: float) -> float:
    """Return ``over / under``; NaN, never infinity, when `under` is zero or either is NaN."""
    if under == 0.0:
        return NAN
    return over / under


@helper
def positive_part(x: float) -> float:
    """Return `x` where it is above zero, else 0 (NaN gives 0)."""
    if x > 0.0:
        return x
    return 0.0


@helper
def logarithm(x: float) -> float:
    """Return the natural logarithm; NaN for zero, negative and NaN."""
    if x > 0.0:
        return math.log(x)
    return NAN


@helper
def exponential(x: float) -> float:
    """Return e to the power of `x`; infinite above about 709.78, NaN for NaN."""
    if x > 709.782712893384:
        return math.inf
    return math.exp(x)


@helper
def root(x: float) -> float:
    """Return the square root; NaN for negative and NaN."""
    if x >= 0.0:
        return math.sqrt(x)
    return NAN


@helper
def power(x: float, exponent: float) -> float:
    """Return `x` to the power of `exponent`; NaN where there is no real answer.

    Infinite where the answer is above about 1.7e308.
    """
    if x == 0.0:
        return 0.0 if exponent > 0.0 else (1.0 if exponent == 0.0 else NAN)
    if not finite(x) or not finite(exponent):
        return NAN
    if x < 0.0 and exponent != math.floor(exponent):
        return NAN
    if exponent * math.log(abs(x)) > 709.7:
        return -math.inf if x < 0.0 and exponent % 2.0 == 1.0 else math.inf
    return math.pow(x, exponent)


@helper
def sine(x: float) -> float:
    """Return the sine of `x` (radians); NaN for infinity and NaN."""
    return math.sin(x) if finite(x) else NAN


@helper
def cosine(x: float) -> float:
    """Return the cosine of `x` (radians); NaN for infinity and NaN."""
    return math.cos(x) if finite(x) else NAN
