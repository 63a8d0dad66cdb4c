"""Strategies of a folder as pages: the files, a text with the checker's marks, and plugins."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool

from septet._app.documents import LONGEST, problem_document, safe_text
from septet._app.plugins import list_plugins
from septet._app.strategy_text import MOST_TEXT
from septet._dashboard.forms import asked, form_of
from septet._dashboard.job_pages import Subject, owner_of
from septet._dashboard.site import OPERATE, VIEW, Right
from septet._jobs.check_process import (
    CheckAnswer,
    CheckExceeded,
    CheckProcess,
    CheckRequest,
)
from septet._jobs.jobs import CHECKS, TooManyJobs
from septet.errors import Cancelled, ConfigError, InputError, Problem

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from septet._app.workspace import Workspace
    from septet._dashboard.job_pages import JobPages
    from septet._progress import Progress

__all__ = ["LARGEST_TEXT", "StrategyPages", "refused", "setting_values", "strategy_files"]

_Answer = Callable[["Request"], "Response"] | Callable[["Request"], Awaitable["Response"]]
_ENDINGS: Final = (".yaml", ".yml")
_MAX_FILES: Final = 1_000
_MAX_SETTINGS: Final = 100
_MAX_PROBLEMS: Final = 200
LARGEST_TEXT: Final = 3 * MOST_TEXT + 16_384
"""Bytes of a form with a strategy: a form writes up to three bytes for one."""


def strategy_files(root: Path) -> list[str]:
    """Return the strategy files under a folder, in order of name; links and hidden are left out."""
    found: list[str] = []
    for folder, below, names in os.walk(root):
        at = Path(folder)
        below[:] = sorted(
            each for each in below
            if not each.startswith(".") and not (at == root and each in ("runs", "sweeps"))
        )  # fmt: skip
        for name in sorted(names):
            path = at / name
            if path.suffix not in _ENDINGS or name.startswith(".") or not name.isprintable():
                continue
            if not path.is_symlink() and path.is_file():
                found.append(path.relative_to(root).as_posix())
        if len(found) >= _MAX_FILES:
            break
    return sorted(found)[:_MAX_FILES]


def setting_values(text: str) -> dict[str, object]:
    """Read settings, one `path=value` a line, as `--set` reads them.

    Raises
    ------
    ConfigError, InputError
        With every line that cannot be read; or if there are too many.
    """
    from septet._config.overlay import parse_setting
    from septet._config.tree import dotted

    lines = [each.strip() for each in text.splitlines() if each.strip()]
    if len(lines) > _MAX_SETTINGS:
        raise InputError(f"{len(lines):,} settings are given, the limit is {_MAX_SETTINGS}")
    found, problems = dict[str, object](), list[Problem]()
    for line in lines:
        try:
            setting = parse_setting(line)
        except ConfigError as error:
            problems += error.problems
        else:
            found[dotted(setting.path)] = setting.node.plain()
    if problems:
        raise ConfigError(problems)
    return found


def refused(error: InputError, status: int = 429) -> dict[str, Any]:
    """Return what `StrategyPages.shown` takes, of a text that was not checked or run."""
    problem = error.problem or Problem(error.message, hint=error.hint)
    return {"checked": True, "problems": (problem,), "status": status}


class StrategyPages:
    """Answers the requests about strategy files and plugins; it writes nothing and trades nothing.

    One text is checked at a time, by `check`, and one more for each visitor may wait; by default in
    another process, which is bounded: a check reads the data that the text names.
    """

    def __init__(
        self, show: Callable[..., Response], workspace: Workspace | None, jobs: JobPages,
        check: Callable[[CheckRequest], CheckAnswer] | None = None,
    ) -> None:  # fmt: skip
        self.show, self.workspace, self._jobs = show, workspace, jobs
        self._check: Callable[[CheckRequest, Progress], CheckAnswer] = CheckProcess().check
        if check is not None:
            self._check = lambda wanted, progress: check(wanted)

    def routes(self) -> list[tuple[str, str, Right, _Answer]]:
        """Return path, method, right and answer of each."""
        return [
            ("/strategies", "GET", VIEW, self.files),
            ("/strategy", "GET", VIEW, self.strategy),
            ("/strategy", "POST", OPERATE, self.check),
            ("/plugins", "GET", VIEW, self.plugins),
        ]

    def require_workspace(self) -> Workspace:
        """Return the folder of strategies; InputError if the page has none."""
        if self.workspace is None:
            raise InputError(
                "this page was started without a folder of strategies",
                hint="septet dashboard --strategies DIR shows and checks those of a folder",
            )
        return self.workspace

    def files(self, request: Request) -> Response:
        """Answer the list of strategy files."""
        root = self.require_workspace().root
        return self.show(
            request, "strategies.html", files=strategy_files(root), root=str(root),
            most=_MAX_FILES,
        )  # fmt: skip

    def strategy(self, request: Request) -> Response:
        """Answer a strategy file as text, not yet checked."""
        file = asked(request, "file")
        text = self.require_workspace().read(file)
        return self.shown(request, file, text, asked(request, "sets")[:4_000], {"checked": False})

    async def check(self, request: Request) -> Response:
        """Check a text as if it stood in its file, with settings over it."""
        form = await form_of(request, LARGEST_TEXT)
        file, sets = form.get("file", ""), form.get("sets", "")
        text = form.get("text", "").replace("\r\n", "\n")
        await run_in_threadpool(self.require_workspace().read, file)
        found = await run_in_threadpool(self.checked, request, file, text, sets)
        return await run_in_threadpool(self.shown, request, file, text, sets, found)

    def checked(
        self, request: Request, file: str, text: str, sets: str, *, is_loaded_only: bool = False
    ) -> dict[str, Any]:
        """Check a text as if it were a file, there or not; return what `shown` takes.

        It is a job, which is listed and can be cancelled. `is_loaded_only` leaves its data out.
        `exceeded` in the answer means that it exceeded its bounds, and nothing is known.
        """
        workspace = self.require_workspace()
        try:
            wanted = CheckRequest(
                str(workspace.root), None, text, setting_values(sets), beside=file,
                values=not is_loaded_only, is_loaded_only=is_loaded_only,
            )  # fmt: skip
            done = self._answer(request, wanted, file)
        except TooManyJobs as error:
            return refused(error)
        except Cancelled:
            return refused(InputError("the check was cancelled", hint="check again"), 409)
        except ConfigError as error:
            return {"checked": True, "problems": error.problems, "status": 200}
        except InputError as error:
            return {**refused(error, 200), "exceeded": isinstance(error, CheckExceeded)}
        return {
            "checked": True, "problems": done.problems, "left_out": done.left_out,
            "values": done.values, "status": 200,
        }  # fmt: skip

    def _answer(self, request: Request, wanted: CheckRequest, file: str) -> CheckAnswer:
        found: list[CheckAnswer] = []

        def work(progress: Progress) -> dict[str, Any]:
            found.append(self._check(wanted, progress))
            return {}

        page = f"/strategy?{urlencode({'file': file}, errors='surrogateescape')}"
        subject = Subject(
            f"Check of {file}", file, page, "Back to the strategy", lambda result: "", "",
            request.state.visitor.name,
        )  # fmt: skip
        job = self._jobs.begin("check", subject, work, owner_of(request), CHECKS)
        job.wait()
        if job.error is not None:
            raise job.error
        return found[0]

    def shown(
        self, request: Request, file: str, text: str, sets: str, found: dict[str, Any]
    ) -> Response:
        """Answer a text with what a check found: `checked`, `problems`, `left_out` and `values`.

        `status` is that of the answer. `written` means that the text has been written as a new
        file.
        """
        problems = found.get("problems", ())
        rows = [
            {**problem_document(each), "in_text": each.line > 0 and each.file == file}
            for each in problems[:_MAX_PROBLEMS]
        ]
        values = [
            (safe_text(key), safe_text(shown, LONGEST), safe_text(origin))
            for key, shown, origin in found.get("values", ())
        ]
        return self.show(
            request, "strategy.html", found.get("status", 200), file=file, text=text, sets=sets,
            problems=rows,
            left_out=found.get("left_out", 0) + len(problems) - len(rows),
            checked=found["checked"], values=values, written=found.get("written", False),
            errors=sum(each.severity == "error" for each in problems),
            is_refused=found.get("status", 200) != 200,
        )  # fmt: skip

    def plugins(self, request: Request) -> Response:
        """Answer the installed plugins; none is imported."""
        found = list_plugins()
        return self.show(
            request, "plugins.html", plugins=found["plugins"], failures=found["failures"]
        )
