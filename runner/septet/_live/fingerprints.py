"""Fingerprints that must match for a run to continue, and for a replay to be exact."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from septet._config.plugin_verdicts import sources_text
from septet.errors import InputError

__all__ = ["changed_since", "fingerprints_of", "require_same_fingerprints", "versions_of"]

_EXACT: Final = {
    "strategy": (
        "another strategy file",
        "put the file back as it was (strategy.yaml in the run's folder)",
    ),
    "plugins": (
        "other plugin code",
        "install the packages as they were when the run began",
    ),
}
"""Fingerprints without which a journal is another strategy's: the message and the hint."""


def versions_of() -> dict[str, str]:
    """Return the versions that an exact replay needs: program, libraries, type of machine."""
    from septet import __version__
    from septet._store.environment import environment, library_versions

    about = environment()
    libraries = json.dumps(library_versions(), sort_keys=True)
    return {
        "septet": __version__,
        "python": str(about["python"]),
        "cpu": str(about["cpu"]),
        "libm": str(about["libm"]),
        "libraries": hashlib.sha256(libraries.encode()).hexdigest()[:16],
    }


def fingerprints_of(loaded: Any, plan: str) -> dict[str, str]:
    """Return the values that must be equal for an exact replay, and for a run to continue.

    `plugins` are the sources of packages beside septet: other code is another strategy.
    """
    resolved: Mapping[str, Any] = loaded.resolved
    effective = {key: value for key, value in resolved.items() if key not in ("mode", "schedule")}
    text = json.dumps(effective, sort_keys=True, default=str)
    strategy = hashlib.sha256(text.encode()).hexdigest()[:16]
    plugins = sources_text(loaded.strategy, loaded.host)
    return {"strategy": strategy, "plugins": plugins, "plan": plan, **versions_of()}


def changed_since(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of values that changed since a run began; for plugins, the package."""
    names = sorted(name for name in now if before.get(name, now[name]) != now[name])
    return tuple(
        f"plugins ({before[name] or 'none'} then, {now[name] or 'none'} now)"
        if name == "plugins"
        else name
        for name in names
    )


def require_same_fingerprints(
    before: Mapping[str, str], now: Mapping[str, str], folder: Path
) -> None:
    """Refuse to resume a run that was started with another file or other plugin code.

    Raises
    ------
    InputError
        With what differs.
    """
    for name, (subject, hint) in _EXACT.items():
        stored, current = before.get(name, ""), now.get(name, "")
        if stored != current:
            shown = (
                f": {stored or 'none'} then, {current or 'none'} now" if name == "plugins" else ""
            )
            raise InputError(
                f"the run in {folder} was made with {subject}{shown}",
                hint=f"{hint}, or begin another run with --fresh",
            )
