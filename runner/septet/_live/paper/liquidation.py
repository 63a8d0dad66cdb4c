"""Whether a mid price liquidates a position of a paper run: the same rule as that of the core."""

from __future__ import annotations

from typing import Any, Final

from septet._core.venue_fills import VenueFillsEngine
from septet._kernel import layout, match, touch
from septet_schemas.strategy import Perpetual

__all__ = ["liquidates"]

_MATCH: Final[Any] = match
_TOUCH: Final[Any] = touch
"""The plain text of the compiled rules; steps carry no types."""


def liquidates(engine: VenueFillsEngine, terms: Perpetual, k: int, price: float) -> bool:
    """Whether a mid price (quote) liquidates what is held of a symbol."""
    side, held = float(engine.state.I[k, layout.OPEN_SIDE]), engine.state.B[k]
    units = abs(held[layout.UNITS])
    if side == 0.0 or units == 0.0:
        return False
    funding = held[layout.MARGIN_FUNDING] / (units / held[layout.SCALE])
    level = _MATCH.liquidation_price(
        side, held[layout.AVERAGE], terms.leverage, float(terms.maintenance), funding
    )
    return bool(_TOUCH.touches(side, price, level))
