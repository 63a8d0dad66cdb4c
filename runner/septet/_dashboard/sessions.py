"""Who may look: a one-time code becomes a session that the server keeps."""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from septet._dashboard.site import Visitor

__all__ = ["SESSION_S", "Sessions"]

SESSION_S: Final = 12 * 3600.0
_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_LENGTH: Final = 10
_REPORTED: Final = tuple(5 * 10**power for power in range(9))
"""Wrong codes since the last log-in, of which the terminal is told."""
_MAX_SESSIONS: Final = 1_000


class Sessions:
    """The code that is valid now, and the sessions that were begun with earlier ones.

    The right code is accepted however many wrong ones came before: all programs of the machine
    have one address, so that a limit would let each of them keep the owner out. Of 50 random bits,
    1,000 guesses a second find the code within a year with a probability of 1 in 35,000, and the
    terminal is told of wrong ones.

    Parameters
    ----------
    notify : callable
        Given each new code: at the start, and after each log-in, which uses its code up.
    clock : callable
        Seconds that never go back.
    visitor : Visitor
        Who comes by a code.
    has_code : bool
        Whether codes are made at all.
    warn : callable
        Given a sentence after 5 wrong codes, and after each ten times as many.
    """

    def __init__(
        self,
        notify: Callable[[str], None],
        clock: Callable[[], float],
        visitor: Visitor,
        *,
        has_code: bool = True,
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._warn = warn
        self._notify, self._clock, self._visitor = notify, clock, visitor
        self._has_code = has_code
        self._lock = threading.Lock()
        self._wrong = 0
        self._open: dict[str, tuple[float, Visitor]] = {}
        self._code = ""
        self._renew()

    def _renew(self) -> None:
        if not self._has_code:
            return
        self._code = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
        self._notify(self._code)

    def begin(self, code: str) -> str | None:
        """Return a new session for the code; None if it is wrong."""
        given = "".join(code.split()).replace("-", "").upper().encode()
        with self._lock:
            if self._code and hmac.compare_digest(given, self._code.encode()):
                session = self._begun(self._visitor, self._clock())
                self._wrong = 0
                self._renew()
                return session
            self._wrong += 1
            wrong = self._wrong
        if wrong in _REPORTED:
            self._warn(
                f"{wrong:,} wrong codes since the last log-in: unless you typed them, a program of "
                "this machine tries to log in"
            )
        return None

    def open(self, visitor: Visitor) -> str:
        """Return a new session of one who proved who they are."""
        with self._lock:
            return self._begun(visitor, self._clock())

    def _begun(self, visitor: Visitor, now: float) -> str:
        self._open = {key: held for key, held in self._open.items() if held[0] > now}
        while len(self._open) >= _MAX_SESSIONS:
            del self._open[next(iter(self._open))]
        session = secrets.token_urlsafe(32)
        self._open[session] = (now + SESSION_S, visitor)
        return session

    def visitor(self, session: str) -> Visitor | None:
        """Return whose session it is; None if none was begun here, or it has ended."""
        held = self._open.get(session)
        return held[1] if held is not None and held[0] > self._clock() else None

    def holds(self, session: str) -> bool:
        """Whether a session was begun here and has not ended."""
        return self.visitor(session) is not None

    def end(self, session: str) -> None:
        """End a session."""
        with self._lock:
            self._open.pop(session, None)
