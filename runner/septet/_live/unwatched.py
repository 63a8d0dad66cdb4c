"""Positions of which no price comes: nobody but the stop at the venue acts on them.

Exits of the signal, targets, takes, trailing levels and stops that the engine watches need market
data. Entries are blocked at once (`feed_stale`, `feed_down`); a position is a critical alert.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from septet._core.orders.missing_stops import acts
from septet._core.orders.stops import standing
from septet._live.shell import Notify

__all__ = ["UNWATCHED_S", "UnwatchedPositions", "stop_text"]

UNWATCHED_S: Final = 30.0
"""How long no data of a symbol may come while it is held, from when its streams count as silent."""


class UnwatchedPositions:
    """Reports each position once it has been without market data for `UNWATCHED_S`."""

    def __init__(self, notify: Notify) -> None:
        self._notify = notify
        self._since: dict[str, float] = {}
        self._reported: set[str] = set()

    def check(
        self,
        now_s: float,
        positions: Mapping[str, float],
        is_watched: Callable[[str], bool],
        stop_of: Callable[[str], str],
    ) -> None:
        """Check all positions (signed quantities by symbol); `now_s` is monotonic time.

        `stop_of` states in words which stop of a symbol acts.
        """
        held = {name: units for name, units in positions.items() if units != 0.0}
        self._forget(each for each in list(self._since) if each not in held or is_watched(each))
        for name, units in held.items():
            if is_watched(name):
                continue
            age_s = now_s - self._since.setdefault(name, now_s)
            if age_s < UNWATCHED_S or name in self._reported:
                continue
            self._reported.add(name)
            text = (
                f"{name}: {units:g} is held, and no price comes for more than {age_s:.0f} s: "
                f"{stop_of(name)}; exits of the signal, targets, takes and trailing do not act"
            )
            self._notify("critical", "position_unwatched", {"text": text, "symbol": name})

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            del self._since[name]
            if name in self._reported:
                self._reported.discard(name)
                text = f"{name}: prices come again, or nothing is held any more"
                self._notify("info", "position_watched", {"text": text, "symbol": name})


def stop_text(core: Any, k: int) -> str:
    """Return in words which stop of a symbol acts while no price of it comes."""
    orders = getattr(core, "orders", None)
    child = None if orders is None else standing(orders, k)
    if child is None or not acts(child):
        return "no stop acts"
    return f"only its stop at the venue acts, at {child.trigger_price:g}"
