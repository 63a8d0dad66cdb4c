"""Reads the bytes of a file into a tree, and reports each problem once, with its place.

The tree is built from YAML events, not from composed nodes: events know where an alias stands,
and their parser has no recursion that a deeply nested file could overflow.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any, Final

from msgspec.structs import replace

from septet._config.scalars import read_plain
from septet._config.split_values import braced_text, joined_values
from septet._config.tree import Key, Mark, Node
from septet._files import open_regular
from septet._text import shortened, visible
from septet.errors import ConfigError, Problem

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_NODES", "check_text", "parse_text", "read_text"]

MAX_BYTES: Final = 1_000_000
MAX_DEPTH: Final = 40
MAX_NODES: Final = 50_000
_LONGEST_NAME: Final = 200
_STANDARD: Final = "tag:yaml.org,2002:"
_TAGS: Final = {"str": str, "int": int, "float": float}


def read_text(path: FilePath) -> str:
    """Read the text of a strategy file.

    Raises
    ------
    ConfigError
        If it cannot be read, or is no text.
    """
    return _decode(_read_bytes(path, str(path)), str(path))


def check_text(text: str, name: str) -> str:
    """Return a text that did not come from a file, checked as one that does.

    Raises
    ------
    ConfigError
        If it is too long, empty, or no text.
    """
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) > MAX_BYTES:
        raise _stop(
            name, "this text is too long to be a strategy", expected=f"at most {MAX_BYTES:,} bytes",
            found=f"{len(raw):,} bytes",
        )  # fmt: skip
    return _decode(raw, name)


def _stop(name: str, message: str, **parts: Any) -> ConfigError:
    return ConfigError([Problem(message, file=name, **parts)])


def _read_bytes(path: FilePath, name: str) -> bytes:
    if _is_folder(path, name):
        files = sorted(each.name for each in path.glob("*.y*ml"))[:3]
        hint = f"name one of its files: {', '.join(files)}" if files else "name a file"
        raise _stop(name, "this is a folder, not a strategy file", hint=hint)
    try:
        with open_regular(path) as handle:
            size = os.fstat(handle.fileno()).st_size
            if size > MAX_BYTES:
                raise _stop(
                    name,
                    "this file is too large to be a strategy file",
                    expected=f"at most {MAX_BYTES:,} bytes",
                    found=f"{size:,} bytes",
                    hint="market data belongs in its own file, named under data.candles",
                )
            raw = handle.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _stop(name, "there is no such file", hint=_near(path)) from None
    except OSError as error:
        raise _stop(name, f"this file cannot be read: {error.strerror}") from None
    except ValueError as error:  # a null character
        raise _stop(visible(name), f"this is no path of a file: {error}") from None
    if len(raw) > MAX_BYTES:
        raise _stop(name, "this file is too large to be a strategy file")
    return raw


def _is_folder(path: FilePath, name: str) -> bool:
    try:
        return path.is_dir()
    except OSError as error:  # a name that is too long
        short_name = shortened(name, _LONGEST_NAME)
        raise _stop(short_name, f"this file cannot be read: {error.strerror}") from None


def _near(path: FilePath) -> str:
    folder = path.parent
    files = sorted(folder.glob("*.y*ml")) if folder.is_dir() else []
    names = {each.stem: each.name for each in files}  # every name has the same few endings
    close = difflib.get_close_matches(path.stem, names, n=1)
    if close:
        return f"did you mean {folder / names[close[0]]}?"
    return "septet init makes a starter strategy"


def _decode(raw: bytes, name: str) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _stop(name, "this file is UTF-16", expected="UTF-8", hint="save it again as UTF-8")
    if b"\x00" in raw:
        raise _stop(
            name, "this is a binary file, not a strategy file", expected="YAML text in UTF-8"
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        head = raw[: error.start].decode("utf-8", "replace")
        raise _stop(
            name,
            "this byte is not UTF-8",
            line=head.count("\n") + 1,
            column=len(head) - head.rfind("\n"),
            expected="UTF-8 text",
            found=f"the byte 0x{raw[error.start]:02x}",
            hint="save the file again as UTF-8",
        ) from None
    if not text.strip():
        raise _stop(name, "this file is empty", hint="septet init makes a starter strategy")
    return text


def parse_text(text: str, name: str, *, flag: bool = False) -> tuple[Node, list[Problem]]:
    """Parse YAML text into a tree; with `flag` places are the flag's name, without a line."""
    import yaml

    loader = yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader
    builder = _Builder(name, flag=flag)
    try:
        for event in yaml.parse(text, loader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        raise ConfigError([*builder.problems, _syntax(error, name, text, flag)]) from None
    except yaml.reader.ReaderError as error:
        head = text[: error.position] if isinstance(error.position, int) else ""
        raise _stop(
            name,
            "this character is not allowed in YAML",
            line=0 if flag else head.count("\n") + 1,
            column=len(head) - head.rfind("\n"),
            found=f"the control character U+{_ordinal(error.character):04X}",
        ) from None
    if builder.root is None:
        raise _stop(name, "this file says nothing", hint="septet init makes a starter strategy")
    return builder.root, builder.problems


def _ordinal(character: Any) -> int:
    return character if isinstance(character, int) else ord(character[0])


_SYNTAX: Final[tuple[tuple[str, str, str], ...]] = (
    ("cannot start any token", "this character cannot begin a value", "put the value in quotes"),
    (
        "mapping values are not allowed",
        "a second ': ' on this line, or an indentation that does not fit",
        "put text with ': ' in quotes; check the indentation of this line",
    ),
    (
        "could not find expected ':'",
        "a key without ': ' behind it",
        "write key: value, with a space after the colon",
    ),
    ("did not find expected ',' or '}'", "a { that is not closed", "add the missing , or }"),
    ("did not find expected ',' or ']'", "a [ that is not closed", "add the missing , or ]"),
    (
        "did not find expected key",
        "this line does not line up with the ones above it",
        "indent the keys of one block alike, with spaces",
    ),
    (
        "did not find expected '-' indicator",
        "this line does not line up with the list above it",
        "begin every entry of a list with '- ', indented alike",
    ),
    (
        "unexpected non-alphabetical character",
        "a value that begins with % is a directive of YAML",
        "put the value in quotes",
    ),
    (
        "expected alphabetic or numeric character",
        "a value that begins with * or & names another value",
        "put the value in quotes",
    ),
    (
        "expected <document start>",
        "text behind a value that has ended, as after { }, [ ] or a quote",
        "put the value in quotes",
    ),
    ("unexpected end of stream", "a quote that is not closed", "close the quote"),
    ("did not find expected node content", "a value is missing here", "write the value"),
)


def _too_deep(name: str, line: int, column: int) -> Problem:
    limit = f"at most {MAX_DEPTH} levels"
    return Problem("this is nested too deeply", file=name, line=line, column=column, expected=limit)


def _syntax(error: Any, name: str, text: str, flag: bool) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark is not None else (0, 0)
    # libyaml has a limit of its own (1,000 levels since 0.2.6), and reads ahead of its events.
    if "maximum nesting depth" in str(error.problem):
        return _too_deep(name, 0 if flag else line + 1, column + 1)
    lines = text.splitlines()
    line_text = lines[line].rstrip() if line < len(lines) else ""
    message, hint = str(error.problem or "this is not YAML"), ""
    for part, message_text, help_text in _SYNTAX:
        if part in message:
            message, hint = message_text, help_text
            break
    column, braced = braced_text(line_text, column)
    if braced:
        message, hint = "a { begins a mapping", "put the value in quotes"
        hint = hint if flag else f'put text that holds {{ }} in quotes: "{braced}"'
    if line_text[column : column + 1] == "\t":
        message, hint = "a tab where YAML requires spaces", "indent with spaces"
    opened = error.context_mark
    if opened is not None and "quote" in message:
        line, column = opened.line, opened.column
    if opened is not None and opened.line != line and ("not closed" in message):
        hint = f"it was opened at line {opened.line + 1}, column {opened.column + 1}; {hint}"
    if flag and hint == "put the value in quotes":
        hint += ", and these in the shell's: " + f"'{name.partition(' ')[2]}=\"...\"'"
    return Problem(
        f"this is not YAML: {message}",
        file=name,
        line=0 if flag else line + 1,
        column=column + 1,
        hint=hint,
    )


def _is_verbatim(event: Any, text: str, style: str) -> bool:
    """Whether a scalar fills one line of the file with its own characters, quotes aside."""
    start, end = event.start_mark, event.end_mark
    quotes = 2 if style in ("'", '"') else 0
    return bool(start.line == end.line and end.column - start.column == len(text) + quotes)


class _Open:
    """A mapping or list that is still being read."""

    __slots__ = (
        "anchor", "children", "flawed", "flawed_key", "flow", "key", "keys", "kind", "mark",
        "pending", "size",
    )  # fmt: skip

    def __init__(self, kind: Any, mark: Mark, key: Mark | None, anchor: str | None) -> None:
        self.kind, self.mark, self.key, self.anchor = kind, mark, key, anchor
        self.children: dict[Key, Node] = {}
        self.keys: list[tuple[str, Mark]] = []
        self.pending: tuple[str, Mark] | None = None
        self.flawed = self.flawed_key = self.flow = False
        self.size = 1


class _Builder:
    """Takes YAML events one by one and leaves `root` and `problems`."""

    def __init__(self, name: str, *, flag: bool) -> None:
        self.name, self.flag = name, flag
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}
        self._skipping = 0
        self._total = 0
        self._handlers: dict[str, Callable[[Any], None]] = {
            "ScalarEvent": self._scalar,
            "AliasEvent": self._alias,
            "MappingStartEvent": lambda event: self._start("map", event),
            "SequenceStartEvent": lambda event: self._start("list", event),
            "MappingEndEvent": lambda event: self._end(),
            "SequenceEndEvent": lambda event: self._end(),
        }

    def take(self, event: Any) -> None:
        """Take one event."""
        name = type(event).__name__
        if name == "DocumentStartEvent" and self.root is not None:
            raise self._fatal(
                event, "a second document begins here", hint="one strategy a file: remove the ---"
            )
        handler = self._handlers.get(name)
        if handler is not None:
            handler(event)

    def _mark(self, event: Any) -> Mark:
        if self.flag:
            return Mark(self.name)
        return Mark(self.name, event.start_mark.line + 1, event.start_mark.column + 1)

    def _path(self) -> str:
        parts = [
            each.pending[0] if each.pending else str(len(each.children))
            for each in self._stack
            if each.pending or each.kind == "list"
        ]
        return ".".join(parts)

    def _problem(self, mark: Mark, message: str, **parts: str) -> Problem:
        return Problem(
            message, file=mark.source, line=mark.line, column=mark.column, key=self._path(), **parts
        )

    def _fatal(self, event: Any, message: str, **parts: str) -> ConfigError:
        return ConfigError([*self.problems, self._problem(self._mark(event), message, **parts)])

    def _count(self, event: Any, size: int = 1) -> None:
        self._total += size
        if self._total > MAX_NODES:
            raise self._fatal(
                event,
                "this file unfolds to too many values",
                expected=f"at most {MAX_NODES:,} values, those of aliases counted each time",
                hint="aliases (*name) that contain aliases grow quickly; write the values out",
            )

    def _start(self, kind: Any, event: Any) -> None:
        if len(self._stack) >= MAX_DEPTH:
            mark = self._mark(event)
            raise ConfigError([*self.problems, _too_deep(self.name, mark.line, mark.column)])
        self._count(event)
        mark = self._mark(event)
        count = len(self.problems)
        self._check_tag(event, mark)
        key = self._taken_key()
        if self._wants_key():
            self._refuse_key(mark, "a list or mapping")
        if event.anchor:
            self._anchors[event.anchor] = None
        opened = _Open(kind, mark, key, event.anchor)
        opened.flawed = len(self.problems) > count
        opened.flow = bool(event.flow_style)
        self._stack.append(opened)

    def _end(self) -> None:
        closed = self._stack.pop()
        if closed.kind == "map" and closed.flow:
            joined = joined_values(closed.children, self._path(), closed.keys)
            split, closed.children, groups = joined
            marks = {(mark.line, mark.column) for mark in groups if mark.line}
            self.problems = [e for e in self.problems if (e.line, e.column) not in marks]
            self.problems += split
        node = Node(
            closed.kind,
            closed.mark,
            key=closed.key,
            children=closed.children,
            size=closed.size,
            flawed=closed.flawed,
        )
        if closed.anchor:
            self._anchors[closed.anchor] = node
        self._place(node)

    def _wants_key(self) -> bool:
        return bool(self._stack) and self._stack[-1].kind == "map" and not self._stack[-1].pending

    def _taken_key(self) -> Mark | None:
        top = self._stack[-1] if self._stack else None
        return top.pending[1] if top is not None and top.pending else None

    def _refuse_key(self, mark: Mark, found: str) -> None:
        self.problems.append(self._problem(mark, "a key is a word", expected="a word", found=found))

    def _scalar(self, event: Any) -> None:
        self._count(event)
        mark = self._mark(event)
        if self._wants_key():
            count = len(self.problems)
            self._stack[-1].pending = (self._read_key(event, mark), mark)
            self._stack[-1].flawed_key = len(self.problems) > count
            return
        node = self._read_value(event, mark, self._taken_key())
        if event.anchor:
            self._anchors[event.anchor] = node
        self._place(node)

    def _read_key(self, event: Any, mark: Mark) -> str:
        text = str(event.value)
        is_plain = not event.style and event.implicit[0]
        reading = read_plain(text) if is_plain else None
        top = self._stack[-1]
        top.keys.append((text, mark))
        if text == "<<" and is_plain:
            problem = "merge keys (<<) are not supported"
            self.problems.append(
                self._problem(mark, problem, hint="write the keys out, so that each has its place")
            )
        elif reading is not None and reading.problem:
            self.problems.append(
                self._problem(mark, f"this key: {reading.problem}", expected=f"'{text}' in quotes")
            )
        elif reading is not None and isinstance(reading.value, bool | None):
            quoted = f"{text!r}" if text else "nothing"
            self.problems.append(
                self._problem(mark, "a key is a word", expected="a word", found=quoted)
            )
        if text in top.children:
            first = top.children[text].key or top.children[text].mark
            self.problems.append(
                self._problem(
                    mark,
                    f"{text!r} is written twice in this block",
                    found=f"the first one at {first}",
                    hint="keep one; YAML would silently take the last",
                )
            )
        return text

    def _read_value(self, event: Any, mark: Mark, key: Mark | None) -> Node:
        text, style = str(event.value), event.style or ""
        count = len(self.problems)
        tag = self._check_tag(event, mark)
        flawed = len(self.problems) > count
        if style or tag == "str":
            return Node(
                "scalar",
                mark,
                text,
                key,
                text=text,
                style=style,
                verbatim=_is_verbatim(event, text, style),
                flawed=flawed,
            )
        reading = read_plain(text)
        if reading.problem:
            self.problems.append(self._problem(mark, reading.problem, expected=reading.expected))
        flawed = flawed or bool(reading.problem)
        verbatim = _is_verbatim(event, text, style)
        return Node("scalar", mark, reading.value, key, text=text, verbatim=verbatim, flawed=flawed)

    def _check_tag(self, event: Any, mark: Mark) -> str:
        tag = event.tag or ""
        short = tag.removeprefix(_STANDARD)
        if tag in ("", "!") or short in ("str", "int", "float", "bool", "null", "map", "seq"):
            return "str" if tag == "!" else short
        self.problems.append(
            self._problem(
                mark,
                "tags are not supported: a strategy file names plugins and never runs code",
                found=f"!!{short}" if tag.startswith(_STANDARD) else tag,
            )
        )
        return ""

    def _alias(self, event: Any) -> None:
        mark = self._mark(event)
        anchor = event.anchor
        if anchor not in self._anchors:
            raise self._fatal(
                event,
                f"*{anchor} names an anchor that is not defined above it",
                hint=f"write &{anchor} before the value it stands for, or put the text in quotes",
            )
        target = self._anchors[anchor]
        if target is None:
            raise self._fatal(event, f"*{anchor} contains itself")
        self._count(event, target.size)
        if self._wants_key():
            self._refuse_key(mark, f"*{anchor}")
            self._stack[-1].pending, self._stack[-1].flawed_key = (anchor, mark), True
            return
        self._place(replace(target, key=self._taken_key(), alias=mark))

    def _place(self, node: Node) -> None:
        if not self._stack:
            self.root = node
            return
        top = self._stack[-1]
        if top.kind == "list":
            top.children[len(top.children)] = node
        elif top.pending is None:
            top.pending, top.flawed_key = ("", node.mark), True
            return
        else:
            if top.flawed_key and not node.flawed:
                node = replace(node, flawed=True)
            top.children.setdefault(top.pending[0], node)
            top.pending, top.flawed_key = None, False
        top.size += node.size
