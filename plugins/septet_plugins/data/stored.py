"""Data that `septet data fetch` and `septet data import` have put into the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from septet.errors import DataError
from septet.plugin import Config
from septet.plugin.data import Facts, RawBars, Request, Store, candles, format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Stored", "StoredConfig", "read_stored", "the_store"]


def the_store(request: Request) -> Store:
    """Return the store of a request.

    Raises
    ------
    DataError
        If it has none.
    """
    if request.store is None:
        raise DataError(f"{request.name}: this source reads the store, and none was given")
    return request.store


def read_stored(
    request: Request, source: str, symbol: str, how: str, defaults: Mapping[str, Any]
) -> RawBars:
    """Return the stored bars of one symbol.

    Raises
    ------
    DataError
        If there are none; `how` is the hint how to get them.
    """
    store, bar = the_store(request), format_duration(request.bar_ns)
    frame = store.read(source, symbol, bar, None, None)
    if frame is None:
        raise DataError(f"the store has no {symbol} {bar} of {source}", hint=how)
    meta = {**defaults, **store.meta(source, symbol, bar)}
    return RawBars(
        symbol,
        frame,
        Facts(
            f"store {source} {symbol} {bar}",
            stamp=meta.get("stamp", "open"),
            calendar=meta.get("calendar"),
            volume_in=meta.get("volume_in"),
            instrument=meta.get("instrument"),
        ),
    )


class StoredConfig(Config):
    """Bars of the local store; `source` is the name they were imported or fetched under."""

    source: str = "import"
    """Name under which the bars were imported or fetched."""


@candles(StoredConfig)
class Stored:
    """Bars that were imported or fetched earlier."""

    def __init__(self, config: StoredConfig) -> None:
        """Store the configuration."""
        self._config = config

    def read(self, request: Request) -> list[RawBars]:
        """Return stored bars of every symbol."""
        how = "septet data import FILE --symbol ... --bar ..., or see septet data list"
        return [
            read_stored(request, self._config.source, symbol, how, {}) for symbol in request.symbols
        ]
