"""What the parts of the page share: its runs, its names, who may come, and what each may do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from septet._dashboard.cached_views import OpenedRuns, RunLists
from septet._jobs.jobs import Jobs

if TYPE_CHECKING:
    from septet._app.workspace import Workspace
    from septet._dashboard.accounts import AccountBook
    from septet._dashboard.connections import Connections
    from septet._dashboard.rate_limits import InProgress, Throttle
    from septet._dashboard.read_turns import ReadTurns
    from septet._dashboard.remote_access import RemoteAccess
    from septet._dashboard.sessions import Sessions

__all__ = [
    "OPERATE", "RIGHTS", "VIEW", "Limits", "Right", "Site", "Visitor", "default_limits",
    "loopback_site", "remote_site",
]  # fmt: skip

Right = Literal["view", "operate"]
VIEW: Final = "view"
OPERATE: Final = "operate"
RIGHTS: Final[tuple[Right, ...]] = (VIEW, OPERATE)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who sent a request, and what the server lets them do.

    `is_known` means that the name was proved; who came by a one-time code may write another one.
    `mark` is of the password that they logged in with.
    """

    name: str
    right: Right
    is_known: bool = False
    mark: str = field(default="", repr=False)

    def may(self, right: Right) -> bool:
        """Whether what needs this right is allowed; `operate` includes `view`."""
        return self.right == OPERATE or right == VIEW


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one visitor, and all together, may ask for.

    Parameters
    ----------
    by_pair, by_address, by_name : Throttle
        Wrong log-ins within a minute: of one address for one name, of one address for all names,
        and for one name from all addresses.
    requests : InProgress
        Requests that run at the same time, of one session or token and of all.
    streams : InProgress
        Open streams of events, of one session and of all.
    readings : ReadTurns
        Requests that read at the same time, of one session or token; the others wait.
    """

    by_pair: Throttle
    by_address: Throttle
    by_name: Throttle
    requests: InProgress
    streams: InProgress
    readings: ReadTurns


def default_limits(clock: Callable[[], float]) -> Limits:
    """Return the limits of a page that begins."""
    from septet._dashboard.rate_limits import InProgress, Throttle
    from septet._dashboard.read_turns import ReadTurns

    return Limits(
        Throttle(5, 60.0, clock), Throttle(20, 60.0, clock), Throttle(20, 60.0, clock),
        InProgress(16, 200), InProgress(12, 200), ReadTurns(),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Site:
    """One dashboard.

    Parameters
    ----------
    root : Path
        The folder of runs.
    sessions : Sessions
        Who has logged in.
    hosts : tuple of str
        The values of `Host` that are answered, in small letters.
    is_closing : callable
        Whether the server ends, so that streams end as well.
    scheme : str
        How browsers reach it; with https, cookies are sent over TLS only.
    cookie : str
        The name of the cookie of the session.
    book : AccountBook
        Users and tokens.
    limits : Limits
        How often a log-in may be tried, and how much may run at the same time.
    by_code : bool
        Whether the code of the terminal begins a session.
    proxies : tuple of str
        Addresses of the proxies that pass requests on; without any, requests come directly.
    workspace : Workspace, optional
        The strategies that are shown and checked; without one, none are.
    connections : Connections, optional
        Open connections, of which those of a visitor are kept when there are too many.
    jobs : Jobs
        Checks, backtests and comparisons, each in a process of its own.
    opened, lists : OpenedRuns, RunLists
        Runs and lists of runs as they were read for the API and for pages of orders.
    """

    root: Path
    sessions: Sessions
    hosts: tuple[str, ...]
    is_closing: Callable[[], bool]
    scheme: Literal["http", "https"]
    cookie: str
    book: AccountBook
    limits: Limits
    by_code: bool = True
    proxies: tuple[str, ...] = ()
    workspace: Workspace | None = None
    connections: Connections | None = None
    jobs: Jobs = field(default_factory=lambda: Jobs("one can be cancelled, on the page Jobs"))
    opened: OpenedRuns = field(default_factory=OpenedRuns)
    lists: RunLists = field(default_factory=RunLists)

    def visitor(self, session: str) -> Visitor | None:
        """Return whose session it is, with the right that they have now."""
        found = self.sessions.visitor(session)
        return self.book.still(found) if found is not None and found.is_known else found

    def kept(self, client: tuple[str, int] | None) -> AbstractContextManager[None]:
        """Keep a connection open while a visitor is answered, however many others come."""
        return nullcontext() if self.connections is None else self.connections.held(client)

    @property
    def sweeps(self) -> Path:
        """The folder of sweeps, beside that of runs, as commands write them by default."""
        return self.root.parent / "sweeps"

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach it over TLS."""
        return self.scheme == "https"


def loopback_site(
    root: Path, sessions: Sessions, port: int, is_closing: Callable[[], bool], *,
    book: AccountBook, limits: Limits, workspace: Workspace | None = None,
    connections: Connections | None = None,
) -> Site:  # fmt: skip
    """Return the site that browsers of this machine reach over http."""
    hosts = tuple(f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]"))
    # The cookies of all ports of a host are one set: the name separates them.
    return Site(
        root, sessions, hosts, is_closing, "http", f"septet-{port}", book, limits,
        workspace=workspace, connections=connections,
    )  # fmt: skip


def remote_site(
    root: Path, sessions: Sessions, port: int, is_closing: Callable[[], bool],
    remote: RemoteAccess, *, book: AccountBook, limits: Limits,
    workspace: Workspace | None = None, connections: Connections | None = None,
) -> Site:  # fmt: skip
    """Return the site that browsers of other machines reach over TLS: users log in by password.

    Browsers take a cookie whose name begins with `__Host-` only over TLS, and from no other host.
    """
    return Site(
        root, sessions, remote.hosts(port), is_closing, "https", f"__Host-septet-{port}", book,
        limits, by_code=False, proxies=remote.proxies, workspace=workspace, connections=connections,
    )  # fmt: skip
