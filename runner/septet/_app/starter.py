"""Creates a starter strategy in a folder, which can be run at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from septet._files import replace_file
from septet.errors import InputError

__all__ = ["CSV_OR_PARQUET", "own_data_text", "starter_name", "write_starter"]

CSV_OR_PARQUET: Final = {".csv": "csv", ".parquet": "parquet"}
"""Source for each file extension."""

_STRATEGY: Final = """\
{head}version: 1
name: {name}

account: {{capital: 10000}}
universe: {{{universe}}}

data:
  candles: {{{candles}}}{about_candles}

features:                             # each sees only what is known when its bar closes
  fast: {{use: ema, period: 20}}
  slow: {{use: ema, period: 80}}
  trend: {{use: roc, period: 96}}       # change over {about_trend}

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
_HEAD: Final = """\
# yaml-language-server: $schema=strategy.schema.json
# Try it: septet run strategy.yaml       Look inside: septet explain strategy.yaml
"""
_IGNORE: Final = "runs/\n"


def write_starter(root: Path, *, force: bool = False) -> list[str]:
    """Write a strategy, its schema and .gitignore into `root`; return their names.

    Raises
    ------
    InputError
        If one of them exists and `force` is false, or the folder cannot be written.
    """
    from septet._config.json_schema import schema_text
    from septet._host.plugin_registry import Host

    text = _STRATEGY.format(
        head=_HEAD, name=starter_name(root.resolve().name),
        universe="symbols: [BTC/USD], bar: 15m", candles="use: sample",
        about_candles="              # real bars that come with septet",
        about_trend="a day of 15-minute bars",
    )  # fmt: skip
    files = {
        "strategy.yaml": text,
        "strategy.schema.json": schema_text(Host()),
        ".gitignore": _IGNORE,
    }
    existing = [name for name in files if (root / name).exists() and name != ".gitignore"]
    if existing and not force:
        raise InputError(
            f"{root / existing[0]} is there already",
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


def own_data_text(name: str, data: str, keys: Mapping[str, str]) -> str:
    """Return the starter strategy for a user's own data file, as an unchecked text.

    Parameters
    ----------
    name
        Name of the strategy.
    data
        A CSV or Parquet file, relative to the strategy file.
    keys
        Values by key path: `universe.symbols` (one symbol), `universe.bar`, and keys of
        `data.candles`; `data.candles.columns` is the text between its braces. An empty value
        leaves its key out, and a check reports whether it is needed.
    """
    values = {key: value for key, value in keys.items() if value}
    columns = values.pop("data.candles.columns", "")
    blocks = {"universe": list[str](), "data.candles": list[str]()}
    for key, value in values.items():
        block, _, last = key.rpartition(".")
        text = f"[{json.dumps(value)}]" if key == "universe.symbols" else json.dumps(value)
        blocks[block].append(f"{last}: {text}")
    use = CSV_OR_PARQUET.get(Path(data).suffix, "csv")
    candles = [f"use: {use}", f"path: {json.dumps(data)}", *blocks["data.candles"]]
    if columns:
        candles.append(f"columns: {{{columns}}}")
    return _STRATEGY.format(
        head="", name=json.dumps(name), universe=", ".join(blocks["universe"]),
        candles=", ".join(candles), about_candles="", about_trend="96 bars",
    )  # fmt: skip


def starter_name(text: str) -> str:
    """Return a valid strategy name that is as similar to a text as possible."""
    letters = [
        letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "-"
        for letter in text
    ]
    return "".join(letters).strip("-_")[:64] or "starter"
