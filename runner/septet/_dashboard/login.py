"""Log in and log out: a code becomes a session, and the session a cookie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from septet._dashboard.forms import form_of
from septet._dashboard.rate_limits import address_key
from septet._dashboard.sessions import SESSION_S, TooManyCodes

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from septet._dashboard.site import Site

__all__ = ["LogInPages", "Show"]

_MAX_VERIFYING: Final = 8


class Show(Protocol):
    """Fills a template as the answer to a request."""

    def __call__(
        self, request: Request, name: str, status: int = 200, **values: object
    ) -> Response:
        """Return the answer."""
        ...


class LogInPages:
    """The handlers of the log-in page."""

    def __init__(self, site: Site, show: Show) -> None:
        self._site, self._show = site, show
        self._verifying = 0

    def page(self, request: Request) -> Response:
        """Show the form."""
        return self._page(request, "")

    def _page(self, request: Request, problem: str, status: int = 200) -> Response:
        return self._show(
            request, "login.html", status, problem=problem, by_code=self._site.by_code,
            by_name=bool(self._site.book.current().users),
        )  # fmt: skip

    async def begin(self, request: Request) -> Response:
        """Begin a session if the code, or the name and the password, are right.

        The session is always a new one: one that the browser brought is ended.
        """
        form = await form_of(request)
        try:
            if "password" in form:
                session = await self._by_password(request, form)
                wrong = "The name or the password is wrong."
            else:
                session = self._site.sessions.begin(form.get("code", ""))
                wrong = "This is not the code that the terminal shows last. Each code works once."
        except TooManyCodes as problem:
            answer = self._page(
                request, f"Too many wrong log-ins: wait {problem.wait_s} s, then try again.", 429
            )
            answer.headers["retry-after"] = str(problem.wait_s)
            return answer
        if session is None:
            return self._page(request, wrong, 403)
        self._site.sessions.end(request.state.session)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            self._site.cookie, session, max_age=int(SESSION_S), httponly=True, samesite="strict",
            path="/", secure=self._site.is_secure,
        )  # fmt: skip
        return answer

    async def _by_password(self, request: Request, form: Mapping[str, str]) -> str | None:
        """Verify a password; as one is verified at a time, only a few may wait for it in threads.

        Raises
        ------
        TooManyCodes
            If too many wait, or too many were wrong.
        """
        if self._verifying >= _MAX_VERIFYING:
            raise TooManyCodes(1)
        self._verifying += 1
        try:
            return await run_in_threadpool(self._by_name, request, form)
        finally:
            self._verifying -= 1

    def _by_name(self, request: Request, form: Mapping[str, str]) -> str | None:
        name = form.get("name", "").strip()[:100]
        limits, address = self._site.limits, address_key(request.state.address)
        wait_s = limits.by_address.begin(address) or limits.by_name.begin(name)
        if wait_s:
            raise TooManyCodes(wait_s)
        visitor = self._site.book.check(name, form["password"])
        if visitor is None:
            return None
        limits.by_address.forgive(address)
        limits.by_name.forgive(name)
        return self._site.sessions.open(visitor)

    async def end(self, request: Request) -> Response:
        """End the session on the server, and let the browser forget it."""
        self._site.sessions.end(request.state.session)
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(
            self._site.cookie, httponly=True, samesite="strict", secure=self._site.is_secure
        )
        return answer
