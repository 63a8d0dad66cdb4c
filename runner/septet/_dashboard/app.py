"""The routes of the page, and how its templates are filled."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

import jinja2
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from septet._app.halt import login_name
from septet._app.halt_texts import outcome_lines
from septet._app.run_files import log_lines
from septet._dashboard.acts import WAIT_S, act, can_act
from septet._dashboard.events import follow
from septet._dashboard.guard import Guard, cookie_name
from septet._dashboard.listing import all_runs, named_folder
from septet._dashboard.one_run import order_view
from septet._dashboard.sessions import SESSION_S, Sessions, TooManyCodes
from septet._dashboard.views import Views
from septet._report.why import value_text
from septet._results.number_texts import count, money, number, percent
from septet._store.find import open_run
from septet._text import one_line, shortened
from septet.errors import SeptetError

__all__ = ["make_app"]

_LARGEST_FORM: Final = 16_384
_LONGEST: Final = 160


class _TooLarge(Exception):
    """A form is larger than any of this page."""


def _line(value: object, most: int = _LONGEST) -> str:
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
        value=value_text,
        query=lambda values: urlencode(values, errors="surrogateescape"),
    )  # fmt: skip
    return made


class _Pages:
    """What answers the requests."""

    def __init__(
        self, root: Path, sessions: Sessions, port: int, is_closing: Callable[[], bool]
    ) -> None:
        self.root, self.sessions, self.port, self.is_closing = root, sessions, port, is_closing
        self.templates = _environment()
        self.views = Views()

    def show(self, request: Request, name: str, status: int = 200, **values: Any) -> Response:
        text = self.templates.get_template(name).render(
            nonce=request.state.nonce, session=bool(request.state.session), **values
        )
        return HTMLResponse(text.encode("utf-8", "backslashreplace"), status)

    def login_page(self, request: Request) -> Response:
        return self.show(request, "login.html", problem="")

    async def log_in(self, request: Request) -> Response:
        form = await _form(request)
        try:
            session = self.sessions.begin(form.get("code", ""))
        except TooManyCodes as problem:
            answer = self.show(
                request, "login.html", 429,
                problem=f"Too many wrong codes: wait {problem.wait_s} s, then try again.",
            )  # fmt: skip
            answer.headers["retry-after"] = str(problem.wait_s)
            return answer
        if session is None:
            wrong = "This is not the code that the terminal shows last. Each code works once."
            return self.show(request, "login.html", 403, problem=wrong)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            cookie_name(self.port), session, max_age=int(SESSION_S), httponly=True,
            samesite="strict", path="/",
        )  # fmt: skip
        return answer

    async def log_out(self, request: Request) -> Response:
        self.sessions.end(request.state.session)
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(cookie_name(self.port), httponly=True, samesite="strict")
        return answer

    async def runs(self, request: Request) -> Response:
        rows = await run_in_threadpool(all_runs, self.root)
        return self.show(request, "runs.html", rows=rows, root=str(self.root))

    def run(self, request: Request) -> Response:
        key, trace = _asked(request, "run"), _asked(request, "trace")
        folder = named_folder(self.root, key)
        found = self.views.of(folder)
        view = found.shown
        return self.show(
            request, "run.html", view=view, damaged=found.damaged, key=key, trace=trace,
            now=found.read_at,
            strategy=view["summary"]["strategy"] if view else folder.parent.name,
            run_id=folder.name, log=log_lines(folder, trace), can_act=can_act(folder),
            login=login_name(),
        )  # fmt: skip

    def order(self, request: Request) -> Response:
        key, reference = _asked(request, "run"), _asked(request, "order")
        run = open_run(named_folder(self.root, key))
        return self.show(
            request, "order.html", view=order_view(run, reference), reference=reference, key=key,
            run_id=run.run_id,
        )  # fmt: skip

    async def act(self, request: Request) -> Response:
        form = await _form(request)
        key, action = form.get("run", ""), form.get("action", "")

        def do() -> list[str]:
            found = act(
                named_folder(self.root, key), action, name=form.get("name", ""),
                reason=form.get("reason", ""),
            )  # fmt: skip
            return outcome_lines(found, WAIT_S)

        texts = await run_in_threadpool(do)
        return self.show(request, "message.html", title=action.capitalize(), texts=texts, key=key)

    async def events(self, request: Request) -> Response:
        folder = await run_in_threadpool(named_folder, self.root, _asked(request, "run"))
        session = request.state.session

        def ends() -> bool:
            return self.is_closing() or not self.sessions.holds(session)

        return StreamingResponse(follow(folder, ends), media_type="text/event-stream")

    async def refused(self, request: Request, problem: Exception) -> Response:
        assert isinstance(problem, SeptetError)
        texts = [problem.message, *([problem.hint] if problem.hint else [])]
        status = 400 if request.method == "POST" else 404
        return self.show(request, "message.html", status, title="Not done", texts=texts, key="")


def _asked(request: Request, name: str) -> str:
    return request.query_params.get(name, "")


async def _form(request: Request) -> dict[str, str]:
    """Return the fields of a form, the last of each name."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST_FORM:
            raise _TooLarge
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20)
    return {name: values[-1] for name, values in fields.items()}


async def _too_large(request: Request, problem: Exception) -> Response:
    return PlainTextResponse(f"The form is larger than {_LARGEST_FORM} bytes.\n", 413)


def make_app(
    root: Path, sessions: Sessions, port: int, *, is_closing: Callable[[], bool]
) -> Starlette:
    """Return the application of the pages of the runs under `root`, behind its guard."""
    pages = _Pages(root, sessions, port, is_closing)
    return Starlette(
        routes=[
            Route("/", pages.runs, methods=["GET"]),
            Route("/run", pages.run, methods=["GET"]),
            Route("/order", pages.order, methods=["GET"]),
            Route("/events", pages.events, methods=["GET"]),
            Route("/act", pages.act, methods=["POST"]),
            Route("/login", pages.login_page, methods=["GET"]),
            Route("/login", pages.log_in, methods=["POST"]),
            Route("/logout", pages.log_out, methods=["POST"]),
        ],
        middleware=[Middleware(Guard, sessions=sessions, port=port)],
        exception_handlers={_TooLarge: _too_large, SeptetError: pages.refused},
    )
