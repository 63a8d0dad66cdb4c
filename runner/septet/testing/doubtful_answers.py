"""Answers that a kind allows and that nobody can mean: a stop without a price, a size in money."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from septet._host.declare import Step
from septet._host.guarded_arrays import GuardedState
from septet.testing.bars import HOUR_NS
from septet.testing.evaluate import column_fields
from septet.testing.ranges import answers_of
from septet.testing.rule_arguments import Situation, drawn_situation
from septet_schemas.base import Config

__all__ = ["Doubtful", "doubt_rule"]

DRAWS: Final = 60
MONEY: Final = ("equity", "cash", "gross", "notional", "cash_available", "peak", "day_base")
PRICES: Final = ("price", "cost", "average_price", "high_water", "limit_price")


class Doubtful(Exception):
    """What a rule answers in every situation, where nobody can mean that."""


def doubt_rule(step: Step, config: Config, *, bar_ns: int = HOUR_NS, draws: int = DRAWS) -> None:
    """Doubt a stop that never gives a price, and a sizing that returns money.

    Raises
    ------
    Doubtful
        With what it answers in all drawn situations.
    """
    if step.kind == "stop" and step.role != "exit":
        answers = answers_of(step, config, bar_ns=bar_ns, draws=draws)
        if all(answer[0] != answer[0] for _, answer in answers):
            raise Doubtful(
                f"{step.config.__name__} gives no price (NaN) in any of the kit's {len(answers)} "
                "situations, and such a stop protects nothing"
            )
    if step.kind == "sizing" and _returns_money(step, config, bar_ns, draws):
        raise Doubtful(
            f"{step.config.__name__} asks for twice as much with twice the equity, for as much at "
            "twice the price, and for more than the equity buys: does it return money? A sizing "
            "returns a quantity, which is money divided by the price"
        )


def _returns_money(step: Step, config: Config, bar_ns: int, draws: int) -> bool:
    """Whether answers go with money and not with the price, and are worth more than the equity.

    One that reads columns is not checked: a price may be among them.
    """
    marked = column_fields(type(config)).keys() & set(step.parameters)
    if marked or not set(MONEY) & set(step.parameters):
        return False
    random = np.random.default_rng(37)
    worth = []
    for _ in range(draws):
        given, words = drawn_situation(step, config, random, bar_ns)
        size = _size(step, config, given)
        if not size > 0.0:
            continue
        held = {"held": given["held"] / 2.0} if "held" in given else {}
        dearer = _size(step, config, {**_doubled(given, PRICES), **held})
        more = {"held": given["held"] * 2.0} if "held" in given else {}
        richer = _size(step, config, {**_doubled(given, MONEY), **more})
        if not (np.isclose(dearer, size, rtol=1e-9) and np.isclose(richer, 2.0 * size, rtol=1e-9)):
            return False
        worth.append(size * float(words["price"]) / float(words["equity"]))
    return len(worth) > draws // 4 and float(np.median(worth)) > 1.0


def _doubled(given: Situation, names: tuple[str, ...]) -> Situation:
    return {name: 2.0 * value if name in names else value for name, value in given.items()}


def _size(step: Step, config: Config, given: Situation) -> float:
    assert step.function is not None
    state = GuardedState(step.config.__name__, np.zeros(len(step.state_names(config))))
    words: dict[str, Any] = {**given, "state": state, "tables": None}
    with np.errstate(all="ignore"):
        return float(step.function(*(words[name] for name in step.parameters)))
