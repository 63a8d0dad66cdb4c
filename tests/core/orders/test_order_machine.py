"""Random days at a venue with faults: the venue's record and ours agree in the end."""

from __future__ import annotations

import os

import pytest

from septet import messages as m
from septet._core.orders import Parent, parse
from tests.core.orders.market import LOT, PRICE, SECOND, TAG, TICK, Faults, World

RECOVERED_NS = 180 * SECOND
"""Within this everything is resolved once faults have stopped."""


def act(world: World, number: int) -> None:
    """Do one of the things a strategy, the market or a person does."""
    rng = world.rng
    k = rng.randrange(world.symbols)
    draw = rng.random()
    if draw < 0.35:
        entry(world, number, k)
    elif draw < 0.5:
        world.place(Parent(number=number, symbol=k, quantity=-1.0 * world.ways[k], reduces=True))
    elif draw < 0.58:
        world.core.request_cancel(rng.randint(0, number), "expired", world.now)
    elif draw < 0.7:
        trigger = round(PRICE * (1 - world.ways[k] * 0.1 * rng.random()), 2)
        world.core.protect(k, rng.choice((0.0, world.position[k], world.position[k])), trigger)
    elif draw < 0.78 and world.resting():
        name = parse(TAG, rng.choice(list(world.resting())).client_id)
        assert name is not None
        world.core.amend(name.parent, PRICE + TICK * rng.randint(-5, 5), world.now)
    elif draw < 0.86 and world.resting():
        order = rng.choice(list(world.resting()))
        world.fill(order, LOT * rng.randint(1, 2_000))
    elif draw < 0.88 and world.resting():
        world.close(rng.choice(list(world.resting())), "cancelled")
    elif draw < 0.93:
        world.crash()
    elif draw < 0.95:
        world.twin()
    elif draw < 0.97:
        action = rng.choice(("halt", "resume", "resume"))
        operated(world, action)
    elif draw < 0.98:
        world.open_orders()
    else:
        quote(world, k)


def quote(world: World, k: int) -> None:
    bid = PRICE + TICK * world.rng.randint(-20, 20)
    world.handle(
            m.Quoted(
                at_ns=world.now, symbol=k, venue_ns=world.now, bid=bid,
                bid_quantity=1.0, ask=bid + TICK, ask_quantity=1.0,
            )
        )  # fmt: skip


def operated(world: World, action: str) -> None:
    event = m.Operated(at_ns=world.now, action=action, name="n", reason="r")  # type: ignore[arg-type]
    world.handle(event)


def entry(world: World, number: int, k: int) -> None:
    rng = world.rng
    kind = rng.choice(("market", "limit", "patient"))
    world.place(
        Parent(
            number=number, symbol=k, quantity=LOT * rng.randint(1, 3_000) * world.ways[k],
            kind="limit" if kind == "limit" else "market",
            limit_price=PRICE - 0.003 * world.ways[k] if kind == "limit" else None,
            decided_price=PRICE, deadline_ns=world.now + rng.choice((2, 60)) * SECOND,
            spends=rng.random() < 0.3, patience_ns=5 * SECOND if kind == "patient" else 0,
            max_slippage=0.01,
        )
    )  # fmt: skip


def wind_down(world: World) -> None:
    """Stop the faults, withdraw every request, and wait."""
    world.faults, world.dies = Faults(), 0.0
    operated(world, "resume")
    for k in range(world.symbols):
        world.core.protect(k, 0.0, 0.0)
    for number in world.parents:
        world.core.request_cancel(number, "over", world.now)
    world.proceed()
    world.run(RECOVERED_NS)
    # a connection that begins lists the executions: those booked because of the account are named
    world.refresh_fills(m.Refresh(what="fills", symbols=tuple(range(world.symbols)), since_ns=0))
    world.run(RECOVERED_NS)


@pytest.mark.parametrize("amends", [False, True], ids=["cancel_then_new", "amends"])
@pytest.mark.parametrize("seed", range(int(os.environ.get("SEEDS", "40"))))
def test_the_venues_record_and_ours_agree(seed: int, amends: bool) -> None:
    world = World(seed, amends=amends)
    for number in range(60):
        if number % 10 == 0:
            world.faults = Faults.drawn(world.rng)
            world.dies = world.rng.choice((0.0, 0.02))
        quote(world, world.rng.randrange(world.symbols))
        act(world, number)
        world.proceed()
        world.run(int(world.rng.expovariate(1.0) * SECOND))
    wind_down(world)

    assert world.core.open_order_ids() == []
    booked = {name.partition("|")[0]: abs(units) for name, units in world.booked.items()}
    assert booked == {fill.trade_id: fill.quantity for fill in world.fills}
    assert world.position == world.held
    assert set(world.ended) == set(world.parents)
    for number, parent in world.parents.items():
        if not parent.reduces:
            assert world.by_parent[number] <= abs(parent.quantity) + 1e-9
        assert abs(world.by_parent[number] - world.ended[number].filled) < 1e-9
    assert not [each.event for each in world.alerts if each.event in NEVER]
    # A second start changes nothing.
    before = len(world.posted), list(world.position)
    world.crash()
    world.run(RECOVERED_NS)
    assert (len(world.posted), list(world.position)) == before


NEVER = {
    "late_fill", "overfill", "foreign_order", "ghost_order", "order_vanished", "ack_mismatch",
    "wrong_side",
}  # fmt: skip
"""What cannot happen at a venue whose bounds hold."""
