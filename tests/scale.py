"""How many examples a property is tried with: as many as it sets, a hundredfold in `make soak`."""

from __future__ import annotations

import os

__all__ = ["SOAK", "examples"]

SOAK = os.environ.get("SEPTET_HYPOTHESIS") == "soak"


def examples(count: int) -> int:
    """Examples for ``settings(max_examples=...)``."""
    return count * (100 if SOAK else 1)
