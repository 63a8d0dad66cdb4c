"""What answers requests for charts and trades: data, the script, and the page of a trade."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from septet._charts import time_chart
from septet._dashboard.cached_views import View, Views
from septet._dashboard.charts import document, moment_of, price_figure
from septet._dashboard.forms import asked
from septet._dashboard.listing import named_folder
from septet._dashboard.run_page import resting_lines
from septet._dashboard.site import VIEW, Right
from septet._dashboard.trade_page import trade_span, trade_view
from septet._text import dump_json
from septet.errors import InputError

__all__ = ["ChartPages", "symbol_asked"]

_Row = tuple[str, str, Right, Callable[[Request], Response]]


def symbol_asked(request: Request, shown: dict[str, Any]) -> dict[str, Any]:
    """Return the symbol and the span that the address of a run's page asks for, as texts."""
    symbol = asked(request, "symbol")
    if symbol not in shown["symbols"]:
        symbol = shown["symbols"][0] if shown["symbols"] else ""
    return {
        "symbol": symbol, "start": asked(request, "start")[:40], "end": asked(request, "end")[:40]
    }  # fmt: skip


class ChartPages:
    """Answers the requests of charts and trades of the runs under a folder."""

    def __init__(self, show: Callable[..., Response], views: Views, root: Path) -> None:
        self.show, self.views, self.root = show, views, root

    def routes(self) -> list[_Row]:
        """Return path, method, right and answer of each."""
        return [
            ("/chart", "GET", VIEW, self.chart),
            ("/charts.js", "GET", VIEW, self.script),
            ("/trade", "GET", VIEW, self.trade),
        ]

    def markup(self, view: View, request: Request) -> str:
        """Return the price chart that the address of a run's page asks for, or why not.

        It is a question to `Views.ask`.
        """
        if view.shown is None:
            return ""
        try:
            found = self._figure(view, request, "chart-price")
        except InputError as problem:
            return f'<p class="notice">{escape(problem.message)}</p>'
        return '<p class="notice">There are no bars then.</p>' if found is None else found[0]

    def chart(self, request: Request) -> Response:
        """Answer the data of a chart, or the rows that came since a second."""
        name, after = asked(request, "name"), _second(asked(request, "after"))

        def find(view: View) -> dict[str, Any] | None:
            found = self._figure(view, request, name)
            return None if found is None else document(found[1], after)

        found = self.views.ask(named_folder(self.root, asked(request, "run")), find)
        if found is None:
            raise InputError("there is no such chart", hint="look at the page of the run")
        return Response(dump_json(found), media_type="application/json")

    def _figure(self, view: View, request: Request, name: str) -> tuple[str, dict[str, Any]] | None:
        if view.shown is None or view.run is None:
            return None
        shown, run = view.shown, view.run
        number = asked(request, "trade")
        if name == "chart-price" and number:
            symbol, start, end = trade_span(run, number)
            return price_figure(run, symbol, start, end)
        wanted = symbol_asked(request, shown)
        start_ns, end_ns = moment_of(wanted["start"]), moment_of(wanted["end"])
        plain = wanted["symbol"] == (shown["symbols"] or [""])[0] and start_ns is end_ns is None
        if name == "chart-price" and not plain:
            lines = resting_lines(shown["run"], wanted["symbol"])
            return price_figure(run, wanted["symbol"], start_ns, end_ns, lines)
        found: tuple[str, dict[str, Any]] | None = shown["charts"].get(name)
        return found

    def script(self, request: Request) -> Response:
        """Answer the script of the charts; without the library it is empty, and stills stay."""
        library = time_chart.library()
        text = "" if library is None else f"{library}\n{time_chart.script()}"
        return PlainTextResponse(text, media_type="text/javascript")

    def trade(self, request: Request) -> Response:
        """Answer the page of a trade."""
        key, number = asked(request, "run"), asked(request, "trade")
        folder = named_folder(self.root, key)

        def find(view: View) -> tuple[dict[str, Any], str]:
            if view.run is None:
                raise InputError(view.damaged)
            made = trade_view(view.run, number)
            figure = self._figure(view, request, "chart-price")
            return made, "" if figure is None else figure[0]

        made, markup = self.views.ask(folder, find)
        return self.show(
            request, "trade.html", view=made, chart=markup, key=key, run_id=folder.name,
            number=int(number),
        )  # fmt: skip


def _second(text: str) -> float | None:
    try:
        found = float(text) if text else None
    except ValueError:
        found = math.nan
    if found is not None and not math.isfinite(found):
        raise InputError(f"{text[:40]!r} is no time", hint="seconds since 1970")
    return found
