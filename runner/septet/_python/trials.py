"""Queries to this user's ledger of trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from septet._python.arguments import require
from septet._python.results import Trials
from septet._python.runs import Run
from septet._python.strategies import Strategy

if TYPE_CHECKING:
    from septet._trials.months import Month

__all__ = ["trials"]


def trials(subject: Strategy | Run | None = None) -> Trials:
    """Return what was tried; nothing is written.

    Parameters
    ----------
    subject
        A run: the plans tried on its data. A strategy: the plans tried on any data on which a
        strategy of its name was tried. None: the whole ledger, without an effective number, since
        the tries are on different data.

    Raises
    ------
    InputError
        If the bars of a run cannot be read.
    """
    from septet._app.trial_records import listed_tries

    fits = subject is None or isinstance(subject, Run | Strategy)
    require(fits, "subject", "a Strategy, a Run or None", subject)
    if isinstance(subject, Run):
        tries, rows = listed_tries(_months(subject))
    else:
        tries, rows = listed_tries(strategy=None if subject is None else subject.name)
    return Trials(
        tries.count, tries.effective, tries.declared, None, complete=not tries.problem,
        text=_sentence(tries.count, tries.problem), _rows=tuple(rows),
    )  # fmt: skip


def _sentence(count: int | None, problem: str) -> str:
    if problem:
        return f"How many plans were tried is not known: {problem}."
    plans = "1 plan was" if count == 1 else f"{count:,} plans were"
    return f"{plans} tried, as far as the ledger of trials knows."


def _months(run: Run) -> tuple[Month, ...]:
    from septet._trials.months import months_of_closes
    from septet_schemas.times import parse_moment

    first = parse_moment(run.summary.first_decision)
    names = ("open", "high", "low", "close", "volume")
    bars = run.scan("bars").select("symbol", "time", *names).collect()
    months: set[Month] = set()
    for (symbol,), part in bars.partition_by("symbol", as_dict=True).items():
        times = part.get_column("time").to_physical().to_numpy()
        is_in_span = times >= first
        columns = [part.get_column(name).to_numpy()[is_in_span] for name in names]
        months.update(months_of_closes(str(symbol), times[is_in_span], columns[3], columns))
    return tuple(sorted(months))
