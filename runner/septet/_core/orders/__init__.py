"""The order manager of the live core: see `septet._core.orders.manager`."""

from septet._core.orders.ids import child_id, parse, stop_id
from septet._core.orders.lifecycle import trade_key
from septet._core.orders.manager import Orders
from septet._core.orders.records import (
    Booked,
    Child,
    Corrected,
    Ended,
    FeeReported,
    NeverSentOrder,
    Outcome,
    Parent,
    StopEnded,
    ThirdPartyActivity,
    Timing,
    Triggered,
)

__all__ = [
    "Booked", "Corrected", "Child", "Ended", "FeeReported", "NeverSentOrder", "Orders", "Outcome",
    "Parent", "StopEnded", "ThirdPartyActivity", "Timing", "Triggered", "child_id", "parse",
    "stop_id", "trade_key",
]  # fmt: skip
