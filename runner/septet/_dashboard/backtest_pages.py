"""Backtests from the page: a strategy of the folder is run with changed settings, as a job."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, StreamingResponse

from septet._app.documents import problem_document
from septet._dashboard.forms import asked, form_of
from septet._dashboard.site import OPERATE, VIEW, Right, Site, Visitor
from septet._dashboard.strategy_pages import LARGEST_TEXT, StrategyPages, setting_values
from septet._jobs.backtest_process import Backtest, run_in_process
from septet._jobs.jobs import Job, Jobs
from septet._text import one_line, shortened
from septet.errors import ConfigError, InputError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from septet._app.workspace import Workspace
    from septet._progress import Progress

__all__ = ["BacktestPages"]

_Answer = Callable[["Request"], "Response"] | Callable[["Request"], Awaitable["Response"]]
_LOOK_S: Final = 0.1
_ALIVE_LOOKS: Final = 50
_LONGEST_HYPOTHESIS: Final = 500


class BacktestPages:
    """Answers the requests about backtests that the page runs, one at a time, the others waiting.

    Nothing but a backtest runs, whatever the mode of the file; it reads what lies in the folder of
    strategies, and its run is stored in the folder of runs that the page shows.
    """

    def __init__(
        self, show: Callable[..., Response], site: Site, strategies: StrategyPages
    ) -> None:
        self.show, self.site, self.strategies = show, site, strategies
        self.jobs = Jobs("cancel one of them")
        self._files: dict[str, str] = {}

    def routes(self) -> list[tuple[str, str, Right, _Answer]]:
        """Return path, method, right and answer of each."""
        return [
            ("/backtest", "POST", OPERATE, self.begin),
            ("/jobs", "GET", VIEW, self.listed),
            ("/job", "GET", VIEW, self.one),
            ("/job-events", "GET", VIEW, self.events),
            ("/job-cancel", "POST", OPERATE, self.cancel),
        ]

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

        job = self.jobs.start("backtest", work)
        self._files[job.id] = file
        return job

    def _facts(self, job: Job) -> dict[str, Any]:
        return {**job.document(), "file": self._files.get(job.id, ""), "open": job.is_open}

    def listed(self, request: Request) -> Response:
        """Answer the backtests of this page, the latest first."""
        jobs = self.jobs.latest()
        rows = [{**self._facts(each), "run": (each.result or {}).get("run")} for each in jobs]
        kept = {each.id for each in jobs}
        self._files = {name: file for name, file in self._files.items() if name in kept}
        return self.show(request, "jobs.html", jobs=rows, root=self.site.root)

    def one(self, request: Request) -> Response:
        """Answer how far a backtest is, and what it found or what ended it."""
        job = self.jobs.find(asked(request, "id"))
        error = job.error
        problems = error.problems if isinstance(error, ConfigError) else ()
        run = (job.result or {}).get("run")
        return self.show(
            request, "job.html", job=self._facts(job), run=self._key(run) if run else "",
            error=error, problems=[problem_document(each) for each in problems],
        )  # fmt: skip

    def _key(self, run: str) -> str:
        """Return the name under which the page shows a run."""
        from septet._store.find import find_folder

        return find_folder(run, self.site.root).relative_to(self.site.root).as_posix()

    async def events(self, request: Request) -> Response:
        """Answer how far a backtest is as a stream, to its end."""
        job = self.jobs.find(asked(request, "id"))
        session = request.state.session

        def ends() -> bool:
            return self.site.is_closing() or self.site.visitor(session) is None

        return StreamingResponse(_follow(job, ends), media_type="text/event-stream")

    async def cancel(self, request: Request) -> Response:
        """Ask a backtest to stop, and lead back to it."""
        form = await form_of(request)
        job = self.jobs.find(form.get("id", ""))
        job.cancel()
        return RedirectResponse(f"/job?id={job.id}", 303)


async def _follow(job: Job, ends: Callable[[], bool]) -> AsyncIterator[str]:
    """Yield `job` when it has gone on, `alive` every 5 s, and `ended` at its end."""
    before, looks = dict[str, Any](), 0
    while not ends():
        now = job.document()
        if now != before:
            yield f"event: job\ndata: {json.dumps(now)}\n\n"
            before = now
        if not job.is_open:
            yield "event: ended\ndata: \n\n"
            return
        looks += 1
        if looks % _ALIVE_LOOKS == 0:
            yield "event: alive\ndata: \n\n"
        await asyncio.sleep(_LOOK_S)
