"""What the parts of the page share: its runs, its names, who may come, and what each may do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from septet._dashboard.sessions import Sessions

__all__ = ["OPERATE", "RIGHTS", "VIEW", "Right", "Site", "Visitor", "loopback_site"]

Right = Literal["view", "operate"]
VIEW: Final = "view"
OPERATE: Final = "operate"
RIGHTS: Final[tuple[Right, ...]] = (VIEW, OPERATE)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who sent a request, and what the server lets them do.

    `is_known` says that the name was proved; who came by a one-time code may write another one.
    """

    name: str
    right: Right
    is_known: bool = False

    def may(self, right: Right) -> bool:
        """Whether what needs this right is allowed; `operate` includes `view`."""
        return self.right == OPERATE or right == VIEW


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
    """

    root: Path
    sessions: Sessions
    hosts: tuple[str, ...]
    is_closing: Callable[[], bool]
    scheme: Literal["http", "https"]
    cookie: str

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach it over TLS."""
        return self.scheme == "https"


def loopback_site(
    root: Path, sessions: Sessions, port: int, is_closing: Callable[[], bool]
) -> Site:
    """Return the site that browsers of this machine reach over http."""
    hosts = tuple(f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]"))
    # The cookies of all ports of a host are one set: the name tells them apart.
    return Site(root, sessions, hosts, is_closing, "http", f"septet-{port}")
