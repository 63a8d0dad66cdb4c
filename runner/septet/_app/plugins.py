"""The plugins of this installation: lists, describes and checks them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from septet._app.documents import to_json

if TYPE_CHECKING:
    from septet._host.plugin_registry import Host, Registered
    from septet.hookspecs import Layer

__all__ = ["check_plugins", "check_state", "describe_plugin", "list_plugins"]


def _host() -> Host:
    from septet._host.plugin_registry import Host

    return Host()


def list_plugins(layer: Layer | None = None) -> dict[str, Any]:
    """Return every installed plugin, and the packages that cannot be loaded; import none."""
    host = _host()
    entries = [
        {**_document(entry), "check": check_state(entry)} for entry in host.components(layer)
    ]
    failures = [
        {"distribution": each.distribution, "manifest": each.target, "reason": each.reason}
        for each in host.failures
    ]
    return {"plugins": entries, "failures": failures}


def describe_plugin(name: str) -> list[dict[str, Any]]:
    """Return the settings, outputs and memory of a plugin, or of a label of a model.

    Raises
    ------
    PluginError
        If none has the name, or it cannot be described.
    """
    from septet._app.describe import label_documents

    host = _host()
    labels = [each for each in label_documents() if each["name"] == name.removeprefix("septet:")]
    entries = [] if labels and not _has(host, name) else _find(host, name)
    return [{**_document(each), **_described(host, each)} for each in entries] + labels


def check_plugins(
    name: str | None = None, log: Callable[[str], None] | None = None
) -> list[dict[str, Any]]:
    """Check that plugins load and fulfil their contract: all, one, or those of a distribution.

    Raises
    ------
    PluginError
        If nothing has the name.
    """
    from septet._app.conformance import check_entries

    host = _host()
    entries = list(host.components())
    if name is not None:
        of_distribution = [each for each in entries if each.distribution == name]
        entries = of_distribution or _find(host, name)
    results = check_entries(host, entries, log)
    results += [
        {"plugin": each.distribution, "ok": False, "state": "failed", "message": each.reason}
        for each in host.failures
        if name in (None, each.distribution)
    ]
    return results


def _document(entry: Registered) -> dict[str, Any]:
    component = entry.component
    return {
        "layer": component.layer,
        "kind": component.kind or component.layer,
        "name": component.name,
        "distribution": entry.distribution,
        "version": entry.version,
        "summary": component.summary,
    }


def check_state(entry: Registered) -> str:
    """Return the stored verdict on a plugin's installed source; nothing is imported."""
    from septet._config.plugin_verdicts import known_state
    from septet._host.plugin_registry import BUILT_IN

    if entry.distribution == BUILT_IN:
        return "built in"
    return known_state(entry.qualified) or "not checked yet"


def _find(host: Host, name: str) -> list[Registered]:
    """Return every component with a name, in any layer.

    Raises
    ------
    PluginError
        If there is none.
    """
    import difflib

    from septet.errors import PluginError

    distribution, colon, short = name.rpartition(":")
    entries = [
        entry
        for entry in host.components()
        if entry.component.name == short and (not colon or entry.distribution == distribution)
    ]
    if not entries:
        from septet._app.describe import label_documents

        names = sorted(
            {entry.component.name for entry in host.components()}
            | {each["name"] for each in label_documents()}
        )
        similar = difflib.get_close_matches(short, names, n=3)
        hint = f"did you mean {' or '.join(similar)}?" if similar else "septet plugins list"
        raise PluginError(f"no plugin is called {name!r}", hint=hint)
    return entries


def _described(host: Host, entry: Registered) -> dict[str, Any]:
    """Describe a component; a failure of its package's code is reported as an error.

    Raises
    ------
    PluginError
        If its settings cannot be described: a default that cannot be shown, a schema that raises.
    """
    from septet._app.describe import describe
    from septet._host.manifests import StrangersError, strangers_code
    from septet._host.plugin_registry import BUILT_IN
    from septet.errors import PluginError

    declaration = host.load(entry)
    if entry.distribution == BUILT_IN:
        return describe(declaration)
    try:
        with strangers_code():
            description = describe(declaration)
            to_json(description)
    except StrangersError as error:
        raise PluginError(
            f"{entry.qualified} cannot be described: {error.message}",
            hint=f"a fault of {entry.distribution}: report it; septet plugins check reproduces it",
        ) from error.__cause__
    return description


def _has(host: Host, name: str) -> bool:
    return any(each.component.name == name.rpartition(":")[2] for each in host.components())
