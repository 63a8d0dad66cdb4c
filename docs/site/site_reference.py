"""The generated reference: commands, plugins, and the public names of Python."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from site_keys import Keys, cell

__all__ = ["MODULES", "commands_page", "module_page", "plugin_pages", "undocumented"]

MODULES: Final = (
    "septet", "septet.errors", "septet.hookspecs", "septet.messages", "septet.plugin",
    "septet.plugin.data", "septet.plugin.live", "septet.plugin.model", "septet.plugin.numeric",
    "septet.plugin.risk", "septet.testing",
)  # fmt: skip
_LAYERS: Final = {
    "data": "Data sources", "features": "Features", "models": "Models and labels",
    "signals": "Signals", "risk": "Risk", "execution": "Execution", "monitoring": "Monitoring",
}  # fmt: skip


def _parameter(each: click.Parameter, context: click.Context) -> tuple[str, str, str] | None:
    if isinstance(each, click.Argument):
        return None
    record = each.get_help_record(context)
    if record is None:
        return None
    names = ", ".join(f"`{name}`" for name in (*each.opts, *each.secondary_opts))
    if isinstance(each.type, click.Choice):
        return names, ", ".join(f"`{choice}`" for choice in each.type.choices), record[1]
    value = "" if getattr(each, "is_flag", False) else each.make_metavar(context)
    return names, f"`{value}`" if value else "", record[1]


def _command(command: click.Command, path: str, parent: click.Context | None) -> Iterator[str]:
    context = click.Context(command, info_name=path.rpartition(" ")[2], parent=parent)
    depth = "#" * min(path.count(" ") + 1, 4)
    yield f"{depth} {path}\n\n"
    if path != "septet":
        usage = command.get_usage(context).removeprefix("Usage: ")
        yield f"```text\n{usage}\n```\n\n{inspect.cleandoc(command.help or '')}\n\n"
        rows = [_parameter(each, context) for each in command.get_params(context)]
        rows = [row for row in rows if row is not None and "`--help`" not in row[0]]
        if rows:
            yield "| option | value | meaning |\n|---|---|---|\n"
            yield from (f"| {' | '.join(cell(text) for text in row)} |\n" for row in rows if row)
            yield "\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                yield from _command(inner, f"{path} {name}", context)


def commands_page() -> str:
    """Return the page of every command with its options, as click knows them."""
    from septet.cli import cli

    text = "".join(_command(cli, "septet", None))
    introduction = (
        "# Commands\n\n"
        "Exit status: 0 done, 1 the run failed, 2 the input is wrong and nothing ran, 3 a\n"
        "paper or live run was stopped by a halt. With `--json` a command prints one document\n"
        "to stdout.\n"
    )
    return text.replace("# septet\n", introduction, 1)


def plugin_pages(keys: Keys) -> dict[str, str]:
    """Return a page for each layer, by its path: every plugin of the manifests."""
    from septet._app.describe import label_documents
    from septet._app.plugins import describe_plugin, list_plugins

    found: dict[str, list[dict[str, Any]]] = {layer: [] for layer in _LAYERS}
    seen: set[str] = set()
    for each in list_plugins()["plugins"]:
        if each["distribution"] != "septet" or each["name"] in seen:
            continue
        seen.add(each["name"])
        for document in describe_plugin(each["name"]):
            if document["kind"] != "label" and document["layer"] in found:
                found[document["layer"]].append(document)
    found["models"] += label_documents()
    return {
        f"reference/plugins/{layer}.md": _layer_page(layer, documents, keys)
        for layer, documents in found.items()
    }


def _layer_page(layer: str, documents: list[dict[str, Any]], keys: Keys) -> str:
    here = f"reference/plugins/{layer}.md"
    parts = [f"# {_LAYERS[layer]}\n\nPlugins that come with septet, from their manifest.\n\n"]
    kinds = sorted({each["kind"] for each in documents})
    for kind in kinds:
        parts.append(f"## {kind}\n\n")
        for each in sorted(documents, key=lambda document: str(document["name"])):
            if each["kind"] == kind:
                parts.append(_plugin(each, keys, here))
    return "".join(parts)


def _plugin(document: dict[str, Any], keys: Keys, here: str) -> str:
    kind, name = document["kind"], document["name"]
    about = inspect.cleandoc(document.get("about") or "")
    lines = [f"### {name}\n", f"{document['summary']}\n"]
    if about and about.splitlines()[0] != document["summary"]:
        lines.append(f"{about}\n")
    table = keys.plugin(kind, name, here) or _own_keys(document)
    lines.append(table)
    if document.get("outputs"):
        outputs = ", ".join(f"`NAME_{each}`" for each in document["outputs"] if each)
        lines.append(f"Columns: {outputs}.\n" if outputs else "")
    if document.get("memory"):
        lines.append(f"Remembers {document['memory']} bars at the defaults.\n")
    return "\n".join(line for line in lines if line) + "\n"


def _own_keys(document: dict[str, Any]) -> str:
    rows = document.get("keys") or []
    if not rows:
        return ""
    lines = ["| key | value | default |", "|---|---|---|"]
    for row in rows:
        about = f"{row['type']}; {row['about']}" if row["about"] else row["type"]
        default = "**required**" if row["default"] is None else f"`{row['default']}`"
        lines.append(f"| `{row['key']}` | {cell(about)} | {default} |")
    return "\n".join(lines) + "\n"


def module_page(module: str, names: list[str]) -> str:
    """Return the page of a module: mkdocstrings fills in each public name."""
    parts = [f"# {module}\n\n::: {module}\n    options:\n"]
    parts.append("      members: false\n      show_root_heading: false\n")
    parts.append("      show_root_toc_entry: false\n\n")
    parts += [f"::: {module}.{name}\n\n" for name in sorted(names, key=_order)]
    return "".join(parts)


def _order(name: str) -> tuple[int, str]:
    """Functions and methods first, then classes, then constants."""
    return (0 if name.islower() else 2 if name.isupper() else 1), name.lower()


def undocumented(paths: list[Path]) -> list[str]:
    """Return the public names, and public methods of public classes, without a docstring.

    Read as mkdocstrings reads them: from the source, without importing it.
    """
    import griffe

    loader = griffe.GriffeLoader(search_paths=[str(path) for path in paths])
    loader.load("septet")
    loader.load("septet_schemas")
    loader.resolve_aliases(implicit=False, external=False)
    missing = set()
    for module in MODULES:
        loaded = loader.modules_collection[module]
        if not loaded.has_docstring:
            missing.add(module)
        for name in map(str, loaded.exports or ()):
            missing |= _without(f"{module}.{name}", loaded[name])
    return sorted(missing)


def _without(path: str, found: Any) -> set[str]:
    found = found.final_target if found.is_alias else found
    missing = set() if found.has_docstring else {path}
    if found.is_class:
        for name, member in found.members.items():
            if name.startswith("_") or member.is_alias or not member.is_function:
                continue
            if not member.has_docstring:
                missing.add(f"{path}.{name}")
    return missing
