"""A local venue of any shape, as a process."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from septet._drill.parent_death import command_of
from septet._drill.venue import SymbolConfig, Synthetic, VenueConfig

__all__ = ["World", "world"]


@dataclass(frozen=True)
class World:
    """A venue that listens: where its streams and answers are, and where its clock is read."""

    urls: dict[str, Any]
    admin: str


@contextmanager
def world(folder: Path, **changes: Any) -> Iterator[World]:
    """Start a venue; `changes` are fields of its configuration."""
    bars = SymbolConfig(base="BTC", synthetic=Synthetic(count=3_000))
    config = VenueConfig(symbols=[bars], **{"history": 400, "seed": 3, **changes})
    path = folder / "venue.json"
    path.write_bytes(msgspec.json.encode(config))
    command = command_of("septet._drill.venue", "--config", str(path))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        yield World(ready["urls"], f"http://127.0.0.1:{ready['admin_port']}")
    finally:
        process.kill()
        process.communicate()
