"""A snapshot of a live core."""

from __future__ import annotations

import msgspec

from septet._core.missed_span import MissedSpan
from septet._core.retraining import Windows

__all__ = ["CoreKept"]


class CoreKept(msgspec.Struct, kw_only=True):
    """All state that a core needs to continue as if it had not stopped."""

    engine: bytes
    orders: bytes
    guards: bytes
    checks: bytes
    intake: bytes
    models: bytes
    monitoring: bytes
    sent: dict[str, tuple[int, int]]
    session: int
    market_ns: int
    windows: Windows
    fills: int
    stops: dict[int, int]
    traces: dict[int, str]
    dust: dict[int, float]
    flattens: bool = False
    missed: MissedSpan = msgspec.field(default_factory=MissedSpan)
