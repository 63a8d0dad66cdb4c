"""``septet init [DIR]``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from septet._app.documents import to_json
from septet._cli import options
from septet._cli.terminal import echo, echo_json
from septet._files import replace_file

__all__ = ["init"]

_STRATEGY: Final = """\
# yaml-language-server: $schema=strategy.schema.json
# Try it: septet run strategy.yaml       Look inside: septet explain strategy.yaml
version: 1
name: {name}

account: {{capital: 10000}}
universe: {{symbols: [BTC/USD], bar: 15m}}

data:
  candles: {{use: sample}}              # real bars that come with septet

features:                             # each sees only what is known when its bar closes
  fast: {{use: ema, period: 20}}
  slow: {{use: ema, period: 80}}
  trend: {{use: roc, period: 96}}       # change over a day of 15-minute bars

signal:
  use: rules
  long_if: crosses_above(fast, slow) and trend > 0
  exit_if: fast < slow
  min_interval: 4 bars

risk:
  sizing: {{use: fixed_fraction, fraction: 50%}}
  limits: {{position: 50%}}
  stops: {{stop_loss: 3%}}
  halts:
    drawdown: {{above: 15%, then: flatten, resume: manual}}

execution:
  simulation: {{fee: 10bps, slippage: 5bps}}
"""
_IGNORE: Final = "runs/\n"


@click.command()
@click.argument("folder", type=click.Path(file_okay=False), default=".", metavar="[DIR]")
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@options.as_json
def init(folder: str, force: bool, as_json: bool) -> int:
    """Make a starter strategy in DIR that runs at once on data that comes with septet."""
    from septet._config.json_schema import schema_text
    from septet._host.register import Host
    from septet.errors import InputError

    root = Path(folder)
    files = {
        "strategy.yaml": _STRATEGY.format(name=_name(root)),
        "strategy.schema.json": schema_text(Host()),
        ".gitignore": _IGNORE,
    }
    there = [name for name in files if (root / name).exists() and name != ".gitignore"]
    if there and not force:
        raise InputError(
            f"{root / there[0]} is there already",
            hint="name another folder, or --force overwrites it",
        )
    try:
        root.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            if name != ".gitignore" or not (root / name).exists():
                replace_file(root / name, text)
    except OSError as error:
        raise InputError(f"{root} cannot be written: {error.strerror}") from None
    if as_json:
        echo_json(to_json({"ok": True, "folder": str(root), "files": sorted(files)}))
        return 0
    path = root / "strategy.yaml"
    echo(f"wrote {path}")
    echo(f"next: septet run {path}")
    return 0


def _name(root: Path) -> str:
    """Name the strategy after its folder."""
    letters = [
        c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in root.resolve().name
    ]
    return "".join(letters).strip("-_")[:64] or "starter"
