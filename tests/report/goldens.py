"""Rendered text compared with a file that a person has read."""

from __future__ import annotations

import os
from pathlib import Path

WRITE = "SEPTET_WRITE_GOLDEN"


def check_golden(path: Path, found: str) -> None:
    """Compare with the file; with SEPTET_WRITE_GOLDEN=1 write it instead, then read the change."""
    if os.environ.get(WRITE):
        path.parent.mkdir(exist_ok=True)
        path.write_text(found, encoding="utf-8")
    assert path.is_file(), f"{path} is missing; write it with {WRITE}=1 and read it"
    assert found == path.read_text(encoding="utf-8"), f"rewrite with {WRITE}=1 if this is right"
