"""``septet plugins list | show | new | check``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from septet._app.documents import to_json
from septet._cli import options
from septet._cli.render import render_table
from septet._cli.terminal import echo, echo_json, echo_text, styled
from septet.hookspecs import LAYERS

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["plugins"]


@click.group()
def plugins() -> None:
    """List, show, create and check plugins."""


@plugins.command("list")
@click.option("--layer", type=click.Choice(LAYERS), default=None, help="Only this layer.")
@options.as_json
def list_(layer: Any, as_json: bool) -> int:
    """List every installed plugin without importing any."""
    from septet._app.plugins import list_plugins

    document = list_plugins(layer)
    if as_json:
        echo_json(to_json(document))
        return 0
    entries, failures = document["plugins"], document["failures"]
    rows = [{**each, "from": f"{each['distribution']} {each['version']}"} for each in entries]
    echo_text(render_table(rows, ("layer", "kind", "name", "from", "check", "summary")))
    for each in failures:
        echo(
            f"{styled('error', fg='red', bold=True)}: {each['distribution']} cannot be "
            f"loaded: {each['reason']}",
            err=True,
        )
    return 0


def _described(document: dict[str, Any]) -> str:
    """Format a description for a terminal."""
    head = f"{document['name']}  ({document['kind']}, {document['layer']})"
    lines = [head, f"from {document['distribution']} {document['version']}", ""]
    lines += [document["about"] or document["summary"], ""]
    if document.get("short_form"):
        lines.append(f"a bare value stands for {document['short_form']}")
        lines.append("")
    if document["keys"]:
        rows = [{name: str(each[name]) for name in each} for each in document["keys"]]
        lines.append(render_table(rows, ("key", "type", "default", "about")))
    else:
        lines.append("takes no settings")
    for name in ("reads", "outputs"):
        if document.get(name):
            lines.append(f"{name}: {', '.join(document[name])}")
    for name, text in document.get("ranges", {}).items():
        lines.append(f"range{f' of {name}' if name else ''}: {text}")
    if "memory" in document:
        memory = document["memory"]
        memory_text = f"{memory} bars" if isinstance(memory, int) else str(memory)
        lines.append(f"remembers: {memory_text} (at the defaults)")
    return "\n".join(lines).rstrip()


@plugins.command()
@click.argument("name")
@options.as_json
def show(name: str, as_json: bool) -> int:
    """Show the settings, outputs and memory of a plugin, or of a label of a model."""
    from septet._app.plugins import describe_plugin

    documents = describe_plugin(name)
    if as_json:
        echo_json(to_json(documents))
        return 0
    echo_text("\n\n".join(_described(each) for each in documents))
    return 0


@plugins.command()
@click.argument("folder", type=click.Path(file_okay=False))
@options.as_json
def new(folder: str, as_json: bool) -> int:
    """Create a new plugin package in FOLDER: a feature, a manifest and a test."""
    from pathlib import Path

    from septet._app.scaffold import write_package

    files = write_package(Path(folder))
    if as_json:
        echo_json(to_json({"ok": True, "folder": folder, "files": files}))
        return 0
    for name in files:
        echo(f"wrote {folder}/{name}")
    echo(f"next: pip install -e {folder} && pytest {folder}")
    return 0


def _progress() -> Callable[[str], None] | None:
    """Return a function that reports progress: a line on standard error, if that is a terminal."""
    return (lambda text: echo(text, err=True)) if is_terminal() else None


def is_terminal() -> bool:
    """Whether standard error is a terminal."""
    import sys

    return sys.stderr.isatty()


@plugins.command("check")
@click.argument("name", required=False)
@options.as_json
def check_(name: str | None, as_json: bool) -> int:
    """Check that plugins load and fulfil their contract: all, one, or those of a distribution."""
    from septet._app.plugins import check_plugins

    results = check_plugins(name, _progress())
    failed = [each for each in results if not each["ok"]]
    if as_json:
        echo_json(to_json({"ok": not failed, "results": results}))
        return 2 if failed else 0
    for each in failed:
        label = styled("failed", fg="red", bold=True)
        echo(f"{label}: {each['plugin']}: {each['message']}", err=True)
    untried = [each for each in results if each["state"] == "not tried"]
    watched = [each for each in results if each["state"] == "watched"]
    doubted = [each for each in results if each["state"] == "doubtful"]
    for each in (*untried, *doubted, *watched) if name is not None else ():
        echo(f"{each['state']}: {each['plugin']}: {each['message']}")
    passed = len(results) - len(failed) - len(untried)
    tail = f", {len(untried)} could not be tried" if untried else ""
    echo(f"{passed} of {len(results)} plugins keep their promises{tail}")
    return 2 if failed else 0
