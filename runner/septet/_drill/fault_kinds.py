"""Faults of network, venue and data that a drill injects: short, from a seed, one by one."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from septet._drill.process_faults import Order
from septet._drill.venue.config import Fault
from septet.errors import InputError

__all__ = [
    "CATALOGUE",
    "KILL",
    "RECEIVE_MS",
    "ANSWERS_FINAL_AFTER",
    "TIMEOUT",
    "Kind",
    "codes_of",
    "order_of",
]

RECEIVE_MS: Final = 1_500
"""Receive window of the drill's requests (ms)."""
ANSWERS_FINAL_AFTER: Final = "3s"
"""Receive window and staleness of the local venue's reads together, and something to spare."""
TIMEOUT: Final = "2s"
KILL: Final = "P1"
_RUNS_LAST: Final = "E23"

Needs = Literal["", "order", "cancel", "fill", "position", "open_order", "book"]
Way = Literal["armed", "restart", "stop", "kill", "process", "operator"]
Draw = Callable[[random.Random], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault of the drill.

    `needs` is the precondition: the request, fill or position that it acts on; `duration_ms` is how
    long it lasts; `draw` gives its parameters. `way` is how it is made: ``armed`` at the venue,
    ``restart`` while the run is down and starts, ``stop`` by a signal while a send is under way,
    ``kill`` with signal 9, ``process`` inside the run's own process, ``operator`` by what a person
    does to the run: `draw` gives the way. `made_by` is the venue's fault that it is made with.
    `blocks` are rules, one of which must have blocked entries at least for a moment; `logs` are
    events, one of which must be in the run's log.

    If `texts` are given, the event is logged at most once a minute: a line with one of them counts
    that is up to a minute older than the fault. While the fault acts, no position is without a stop
    or an exit at the venue for longer than `unprotected_ms` (0: no bound). Its effects may take
    `rest_ms` more to be seen. A fault that is only `answered` has occurred once a request was
    answered with it; one that is `listed`, once the venue has accepted an order under another
    client id.
    """

    code: str
    what: str
    needs: Needs = ""
    duration_ms: float = 0.0
    draw: Draw = lambda draw: {}
    way: Way = "armed"
    made_by: str = ""
    target: str = ""
    blocks: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    unprotected_ms: float = 0.0
    rest_ms: float = 0.0
    answered: bool = False
    listed: bool = False

    def order(self, draw: random.Random, number: int) -> Order:
        """Return the order for the run's own process."""
        return Order(number=number, code=self.code, duration_ms=self.duration_ms, **self.draw(draw))

    def fault(self, draw: random.Random, times: int = 1) -> Fault:
        """Return the entry of the venue's plan."""
        parameters = self.draw(draw)
        target = str(parameters.pop("target", self.target))
        return Fault(
            code=self.made_by or self.code, times=times, duration_ms=self.duration_ms,
            target=target, parameters=parameters,
        )  # fmt: skip


def _one_of(**choices: Sequence[Any]) -> Draw:
    """Draw each parameter from its choices."""
    return lambda draw: {name: draw.choice(list(values)) for name, values in choices.items()}


_LATE: Final = {"delay_ms": 2_600}
"""After the client's timeout, within what the client waits for at its end."""

_FALSE_NUMBERS: Final[tuple[Any, ...]] = ("NaN", "Infinity", "-Infinity", "1e400", "abc", [])
_FALSE_FIELDS: Final = (
    ("POST order", ("origQty", "executedQty", "price", "orderId", "status", "commission")),
    ("report", ("l", "L", "n", "t", "T", "z", "q", "X")),
)


def _false_value(draw: random.Random) -> dict[str, Any]:
    """Draw an impossible value for a field of an answer."""
    target, names = draw.choice(_FALSE_FIELDS)
    return {"target": target, "field": draw.choice(names), "value": draw.choice(_FALSE_NUMBERS)}


def _other_id(draw: random.Random) -> dict[str, Any]:
    """Draw how the id at the venue differs: it is another one, or contains ours whole."""
    longer = draw.choice([("x-", ""), ("", "-b7"), ("x-", ":web")])
    return {"prefix": longer[0], "suffix": longer[1], "other": draw.random() < 0.5}


_KINDS: Final = (
    Kind("N1", "answer lost after the order was accepted", "order", draw=_one_of(mode=["abort"])),
    Kind("N2", "request lost before it was accepted", "order", draw=_one_of(mode=["abort"])),
    Kind("N3", "answer after the timeout", "order", draw=lambda draw: dict(_LATE)),
    Kind("N4", "request accepted late", "order", draw=_one_of(delay_ms=[300, 700, 1_100])),
    Kind("N5", "stopped while a send is unanswered", "order", way="stop", made_by="N3",
         draw=lambda draw: dict(_LATE)),
    Kind("N6", "cancel unanswered", "cancel", draw=lambda draw: {"hold_ms": 2_600}),
    Kind("N7", "connections closed or reset",
         draw=_one_of(target=["market", "user", "rest", "all"], mode=["close", "reset"])),
    Kind("N8", "sockets silent", duration_ms=2_000, draw=_one_of(target=["market", "all"])),
    Kind("N9", "sockets silent but for pongs", duration_ms=2_000,
         draw=_one_of(target=["market", "all"])),
    Kind("N10", "sockets flap", duration_ms=1_500, draw=_one_of(period_ms=[150, 300]),
         blocks=("venue_down",)),
    Kind("N11", "venue unreachable at the start", way="restart", duration_ms=2_000),
    Kind("N12", "dark with a position open", "position", duration_ms=4_000, blocks=("venue_down",)),
    Kind("N13", "200 with a wrong body", "order", draw=_one_of(body=["{}", "[]", "null"])),
    Kind("E1", "5xx with an unknown outcome", "order", draw=_one_of(status=[500, 502, 503])),
    Kind("E2", "429, asked to pause", duration_ms=1_000),
    Kind("E3", "418, banned for a while", duration_ms=1_500, answered=True),
    Kind("E4", "the venue's clock is elsewhere", duration_ms=2_000,
         draw=_one_of(skew_ms=[-8_000, 5_000, 10_000])),
    Kind("E5", "order rejected", "order"),
    Kind("E6", "answered as a duplicate", "order"),
    Kind("E7", "filters change", duration_ms=2_000),
    Kind("E8", "symbol halted", duration_ms=2_000),
    Kind("E9", "partial fill, the rest later", "order", draw=_one_of(portion=[0.2, 0.5, 0.9])),
    Kind("E10", "partial fill, the rest expires", "order", draw=_one_of(portion=[0.2, 0.5, 0.9])),
    Kind("E11", "fill beats the cancel", "cancel"),
    Kind("E12", "an execution reported twice", "fill"),
    Kind("E13", "events out of order", "fill", draw=_one_of(delay_ms=[50, 150, 400])),
    Kind("E14", "an execution never reported", "fill"),
    Kind("E15", "events before the answer", "order", draw=_one_of(delay_ms=[100, 300])),
    Kind("E16", "a stale read", draw=_one_of(stale_ms=[300, 1_000])),
    Kind("E17", "the user stream is terminated", blocks=("venue_down",)),
    Kind("E18", "a third party acts on the account",
         draw=_one_of(kind=["order", "fill", "deposit", "withdrawal"])),
    Kind("E19", "the venue ends an open order", "open_order",
         draw=_one_of(status=["CANCELED", "EXPIRED"])),
    Kind("E20", "maintenance", duration_ms=1_500),
    Kind("E21", "answer differs from the request", "order", blocks=("ack_mismatch",)),
    Kind("E22", "fees in the base, a third asset or the quote", "order", duration_ms=2_000,
         draw=_one_of(fee_currency=["BNB", "BNB", "quote"])),
    Kind("E23", "an order is listed under another client id", "order", draw=_other_id,
         logs=("adopted_order", "unexplained_order"), listed=True),
    Kind("E24", "a symbol is no longer listed, and listed again later", duration_ms=30_000,
         blocks=("unlisted",)),
    Kind("D1", "order book with a gap, or crossed", "book", draw=_one_of(kind=["gap", "crossed"])),
    Kind("D2", "a bar twice, late, or open again",
         draw=_one_of(kind=["duplicate", "late", "unclosed"])),
    Kind("D3", "bars missed", draw=_one_of(bars=[1, 2], rest=[True, True, False])),
    Kind("D4", "absurd prices", draw=_one_of(factor=[0.01, 0.1, 10.0, 100.0], messages=[1, 3])),
    Kind("D5", "malformed frames", draw=_one_of(target=["market", "user"])),
    Kind("D6", "every message fifty times", duration_ms=1_000),
    Kind("A1", "an order answered with a redirect", "order",
         draw=_one_of(status=[301, 302, 303, 307, 308])),
    Kind("A2", "a value that cannot be true", "order", draw=_false_value),
    Kind("A3", "an execution too many is reported", "fill", draw=_one_of(kind=["beyond", "again"]),
         blocks=("disputed_fill",), logs=("disputed_fill",), unprotected_ms=5_000),
    Kind("A4", "a background task dies", way="process", draw=lambda draw: {"draw": draw.random()},
         blocks=("feed_down", "venue_down"), logs=("task_failed",), unprotected_ms=3_000),
    Kind("A5", "prices stamped in the future",
         draw=_one_of(ahead_ms=[120_000, 3_600_000], messages=[1, 3]), logs=("unreadable",),
         texts=("ahead of the local clock", "a time up to now")),
    Kind("A7", "the disk is full when an exit is due", "order", way="process", duration_ms=4_000,
         draw=_one_of(tail=[True, False]), logs=("journal_failed",), unprotected_ms=2_500),
    Kind("A9", "the machine's clock is ahead, then right", way="process", duration_ms=1_000,
         draw=_one_of(ahead_ms=[2_000, 4_000]), logs=("clock",), unprotected_ms=5_000,
         rest_ms=2_500),
    Kind("A10", "banned, and one client gets the answer", duration_ms=1_500,
         blocks=("venue_banned",), answered=True),
    Kind("O1", "halted by a person while it runs, then resumed", way="operator",
         draw=_one_of(how=["flatten", "halt", "signal"]), blocks=("operator_halt",)),
    Kind("O2", "halted twice, killed and started with the halt, then resumed", way="operator",
         draw=_one_of(how=["flatten", "halt"], restarts=[True]), blocks=("operator_halt",)),
    Kind("A18", "a status that its quantities contradict", "order",
         draw=_one_of(target=["POST order", "report"], kind=["nothing", "part", "partly", "new"]),
         logs=("unreadable",), unprotected_ms=5_000),
    Kind("A19", "an order reported ended that was filled or rests", "order",
         draw=_one_of(target=["POST order", "POST order", "report"],
                      status=["EXPIRED", "CANCELED", "REJECTED"]), unprotected_ms=5_000),
)  # fmt: skip

CATALOGUE: Final = {each.code: each for each in _KINDS} | {
    KILL: Kind(KILL, "killed with signal 9, started again", way="kill")
}
"""Every fault by its code; `P1` is asked for with `--kill`."""


def codes_of(text: str) -> tuple[str, ...]:
    """Read ``N1,E2`` or ``all``; InputError names what is unknown."""
    known = [code for code in CATALOGUE if code != KILL]
    if text == "all":
        return tuple(known)
    found = tuple(dict.fromkeys(each.strip().upper() for each in text.split(",") if each.strip()))
    wrong = [each for each in found if each not in known]
    if wrong:
        raise InputError(
            f"--faults {text}: there is no fault {', '.join(wrong)}",
            hint=f"write all, or some of {', '.join(known)}",
        )
    return found


def order_of(codes: Sequence[str], times: int, kills: int, seed: int) -> list[str]:
    """Return the order of the faults: rounds of all of them, each in a random order.

    After all others comes what may leave a position in the run's books whose units are gone.
    """
    draw = random.Random(f"{seed}:drill")
    rounds = []
    for _ in range(times):
        rounds.append(list(codes))
        draw.shuffle(rounds[-1])
    found = sorted((code for each in rounds for code in each), key=lambda code: code == _RUNS_LAST)
    for _ in range(kills):
        found.insert(draw.randint(0, len(found)), KILL)
    return found
