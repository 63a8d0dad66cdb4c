"""A venue beside the engine: the simulator's own fills, handed to a plan that matches none."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from inspect import signature
from types import SimpleNamespace
from typing import Any, Final, TypeGuard

import msgspec
import numpy as np

from septet._core.engine import Engine
from septet._core.events import Command, DecisionTime, NewOrder, Working
from septet._core.venue_fills import VenueFillsEngine
from septet._kernel import layout
from septet._shell.event_backtest import decision_times, make_engine
from septet._shell.session import Session, plan_of
from tests.core import paths

__all__ = [
    "PASSED", "TOUCHED", "At", "Deed", "Follower", "NotServed", "Recorded", "engine_of", "placed",
    "recorded", "same_words", "with_venue_fills", "words_of",
]  # fmt: skip

INSIDE: Final = (layout.ORDER, layout.FILL, layout.STATUS)
PASSED: Final = -1
"""A deed that no log has: the level of a take was passed, and what it sells is too small."""
TOUCHED: Final = -2
"""Another one: a stop or a target was touched, and the position is too small to be sold."""
CLOSING: Final = ("hold_back", "close_at_stop", "target_at_level")
"""Rules that close a position at a level; below the minimum notional its exit waits."""


def _beyond(level: float, side: float) -> float:
    """Return a price that has passed a level, by little more than counts as being at it."""
    return level * (1.0 + side * 4.0 * layout.TOLERANCE)


@dataclass(frozen=True)
class Deed:
    """Something the simulator did to an order while a bar went by."""

    kind: int
    k: int
    order: int
    code: int
    reason: int
    time_ns: int
    values: Sequence[float]
    of: int = layout.MARKET
    """Type of the order that it is about."""


@dataclass
class At:
    """One decision time of the backtest: what filled before it, and what was reported at it."""

    event: DecisionTime
    deeds: list[Deed]
    words: list[bytes]


@dataclass
class Recorded:
    """A backtest, time by time."""

    session: Session
    times: list[At] = field(default_factory=list)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Names of the reasons of orders and ends."""
        return self.session.plan.assembly.reasons


def with_venue_fills(session: Session, *, compiled: bool = False) -> Session:
    """Return the same run with a plan whose fills come from the venue."""
    calendar = session.market.calendar
    made = replace(session, plan=plan_of(session.loaded, venue_fills=True, calendar=calendar))
    assert made.plan.assembly.rows.x == session.plan.assembly.rows.x
    return made if compiled else paths.plainly(made)


def engine_of(
    session: Session, spare: int = 8, kind: type[Engine] = VenueFillsEngine, **more: Any
) -> Any:
    """Return an engine over the window of a session."""
    has_model = session.strategy.model is not None
    learned: Any = SimpleNamespace(walk=paths._Walk()) if has_model else None
    plain = make_engine(session, learned, spare=spare)
    predicted: dict[str, Any] = {"predict_row": plain._predict_row, "model_inputs": plain._inputs}
    return kind(plain.window, model_row=plain._model_row, **predicted, **more)


def words_of(engine: Engine) -> list[bytes]:
    """Return the bits of the newest decisions and of the curve."""
    reported = [engine.decision(k) for k in range(len(engine.plan.symbols))]
    return [msgspec.msgpack.encode(each) for each in [*reported, engine.curve()]]


def same_words(ours: Sequence[bytes], theirs: Sequence[bytes]) -> None:
    """Fail with what differs, in words."""
    for one, other in zip(ours, theirs, strict=True):
        assert one == other, f"{msgspec.msgpack.decode(one)}\n{msgspec.msgpack.decode(other)}"


def recorded(session: Session, spare: int = 8) -> Recorded:
    """Run the backtest event by event, and keep what it did between two decisions."""
    made = Recorded(session)
    cash = made.reasons.index("cash")
    kinds: dict[int, int] = {}
    engine = engine_of(session, spare, Engine)
    passed = list[tuple[int, Deed]]()

    def note(deed: Deed) -> None:
        at = replace(deed, time_ns=deed.time_ns or event.time_ns)
        passed.append((len(engine.log[0]), at))

    with np.errstate(all="ignore"), _too_small(session, engine, note):
        for event in decision_times(session):
            begun = len(engine.log[0])
            engine.handle(event)
            LI, LF = engine.log
            orders = LI[begun:][LI[begun:, 0] == layout.ORDER]
            kinds |= dict(zip(orders[:, 3].tolist(), orders[:, 4].tolist(), strict=True))
            rows = zip(LI[begun:].tolist(), LF[begun:].tolist(), strict=True)
            deeds = list[Deed]()
            for row, ((kind, time_ns, k, order, code, reason), values) in enumerate(rows, begun):
                deeds += _before(passed, row)
                if kind in INSIDE:
                    deeds.append(Deed(kind, k, order, code, reason, time_ns, values, kinds[order]))
            deeds += _before(passed, len(LI))
            made.times.append(At(event, _up_to_last_fill(deeds, cash), words_of(engine)))
    return made


def _before(passed: list[tuple[int, Deed]], row: int) -> Iterator[Deed]:
    """Take out what happened before a row of the log was written."""
    while passed and passed[0][0] <= row:
        yield passed.pop(0)[1]


@contextmanager
def _too_small(session: Session, engine: Engine, note: Callable[[Deed], None]) -> Iterator[None]:
    """Note every level that a bar touches and that sells nothing: the log has no row of it."""
    module = session.plan.module._module
    assert session.plan.plain, "compiled text calls its own functions"
    rules = {"take_at_level": _taking, **dict.fromkeys(CLOSING, _closing)}
    found = {name: getattr(module, name) for name in rules if hasattr(module, name)}
    for name, rule in found.items():
        setattr(module, name, rules[name](rule, session, engine, note))
    try:
        yield
    finally:
        for name, rule in found.items():
            setattr(module, name, rule)


def _taking(
    take: Any, session: Session, engine: Engine, note: Callable[[Deed], None]
) -> Callable[..., None]:
    """Return the rule of a take at a level; it notes one that sells nothing."""
    bind = signature(take).bind

    def noted(*arguments: Any) -> None:
        rows = len(engine.log[0])
        take(*arguments)
        if len(engine.log[0]) == rows:
            of = bind(*arguments).arguments
            k, time_ns, level = of["k"], of["time_ns"], of["level"]
            opened = of["X"][k, layout.OPEN, of["i"]] if of["at_open"] == 1 else math.nan
            reason = session.plan.assembly.reasons.index("take")
            note(Deed(PASSED, k, -1, 0, reason, time_ns, (level, float(opened)), layout.LIMIT))

    return noted


def _closing(
    rule: Any, session: Session, engine: Engine, note: Callable[[Deed], None]
) -> Callable[..., Any]:
    """Return a rule that closes a position at a level; it notes the first exit that waits."""
    bind = signature(rule).bind

    def noted(*arguments: Any) -> Any:
        of = bind(*arguments).arguments
        k, I = of["k"], of["I"]  # noqa: E741
        waited = I[k, layout.EXIT_TO_RETRY] != 0
        answer = rule(*arguments)
        if not waited and I[k, layout.EXIT_TO_RETRY] != 0:
            reason = int(I[k, layout.EXIT_TO_RETRY]) - 1
            price = _price_of_touch(of, reason, engine)
            note(Deed(TOUCHED, k, -1, 0, reason, 0, (price,)))
        return answer

    return noted


def _price_of_touch(of: dict[str, Any], reason: int, engine: Engine) -> float:
    """Return a price of the bar at which a level was touched and its order was too small."""
    state, k = engine.state, of["k"]
    side = float(state.I[k, layout.OPEN_SIDE])
    level = of["level"]
    if reason == of.get("target_reason", of["reason"] if "at_open" in of else -1):
        level = math.nextafter(of.get("target", level), side * math.inf)
    opened = of["opened"] if "opened" in of else of["X"][k, layout.OPEN, of["i"]]
    least = state.B[k, layout.MIN_NOTIONAL] * state.B[k, layout.SCALE]
    return float(level if abs(state.B[k, layout.UNITS]) * level < least else opened)


def _up_to_last_fill(deeds: list[Deed], cash: int) -> list[Deed]:
    """Keep what the simulator did: up to the last fill, stop, or order that the cash ended."""
    last = -1
    for number, deed in enumerate(deeds):
        short = deed.kind == layout.STATUS and deed.reason == cash
        triggered = deed.kind == layout.ORDER and deed.code != layout.MARKET and deed.reason != 0
        cut = deed.kind == layout.STATUS and deed.code == layout.STATUS_EXPIRED
        if deed.kind in (layout.FILL, PASSED, TOUCHED) or short or triggered or cut:
            last = number
    return deeds[: last + 1]


class NotServed(Exception):
    """A venue's fills give another answer here, as documented."""


class Follower:
    """Reports to an engine what the simulator did, as a venue would.

    `orders` are the engine's numbers of takes and resting adds by those of the simulator.
    """

    def __init__(self, engine: VenueFillsEngine, run: Recorded) -> None:
        self.engine, self.reasons = engine, run.reasons
        self.cash = run.reasons.index("cash")
        self.halts = len(run.session.strategy.risk.halts)
        self.levels: dict[int, Deed] = {}
        self.orders: dict[int, int] = {}

    def follow(self, deeds: Sequence[Deed]) -> Iterator[list[Command]]:
        """Report what was done while a bar went by."""
        for deed in deeds:
            name = self.reasons[deed.reason]
            if deed.kind == PASSED:
                self._pass_too_small(deed)
                continue
            if deed.kind == TOUCHED:
                sent = self._mark(deed.k, deed.values[0], deed.time_ns, leaves=True)
                assert not placed(sent), "too small against a bar is too small at a venue"
                continue
            if deed.of != layout.MARKET and (name in ("take", "add") or deed.order in self.orders):
                yield from self._step(deed)
                continue
            working = self.engine.working(deed.k)
            if deed.kind == layout.ORDER and deed.code != layout.MARKET:  # a stop was triggered
                if deed.code == layout.LIMIT and self._buys(working):
                    raise NotServed("a target ends a regular buy that works")
                yield self.engine.trigger(deed.k, deed.reason, deed.time_ns)
            elif deed.kind == layout.FILL:
                yield self._fill(deed, self._number(deed, working))
            elif deed.code == layout.STATUS_CANCELLED and deed.reason == self.cash:
                assert working is not None
                yield self.engine.end(deed.k, working.order, deed.code, deed.time_ns)
            elif deed.code == layout.STATUS_EXPIRED and _is_target(working):  # cut by the volume
                yield self.engine.end(deed.k, working.order, deed.code, deed.time_ns)

    def _buys(self, working: Working | None) -> bool:
        """Whether a regular buy works."""
        return working is not None and self.reasons[working.reason] == "buy_every"

    def _number(self, deed: Deed, working: Working | None) -> int:
        """Return the engine's number of an order that a close decided."""
        state = self.engine.state
        if self.reasons[deed.reason] == "take":
            assert state.B[deed.k, layout.TAKE_UNITS] != 0.0, "no take works"
            return int(state.I[deed.k, layout.TAKE_ID])
        assert working is not None
        return working.order

    def _fill(self, deed: Deed, order: int) -> list[Command]:
        units, price, fee, net_units = deed.values[:4]
        return self.engine.fill(
            deed.k, order, units, price, net_units, fee, deed.code == 1, deed.time_ns
        )

    def _step(self, deed: Deed) -> Iterator[list[Command]]:
        """Report a take at a level, or a resting add: its level is passed, then it fills."""
        if deed.kind == layout.ORDER:
            self.levels[deed.order] = deed
            return
        placed_as = self.levels[deed.order]
        short = deed.kind == layout.STATUS and deed.reason == self.cash
        if deed.order not in self.orders and (deed.kind == layout.FILL or short):
            takes = self.reasons[deed.reason] == "take"
            if takes and self.engine.state.B[deed.k, layout.TAKE_UNITS] != 0.0:
                raise NotServed("a take at a level waits for one that a close has sent")
            (found,) = placed(self._pass(placed_as))
            self.orders[deed.order] = found.order
            yield [found]
        if deed.kind == layout.FILL:
            yield self._fill(deed, self.orders[deed.order])
        elif short:
            yield self.engine.end(deed.k, self.orders[deed.order], deed.code, deed.time_ns)

    def _pass_too_small(self, deed: Deed) -> None:
        """Let a price pass the level of a take that is done with it and sells nothing."""
        state, (level, opened) = self.engine.state, deed.values
        if state.B[deed.k, layout.TAKE_UNITS] != 0.0:
            raise NotServed("a take at a level waits for one that a close has sent")
        side = float(state.I[deed.k, layout.OPEN_SIDE])
        price = _beyond(level, side) if math.isnan(opened) else opened
        sent = {self.reasons[each.reason] for each in placed(
            self._mark(deed.k, price, deed.time_ns, leaves=True)
        )}  # fmt: skip
        assert "take" not in sent, "what is too small against a bar is too small at a venue"
        if sent:
            raise NotServed("an open passes a take and a target")

    def _pass(self, order: Deed) -> list[Command]:
        """Let a price pass the level of an order."""
        units, limit, trigger = order.values[:3]
        level = trigger if order.of == layout.STOP else limit
        sign = math.copysign(1.0, units)
        price = level if order.of == layout.STOP else _beyond(level, -sign)
        leaves = self.reasons[order.reason] == "take"
        return self._mark(order.k, price, order.time_ns, leaves=leaves)

    def _mark(self, k: int, price: float, time_ns: int, *, leaves: bool) -> list[Command]:
        """Report a price that touches takes, or adds; no equity moves, and no halt is tested."""
        state = self.engine.state
        account, counts, mark = state.A.copy(), state.C.copy(), state.B.item(k, layout.MARK)
        halts = slice(layout.C_SLOTS, layout.C_SLOTS + layout.HALT_SLOTS * self.halts)
        state.C[halts][:: layout.HALT_SLOTS] = 1
        found = self.engine.mark(
            k, price, price if leaves else math.nan, time_ns, math.nan if leaves else price
        )
        state.A[:], state.C[halts], state.B[k, layout.MARK] = account, counts[halts], mark
        return found


def _is_target(working: Working | None) -> TypeGuard[Working]:
    return working is not None and working.reduces and working.kind == layout.LIMIT


def placed(commands: Sequence[Command]) -> list[NewOrder]:
    """Return the orders among some commands."""
    return [each for each in commands if isinstance(each, NewOrder)]
