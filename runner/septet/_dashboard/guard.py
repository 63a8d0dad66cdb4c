"""What every request must pass before a page sees it, and what every answer carries."""

from __future__ import annotations

import secrets
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from septet._dashboard.site import Site

__all__ = ["Guard"]

_READS: Final = ("GET", "HEAD")
_OPEN: Final = ("/login",)
_POLICY: Final = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_FIXED: Final = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    # With no-referrer, a form of our own page would be sent with `Origin: null`.
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Refuses requests by host, origin and session, and adds the policy to every answer.

    A page of another site can make a browser send requests here. It cannot change `Host` (a name
    that was rebound to this address stays in it), `Origin` or `Sec-Fetch-Site`.
    """

    def __init__(self, app: ASGIApp, *, site: Site) -> None:
        self._app, self._site = app, site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no web sockets here
            return
        nonce = secrets.token_urlsafe(16)
        session = self._session(Headers(scope=scope))
        visitor = self._site.sessions.visitor(session)
        scope.setdefault("state", {}).update(nonce=nonce, session=session, visitor=visitor)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["content-security-policy"] = _POLICY.format(nonce=nonce)
                for name, value in _FIXED.items():
                    headers[name] = value
            await send(message)

        refused = self._refusal(scope, Headers(scope=scope), session)
        await (refused or self._app)(scope, receive, answer)

    def _session(self, headers: Headers) -> str:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self._site.cookie)
        except CookieError:
            return ""
        value = found.value if found is not None else ""
        return value if self._site.sessions.holds(value) else ""

    def _refusal(self, scope: Scope, headers: Headers, session: str) -> Any:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._site.hosts:
            names = " or ".join(self._site.hosts)
            return PlainTextResponse(f"Not a name of this page: open it as {names}.\n", 421)
        if scope["method"] not in _READS:
            problem = self._foreign(headers, hosts[0].lower())
            if problem:
                return PlainTextResponse(f"Refused: {problem}.\n", 403)
        if session or scope["path"] in _OPEN:
            return None
        if scope["method"] in _READS and scope["path"] != "/events":
            return RedirectResponse("/login", 303)
        return PlainTextResponse("Refused: no session; log in first, at /login.\n", 401)

    def _foreign(self, headers: Headers, host: str) -> str:
        """Return why a request that changes something did not come from a page of ours."""
        origins = headers.getlist("origin")
        if origins != [f"{self._site.scheme}://{host}"]:
            return "the request does not say that it comes from this page (Origin)"
        if headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return "the request comes from another site (Sec-Fetch-Site)"
        return ""
