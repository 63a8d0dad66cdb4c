"""Errors of steps that name the plugin, the step, and the line of its file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from septet._host.declare import Step
from septet._host.error_lines import compiler_fault, line_in
from septet._host.plugin_calls import is_theirs, words_of
from septet._plan.python_features import PythonFeatures
from septet.errors import PluginError, RunError, SeptetError

__all__ = ["NamedEntries", "not_compiled"]

Steps = Sequence[tuple[Step, str]]


def not_compiled(error: BaseException, steps: Steps) -> PluginError:
    """Return the compiler's error on a step in one line."""
    text = compiler_fault(error)
    file, _, after_file = text.partition(":")
    line = after_file.partition(":")[0]
    failed = _step_at(file, int(line) if line.isdigit() else 0, steps)
    if failed is None:
        wired = ", ".join(sorted({step.function.__name__ for step, _ in steps if step.function}))
        return PluginError(
            f"a step cannot be compiled: {text}",
            hint=f"steps of this plan: {wired}; try septet plugins check",
        )
    return PluginError(
        f"{_title(*failed)} cannot be compiled: {text}",
        hint="a step allocates nothing, writes to no input, and uses numbers, math and helpers; "
        "compiled=False runs it as it is, slowly",
    )


def _step_at(file: str, line: int, steps: Steps) -> tuple[Step, str] | None:
    """Return the step whose source contains a line: the last that begins before it."""
    starts = [
        (step.function.__code__.co_firstlineno, number)
        for number, (step, _) in enumerate(steps)
        if step.function is not None and step.function.__code__.co_filename == file
    ]
    earlier = [each for each in sorted(starts) if each[0] <= line] or sorted(starts)
    return steps[earlier[-1][1]] if earlier else None


def _title(step: Step, distribution: str) -> str:
    name = step.function.__name__ if step.function else step.config.__name__
    return f"the {step.kind} {name} of {distribution or 'an unknown package'}"


class NamedEntries:
    """The entries of a plan with plain Python in it: an error of a step names its plugin."""

    def __init__(self, module: Any, steps: Steps, outside: PythonFeatures | None = None) -> None:
        self._module, self._steps, self._outside = module, steps, outside

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        return self._named(value) if callable(value) else value

    def _named(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def called(*arguments: Any) -> Any:
            try:
                result = function(*arguments)
                self._raise_outside()
                return result
            except SeptetError:
                raise
            except BaseException as error:  # a stranger's step may raise anything
                if not is_theirs(error):
                    raise
                raise self._fault(error) from error

        return called

    def _raise_outside(self) -> None:
        """Raise the error of a step that compiled text has called."""
        if self._outside is not None and self._outside.error is not None:
            error, self._outside.error = self._outside.error, None
            raise error

    def _fault(self, error: BaseException) -> BaseException:
        """Return the error to raise; the same one where its traceback has no file of a step."""
        owners = {id(step): distribution for step, distribution in self._steps}
        step, line = line_in(error, [step for step, _ in self._steps])
        if step is None:
            return error
        text = f"{type(error).__name__}: {words_of(error)}"
        return RunError(
            f"{_title(step, owners[id(step)])} failed at {line}: {text}",
            hint="a step answers NaN where there is no answer; septet plugins check tries it",
        )
