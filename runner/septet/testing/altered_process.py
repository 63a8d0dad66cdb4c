"""The other process of the kit: plugins are asked here under another clock, folder, environment.

What of these a plugin cannot do without is given back: a plugin that raises is asked once more as
in the process that started this one, and only a difference between answers counts.
"""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import gc
import importlib
import io
import json
import os
import pickle
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, Final

from septet._child_process import framed, read_message
from septet.testing.other_process import Named, Task, values_here
from septet.testing.plugin_outputs import answers_to

__all__ = ["serve"]

_DAY_S: Final = 86_400
SHIFTS_S: Final = (401 * _DAY_S + 18_433.25, -(97 * _DAY_S + 12_107.5))
"""By how much the clocks differ: year or month, day, weekday, hour, minute and second."""
ZONES: Final = ("KIT-5:30", "KIT+3:45")
UNSET_VALUES: Final = ("7", "11")
"""What a plugin reads of a variable that is not set."""
_SECONDS: Final = ("time", "monotonic", "perf_counter", "process_time", "thread_time")
_PASSED_THROUGH: Final = frozenset({"os", "_collections_abc", "collections.abc", __name__})


def serve(answers: int, number: int) -> None:
    """Answer what the standard input asks for, one message after another, until it ends.

    `answers` is the handle that answers are written to; what plugins print is dropped.
    """
    altered = _Altered(number)
    stamps: dict[str, str] = {}
    stream = sys.stdin.buffer
    while (asked := read_message(stream)) is not None:
        # What is read here was written by the process that started this one.
        paths, folder, named, task = pickle.loads(asked)  # noqa: S301
        sys.path[:] = paths
        _forget(stamps, named)
        altered.packages, altered.their_folder = frozenset(named), folder
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            found = json.dumps(_answered(altered, task, named)).encode()
        message = framed(found)
        while message:
            message = message[os.write(answers, message) :]


def _forget(stamps: dict[str, str], named: Mapping[str, str]) -> None:
    """Forget packages whose files changed since they were imported here."""
    for root, stamp in named.items():
        if stamps.get(root, stamp) != stamp:
            _drop(root)
        stamps[root] = stamp


def _drop(root: str) -> None:
    for name in [each for each in sys.modules if each.partition(".")[0] == root]:
        del sys.modules[name]
    importlib.invalidate_caches()


def _answered(altered: _Altered, task: bytes, named: Mapping[str, str]) -> dict[str, Any]:
    try:
        with altered.all():
            return _asked(task)
    except BaseException:  # whatever a stranger's code raises: it may need what was altered
        for root in named:
            _drop(root)
    try:
        return _asked(task)
    except _Untried as error:
        return {"untried": str(error)}
    except BaseException as error:  # a stranger's step may raise anything
        return {"problem": _words(error)}


class _Untried(Exception):
    """What was asked for cannot be imported here."""


def _asked(task: bytes) -> dict[str, Any]:
    try:
        asked: Task = pickle.loads(task)  # noqa: S301
        declaration = _found(asked.declared)
        inner = {use: _found(each) for use, each in asked.inner.items()}
    except Exception as error:  # a module of a stranger may raise anything
        raise _Untried(_words(error)) from error
    values = values_here(declaration, asked.question, inner.__getitem__)
    answers = answers_to(declaration, asked.question, inner.__getitem__)
    return {"answers": answers, "values": values}


def _found(named: Named) -> Any:
    return getattr(importlib.import_module(named.module), named.name)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__


# ---------------------------------------------------------------------------- what is altered


class _Altered:
    """What differs from the process that started this one, beside its hash of texts and its id."""

    def __init__(self, number: int) -> None:
        self.number, self.packages = number, frozenset[str]()
        self.folder = self.their_folder = os.getcwd()
        self._variables = {"TZ": ZONES[number], **{f"KIT_{k}": "1" for k in range(number + 1)}}

    @contextlib.contextmanager
    def all(self) -> Iterator[None]:
        """Alter everything; afterwards the working folder is that of the other process."""
        with contextlib.ExitStack() as stack:
            stack.callback(_go_to, self.their_folder)
            _go_to(self.folder)
            for context in (self._environment(), _clock(SHIFTS_S[self.number])):
                stack.enter_context(context)
            yield

    @contextlib.contextmanager
    def _environment(self) -> Iterator[None]:
        """Change the time zone, add variables, and answer otherwise to code of the plugin."""
        before = {name: os.environ.get(name) for name in self._variables}
        os.environ.update(self._variables)
        time.tzset()
        kind: Any = type(os.environ)
        real = kind.__getitem__

        def answer(environ: Any, name: str) -> str:
            if environ is not os.environ or _asking() not in self.packages:
                return str(real(environ, name))
            try:
                return _other(real(environ, name))
            except KeyError:
                return UNSET_VALUES[self.number]

        kind.__getitem__ = answer
        try:
            yield
        finally:
            kind.__getitem__ = real
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value
            time.tzset()


def _go_to(folder: str) -> None:
    with contextlib.suppress(OSError):  # it was removed meanwhile
        os.chdir(folder)


def _asking() -> str:
    """Return the package whose code asks for a variable."""
    frame: Any = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__") in _PASSED_THROUGH:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] if frame else ""


def _other(value: str) -> str:
    """Return another value: another number of a number, another text of a text."""
    try:
        return str(int(value) + 1)
    except ValueError:
        return f"{value}-other"


@contextlib.contextmanager
def _clock(by_s: float) -> Iterator[None]:
    """Shift every clock of Python by a number of seconds; those of compiled libraries go on."""
    by_ns = round(by_s * 1e9)
    with contextlib.ExitStack() as stack:
        for name in _SECONDS:
            _put(stack, name, _later(getattr(time, name), by_s))
            _put(stack, f"{name}_ns", _later(getattr(time, f"{name}_ns"), by_ns))
        now = time.time
        for name, given in (("gmtime", 0), ("localtime", 0), ("ctime", 0), ("strftime", 1)):
            _put(stack, name, _at_now(getattr(time, name), now, given))
        day, moment = datetime.date, datetime.datetime
        shift = datetime.timedelta(seconds=by_s)
        real = {each: getattr(moment, each) for each in ("now", "utcnow", "today")}
        _bind(stack, moment, "now", lambda cls, tz=None: real["now"](tz) + shift)
        _bind(stack, moment, "utcnow", lambda cls: real["utcnow"]() + shift)
        _bind(stack, moment, "today", lambda cls: real["now"]() + shift)
        _bind(stack, day, "today", lambda cls: cls.fromtimestamp(now()))
        yield


def _later(real: Callable[[], Any], by: Any) -> Callable[[], Any]:
    return lambda: real() + by


def _at_now(real: Callable[..., Any], now: Callable[[], float], given: int) -> Callable[..., Any]:
    """Return a function of the module time that means now where no time is given."""

    def called(*arguments: Any) -> Any:
        if len(arguments) > given and arguments[given] is not None:
            return real(*arguments)
        at = time.localtime(now()) if given else now()
        return real(*arguments[:given], at)

    return called


def _put(stack: contextlib.ExitStack, name: str, value: Any) -> None:
    stack.callback(setattr, time, name, getattr(time, name))
    setattr(time, name, value)


def _bind(stack: contextlib.ExitStack, kind: type, name: str, function: Any) -> None:
    """Put a class method into a class of C, whose identity libraries rely on."""
    names = gc.get_referents(vars(kind))[0]

    def put(value: Any, *, gone: bool = False) -> None:
        if gone:
            names.pop(name, None)
        else:
            names[name] = value
        ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))

    before = names.get(name)
    stack.callback(put, before, gone=before is None)
    put(classmethod(function))
