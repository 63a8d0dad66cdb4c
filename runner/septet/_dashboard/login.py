"""Log in and log out: a code becomes a session, and the session a cookie."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from septet._dashboard.forms import form_of
from septet._dashboard.rate_limits import address_key
from septet._dashboard.sessions import SESSION_S

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from septet._dashboard.site import Site

__all__ = ["Devices", "LogInPages", "Show"]

_MAX_VERIFYING: Final = 8
_MAX_DEVICES: Final = 1_000
_DEVICE_S: Final = 90 * 86_400


class TooManyLogIns(Exception):
    """Wrong log-ins came too often; `wait_s` is when the next one is looked at."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"too many wrong log-ins: wait {wait_s} s")
        self.wait_s = wait_s


class Devices:
    """The browsers in which users have logged in, as long as the server runs.

    Such a browser keeps a secret; wrong passwords of others do not make its user wait there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: OrderedDict[str, str] = OrderedDict()

    def is_of(self, device: str, name: str) -> bool:
        """Whether a user has logged in with this browser."""
        with self._lock:
            return bool(device) and self._names.get(_digest(device)) == name

    def add(self, name: str) -> str:
        """Return the secret of a browser in which a user has just logged in."""
        device = secrets.token_urlsafe(32)
        with self._lock:
            self._names[_digest(device)] = name
            while len(self._names) > _MAX_DEVICES:
                self._names.popitem(last=False)
        return device


def _digest(device: str) -> str:
    return hashlib.sha256(device.encode("utf-8", "surrogatepass")).hexdigest()


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
        self._devices, self._device = Devices(), f"{site.cookie}-device"

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
        form, by_password = await form_of(request), False
        try:
            if "password" in form:
                by_password = True
                session = await self._by_password(request, form)
                wrong = "The name or the password is wrong."
            else:
                session = self._site.sessions.begin(form.get("code", ""))
                wrong = "This is not the code that the terminal shows last. Each code works once."
        except TooManyLogIns as problem:
            answer = self._page(
                request, f"Too many wrong log-ins: wait {problem.wait_s} s, then try again.", 429
            )
            answer.headers["retry-after"] = str(problem.wait_s)
            return answer
        if session is None:
            return self._page(request, wrong, 403)
        self._site.sessions.end(request.state.session)
        answer = RedirectResponse("/", 303)
        if by_password:
            name = form.get("name", "").strip()
            if not self._devices.is_of(request.cookies.get(self._device, ""), name):
                self._set(answer, self._device, self._devices.add(name), _DEVICE_S)
        self._set(answer, self._site.cookie, session, int(SESSION_S))
        return answer

    def _set(self, answer: Response, cookie: str, value: str, age_s: int) -> None:
        answer.set_cookie(
            cookie, value, max_age=age_s, httponly=True, samesite="strict", path="/",
            secure=self._site.is_secure,
        )  # fmt: skip

    async def _by_password(self, request: Request, form: Mapping[str, str]) -> str | None:
        """Verify a password; as one is verified at a time, only a few may wait for it in threads.

        Raises
        ------
        TooManyLogIns
            If too many wait, or too many were wrong.
        """
        if self._verifying >= _MAX_VERIFYING:
            raise TooManyLogIns(1)
        self._verifying += 1
        try:
            return await run_in_threadpool(self._by_name, request, form)
        finally:
            self._verifying -= 1

    def _by_name(self, request: Request, form: Mapping[str, str]) -> str | None:
        name = form.get("name", "").strip()[:100]
        limits, device = self._site.limits, request.cookies.get(self._device, "")
        address = address_key(request.state.address)
        throttles = [
            (limits.by_pair, f"{address} {name}"), (limits.by_address, address),
            (limits.by_name, name),
        ]  # fmt: skip
        if self._devices.is_of(device, name):
            throttles = [(limits.by_pair, f"device {device}")]
        for throttle, key in throttles:
            if wait_s := throttle.begin(key):
                raise TooManyLogIns(wait_s)
        visitor = self._site.book.check(name, form["password"])
        if visitor is None:
            return None
        for throttle, key in throttles:
            throttle.forgive(key)
        return self._site.sessions.open(visitor)

    async def end(self, request: Request) -> Response:
        """End the session on the server, and let the browser forget it."""
        self._site.sessions.end(request.state.session)
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(
            self._site.cookie, httponly=True, samesite="strict", secure=self._site.is_secure
        )
        return answer
