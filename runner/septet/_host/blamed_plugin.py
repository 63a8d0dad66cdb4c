"""Finds the plugin whose code raised an uncaught exception; the error names it."""

from __future__ import annotations

import traceback

from septet._host.plugin_calls import OURS, STANDARD, is_in, is_theirs, root_of, words_of
from septet._host.plugin_registry import BUILT_IN, Host
from septet._text import one_line
from septet.errors import RunError, SeptetError

__all__ = ["blamed"]


def blamed(error: BaseException) -> SeptetError | None:
    """Return the error that replaces an uncaught exception; None if no plugin's code raised it.

    The last frame of septet or of a plugin determines the owner.
    """
    if not is_theirs(error):
        return None
    owners = _owners()
    ends = isinstance(error, SystemExit | GeneratorExit)
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        file, root = frame.f_code.co_filename, root_of(frame)
        if root in owners or (ends and not is_in(file, (OURS, *STANDARD))):
            owner = owners.get(root, f"the package {root}")
            what = f"{file}:{line}: {frame.f_code.co_qualname} of {owner} failed with"
            text = f"{type(error).__name__}: {words_of(error)}".removesuffix(": ")
            return RunError(
                one_line(f"{what} {text}"), hint=f"report it to {owner}, or run without its plugins"
            )
        if file.startswith(OURS):
            return None
    return None


def _owners() -> dict[str, str]:
    """Return the distribution of each package with plugins, except septet's own."""
    return {
        entry.component.target.partition(".")[0].partition(":")[0]: entry.distribution
        for entry in Host().components()
        if entry.distribution != BUILT_IN
    }
