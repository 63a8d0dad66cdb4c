"""``python -m septet._drill.venue --config FILE``: the local venue as a separate process."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

import msgspec

from septet._drill.venue.config import VenueConfig
from septet._drill.venue.server import LocalVenue
from septet.errors import SeptetError

__all__ = ["main"]


async def _serve(config: VenueConfig) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with LocalVenue(config) as venue:
        ready = {"port": venue.port, "admin_port": venue.admin_port, "urls": venue.urls}
        sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
        sys.stdout.flush()
        await stop.wait()


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal; the first line of output is JSON with the ports."""
    parser = argparse.ArgumentParser(prog="python -m septet._drill.venue")
    parser.add_argument("--config", type=Path, required=True)
    given = parser.parse_args(arguments)
    try:
        config = VenueConfig.read(given.config)
        asyncio.run(_serve(config))
    except SeptetError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
