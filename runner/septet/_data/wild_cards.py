"""What wild cards of a path match, by a walk whose length is bounded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import msgspec

from septet.errors import DataError

__all__ = ["MAX_ENTRIES", "has_wild_cards", "matching_files"]

MAX_ENTRIES: Final = 100_000
"""Most names of files and folders that are checked."""
_HINT: Final = "name the folder that holds the data, and wild cards inside it"


def has_wild_cards(path: Path) -> bool:
    """Return whether a path is a pattern."""
    return any(sign in str(path) for sign in "*?[")


class _Walk(msgspec.Struct):
    """The state of a search: its pattern, and the number of entries checked."""

    path: Path
    most: int
    seen: int = 0

    def entries(self, folder: Path) -> Iterator[os.DirEntry[str]]:
        """Yield the entries of a folder; none if it may not be read."""
        try:
            listed = os.scandir(folder)
        except (NotADirectoryError, FileNotFoundError, PermissionError):
            return
        with listed:
            for each in listed:
                self.seen += 1
                if self.seen > self.most:
                    raise DataError(
                        f"{self.path} would look through more than {self.most:,} files and folders",
                        hint=_HINT,
                        key="path",
                    )
                yield each

    def matches(self, folder: Path, parts: Sequence[str]) -> Iterator[Path]:
        """Yield the files below a folder that match the parts of a pattern."""
        if not parts:
            return
        part, rest = parts[0], parts[1:]
        if part == "**":
            yield from self.matches(folder, rest or ("*",))
            for each in self.entries(folder):
                if not each.name.startswith(".") and each.is_dir(follow_symlinks=False):
                    yield from self.matches(Path(each.path), parts)
        elif not has_wild_cards(Path(part)):
            below = folder / part
            if rest:
                yield from self.matches(below, rest)
            elif os.path.isfile(below):
                yield below
        else:
            for each in self.entries(folder):
                if each.name.startswith(".") or not fnmatchcase(each.name, part):
                    continue
                if rest:
                    yield from self.matches(Path(each.path), rest) if each.is_dir() else ()
                elif each.is_file():
                    yield Path(each.path)


def matching_files(path: Path, most: int | None = None) -> list[Path]:
    """Return the files that match a pattern, sorted by name.

    ``**`` matches any folders below, except links to folders. No wild card matches a hidden name,
    one that starts with a dot.

    Raises
    ------
    DataError
        If the pattern begins at the root of the disk, or the search meets more than
        `MAX_ENTRIES` names.
    """
    anchor = Path(path.anchor or ".")
    parts = path.relative_to(anchor).parts
    joined = tuple(
        part for at, part in enumerate(parts) if part != "**" or at == 0 or parts[at - 1] != "**"
    )
    if path.anchor and joined and joined[0] == "**":
        raise DataError(f"{path} would look through the whole disk", hint=_HINT, key="path")
    walk = _Walk(path, MAX_ENTRIES if most is None else most)
    return sorted(set(walk.matches(anchor, joined)))
