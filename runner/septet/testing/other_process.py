"""Whether a plugin answers the same in other processes: live, replay and resume are others.

Python gives texts another hash in each process, so that the order of a set of them differs, and
whatever is made once in a process (a number made at import, a cache, a clock that was read) is
made anew. Two helper processes import the plugin with another hash of texts, another clock, time
zone, working folder and environment than this one (`septet.testing.altered_process`), and are
asked what it answers there and which values it reads by a name. Importing costs most: both serve
all plugins that are checked together (`keep_processes`).
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from septet._child_process import ChildLost, ChildProcess, ChildSilent, search_path
from septet._host.code_dependencies import NamedValue, made_at, named_values
from septet._host.declare import Declaration, Step
from septet._host.guarded_arrays import StepError
from septet._host.sources import code_digest, packages_of
from septet._text import decode_json
from septet.testing.case import NotTried
from septet.testing.evaluate import Resolve
from septet.testing.plugin_outputs import REQUESTS_KEY, Answers, Question
from septet_schemas.base import Config

__all__ = [
    "Named", "Reply", "Task", "ask_elsewhere", "keep_processes", "parts_of",
    "differing_value", "require_alike", "require_values_alike", "runs_plain", "values_here",
]  # fmt: skip

SEEDS: Final = ("1", "2")
"""What texts are hashed with in the other processes; this one's is Python's own, by chance."""
LIMIT_S: Final = 40.0
_PROGRAM: Final = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "from septet._kernel.garbage_collection import collect_seldom; collect_seldom(); "
    "from septet.testing.altered_process import serve; serve(int(sys.argv[1]), int(sys.argv[2]))"
)
_CAUSES: Final = (
    "the order of a set, the hash of a text, what a cache holds, the process, the time, the "
    "working folder and the environment are not the same in each"
)


class Named(NamedTuple):
    """Where a declaration is found: its module, and its name there."""

    module: str
    name: str


class Task(NamedTuple):
    """What another process is asked for; `inner` are features inside a feature, by their names."""

    declared: Named
    inner: Mapping[str, Named]
    question: Question


class Reply(NamedTuple):
    """What another process found: answers, and values read by a name (`named_values`)."""

    answers: Answers
    values: Mapping[str, NamedValue]


def runs_plain(step: Step, config: Config, resolve: Resolve) -> bool:
    """Whether a step, or one inside it, is called as plain Python."""
    return any(not each.compiled for _, each in parts_of(step, config, resolve))


def parts_of(step: Any, config: Config, resolve: Resolve) -> Iterator[tuple[str, Any]]:
    """Yield a declaration, its own name empty, and the features inside it by their names."""
    yield "", step
    inner = step.inner(config) if isinstance(step, Step) and step.inner else {}
    for part in inner.values():
        below = resolve(part.use)
        yield part.use, below
        for use, each in parts_of(below, below.config(**part.config), resolve):
            if use:
                yield use, each


def _named(declaration: Declaration) -> Named:
    """Return where a declaration is found."""
    builds = getattr(declaration, "function", None) or getattr(declaration, "build", None)
    for owner in (builds, declaration.config):
        module = sys.modules.get(str(getattr(owner, "__module__", "")))
        if module is None:
            continue
        for name, value in list(vars(module).items()):
            if value is declaration:
                return Named(str(module.__name__), name)
    raise NotTried("it is no name of its module, by which another process could find it")


# ---------------------------------------------------------------------------- the processes


def _start_process(number: int, folder: str) -> ChildProcess:
    """Start one of the other processes."""
    environment = {**os.environ, "PYTHONHASHSEED": SEEDS[number], "PYTHONDONTWRITEBYTECODE": "1"}
    return ChildProcess(
        _PROGRAM, [str(number), *search_path()], env=environment, cwd=folder,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


class _Processes:
    """Both other processes; begun when something is asked for, and again after one was lost."""

    def __init__(self) -> None:
        self._started: list[ChildProcess] = []

    def begin(self) -> None:
        """Start both, which then import what they need while this process does other work."""
        if self._started:
            return
        folder = os.sep if os.getcwd() != os.sep else tempfile.gettempdir()
        for number in range(len(SEEDS)):
            self._started.append(_start_process(number, folder))

    def ask(self, message: bytes) -> list[bytes]:
        """Ask both the same.

        Raises
        ------
        NotTried
            If one gives no answer in time.
        StepError
            If one ends without an answer.
        """
        self.begin()
        started, sound = list(self._started), False
        try:
            for each in started:
                each.send(message)
            ends = time.monotonic() + LIMIT_S
            found = [each.receive(ends) for each in started]
            sound = True
            return found
        except ChildSilent:
            why = f"another process did not answer within {LIMIT_S:g} s"
            raise NotTried(why) from None
        except ChildLost:
            why = "another process that calls it ends without an answer"
            raise StepError(why) from None
        finally:
            if not sound:  # it hangs, or is gone: what it would answer belongs to nobody
                self.end()

    def end(self) -> None:
        """End both."""
        started, self._started = self._started, []
        for each in started:
            each.kill()
            each.close()


_kept: list[_Processes] = []
_lock: Final = threading.RLock()


@contextlib.contextmanager
def keep_processes(*, begin: bool = False) -> Iterator[None]:
    """Serve all checks inside this context with the same two processes; they end with it.

    They are started when the first plugin asks for them, or at once with `begin`. Contexts inside
    another use its processes.
    """
    with _lock:
        outer = not _kept
        if outer:
            _kept.append(_Processes())
        if begin:
            _kept[0].begin()
    try:
        yield
    finally:
        if outer:
            with _lock:
                _kept.pop().end()


# ---------------------------------------------------------------------------- what is asked


def ask_elsewhere(declaration: Any, question: Question, resolve: Resolve) -> list[Reply]:
    """Return what other processes answer, one reply for each of `SEEDS`.

    Raises
    ------
    NotTried
        If the plugin cannot be handed over.
    StepError
        If it cannot be computed there.
    """
    parts = list(parts_of(declaration, question.config, resolve))
    inner = {use: _named(each) for use, each in parts if use}
    roots = sorted({name for _, each in parts for name in packages_of(each)})
    stamps = {name: code_digest(name) for name in roots}
    try:
        task = pickle.dumps(Task(_named(declaration), inner, question))
    except NotTried:
        raise
    except Exception as error:  # settings of a stranger's class
        why = f"its settings cannot be given to another process ({type(error).__name__})"
        raise NotTried(why) from None
    message = pickle.dumps((search_path(), os.getcwd(), stamps, task))
    with keep_processes():
        return [_reply(each) for each in _kept[0].ask(message)]


def _reply(answer: bytes) -> Reply:
    found = decode_json(answer)
    if "untried" in found:
        raise NotTried(f"another process cannot import it: {found['untried']}")
    if "problem" in found:
        raise StepError(f"in another process it fails: {found['problem']}")
    values = {name: NamedValue(*each) for name, each in found["values"].items()}
    return Reply(found["answers"], values)


def values_here(declaration: Any, question: Question, resolve: Resolve) -> dict[str, NamedValue]:
    """Return every value that a plugin reads by a name, of features inside it as well."""
    found: dict[str, NamedValue] = {}
    for _, each in parts_of(declaration, question.config, resolve):
        found |= named_values(each)
    return found | _defaults(question.config)


def _defaults(config: Config) -> dict[str, NamedValue]:
    """Return defaults that the settings leave as they are."""
    found = {}
    for name, info in type(config).model_fields.items():
        if name not in config.model_fields_set and not info.is_required():
            text = repr(info.get_default(call_default_factory=True))[:200]
            found[f"default of {name}"] = NamedValue("", name, text, text[:40])
    return found


# ---------------------------------------------------------------------------- what is required


def require_values_alike(
    here: Mapping[str, NamedValue], elsewhere: Mapping[str, NamedValue]
) -> None:
    """Require the same values behind the same names in both processes.

    Raises
    ------
    StepError
        With the first that differs, and the line at which it was made or is read.
    """
    message = differing_value(here, elsewhere)
    if message:
        raise StepError(message)


def differing_value(here: Mapping[str, NamedValue], elsewhere: Mapping[str, NamedValue]) -> str:
    """Return which value differs between two processes; empty where none does."""
    for who, value in sorted(here.items()):
        other = elsewhere.get(who)
        if other is not None and other.text == value.text:
            continue
        there = other.shown if other is not None else "not there"
        place = f"{made_at(value.place, value.name)}: " if value.place else ""
        return (
            f"{place}{value.name} is {value.shown} here and {there} in another process: it is made "
            f"at import, and {_CAUSES}"
        )
    return ""


def require_alike(here: Answers, elsewhere: Answers, cause: str = "") -> None:
    """Require the same answers of both processes, bit for bit.

    `cause` is reported where they differ: a value that differs as well.

    Raises
    ------
    StepError
        With the first that differs.
    NotTried
        If its trial asks a source for other rows in each process.
    """
    if here.get(REQUESTS_KEY) != elsewhere.get(REQUESTS_KEY):
        raise NotTried(
            "its trial asks for other times in each process, so that rows cannot be compared; fix "
            "its start_ns, end_ns and now_ns"
        )
    if here.keys() != elsewhere.keys():
        raise StepError("two processes give another number of answers")
    for name, values in here.items():
        other = elsewhere[name]
        if len(other) != len(values):
            raise StepError("two processes give another number of answers")
        at = next((k for k, each in enumerate(values) if each != other[k]), None)
        if at is not None:
            raise StepError(
                f"two processes differ: {name} at {at} is {values[at]:.60} here and "
                f"{other[at]:.60} there; {cause or _CAUSES}"
            )
