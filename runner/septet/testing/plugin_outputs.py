"""What a plugin answers to the kit, as texts that two processes can compare.

Steps answer numbers over the kit's bars or in its situations, a model predictions, a monitor
readings, a source rows, a channel where it sends an alert, a venue its facts and its
answers on orders. Numbers are written so that equal texts are equal bits; of a channel and a venue
nothing is compared that may hold a time or an id.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from septet._host.declare import Factory, Step
from septet.testing.case import Case, called
from septet.testing.evaluate import Resolve
from septet.testing.local import local_server, opened, opened_async
from septet.testing.ranges import RULES
from septet_schemas.base import Config

__all__ = [
    "REQUESTS_KEY",
    "COMPARED_KINDS",
    "TRIAL_ONLY_KINDS",
    "Answers",
    "Question",
    "answers_to",
    "written",
]

Answers = Mapping[str, Sequence[str]]
"""Texts by what they are of: an output, a column of rows, predictions."""
REQUESTS_KEY: Final = "asked for"
"""Under this name stands what a source was asked for; it is no answer of its own."""
COMPARED_KINDS: Final = frozenset({"candles", "series", "model", "monitor", "alerts", "venue"})
"""Kinds of objects whose answers are compared."""
TRIAL_ONLY_KINDS: Final = frozenset({"alerts", "venue"})
"""Of these the kinds that answer only where they have a trial."""
_CHANGES: Final = re.compile(r"[0-9a-zA-Z]*[0-9][0-9a-zA-Z]*")
"""A word of an address with a digit: a time or an id."""
_MAX_CELLS: Final = 5_000
"""Cells of a column that are compared."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a plugin.

    `size` are bars of a feature, or situations of a rule; `names` are the features a model reads.
    """

    config: Config
    bar_ns: int
    size: int = 0
    names: tuple[str, ...] = ()


def answers_to(declaration: Any, question: Question, resolve: Resolve) -> Answers:
    """Ask a plugin; whatever it raises passes."""
    if isinstance(declaration, Factory):
        return _of_object(declaration, question)
    return written(_of_step(declaration, question, resolve))


def written(values: Mapping[str, Any]) -> Answers:
    """Write numbers as texts; one NaN is as good as another, and so is one zero."""
    return {
        name: [repr(float(each) + 0.0) for each in np.asarray(array).tolist()]
        for name, array in values.items()
    }


def _of_step(step: Step, question: Question, resolve: Resolve) -> Mapping[str, Any]:
    if step.kind in RULES:
        from septet.testing.ranges import answers_of

        answers = answers_of(step, question.config, bar_ns=question.bar_ns, draws=question.size)
        return {"answer": [value for _, each in answers for value in each]}
    from septet.testing.checks import Subject

    subject = Subject(step, question.config, bar_ns=question.bar_ns, resolve=resolve)
    return subject.run(subject.bars(question.size), compiled=False)


def _of_object(declaration: Factory, question: Question) -> Answers:
    def build(settings: Any) -> Any:
        return called(declaration.build, settings)

    if declaration.kind == "venue":
        return _of_venue(declaration, build)
    ask = _ASK[declaration.kind]
    with tempfile.TemporaryDirectory() as folder, local_server(Path(folder)) as local:
        case = Case(question.names, local, build, bar_ns=question.bar_ns)
        if declaration.trial is None:
            return ask(build(question.config), case)
        with opened(declaration.trial, local) as found:
            return ask(build(found.config), replace(case, trial=found))


def _of_model(built: Any, case: Case) -> Answers:
    from septet._learn.trainer import complete
    from septet.testing.objects import sample_window

    window = sample_window(case.names or ("a", "b", "c"))
    fitted = called(complete(built, "none", "none").fit, window)
    return written({"prediction": called(fitted.model.predict, window.x)})


def _of_monitor(built: Any, _: Case) -> Answers:
    from septet.testing.objects import readings_of, sample_run

    return {"reading": [str(each) for each in readings_of(called(built.read, sample_run()))]}


def _of_source(built: Any, case: Case) -> Answers:
    from septet.testing.source_trials import asked_of, rows_of

    asked = asked_of(case)
    times = (asked.symbols, asked.bar_ns, asked.start_ns, asked.end_ns, asked.now_ns)
    found: dict[str, Sequence[str]] = {REQUESTS_KEY: [repr(each) for each in times]}
    for number, rows in enumerate(rows_of(built, asked)):
        label = getattr(rows, "symbol", "") or f"series {number}"
        found[f"rows of {label}"] = [str(len(rows.frame))]
        for column in rows.frame.head(_MAX_CELLS).iter_columns():
            found[f"{column.name} of {label}"] = [repr(each) for each in column.to_list()]
    return found


def _of_channel(built: Any, case: Case) -> Answers:
    """Return where the requests of one alert go; their text may hold a time, or a folder."""
    local = case.local
    called(built.send, "septet", "the kit tries this channel", local.read, "warning")
    places = (f"{each.method} {each.path.partition('?')[0]}" for each in local.requests)
    return {"request": [_CHANGES.sub("#", each) for each in places]}


def _of_venue(declaration: Factory, build: Callable[[Any], Any]) -> Answers:
    """Return a venue's facts and its answers on the kit's orders, at its author's local one."""
    from septet.testing.order_script import connect_to, live_through

    trial = declaration.trial

    async def lived() -> Answers:
        with tempfile.TemporaryDirectory() as folder, local_server(Path(folder)) as local:
            async with opened_async(trial, local) as found:
                link = connect_to(build(found.config), local.read)
                return await live_through(link, found)

    return asyncio.run(lived())


_ASK: Final[Mapping[str, Callable[[Any, Case], Answers]]] = {
    "candles": _of_source, "series": _of_source, "model": _of_model, "monitor": _of_monitor,
    "alerts": _of_channel,
}  # fmt: skip
