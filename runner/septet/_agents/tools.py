"""The functions of the tools, on plain values; they do not depend on the protocol."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from septet._agents.guide import TOPICS, guide_text
from septet._agents.tool_answers import compact, page
from septet._app.data_size import data_bytes
from septet._app.documents import error_document, problem_document
from septet._app.explain import explain_values
from septet._app.outline import described_plugin, found_plugins, schema_part
from septet._app.run_folder_errors import reading_run
from septet._app.run_parts import changed_settings, figures_of, is_live, table_slice
from septet._app.workspace import Workspace
from septet._jobs.check_process import CheckAnswer, CheckProcess, CheckRequest
from septet._jobs.jobs import Job, Jobs
from septet._progress import Progress
from septet._text import shortened
from septet.errors import InputError

__all__ = ["Tools"]

MOST_PROBLEMS: Final = 50
MOST_SCHEMA: Final = 11_000
LONGEST_HYPOTHESIS: Final = 500
MOST_DATA_HERE: Final = 32 << 20
"""Bytes of data with which a backtest runs in the process of the server."""
LONGEST_WAIT_S: Final = 50.0
_LISTED: Final = (
    "mode", "start", "end", "trades", "total_return", "sharpe", "max_drawdown",
)  # fmt: skip


def _under(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """Give the items of a page their name."""
    return {name: found.pop("items"), **found}


class Tools:
    """The tools of one workspace; `check` checks a strategy, by default in another process."""

    def __init__(
        self, workspace: Workspace, check: Callable[[CheckRequest], CheckAnswer] | None = None
    ) -> None:
        self._workspace, self._check = workspace, check or CheckProcess().check
        self.jobs = Jobs("job(id, cancel=true) ends one")

    def guide(self, topic: str) -> dict[str, Any]:
        """Return a topic of the guide."""
        return {"topic": topic, "topics": list(TOPICS), "text": guide_text(topic)}

    def schema(self, path: str) -> dict[str, Any]:
        """Return a part of the JSON schema, or the names below it where it is too large."""
        part, keys = schema_part(path)
        large = len(compact(part)) > MOST_SCHEMA
        shown = {"description": part.get("description")} if large else part
        return {"path": path, "part": shown, "keys": keys[:400], "truncated": large}

    def plugins(self, query: str, layer: str | None, limit: int, cursor: int) -> dict[str, Any]:
        """Return plugins with keys and examples; only those of this page are described."""
        found = found_plugins(query, layer)
        begin, most = max(0, cursor), max(1, min(limit, 50))
        shown = [described_plugin(each) for each in found[begin : begin + most]]
        part = page(shown, cursor=0, limit=most)
        after = begin + (part["next"] if part["next"] is not None else len(shown))
        more = after < len(found)
        return _under("plugins", {**part, "next": after if more else None, "truncated": more})

    def check(
        self, file: str | None, text: str | None, settings: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return every problem of a strategy and its data."""
        found = self._check(CheckRequest(str(self._workspace.root), file, text, settings))
        documents = [problem_document(each) for each in found.problems]
        return {
            "ok": found.ok,
            **_under("problems", page(documents, cursor=0, limit=MOST_PROBLEMS)),
        }

    def explain(
        self, file: str, path: str, settings: Mapping[str, Any], limit: int, cursor: int
    ) -> dict[str, Any]:
        """Return effective values with their origins."""
        loaded = self._workspace.load(file=file, settings=settings)
        values = [each.document() for each in explain_values(loaded, path or None)]
        return _under("values", page(values, cursor=cursor, limit=limit))

    def save(self, file: str, text: str, replaces: str | None) -> dict[str, Any]:
        """Write a strategy file."""
        return {"file": file, "hash": self._workspace.save(file, text, replaces=replaces)}

    def run(
        self, file: str, settings: Mapping[str, Any], hypothesis: str, client: str, wait_s: float
    ) -> dict[str, Any]:
        """Run a backtest and store it without its report; after `wait_s` it continues as a job."""
        from septet._app.run import BacktestRequest, compute_backtest, store_backtest
        from septet._jobs.backtest_process import Backtest, run_in_process

        loaded = self._workspace.load(file=file, settings=settings)
        runs = self._workspace.require_runs_folder()
        request = BacktestRequest(face="agent", client=client, hypothesis=sentence(hypothesis))

        def run_apart(progress: Progress) -> dict[str, Any]:
            wanted = Backtest(
                workspace=str(self._workspace.root), runs=str(runs), file=file,
                text=self._workspace.read(file), settings=dict(settings), face="agent",
                client=client, hypothesis=request.hypothesis, report=False,
            )  # fmt: skip
            stored = self._workspace.run(run_in_process(wanted, progress))
            return self._ran(stored, file, settings, request.hypothesis)

        def work(progress: Progress) -> dict[str, Any]:
            result = compute_backtest(loaded, request, log=_noted(progress), progress=progress)
            progress("run", 1, 1, "")
            stored = store_backtest(result, self._workspace.require_runs_folder(), report=False)
            return self._ran(stored, file, settings, request.hypothesis)

        # A fit asks nobody whether to go on: in a process of its own it can be ended. What takes
        # much memory would end the server, not its own process.
        is_heavy = data_bytes(loaded) > MOST_DATA_HERE
        chosen = run_apart if is_heavy or loaded.strategy.model is not None else work
        return self._awaited(self.jobs.start("run", chosen), wait_s)

    def _awaited(self, job: Job, wait_s: float) -> dict[str, Any]:
        """Return the result of a job, or its progress."""
        job.wait(max(0.0, min(wait_s, LONGEST_WAIT_S)))
        if job.error is not None:
            raise job.error
        return {"job": job.document(), **(job.result or {})}

    def _ran(
        self, stored: Any, file: str, settings: Mapping[str, Any], hypothesis: str
    ) -> dict[str, Any]:
        findings = [
            {name: each.get(name) for name in ("symbol", "kind", "policy", "count", "message")}
            for each in stored.findings[:20]
        ]
        return {
            "run": stored.run_id, "strategy": stored.summary["strategy"],
            "hypothesis": hypothesis, "figures": figures_of(stored.summary),
            "findings": findings, "commands": self._commands(file, settings, stored.run_id),
        }  # fmt: skip

    def sweep(
        self, file: str, axes: Mapping[str, Any], section: Mapping[str, Any], hypothesis: str,
        client: str, wait_s: float,
    ) -> dict[str, Any]:  # fmt: skip
        """Run many settings and store them without their page; as `run`, it may become a job.

        They run in a process of its own, which is bounded and ends when the job is cancelled.
        """
        from septet._jobs.sweep_process import SweepWork, sweep_in_process

        self._workspace.load_sweep(file, axes, section)  # its problems are answered at once
        self._workspace.folder("sweeps")
        wanted = SweepWork(
            workspace=str(self._workspace.root), file=file, axes=axes, section=section,
            face="agent", client=client, hypothesis=sentence(hypothesis),
        )  # fmt: skip

        def work(progress: Progress) -> dict[str, Any]:
            found = sweep_in_process(wanted, progress)
            names = ("strategy", "settings", "failed", "goal", "best", "problems", "overfitting",
                     "data_doubts", "verdict", "tries")  # fmt: skip
            chosen = {name: found[name] for name in names}
            best = page(
                [_as_written(each) for each in found["best"]], cursor=0, limit=10, budget=8_000
            )["items"]
            return {
                "sweep": found["sweep_id"], "hypothesis": wanted.hypothesis, **chosen,
                "best": best,
            }  # fmt: skip

        return self._awaited(self.jobs.start("sweep", work), wait_s)

    def job(self, name: str, cancel: bool, wait_s: float) -> dict[str, Any]:
        """Return the progress and result of a job, or cancel it."""
        job = self.jobs.find(name)
        if cancel:
            job.cancel()
        job.wait(max(0.0, min(wait_s, LONGEST_WAIT_S)))
        error = None if job.error is None else error_document(job.error)
        return {"job": job.document(), "result": job.result, "error": error}

    def data(
        self, query: str, bar: str | None, symbol: str | None, stamp: str | None, limit: int,
        cursor: int,
    ) -> dict[str, Any]:  # fmt: skip
        """Return the data files of the workspace; only those of this page are read."""
        files = [each for each in self._workspace.data_files() if query.lower() in each.lower()]
        begin, most = max(0, cursor), max(1, min(limit, 20))
        chosen = files[begin : begin + most]
        shown = [
            self._workspace.data_facts(each, bar=bar, symbol=symbol, stamp=stamp) for each in chosen
        ]
        part = page(shown, cursor=0, limit=most)
        after = begin + (part["next"] if part["next"] is not None else len(shown))
        more = after < len(files)
        return _under("data", {**part, "next": after if more else None, "truncated": more})

    def _commands(self, file: str, settings: Mapping[str, Any], run: str) -> dict[str, str]:
        """Return commands that a person may type; no tool trades."""
        sets = [
            word for key, value in settings.items() for word in ("--set", f"{key}={_flag(value)}")
        ]
        at = str(self._workspace.root / file)
        runs = str(self._workspace.runs)
        return {
            "report": shlex.join(["septet", "report", run, "--runs", runs]),
            "paper": shlex.join(["septet", "run", at, "--mode", "paper", "--out", runs, *sets]),
        }

    def runs(self, strategy: str | None, limit: int, cursor: int) -> dict[str, Any]:
        """Return the stored runs, the latest first."""
        from septet._app.runs import list_stored

        listed = []
        for each in reversed(list_stored(self._workspace.require_runs_folder(), strategy)):
            row: dict[str, Any] = {"run": each.run_id, "strategy": each.strategy}
            if each.damaged:
                row |= {"state": "damaged", "problem": shortened(each.damaged, 300)}
            else:
                row |= {"state": each.state, "figures": figures_of(each.summary, _LISTED)}
                row |= {"problem": each.problem} if each.problem else {}
            listed.append(row)
        return _under("runs", page(listed, cursor=cursor, limit=limit))

    def table(
        self, run: str, name: str, columns: Sequence[str] | None, limit: int, cursor: int,
        *, start: str | None, end: str | None, every: int | None,
    ) -> dict[str, Any]:  # fmt: skip
        """Return rows of a table."""
        stored = self._workspace.run(run)
        with reading_run():
            stored.require_summary()
            most = max(1, min(limit, 200))
            begin = max(0, cursor)
            frame, more = table_slice(
                stored, name, begin=begin, most=most, columns=columns, start=start, end=end,
                every=every,
            )  # fmt: skip
            rows = [list(row) for row in frame.iter_rows()]
            part = page(rows, cursor=0, limit=most)
            after = begin + (part["next"] if part["next"] is not None else len(rows))
            more = more or part["next"] is not None
            part |= {"next": after if more else None, "truncated": more}
            return {
                "run": stored.run_id, "table": name, "columns": frame.columns,
                **_under("rows", part), "figures": figures_of(stored.summary, _LISTED),
                **_problem(stored),
            }  # fmt: skip

    def why(self, run: str, order: str) -> dict[str, Any]:
        """Return why an order was made, or why none."""
        from septet._app.runs import why_order, why_sentence

        stored = self._workspace.run(run)
        with reading_run():
            chain = why_order(stored, order)
            return {
                "run": stored.run_id, "text": why_sentence(chain), "chain": chain,
                "figures": figures_of(stored.summary, _LISTED), **_problem(stored),
            }  # fmt: skip

    def diff(self, a: str, b: str, limit: int, cursor: int) -> dict[str, Any]:
        """Return the settings in which two runs differ, and the figures of both."""
        one, other = self._workspace.run(a), self._workspace.run(b)
        with reading_run():
            changed = page(changed_settings(one, other), cursor=cursor, limit=limit, budget=6_000)
            command = None
            if is_live(one) != is_live(other):
                live, past = (one, other) if is_live(one) else (other, one)
                words = ["septet", "runs", "diff", live.run_id, past.run_id]
                command = shlex.join([*words, "--runs", str(self._workspace.runs)])
            return {
                **_under("settings", changed),
                "a": {"run": one.run_id, "figures": figures_of(one.summary), **_problem(one)},
                "b": {"run": other.run_id, "figures": figures_of(other.summary), **_problem(other)},
                "command": command,
            }  # fmt: skip

    def armed(self) -> tuple[str, ...]:
        """Return the ids of the runs that agents may halt."""
        from septet._app.arm import armed_runs

        return armed_runs(self._workspace.runs)

    def halt(self, run: str, reason: str, client: str, wait_s: float) -> dict[str, Any]:
        """Halt an armed run; the client's name is written to its journal with the reason."""
        from septet._app.arm import arm_of
        from septet._app.halt import halt_run
        from septet._app.halt_texts import outcome_lines

        why = sentence(reason, "reason")
        folder = self._workspace.live_folder(run, to_halt=True)
        if arm_of(folder) is None:
            raise InputError(
                f"run {folder.name} is not armed", hint="a person arms it: septet arm RUN --for 15m"
            )
        found = halt_run(folder, name=f"agent {client}".strip(), reason=why, wait_s=wait_s)
        return {
            "run": found.run_id, "ok": found.acted, "taken": found.taken,
            "running": found.running,
            "open_orders": found.open_orders, "text": outcome_lines(found, wait_s),
        }  # fmt: skip


def _problem(run: Any) -> dict[str, str]:
    """Return the defect of a run's journal or files; empty if there is none."""
    from septet._app.runs import problem_of_run

    text = problem_of_run(run)
    return {"problem": text} if text else {}


def _noted(progress: Progress) -> Callable[[str], None]:
    return lambda text: progress("note", 0, None, text)


def sentence(text: str, what: str = "hypothesis") -> str:
    """Return a hypothesis, or a reason, as one line.

    Raises
    ------
    InputError
        If it is empty, or longer than a sentence.
    """
    plain = " ".join(text.split())
    if not plain or not plain.isprintable() or len(plain) > LONGEST_HYPOTHESIS:
        raise InputError(
            f"{what} is one sentence, and is needed",
            hint=f"what is believed and why, at most {LONGEST_HYPOTHESIS} characters",
        )
    return plain


def _as_written(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of a sweep with whole numbers of its settings written as in a file."""
    return {
        name: int(value)
        if "." in name and isinstance(value, float) and value.is_integer()
        else value
        for name, value in row.items()
    }


def _flag(value: Any) -> str:
    return value if isinstance(value, str) else compact(value)
