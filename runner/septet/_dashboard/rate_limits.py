"""How often something may be tried: counted in a fixed number of buckets."""

from __future__ import annotations

import hashlib
import ipaddress
import math
import secrets
import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

__all__ = ["InProgress", "Throttle", "address_key", "plain_address"]

_BUCKETS: Final = 4_096


class Throttle:
    """At most so many wrong tries within a window, for each key.

    Keys share buckets by a hash that nobody outside can compute, so that memory is bounded and no
    key can push another one out. Two keys of one bucket at worst wait for each other.
    """

    def __init__(self, most: int, window_s: float, clock: Callable[[], float]) -> None:
        self._most, self._window_s, self._clock = most, window_s, clock
        self._secret = secrets.token_bytes(16)
        self._lock = threading.Lock()
        self._tries: dict[int, deque[float]] = {}

    def begin(self, key: str) -> int:
        """Count a try, and return 0; or return how many seconds to wait, and count none."""
        bucket, now = self._bucket(key), self._clock()
        with self._lock:
            tries = self._tries.setdefault(bucket, deque(maxlen=self._most))
            if len(tries) == self._most and now - tries[0] < self._window_s:
                return max(1, math.ceil(self._window_s - (now - tries[0])))
            tries.append(now)
            return 0

    def forgive(self, key: str) -> None:
        """Count the last try of a key no more: it was right."""
        with self._lock:
            tries = self._tries.get(self._bucket(key))
            if tries:
                tries.pop()

    def _bucket(self, key: str) -> int:
        data = key.encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(data, key=self._secret, digest_size=8).digest()
        return int.from_bytes(digest, "big") % _BUCKETS


class InProgress:
    """How many requests run now: at most so many for each visitor, and so many in all.

    Used by the event loop only, so that it needs no lock.
    """

    def __init__(self, most_each: int, most: int) -> None:
        self.most_each, self.most = most_each, most
        self._running: Counter[str] = Counter()

    def begin(self, key: str) -> bool:
        """Count a request; False if there are too many, and it is not counted."""
        if self._running[key] >= self.most_each or self._running.total() >= self.most:
            return False
        self._running[key] += 1
        return True

    def end(self, key: str) -> None:
        """Count a request no more."""
        self._running[key] -= 1
        if self._running[key] <= 0:
            del self._running[key]

    @property
    def count(self) -> int:
        """How many run now."""
        return self._running.total()


def plain_address(address: str) -> str:
    """Return an address in one form: an IPv4 address that is written as IPv6 is IPv4."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def address_key(address: str) -> str:
    """Return what is counted as one address: of IPv6 the 64 bits that one network has."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:100]
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((int(found), 64), strict=False))
    return str(found)
