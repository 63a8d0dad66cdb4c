"""The page that shows runs side by side."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from septet._app.compare import (
    MOST_COMPARED,
    ComparedRun,
    compared_run,
    differing,
    growth_still,
)
from septet._dashboard.cached_views import View, Views
from septet._dashboard.events import state_digest
from septet._dashboard.forms import form_of
from septet._dashboard.job_pages import JobPages, Subject, owner_of
from septet._dashboard.listing import named_folder
from septet._dashboard.site import OPERATE, VIEW, Right
from septet._dashboard.stills import at_both_widths
from septet._diff.part_names import MEANS, NAMES
from septet._jobs.diff_process import diff_in_process
from septet._jobs.jobs import Job
from septet._progress import Progress
from septet._report.why import value_text
from septet._results.number_texts import count, number, percent
from septet._text import one_line, shortened
from septet.errors import InputError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["ComparePages", "gap_view"]

_Answer = Callable[["Request"], "Response"] | Callable[["Request"], Awaitable["Response"]]

_FIGURES: Final[tuple[tuple[str, str, Callable[[Any], str]], ...]] = (
    ("Mode", "mode", value_text), ("First decision", "first_decision", value_text),
    ("End", "end", value_text), ("Return", "total_return", percent),
    ("Return a year", "cagr", percent), ("Sharpe", "sharpe", number),
    ("Sortino", "sortino", number), ("Deepest drawdown", "max_drawdown", percent),
    ("Buy and hold", "buy_and_hold_return", percent), ("Trades", "trades", count),
    ("Win rate", "win_rate", percent), ("Profit factor", "profit_factor", number),
    ("Exposure", "exposure", percent), ("Turnover a year", "turnover", number),
    ("Fees", "fees", value_text), ("Slippage", "slippage", value_text),
)  # fmt: skip
_MAX_ROWS: Final = 200
_MAX_GAPS: Final = 16


class ComparePages:
    """Answers the comparison of two to six runs."""

    def __init__(
        self, show: Callable[..., Response], views: Views, root: Path, jobs: JobPages
    ) -> None:
        self.show, self.views, self.root, self.jobs = show, views, root, jobs
        self._gaps: OrderedDict[tuple[Path, Path], _Found] = OrderedDict()
        self._lock = Lock()

    def routes(self) -> list[tuple[str, str, Right, _Answer]]:
        """Return path, method, right and answer of each."""
        return [
            ("/compare", "GET", VIEW, self.compare),
            ("/compare-causes", "POST", OPERATE, self.begin),
        ]

    def compare(self, request: Request) -> Response:
        """Answer the runs that the address names, side by side."""
        keys = list(dict.fromkeys(request.query_params.getlist("run")))
        runs = self._read(keys)
        rows = differing(runs)
        letters = "ABCDEF"[: len(runs)]
        names = [
            f"{letter}: {shortened(one_line(each.summary['strategy']), 30)}"
            for letter, each in zip(letters, runs, strict=True)
        ]
        return self.show(
            request, "compare.html",
            runs=[
                {
                    "key": key, "letter": letter, "run_id": each.run_id,
                    "strategy": each.summary["strategy"], "verdict": each.summary.get("verdict"),
                    "tries": (each.summary.get("tries") or {}).get("text"),
                    "problem": each.problem,
                }
                for key, letter, each in zip(keys, letters, runs, strict=True)
            ],
            figures=[
                (label, [write(each.summary.get(name)) for each in runs])
                for label, name, write in _FIGURES
            ],
            settings=rows[:_MAX_ROWS], left_out=max(0, len(rows) - _MAX_ROWS),
            still=at_both_widths(lambda width: growth_still(runs, names, width=width)),
            causes=self._causes(keys, runs),
        )  # fmt: skip

    def _read(self, keys: Sequence[str]) -> list[ComparedRun]:
        if not 2 <= len(keys) <= MOST_COMPARED:
            raise InputError(
                f"{len(keys)} runs are chosen, and two to {MOST_COMPARED} are compared",
                hint="choose them in the list of all runs",
            )
        return [self.views.ask(named_folder(self.root, key), _read) for key in keys]

    def _causes(self, keys: Sequence[str], runs: Sequence[ComparedRun]) -> dict[str, Any] | None:
        """Return what is known of the gap of a live run and its backtest; None for other runs."""
        if len(runs) != 2 or runs[0].live == runs[1].live:
            return None
        live, past = (0, 1) if runs[0].live else (1, 0)
        pair = named_folder(self.root, keys[live]), named_folder(self.root, keys[past])
        with self._lock:
            found = self._gaps.get(pair)
        return {
            "live": keys[live], "backtest": keys[past],
            "command": f"septet runs diff {runs[live].run_id} {runs[past].run_id}",
            "gap": None if found is None else gap_view(found.gap),
            "is_old": found is not None and found.mark != state_digest(pair),
        }  # fmt: skip

    async def begin(self, request: Request) -> Response:
        """Begin to find the causes of a gap in a process of its own, and lead to its job."""
        form = await form_of(request)
        job = await run_in_threadpool(self._begun, request, form)
        return RedirectResponse(f"/job?id={job.id}", 303)

    def _begun(self, request: Request, form: Mapping[str, str]) -> Job:
        live, backtest = form.get("live", ""), form.get("backtest", "")
        runs = self._read([live, backtest])
        if not (runs[0].live and not runs[1].live):
            raise InputError(
                "a gap is between a paper or live run and a backtest",
                hint="choose one of each in the list of all runs",
            )
        pair = named_folder(self.root, live), named_folder(self.root, backtest)

        def work(progress: Progress) -> dict[str, Any]:
            mark = state_digest(pair)  # before they are read: what is written now is new
            gap = diff_in_process(*pair, progress)
            with self._lock:
                self._gaps[pair] = _Found(mark, gap)
                self._gaps.move_to_end(pair)
                while len(self._gaps) > _MAX_GAPS:
                    self._gaps.popitem(last=False)
            return {"gap": gap["gap"]}

        page = "/compare?" + urlencode([("run", live), ("run", backtest)], errors="surrogateescape")
        name = f"{runs[0].run_id} against {runs[1].run_id}"
        subject = Subject(
            f"Causes of the gap of {name}", name, page, "Back to the comparison",
            lambda result: page, "The causes, beside the figures of both runs",
            by=request.state.visitor.name,
        )  # fmt: skip
        return self.jobs.begin("comparison", subject, work, owner_of(request))


@dataclass(frozen=True, slots=True)
class _Found:
    """A gap as a document, and the mark of both runs as they were before it was found."""

    mark: str
    gap: dict[str, Any]


def gap_view(gap: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rows of a gap that are shown: its steps, and the causes of each part."""
    causes: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for each in gap["causes"]:
        causes.setdefault(each["part"], {}).setdefault(each["kind"], []).append(each)
    equities = list(gap["equity"].values())
    return {
        **gap, "start": equities[0], "end": equities[-1],
        "steps": [
            (NAMES[part], MEANS[part], change, equity, _share(change, gap["capital"]))
            for (part, change), equity in zip(gap["parts"].items(), equities[1:], strict=False)
        ],
        "share": _share(gap["gap"], gap["capital"]),
        "found": [
            (NAMES[part], [
                (kind, gap["counts"][part][kind], rows) for kind, rows in kinds.items()
            ])
            for part, kinds in causes.items()
        ],
    }  # fmt: skip


def _share(change: float, capital: float) -> float | None:
    return change / capital if capital else None


def _read(view: View) -> ComparedRun:
    if view.run is None:
        raise InputError(f"a chosen run cannot be read: {view.damaged}")
    return compared_run(view.run)
