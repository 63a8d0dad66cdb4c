"""Strategy files with a sweep, written where a test needs them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from septet._config import load
from septet._config.load import Loaded
from septet._sweep.space import Space, space_of

BASE = (Path(__file__).parent / "base.yaml").read_text(encoding="utf-8")


def swept(folder: Path, section: str, *, sets: Sequence[Any] = (), base: str = BASE) -> Loaded:
    """Load the base file with a sweep section, a YAML flow mapping."""
    path = folder / "cross.yaml"
    path.write_text(f"{base}sweep: {section}\n", encoding="utf-8")
    return load(path, sets=sets)


def space(folder: Path, section: str, **more: Any) -> Space:
    """The space of such a file."""
    return space_of(swept(folder, section, **more))
