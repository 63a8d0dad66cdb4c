"""Rejects declarations that contradict themselves when they are made, with their line.

The planner relies on what a step declares, so contradicting declarations are an error: an option
that its kind does not have, a parameter with two meanings, names given twice, a memory shorter than
what is read. What depends on settings is asked by the kit with those of a file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from septet._host.named_state import refused_slots
from septet.errors import PluginError

if TYPE_CHECKING:
    from septet._host.declare import Step
    from septet.hookspecs import Component

__all__ = ["contradiction_with", "refuse_contradictions", "refuse_other_kind"]

ADVANCING: Final = ("feature", "regime", "across")
OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "outputs": ("feature", "across"),
    "state": (*ADVANCING, "sizing"),
    "lookback": ADVANCING,
    "warmup": ADVANCING,
    "memory": ADVANCING,
    "inner": ADVANCING,
    "renews": ("feature", "regime"),
    "value_range": ("feature", "across"),
    "reasons": ("signal", "regime"),
    "tables": ("limit",),
    "closed": ("sizing",),
    "role": ("stop", "limit"),
}
"""The kinds that have each option; all have `compiled`."""
ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "stop": ("", "stop", "target", "exit"),
    "limit": ("", "wire"),
}


def refuse_contradictions(step: Step, words: Mapping[str, str]) -> None:
    """Reject a step whose declaration contradicts its kind, its function or itself.

    Parameters
    ----------
    step
        The step, as its decorator made it.
    words
        The vocabulary of its kind.

    Raises
    ------
    PluginError
        For the first contradiction, with the line of the function.
    """
    function = step.function
    assert function is not None
    fault = next(_contradictions(step, words), None)
    if fault is not None:
        code = function.__code__
        raise PluginError(
            f"{code.co_filename}:{code.co_firstlineno}: the {step.kind} {function.__name__} {fault}"
        )


def refuse_other_kind(component: Component, declared: Any, distribution: str) -> None:
    """Reject a target of another kind than the manifest states, or that is not a plugin.

    A feature over all symbols (`across`) is a feature in a manifest. Commands are functions.

    Raises
    ------
    PluginError
        With the target, the manifest's kind and, of a step, its line.
    """
    if component.layer == "commands":
        return
    kind = getattr(declared, "kind", None)
    expected = component.kind or {"features": "feature", "models": "model"}[component.layer]
    if kind == expected or (kind == "across" and expected == "feature"):
        return
    code = getattr(getattr(declared, "function", None), "__code__", None)
    place = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
    declared_by = f"by the decorator @{kind}" if kind else "by no decorator of septet.plugin"
    raise PluginError(
        f"{component.layer} plugin {component.name!r} of {distribution} is declared as "
        f"{expected!r} in its manifest, and {component.target} {declared_by}{place}",
        hint=f"report this to {distribution}: the Component's kind and the decorator must agree",
    )


def _contradictions(step: Step, words: Mapping[str, str]) -> Iterator[str]:
    for option, kinds in OPTIONS.items():
        default = type(step).__dataclass_fields__[option].default
        if getattr(step, option) != default and step.kind not in kinds:
            yield f"declares {option}=, which only a {' or '.join(kinds)} has"
    if step.kind in ROLES and step.role not in ROLES[step.kind]:
        roles = ", ".join(repr(each) for each in ROLES[step.kind] if each)
        yield f"declares the role {step.role!r}; expected {roles}"
    if step.kind == "regime" and not step.reasons:
        yield "declares no reasons=; its answer is the index of a label in them"
    reserved = {*words, *(["state"] if step.state else []), *(["tables"] if step.tables else [])}
    for name in step.parameters:
        if name in step.config.model_fields and name in reserved:
            yield (
                f"asks for {name!r}, which is a word of its kind and a key of "
                f"{step.config.__name__}: rename the key"
            )
    if step.renews and step.renews not in step.config.model_fields:
        yield f"renews={step.renews!r} is no key of {step.config.__name__}"
    yield from _of_names(step.reasons, "reasons")
    outputs = None if callable(step.outputs) else step.outputs
    yield from _of_names(outputs, "outputs")
    yield from refused_slots(step.state)
    yield from _of_names(step.state, "state")
    if not callable(step.value_range):
        yield from _of_range(step, step.value_range, outputs)


def contradiction_with(step: Step, config: Any) -> str:
    """Return the contradiction of a declaration with some settings; empty without one.

    It calls code of another package, which may not end: the kit limits its time.
    """
    return next(_with_settings(step, config), "")


def _with_settings(step: Step, config: Any) -> Iterator[str]:
    outputs = _named(step.outputs, config)
    yield from _of_names(outputs, "outputs")
    yield from _of_names(step.state_names(config), "state")
    lookback, warmup = step.lookback(config), step.warmup(config)
    for name, bars in (("lookback", lookback), ("warmup", warmup)):
        if bars < 0:
            yield f"declares a {name}= of {bars} bars"
    memory = None if step.memory is None else step.memory(config)
    fixed = memory is not None and memory.kind in ("window", "fading") and not memory.duration_ns
    if memory is not None and fixed and memory.bars <= lookback:
        yield (
            f"declares a memory of {memory.bars} bars and a look-back of {lookback}; expected "
            f"{lookback + 1} bars or more, this bar included"
        )
    yield from _of_range(step, _named(step.value_range, config), outputs)


def _of_range(step: Step, bounds: Any, outputs: Any) -> Iterator[str]:
    every = bounds if isinstance(bounds, Mapping) else {"": bounds}
    for name, each in every.items():
        if name and isinstance(outputs, Sequence) and name not in outputs:
            yield f"declares a value_range= of {name!r}, which is none of its outputs"
        if isinstance(each, str) and each not in step.config.model_fields:
            yield f"keeps the range of {each!r}, which is no key of {step.config.__name__}"
        elif isinstance(each, tuple) and len(each) == 2 and not each[0] <= each[1]:
            yield f"declares values from {each[0]:g} to {each[1]:g}"
        elif isinstance(each, tuple) and any(math.isnan(bound) for bound in each):
            yield "declares a value_range= that is NaN"


def _of_names(names: Any, option: str) -> Iterator[str]:
    if isinstance(names, str) and names:
        yield f"declares {option}={names!r}; expected a tuple of names: ({names!r},)"
    elif isinstance(names, tuple | list):
        twice = sorted({str(each) for each in names if list(names).count(each) > 1})
        if twice:
            yield f"declares {option}= with {', '.join(twice)} twice"


def _named(declared: Any, config: Any) -> Any:
    return declared(config) if callable(declared) else declared
