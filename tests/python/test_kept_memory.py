"""Many runs in one process: what one leaves behind when it is let go, counted in objects."""

from __future__ import annotations

import functools
import gc
import sys
from collections import Counter
from collections.abc import Iterator, Sized
from pathlib import Path
from typing import Any

import pytest

import septet
from septet._config import load
from septet._plan.plain import COMPILE
from septet._shell.backtest import backtest
from tests.plan.strangers import host_with_strangers
from tests.python.samples import written

WARM, MORE = 8, 24
KEPT = (list, dict, set, bytearray)
UNCOMPILED = """\
version: 1
name: strange
universe: {symbols: [BTC/USDT], bar: 1h}
data: {candles: {use: synthetic, bars: 400, volatility: 90%}}
features:
  far: {use: strangers:reach_plain, period: 4}
signal: {use: rules, long_if: far > 0.001, exit_if: far < -0.001}
risk:
  sizing: {use: fixed_fraction, fraction: 50%}
  stops: {stop_loss: 2%}
"""


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COMPILE, "never")


def objects() -> Counter[str]:
    """Count the objects of this process by their type."""
    gc.collect()
    return Counter(
        f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.get_objects()
    )


def containers() -> Iterator[tuple[str, Sized]]:
    """Yield what modules of septet keep at their top, and in attributes of their classes."""
    for name, module in list(sys.modules.items()):
        if not name.startswith(("septet", "septet_plugins", "septet_schemas")):
            continue
        for key, value in list(vars(module).items()):
            if isinstance(value, KEPT) or type(value).__module__ in ("weakref", "collections"):
                yield f"{name}.{key}", value
            elif isinstance(value, type) and value.__module__ == name:
                for own, held in list(vars(value).items()):
                    if isinstance(held, KEPT):
                        yield f"{name}.{key}.{own}", held


def unbounded() -> dict[str, int]:
    """Return how much each cache without a bound holds, and each container of a module."""
    found = {name: len(each) for name, each in containers() if not name.endswith("__annotations__")}
    for each in gc.get_objects():
        # Its type is read without its class: a proxy whose object is gone answers with an error.
        if type(each) is functools._lru_cache_wrapper:
            facts: Any = each.cache_info()
            module = getattr(each, "__module__", "") or ""
            if facts.maxsize is None and module.startswith("septet"):
                found[f"{module}.{each.__name__}"] = facts.currsize
    return found


def grown(before: Counter[str], after: Counter[str]) -> dict[str, int]:
    """Return the types of which each further run has left at least one object."""
    return {name: count for name, count in (after - before).items() if count >= MORE}


def test_a_run_that_is_let_go_leaves_no_object_behind(tmp_path: Path) -> None:
    strategy = septet.load(written(tmp_path))

    def one() -> None:
        run = septet.run(strategy)
        assert run.summary.bars
        assert run.trades.height
        run.close()

    for _ in range(WARM):
        one()
    before = objects()
    blocks = sys.getallocatedblocks()
    for _ in range(MORE):
        one()
    gc.collect()
    # What the collector does not follow is among them: texts and numbers that something keeps.
    more = sys.getallocatedblocks() - blocks
    assert more < 30 * MORE  # caches of the interpreter fill up over the first hundred runs
    assert grown(before, objects()) == {}


def test_no_cache_without_a_bound_grows_with_the_settings_that_are_run(tmp_path: Path) -> None:
    strategy = septet.load(written(tmp_path))

    def one(number: int) -> None:
        laid = {"features.fast.period": 3 + number, "risk.sizing.fraction": f"{10 + number}%"}
        run = septet.run(strategy.with_(laid))
        assert run.summary.bars
        run.close()

    for number in range(WARM):
        one(number)
    before = unbounded()
    assert len(before) > 50, "what is watched is not found"
    for number in range(WARM, WARM + MORE):
        one(number)
    after = unbounded()
    more = {name: after[name] - before.get(name, 0) for name in after}
    assert {name: count for name, count in more.items() if count >= MORE // 2} == {}


def test_a_plan_with_an_uncompiled_feature_is_let_go(tmp_path: Path) -> None:
    """Its callback was kept for as long as the process."""
    path = tmp_path / "strange.yaml"
    path.write_text(UNCOMPILED, encoding="utf-8")
    host = host_with_strangers()

    def one() -> None:
        assert backtest(load(path, host=host)).trades

    for _ in range(3):
        one()
    before, kept = objects(), unbounded()
    for _ in range(6):
        one()
    more = {name: count for name, count in (objects() - before).items() if count >= 6}
    assert more == {}
    assert {name: size for name, size in unbounded().items() if size > kept.get(name, 0) + 3} == {}
