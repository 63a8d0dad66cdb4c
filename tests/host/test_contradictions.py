"""Declarations that contradict themselves are refused where they are made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import septet_plugins.manifest
from septet._host.plugin_registry import Host
from septet.errors import PluginError
from septet.hookspecs import Component
from septet.plugin import (
    Bars,
    Config,
    Input,
    fading,
    feature,
    halt,
    limit,
    order,
    regime,
    signal,
    sizing,
    stop,
    window,
)
from septet.plugin.numeric import slots
from septet.testing.verdict import decisive


class Plain(Config):
    """Has a column, a number, and keys that are words of some kinds."""

    of: Input = "close"
    period: Bars = 5
    price: float = 1.0
    close: float = 1.0


class Bare(Config):
    """Has a number."""

    share: float = 1.0


class Reading(Config):
    """Has what its function asks for."""

    of: Input = "close"
    period: Bars = 5


def reading(i: int, of: Any, period: int) -> float:
    return float(of[i])


def nothing(i: int) -> float:
    return 0.0


def number() -> float:
    return 0.0


def shadowing(i: int, close: Any) -> float:
    return float(close)


def priced(price: float) -> float:
    return price


CASES: dict[str, tuple[Callable[..., Any], Callable[..., Any], str]] = {
    "an output twice": (feature(Plain, outputs=("a", "b", "a")), nothing, "outputs= with a twice"),
    "a text of outputs": (feature(Plain, outputs="up"), nothing, r"a tuple of names: \('up',\)"),
    "a text of state": (sizing(Bare, state="seen"), number, "expected a tuple of names"),
    "reasons twice": (signal(Bare, reasons=("no", "no")), number, "reasons= with no twice"),
    "a regime without labels": (regime(Plain), nothing, "declares no reasons="),
    "a parameter with two meanings": (feature(Plain), shadowing, "'close', which is a word of"),
    "a price with two meanings": (order(Plain), priced, "'price', which is a word of"),
    "no such range": (
        feature(Plain, value_range={"up": (0.0, 1.0)}), nothing, "'up', which is none of its out"
    ),
    "a range of no key": (feature(Plain, value_range="off"), nothing, "the range of 'off'"),
    "a range upside down": (feature(Plain, value_range=(1.0, 0.0)), nothing, "from 1 to 0"),
    "renews at no key": (feature(Plain, renews="often"), nothing, "renews='often' is no key"),
    "a limit with a state": (limit(Bare, state=("a",)), number, "declares state=, which only a"),
    "a stop with a look-back": (stop(Bare, lookback=lambda c: 3), number, "declares lookback="),
    "a halt with a memory": (halt(Bare, memory=lambda c: window(3)), number, "declares memory="),
    "a sizing with outputs": (sizing(Bare, outputs=("a", "b")), number, "declares outputs="),
    "an order with a role": (order(Bare, role="wire"), number, "declares role=, which only a"),
    "a role of another kind": (stop(Bare, role="wire"), number, "role 'wire'; expected 'stop'"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_declaration_that_contradicts_itself_is_refused_with_its_line(case: str) -> None:
    decorate, function, message = CASES[case]
    with pytest.raises(PluginError, match=message) as caught:
        decorate(function)
    line = function.__code__.co_firstlineno
    assert caught.value.message.startswith(f"{Path(__file__)}:{line}: the ")


SETTINGS: dict[str, tuple[Callable[..., Any], str]] = {
    "memory of nothing": (
        feature(Reading, lookback=lambda c: 5, memory=lambda c: window(0)),
        "a memory of 0 bars and a look-back of 5; expected 6 bars or more",
    ),
    "memory shorter than what is read": (
        feature(Reading, lookback=lambda c: c.period, memory=lambda c: fading(c.period)),
        "a memory of 5 bars and a look-back of 5",
    ),
    "negative look-back": (feature(Reading, lookback=lambda c: -1), "a lookback= of -1 bars"),
    "a slot twice": (
        feature(Reading, state=("a_1", slots("a", lambda c: 2))), "state= with a_1 twice"
    ),
    "a range upside down": (
        feature(Reading, value_range=lambda c: (float(c.period), 1.0)), "values from 5 to 1"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SETTINGS)
def test_a_contradiction_that_settings_make_fails_the_decisive_checks(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    decorate, message = SETTINGS[case]
    step = decorate(reading)
    monkeypatch.setitem(globals(), "reading", step)  # a plan finds a step by its name
    *_, last = decisive(step, Reading())
    assert (last.name, last.state) == ("declares itself", "failed")
    assert message in last.message


@pytest.mark.parametrize(
    ("component", "found"),
    [
        (
            Component("risk", "odd", "septet_plugins.risk.sizing:volatility_target", "limit"),
            r"declared as 'limit' in its manifest, and .* by the decorator @sizing \(.*py:\d+",
        ),
        (
            Component("features", "odd", "septet_plugins.risk.sizing:volatility_target"),
            "declared as 'feature' in its manifest",
        ),
        (
            Component("risk", "odd", "septet_plugins.risk.sizing:Kelly", "sizing"),
            r"Kelly by no decorator of septet\.plugin",
        ),
    ],
)
def test_a_manifest_that_names_another_kind_is_refused(component: Component, found: str) -> None:
    class Manifest:
        pass

    manifest: Any = Manifest()
    setattr(manifest, f"septet_{component.layer}", lambda: [component])
    host = Host([("septet", "1", septet_plugins.manifest), ("odd", "1", manifest)])
    entry = host.find(component.layer, "odd")
    with pytest.raises(PluginError, match=found):
        host.load(entry)
