"""The last check before the wire against an oracle written from the words of docs/live.md."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from septet import messages as m
from septet._core.checks import Checks, Instrument, Limits
from tests.core.orders.bench import Bench
from tests.core.orders.market import PRICE, SECOND

NOW = 1_700_000_000 * SECOND
LOT, TICK = 0.5, 0.25
LIMITS = Limits(
    max_order_value=6_400.0, orders_per_minute=8, reductions_per_minute=3, repeats=3, flips=4,
    turnover=2.0, position=0.5, gross=1.0, slack=0.0,
)  # fmt: skip
FEW = Instrument(
    symbol="A", lot=LOT, tick=TICK, min_notional=96.0, min_quantity=1.0, max_quantity=96.0
)


@dataclass
class Order:
    """What is asked for."""

    sign: int = 1
    quantity: float = 2.0
    rest: float = 2.0
    limit: float | None = None
    trigger: float | None = None
    reduces: bool = False
    decided: float = 64.0
    changes: bool = False
    replaces: float = 0.0


@dataclass
class World:
    """What was passed to the check, as plainly as it can be written."""

    equity: float = 12_800.0
    price: float = 64.0
    price_age_s: int = 0
    held: float = 0.0
    buys: float = 0.0
    sells: float = 0.0
    other_price: float = 64.0
    other_held: float = 0.0
    sent: list[tuple[int, float, bool, int]] = field(default_factory=list)
    amends: list[int] = field(default_factory=list)
    traded: list[tuple[float, int]] = field(default_factory=list)


def is_amount(value: float) -> bool:
    return 0.0 < value < math.inf


def is_off(value: float, step: float) -> bool:
    return not math.isfinite(value) or value / step != round(value / step)


def oracle(world: World, order: Order) -> set[str]:
    """Return every rule that an order breaks."""
    broken = set()
    if not is_amount(order.quantity) or not order.quantity <= order.rest < math.inf:
        return {"child"}
    if is_off(order.quantity, LOT):
        return {"lot"}
    minute = [each for each in world.sent if each[3] < 60]
    if order.reduces:
        least = sum(reduces for _, _, reduces, _ in minute) >= LIMITS.reductions_per_minute
        return {"rate"} if least else set()
    entries = [each for each in minute if not each[2]]
    changes = [age for age in world.amends if age < 60]
    if len(entries) >= LIMITS.orders_per_minute // 2:
        broken.add("rate")
    if changes and len(entries) + len(changes) >= LIMITS.orders_per_minute:
        broken.add("rate")
    same = [each for each in entries if each[:2] == (order.sign, order.quantity)]
    if len(same) >= LIMITS.repeats:
        broken.add("throttled")
    if order.changes:
        broken.clear()  # it is no order more
    broken |= worn(world) | prices(world, order) | worst(world, order)
    return broken


def worn(world: World) -> set[str]:
    """Whether too much was done within the hour, or nothing is left to do it with."""
    broken = set()
    sides = [(sign, age) for sign, _, _, age in world.sent]
    flips = [age for (was, _), (now, age) in pairwise(sides) if was != now]
    if sum(age < 3_600 for age in flips) > LIMITS.flips:
        broken.add("turnover")
    if not is_amount(world.equity):
        return broken | {"equity"}
    if sum(v for v, age in world.traded if age < 3_600) > LIMITS.turnover * world.equity:
        broken.add("turnover")
    return broken


def prices(world: World, order: Order) -> set[str]:
    broken = set()
    if not is_amount(world.price) or world.price_age_s > 120:
        return {"no_price"}
    for asked in (order.limit, order.trigger):
        if asked is None:
            continue
        if not abs(asked - world.price) <= world.price / 20:
            broken.add("collar")
        if is_off(asked, TICK):
            broken.add("tick")
    decided = order.decided
    moved = not abs(world.price - decided) <= decided / 20
    if order.trigger is None and decided != 0.0 and moved:
        broken.add("collar")
    at = order.limit if order.limit is not None else order.trigger
    value = order.quantity * (world.price if at is None else at)
    for name, passes in (
        ("max_order_value", value <= LIMITS.max_order_value),
        ("max_quantity", order.quantity <= FEW.max_quantity),
        ("min_quantity", order.quantity >= FEW.min_quantity),
        ("min_notional", value >= FEW.min_notional),
    ):
        if not passes:
            broken.add(name)
    return broken


def worst(world: World, order: Order) -> set[str]:
    """Check the position this order's side could become, and the sum with the other symbol."""
    if not is_amount(world.price) or not is_amount(world.equity):
        return set()
    others = (world.buys if order.sign > 0 else world.sells) - order.replaces
    could = order.sign * world.held + others + order.quantity
    value = max(0.0, could) * world.price
    broken = set()
    if value > LIMITS.position * world.equity:
        broken.add("position")
    if value > 0.0 and value + abs(world.other_held) * world.other_price > world.equity:
        broken.add("gross")
    return broken


def made(world: World) -> Checks:
    checks = Checks([FEW, Instrument(symbol="B")], LIMITS)
    checks.equity = world.equity
    for sign, quantity, reduces, age in world.sent:
        checks.sent(0, sign, quantity, reduces, NOW - age * SECOND)
    for age in world.amends:
        checks.amended(NOW - age * SECOND)
    for value, age in world.traded:
        checks.booked(1, value, 1.0, NOW - age * SECOND, NOW - 11 * SECOND)
    checks.priced(1, 64.0, NOW)
    checks.held(1, world.other_held, 0.0, 0.0)
    checks.priced(1, world.other_price, NOW)
    checks.priced(0, 64.0, NOW - 120 * SECOND)
    checks.held(0, world.held, world.buys, world.sells)
    checks.priced(0, world.price, NOW - world.price_age_s * SECOND)
    return checks


def ask(checks: Checks, order: Order) -> str:
    return checks.check(
        0, order.sign, order.quantity, order.rest, order.limit, order.trigger, order.reduces,
        order.decided, NOW, changes=order.changes, replaces=order.replaces,
    )  # fmt: skip


WRONG = [math.nan, math.inf, -math.inf, 0.0, -64.0]
SIGNS = st.sampled_from([1, -1])
AGES = st.sampled_from([0, 30, 59, 60, 61, 600, 3_400, 3_800])
QUANTITIES = st.sampled_from([
    0.25, 0.5, 1.0, 1.5, 2.0, 2.25, 50.0, 95.5, 96.0, 96.5, 99.5, 100.0, 100.5, 200.0, 200.5,
    *WRONG,
])  # fmt: skip
NEAR = [60.75, 60.8, 61.0, 64.0, 64.1, 67.0, 67.25, 67.5, *WRONG]
HELD = st.sampled_from([-200.5, -100.0, -50.0, -0.5, 0.0, 0.5, 50.0, 99.0, 100.0, 200.5])
OPEN = st.sampled_from([0.0, 0.5, 4.0, 100.0, 300.0])
ORDERS = st.builds(
    Order, sign=SIGNS, quantity=QUANTITIES, rest=st.sampled_from([2.0, 300.0, math.nan, math.inf]),
    limit=st.sampled_from([None, *NEAR]), trigger=st.sampled_from([None, *NEAR]),
    reduces=st.booleans(), decided=st.sampled_from([0.0, 60.0, 60.95, 61.0, 64.0, 68.0, math.nan]),
)  # fmt: skip
WORLDS = st.builds(
    World, equity=st.sampled_from([12_800.0, 6_400.0, 64.0, *WRONG]),
    price=st.sampled_from([64.0, 64.0, 66.0, *WRONG]), price_age_s=st.sampled_from([0, 120, 121]),
    held=HELD, buys=OPEN, sells=OPEN,
    other_price=st.just(64.0), other_held=HELD,
    sent=st.lists(
        st.tuples(SIGNS, st.sampled_from([1.0, 2.0]), st.booleans(), AGES), max_size=9
    ).map(lambda rows: sorted(rows, key=lambda row: -row[3])),
    amends=st.lists(AGES, max_size=9).map(lambda ages: sorted(ages, reverse=True)),
    traded=st.lists(
        st.tuples(st.sampled_from([1.0, 64.0, 12_800.0, 25_600.0]), AGES), max_size=2
    ).map(lambda rows: sorted(rows, key=lambda row: -row[1])),
)  # fmt: skip


@settings(max_examples=900, deadline=None)
@given(WORLDS, ORDERS, st.booleans())
@example(World(sells=300.0), Order(quantity=100.5, rest=300.0), False)  # no room to buy
@example(World(sells=300.0, other_held=200.0), Order(), False)
@example(World(equity=math.nan, traded=[(1.0, 0)]), Order(), False)
@example(World(amends=[1] * 8), Order(), False)
@example(World(amends=[1] * 8), Order(), True)
@example(World(sent=[(1, 2.0, False, 1)] * 4, buys=300.0), Order(), True)
@example(World(held=98.0, buys=2.0), Order(), True)
@example(World(), Order(quantity=98.0, rest=98.0, trigger=67.0), False)
def test_what_leaves_breaks_no_rule_and_the_reason_is_one_that_is_broken(
    world: World, order: Order, changes: bool
) -> None:
    if changes:  # it takes the place of all or a part of what is open on its side
        order.changes = True
        order.replaces = min(2.0, world.buys if order.sign > 0 else world.sells)
    broken = oracle(world, order)
    checks = made(world)
    found = ask(checks, order)
    assert found in broken if broken else found == ""
    latched = ask(checks, Order())
    if found in ("throttled", "turnover"):
        assert latched == found, "off until a person resumes"
    order.reduces = True
    assert ask(checks, order) in oracle(world, order) | {""}
    assert bool(ask(checks, order)) == bool(oracle(world, order))


@pytest.mark.parametrize("price", WRONG)
def test_a_price_that_is_none_makes_no_room_for_others(price: float) -> None:
    """What is held of a symbol keeps its worth in the sum while its price makes no sense."""
    world = World(other_held=199.0, other_price=price)
    assert ask(made(world), Order(quantity=2.0)) == "gross"
    assert ask(made(world), Order(quantity=1.5)) == "gross"
    world.other_held = 198.0
    assert ask(made(world), Order(quantity=2.0)) == ""


@pytest.mark.parametrize("equity", [math.nan, math.inf, 0.0, -1.0])
def test_equity_that_is_gone_for_a_moment_needs_no_person(equity: float) -> None:
    checks = made(World(traded=[(64.0, 0)], equity=equity))
    assert ask(checks, Order()) == "equity"
    checks.equity = 12_800.0
    assert ask(checks, Order()) == ""


@pytest.mark.parametrize("amends", [False, True])
def test_an_order_that_follows_the_best_price_is_no_repeat_of_itself(amends: bool) -> None:
    """Forty-five seconds behind a rising price end neither the entry nor the run."""
    bench = Bench(amends=amends)
    bench.checks.limits, bench.checks._half = Limits(), Limits().orders_per_minute // 2
    bid, left = PRICE, 0
    bench.handle(quote(bench, bid))
    bench.want(1, patience_ns=45 * SECOND, decided_price=PRICE)
    for _ in range(2 * 44):
        for sent in bench.take(m.Submit):
            left += 1
            bench.ack(sent)
        for change in bench.take(m.Amend):
            left += 1
            bench.ack(request(change))
            old = request(change, change.client_id)  # at its own price, which is not repeated
            bench.show(old, "cancelled", by="cancel", price=None)
        for cancel in bench.take(m.Cancel):
            bench.show(request(cancel), "cancelled", by="cancel")
        bid = round(bid + 0.01, 2)
        bench.handle(quote(bench, bid))
        bench.after_s(0.5)
    assert bench.guards.active() == []
    assert 1 not in bench.ended
    assert 40 <= left <= 45


HUNDREDTH = PRICE / 100.0
EQUITY = st.sampled_from([1e9, 1e9, 1.8 * PRICE, PRICE, math.nan])
CHANGES = st.fixed_dictionaries({
    "amends": st.booleans(), "sign": SIGNS, "filled": st.sampled_from([0.0, 0.4]),
    "price": st.sampled_from([-6, -5, -1, 1, 5, 6]), "market": st.sampled_from([0, 0, 4, 6]),
    "age_s": st.sampled_from([0, 0, 121]), "equity": EQUITY,
    "most": st.sampled_from([math.inf, PRICE, 0.99 * PRICE, 0.61 * PRICE]),
    "least": st.sampled_from([0.0, 0.6, 0.65]), "others": st.sampled_from([0.0, 0.0, 1.0]),
    "block": st.sampled_from(["", "", "clock_skew", "turnover"]),
})  # fmt: skip


def change_oracle(case: dict[str, Any], price: float, market: float) -> set[str]:
    """Return every rule that the order breaks which a changed entry of 1 at PRICE becomes."""
    broken = {case["block"]} - {""}
    rest = 1.0 - case["filled"]
    if case["age_s"] > 120:
        broken.add("no_price")
    if abs(price - market) > market / 20 or abs(market - PRICE) > PRICE / 20:
        broken.add("collar")
    if rest * price > case["most"]:
        broken.add("max_order_value")
    if rest < case["least"]:
        broken.add("min_quantity")
    if math.isnan(case["equity"]):
        return broken | {"equity"}
    if (1.0 + case["others"]) * market > 1.05 * case["equity"]:
        broken.add("position")
        broken.add("gross")
    return broken


@settings(max_examples=400, deadline=None)
@given(CHANGES)
def test_a_changed_entry_is_checked_as_the_entry_it_makes(case: dict[str, Any]) -> None:
    """What may not leave leaves what stands as it is, and reports the reason once."""
    sign = case["sign"]
    bench = Bench(amends=case["amends"])
    rests = bench.order(
        1, float(sign), reduces=False, kind="limit", limit_price=PRICE, decided_price=PRICE
    )
    bench.ack(rests)
    if case["filled"]:
        bench.execute(rests, case["filled"])
    price, market = PRICE + case["price"] * HUNDREDTH, PRICE + case["market"] * HUNDREDTH
    bench.checks.limits = Limits(max_order_value=case["most"])
    bench.checks.symbols[0].instrument.min_quantity = case["least"]
    bench.checks.equity = case["equity"]
    bench.checks.priced(0, market, bench.now - case["age_s"] * SECOND)
    if case["others"]:
        bench.list_open(bench.listed(rests), stranger(bench, sign))
    if case["block"]:
        bench.guards.trip(case["block"], bench.now)
    bench.take(m.Query)
    broken = change_oracle(case, price, market)
    left = bench.core.amend(1, price, bench.now)
    assert left == (not broken)
    assert not bench.core.amend(1, price, bench.now), "one at a time, or rejected again"
    bench.proceed()
    sent = bench.take(m.Amend if case["amends"] else m.Cancel)
    assert len(sent) == left
    reported = [each.text for each in bench.alerts if each.event == "rejected_order"]
    assert len(reported) == (bool(broken) and not case["block"])
    assert all(text.rpartition(" ")[2] in broken for text in reported)
    assert 1 not in bench.ended
    assert bench.core.open_order_ids()[:1] == [rests.client_id]


@pytest.mark.parametrize("amends", [False, True])
def test_a_changed_reduction_skips_what_reductions_skip(amends: bool) -> None:
    bench = Bench(amends=amends)
    bench.hold(1.0)
    bench.ack(bench.order(1, -1.0, kind="limit", limit_price=PRICE, closes_all=False))
    bench.checks.limits, bench.checks.equity = Limits(max_order_value=1.0), math.nan
    bench.guards.trip("turnover", bench.now)
    assert bench.core.amend(1, 2.0 * PRICE, bench.now)
    bench.proceed()
    assert len(bench.take(m.Amend if amends else m.Cancel)) == 1


def test_an_entry_follows_again_when_the_block_ends() -> None:
    bench = Bench(amends=True)
    bench.handle(quote(bench, PRICE))
    bench.want(1, patience_ns=45 * SECOND, decided_price=PRICE)
    bench.ack(bench.only(m.Submit))
    bench.guards.trip("clock_skew", bench.now)
    bench.handle(quote(bench, PRICE + 0.01))
    bench.after_s(3)
    assert not bench.take(m.Amend) + bench.take(m.Cancel)
    assert bench.alerted("rejected_order") == []
    bench.guards.clear("clock_skew", "it is over")
    bench.after_s(1)
    assert bench.only(m.Amend).limit_price == PRICE + 0.01


def stranger(bench: Bench, sign: int) -> m.OrderSeen:
    """Return an open order of somebody else, as large as ours."""
    return m.OrderSeen(
        at_ns=bench.now, symbol=0, client_id="x", venue_order_id="x", quantity=1.0, filled=0.0,
        side="buy" if sign > 0 else "sell", state="open", by="list",
    )  # fmt: skip


def quote(bench: Bench, bid: float) -> m.Quoted:
    return m.Quoted(
        at_ns=bench.now, symbol=0, venue_ns=bench.now, bid=bid, bid_quantity=1.0, ask=bid + 0.01,
        ask_quantity=1.0,
    )  # fmt: skip


def request(command: m.Amend | m.Cancel, client_id: str = "") -> m.Submit:
    """Return the order that a change or a cancel is about, as it was sent."""
    name, price = command.client_id, None
    if isinstance(command, m.Amend):
        name, price = client_id or command.new_client_id, command.limit_price
    return m.Submit(
        client_id=name, parent=1, symbol=0, side="buy", order_type="limit", quantity=1.0,
        reduces=False, deadline_ns=0, limit_price=price,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("executed", "age_s", "why"), [(90.0, 3, "collar"), (90.0, 11, ""), (99.0, 3, "")]
)
def test_an_entry_is_not_sent_where_the_run_itself_has_just_traded_far_away(
    executed: float, age_s: int, why: str
) -> None:
    """Quotes and bars lag when prices fall: the own stop was executed 12 % below them."""
    checks = Checks([Instrument(symbol="A")], LIMITS)
    checks.equity = 10_000.0
    checks.priced(0, 102.0, NOW)
    checks.booked(0, 1.0, executed, NOW, NOW - age_s * SECOND)
    assert checks.check(0, 1, 1.0, 1.0, None, None, False, 102.0, NOW) == why
    assert checks.check(0, -1, 1.0, 1.0, None, None, True, 102.0, NOW) == "", "of an exit nothing"
