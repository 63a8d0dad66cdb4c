"""The JSON API: the documents of the application, each with a type, and OpenAPI from the types."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from septet._app.documents import document_of, error_document
from septet._app.run_parts import figures_of, trials_of
from septet._app.runs import problem_of_run, why_order
from septet._dashboard.api_types import (
    ActionRequest,
    ActionResult,
    CancelRequest,
    Decisions,
    Failure,
    JobRow,
    JobsAnswer,
    Orders,
    Positions,
    RunAnswer,
    Runs,
    TablePage,
    Why,
)
from septet._dashboard.forms import asked, body_of
from septet._dashboard.json_answer import JsonAnswer
from septet._dashboard.listing import named_folder
from septet._dashboard.run_actions import WAIT_S, act
from septet._dashboard.site import OPERATE, VIEW, Right, Site, Visitor
from septet._jobs.jobs import LONG
from septet._text import decode_json, plain_json
from septet.errors import InputError, SeptetError

if TYPE_CHECKING:
    from starlette.requests import Request

    from septet._dashboard.cached_views import OpenedRun

__all__ = ["Api", "Endpoint", "failure", "refused_document"]

_PREFIX: Final = "/api/v1/"
_MAX_ROWS: Final = 1_000
_RUN_PARAMETER: Final = ("run", "string", "What `runs` calls it.")
_Model = TypeVar("_Model", bound=BaseModel)
_Found = TypeVar("_Found")
_REFUSALS: Final = {"4XX": "Not done, and why.", "5XX": "A bug; the log of the server has it."}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path of the API: what it needs, takes and answers."""

    path: str
    method: str
    right: Right
    summary: str
    answer: Callable[[Request], Awaitable[Response]]
    answer_model: type[BaseModel] | None
    query_parameters: tuple[tuple[str, str, str], ...] = ()
    body_model: type[BaseModel] | None = None


def failure(status: int, message: str, hint: str = "", error: str = "Refused") -> Response:
    """Return the answer to a request that is not done."""
    found = Failure(ok=False, error=error, message=message, hint=hint)
    return JsonAnswer(found.model_dump(), status)


class Api:
    """What answers the paths under `/api/`."""

    def __init__(self, site: Site) -> None:
        self._site, self._root = site, site.root
        run, acts = (_RUN_PARAMETER,), ("halt", "flatten", "resume")
        order = ("order", "string", "The id of an order, or SYMBOL@TIME.")
        table = (
            ("name", "string", "Such as decisions, orders, fills, trades or equity."),
            ("limit", "integer", f"How many rows, up to {_MAX_ROWS}; 100 without one."),
            ("next", "integer", "The first row: `next` of the last answer; 0 without one."),
            ("columns", "string", "Names with commas between them; all without one."),
            ("start", "string", "Rows from this time on, such as 2026-03-01T16:00:00Z."),
            ("end", "string", "Rows before this time."),
        )
        self.endpoints: tuple[Endpoint, ...] = (
            self._read("runs", "Every run, the latest first.", self._runs, Runs),
            self._read("run", "How a run stands.", self._run, RunAnswer, run),
            self._read("positions", "What a run holds.", self._held, Positions, run),
            self._read("orders", "Open orders of a run.", self._held, Orders, run),
            self._read("decisions", "Last decisions, with why.", self._held, Decisions, run),
            self._read("why", "Why an order was made.", self._why, Why, (*run, order)),
            self._read("table", "Rows of a table.", self._table, TablePage, (*run, *table)),
            self._read("jobs", "Work that the page has begun.", self._jobs, JobsAnswer),
            *(self._act(each) for each in acts),
            Endpoint(
                _PREFIX + "cancel", "POST", OPERATE, "Ask a job to stop.", self._cancel, JobRow,
                body_model=CancelRequest,
            ),
            Endpoint(
                "/api/openapi.json", "GET", VIEW, "This description.", self._describe, None
            ),
        )  # fmt: skip

    def _read(
        self, name: str, summary: str, find: Callable[[Request], dict[str, Any]],
        answer_model: type[BaseModel], query_parameters: tuple[tuple[str, str, str], ...] = (),
    ) -> Endpoint:  # fmt: skip
        async def answer(request: Request) -> Response:
            found = await run_in_threadpool(find, request)
            return _typed(answer_model, found)

        return Endpoint(
            _PREFIX + name, "GET", VIEW, summary, answer, answer_model, query_parameters
        )

    def _act(self, action: str) -> Endpoint:
        async def answer(request: Request) -> Response:
            ask = await _body(request, ActionRequest)
            if isinstance(ask, Response):
                return ask
            visitor: Visitor = request.state.visitor
            name = visitor.name if visitor.is_known else ask.name or visitor.name

            def do() -> Response:
                from septet._app.halt_texts import outcome_lines

                folder = named_folder(self._root, ask.run)
                found = act(folder, action, name=name, reason=ask.reason)
                texts = outcome_lines(found, WAIT_S)
                message, *more = [each.strip() for each in texts]
                answer = {
                    "ok": found.acted, "message": message, "hint": "; ".join(more),
                    "texts": texts, "found": document_of(found),
                }  # fmt: skip
                if found.replaced_by:
                    return failure(409, message, "ask again", "Replaced")
                return _typed(ActionResult, answer)

            return await run_in_threadpool(do)

        words = f"{action.capitalize()} a paper or live run; who and why are journaled."
        return Endpoint(
            _PREFIX + action, "POST", OPERATE, words, answer, ActionResult, body_model=ActionRequest
        )

    def _jobs(self, request: Request) -> dict[str, Any]:
        jobs = [each.document() for each in self._site.jobs.latest()]
        return {"jobs": jobs, "most": LONG.most, "most_each": LONG.most_each}

    async def _cancel(self, request: Request) -> Response:
        ask = await _body(request, CancelRequest)
        if isinstance(ask, Response):
            return ask
        job = self._site.jobs.find(ask.id)
        job.cancel()
        return _typed(JobRow, job.document())

    def _runs(self, request: Request) -> dict[str, Any]:
        return {"runs": [{"run": row["key"], **row} for row in self._site.lists.of(self._root)]}

    def _ask(self, request: Request, question: Callable[[OpenedRun], _Found]) -> _Found:
        """Return what a question makes of the run that is asked for."""
        folder = named_folder(self._root, asked(request, "run"))
        return self._site.opened.ask(folder, question)

    def _held(self, request: Request) -> dict[str, Any]:
        return self._ask(request, lambda opened: opened.state().document())

    def _run(self, request: Request) -> dict[str, Any]:
        def find(opened: OpenedRun) -> dict[str, Any]:
            summary = opened.run.require_summary()
            return {
                **opened.state().document(), "summary": summary, "trials": trials_of(summary),
                "forward": figures_of(summary)["forward"],
            }  # fmt: skip

        return self._ask(request, find)

    def _why(self, request: Request) -> dict[str, Any]:
        from septet._report.why import sentence_of

        order = asked(request, "order")

        def find(opened: OpenedRun) -> dict[str, Any]:
            opened.run.require_summary()
            found, problem = why_order(opened.run, order), problem_of_run(opened.run)
            return {"sentence": sentence_of(found), "found": found, "problem": problem}

        return self._ask(request, find)

    def _table(self, request: Request) -> dict[str, Any]:
        from septet._app.run_parts import table_slice

        begin = _whole(request, "next", 0, 0, 1 << 48)
        limit = _whole(request, "limit", 100, 1, _MAX_ROWS)
        name, columns = asked(request, "name"), asked(request, "columns")

        def find(opened: OpenedRun) -> dict[str, Any]:
            opened.run.require_summary()
            frame, more = table_slice(
                opened.run, name, begin=begin, most=limit, start=asked(request, "start") or None,
                end=asked(request, "end") or None, columns=columns.split(",") if columns else None,
            )  # fmt: skip
            after = begin + frame.height if more else None
            problem = problem_of_run(opened.run)
            return {
                "name": name, "rows": frame.to_dicts(), "limit": limit, "next": after,
                "problem": problem,
            }  # fmt: skip

        return self._ask(request, find)

    async def _describe(self, request: Request) -> Response:
        return JsonAnswer(self._description)

    @cached_property
    def _description(self) -> dict[str, Any]:
        return self.openapi()

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document of the endpoints."""
        models: set[type[BaseModel]] = {Failure}
        models |= {
            each for row in self.endpoints for each in (row.answer_model, row.body_model) if each
        }
        _, schemas = models_json_schema(
            [(each, "serialization") for each in sorted(models, key=lambda each: each.__name__)],
            ref_template="#/components/schemas/{model}",
        )
        paths: dict[str, Any] = {}
        for row in self.endpoints:
            paths.setdefault(row.path, {})[row.method.lower()] = _operation(row)
        return {
            "openapi": "3.1.0",
            "info": {"title": "septet dashboard", "version": "1"},
            "paths": paths,
            "components": {
                "schemas": schemas.get("$defs", {}),
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
            "security": [{"token": []}],
        }


def _operation(row: Endpoint) -> dict[str, Any]:
    required = ("run", "order", "name")
    found: dict[str, Any] = {
        "summary": row.summary, "description": f"Needs the right to {row.right}.",
        "operationId": row.path.rpartition("/")[2].partition(".")[0],
        "parameters": [
            {"name": name, "in": "query", "description": words, "required": name in required,
             "schema": {"type": kind, **({"minimum": 0} if kind == "integer" else {})}}
            for name, kind, words in row.query_parameters
        ],
        "responses": {
            "200": {"description": "Done.", "content": _content(row.answer_model)},
            **{
                status: {"description": words, "content": _content(Failure)}
                for status, words in _REFUSALS.items()
            },
        },
    }  # fmt: skip
    if row.body_model is not None:
        found["requestBody"] = {"required": True, "content": _content(row.body_model)}
    return found


async def _body(request: Request, model: type[_Model]) -> _Model | Response:
    """Return what a request asks, or the answer to one that does not ask it."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        return failure(415, "expected Content-Type: application/json")
    expected = f"expected {_listed(list(model.model_fields))}"
    try:
        return model.model_validate(decode_json(bytes(await body_of(request))))
    except ValidationError as problem:
        wrong = problem.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(each)[:40] for each in wrong["loc"]) or "the body"
        return failure(400, f"{place}: {wrong['msg']}", expected)
    except (ValueError, RecursionError):
        return failure(400, "the body is not JSON", expected)


def _listed(names: list[str]) -> str:
    return " and ".join([*([", ".join(names[:-1])] if names[:-1] else []), names[-1]])


def _content(model: type[BaseModel] | None) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{model.__name__}"} if model else {"type": "object"}
    return {"application/json": {"schema": schema}}


def _typed(model: type[BaseModel], found: dict[str, Any]) -> Response:
    """Return a document as its type describes it; keys that it does not name are left out."""
    return JsonAnswer(model.model_validate(plain_json(found)).model_dump(mode="json"))


def _whole(request: Request, name: str, default: int, least: int, most: int) -> int:
    text = asked(request, name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 16 and least <= int(text) <= most):
        raise InputError(f"{name} is {text[:40]!r}", hint=f"expected {least} to {most}")
    return int(text)


def refused_document(problem: SeptetError) -> dict[str, Any]:
    """Return an error in the API's form, from the one document of errors."""
    found = error_document(problem)
    return {name: found[name] for name in ("ok", "error", "message", "hint")}
