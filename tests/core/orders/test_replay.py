"""The same calls give the same commands, from the start and from a snapshot."""

from __future__ import annotations

from typing import Any

import pytest

from septet import messages as m
from septet._core.orders import Parent
from tests.core.orders.market import LOT, PRICE, SECOND, Faults, World

Call = tuple[int, str, str, tuple[Any, ...]]


class Tap:
    """Writes down every call that may change something."""

    def __init__(self, world: Taped, name: str, target: Any) -> None:
        self._world, self._name, self._target = world, name, target

    def __getattr__(self, method: str) -> Any:
        inner = getattr(self._target, method)

        def call(*args: Any) -> Any:
            self._world.calls.append((self._world.now, self._name, method, args))
            return inner(*args)

        return call


class Taped(World):
    """A world that records the events of its core."""

    def __init__(self, seed: int) -> None:
        self.calls: list[Call] = []
        super().__init__(seed)
        self.core = Tap(self, "core", self.core)  # type: ignore[assignment]
        self.tapped = self.guards
        self.guards = Tap(self, "guards", self.guards)  # type: ignore[assignment]


def replayed(calls: list[Call], world: World) -> list[m.Command]:
    """Give a core the same events; return its commands."""
    found: list[m.Command] = []
    for now, name, method, args in calls:
        world.now = now
        if method == "proceed":
            found += world.core.proceed(now, world.apply)
        elif method != "snapshot":
            getattr(getattr(world, name), method)(*args)
    return found


def place(world: Taped, number: int) -> None:
    rng = world.rng
    way = world.ways[k := number % 2]
    reduces = rng.random() < 0.3
    quantity = way * LOT * rng.randint(1, 3_000)
    world.place(
        Parent(
            number=number, symbol=k, quantity=-quantity if reduces else quantity,
            reduces=reduces, deadline_ns=world.now + 30 * SECOND, decided_price=PRICE,
        )
    )  # fmt: skip
    world.core.protect(k, world.position[k], PRICE * (1 - 0.1 * way))
    world.proceed()


@pytest.mark.parametrize("seed", range(8))
def test_a_replay_gives_every_command_again(seed: int) -> None:
    world = Taped(seed)
    world.faults = Faults.drawn(world.rng)
    saved, held, calls, commands = (b"", b"", b""), [0.0], 0, 0
    for number in range(40):
        if number == 20:
            saved = world.core.snapshot(), world.checks.snapshot(), world.tapped.snapshot()
            held, calls, commands = list(world.position), len(world.calls), len(world.commands)
        place(world, number)
        world.run(int(world.rng.expovariate(1.0) * SECOND))

    again = World(0)
    assert replayed(world.calls, again) == world.commands
    later = World(0)
    later.core.restore(saved[0])
    later.checks.restore(saved[1])
    later.guards.restore(saved[2])
    later.position, later.triggered = held, set(world.triggered)
    assert replayed(world.calls[calls:], later) == world.commands[commands:]
    assert len(world.commands[commands:]) > 20
    assert again.core.snapshot() == later.core.snapshot() == world.core.snapshot()
