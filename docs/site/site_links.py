"""Pages of the repository as pages of the site: which file becomes which page, and the links in it.

A document links to files beside it, as a reader of the repository needs. On the site a link leads
to the page made of that file; a file of code or data that is linked gets a page with its text.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["BrokenLink", "Pages"]

_LINK: Final = re.compile(r"(?<=\]\()([^)\s#]*)(#[^)\s]*)?(?=\))")
_FENCE: Final = re.compile(r"^ {0,3}(```|~~~)")
_LANGUAGES: Final = {
    ".py": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".json": "json",
    ".service": "ini", ".env": "sh",
}  # fmt: skip
_AS_THEY_ARE: Final = (".svg", ".png", ".txt")


class BrokenLink(Exception):
    """A document links to a file that is not there."""


class Pages:
    """The pages of the site that are made of files of the repository.

    Parameters
    ----------
    root : path
        The top of the repository.
    out : path
        The folder that the pages are written to.
    """

    def __init__(self, root: Path, out: Path) -> None:
        self._root = root
        self._out = out
        self._done: set[Path] = set()

    def add(self, source: Path) -> None:
        """Write the page of a file, and the pages of all that it links to."""
        waiting = [source.resolve()]
        while waiting:
            each = waiting.pop()
            if each in self._done:
                continue
            self._done.add(each)
            waiting += self._write(each)

    def page_of(self, source: Path) -> str:
        """Return the path of a file's page below the site's folder of pages."""
        name = source.relative_to(self._root).as_posix()
        if source.is_dir():
            readme = source / "README.md"
            return self.page_of(readme) if readme.is_file() else f"files/{name}/index.md"
        if name.startswith("docs/"):
            return name.removeprefix("docs/")
        if source.suffix in _AS_THEY_ARE:
            return name
        if name.endswith("/README.md"):
            return f"files/{name.removesuffix('README.md')}index.md"
        if source.suffix == ".md":
            return name.lower() if "/" in name else f"project/{name.lower()}"
        return f"files/{name}.md"

    def _write(self, source: Path) -> list[Path]:
        if source.is_dir():
            text, linked = self._listing(source)
        elif source.suffix in _AS_THEY_ARE:
            self._store(source, source.read_bytes())
            return []
        elif source.suffix == ".ipynb":
            text, linked = _notebook(source), []
        elif source.suffix == ".md":
            text, linked = self._relinked(source)
        else:
            name = source.relative_to(self._root).as_posix()
            language = _LANGUAGES.get(source.suffix, "text")
            text = f"# {name}\n\n```{language}\n{source.read_text('utf-8').rstrip()}\n```\n"
            linked = []
        self._store(source, text.encode())
        return linked

    def _store(self, source: Path, content: bytes) -> None:
        target = self._out / self.page_of(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

    def _listing(self, folder: Path) -> tuple[str, list[Path]]:
        if (folder / "README.md").is_file():
            return self._relinked(folder / "README.md")
        files = sorted(each for each in folder.iterdir() if each.is_file())
        lines = [f"- [{each.name}]({self._reference(folder, each)})" for each in files]
        title = folder.relative_to(self._root).as_posix()
        return f"# {title}\n\n" + "\n".join(lines) + "\n", files

    def _relinked(self, source: Path) -> tuple[str, list[Path]]:
        linked: list[Path] = []

        def replace(found: re.Match[str]) -> str:
            path, anchor = found[1], found[2] or ""
            if not path or "://" in path or path.startswith("mailto:"):
                return found[0]
            target = Path(os.path.normpath(source.parent / path))
            if not target.exists() or not target.is_relative_to(self._root):
                name = source.relative_to(self._root)
                raise BrokenLink(f"{name} links to {path}, which is not in the repository")
            linked.append(target)
            return self._reference(source, target) + anchor

        lines = [
            line if code else _LINK.sub(replace, line)
            for line, code in _lines(source.read_text("utf-8"))
        ]
        return "".join(lines), linked

    def _reference(self, source: Path, target: Path) -> str:
        """Return the path of one page as a page links to it."""
        start = (self._out / self.page_of(source)).parent
        return Path(os.path.relpath(self._out / self.page_of(target), start)).as_posix()


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each line, and whether it is code in a fence."""
    fence = ""
    for line in text.splitlines(keepends=True):
        found = _FENCE.match(line)
        if found and not fence:
            fence = found[1]
            yield line, True
        elif found and found[1] == fence:
            fence = ""
            yield line, True
        else:
            yield line, bool(fence)


def _notebook(source: Path) -> str:
    """Return the text and the code of a notebook, without its results."""
    parts = []
    for cell in json.loads(source.read_text("utf-8"))["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    return "\n\n".join(parts) + "\n"
