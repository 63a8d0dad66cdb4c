"""The order manager of the live core: see `septet._core.orders.manager`."""

from septet._core.orders.ids import child_id, parse, stop_id
from septet._core.orders.manager import Orders
from septet._core.orders.records import (
    Booked,
    Child,
    Corrected,
    Ended,
    Foreign,
    Outcome,
    Parent,
    StopEnded,
    ThirdPartyActivity,
    Timing,
    Triggered,
)

__all__ = [
    "Booked", "Corrected", "Child", "Ended", "Foreign", "Orders", "Outcome", "Parent", "StopEnded",
    "ThirdPartyActivity", "Timing", "Triggered", "child_id", "parse", "stop_id",
]  # fmt: skip
