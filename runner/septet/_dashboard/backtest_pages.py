"""Backtests from the page: a strategy of the folder is run with changed settings, as a job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from septet._dashboard.forms import form_of
from septet._dashboard.job_pages import JobPages, Subject
from septet._dashboard.site import OPERATE, Right, Site, Visitor
from septet._dashboard.strategy_pages import LARGEST_TEXT, StrategyPages, setting_values
from septet._jobs.backtest_process import Backtest, run_in_process
from septet._jobs.jobs import Job
from septet._text import one_line, shortened
from septet.errors import ConfigError, InputError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from septet._app.workspace import Workspace
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

    def _insist(self) -> Workspace:
        if self.site.workspace is None:
            raise InputError(
                "this page was started without a folder of strategies",
                hint="septet dashboard --strategies DIR runs those of a folder",
            )
        return self.site.workspace

    async def begin(self, request: Request) -> Response:
        """Begin a backtest of a text as if it stood in its file, and lead to its job."""
        form = await form_of(request, LARGEST_TEXT)
        visitor: Visitor = request.state.visitor
        try:
            job = await run_in_threadpool(self._begun, form, visitor.name)
        except ConfigError as error:
            found = {"checked": True, "problems": error.problems}
            file, text, sets = (form.get(name, "") for name in ("file", "text", "sets"))
            return await run_in_threadpool(self.strategies.shown, request, file, text, sets, found)
        return RedirectResponse(f"/job?id={job.id}", 303)

    def _begun(self, form: dict[str, str], visitor: str) -> Job:
        workspace, file = self._insist(), form.get("file", "")
        workspace.read(file)
        text = form.get("text", "").replace("\r\n", "\n")
        hypothesis = shortened(one_line(form.get("hypothesis", "")), _LONGEST_HYPOTHESIS)
        wanted = Backtest(
            workspace=str(workspace.root), runs=str(self.site.root.resolve()), file=file,
            text=text, settings=setting_values(form.get("sets", "")), face="page", client=visitor,
            hypothesis=hypothesis,
        )  # fmt: skip
        workspace.load(text=text, beside=file, settings=wanted.settings)

        def work(progress: Progress) -> dict[str, Any]:
            return {"run": run_in_process(wanted, progress)}

        return self.jobs.begin("backtest", self._subject(file), work)

    def _subject(self, file: str) -> Subject:
        shown = urlencode({"file": file}, errors="surrogateescape")
        return Subject(
            f"Backtest of {file}", file, f"/strategy?{shown}", "Back to the strategy",
            lambda result: f"/run?{urlencode({'run': self._key(result['run'])})}",
            "The run: figures, charts and trades",
        )  # fmt: skip

    def _key(self, run: str) -> str:
        """Return the name under which the page shows a run; the id alone where it is gone."""
        from septet._store.find_runs import find_folder

        try:
            return find_folder(run, self.site.root).relative_to(self.site.root).as_posix()
        except InputError:
            return run
