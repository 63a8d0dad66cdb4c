"""Which faults a schedule meets, and how often: drawn once from its seed."""

from __future__ import annotations

import random
from typing import Final

from septet._drill.sim.simulated_time import Simulation

__all__ = ["FAULTS", "FaultRates"]

FAULTS: Final[dict[str, tuple[float, str]]] = {
    # of one request
    "N1 answer lost": (0.15, "the venue did what was asked, and the answer was lost"),
    "N2 request lost": (0.15, "the request never arrived"),
    "N3 answer late": (0.10, "the answer came after the timeout"),
    "N4 request late": (0.10, "the venue acted after the timeout"),
    "N5 reset": (0.05, "the connection was reset while a request was out"),
    "N6 cancel unanswered": (0.20, "the venue cancelled, and the answer was lost"),
    "N6 sent twice": (0.10, "a question or a cancel was sent twice by the client"),
    "N13 wrong body": (0.05, "an answer that means nothing"),
    "E1 server error": (0.10, "an error code that leaves the outcome open"),
    "E2 rate limit": (0.05, "429: not done, and a pause asked for"),
    "E3 ban": (0.01, "418: nothing is done for a while"),
    "E4 clock skew": (0.03, "the venue took our clock to be wrong and rejected"),
    "E6 duplicate id": (0.05, "accepted, and answered as a duplicate"),
    "E11 fill beats cancel": (0.20, "filled while the cancel was on its way"),
    "E14 fill unnamed": (0.30, "an execution was shown without our id"),
    "E16 stale read": (0.30, "a question answered from before"),
    "E21 ack differs": (0.02, "accepted with another quantity than asked for"),
    "E21 trigger differs": (0.10, "a stop was accepted at another trigger price than asked for"),
    "E5 rejection": (0.05, "rejected for a reason of the venue's own"),
    "E23 other id": (0.05, "accepted, and listed under another client id"),
    "E23 longer id": (0.10, "accepted, and listed under a client id that contains ours whole"),
    "E23 answered": (0.50, "it was answered under the id that was sent, with the venue's id"),
    # of one order or step of the market
    "E9 partial fill": (0.50, "a part now, the rest later or never"),
    "E10 rest expired": (0.30, "the rest of a market order expired"),
    "E19 venue cancels": (0.08, "the venue cancelled an order of ours"),
    "E22 third fee": (0.20, "the fee was taken in a third asset"),
    "E22 base fee": (0.50, "the fee of a sale was taken in the base, where others hold some"),
    # of one message of the user stream
    "E12 fill twice": (0.15, "the same execution reported twice"),
    "E13 disorder": (0.25, "messages overtook one another"),
    "E14 fill lost": (0.15, "an execution was never reported"),
    "E15 fill first": (0.30, "an execution was reported before the order was acknowledged"),
    # of a bar
    "D2 bar late": (0.10, "the bar came after the time at which it should have decided"),
    # of a second
    "N7 stream closed": (0.04, "the user stream closed, with a close message"),
    "N8 stream silent": (0.04, "the user stream stayed open and sent nothing"),
    "N11 dark start": (0.20, "the venue could not be reached when the process started"),
    "N12 dark": (0.03, "nothing arrived for a while"),
    "E7 filters change": (0.02, "another lot"),
    "E8 halt": (0.02, "the symbol did not trade for a while"),
    "E18 external order": (0.03, "somebody else's order, fill or deposit"),
    "E20 maintenance": (0.03, "the venue was closed for a while"),
    "P1 crash": (0.03, "kill -9 between two steps"),
    "P4 blocked": (0.01, "the loop stood still for a while"),
    "O1 kill": (0.04, "the kill switch"),
    "M1 position moved": (0.01, "our balance changed by itself"),
    # of one write of the journal
    "P1 crash at write": (0.01, "kill -9 before, inside or after a write"),
    "P2 crash in recovery": (0.10, "kill -9 while starting again"),
    "S1 append fails": (0.02, "the disk was full for a while"),
    "S2 torn tail": (0.50, "the last write was cut (of a crash inside a write)"),
    # of a second; of a strategy whose orders alone are simulated
    "P7 clock moved": (0.15, "the local clock jumped ahead"),
    "A11 older copy": (0.01, "the run goes on from an older copy of its journal"),
    # of one execution
    "A3 overfill": (0.10, "an execution beyond its order, of the other side or without an id"),
    # of one word about an order or an execution
    "A18 false status": (0.05, "a status that its own quantities contradict"),
    # of one answer to a new order, or of one word of the user stream about an order that works
    "A19 false end": (0.05, "an order was reported ended unfilled, and rests or was filled"),
}
"""Name, how likely where it can happen, and what it is."""
_OWN_CHANCE: Final = frozenset(
    {
        "A3 overfill",
        "A18 false status",
        "A19 false end",
        "P7 clock moved",
        "A11 older copy",
        "E21 trigger differs",
        "E23 other id",
        "E23 longer id",
        "E23 answered",
    }
)
"""Faults that are drawn apart, so that the schedules of seeds from before they were added stay."""


class FaultRates:
    """The faults of one schedule: each is off, rare or as likely as in the table."""

    def __init__(self, simulation: Simulation, *, only: frozenset[str] | None = None) -> None:
        self._simulation = simulation
        self.calm = False
        chance = simulation.chance
        share = chance.choice((0.1, 0.25, 0.5))
        self._rates: dict[str, float] = {}
        for name, (rate, _) in FAULTS.items():
            of = random.Random(f"{simulation.seed}:{name}") if name in _OWN_CHANCE else chance
            drawn = of.random() < share
            strength = of.choice((0.3, 1.0))
            if drawn if only is None else name in only:
                self._rates[name] = rate * strength

    def occurs(self, name: str) -> bool:
        """Draw whether a fault happens now, and count it."""
        rate = self._rates.get(name, 0.0)
        if rate == 0.0 or self.calm or self._simulation.chance.random() >= rate:
            return False
        self._simulation.count(name)
        return True
