"""Steps that keep something beside their state, and rules whose answers nobody can mean."""

from __future__ import annotations

import math

from septet.plugin import Config, Fraction, Input, feature, sizing, stop
from septet.plugin.numeric import helper

__all__ = ["DOUBTED", "FROM_THE_END", "KEEPERS", "MEANT"]


class C(Config):
    """A column."""

    of: Input = "close"


class S(Config):
    """A share."""

    share: Fraction = 0.5


class Box:
    n = 0.0


class Bag:
    held: list[float] = []


class Called:
    def __init__(self):
        self.n = 0.0

    def __call__(self, x):
        self.n += x
        return self.n


CALLED = Called()


@feature(C, compiled=False)
def of_a_class(i, of):
    if of[i] > 1e9:
        Box.n += 1.0
    return of[i] + Box.n


def plain():
    """Hold an attribute of a function."""


@feature(C, compiled=False)
def of_a_function(i, of):
    if of[i] > 1e9:
        plain.n = of[i]  # type: ignore[attr-defined]
    return of[i]


@feature(C, compiled=False)
def through_a_local_name(i, of):
    box = Box
    if of[i] > 1e9:
        box.n = of[i]
    return of[i] + box.n


@feature(C, compiled=False)
def in_a_list_of_a_class(i, of):
    if of[i] > 1e9:
        Bag.held.append(of[i])
    return of[i] + len(Bag.held)


@feature(C, compiled=False)
def in_an_object(i, of):
    return CALLED(of[i])


@helper
def remembered(x, seen=[]):  # noqa: B006 - that is what is tried
    if x > 1e9:
        seen.append(x)
    return len(seen)


@feature(C, compiled=False)
def in_a_default(i, of):
    return of[i] + remembered(of[i])


KEEPERS = {
    "of_a_class": (of_a_class, "writes the attribute n"),
    "of_a_function": (of_a_function, "writes the attribute n"),
    "through_a_local_name": (through_a_local_name, "writes the attribute n"),
    "in_a_list_of_a_class": (in_a_list_of_a_class, "a class that holds held, a list"),
    "in_an_object": (in_an_object, "reads CALLED, a Called of its module"),
    "in_a_default": (in_a_default, "has a default that is a list"),
}


@feature(C)
def last(i, of):
    return of[-1]


FROM_THE_END = last


@stop(S)
def never(average_price, share):
    return math.nan


@sizing(S)
def money(equity, share):
    return equity * share


@sizing(S)
def money_where_it_is_cheap(equity, price, share):
    return equity * share if price > 0.0 else 0.0


@stop(S)
def seldom(average_price, side, share):
    return average_price * (1.0 - side * share) if side > 0.0 else math.nan


@sizing(S)
def quantity(equity, price, share):
    return equity * share / price


@sizing(S)
def lots(equity, share):
    """One unit for each ten thousand of equity."""
    return math.floor(equity / 10_000.0)


@sizing(S)
def ratio(equity, share):
    return share * equity / 1_000.0


@sizing(S)
def fixed(share):
    return 100.0 * share


DOUBTED = {"never": never, "money": money, "money_where_it_is_cheap": money_where_it_is_cheap}
MEANT = {"seldom": seldom, "quantity": quantity, "lots": lots, "ratio": ratio, "fixed": fixed}
