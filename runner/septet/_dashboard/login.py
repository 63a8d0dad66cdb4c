"""Log in and log out: a code becomes a session, and the session a cookie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from starlette.responses import RedirectResponse

from septet._dashboard.forms import form_of
from septet._dashboard.sessions import SESSION_S, TooManyCodes

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from septet._dashboard.site import Site

__all__ = ["LogIn", "Show"]


class Show(Protocol):
    """Fills a template as the answer to a request."""

    def __call__(
        self, request: Request, name: str, status: int = 200, **values: object
    ) -> Response:
        """Return the answer."""
        ...


class LogIn:
    """The handlers of the log-in page."""

    def __init__(self, site: Site, show: Show) -> None:
        self._site, self._show = site, show

    def page(self, request: Request) -> Response:
        """Show the form."""
        return self._show(request, "login.html", problem="")

    async def begin(self, request: Request) -> Response:
        """Begin a session if the code is right."""
        form = await form_of(request)
        try:
            session = self._site.sessions.begin(form.get("code", ""))
        except TooManyCodes as problem:
            answer = self._show(
                request, "login.html", 429,
                problem=f"Too many wrong codes: wait {problem.wait_s} s, then try again.",
            )  # fmt: skip
            answer.headers["retry-after"] = str(problem.wait_s)
            return answer
        if session is None:
            wrong = "This is not the code that the terminal shows last. Each code works once."
            return self._show(request, "login.html", 403, problem=wrong)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            self._site.cookie, session, max_age=int(SESSION_S), httponly=True, samesite="strict",
            path="/", secure=self._site.is_secure,
        )  # fmt: skip
        return answer

    async def end(self, request: Request) -> Response:
        """End the session on the server, and let the browser forget it."""
        self._site.sessions.end(request.state.session)
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(
            self._site.cookie, httponly=True, samesite="strict", secure=self._site.is_secure
        )
        return answer
