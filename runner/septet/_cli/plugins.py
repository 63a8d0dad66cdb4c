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

    from septet._host.register import Host, Registered

__all__ = ["plugins"]


@click.group()
def plugins() -> None:
    """List, show, make and check plugins."""


def _host() -> Host:
    from septet._host.register import Host

    return Host()


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


def _state(entry: Registered) -> str:
    """Return the kept verdict on a plugin's installed source; nothing is imported."""
    from septet._config.verdicts import known_state
    from septet._host.register import BUILT_IN

    if entry.distribution == BUILT_IN:
        return "built in"
    return known_state(entry.qualified) or "not checked yet"


@plugins.command("list")
@click.option("--layer", type=click.Choice(LAYERS), default=None, help="Only this layer.")
@options.as_json
def list_(layer: Any, as_json: bool) -> int:
    """List every installed plugin; none of them is imported."""
    host = _host()
    entries = [{**_document(entry), "check": _state(entry)} for entry in host.components(layer)]
    failures = [
        {"distribution": each.distribution, "manifest": each.target, "reason": each.reason}
        for each in host.failures
    ]
    if as_json:
        echo_json(to_json({"plugins": entries, "failures": failures}))
        return 0
    rows = [{**each, "from": f"{each['distribution']} {each['version']}"} for each in entries]
    echo_text(render_table(rows, ("layer", "kind", "name", "from", "check", "summary")))
    for each in failures:
        echo(
            f"{styled('error', fg='red', bold=True)}: {each['distribution']} cannot be "
            f"loaded: {each['reason']}",
            err=True,
        )
    return 0


def _find(host: Host, name: str) -> list[Registered]:
    """Every component of a name, in any layer.

    Raises
    ------
    PluginError
        If there is none.
    """
    import difflib

    from septet.errors import PluginError

    distribution, colon, short = name.rpartition(":")
    found = [
        entry
        for entry in host.components()
        if entry.component.name == short and (not colon or entry.distribution == distribution)
    ]
    if not found:
        from septet._cli.describe import label_documents

        known = sorted(
            {entry.component.name for entry in host.components()}
            | {each["name"] for each in label_documents()}
        )
        close = difflib.get_close_matches(short, known, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "septet plugins list"
        raise PluginError(f"no plugin is called {name!r}", hint=hint)
    return found


def _described(host: Host, entry: Registered) -> dict[str, Any]:
    """Describe a component; a failure of its package's code is reported as an error.

    Raises
    ------
    PluginError
        If its settings cannot be described: a default that cannot be shown, a schema that raises.
    """
    from septet._cli.describe import describe
    from septet._host.manifests import StrangersError, strangers_code
    from septet._host.register import BUILT_IN
    from septet.errors import PluginError

    declaration = host.load(entry)
    if entry.distribution == BUILT_IN:
        return describe(declaration)
    try:
        with strangers_code():
            found = describe(declaration)
            to_json(found)
    except StrangersError as error:
        raise PluginError(
            f"{entry.qualified} cannot be described: {error.message}",
            hint=f"a fault of {entry.distribution}: report it; septet plugins check reproduces it",
        ) from error.__cause__
    return found


def _has(host: Host, name: str) -> bool:
    return any(each.component.name == name.rpartition(":")[2] for each in host.components())


@plugins.command()
@click.argument("name")
@options.as_json
def show(name: str, as_json: bool) -> int:
    """Show what a plugin, or a label of a model, takes, gives and remembers."""
    from septet._cli.describe import describe_text, label_documents

    host = _host()
    labels = [each for each in label_documents() if each["name"] == name.removeprefix("septet:")]
    entries = [] if labels and not _has(host, name) else _find(host, name)
    documents = [{**_document(each), **_described(host, each)} for each in entries] + labels
    if as_json:
        echo_json(to_json(documents))
        return 0
    echo_text("\n\n".join(describe_text(each) for each in documents))
    return 0


@plugins.command()
@click.argument("folder", type=click.Path(file_okay=False))
@options.as_json
def new(folder: str, as_json: bool) -> int:
    """Make a new plugin package in FOLDER: a feature, a manifest and a test."""
    from pathlib import Path

    from septet._cli.scaffold import write_package

    files = write_package(Path(folder))
    if as_json:
        echo_json(to_json({"ok": True, "folder": folder, "files": files}))
        return 0
    for name in files:
        echo(f"wrote {folder}/{name}")
    echo(f"next: pip install -e {folder} && pytest {folder}")
    return 0


def _progress() -> Callable[[str], None] | None:
    """Return what reports progress: a line of standard error, where that is a terminal."""
    return (lambda text: echo(text, err=True)) if is_terminal() else None


def is_terminal() -> bool:
    """Whether somebody reads standard error as it goes."""
    import sys

    return sys.stderr.isatty()


@plugins.command("check")
@click.argument("name", required=False)
@options.as_json
def check_(name: str | None, as_json: bool) -> int:
    """Check that plugins load and keep their promises: all, one, or those of a distribution."""
    from septet._cli.conformance import check_entries

    host = _host()
    entries = host.components()
    if name is not None:
        of_distribution = [each for each in entries if each.distribution == name]
        entries = of_distribution or _find(host, name)
    results = check_entries(host, entries, _progress())
    results += [
        {"plugin": each.distribution, "ok": False, "state": "failed", "message": each.reason}
        for each in host.failures
        if name in (None, each.distribution)
    ]
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
    kept = len(results) - len(failed) - len(untried)
    tail = f", {len(untried)} could not be tried" if untried else ""
    echo(f"{kept} of {len(results)} plugins keep their promises{tail}")
    return 2 if failed else 0
