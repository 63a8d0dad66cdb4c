"""Long work of the page as jobs: how far each is, what it found, and how it is ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import RedirectResponse, StreamingResponse

from septet._app.documents import problem_document
from septet._dashboard.forms import asked, form_of
from septet._dashboard.site import OPERATE, VIEW, Right, Site, Visitor
from septet._jobs.jobs import LONG, Job, Lane, Work
from septet.errors import ConfigError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["JobPages", "Subject", "owner_of"]

_Answer = Callable[["Request"], "Response"] | Callable[["Request"], Awaitable["Response"]]
_POLL_S: Final = 0.1
_POLLS_PER_ALIVE: Final = 50


def owner_of(request: Request) -> str:
    """Return whose jobs are counted as one: a user's, else a session's."""
    visitor: Visitor = request.state.visitor
    return f"user {visitor.name}" if visitor.is_known else f"session {request.state.session}"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a job is about: `name` in lists, `back` the page that it was asked for on.

    `found` gives the address of what it found, of its result; `found_text` and `back_text` are
    the words of the links, `by` the name of the visitor who asked.
    """

    title: str
    name: str
    back: str
    back_text: str
    found: Callable[[dict[str, Any]], str]
    found_text: str
    by: str = ""


class JobPages:
    """Answers the requests about jobs: one does its work at a time, the others wait."""

    def __init__(self, show: Callable[..., Response], site: Site) -> None:
        self.show, self.site = show, site
        self.jobs = site.jobs
        self._subjects: dict[str, Subject] = {}

    def routes(self) -> list[tuple[str, str, Right, _Answer]]:
        """Return path, method, right and answer of each."""
        return [
            ("/jobs", "GET", VIEW, self.listed),
            ("/job", "GET", VIEW, self.one),
            ("/job-events", "GET", VIEW, self.events),
            ("/job-cancel", "POST", OPERATE, self.cancel),
        ]

    def begin(
        self, kind: str, subject: Subject, work: Work, owner: str, lane: Lane = LONG
    ) -> Job:  # fmt: skip
        """Begin work, or let it wait for its turn.

        Raises
        ------
        TooManyJobs
            If as many are open already as may be, of this owner or of all.
        """
        job = self.jobs.start(kind, work, lane, owner)
        self._subjects[job.id] = subject
        self._forget()
        return job

    def _forget(self) -> None:
        """Forget the subjects of jobs that are no longer listed."""
        listed = {each.id for each in self.jobs.latest()}
        for name in list(self._subjects):
            if name not in listed:
                self._subjects.pop(name, None)

    def _facts(self, job: Job) -> dict[str, Any]:
        subject = self._subjects.get(job.id) or _UNKNOWN
        found = "" if job.result is None else subject.found(job.result)
        return {
            **job.document(), "open": job.is_open, "title": subject.title, "name": subject.name,
            "back": subject.back, "back_text": subject.back_text, "found": found,
            "found_text": subject.found_text, "by": subject.by,
        }  # fmt: skip

    def listed(self, request: Request) -> Response:
        """Answer the jobs of this page, the latest first."""
        rows = [self._facts(each) for each in self.jobs.latest()]
        return self.show(
            request, "jobs.html", jobs=rows, root=self.site.root, most=LONG.most,
            most_each=LONG.most_each,
        )  # fmt: skip

    def one(self, request: Request) -> Response:
        """Answer how far a job is, and what it found or what ended it."""
        job = self.jobs.find(asked(request, "id"))
        error = job.error
        problems = error.problems if isinstance(error, ConfigError) else ()
        return self.show(
            request, "job.html", job=self._facts(job), error=error,
            problems=[problem_document(each) for each in problems],
        )  # fmt: skip

    async def events(self, request: Request) -> Response:
        """Answer how far a job is as a stream, to its end."""
        job = self.jobs.find(asked(request, "id"))
        session = request.state.session

        def ends() -> bool:
            return self.site.is_closing() or self.site.visitor(session) is None

        return StreamingResponse(_follow(job, ends), media_type="text/event-stream")

    async def cancel(self, request: Request) -> Response:
        """Ask a job to stop, and lead back to it, or to the list where it was cancelled there."""
        form = await form_of(request)
        job = self.jobs.find(form.get("id", ""))
        job.cancel()
        in_list = "listed" in form or not job.lane.is_kept
        return RedirectResponse("/jobs" if in_list else f"/job?id={job.id}", 303)


_UNKNOWN: Final = Subject("Work of this page", "", "/jobs", "Back", lambda result: "", "")


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
        if looks % _POLLS_PER_ALIVE == 0:
            yield "event: alive\ndata: \n\n"
        await asyncio.sleep(_POLL_S)
