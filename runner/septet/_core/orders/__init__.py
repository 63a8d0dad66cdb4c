"""The order manager of the live core: see `septet._core.orders.manager`."""

from septet._core.orders.ids import child_id, parse, stop_id
from septet._core.orders.manager import Orders
from septet._core.orders.records import (
    Booked,
    Child,
    Ended,
    External,
    Foreign,
    Outcome,
    Parent,
    StopEnded,
    Timing,
    Triggered,
)

__all__ = [
    "Booked", "Child", "Ended", "External", "Foreign", "Orders", "Outcome", "Parent", "StopEnded",
    "Timing", "Triggered", "child_id", "parse", "stop_id",
]  # fmt: skip
