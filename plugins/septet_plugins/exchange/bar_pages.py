"""Downloads bars page by page: computes the next request for any exchange."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from septet.errors import DataError, RunError
from septet.plugin.data import format_duration

__all__ = ["DEFAULT_PAGE", "Pages", "timeframe_of"]

DEFAULT_PAGE: Final = 500
_MS: Final = 1_000_000
_BAR_S: Final = 1_000_000_000


def timeframe_of(client: Any, bar_ns: int) -> str:
    """Return the exchange's name for this length of a bar."""
    timeframes = client.timeframes or {}
    for name in timeframes:
        if not name.endswith("M") and client.parse_timeframe(name) * _BAR_S == bar_ns:
            return str(name)
    raise DataError(
        f"{client.id} has no bars of {format_duration(bar_ns)}",
        hint=f"it has {', '.join(timeframes) or 'none'}",
    )


class Pages:
    """Progress through ``[first_ns, stop_ns)``, both on the grid of `bar_ns`.

    `since_ns` is the start of the next request; answers are complete up to `at_ns`.
    """

    def __init__(
        self, exchange: str, what: str, first_ns: int, stop_ns: int, bar_ns: int, page: int | None
    ) -> None:
        self._exchange, self._what = exchange, what
        self._stop_ns, self._bar_ns, self._page = stop_ns, bar_ns, page or DEFAULT_PAGE
        self.since_ns = self.at_ns = first_ns

    @property
    def going(self) -> bool:
        """Whether more pages must be requested."""
        return self.since_ns < self._stop_ns

    def take(self, page: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
        """Return the requested rows of an answer, and advance.

        Raises
        ------
        RunError
            If the exchange answers with rows before the requested time.
        """
        rows = [each for each in page if self.since_ns <= int(each[0]) * _MS < self._stop_ns]
        if rows:
            following = max(int(each[0]) for each in rows) * _MS + self._bar_ns
            self.since_ns, self.at_ns = following, min(following, self._stop_ns)
        elif any(int(each[0]) * _MS >= self._stop_ns for each in page):
            self.since_ns = self.at_ns = self._stop_ns  # there were no trades up to the end
        elif page:
            raise RunError(
                f"{self._exchange} answers with bars before the time asked for "
                f"({self._what}); its history cannot be paged",
                hint="other params: may help; see ccxt's notes on this exchange",
            )
        else:  # before a listing, or an exchange that answers by windows
            self.since_ns += self._page * self._bar_ns
        return rows
