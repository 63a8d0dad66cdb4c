"""Sweeps as pages: those of a folder, and the map, the verdict and the best settings of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import TYPE_CHECKING

from septet._app.sweeps import BEST_LISTED, stored_sweeps, sweep_folder, sweep_view
from septet._dashboard.forms import asked
from septet._dashboard.site import VIEW, Right, Site
from septet._dashboard.stills import both_widths
from septet._dashboard.strategy_pages import strategy_files
from septet.errors import Cancelled

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["SweepPages"]


class SweepPages:
    """Answers the requests about stored sweeps; it reads them and writes nothing."""

    def __init__(self, show: Callable[..., Response], site: Site) -> None:
        self.show, self.site = show, site

    def routes(self) -> list[tuple[str, str, Right, Callable[[Request], Response]]]:
        """Return path, method, right and answer of each."""
        return [("/sweeps", "GET", VIEW, self.listed), ("/sweep", "GET", VIEW, self.one)]

    def listed(self, request: Request) -> Response:
        """Answer the sweeps, the latest first."""
        root = self.site.sweeps
        return self.show(request, "sweeps.html", sweeps=stored_sweeps(root), root=str(root))

    def one(self, request: Request) -> Response:
        """Answer what one sweep found."""
        key = asked(request, "sweep")
        given = asked(request, "from")
        first = int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0
        view = sweep_view(sweep_folder(self.site.sweeps, key), first, self._require_open)
        return self.show(
            request, "sweep.html", view=view, sweep=key, file=self._file(view.file),
            part=BEST_LISTED,
            stills=[(each.title, both_widths(each.wide, each.narrow)) for each in view.stills],
        )  # fmt: skip

    def _require_open(self) -> None:
        """End the work for a page where the server is ending: nobody waits for it."""
        if self.site.is_closing():
            raise Cancelled("the server is ending")

    def _file(self, name: str) -> str:
        """Return the file of the workspace that was swept, where one alone has its name."""
        if self.site.workspace is None:
            return ""
        found = [
            each for each in strategy_files(self.site.workspace.root) if PurePath(each).name == name
        ]
        return found[0] if len(found) == 1 else ""
