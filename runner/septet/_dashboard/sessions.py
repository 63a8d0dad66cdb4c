"""Who may look: a one-time code becomes a session that the server keeps; wrong codes are few."""

from __future__ import annotations

import hmac
import math
import secrets
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

__all__ = ["SESSION_S", "Sessions", "TooManyCodes"]

SESSION_S: Final = 12 * 3600.0
_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_LENGTH: Final = 10
_WRONG: Final = 5
_WINDOW_S: Final = 60.0


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
    """

    def __init__(self, notify: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._notify, self._clock = notify, clock
        self._lock = threading.Lock()
        self._wrong: deque[float] = deque(maxlen=_WRONG)
        self._until: dict[str, float] = {}
        self._code = ""
        self._renew()

    def _renew(self) -> None:
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
            if len(self._wrong) == _WRONG and now - self._wrong[0] < _WINDOW_S:
                raise TooManyCodes(max(1, math.ceil(_WINDOW_S - (now - self._wrong[0]))))
            if not hmac.compare_digest(given, self._code.encode()):
                self._wrong.append(now)
                return None
            self._until = {key: until for key, until in self._until.items() if until > now}
            session = secrets.token_urlsafe(32)
            self._until[session] = now + SESSION_S
            self._renew()
            return session

    def holds(self, session: str) -> bool:
        """Whether a session was begun here and has not ended."""
        return self._until.get(session, -math.inf) > self._clock()

    def end(self, session: str) -> None:
        """End a session."""
        with self._lock:
            self._until.pop(session, None)
