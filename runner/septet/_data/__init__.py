"""A single path from raw rows to validated bars, for history and live data.

Names that other packages use are listed here and imported on first use: a source's declaration
needs no arrays.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from septet._data.bars import BarTable, Finding, Instrument, MarketData, SeriesTable
    from septet._data.load import fingerprints, load_market

__all__ = [
    "BarTable",
    "Finding",
    "Instrument",
    "MarketData",
    "SeriesTable",
    "fingerprints",
    "load_market",
]

_HOME: Final = {"fingerprints": "load", "load_market": "load"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOME.get(name, 'bars')}")
    return getattr(module, name)
