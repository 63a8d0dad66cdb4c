"""The page of several paper or live runs as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from septet._app.combined import RunEquity, combine, combined_still, equity_of
from septet._dashboard.cached_views import View, Views
from septet._dashboard.events import state_digest
from septet._dashboard.listing import named_folder
from septet._dashboard.run_page import now_text
from septet._dashboard.site import VIEW, Right
from septet._dashboard.stills import at_both_widths
from septet._data.stamps import iso
from septet.errors import InputError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["CombinedPages", "require_run_count"]

_MAX_RUNS: Final = 12


def require_run_count(keys: Sequence[str]) -> None:
    """Refuse more runs than are added and followed together, or none."""
    if not 1 <= len(keys) <= _MAX_RUNS:
        raise InputError(
            f"{len(keys)} runs are chosen, and the equity of one to {_MAX_RUNS} is added",
            hint="choose paper or live runs in the list of all runs",
        )


class CombinedPages:
    """Answers the sum of equity of chosen runs, and its drawdown."""

    def __init__(self, show: Callable[..., Response], views: Views, root: Path) -> None:
        self.show, self.views, self.root = show, views, root

    def routes(self) -> list[tuple[str, str, Right, Callable[[Request], Response]]]:
        """Return path, method, right and answer of each."""
        return [("/combined", "GET", VIEW, self.combined)]

    def combined(self, request: Request) -> Response:
        """Answer the sum of the runs that the address names."""
        keys = list(dict.fromkeys(request.query_params.getlist("run")))
        require_run_count(keys)
        folders = [named_folder(self.root, key) for key in keys]
        mark = state_digest(folders)  # before they are read: what is written now is new
        runs = [self.views.ask(each, _read) for each in folders]
        found = combine(runs)
        rows = [
            {
                "key": key, "run_id": each.run_id, "strategy": each.strategy,
                "capital": each.initial_capital, "equity": each.last, "problem": each.problem,
                "share": each.last / found.last if found.last > 0.0 else None,
                "since": iso(int(each.time_ns[0])) if len(each.time_ns) else "",
                "until": iso(int(each.time_ns[-1])) if len(each.time_ns) else "",
            }
            for key, each in zip(keys, runs, strict=True)
        ]  # fmt: skip
        still = at_both_widths(lambda width: combined_still(found, width=width))
        return self.show(
            request, "combined.html", found=found, rows=rows, still=still, now=now_text(),
            mark=mark,
        )  # fmt: skip


def _read(view: View) -> RunEquity:
    if view.run is None:
        raise InputError(f"a chosen run cannot be read: {view.damaged}")
    return equity_of(view.run)
