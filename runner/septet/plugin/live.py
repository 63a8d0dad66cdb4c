"""What works beside a strategy: venues, feeds and their tasks, monitors, alert channels.

`venue`, `monitor` and `alerts` declare them; a source of bars with `stream` is a feed (`Streams`).
The messages that pass between an adapter and a run are in `septet.messages`.
What is not needed to declare one is imported when it is asked for: a backtest declares a venue, and
needs neither messages nor an event loop.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from septet._host.declare import alerts, monitor, venue
from septet_schemas.simulation import Simulation

if TYPE_CHECKING:
    from septet._host.adapter_values import (
        Notices,
        Unreadable,
        is_programming_error,
        read_choice,
        read_id,
        read_number,
        read_price,
        read_quantity,
        read_stamp_ns,
    )
    from septet._host.background_tasks import Backoff, Kept, TaskChange, Tasks, Timer, race
    from septet._host.monitoring import FillRows, Monitor, Reading, RunView, TradeRows, Verdict
    from septet._host.venues import (
        BarSeen,
        Clock,
        Connects,
        FeedFacts,
        FeedMessage,
        FeedRequest,
        LiveFeed,
        LiveVenue,
        Market,
        PrintSeen,
        QuoteSeen,
        StreamDown,
        Streams,
        VenueFacts,
        may_leave,
        require_listed_symbols,
    )

__all__ = [
    "Backoff",
    "BarSeen",
    "Clock",
    "Connects",
    "FeedFacts",
    "FeedMessage",
    "FeedRequest",
    "FillRows",
    "Kept",
    "LiveFeed",
    "LiveVenue",
    "Market",
    "Monitor",
    "Notices",
    "PrintSeen",
    "QuoteSeen",
    "Reading",
    "RunView",
    "Simulation",
    "StreamDown",
    "Streams",
    "TaskChange",
    "Tasks",
    "Timer",
    "TradeRows",
    "Unreadable",
    "VenueFacts",
    "Verdict",
    "alerts",
    "require_listed_symbols",
    "is_programming_error",
    "may_leave",
    "monitor",
    "race",
    "read_choice",
    "read_id",
    "read_number",
    "read_price",
    "read_quantity",
    "read_stamp_ns",
    "venue",
]


_HOMES: Final = tuple(
    f"septet._host.{each}"
    for each in ("venues", "monitoring", "adapter_values", "background_tasks")
)
"""The last brings the event loop."""


def __getattr__(name: str) -> Any:
    if name in __all__:
        for home in _HOMES:
            module = import_module(home)
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
