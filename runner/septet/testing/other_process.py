"""Whether a plain step answers the same in other processes: live, replay and resume are others.

Python gives texts another hash in each process, so that the order of a set of them differs, and
whatever is made once in a process (a cache, a clock that was read) is made anew. A step that is
compiled has none of these.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import pickle  # nosec B403
import subprocess  # nosec B404
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, Final, NamedTuple

import numpy as np

from septet._data.bars import Floats
from septet._host.declare import Step
from septet._host.guards import StepError
from septet._text import decode_json
from septet.testing.case import NotTried
from septet.testing.evaluate import Resolve
from septet_schemas.base import Config

__all__ = ["answers_elsewhere", "require_alike", "runs_plain"]

SEEDS: Final = ("1", "2")
"""What texts are hashed with in the other processes; this one's is Python's own, by chance."""
LIMIT_S: Final = 40.0
_PROGRAM: Final = (
    "import sys; sys.path[:] = sys.argv[1:]; "
    "from septet.testing.other_process import answer; answer()"
)


class Named(NamedTuple):
    """Where a step is found: its module, and its name there."""

    module: str
    name: str


class Task(NamedTuple):
    """What another process is asked for.

    `kind` is ``feature``, over `size` bars, or ``rule``, in `size` situations.
    """

    kind: str
    step: Named
    inner: Mapping[str, Named]
    config: Config
    bar_ns: int
    size: int


def runs_plain(step: Step, config: Config, resolve: Resolve) -> bool:
    """Whether a step, or one inside it, is called as plain Python."""
    return any(not each.compiled for _, each in _all_of(step, config, resolve))


def _all_of(step: Step, config: Config, resolve: Resolve) -> Iterator[tuple[str, Step]]:
    yield "", step
    for part in (step.inner(config) if step.inner else {}).values():
        below = resolve(part.use)
        yield part.use, below
        for use, each in _all_of(below, below.config(**part.config), resolve):
            if use:
                yield use, each


def _named(step: Step) -> Named:
    """Return where a step is found."""
    for owner in (step.function, step.config):
        module = sys.modules.get(str(getattr(owner, "__module__", "")))
        if module is None:
            continue
        for name, value in list(vars(module).items()):
            if value is step:
                return Named(str(module.__name__), name)
    raise NotTried("it is no name of its module, by which another process could find it")


def answers_elsewhere(
    kind: str, step: Step, config: Config, *, bar_ns: int, resolve: Resolve, count: int
) -> list[dict[str, Floats]]:
    """Return what a step answers in other processes, one for each of `SEEDS`.

    Raises
    ------
    NotTried
        If it cannot be handed over.
    StepError
        If it cannot be computed there.
    """
    inner = {use: _named(each) for use, each in _all_of(step, config, resolve) if use}
    try:
        task = pickle.dumps(Task(kind, _named(step), inner, config, bar_ns, count))
    except Exception as error:  # settings of a stranger's class
        why = f"its settings cannot be given to another process ({type(error).__name__})"
        raise NotTried(why) from None
    started = []
    for seed in SEEDS:
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"}
        started.append(
            subprocess.Popen(  # nosec B603
                [sys.executable, "-c", _PROGRAM, *sys.path], env=environment,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )
        )  # fmt: skip
    try:
        return [_answer_of(each, task) for each in started]
    finally:
        for each in started:
            each.kill()
            each.communicate()


def _answer_of(process: subprocess.Popen[bytes], task: bytes) -> dict[str, Floats]:
    try:
        written, _ = process.communicate(task, LIMIT_S)
    except subprocess.TimeoutExpired:
        raise NotTried(f"another process did not answer within {LIMIT_S:g} s") from None
    try:
        answer = decode_json(written)
    except ValueError:
        raise StepError("another process that calls it ends without an answer") from None
    if "untried" in answer:
        raise NotTried(f"another process cannot import it: {answer['untried']}")
    if "problem" in answer:
        raise StepError(f"in another process it fails: {answer['problem']}")
    return {name: np.array([float.fromhex(x) for x in each]) for name, each in answer.items()}


def require_alike(here: Mapping[str, Floats], elsewhere: Mapping[str, Floats]) -> None:
    """Require the same answers of both processes, bit for bit.

    Raises
    ------
    StepError
        With the first that differs.
    """
    for name, values in here.items():
        other = elsewhere.get(name, values[:0])
        if len(other) != len(values):
            raise StepError("two processes give another number of answers")
        differs = ~((values == other) | (np.isnan(values) & np.isnan(other)))
        if differs.any():
            at = int(np.argmax(differs))
            raise StepError(
                f"two processes differ: {name} at {at} is {float(values[at])!r} here and "
                f"{float(other[at])!r} there; the order of a set, what a cache holds, the time and "
                "the environment are not the same in each"
            )


def answer() -> None:
    """Do what the standard input asks for, and write the answers to the standard output."""
    found: dict[str, Any]
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        try:
            # What is read here was written by the process that started this one.
            task: Task = pickle.loads(sys.stdin.buffer.read())  # nosec B301
            step = _found(task.step)
            inner = {use: _found(each) for use, each in task.inner.items()}
        except Exception as error:  # a module of a stranger may raise anything
            found = {"untried": _words(error)}
        else:
            try:
                computed = _computed(task, step, inner)
                found = {name: [float(x).hex() for x in each] for name, each in computed.items()}
            except Exception as error:  # a stranger's step may raise anything
                found = {"problem": _words(error)}
    os.write(1, json.dumps(found).encode())


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _computed(task: Task, step: Step, inner: Mapping[str, Step]) -> dict[str, Floats]:
    if task.kind == "rule":
        from septet.testing.ranges import answers_of

        answers = answers_of(step, task.config, bar_ns=task.bar_ns, draws=task.size)
        return {"answer": np.array([value for _, each in answers for value in each])}
    from septet.testing.checks import Subject

    subject = Subject(step, task.config, bar_ns=task.bar_ns, resolve=inner.__getitem__)
    return subject.run(subject.bars(task.size), compiled=False)


def _found(named: Named) -> Any:
    return getattr(importlib.import_module(named.module), named.name)
