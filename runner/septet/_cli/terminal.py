"""What is printed: control characters, and those that turn the direction of text, become visible.

Names, cells and messages come from files that a stranger may have written. `visible` is the one
function that all of it passes: `guarded_streams` puts it before standard output and standard error
for the time of a command, and `console` gives the rich console that writes the same way.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console", "guarded_streams", "visible"]

_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_STYLE: Final = re.compile(r"(\x1b\[(?:[0-3]|22|3[0-79]|9[0-7])?(?:;(?:[0-3]|3[0-7]|9[0-7]))*m)")
"""Colours and weights as our own messages have them; nothing that hides or moves."""


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 0x80 else f"\\u{number:04x}"


def visible(text: str, *, styled: bool = False) -> str:
    r"""Write characters that a terminal obeys as ``\x1b`` or ``\u202e``; lines and tabs stay.

    `styled` leaves colours and weights as they are, which can neither hide nor move anything.
    """
    if not _HIDDEN.search(text):
        return text
    if not styled:
        return _HIDDEN.sub(_escape, text)
    parts = _STYLE.split(text)
    return "".join(part if at % 2 else _HIDDEN.sub(_escape, part) for at, part in enumerate(parts))


class _Guarded:
    """A text stream to which everything is written visibly; it shows nothing of its buffer."""

    def __init__(self, stream: IO[str]) -> None:
        self._septet_stream = stream

    def write(self, text: str) -> int:
        if not isinstance(text, str):  # how click asks whether a stream takes bytes
            raise TypeError(f"expected text, found {type(text).__name__}")
        self._septet_stream.write(visible(text, styled=True))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":  # click would write past this
            raise AttributeError(name)
        return getattr(self._septet_stream, name)


def _bare(stream: Any) -> Any:
    return stream._septet_stream if isinstance(stream, _Guarded) else stream


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Let everything that is written to standard output and standard error be visible."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_Guarded(_bare(each)) for each in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def console(*, stderr: bool = False, **settings: Any) -> Console:
    """Return a console whose texts are visible; square brackets in them mean nothing."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class Visible(Console):
        """Escapes what is rendered; the console's own movements are no text and stay."""

        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            for each in super().render(renderable, options):
                text = each.text if each.control else visible(each.text)
                yield Segment(text, each.style, each.control)

    stream = _bare(sys.stderr if stderr else sys.stdout)
    return Visible(file=stream, **{"markup": False, "highlight": False, **settings})
