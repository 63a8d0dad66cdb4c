"""The server of the page: as it ends, it ends the jobs that the page has begun."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from septet._jobs.jobs import Jobs

__all__ = ["PageServer"]


class PageServer(uvicorn.Server):
    """A server of pages whose jobs end with it."""

    def __init__(self, config: uvicorn.Config, jobs: Jobs) -> None:
        super().__init__(config)
        self._jobs = jobs

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Cancel all jobs, close the connections, and wait for the processes of the jobs."""
        self._jobs.close()
        await super().shutdown(sockets)
        await asyncio.to_thread(self._jobs.end)
