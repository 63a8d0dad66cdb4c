"""Run what a plugin promises: it loads, its names bind, and a feature passes the kit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from septet.errors import PluginError

if TYPE_CHECKING:
    from septet._host.register import Host, Registered

__all__ = ["check_entries"]


def check_entries(host: Host, entries: Sequence[Registered]) -> list[dict[str, Any]]:
    """Check components one by one; the result of each says what failed."""
    results = []
    for entry in entries:
        message = _check(host, entry)
        results.append({"plugin": entry.qualified, "ok": not message, "message": message})
    return results


def _check(host: Host, entry: Registered) -> str:
    """Return what is wrong with one component; empty when nothing is."""
    from septet._host.declare import Declaration, Step

    try:
        declaration = host.load(entry)
    except PluginError as error:
        return error.message
    layer = entry.component.layer
    if layer == "commands":
        return ""
    if not isinstance(declaration, Declaration):
        return f"{entry.component.target} is not what a decorator of septet.plugin makes"
    if not (declaration.config.__doc__ or "").strip():
        return f"{declaration.config.__name__} has no docstring: septet plugins show needs one"
    if isinstance(declaration, Step) and declaration.kind == "feature":
        return _check_feature(declaration)
    return ""


def _check_feature(declaration: Any) -> str:
    """Run the conformance kit with the defaults; a feature that needs settings is not run."""
    from septet.testing import ConformanceError, check_component

    try:
        config = declaration.config()
    except ValueError:  # required keys: the author's own tests name them
        return ""
    try:
        check_component(declaration, config)
    except ConformanceError as error:
        return str(error)
    return ""
