"""A local venue that implements Binance spot, keeps its own journal and injects faults."""

from septet._drill.venue.config import (
    Bars,
    Fault,
    Fees,
    Limits,
    SymbolConfig,
    Synthetic,
    VenueConfig,
)
from septet._drill.venue.engine import MatchingEngine
from septet._drill.venue.server import LocalVenue
from septet._drill.venue.venue_journal import JournalContent, read_venue_journal

__all__ = [
    "Bars", "Fault", "Fees", "Limits", "LocalVenue", "MatchingEngine", "SymbolConfig", "Synthetic",
    "JournalContent", "VenueConfig", "read_venue_journal",
]  # fmt: skip
