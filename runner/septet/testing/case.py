"""What every trial of an object has: how its methods are called, and what it is tried with."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from septet._host.guarded_arrays import StepError, located
from septet._host.models import Untrainable
from septet._host.plugin_calls import is_theirs
from septet.testing.bars import HOUR_NS
from septet.testing.local import LocalServer, Trial

__all__ = ["Case", "NotTried", "called", "silent", "takes"]


class NotTried(Exception):
    """Why the kit cannot exercise a component; it is then neither kept nor failed."""


@dataclass(frozen=True, slots=True)
class Case:
    """What a component is tried with.

    Features a model reads, a local server, the bar of the file, and an author's trial.
    """

    names: Sequence[str]
    local: LocalServer
    build: Callable[[Any], Any]
    trial: Trial | None = None
    bar_ns: int = HOUR_NS


def called(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Call a stranger's method; what it raises names the place."""
    try:
        return function(*arguments, **named)
    except (NotTried, Untrainable):
        raise
    except BaseException as error:  # a stranger's method may raise anything
        if not is_theirs(error):
            raise
        raise located(error) from error


class _Printed:
    """A stream that remembers the first text which code of one package writes to it."""

    def __init__(self, stream: Any, package: str) -> None:
        self._stream, self._package = stream, package
        self.printed = ""

    def write(self, text: str) -> Any:
        frame = sys._getframe(1)
        root = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if root == self._package:
            self.printed = self.printed or (
                f"{frame.f_code.co_filename}:{frame.f_lineno}: it prints {text!r:.60}"
            )
            return len(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def silent(package: str) -> Iterator[None]:
    """Require of code of a package that it prints nothing.

    Raises
    ------
    StepError
        With the line that does, after whatever else is wrong.
    """
    before = sys.stdout, sys.stderr
    streams = [_Printed(each, package) for each in before]
    sys.stdout, sys.stderr = streams
    try:
        yield
    except BaseException as error:  # a stranger's method may raise anything
        if not isinstance(error, NotTried) or not any(each.printed for each in streams):
            raise
    finally:
        sys.stdout, sys.stderr = before
    for each in streams:
        if each.printed:
            raise StepError(
                f"{each.printed}; a plugin answers by its return value, or by an exception"
            )


def takes(built: Any, method: str, *arguments: str, **named: str) -> Any:
    """Require a method that takes these arguments."""
    found = getattr(built, method, None)
    if not callable(found):
        raise StepError(f"{type(built).__name__} has no {method}({', '.join(arguments)})")
    try:
        inspect.signature(found).bind(*arguments, **named)
    except TypeError as error:
        expected = ", ".join([*arguments, *named])
        raise StepError(
            f"{type(built).__name__}.{method}: {error}; expected {method}({expected})"
        ) from None
    return found
