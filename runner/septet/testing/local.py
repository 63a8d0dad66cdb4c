"""What a plugin that reaches out is tried against: a server on this machine, and what to ask."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from septet._host.guarded_arrays import StepError, located
from septet.testing.bars import HOUR_NS
from septet_schemas.base import Config

__all__ = ["LocalServer", "Received", "Trial", "local_server", "opened", "opened_async"]


@dataclass(frozen=True, slots=True)
class Received:
    """A request that came to the local server."""

    method: str
    path: str
    body: bytes


@dataclass
class LocalServer:
    """A server at `url`, on this machine, for as long as a trial takes.

    It answers what `answers` holds for a path (text or bytes; without its query where the whole is
    not there), nothing to a POST without an answer, and 404 to anything else; with `status`, that
    status instead. `requests` are what came. `folder` is empty, and is removed afterwards.
    `secrets` give the values of secrets by their text (``env:TOKEN``); others read ``kit``.
    """

    url: str
    folder: Path
    answers: dict[str, str | bytes] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    requests: list[Received] = field(default_factory=list)
    status: int = 0

    @property
    def address(self) -> str:
        """Host and port."""
        return self.url.partition("//")[2]

    def read(self, reference: Any, host: str = "") -> str:
        """Return the value of a secret."""
        return self.secrets.get(str(reference), "kit")


@dataclass(frozen=True, slots=True)
class Trial:
    """With which settings a plugin is tried, and what it is asked for.

    Sources are asked for `symbols` of `bar_ns`, from `start_ns` to `end_ns`, at the time `now_ns`
    (`end_ns` where that is None). At a venue `quantity` of the first symbol is bought (two
    lots or more): at `resting_price` it must rest, and an order at market must fill.
    """

    config: Config
    symbols: tuple[str, ...] = ("BTC/USDT",)
    bar_ns: int = HOUR_NS
    start_ns: int | None = None
    end_ns: int | None = None
    now_ns: int | None = None
    quantity: float = 1.0
    resting_price: float = 0.0


@contextmanager
def local_server(folder: Path) -> Iterator[LocalServer]:
    """Serve on a free port of the loopback."""
    found: LocalServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found.requests.append(Received(self.command, self.path, body))
            whole = found.answers.get(self.path)
            answer = found.answers.get(self.path.partition("?")[0]) if whole is None else whole
            known = answer is not None or self.command == "POST"
            text = answer.encode() if isinstance(answer, str) else answer or b""
            self.send_response(found.status or (200 if known else 404))
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_PUT = do_GET  # noqa: N815 - the names of the library

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = LocalServer(f"http://127.0.0.1:{server.server_address[1]}", folder)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


def _asked(trial: Any, local: LocalServer) -> Any:
    try:
        return trial(local)
    except Exception as error:  # a stranger's function may raise anything
        raise located(error) from error


def _whole(answer: Any) -> Trial:
    """Return what a trial gave as a `Trial`."""
    if isinstance(answer, Trial):
        return answer
    if isinstance(answer, Config):
        return Trial(answer)
    raise StepError(f"trial= returns {answer!r:.60}; expected settings or a Trial")


@contextmanager
def opened(trial: Any, local: LocalServer) -> Iterator[Trial]:
    """Open what an author's `trial` gives: settings, a `Trial`, or a context that gives one."""
    answer = _asked(trial, local)
    if not isinstance(answer, AbstractContextManager):
        yield _whole(answer)
        return
    with answer as inside:
        yield _whole(inside)


@asynccontextmanager
async def opened_async(trial: Any, local: LocalServer) -> AsyncIterator[Trial]:
    """Do the same inside a loop, where the context may be an asynchronous one."""
    answer = _asked(trial, local)
    if isinstance(answer, AbstractAsyncContextManager):
        async with answer as inside:
            yield _whole(inside)
    elif isinstance(answer, AbstractContextManager):
        with answer as inside:
            yield _whole(inside)
    else:
        yield _whole(answer)
