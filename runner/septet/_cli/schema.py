"""``septet schema [--out FILE]``."""

from __future__ import annotations

from pathlib import Path

import click

from septet._app.documents import to_json
from septet._cli import options
from septet._cli.terminal import echo, echo_json
from septet._files import replace_file

__all__ = ["schema"]


@click.command()
@click.option("--out", type=click.Path(dir_okay=False), help="Write to this file, not to stdout.")
@options.as_json
def schema(out: str | None, as_json: bool) -> int:
    """Write the JSON Schema of strategy files, with the keys of every installed plugin.

    Editors with a YAML language server complete and check a strategy whose first line is
    "# yaml-language-server: $schema=strategy.schema.json".
    """
    from septet._config.json_schema import schema_text
    from septet._host.plugin_registry import Host
    from septet.errors import InputError

    host = Host()
    text = schema_text(host)
    if out is None:
        echo_json(text)
        return 0
    try:
        replace_file(Path(out), text)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}") from None
    if as_json:
        echo_json(to_json({"ok": True, "file": out, "plugins": len(host.components())}))
    else:
        echo(f"wrote {out} with {len(host.components())} plugins", err=True)
    return 0
