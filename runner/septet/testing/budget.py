"""How many seconds the checks of a package may take, together and each."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from septet.testing.watchdog import NotEnded, run_within

__all__ = ["Budget", "Spent"]

LIMIT_S: Final = 60.0
"""Seconds after which a check counts as one that does not end."""
TOTAL_S: Final = 90.0
"""Seconds of all checks of a package together; what does not fit is not tried."""
EACH_S: Final = 5.0
"""Seconds for each plugin of a package that has many, where that is more."""


class Spent(Exception):
    """A check that was not begun, or did not end, because the others had taken the time."""


class Budget:
    """The seconds of one package, of which `plugins` are checked together."""

    def __init__(self, plugins: int = 1) -> None:
        self.total_s = max(TOTAL_S, EACH_S * plugins)
        self.used_s = 0.0
        self.is_spent = False

    def run(self, check: Callable[[], Any], place: str = "") -> Any:
        """Run a check within what is left; return what it returns, raise what it raises.

        Raises
        ------
        NotEnded
            If it has not ended after `LIMIT_S`, with the line of the plugin at which it stood.
        Spent
            If less than that was left to it, or nothing.
        """
        left_s = self.total_s - self.used_s
        if left_s <= 0.0:
            raise self._spent("was not begun")
        began = time.monotonic()
        try:
            return run_within(min(left_s, LIMIT_S), check, place)
        except NotEnded:
            if left_s < LIMIT_S:
                raise self._spent("did not end") from None
            raise
        finally:
            self.used_s += time.monotonic() - began

    def _spent(self, what: str) -> Spent:
        self.is_spent = True
        return Spent(
            f"the checks of a package have {self.total_s:g} s together; those before took them, "
            f"and this one {what}"
        )
