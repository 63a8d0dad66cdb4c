"""P1 on shapes that nobody wrote down: the batch and the event path give the same bits.

The shapes that are written down, compiled, are in `test_parity_*.py`; here their parts are mixed
and run as plain text, which compiles nothing. `make soak` compiles the mixtures as well.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, note, settings
from hypothesis import strategies as st

from septet.errors import ConfigError
from septet_plugins.features.manifest import FEATURES
from tests.core import drawn_cases
from tests.core.markets import Rough, made_series, rough_market
from tests.core.paths import both, by_batch, by_events, plainly
from tests.core.properties import cases, check_every_path
from tests.core.shapes import body_of, names, written
from tests.core.table_comparison import assert_same
from tests.core.world import load_text, open_made, session_of
from tests.features.cases import CASES
from tests.scale import SOAK, examples

UNBOUNDED = ("drawdown", "obv", "running_max", "running_sum")
"""Rejected in a file unless a window or an anchor ends their memory."""


@given(st.data())
@settings(max_examples=examples(24))
def test_trading_is_the_same_in_both_paths(data):
    s = data.draw(drawn_cases.settings())
    bars = data.draw(drawn_cases.markets(s))
    whole = by_batch(plainly(session_of(s, bars)))
    events = by_events(plainly(session_of(s, bars)), data.draw(st.integers(8, 60)))
    assert events.slides > 2
    assert_same(whole, events)


# -------------------------------------------------------------------------- mixtures


@st.composite
def mixtures(draw: Any) -> dict[str, Any]:
    """Draw a shape from three: the signal of one, the risk of another, the market of a third."""
    seen, careful, traded = (body_of(draw(st.sampled_from(names()))) for _ in range(3))
    kept = ("universe", "data", "features", "model")
    body: dict[str, Any] = {key: seen[key] for key in kept if key in seen}
    body["signal"] = {**seen["signal"], "reentry": careful["signal"].get("reentry", "rearm")}
    symbols = body["universe"]["symbols"]
    risk = {**careful["risk"], "limits": dict(careful["risk"].get("limits", {}))}
    risk["sizing"] = seen["risk"]["sizing"]
    groups = risk["limits"].pop("groups", None)
    if groups is not None and len(symbols) > 1:
        risk["limits"]["groups"] = {"all": {"symbols": symbols, "max": "50%"}}
    body["risk"] = risk
    kind = traded.get("account", {}).get("type", "spot")
    body["account"] = {**traded.get("account", {})}
    execution = traded.get("execution", {})
    body["execution"] = {key: execution[key] for key in ("simulation", "order") if key in execution}
    if kind == "spot":
        body["signal"].pop("short_if", None)
    else:
        funding = {"rate": "2bps", "every": "8h"}
        body["perpetual"] = {"funding": funding, **traded.get("perpetual", {})}
    return body


def _mixed(data: Any) -> Any:
    body = data.draw(mixtures())
    try:
        return data.draw(cases(body, "mixed"))
    except ConfigError as error:
        note(str(error))
        assume(False)


@given(st.data())
@settings(max_examples=examples(24))
def test_mixtures_of_the_shapes_give_one_answer(data):
    check_every_path(data, _mixed(data), plainly)


@pytest.mark.skipif(not SOAK, reason="compiles a new plan for every example: make soak does")
@given(st.data())
@settings(max_examples=60)
def test_new_shapes_give_one_answer_compiled(data):
    check_every_path(data, _mixed(data))


# -------------------------------------------------------------------------- features


def _family(module: str, frame: str | None) -> dict[str, Any]:
    """Every feature of a module with small settings, on base bars or on taller ones."""
    keys = [key.partition(":")[0] for key in FEATURES[module]]
    found = {}
    for name in keys:
        for number, settings_ in enumerate(CASES[name]):
            block = {"use": name, **settings_}
            if name in UNBOUNDED and not {"window", "anchor"} & set(block):
                continue
            outside = name in ("series", "cross_rank") or "@" in str(block.get("to", ""))
            if frame is not None and outside:
                continue
            if block.get("to") == "other":
                block["to"] = "volume"
            found[f"f{number}_{name}"] = {**block, **({"bar": frame} if frame else {})}
    return found


@pytest.mark.parametrize("module", list(FEATURES))
@pytest.mark.parametrize("frame", [None, "3h", "1d", "1w"])
@given(st.integers(0, 2**20), st.integers(8, 70))
@settings(max_examples=examples(2))
def test_every_feature_is_the_same_in_both_paths(module, frame, seed, spare):
    symbols = ["BTC/USDT", "ETH/USDT"]
    mood = body_of("moods")["data"]["mood"]
    body = {
        "universe": {"symbols": symbols, "bar": "1h"},
        "data": {"candles": {"use": "synthetic", "reset_after": "6 bars"}, "mood": mood},
        "features": _family(module, frame),
        "signal": {"use": "rules", "long_if": "close > open", "exit_if": "close < prev(open, 1)"},
        "risk": {"sizing": {"use": "fixed_fraction", "fraction": "10%"}},
    }
    loaded = load_text(written(body, "family"))
    made = [
        Rough(seed + k, 420, flats=((150, 20),), holes=((80, 3), (300 + 9 * k, 9)), quiet=0.1)
        for k in (0, 1)
    ]
    bars, series = rough_market(symbols, made, (0.0, 0.0)), made_series(seed, 420)
    first = open_made(loaded, bars, 40, series)
    second, third = (open_made(loaded, bars, 40, series, plan=first.plan) for _ in range(2))
    whole = by_batch(plainly(first))
    assert_same(whole, by_events(plainly(second), spare))
    assert_same(whole, both(plainly(third), 200, spare))
