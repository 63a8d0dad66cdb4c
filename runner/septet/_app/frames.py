"""Runs a loaded file on frames instead of its own data."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from septet._config.load import Loaded

__all__ = ["with_frames"]


def with_frames(loaded: Loaded, data: Any, *, time: str | None, zone: str | None) -> Loaded:
    """Return a loaded file whose bars come from `data`; its other series are read as it declares.

    The file's settings of bars apart from their source (calendar, gaps, stamp) apply.

    Raises
    ------
    DataError
        If a frame is rejected by the checks of its columns.
    """
    from septet._data.frames import FrameSource, frames_of_data
    from septet_schemas.base import Config

    strategy = loaded.strategy
    tables = frames_of_data(data, tuple(strategy.universe.symbols), time=time, zone=zone)
    block = strategy.data.candles
    extra = dict(block.extra) if zone is None else {**block.extra, "time_zone": zone}
    candles = replace(
        block, use="frame", config=Config(), declaration=FrameSource(tables),
        distribution="septet", extra=extra,
    )  # fmt: skip
    changed = strategy.data.model_copy(update={"candles": candles})
    return replace(loaded, strategy=strategy.model_copy(update={"data": changed}))
