"""The process of the page: a socket on loopback, and the server on it."""

from __future__ import annotations

import errno
import ipaddress
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from septet._extras import need
from septet.errors import InputError

if TYPE_CHECKING:
    import uvicorn

__all__ = ["make_server", "open_socket", "serve"]

_LAST_S: Final = 2
_PACKAGES: Final = ("argon2", "jinja2", "starlette", "uvicorn")


def open_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens on loopback; port 0 takes a free one.

    Raises
    ------
    InputError
        If the address is not loopback, or the port cannot be had.
    """
    if not _is_loopback(host):
        raise InputError(
            f"septet dashboard listens on loopback only, not on {host!r}: it has no TLS",
            hint="leave --host out; from another machine: ssh -L 8765:127.0.0.1:8765 THIS-MACHINE",
        )
    address = "127.0.0.1" if host == "localhost" else host
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        made.listen(128)
    except OSError as problem:
        made.close()
        used = problem.errno == errno.EADDRINUSE
        what = "is in use" if used else f"cannot be had: {problem.strerror or problem}"
        raise InputError(
            f"the port {port} of {address} {what}",
            hint="end what listens there, or take another: septet dashboard --port 0 takes a free "
            "one",
        ) from problem
    return made


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback and host in ("127.0.0.1", "::1")
    except ValueError:
        return False


def make_server(
    root: Path, port: int, notify: Callable[[str], None],
    warn: Callable[[str], None] = lambda text: None, strategies: Path | None = None,
) -> uvicorn.Server:  # fmt: skip
    """Return the server of the pages; `notify` is given each one-time code.

    `strategies` is the folder whose strategy files are shown and checked.

    Raises
    ------
    InputError
        If a package of the extra `dashboard` is not installed, or `strategies` is no folder.
    """
    for package in _PACKAGES:
        need(package, "septet dashboard")
    import uvicorn

    from septet._app.halt import login_name
    from septet._app.workspace import Workspace
    from septet._dashboard.accounts import AccountBook, accounts_file
    from septet._dashboard.app import make_app
    from septet._dashboard.sessions import Sessions
    from septet._dashboard.site import OPERATE, Visitor, log_in_limits, loopback_site

    closing: list[uvicorn.Server] = []
    site = loopback_site(
        root, Sessions(notify, time.monotonic, Visitor(login_name(), OPERATE)), port,
        is_closing=lambda: any(each.should_exit for each in closing),
        book=AccountBook(accounts_file(), warn), limits=log_in_limits(time.monotonic),
        workspace=None if strategies is None else Workspace(strategies),
    )  # fmt: skip
    config = uvicorn.Config(
        make_app(site), log_level="warning", access_log=False, server_header=False, lifespan="off",
        proxy_headers=False, ws="none", http="h11", timeout_graceful_shutdown=_LAST_S,
        h11_max_incomplete_event_size=16_384,
    )  # fmt: skip
    closing.append(uvicorn.Server(config))
    return closing[0]


def serve(
    root: Path, host: str, port: int, notify: Callable[[str, str], None],
    warn: Callable[[str], None], strategies: Path | None = None,
) -> None:  # fmt: skip
    """Serve the pages until a signal ends the process.

    `notify` is given the address and a code: at the start, and after each log-in. `warn` is given
    why nobody can log in by password or token.

    Raises
    ------
    InputError
        If the address is not loopback, the port is in use, or a package is missing.
    """
    for package in _PACKAGES:
        need(package, "septet dashboard")
    with open_socket(host, port) as listening:
        name, taken = listening.getsockname()[:2]
        shown = f"[{name}]" if ":" in name else name
        server = make_server(
            root, taken, lambda code: notify(f"http://{shown}:{taken}/", code), warn, strategies
        )
        server.run(sockets=[listening])
