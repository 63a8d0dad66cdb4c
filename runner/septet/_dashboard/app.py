"""The routes of the page, and how its templates are filled."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from importlib.resources import files
from inspect import iscoroutinefunction
from typing import Any, Final, TypeAlias, cast
from urllib.parse import urlencode

import jinja2
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from septet._app.halt import login_name
from septet._app.halt_texts import outcome_lines
from septet._app.run_files import log_lines
from septet._charts.time_chart import style
from septet._dashboard.api import Api, failure, refused_document
from septet._dashboard.backtest_pages import BacktestPages
from septet._dashboard.cached_views import Views
from septet._dashboard.chart_pages import ChartPages, symbol_asked
from septet._dashboard.combined_pages import CombinedPages, require_run_count
from septet._dashboard.compare_pages import ComparePages
from septet._dashboard.events import SharedFileStamps, follow, state_digest
from septet._dashboard.forms import TooLarge, TooSlow, asked, form_of, too_large, too_slow
from septet._dashboard.job_pages import JobPages
from septet._dashboard.json_answer import JsonAnswer
from septet._dashboard.listing import grouped, named_folder
from septet._dashboard.login import LogInPages
from septet._dashboard.own_data_pages import OwnDataPages
from septet._dashboard.request_guard import API, Guard
from septet._dashboard.run_actions import WAIT_S, act, can_act
from septet._dashboard.run_page import order_view
from septet._dashboard.site import OPERATE, VIEW, Right, Site, Visitor
from septet._dashboard.strategy_pages import StrategyPages
from septet._dashboard.sweep_pages import SweepPages
from septet._data.stamps import iso
from septet._jobs.check_process import CheckAnswer, CheckRequest
from septet._jobs.jobs import TooManyJobs, bug_of
from septet._report.why import value_text
from septet._results.number_texts import count, money, number, percent
from septet._text import one_line, shortened
from septet.errors import SeptetError

__all__ = ["make_app"]

_LOG: Final = logging.getLogger(__name__)
_MAX_CHARACTERS: Final = 160
_ANSWERED: Final = (SeptetError, HTTPException, TooLarge, TooSlow)
"""What the application's own handlers answer."""
MODE_TEXTS: Final = {
    "live": "Live: its orders are real",
    "paper": "Paper: its orders are simulated",
    "backtest": "Backtest",
}
_Handler: TypeAlias = Callable[[Request], Response] | Callable[[Request], Awaitable[Response]]


def _line(value: object, most: int = _MAX_CHARACTERS) -> str:
    """Write what a stranger may have named: one line, no control characters, not endless."""
    return shortened(one_line("" if value is None else value), most)


def _environment() -> jinja2.Environment:
    folder = str(files("septet._dashboard").joinpath("templates"))
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters.update(
        line=_line, percent=percent, money=money, number=number, count=count,
        value=value_text, stamp=iso,
        capitalize_first=lambda text: f"{text[:1].upper()}{text[1:]}",
        query=lambda values: urlencode(values, errors="surrogateescape"),
    )  # fmt: skip
    made.globals["chart_style"] = style()
    made.globals["modes"] = MODE_TEXTS
    return made


class _Pages:
    """What answers the requests."""

    def __init__(self, site: Site) -> None:
        self.site, self.root = site, site.root
        self.templates = _environment()
        self.views, self.signs = Views(), SharedFileStamps()
        self.charts = ChartPages(self.show, self.views, site.root)

    def show(self, request: Request, name: str, status: int = 200, **values: Any) -> Response:
        text = self.templates.get_template(name).render(
            nonce=request.state.nonce, visitor=request.state.visitor, **values
        )
        return HTMLResponse(text.encode("utf-8", "backslashreplace"), status)

    async def runs(self, request: Request) -> Response:
        rows = await run_in_threadpool(self.site.lists.of, self.root)
        by_strategy = asked(request, "by") == "strategy"
        return self.show(
            request, "runs.html", rows=rows, by_strategy=by_strategy, root=str(self.root),
            groups=grouped(rows) if by_strategy else [("", rows)],
        )  # fmt: skip

    def run(self, request: Request) -> Response:
        key, trace = asked(request, "run"), asked(request, "trace")
        folder = named_folder(self.root, key)
        mark = state_digest([folder])  # before it is read: what is written now is new
        found, chart = self.views.ask(
            folder, lambda view: (view, self.charts.markup(view, request))
        )
        view = found.shown
        wanted = symbol_asked(request, view) if view else {}
        return self.show(
            request, "run.html", view=view, damaged=found.damaged, key=key, trace=trace,
            now=found.read_at, mark=mark,
            strategy=view["summary"]["strategy"] if view else folder.parent.name,
            run_id=folder.name, log=log_lines(folder, trace), can_act=can_act(folder),
            login=login_name(), **wanted,
            chart=chart,
        )  # fmt: skip

    def order(self, request: Request) -> Response:
        key, reference = asked(request, "run"), asked(request, "order")
        view, run_id = self.site.opened.ask(
            named_folder(self.root, key),
            lambda opened: (order_view(opened.run, reference), opened.run.run_id),
        )
        return self.show(
            request, "order.html", view=view, reference=reference, key=key, run_id=run_id,
        )  # fmt: skip

    async def act(self, request: Request) -> Response:
        form = await form_of(request)
        key, action = form.get("run", ""), form.get("action", "")
        visitor: Visitor = request.state.visitor
        name = visitor.name if visitor.is_known else form.get("name", "")

        def do() -> list[str]:
            found = act(
                named_folder(self.root, key), action, name=name,
                reason=form.get("reason", ""),
            )  # fmt: skip
            return outcome_lines(found, WAIT_S)

        texts = await run_in_threadpool(do)
        return self.show(request, "message.html", title=action.capitalize(), texts=texts, key=key)

    async def events(self, request: Request) -> Response:
        keys = list(dict.fromkeys(request.query_params.getlist("run")))
        require_run_count(keys)
        folders = [await run_in_threadpool(named_folder, self.root, each) for each in keys]
        session = request.state.session

        def ends() -> bool:
            return self.site.is_closing() or self.site.visitor(session) is None

        return StreamingResponse(
            follow(folders, ends, self.signs.of), media_type="text/event-stream"
        )

    def ended_by(self, bug: SeptetError, request: Request) -> Response:
        """Answer a request that a bug ended, in the form of what was asked."""
        if request.url.path.startswith(API):
            return JsonAnswer(refused_document(bug), 500)
        texts = [bug.message, bug.hint]
        return self.show(request, "message.html", 500, title="Not done", texts=texts, key="")

    async def refused(self, request: Request, problem: Exception) -> Response:
        assert isinstance(problem, SeptetError)
        status = 400 if request.method == "POST" else 404
        if isinstance(problem, TooManyJobs):
            status = 429
        if request.url.path.startswith(API):
            return JsonAnswer(refused_document(problem), status)
        texts = [problem.message, *([problem.hint] if problem.hint else [])]
        return self.show(request, "message.html", status, title="Not done", texts=texts, key="")


async def _not_there(request: Request, problem: Exception) -> Response:
    """Answer a path or a method that is not there."""
    assert isinstance(problem, HTTPException)
    if request.url.path.startswith(API):
        answer = failure(problem.status_code, problem.detail, "see /api/openapi.json")
        answer.headers.update(problem.headers or {})
        return answer
    return PlainTextResponse(problem.detail, problem.status_code, problem.headers)


def _guarded(pages: _Pages, path: str, method: str, right: Right, answer: _Handler) -> Route:
    """Return a route that only a visitor with the right reaches."""

    async def checked(request: Request) -> Response:
        visitor: Visitor | None = request.state.visitor
        if visitor is None or not visitor.may(right):
            if path.startswith(API):
                return failure(403, f"this needs the right to {right}")
            texts = [
                f"This needs the right to {right}; you have the right to "
                f"{visitor.right if visitor else 'log in'} only."
            ]
            return pages.show(request, "message.html", 403, title="Not done", texts=texts, key="")
        try:
            if iscoroutinefunction(answer):
                found: Response = await answer(request)
                return found
            return await run_in_threadpool(cast("Callable[[Request], Response]", answer), request)
        except _ANSWERED:
            raise
        except Exception as error:  # a bug: a program receives JSON as well, the log has it whole
            _LOG.error("%s ended by a bug", path, exc_info=error)
            return pages.ended_by(bug_of(error), request)

    return Route(path, checked, methods=[method], name=f"{method} {path}")


def make_app(site: Site, check: Callable[[CheckRequest], CheckAnswer] | None = None) -> Starlette:
    """Return the application of the pages of a site, behind its guard.

    Strategies are checked by `check`; by default in a process of its own.
    A page of its own is one line of the table: path, method, the right that it needs, and what
    answers it.
    """
    pages = _Pages(site)
    log_in = LogInPages(site, pages.show)
    jobs = JobPages(pages.show, site)
    strategies = StrategyPages(pages.show, site.workspace, jobs, check)
    table: list[tuple[str, str, Right, _Handler]] = [
        ("/", "GET", VIEW, pages.runs),
        ("/run", "GET", VIEW, pages.run),
        ("/order", "GET", VIEW, pages.order),
        *pages.charts.routes(),
        *ComparePages(pages.show, pages.views, site.root, jobs).routes(),
        *CombinedPages(pages.show, pages.views, site.root).routes(),
        *strategies.routes(),
        *OwnDataPages(pages.show, strategies).routes(),
        *SweepPages(pages.show, site).routes(),
        *BacktestPages(site, strategies, jobs).routes(),
        *jobs.routes(),
        ("/events", "GET", VIEW, pages.events),
        ("/act", "POST", OPERATE, pages.act),
        ("/logout", "POST", VIEW, log_in.end),
    ]
    return Starlette(
        routes=[
            *(_guarded(pages, *row) for row in table),
            *(
                _guarded(pages, each.path, each.method, each.right, each.answer)
                for each in Api(site).endpoints
            ),
            Route("/login", log_in.page, methods=["GET"]),
            Route("/login", log_in.begin, methods=["POST"]),
        ],
        middleware=[Middleware(Guard, site=site)],
        exception_handlers={
            TooLarge: too_large,
            TooSlow: too_slow,
            SeptetError: pages.refused,
            HTTPException: _not_there,
        },
    )
