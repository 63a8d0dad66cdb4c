"""The runs of a folder as rows, and the one that a request names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from septet._text import is_unicode, shortened, unicode_text
from septet.errors import InputError

__all__ = ["all_runs", "grouped", "named_folder"]


def all_runs(root: Path) -> list[dict[str, Any]]:
    """Return a row for each run under `root`, the latest first; a damaged one states the reason."""
    from septet._app.runs import list_stored

    return [_row(root, each.document(), each.state) for each in reversed(list_stored(root))]


def grouped(rows: Sequence[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the rows by their strategy, that of the latest run first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(str(row["strategy"]), []).append(row)
    return list(found.items())


def _row(root: Path, found: dict[str, Any], state: str) -> dict[str, Any]:
    from septet._app.run_parts import figures_of, trials_of

    trials = trials_of(found)
    return {
        "key": _key(root, Path(found["folder"])),
        "run_id": found["run_id"],
        "strategy": found["strategy"],
        "mode": found.get("mode", ""),
        "state": state or "damaged",
        "damaged": found.get("damaged", ""),
        "problem": found.get("problem", ""),
        "total_return": found.get("total_return"),
        "trades": found.get("trades"),
        "last_bar": found.get("end"),
        "tries": None if trials is None else trials["count"],
        "trials": trials,
        "forward": figures_of(found)["forward"],
        "verdict": found.get("verdict", ""),
    }


def _key(root: Path, folder: Path) -> str:
    """Return what a run is called in requests, as text that can be sent."""
    name = folder.relative_to(root).as_posix() if folder.is_relative_to(root) else folder.name
    return unicode_text(name)


def named_folder(root: Path, key: str) -> Path:
    """Return the folder that a row names: a request reaches no other than those of the list.

    Raises
    ------
    InputError
        If there is none under `root`, or its name is no Unicode.
    """
    from septet._store.find_runs import run_folders

    named = (folder for folder in run_folders(root) if _key(root, folder) == key)
    found = sorted(named, key=lambda folder: not is_unicode(str(folder)))
    if found and not is_unicode(str(found[0])):
        raise InputError(
            f"the name of the folder {shortened(key, 120)} is no Unicode text",
            hint="rename it: libraries cannot open its tables",
        )
    if found:
        return found[0]
    raise InputError("there is no such run, or no longer", hint="look at the list of all runs")
