"""The public face, name by name: a change here is a change for every program that uses it."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import septet
from septet._results.result import SUMMARY, TABLES
from tests.python.samples import written

FUNCTIONS = {
    "load": "(source: str | PathLike[str] | Mapping[str, Any], *, settings: Settings | None = None,"
    " mode: Mode | None = None) -> Strategy",
    "loads": "(text: str, *, base: str | PathLike[str] = '.', settings: Settings | None = None)"
    " -> Strategy",
    "check": "(source: Strategy | str | PathLike[str] | Mapping[str, Any], *,"
    " mode: Mode | None = None, world: bool = False) -> Check",
    "run": "(strategy: Strategy, *, data: Data | None = None, time: str | None = None,"
    " zone: str | None = None, engine: Engine = 'auto', tables: bool = True, threads: int = 1,"
    " progress: Progress | None = None, cancel: Cancel | None = None) -> Run",
    "run_many": "(strategies: Iterable[Strategy], *, data: Data | None = None,"
    " time: str | None = None, zone: str | None = None, threads: int | None = None,"
    " progress: Progress | None = None, cancel: Cancel | None = None) -> Iterator[Run | Failed]",
    "sweep": "(strategy: Strategy, axes: Mapping[str, str | Sequence[object]] | None = None, *,"
    " method: Method | None = None, trials: int | None = None, seed: int | None = None,"
    " goal: str | None = None, where: str | None = None, threads: int | None = None,"
    " out: str | PathLike[str] | None = None, progress: Progress | None = None,"
    " cancel: Cancel | None = None) -> Sweep",
    "train": "(strategy: Strategy, *, to: str | PathLike[str] | None = None,"
    " progress: Progress | None = None) -> Model",
    "runs": "(strategy: str | None = None, *, root: str | PathLike[str] = 'runs') -> Sequence[Run]",
    "open_run": "(reference: str | PathLike[str], *, root: str | PathLike[str] = 'runs') -> Run",
    "trials": "(subject: Strategy | Run | None = None) -> Trials",
    "halt": "(run: Run, *, name: str, reason: str, flatten: bool = False, wait: float = 10.0)"
    " -> Halted",
    "resume": "(run: Run, *, name: str, reason: str, wait: float = 10.0) -> Halted",
}
METHODS = {
    "Strategy": {
        "with_": "(self, settings: Settings, /) -> Strategy",
        "explain": "(self) -> pl.DataFrame",
        "save": "(self, path: str | PathLike[str], *, replace: bool = False) -> Path",
    },
    "Run": {
        "scan": "(self, table: Table) -> pl.LazyFrame",
        "why": "(self, order: str) -> Why",
        "diff": "(self, other: Run) -> Gap",
        "save": "(self, root: str | PathLike[str] = 'runs', *, report: bool = True) -> Path",
        "report": "(self, path: str | PathLike[str] | None = None) -> Path",
        "close": "(self) -> None",
    },
    "Sweep": {
        "best": "(self, count: int = 10) -> pl.DataFrame",
        "strategy": "(self, row: int) -> Strategy",
    },
}
ATTRIBUTES = {
    "Strategy": "hash mode name settings text warnings",
    "Run": "decisions doubt equity fills folder forward id monitoring orders problem strategy "
    "summary trades trials verdict",
    "Sweep": "folder settings trials verdict",
    "Check": "ok problems settings strategy world",
    "Trials": "complete count declared deflated_sharpe effective frame text",
    "Verdict": "text tone",
    "Why": "facts run_id symbol text time",
    "Gap": "backtest currency explained facts live parts remainder",
    "Model": "card folder",
    "Failed": "error strategy",
    "Halted": "acted action cleared ended folder has_journal held is_idle mode moved_aside "
    "open_orders pid replaced_by run_id running state taken unread",
    "Summary": " ".join([*SUMMARY, "more"]),
}
SHOWN = ("Strategy", "Run", "Sweep", "Check", "Why", "Gap", "Trials")
PLAIN = {"document", "of", "save", "scan"}


def signature(function: Any) -> str:
    """Return a signature as it is written: annotations are texts."""
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(function)))


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions_are_called_so(name: str) -> None:
    assert signature(getattr(septet, name)) == FUNCTIONS[name]


@pytest.mark.parametrize("kind", sorted(METHODS))
def test_methods_are_called_so(kind: str) -> None:
    made = getattr(septet, kind)
    assert {name: signature(getattr(made, name)) for name in METHODS[kind]} == METHODS[kind]


@pytest.mark.parametrize("kind", sorted(ATTRIBUTES))
def test_attributes_are_these(kind: str) -> None:
    made = getattr(septet, kind)
    public = {name for name in dir(made) if not name.startswith("_")}
    methods = set(METHODS.get(kind, {})) | {"document", "of"}
    assert sorted(public - methods) == sorted(ATTRIBUTES[kind].split())


@pytest.mark.parametrize("kind", SHOWN)
def test_what_shows_itself_in_a_notebook(kind: str) -> None:
    assert callable(getattr(septet, kind)._repr_html_)


def test_progress_and_cancel_are_protocols() -> None:
    call = signature(septet.Progress.__call__)
    assert call == "(self, stage: str, done: int, total: int | None, text: str, /) -> None"
    assert signature(septet.Cancel.is_set) == "(self) -> bool"


def test_the_columns_of_tables_are_those_that_are_stored(tmp_path: Path) -> None:
    run = septet.run(septet.load(written(tmp_path)))
    for name in ("trades", "orders", "fills", "equity", "monitoring"):
        assert getattr(run, name).columns == list(TABLES[name]), name
    columns = list(TABLES["decisions"])
    assert run.decisions.columns == [*columns[:2], "fast", "slow", *columns[2:]]


def test_results_are_frozen_and_have_slots(tmp_path: Path) -> None:
    run = septet.run(septet.load(written(tmp_path)))
    for value in (run.summary, run.verdict, septet.check(run.strategy), run.strategy, run):
        assert not hasattr(value, "__dict__"), type(value).__name__
        name = next(each for each in dir(value) if not each.startswith("_"))
        with pytest.raises((AttributeError, TypeError)):
            setattr(value, name, 1)


def test_errors_have_a_message_and_a_way_out() -> None:
    kinds = [getattr(septet, name) for name in septet.__all__ if name.endswith("Error")]
    assert all(issubclass(each, septet.SeptetError) for each in [*kinds, septet.Cancelled])
    error = septet.DataError("it is wrong", hint="mend it")
    assert (error.message, error.hint) == ("it is wrong", "mend it")


def test_importing_septet_imports_nothing_heavy() -> None:
    heavy = ("numpy", "polars", "pydantic", "numba", "yaml", "click", "rich", "asyncio")
    code = (
        "import sys, septet; print(sorted(set(sys.argv[1:]) & set(sys.modules)));"
        "print(len([n for n in sys.modules if n.startswith('septet')]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True
    )
    modules, count = done.stdout.splitlines()
    assert modules == "[]"
    assert int(count) < 8


def test_no_face_needs_the_terminal_of_another(tmp_path: Path) -> None:
    code = (
        "import sys, septet; s = septet.load(sys.argv[1]); r = septet.run(s); septet.check(s);"
        "septet.sweep(s, {'features.fast.period': [3, 4]}); r.why(r.orders['order_id'][0]);"
        "r._repr_html_(); r.save(sys.argv[2]); septet.runs(root=sys.argv[2]);"
        "print(sorted({'click', 'rich'} & set(sys.modules)))"
    )
    words = [sys.executable, "-c", code, str(written(tmp_path)), str(tmp_path / "runs")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'forward'"):
        septet.forward  # noqa: B018
    assert dir(septet) == sorted(septet.__all__), "completion offers nothing else"
