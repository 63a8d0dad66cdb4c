"""Faults of plugin, configuration and model: too large, too often, no number, not itself."""

from __future__ import annotations

import asyncio
import math
import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from septet import messages as m
from septet._core import events as core
from septet._core.checks import Checks, Limits
from septet._core.checks import Instrument as CheckedInstrument
from septet._core.live_core import LiveCore
from septet._host.venues import QuoteSeen, VenueFacts
from septet._live.circuit_breaker import PluginCaller, finite
from septet._live.start import require_allowed_rights
from septet.errors import InputError
from tests.faults.fault_checks import MANY, assert_agreement, held
from tests.faults.process_harness import MINUTE, NS, SYMBOL, ProcessHarness
from tests.faults.test_process import BARS, made


class Bent:
    """A core whose engine is not itself: its orders are changed on the way to the manager."""

    def __init__(self, inner: LiveCore, bend: Callable[[Any], Any]) -> None:
        self.inner, self.engine = inner, inner.engine
        self.bend = bend

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def handle(self, event: m.Event) -> list[m.Command]:
        carry = self.inner._carry

        def bent(commands: Sequence[core.Command], fill: m.Filled | None = None) -> None:
            carry([self.bend(each) for each in commands], fill)

        self.inner._carry = bent  # type: ignore[method-assign]
        try:
            return self.inner.handle(event)
        finally:
            del self.inner.__dict__["_carry"]


def hundredfold(each: Any) -> Any:
    if isinstance(each, core.NewOrder) and not each.reduces:
        return msgspec.structs.replace(each, units=each.units * 100.0)
    return each


async def lived(folder: Path, seed: int, change: Callable[[LiveCore], Any]) -> ProcessHarness:
    harness = ProcessHarness(made(folder), seed)
    harness.change_core = change
    await harness.start()
    await harness.trade(harness.path_of(BARS))
    await harness.rest()
    return harness


def test_c2_a_hundred_times_too_large(tmp_path: Path) -> None:
    """The limit refuses just before the wire: the venue sees nothing."""

    async def scene() -> None:
        for seed in range(MANY):
            harness = await lived(tmp_path / f"{seed}", seed, lambda core: Bent(core, hundredfold))
            assert harness.posts == {}, f"seed {seed}"
            assert {each.reason for each in harness.commands(m.Changed)} == {"position"}
            await assert_agreement(harness)
            held("C2")

    asyncio.run(scene())


def test_c2_decided_by_the_prices_of_another_symbol(tmp_path: Path) -> None:
    """A hundredth of the price makes a hundredfold size: the collar refuses."""

    def other(each: Any) -> Any:
        each = hundredfold(each)
        if isinstance(each, core.NewOrder) and not each.reduces:
            return msgspec.structs.replace(each, price=each.price / 100.0)
        return each

    async def scene() -> None:
        for seed in range(MANY):
            harness = await lived(tmp_path / f"{seed}", seed, lambda core: Bent(core, other))
            assert harness.posts == {}, f"seed {seed}"
            assert {each.reason for each in harness.commands(m.Changed)} == {"collar"}
            await assert_agreement(harness)
            held("C2")

    asyncio.run(scene())


def test_c3_rights_of_the_key() -> None:
    """A key that can withdraw is refused unless the file allows it; without an entry it warns."""
    for number in range(3 * MANY):
        rights = (True, None, False)[number % 3]
        facts = VenueFacts(
            venue=f"v{number}", exchange="e", account="a", markets={}, order_types=frozenset(),
            can_withdraw=rights, is_test=True, answers_final_after_ns=0,
            streams_orders=True, amends=False,
        )  # fmt: skip
        reported: list[str] = []

        def notify(
            level: str, name: str, fields: dict[str, Any], reported: list[str] = reported
        ) -> None:
            reported.append(name)

        require_allowed_rights(facts, allowed=True, notify=notify)
        if rights:
            with pytest.raises(InputError, match=f"the key for v{number} may withdraw"):
                require_allowed_rights(facts, allowed=False, notify=notify)
            held("C3")
        assert reported == (["rights"] if rights is None else [])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_c4_an_engine_that_orders_what_is_no_number(tmp_path: Path, bad: float) -> None:
    """No journal can hold it, so nothing of it is sent, and the strategy halts alone."""

    def broken(each: Any) -> Any:
        if isinstance(each, core.NewOrder) and not each.reduces:
            return msgspec.structs.replace(each, price=bad)
        return each

    async def scene() -> None:
        for seed in range(-(-MANY // 3)):
            harness = await lived(tmp_path / f"{seed}", seed, lambda core: Bent(core, broken))
            assert harness.posts == {}, f"seed {seed}"
            assert harness.ended is not None
            assert "decision_price" in harness.ended.result().text
            await harness.bury()
            harness.change_core = lambda core: core
            await harness.start()
            await harness.rest()
            await assert_agreement(harness)
            held("C4")

    asyncio.run(scene())


def test_c4_a_plugin_that_raises_hangs_or_gives_nonsense(tmp_path: Path) -> None:
    """It is quarantined, which blocks entries durably, until it is tried again."""

    async def scene() -> None:
        for seed in range(MANY):
            harness = ProcessHarness(made(tmp_path / f"{seed}"), seed)
            await harness.start()
            await harness.trade(harness.path_of(harness.chance.randint(2, 6)))
            plugins, gate = PluginCaller(harness.clock.now_ns, seed=seed), threading.Event()
            bad = harness.chance.choice((lambda: math.nan, lambda: "up", lambda: 1 / 0, gate.wait))
            event = None
            while event is None:
                answer = await plugins.call("mine", bad, timeout_s=0.005, check=finite)
                assert not answer.ok
                event = answer.event
            harness.put(event)
            await harness.wait_until_idle()
            before = count_entries(harness)
            for close in harness.path_of(3):  # within the time it is left alone
                harness.venue.quoted(QuoteSeen(SYMBOL, 0, close - 0.01, 9.0, close + 0.01, 9.0))
                harness.put(quote_of(harness, close))
                await harness.wait_until_idle()
            assert count_entries(harness) == before, f"seed {seed}"
            gate.set()
            await harness.trade(harness.path_of(BARS))
            assert count_entries(harness) > before, f"seed {seed}: it never tries again"
            await harness.rest()
            await assert_agreement(harness)
            held("C4")

    asyncio.run(scene())


def quote_of(harness: ProcessHarness, price: float) -> m.Quoted:
    now_ns = harness.clock.now_ns()
    return m.Quoted(
        at_ns=now_ns, symbol=0, venue_ns=now_ns, bid=price - 0.01, bid_quantity=9.0,
        ask=price + 0.01, ask_quantity=9.0,
    )  # fmt: skip


def test_c5_a_runaway_is_throttled_until_it_is_re_armed(tmp_path: Path) -> None:
    """A strategy that orders at every bar what it has: rate and repeats stop it, durably."""

    async def scene() -> None:
        for seed in range(MANY):
            harness = ProcessHarness(made(tmp_path / f"{seed}"), seed)
            harness.change_core = tight
            await harness.start()
            while "turnover" not in (
                tripped := [each.rule for each in harness.commands(m.Tripped)]
            ):
                assert len(harness.bars) < 200, f"seed {seed}: {tripped}"
                await harness.trade(harness.path_of(10))
            entries = count_entries(harness)
            await harness.bury()
            await harness.start()
            await harness.trade(harness.path_of(6))
            assert count_entries(harness) == entries, f"seed {seed}: a restart cleared it"
            now_ns = harness.clock.now_ns()
            harness.put(m.Operated(at_ns=now_ns, action="resume", name="ann", reason="looked"))
            await harness.trade(harness.path_of(12))
            assert count_entries(harness) > entries
            tripped = [each.rule for each in harness.commands(m.Tripped)]
            assert tripped.count("turnover") <= 2, f"seed {seed}: {tripped}"
            await harness.rest()
            await assert_agreement(harness)
            held("C5")
            held("M2")

    asyncio.run(scene())


def tight(inner: LiveCore) -> LiveCore:
    """Let the breaker on changes of side act soon."""
    assert inner.checks is not None
    inner.checks.limits = Limits(flips=5, price_age_ns=10 * MINUTE)
    inner.checks._flips = deque(inner.checks._flips, maxlen=6)
    return inner


def count_entries(harness: ProcessHarness) -> int:
    return sum(not each.reduces for each in harness.commands(m.Submit))


def test_c5_the_same_order_again_and_again() -> None:
    """However often an order is requested, the throttle bounds what leaves; a person re-arms."""
    for seed in range(MANY):
        draw = random.Random(seed)
        limits = Limits(repeats=draw.randint(2, 10), orders_per_minute=draw.randint(10, 60))
        checks = Checks([CheckedInstrument(symbol="A", lot=0.001)], limits)
        checks.equity, now_ns, passed = 1e6, MINUTE, 0
        checks.priced(0, 100.0, now_ns)
        for _ in range(500):
            now_ns += draw.randint(1, NS // 20)
            if checks.check(0, 1, 0.5, 0.5, None, None, False, 100.0, now_ns) == "":
                checks.sent(0, 1, 0.5, False, now_ns)
                passed += 1
            assert checks.check(0, 1, 0.6, 0.5, None, None, False, 100.0, now_ns) == "child"
        assert passed <= min(limits.repeats, limits.orders_per_minute // 2)
        later_ns = now_ns + 60 * MINUTE
        checks.priced(0, 100.0, later_ns)
        stays = "throttled" if checks.throttled else ""
        assert checks.check(0, 1, 0.5, 0.5, None, None, False, 100.0, later_ns) == stays
        checks.rearm()
        assert checks.check(0, 1, 0.5, 0.5, None, None, False, 100.0, later_ns) == ""
        held("C5")


def test_c6_another_version_continues_and_is_reported(tmp_path: Path) -> None:
    """Mixed versions: the whole journal is folded and compared; another strategy is refused."""

    async def scene() -> None:
        for seed in range(MANY):
            harness = await lived(tmp_path / f"{seed}", seed, lambda core: core)
            await harness.bury()
            name = harness.chance.choice(["septet", "plan"])
            harness.fingerprints[name] = "2"
            await harness.start()
            assert [name for _, name, _ in harness.reported] == ["versions"]
            assert harness.found.kept is None
            assert harness.found.differences == 0
            await harness.trade(harness.path_of(4))
            await harness.rest()
            await assert_agreement(harness)
            harness.fingerprints["strategy"] = "2"
            with pytest.raises(InputError, match="another strategy file"):
                await harness.start()
            await harness.bury()
            held("C6")

    asyncio.run(scene())
