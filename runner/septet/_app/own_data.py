"""A strategy over the user's own data file: the keys that describe it, and the file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, get_args

from septet._app.starter import CSV_OR_PARQUET
from septet._app.workspace import MOST_FILES
from septet._files import alone_in, replacing
from septet._text import shortened
from septet.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from septet._app.workspace import Workspace

__all__ = [
    "MOST_ADDED",
    "MOST_KEPT",
    "OwnDataKey",
    "add_data_file",
    "key_of_problem",
    "own_data_keys",
]

_MIB: Final = 1 << 20
MOST_ADDED: Final = 64 << 20
"""Largest size in bytes of a data file that is added to a workspace."""
MOST_KEPT: Final = 2 << 30
"""Largest size in bytes of all data files in the folder that receives added files."""


@dataclass(frozen=True, slots=True)
class OwnDataKey:
    """A key of the file that describes data: its path, its docstring, its values if few."""

    key: str
    about: str
    values: tuple[str, ...] = ()


def own_data_keys() -> list[OwnDataKey]:
    """Return the keys that a user's own file may need, with the descriptions of the models.

    `data.candles.columns` is a mapping, written as the text between its braces.
    """
    from septet._host.plugin_registry import Host
    from septet_schemas.docstrings import field_docstrings
    from septet_schemas.keys import CandleKeys
    from septet_schemas.strategy import Universe

    csv = Host().declaration("data", "csv", "candles").config
    keys_of_models = (
        (Universe, "universe", "symbols"), (Universe, "universe", "bar"),
        (CandleKeys, "data.candles", "stamp"), (CandleKeys, "data.candles", "time_zone"),
        (CandleKeys, "data.candles", "calendar"), (CandleKeys, "data.candles", "adjust"),
        (csv, "data.candles", "columns"),
    )  # fmt: skip
    keys = []
    for model, block, name in keys_of_models:
        choices = [
            value
            for kind in get_args(model.model_fields[name].annotation)
            for value in get_args(kind)
            if isinstance(value, str)
        ]
        about = " ".join(field_docstrings(model)[name].split())
        keys.append(OwnDataKey(f"{block}.{name}", about, tuple(choices)))
    return keys


def key_of_problem(key: str, known: list[str]) -> str:
    """Return the key, out of `keys`, that a problem is about; empty if there is none.

    A problem of `data.candles` itself is one of the file that it names.
    """
    matching = [each for each in known if key == each or key.startswith(f"{each}.")]
    if not matching and key == "data.candles":
        return "data.candles.path"
    return max(matching, key=len, default="")


def add_data_file(workspace: Workspace, name: str, data: bytes | bytearray) -> None:
    """Store a CSV or Parquet file in a workspace; an existing file is never replaced.

    Raises
    ------
    InputError
        If the name is not that of a data file or exists, or the file cannot be written.
    """
    path, quoted = workspace.path(name), repr(shortened(name, 80))
    if PurePosixPath(name).suffix not in CSV_OR_PARQUET or "/" in name:
        endings = " or ".join(CSV_OR_PARQUET)
        raise InputError(f"{quoted} is no name of a data file", hint=f"it ends in {endings}")
    if not data:
        raise InputError(f"{quoted} is empty", hint="choose a file with bars")
    with alone_in(workspace.root):
        files = workspace.data_files()
        if len(files) >= MOST_FILES:
            raise InputError(f"the folder has {MOST_FILES:,} data files already")
        stored_bytes = sum(_size(workspace.root / each) for each in files if "/" not in each)
        if stored_bytes + len(data) > MOST_KEPT:
            raise InputError(
                "the data files of the folder would have "
                f"{(stored_bytes + len(data)) / _MIB:,.1f} MiB; "
                f"with an added one they may have {MOST_KEPT / _MIB:,.0f} MiB",
                hint="remove data files that no strategy reads, or put the file there by hand",
            )
        if os.path.lexists(path):
            raise InputError(f"{quoted} is there already", hint="rename the file and add it again")
        try:
            with replacing(path) as file:
                file.write(data)
        except OSError as error:
            raise InputError(f"{quoted} cannot be written: {error.strerror}") from None


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:  # removed in the meantime
        return 0
