"""Checks that the address for metrics and health is free before a run needs it."""

from __future__ import annotations

import errno
import socket
import time
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from typing import Any, Final

from septet._config.pydantic_problems import problem_at
from septet._text import decode_json
from septet.errors import Problem

__all__ = ["address_of", "check_port", "why_not_listening"]

_PATH: Final = ("monitoring", "metrics", "prometheus")
_ASK_S: Final = 1.0
_LARGEST: Final = 1 << 16


def address_of(written: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``."""
    host, _, port = written.rpartition(":")
    return host.strip("[]"), int(port)


def why_not_listening(error: OSError) -> str:
    """Return why a process cannot listen on an address."""
    known = {
        errno.EADDRINUSE: "the port is taken: another process listens on it",
        errno.EACCES: "this user may not listen at such a low port",
        errno.EADDRNOTAVAIL: "this machine has no such address",
    }
    return known.get(error.errno or 0, error.strerror or str(error))


def check_port(loaded: Any) -> list[Problem]:
    """Return a warning if a run could not serve its metrics; its own strategy is exempt.

    The address is bound for a moment, and released.
    """
    written = loaded.strategy.monitoring.metrics.prometheus
    if written is None:
        return []
    address = address_of(written)
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        with closing(socket.socket(family, socket.SOCK_STREAM)) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            listener.bind(address)
            listener.listen(1)
    except OSError as error:
        strategies = _strategies_at(address) if error.errno == errno.EADDRINUSE else []
        if loaded.strategy.name in strategies:
            return []
        by = f" (the run of {', '.join(strategies)})" if strategies else ""
        message = f"cannot listen on {written}: {why_not_listening(error)}{by}"
        hint = "write another port: a run that cannot serve its metrics is refused at its start"
        return [problem_at(loaded.tree, _PATH, message, hint=hint)]
    return []


def _strategies_at(address: tuple[str, int]) -> list[str]:
    """Return the strategies of the septet run that listens on an address, or nothing."""
    until = time.monotonic() + _ASK_S
    described: Any = None
    try:
        with closing(HTTPConnection(*address, timeout=_ASK_S)) as connection:
            connection.request("GET", "/healthz")
            answer, body = connection.getresponse(), b""
            while time.monotonic() < until and len(body) < _LARGEST:
                part = answer.read1(_LARGEST)
                body += part
                if not part:
                    described = decode_json(body)
                    break
    except (OSError, ValueError, HTTPException, RecursionError):
        return []
    runs = described.get("runs") if isinstance(described, dict) else None
    described_runs = (
        [each for each in runs if isinstance(each, dict)] if isinstance(runs, list) else []
    )
    return [str(each["strategy"]) for each in described_runs if "strategy" in each]
