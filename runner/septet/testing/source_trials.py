"""Checks of sources: they give bars, or a series, that do not depend on what comes later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from septet._data.normalise import normalise
from septet._data.series import normalise_series
from septet._data.source import RawBars, RawSeries, Request
from septet._host.guarded_arrays import StepError
from septet.errors import SeptetError
from septet.testing.case import Case, NotTried, called, takes
from septet.testing.local import Trial
from septet_schemas.base import Config
from septet_schemas.data import CandlesConfig, SeriesConfig

__all__ = ["asked_of", "rows_of", "try_source"]

START_NS: Final = 1_640_995_200_000_000_000
TRIAL_HINT: Final = "with trial= it is tried against local answers (docs/plugins.md, section 6)"


def try_source(built: Any, case: Case) -> None:
    """Download and read twice, and read fewer rows; what is there does not depend on the end."""
    name = type(built).__name__
    read = takes(built, "read", "request")
    fetch = takes(built, "fetch", "request", "progress") if hasattr(built, "fetch") else None
    if fetch is not None and case.trial is None:
        raise NotTried(f"it downloads, and the kit does not reach out; {TRIAL_HINT}")
    asked = asked_of(case)
    end_ns = asked.end_ns
    if fetch is not None:
        called(fetch, asked, _no_progress)
    first = _first(read, asked, case)
    if fetch is not None:
        called(fetch, asked, _no_progress)
    if not _equal(first, _answer(name, called(read, asked))):
        raise StepError(
            f"{name}.read gives other rows the second time; "
            "they follow from its settings and the request alone"
        )
    _require_rows(name, first, asked, of_trial=case.trial is not None)
    if end_ns is None:
        return
    begin_ns = asked.start_ns if asked.start_ns is not None else end_ns - 100 * asked.bar_ns
    shorter = replace(asked, end_ns=end_ns - (end_ns - begin_ns) // 4)
    for whole, cut in zip(first, _answer(name, called(read, shorter)), strict=True):
        count = min(len(whole.frame), len(cut.frame))
        if not whole.frame.head(count).equals(cut.frame.head(count)):
            raise StepError(f"{name}.read gives other rows when fewer are asked for")


def asked_of(case: Case) -> Request:
    """Return what a source is asked for: the request of its trial, or 400 bars."""
    from septet._data.bar_store import BarStore

    bar_ns = case.bar_ns
    trial = case.trial or Trial(
        Config(), bar_ns=bar_ns, start_ns=START_NS, end_ns=START_NS + 400 * bar_ns
    )
    return Request(
        trial.symbols, trial.bar_ns, trial.start_ns, trial.end_ns, case.local.folder,
        now_ns=trial.now_ns or trial.end_ns or 2**63 - 1,
        store=BarStore(case.local.folder / "store"), read=case.local.read,
    )  # fmt: skip


def rows_of(built: Any, asked: Request) -> list[Any]:
    """Download, where a source does, and read once."""
    if hasattr(built, "fetch"):
        called(built.fetch, asked, _no_progress)
    return _answer(type(built).__name__, called(built.read, asked))


def _no_progress(stage: str, done: int, total: int | None, text: str, /) -> None:
    """Receive the progress of a download."""


def _first(read: Any, asked: Request, case: Case) -> list[Any]:
    """Read the first time; what cannot be read without the file's settings is not tried."""
    if case.trial is not None:
        answer = called(read, asked)
    else:
        try:
            answer = read(asked)
        except Exception as error:  # a stranger's source may raise anything
            why = f"it cannot be read without what the file states: {error}"
            raise NotTried(f"{why}; {TRIAL_HINT}") from None
    found = _answer("the source", answer)
    if not any(len(each.frame) for each in found):
        if case.trial is not None:
            raise StepError("read gives no rows of what its trial asks for")
        raise NotTried(f"it has no rows of its own; {TRIAL_HINT}")
    return found


def _answer(name: str, answer: Any) -> list[Any]:
    """Return what was read as a list of rows."""
    rows = list(answer) if isinstance(answer, list | tuple) else [answer]
    for each in rows:
        if not isinstance(each, RawBars | RawSeries):
            raise StepError(
                f"{name}.read returns {each!r:.60}; expected a list of RawBars, or RawSeries"
            )
    return rows


def _equal(some: Sequence[Any], others: Sequence[Any]) -> bool:
    return len(some) == len(others) and all(
        a.frame.equals(b.frame) for a, b in zip(some, others, strict=True)
    )


def _require_rows(name: str, rows: Sequence[Any], asked: Request, *, of_trial: bool) -> None:
    """Require that rows pass the one path of all data, with nothing of the future.

    A source that was not asked for its author's request may have other bars than the kit asks
    for: the run checks what it returns there.
    """
    bars = [each for each in rows if isinstance(each, RawBars)]
    missing = sorted({*asked.symbols} - {each.symbol for each in bars}) if bars else []
    if missing:
        raise StepError(f"{name}.read gives no rows of {', '.join(missing)}")
    for each in rows:
        try:
            known = _known_ns(each, asked)
        except SeptetError as error:
            message = f"what {name}.read gives is refused: {error.message}"
            if not of_trial:
                raise NotTried(f"{message}; {TRIAL_HINT}") from None
            raise StepError(message) from None
        late = int((known > asked.now_ns).sum())
        if of_trial and late > isinstance(each, RawBars):  # the newest bar may be unfinished
            raise StepError(
                f"{name}.read gives {late} rows that are not known at the time at which they are "
                "asked for (now_ns): the future"
            )


def _known_ns(rows: RawBars | RawSeries, asked: Request) -> Any:
    """Return when each row is known, by the rules of every run."""
    if isinstance(rows, RawSeries):
        return normalise_series(asked.name, rows, SeriesConfig(known_after=0))[0].known_ns
    keys = CandlesConfig(stamp=rows.facts.stamp or "open", adjust="none")
    return normalise(rows, keys, bar_ns=asked.bar_ns).bars.known_ns
