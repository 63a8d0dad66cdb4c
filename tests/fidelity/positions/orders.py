"""Orders, fills and findings as plain rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tests.exact_fraction import Fraction

__all__ = ["Fill", "Finding", "Order"]

Kind = Literal["market", "limit", "stop"]


@dataclass
class Order:
    """An order; `units` are signed, `price` is a limit or a trigger.

    `tag` names the rule it came from and its place there: ("add", rule, level) and the like. While
    it fills in parts `units` are what is left of it, and `asked` what it was made for.
    """

    number: int
    time_ns: int
    active_ns: int
    symbol: str
    units: Fraction
    kind: Kind
    price: Fraction | None
    reduces: bool
    reason: str
    decision_price: Fraction
    tag: tuple[str, int, int] = ("", 0, 0)
    status: Literal["working", "filled", "cancelled", "expired"] = "working"
    ended_ns: int = 0
    ended_by: str = ""
    rested: bool = False
    begins_again: bool = False
    asked: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        self.asked = self.units

    @property
    def is_working(self) -> bool:
        """Return whether it may still fill."""
        return self.status == "working"


@dataclass(frozen=True)
class Fill:
    """One fill; `units` are signed."""

    time_ns: int
    symbol: str
    units: Fraction
    price: Fraction
    fee: Fraction
    reason: str
    order: int
    bar_ns: int = 0


@dataclass(frozen=True)
class Finding:
    """What a run reports beside its orders: a refusal, a drop, something too small."""

    time_ns: int
    symbol: str
    what: str
    of: str = ""
