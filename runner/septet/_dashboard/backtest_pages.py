"""Backtests from the page: a strategy of the folder is run with changed settings, as a job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from septet._dashboard.forms import form_of
from septet._dashboard.job_pages import JobPages, Subject, owner_of
from septet._dashboard.site import OPERATE, Right, Site
from septet._dashboard.strategy_pages import (
    LARGEST_TEXT,
    StrategyPages,
    refused,
    setting_values,
)
from septet._jobs.backtest_process import Backtest, run_in_process
from septet._jobs.jobs import TooManyJobs
from septet._text import one_line, shortened
from septet.errors import InputError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from septet._progress import Progress

__all__ = ["BacktestPages"]

_Answer = Callable[["Request"], "Response"] | Callable[["Request"], Awaitable["Response"]]
_LONGEST_HYPOTHESIS: Final = 500


class BacktestPages:
    """Answers the requests about backtests that the page runs, one at a time, the others waiting.

    Nothing but a backtest runs, whatever the mode of the file; it reads what lies in the folder of
    strategies, and its run is stored in the folder of runs that the page shows.
    """

    def __init__(self, site: Site, strategies: StrategyPages, jobs: JobPages) -> None:
        self.site, self.strategies, self.jobs = site, strategies, jobs

    def routes(self) -> list[tuple[str, str, Right, _Answer]]:
        """Return path, method, right and answer of each."""
        return [("/backtest", "POST", OPERATE, self.begin)]

    async def begin(self, request: Request) -> Response:
        """Begin a backtest of a text as if it stood in its file, and lead to its job."""
        form = await form_of(request, LARGEST_TEXT)
        return await run_in_threadpool(self._begun, request, form)

    def _begun(self, request: Request, form: dict[str, str]) -> Response:
        workspace, file = self.strategies.require_workspace(), form.get("file", "")
        workspace.read(file)
        text, sets = form.get("text", "").replace("\r\n", "\n"), form.get("sets", "")
        # A text is read where it is checked: in a process that is bounded.
        found = self.strategies.checked(request, file, text, sets)
        if found.get("exceeded"):  # its data takes longer to check, and a backtest has an hour
            found = self.strategies.checked(request, file, text, sets, is_loaded_only=True)
        if found["status"] != 200 or any(each.severity == "error" for each in found["problems"]):
            return self.strategies.shown(request, file, text, sets, found)
        hypothesis = shortened(one_line(form.get("hypothesis", "")), _LONGEST_HYPOTHESIS)
        wanted = Backtest(
            workspace=str(workspace.root), runs=str(self.site.root.resolve()), file=file,
            text=text, settings=setting_values(sets), face="page",
            client=request.state.visitor.name, hypothesis=hypothesis,
        )  # fmt: skip

        def work(progress: Progress) -> dict[str, Any]:
            return {"run": run_in_process(wanted, progress)}

        subject = self._subject(file, request.state.visitor.name)
        try:
            job = self.jobs.begin("backtest", subject, work, owner_of(request))
        except TooManyJobs as error:
            return self.strategies.shown(request, file, text, sets, refused(error))
        return RedirectResponse(f"/job?id={job.id}", 303)

    def _subject(self, file: str, visitor: str) -> Subject:
        shown = urlencode({"file": file}, errors="surrogateescape")
        return Subject(
            f"Backtest of {file}", file, f"/strategy?{shown}", "Back to the strategy",
            lambda result: f"/run?{urlencode({'run': self._key(result['run'])})}",
            "The run: figures, charts and trades", visitor,
        )  # fmt: skip

    def _key(self, run: str) -> str:
        """Return the name under which the page shows a run; the id alone where it is gone."""
        from septet._store.find_runs import find_folder

        try:
            return find_folder(run, self.site.root).relative_to(self.site.root).as_posix()
        except InputError:
            return run
