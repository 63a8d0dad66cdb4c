"""The process of the page: a socket, and the server on it."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from septet._dashboard.remote_access import ip_of, remote_access
from septet._extras import need
from septet.errors import InputError

if TYPE_CHECKING:
    import uvicorn

    from septet._dashboard.connections import ListeningSocket
    from septet._dashboard.remote_access import RemoteAccess
    from septet._jobs.check_process import CheckAnswer, CheckRequest

__all__ = ["NICE", "make_server", "open_socket", "serve"]

_LAST_S: Final = 2
_KEEP_ALIVE_S: Final = 5
NICE: Final = 10
"""A trading process that needs the processor goes before the page."""
_PACKAGES: Final = ("argon2", "jinja2", "starlette", "uvicorn")


def open_socket(address: str, port: int) -> ListeningSocket:
    """Return a socket that listens on an address; port 0 takes a free one.

    Raises
    ------
    InputError
        If it is no address, or the port cannot be had.
    """
    from septet._dashboard.connections import ListeningSocket

    ip = ip_of(address)
    made = ListeningSocket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((ip, port))
        made.listen(128)
    except OSError as problem:
        made.close()
        used = problem.errno == errno.EADDRINUSE
        what = "is in use" if used else f"cannot be had: {problem.strerror or problem}"
        hint = "end what listens there, or take another: septet dashboard --port 0 takes a free one"
        if not used:
            hint = "--address is one of this machine's own"
        raise InputError(f"the port {port} of {ip} {what}", hint=hint) from problem
    return made


def make_server(
    root: Path, port: int, notify: Callable[[str], None],
    warn: Callable[[str], None] = lambda text: None, strategies: Path | None = None,
    remote: RemoteAccess | None = None, listening: ListeningSocket | None = None,
    check: Callable[[CheckRequest], CheckAnswer] | None = None,
) -> uvicorn.Server:  # fmt: skip
    """Return the server of the pages; `notify` is given each one-time code.

    `strategies` is the folder whose strategy files are shown and checked. With `remote` there are
    no codes: users log in by password. The connections of `listening` are counted. What the page
    has begun is cancelled when the server ends.
    Strategies are checked by `check`; by default in a process of its own.

    Raises
    ------
    InputError
        If a package of the extra `dashboard` is not installed, `strategies` is no folder, or
        nobody could log in.
    """
    for package in _PACKAGES:
        need(package, "septet dashboard")
    import uvicorn

    from septet._app.halt import login_name
    from septet._app.workspace import Workspace
    from septet._dashboard.accounts import AccountBook, accounts_file
    from septet._dashboard.app import make_app
    from septet._dashboard.connections import Connections, Protocol, max_connections
    from septet._dashboard.page_server import PageServer
    from septet._dashboard.sessions import Sessions
    from septet._dashboard.site import (
        OPERATE,
        Visitor,
        default_limits,
        loopback_site,
        remote_site,
    )

    if remote is not None:
        _require_users()
    closing: list[uvicorn.Server] = []
    connections = Connections(max_connections())
    if listening is not None:
        listening.connections = connections
    sessions = Sessions(
        notify, time.monotonic, Visitor(login_name(), OPERATE), has_code=remote is None, warn=warn
    )
    make_site = loopback_site if remote is None else partial(remote_site, remote=remote)
    site = make_site(
        root, sessions, port, is_closing=lambda: any(each.should_exit for each in closing),
        book=AccountBook(accounts_file(), warn), limits=default_limits(time.monotonic),
        workspace=None if strategies is None else Workspace(strategies), connections=connections,
    )  # fmt: skip
    config = uvicorn.Config(
        make_app(site, check), log_level="error", access_log=False, server_header=False,
        lifespan="off", proxy_headers=False, ws="none", loop="asyncio",
        http=Protocol.of(connections), timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_LAST_S, h11_max_incomplete_event_size=16_384,
    )  # fmt: skip
    config.load()
    config.ssl = None if remote is None or remote.tls is None else remote.tls.context(warn)
    closing.append(PageServer(config, site.jobs))
    return closing[0]


def _require_users() -> None:
    """Refuse a start with no user: other machines have no terminal that shows a code."""
    from septet._dashboard.accounts import accounts_file, read_accounts

    path = accounts_file()
    if not read_accounts(path).users:
        raise InputError(
            f"other machines log in by password, and {path} has no user",
            hint="septet dashboard user add NAME --right view asks for the password of one",
        )


def serve(
    root: Path, address: str, port: int, notify: Callable[[str, str], None],
    warn: Callable[[str], None], strategies: Path | None = None,
    remote: RemoteAccess | None = None,
) -> None:  # fmt: skip
    """Serve the pages until a signal ends the process, which gets a lower priority.

    `notify` is given the address and a code: at the start, and after each log-in; with `remote`
    the address alone, once. `warn` is given why nobody can log in by
    password or token, and why a renewed certificate is not taken.

    Raises
    ------
    InputError
        If the address is not loopback and `remote` is missing, the port is in use, nobody could
        log in, or a package is missing.
    """
    for package in _PACKAGES:
        need(package, "septet dashboard")
    if remote is None:
        remote_access(address)
    with open_socket(address, port) as listening:
        name, taken = listening.getsockname()[:2]
        shown = f"[{name}]" if ":" in name else name
        server = make_server(
            root, taken, lambda code: notify(f"http://{shown}:{taken}/", code), warn, strategies,
            remote, listening,
        )  # fmt: skip
        if remote is not None:
            notify(f"https://{remote.hosts(taken)[0]}/", "")
        os.nice(NICE)
        server.run(sockets=[listening])
