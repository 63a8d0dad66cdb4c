"""What every request must pass before a page sees it, and what every answer carries."""

from __future__ import annotations

import ipaddress
import re
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from septet._dashboard.json_answer import JsonAnswer
from septet._dashboard.rate_limits import plain_address

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from septet._dashboard.site import Site, Visitor

__all__ = ["API", "STREAMS", "Guard"]

_READ_METHODS: Final = ("GET", "HEAD")
_PUBLIC_PATHS: Final = ("/login",)
_MAX_HEAD_BYTES: Final = 16_384
API: Final = "/api/"
SHARED: Final = ("/run", "/chart", "/trade", "/combined", "/compare")
"""Pages of runs, whose readings all viewers share: `cached_views`."""
STREAMS: Final = ("/events", "/job-events")
_TOKEN: Final = re.compile(r"septet_[A-Za-z0-9_-]{43}")
_TOKEN_KEYS: Final = ("token", "access_token", "api_key", "bearer")
_POLICY: Final = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_FIXED_HEADERS: Final = {
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
        nonce, headers = secrets.token_urlsafe(16), Headers(scope=scope)
        session = self._session(headers)
        api = scope["path"].startswith(API)
        bearer = self._bearer(headers) if api else None
        visitor = self._site.visitor(session) if bearer is None else self._site.book.bearer(bearer)
        scope.setdefault("state", {}).update(
            nonce=nonce, session=session if visitor is not None else "", visitor=visitor,
            address=self._address(scope, headers), by_token=bearer is not None,
        )  # fmt: skip

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = MutableHeaders(scope=message)
                sent["content-security-policy"] = _POLICY.format(nonce=nonce)
                for name, value in _FIXED_HEADERS.items():
                    sent[name] = value
                if self._site.is_secure:
                    sent["strict-transport-security"] = "max-age=31536000"
            await send(message)

        refused = self._refusal(scope, headers, visitor, is_bearer=bearer is not None)
        if refused is not None or visitor is None:
            await (refused or self._app)(scope, receive, answer)
            return
        key = f"token {visitor.name}" if bearer is not None else session
        if bearer is None and visitor.is_known:  # who logs in often is one visitor
            key = f"user {visitor.name}"
        limits = self._site.limits
        running = limits.streams if scope["path"] in STREAMS else limits.requests
        if not running.begin(key):
            busy = _refuse(
                scope, 429, f"{running.most_each} requests of this visitor run already, or "
                f"{running.most} of all",
            )  # fmt: skip
            busy.headers["retry-after"] = "1"
            await busy(scope, receive, answer)
            return
        try:
            with self._site.kept(scope.get("client")):
                if scope["method"] not in _READ_METHODS or scope["path"] in (*STREAMS, *SHARED):
                    await self._app(scope, receive, answer)
                    return
                async with limits.readings.turn(key, receive) as is_there:
                    if is_there:
                        await self._app(scope, receive, answer)
        finally:
            running.end(key)

    def _session(self, headers: Headers) -> str:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self._site.cookie)
        except CookieError:
            return ""
        value = found.value if found is not None else ""
        return value if self._site.sessions.holds(value) else ""

    def _bearer(self, headers: Headers) -> str | None:
        """Return the token of a request; None if it brings no `Authorization`."""
        given = headers.getlist("authorization")
        if not given:
            return None
        scheme, _, token = given[0].partition(" ")
        return token.strip() if len(given) == 1 and scheme.lower() == "bearer" else ""

    def _address(self, scope: Scope, headers: Headers) -> str:
        """Return who is at the other end; behind a proxy the address that the proxy gives."""
        peer = _peer(scope)
        return _passed_for(headers) if peer in self._site.proxies else peer

    def _refusal(
        self, scope: Scope, headers: Headers, visitor: Visitor | None, *, is_bearer: bool
    ) -> Any:
        if "content-length" in headers and "transfer-encoding" in headers:  # before all else
            both = _refuse(scope, 400, "a body has a length or is sent in chunks, not both")
            both.headers["connection"] = "close"  # where it ends, a proxy may see otherwise
            return both
        line = len(scope.get("raw_path") or b"") + len(scope["query_string"])
        if line + sum(len(name) + len(value) for name, value in scope["headers"]) > _MAX_HEAD_BYTES:
            return _refuse(
                scope, 431, f"address and headers have more than {_MAX_HEAD_BYTES} bytes"
            )
        problem = self._bypassed(scope, headers)
        if problem:
            return _refuse(scope, 403, problem)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._site.hosts:
            names = " or ".join(self._site.hosts)
            return _refuse(scope, 421, f"not a name of this page: open it as {names}")
        if _has_token(scope["query_string"]):
            return _refuse(
                scope, 400,
                "a token in an address stays in logs and histories: send it as Authorization: "
                "Bearer, and replace this one (septet dashboard token remove NAME)",
            )  # fmt: skip
        acts, api = scope["method"] not in _READ_METHODS, scope["path"].startswith(API)
        problem = self._foreign(headers, hosts[0].lower(), acts=acts, api=api, bearer=is_bearer)
        if problem:
            return _refuse(scope, 403, problem)
        if visitor is not None or scope["path"] in _PUBLIC_PATHS:
            return None
        if api:
            return _refuse(
                scope, 401,
                "the token is unknown or has ended" if is_bearer else
                "no token: send Authorization: Bearer, with one of septet dashboard token add",
            )  # fmt: skip
        if not acts and scope["path"] not in STREAMS:
            return RedirectResponse("/login", 303)
        return _refuse(scope, 401, "no session; log in first, at /login")

    def _bypassed(self, scope: Scope, headers: Headers) -> str:
        """Return why a request did not come through the proxy, over TLS."""
        if not self._site.proxies:
            return ""
        if _peer(scope) not in self._site.proxies:
            return "this page is reached through its proxy only"
        if headers.getlist("x-forwarded-proto") != ["https"]:
            return (
                "the proxy does not state that it was reached over TLS (X-Forwarded-Proto: "
                "expected https, once)"
            )
        asked = [each.lower() for each in headers.getlist("x-forwarded-host")]
        if asked != [each.lower() for each in headers.getlist("host")]:
            return (
                "the proxy does not state by which name it was reached (Host and X-Forwarded-Host: "
                "expected the same name, once)"
            )
        if not _passed_for(headers):
            return (
                "the proxy does not state for whom it asks (X-Forwarded-For: expected an address "
                "at its end)"
            )
        return ""

    def _foreign(self, headers: Headers, host: str, *, acts: bool, api: bool, bearer: bool) -> str:
        """Return why a request that changes something did not come from a page of ours.

        A program that sends a token is no browser: it may leave `Origin` out, and only it.
        """
        origins, site = headers.getlist("origin"), headers.get("sec-fetch-site", "same-origin")
        own = [f"{self._site.scheme}://{host}"]
        if acts and origins != own and not (bearer and not origins):
            return "the request does not state that it comes from this page (Origin)"
        if acts and site != "same-origin":
            return "the request comes from another site (Sec-Fetch-Site)"
        if api and (site not in ("same-origin", "none") or origins not in ([], own)):
            return "the request comes from another site (Sec-Fetch-Site or Origin)"
        return ""


def _peer(scope: Scope) -> str:
    return plain_address(str((scope.get("client") or ("", 0))[0]))


def _passed_for(headers: Headers) -> str:
    """Return for whom a proxy asks: the last address, which the proxy itself has written."""
    last = ",".join(headers.getlist("x-forwarded-for")).rpartition(",")[2].strip()
    try:
        return plain_address(str(ipaddress.ip_address(last)))
    except ValueError:
        return ""


def _has_token(query: bytes) -> bool:
    from urllib.parse import parse_qsl

    try:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=50)
    except ValueError:
        return False
    return any(
        name.lower() in _TOKEN_KEYS or _TOKEN.search(f"{name} {value}") for name, value in pairs
    )


def _refuse(scope: Scope, status: int, problem: str) -> Response:
    """Answer in the form of what was asked: JSON for a program, else a line of text."""
    headers = {"www-authenticate": "Bearer"} if status == 401 else None
    if scope["path"].startswith(API):
        return JsonAnswer(
            {"ok": False, "error": "Refused", "message": problem, "hint": ""}, status, headers
        )
    return PlainTextResponse(f"Refused: {problem}.\n", status)
