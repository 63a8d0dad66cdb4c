"""A starter strategy in a folder of its own, which runs at once."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from septet._files import replace_file
from septet.errors import InputError

__all__ = ["write_starter"]

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


def write_starter(root: Path, *, force: bool = False) -> list[str]:
    """Write a strategy, its schema and .gitignore into `root`; return their names.

    Raises
    ------
    InputError
        If one is there and `force` is false, or the folder cannot be written.
    """
    from septet._config.json_schema import schema_text
    from septet._host.register import Host

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
    return sorted(files)


def _name(root: Path) -> str:
    """Name the strategy after its folder."""
    letters = [
        c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in root.resolve().name
    ]
    return "".join(letters).strip("-_")[:64] or "starter"
