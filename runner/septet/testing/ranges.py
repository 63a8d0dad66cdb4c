"""What a rule may answer, kind by kind, tried uncompiled in plausible situations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import chain
from typing import Final

import numpy as np

from septet._host.declare import Step
from septet._host.guarded_arrays import GuardedState, StepError, located, require_outputs
from septet._host.plugin_calls import is_theirs
from septet.testing.bars import HOUR_NS
from septet.testing.evaluate import column_fields
from septet.testing.rule_arguments import Situation, edge_situations, situation, tables_of
from septet_schemas.base import Config

__all__ = ["DRAWS", "RULES", "answers_of", "try_rule"]

RULES: Final = frozenset({"signal", "sizing", "limit", "stop", "halt", "order", "across"})
DRAWS: Final = 60
WIDTHS: Final[Mapping[str, int]] = {"signal": 3, "order": 2}


def try_rule(step: Step, config: Config, *, bar_ns: int = HOUR_NS, draws: int = DRAWS) -> None:
    """Call a rule in drawn situations, twice each, and check what it returns.

    Raises
    ------
    StepError
        For the first answer that its kind does not allow, that differs the second time, or an
        exception, with the line and the situation.
    """
    first = answers_of(step, config, bar_ns=bar_ns, draws=draws)
    again = answers_of(step, config, bar_ns=bar_ns, draws=draws)
    for (words, one), (_, other) in zip(first, again, strict=True):
        if not _same(one, other):
            raise StepError(
                f"{_name(step)} answers {one} and then {other} for {_shown(words)}; an answer "
                "follows from the parameters and the state alone"
            )
        wrong = _wrong(step, config, words, one)
        if wrong:
            raise StepError(f"{_name(step)} {wrong}, for {_shown(words)}")


def answers_of(
    step: Step, config: Config, *, bar_ns: int = HOUR_NS, draws: int = DRAWS
) -> list[tuple[Situation, tuple[float, ...]]]:
    """Return situations and what the plain step answers, its state going on.

    After drawn ones come edges: columns that are zero, and a market that has not moved.

    Raises
    ------
    StepError
        If it raises, reads a slot it has not, or gives another number of values.
    """
    assert step.function is not None
    random = np.random.default_rng(29)
    name, tables = _name(step), tables_of(step, config, bar_ns)
    width = max(WIDTHS.get(step.kind, 1), len(step.output_names(config)))
    state = GuardedState(name, np.zeros(len(step.state_names(config))))
    found = []
    drawn = (situation(step, config, random, bar_ns) for _ in range(draws))
    edges = edge_situations(step, config, np.random.default_rng(31), bar_ns)
    for words in chain(drawn, edges):
        more = {"state": state, "tables": tables}
        try:
            with np.errstate(all="ignore"):
                result = step.function(
                    *({**words, **more}[parameter] for parameter in step.parameters)
                )
        except BaseException as error:  # a stranger's step may raise anything
            if not is_theirs(error):
                raise
            raise located(error) from error
        require_outputs(name, result, width)
        values = result if isinstance(result, tuple) else (result,)
        found.append((words, tuple(float(value) for value in values)))
    return found


def _name(step: Step) -> str:
    return step.function.__name__ if step.function else step.config.__name__


def _same(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(a == b or (a != a and b != b) for a, b in zip(one, other, strict=True))


def _shown(words: Situation) -> str:
    parts = (f"{name}={np.round(value, 6)}" for name, value in words.items())
    return ", ".join(parts) or "nothing"


def _wrong(step: Step, config: Config, words: Situation, answer: tuple[float, ...]) -> str:
    """Return what is wrong with an answer; empty when its kind allows it."""
    value = answer[0]
    known = all(np.all(np.isfinite(each)) for name, each in words.items() if name in _MUST_KNOW)
    known = known and all(
        math.isfinite(float(words[name])) for name in column_fields(type(config)) if name in words
    )
    divides = all(
        float(words[name]) != 0.0 for name in column_fields(type(config)) if name in words
    )
    if step.kind == "sizing":
        if value < 0.0 or math.isinf(value):
            return f"asks for a quantity of {value:g}; expected zero or more"
        known = known and divides  # of a column that is zero only NaN may be known
        nan = "asks for a quantity that is NaN; expected a number, zero for none"
        return nan if known and value != value else ""
    if step.kind == "limit":
        if value < 0.0:
            return f"allows a quantity of {value:g}; expected zero or more"
        known = known and divides
        nan = "allows a quantity that is NaN; expected a number, infinity for no limit"
        return nan if known and value != value else ""
    if step.kind == "halt":
        return "" if value in (0.0, 1.0) else f"answers {value:g}; expected true or false"
    if step.kind == "stop":
        return _wrong_stop(step, config, words, value)
    if step.kind == "order":
        bad = [each for each in answer if each == each and not 0.0 < each < math.inf]
        return f"gives the price {bad[0]:g}; {_PRICE}" if known and bad else ""
    return _wrong_signal(step, answer) if step.kind == "signal" else ""


_PRICE: Final = "expected a price above zero, or NaN for none"
_MUST_KNOW: Final = ("up", "down", "confidence", "price", "equity")


def _wrong_signal(step: Step, answer: tuple[float, ...]) -> str:
    side, confidence, reason = answer
    if side == side and side not in (-1.0, 0.0, 1.0):
        return f"gives the side {side:g}; expected +1, -1, 0 or NaN"
    if side == side and side != 0.0 and not 0.0 <= confidence <= 1.0:
        return f"gives the confidence {confidence:g}; expected 0 to 1"
    if reason not in range(-1, len(step.reasons)):
        count = len(step.reasons)
        expected = f"0 to {count - 1}, or -1 for none" if count else "-1 for none"
        return f"gives the reason {reason:g}; it declares {count}: expected {expected}"
    return ""


def _wrong_stop(step: Step, config: Config, words: Situation, level: float) -> str:
    """A protective price lies below a long position's best price, a target above its entry."""
    if step.role == "exit":
        return "" if level in (0.0, 1.0) else f"answers {level:g}; expected true or false"
    if level != level or column_fields(type(config)).keys() & words.keys():
        return ""  # no stop; or one whose level the file sets
    if not 0.0 < level < math.inf:
        return f"gives the price {level:g}; {_PRICE}"
    side, average = words.get("side", 1.0), words.get("average_price")
    word = "long" if side > 0.0 else "short"
    if step.role == "target":
        wrong = average is not None and side * (level - average) <= 0.0
        text = f"puts the target of a {word} on the wrong side, at {level:g}; expected a price"
        where = "above" if side > 0.0 else "below"
        return f"{text} {where} its entry at {average:g}" if wrong else ""
    best = words.get("high_water", average)
    wrong = best is not None and side * (best - level) <= 0.0
    text = f"puts the stop of a {word} on the wrong side, at {level:g}; expected a price"
    where = "below" if side > 0.0 else "above"
    return f"{text} {where} {best:g}" if wrong else ""
