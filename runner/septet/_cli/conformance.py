"""Run what a plugin promises: it loads, its names bind, and a feature passes the kit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from septet.errors import PluginError

if TYPE_CHECKING:
    from septet._host.declare import Step
    from septet._host.register import Host, Registered
    from septet_schemas.base import Config

__all__ = ["check_entries"]


_NEEDS = frozenset({"tables", "values"})


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
    return _check_step(declaration) if isinstance(declaration, Step) else ""


def _check_step(step: Step) -> str:
    """Run the conformance kit with the defaults; a step that needs settings is not run.

    Whether a NaN may leave no trace is not declared, so it is let pass here; the author's own
    tests are the stricter ones.
    """
    from septet.testing import ConformanceError, check_component, check_rule

    try:
        config = step.config()
    except ValueError:  # required keys: the author's own tests name them
        return ""
    try:
        if step.kind in ("feature", "regime"):
            check_component(step, config, absorbs_nan=True)
        elif step.function is not None and not _NEEDS & set(step.parameters):
            check_rule(step, config, words=_columns(config))
    except ConformanceError as error:
        return str(error)
    return ""


def _columns(config: Config) -> dict[str, float]:
    """Give every key that names a column or holds an expression a value to read."""
    from septet._config.case import readings

    words = {str(reading.path[0]): 1.0 for reading in readings((), config)}
    unset = {name: 0.0 for name in type(config).model_fields if getattr(config, name) is None}
    return {**unset, **words}
