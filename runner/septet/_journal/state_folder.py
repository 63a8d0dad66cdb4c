"""The folder of what persists after runs: locks, marks, the ledger of trials."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["state_folder"]


def state_folder() -> Path:
    """Return the folder of state that persists after runs.

    ``SEPTET_STATE_DIR``, else ``$XDG_STATE_HOME/septet``, else ``~/.local/state/septet``.
    """
    if configured := os.environ.get("SEPTET_STATE_DIR"):
        return Path(configured)
    if shared := os.environ.get("XDG_STATE_HOME"):
        return Path(shared) / "septet"
    return Path.home() / ".local" / "state" / "septet"
