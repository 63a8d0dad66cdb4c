"""Who may look: a one-time code becomes a session that the server keeps; wrong codes are few."""

from __future__ import annotations

import hmac
import math
import secrets
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from septet._dashboard.site import Visitor

__all__ = ["SESSION_S", "Sessions", "TooManyCodes"]

SESSION_S: Final = 12 * 3600.0
_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_LENGTH: Final = 10
_MAX_WRONG_CODES: Final = 5
_WINDOW_S: Final = 60.0
_MAX_SESSIONS: Final = 1_000


class TooManyCodes(Exception):
    """Wrong codes came too often; `wait_s` is when the next one is looked at."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"too many wrong codes: wait {wait_s} s")
        self.wait_s = wait_s


class Sessions:
    """The code that is valid now, and the sessions that were begun with earlier ones.

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
    """

    def __init__(
        self,
        notify: Callable[[str], None],
        clock: Callable[[], float],
        visitor: Visitor,
        *,
        has_code: bool = True,
    ) -> None:
        self._notify, self._clock, self._visitor = notify, clock, visitor
        self._has_code = has_code
        self._lock = threading.Lock()
        self._wrong: deque[float] = deque(maxlen=_MAX_WRONG_CODES)
        self._open: dict[str, tuple[float, Visitor]] = {}
        self._code = ""
        self._renew()

    def _renew(self) -> None:
        if not self._has_code:
            return
        self._code = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
        self._notify(self._code)

    def begin(self, code: str) -> str | None:
        """Return a new session for the code; None if it is wrong.

        Raises
        ------
        TooManyCodes
            After five wrong codes within a minute, whatever this one is.
        """
        given = "".join(code.split()).replace("-", "").upper().encode()
        with self._lock:
            now = self._clock()
            if len(self._wrong) == _MAX_WRONG_CODES and now - self._wrong[0] < _WINDOW_S:
                raise TooManyCodes(max(1, math.ceil(_WINDOW_S - (now - self._wrong[0]))))
            if not self._code or not hmac.compare_digest(given, self._code.encode()):
                self._wrong.append(now)
                return None
            session = self._begun(self._visitor, now)
            self._renew()
            return session

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
