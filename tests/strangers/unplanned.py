"""Rules that answer in every trial, and with which no live run could be made or go on."""

from __future__ import annotations

__all__ = ["UNPLANNED"]

UNPLANNED: dict[str, tuple[str, str, str]] = {
    "a name that nothing defines, in a rare case": (
        "stop",
        """
@stop(Plain, compiled=False)
def broken(average_price, side, share):
    return average_prise if average_price > 1e9 else average_price * (1.0 - share * side)
""",
        "broken reads average_prise, which nothing defines",
    ),
}
