"""The page that makes a strategy of a data file of the visitor's own, checked before it is written.

The fields make a text, and that text is what is checked and written: a problem of it stands beside
the field whose key it names.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from starlette.concurrency import run_in_threadpool

from septet._app.documents import problem_document
from septet._app.own_data import MOST_ADDED, add_data_file, key_of_problem, own_data_keys
from septet._app.starter import own_data_text, starter_name
from septet._dashboard.forms import TooLarge, TooSlow, asked, body_of, form_of
from septet._dashboard.json_answer import JsonAnswer
from septet._dashboard.site import OPERATE, Right
from septet._dashboard.strategy_pages import LARGEST_TEXT, StrategyPages
from septet.errors import InputError, Problem, SeptetError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["OwnDataPages"]

_Answer = Callable[["Request"], "Response"] | Callable[["Request"], Awaitable["Response"]]
_PATH: Final = "data.candles.path"
_MAX_FIELD_CHARACTERS: Final = 300
_SLOWEST_S: Final = 120.0
"""How long a data file may take to come."""


class OwnDataPages:
    """Answers the requests that add a data file and write a strategy over one.

    It writes new files only, into the folder of strategies. One file is received at a time: it is
    held in memory.
    """

    def __init__(self, show: Callable[..., Response], strategies: StrategyPages) -> None:
        self.show, self.strategies = show, strategies
        self._receiving = threading.Lock()

    def routes(self) -> list[tuple[str, str, Right, _Answer]]:
        """Return path, method, right and answer of each."""
        return [
            ("/own-data", "GET", OPERATE, self.page),
            ("/own-data", "POST", OPERATE, self.write),
            ("/own-data-file", "POST", OPERATE, self.add),
        ]

    def page(self, request: Request) -> Response:
        """Answer the fields, filled from the name of a data file."""
        data = asked(request, "data")[:_MAX_FIELD_CHARACTERS]
        name = starter_name(PurePosixPath(data).stem) if data else ""
        given = {"name": name, _PATH: data, "universe.symbols": name.upper()}
        return self._shown(request, given, "", ())

    async def write(self, request: Request) -> Response:
        """Write the text that the fields make, or the one that was sent, if it has no error."""
        form = await form_of(request, LARGEST_TEXT)
        keys = ["name", _PATH, *(each.key for each in own_data_keys())]
        given = {key: form.get(key, "").strip()[:_MAX_FIELD_CHARACTERS] for key in keys}
        text = form.get("text", "").replace("\r\n", "\n")
        return await run_in_threadpool(self._written, request, given, text)

    def _written(self, request: Request, given: dict[str, str], text: str) -> Response:
        data, name = given[_PATH], given["name"]
        if not data or not name:
            missing = "choose a data file" if not data else "the strategy needs a name"
            problem = Problem(missing, key=_PATH if not data else "name")
            return self._shown(request, given, text, (problem,))
        file = str(PurePosixPath(data).parent / f"{name}.yaml")
        keys = {key: value for key, value in given.items() if key not in ("name", _PATH)}
        text = text or own_data_text(name, PurePosixPath(data).name, keys)
        workspace, field = self.strategies.require_workspace(), _PATH
        try:
            workspace.path(data)
            field = "name"
            if os.path.lexists(workspace.path(file)):
                raise InputError(f"{file!r} is there already", hint="take another name")
        except InputError as error:
            problem = Problem(error.message, key=field, hint=error.hint)
            return self._shown(request, given, text, (problem,))
        found = self.strategies.checked(request, file, text, "")
        if found["status"] != 200:
            problems = tuple(found["problems"])
            return self._shown(request, given, text, problems, file, found["status"])
        if any(each.severity == "error" for each in found["problems"]):
            return self._shown(request, given, text, found["problems"], file)
        try:
            workspace.save(file, text)
        except InputError as error:
            problem = Problem(error.message, key="name", hint="take another name")
            return self._shown(request, given, text, (problem,), file)
        return self.strategies.shown(request, file, text, "", {**found, "written": True})

    def _shown(
        self, request: Request, given: Mapping[str, str], text: str,
        problems: tuple[Problem, ...], file: str = "", status: int = 200,
    ) -> Response:  # fmt: skip
        keys = own_data_keys()
        known = ["name", _PATH, *(each.key for each in keys)]
        beside: dict[str, list[dict[str, Any]]] = {key: [] for key in known}
        others = []
        for each in problems:
            key = key_of_problem(each.key, known)
            if key:
                beside[key].append(problem_document(each))
            else:
                others.append({**problem_document(each), "in_text": each.file == file})
        files = self.strategies.require_workspace().data_files()
        return self.show(
            request, "own_data.html", status, given=given, keys=keys, files=files,
            beside=beside, problems=others, text=text, file=file, most=MOST_ADDED, left_out=0,
            errors=sum(each.severity == "error" for each in problems),
        )  # fmt: skip

    async def add(self, request: Request) -> Response:
        """Store the body as a data file, for the script of the page: the answer is JSON."""
        name = asked(request, "name")
        if not self._receiving.acquire(blocking=False):
            return _not_done(429, "another file is being added", "add it again in a moment")
        try:
            workspace = self.strategies.require_workspace()
            workspace.path(name)  # what has no such name is not received
            data = await body_of(request, MOST_ADDED, _SLOWEST_S)
            await run_in_threadpool(add_data_file, workspace, name, data)
        except TooLarge:
            return _not_done(
                413, f"the file is larger than {MOST_ADDED >> 20} MiB",
                "put it into the folder of strategies by hand",
            )  # fmt: skip
        except TooSlow:
            return _not_done(408, f"the file did not come within {_SLOWEST_S:.0f} s", "")
        except SeptetError as error:
            return _not_done(400, error.message, error.hint or "")
        finally:
            self._receiving.release()
        return JsonAnswer({"ok": True, "file": name})


def _not_done(status: int, message: str, hint: str) -> Response:
    headers = {"connection": "close"}  # of a body that was not read the rest may be under way
    return JsonAnswer({"ok": False, "message": message, "hint": hint}, status, headers)
