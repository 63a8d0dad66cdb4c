"""Prints text safely: control characters, line breaks in values and bidi text become visible.

Names, cells and messages come from files that somebody else may have written. Every command prints
through this module and through nothing else:

- `echo` prints one line, whatever is in it; `ask` puts a question in one line.
- `styled` gives a text a colour or a weight, by marks that no value can write: a control
  sequence in a value is always shown, also one of a colour.
- `echo_json` prints a document, `echo_text` a text whose values passed `one_line` before.
- `console` gives a rich console in which every text and every cell is one line.

`guarded_streams` stands behind all of them, before standard output and standard error for the time
of a command, for what libraries write. There line breaks stay, but not in what they log or warn of.
What a plugin prints goes to standard error, each line behind the name of its package: standard
output is for what the command answers.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import IO, TYPE_CHECKING, Any, Final

import click

from septet._files import occupy_with_null_device
from septet._host.imports import is_followed
from septet._text import breaks_lines, one_line, visible

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "GUARDED", "OutputClosed", "OutputError", "ask", "console", "echo", "echo_json",
    "echo_progress", "echo_text", "end_output", "guarded_streams", "let_plugin_print", "styled",
    "traceback_text",
]  # fmt: skip


GUARDED: Final[dict[str, Any]] = {"redirect_stdout": False, "redirect_stderr": False}
"""Options of a rich progress bar, which would otherwise redirect and draw others' output."""
_MARK: Final = f"<{os.urandom(12).hex()}:"
"""Begins a mark of `styled`; random for each process, so that no file can contain it."""
_MARKS: Final = re.compile(f"{_MARK}([a-z ]*)>")


def styled(text: object, **style: Any) -> str:
    """Mark a one-line text that `echo` or `echo_text` prints in a style of `click.style`."""
    style_words = " ".join(f"{name} {value}" for name, value in style.items())
    return f"{_MARK}{style_words.lower()}>{one_line(text)}{_MARK}>"


def _drawn(text: str, *, lines: bool) -> str:
    """Escape a text except its style marks, and convert these to terminal sequences."""
    parts = _MARKS.split(text)
    pieces = []
    for at, part in enumerate(parts):
        if at % 2 == 0:
            pieces.append(visible(part, lines=lines))
        elif part:
            names, values = part.split(" ")[::2], part.split(" ")[1::2]
            style: dict[str, Any] = {
                name: value == "true" if value in ("true", "false") else value
                for name, value in zip(names, values, strict=True)
            }
            pieces.append(click.style("", reset=False, **style))
        else:
            pieces.append("\x1b[0m")
    return "".join(pieces)


@contextmanager
def _writing() -> Iterator[None]:
    """Raise `OutputClosed` or `OutputError` for what a stream fails with."""
    try:
        yield
    except BrokenPipeError as error:
        raise OutputClosed from error
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(error.errno, error.strerror or "the stream takes no text") from error


def _write_escaped(text: str, *, err: bool) -> None:
    """Write a text that is already escaped, bypassing the guard."""
    with _writing():
        click.echo(text, file=_underlying(sys.stderr if err else sys.stdout))


def echo(text: object = "", *, err: bool = False) -> None:
    """Print one line; a line break in it is shown escaped."""
    _write_escaped(_drawn(str(text), lines=False), err=err)


def echo_text(text: str, *, err: bool = False) -> None:
    """Print a text of several lines, in which every value passed `one_line` before."""
    _write_escaped(_drawn(text, lines=True), err=err)


def echo_json(text: str) -> None:
    """Print a JSON document, in which line breaks of values are escaped already."""
    _write_escaped(visible(text.removesuffix("\n")), err=False)


def echo_progress(text: str, *, done: bool = False) -> None:
    """Print a line to standard error over the previous one, until `done`."""
    stream = _underlying(sys.stderr)
    with _writing():
        stream.write(f"\r{one_line(text)}" + ("\n" if done else ""))
        stream.flush()


def ask(question: str) -> bool:
    """Ask the operator at the terminal a question of one line; no answer counts as no."""
    try:
        return bool(click.confirm(one_line(question), default=False, err=True))
    except click.Abort:  # Ctrl-C, or end of input
        echo(err=True)
        return False


def traceback_text(kind: type[BaseException], error: BaseException | None, at: Any) -> str:
    """Return a traceback in which the message of an exception is one line."""
    lines = []
    for part in traceback.format_exception(kind, error, at):
        is_words = part.strip("\n") and "\n" in part[:-1] and not part.lstrip("\n").startswith(_OWN)
        lines.append(f"{one_line(part[:-1])}\n" if is_words else part)
    return visible("".join(lines))


_CLOSED_STATUS: Final = 128 + 13  # as a shell reports the signal of a closed pipe
_OWN: Final = ('  File "', "Traceback (", "The above exception", "During handling", "    ")
"""Prefixes of the parts of a traceback that are not the text of an exception."""


class OutputClosed(BaseException):
    """Raised when the reader of the output has closed it, as after `| head`; ends the command."""


class OutputError(OSError):
    """Standard output or standard error cannot be written, as on a full disk."""


def end_output() -> int:
    """Stop writing to a stream that failed; return the exit status of a closed pipe."""
    _, write_end = os.pipe()  # it contains buffered output
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is None:
            continue
        try:
            stream.flush()
        except OSError:
            os.dup2(write_end, stream.fileno())
    return _CLOSED_STATUS


class _OneLine(logging.Formatter):
    """Formats log records of libraries without a handler: one line, then the traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        text = one_line(record.getMessage())
        if record.exc_info and record.exc_info[0] is not None:
            text += f"\n{traceback_text(*record.exc_info)}".removesuffix("\n")
        return text


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    return f"{filename}:{lineno}: {category.__name__}: {one_line(message)}\n"


class _Guarded:
    """A text stream that escapes everything written to it, and hides its buffer."""

    def __init__(self, stream: IO[str]) -> None:
        self._septet_stream = stream
        self._printed: dict[str, str] = {}

    def write(self, text: str) -> int:
        if not isinstance(text, str):  # click tests in this way whether a stream accepts bytes
            raise TypeError(f"expected text, found {type(text).__name__}")
        self.put(text, _writer(sys._getframe(1)))
        return len(text)

    def put(self, text: str, writer: str) -> None:
        """Write the output of a package; lines of a third-party package are prefixed with its name.

        A line of septet's own log has colours, and its values are escaped before. A command of a
        plugin prints for itself.
        """
        is_own = writer == "septet" or _Output.is_open
        escaped = visible(text, styled=is_own)
        if not is_own and is_followed(writer):
            *lines, unfinished = (self._printed.pop(writer, "") + escaped).split("\n")
            escaped = "".join(f"{writer}: {line}\n" for line in lines)
            self._printed |= {writer: unfinished} if unfinished else {}
        self._write(escaped)

    def finish(self) -> None:
        """Flush output of packages that has no line end."""
        for writer, text in self._printed.items():
            self._write(f"{writer}: {text}\n")
        self._printed = {}

    def _write(self, text: str) -> None:
        with _writing():
            self._septet_stream.write(text)

    def flush(self) -> None:
        with _writing():
            self._septet_stream.flush()

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":  # click would otherwise write past this stream
            raise AttributeError(name)
        return getattr(self._septet_stream, name)


class _Reporting:
    """A stream whose failures end the command, for libraries that write to it themselves."""

    def __init__(self, stream: IO[str]) -> None:
        self._septet_stream = stream

    def write(self, text: str) -> int:
        with _writing():
            return self._septet_stream.write(text)

    def flush(self) -> None:
        with _writing():
            self._septet_stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._septet_stream, name)


class _Output(_Guarded):
    """Standard output, only for septet's results; output of other packages goes to standard error.

    Documents for other programs and tables stay intact, since text of a plugin goes to standard
    error. A command of a plugin may write to standard output.
    """

    is_open = False

    def write(self, text: str) -> int:
        writer = _writer(sys._getframe(1)) if isinstance(text, str) else "septet"
        if writer == "septet" or _Output.is_open:
            return super().write(text)
        if isinstance(sys.stderr, _Guarded):
            sys.stderr.put(text, writer)
            return len(text)
        return int(sys.stderr.write(text))


def let_plugin_print() -> None:
    """Allow a plugin's command to write to standard output, until it ends."""
    _Output.is_open = True


def _writer(frame: FrameType | None) -> str:
    """Return the package that is writing, directly or through the output libraries of septet."""
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        root = name.partition(".")[0]
        if root not in ("click", "rich") and name != __name__:
            return root
        frame = frame.f_back
    return "septet"


def _underlying(stream: Any) -> Any:
    return stream._septet_stream if isinstance(stream, _Guarded) else stream


def _replace_closed_streams() -> None:
    """Replace a standard stream that is closed, as after `>&-`, with the null device.

    No file that is opened later then gets its descriptor.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is not None:
            continue
        nowhere = occupy_with_null_device(number)
        setattr(sys, name, open(nowhere, mode, encoding="utf-8"))  # noqa: SIM115 - stays open


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Escape everything that is written to standard output and standard error."""
    _replace_closed_streams()
    streams = sys.stdout, sys.stderr
    last, formatter, warned = logging.lastResort, None, warnings.formatwarning
    sys.stdout, sys.stderr = _Output(_underlying(streams[0])), _Guarded(_underlying(streams[1]))
    was_open = _Output.is_open
    warnings.formatwarning = _warned
    if last is not None:
        formatter = last.formatter
        last.setFormatter(_OneLine())
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, _Guarded):
                with suppress(OutputClosed, OutputError):  # the command has its status already
                    stream.finish()
        sys.stdout, sys.stderr = streams
        _Output.is_open = was_open
        warnings.formatwarning = warned
        if last is not None:
            last.setFormatter(formatter)


def console(*, stderr: bool = False, **settings: Any) -> Console:
    """Return a console that escapes texts to one line each and reads no markup in them."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment
    from rich.text import Text

    class Visible(Console):
        """Escapes rendered text; the console's own control sequences are kept."""

        def on_broken_pipe(self) -> None:
            raise OutputClosed

        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            if isinstance(renderable, str):
                renderable = one_line(renderable)
            elif isinstance(renderable, Text) and breaks_lines(renderable.plain):
                copied = renderable.copy()
                copied.plain = one_line(renderable.plain)
                renderable = copied
            for each in super().render(renderable, options):
                text = each.text if each.control else visible(each.text)
                yield Segment(text, each.style, each.control)

    stream: Any = _Reporting(_underlying(sys.stderr if stderr else sys.stdout))
    return Visible(file=stream, **{"markup": False, "highlight": False, **settings})
