"""What a run and a check import, open and start: each costs time at every start.

Lists name what was once imported without need. A name is taken out of a list only with the reason
why a run now needs it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STRATEGY = ROOT / "strategies" / "sma-cross.yaml"
MODEL = ROOT / "strategies" / "logistic.yaml"

COMPILERS = ("numba", "llvmlite")
LEARNERS = ("sklearn", "scipy", "joblib", "onnx", "onnxruntime", "skl2onnx")
OTHER_TABLES = ("pandas", "pyarrow")
NETWORK = ("asyncio", "ssl", "ccxt", "aiohttp", "starlette", "uvicorn", "http.client")
SELDOM = ("tomllib", "unittest", "apscheduler", "structlog", "jinja2", "prometheus_client")
LIVE = (
    "septet._live", "septet._journal.lease", "septet._journal.reader", "septet._drill",
    "septet._host.background_tasks", "septet._host.adapter_values", "septet._sweep",
    "septet._shell.stretch_backtest", "septet.testing", "septet._dashboard",
)  # fmt: skip
OF_WARNINGS = ("septet._cli.render",)  # what a run that warns of nothing does not print
HINTS = ("septet._expression_words", "septet._config.block_examples")  # of wrong files
UNNEEDED = COMPILERS + LEARNERS + OTHER_TABLES + NETWORK + SELDOM + LIVE + HINTS

CODE = """
import sys
from septet.cli import main
try:
    main(sys.argv[1:])
finally:
    print("\\n".join(sys.modules), file=sys.__stderr__)
"""


def imported_by(*words: object, cache: Path | None = None) -> set[str]:
    """Return what a process has imported when the command ends."""
    command = [sys.executable, "-c", CODE, *map(str, words)]
    place = {"SEPTET_CACHE": str(cache)} if cache is not None else {}
    done = subprocess.run(
        command, env={**os.environ, **place}, capture_output=True, text=True, check=True
    )
    return set(done.stderr.split("\n"))


@pytest.mark.parametrize("more", [[], ["--fast"]])
def test_a_run_of_rules_imports_what_it_uses(tmp_path: Path, more: list[str]) -> None:
    modules = imported_by("run", STRATEGY, "--out", tmp_path, *more)
    assert {"numpy", "polars", "septet._shell.backtest"} <= modules
    assert sorted({*UNNEEDED, *OF_WARNINGS} & modules) == []


def test_a_run_that_answers_in_json_imports_nothing_that_draws(tmp_path: Path) -> None:
    modules = imported_by("run", STRATEGY, "--out", tmp_path, "--json")
    assert "septet._shell.backtest" in modules
    drawing = {each for each in modules if each.partition(".")[0] == "rich"}
    assert sorted(drawing) == []


def test_a_check_of_rules_imports_what_it_uses() -> None:
    modules = imported_by("check", STRATEGY)
    assert {"numpy", "polars", "septet._app.check"} <= modules
    assert sorted(set(UNNEEDED) & modules) == []


def test_a_second_check_of_a_model_imports_neither_learner_nor_compiler(tmp_path: Path) -> None:
    first, second = (imported_by("check", MODEL, cache=tmp_path / "cache") for _ in range(2))
    assert {"sklearn"} <= first
    assert "septet._learn.trial_fit_cache" in second
    assert sorted(set(UNNEEDED) & second) == []


BUILT = """
import sys
from septet.cli import main
from septet_schemas.base import Config
try:
    main(sys.argv[1:])
finally:
    waiting = [Config]
    for each in waiting:
        waiting += each.__subclasses__()
        print(each.__name__, each.__pydantic_complete__, file=sys.__stderr__)
"""


def test_a_run_builds_the_settings_it_reads_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BUILT, "run", str(STRATEGY), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = dict(line.split() for line in done.stderr.splitlines())
    built = {name for name, is_complete in found.items() if is_complete == "True"}
    assert {"Strategy", "Average", "FixedFraction", "CandleKeys"} <= built
    of_other_blocks = {"Ccxt", "FixedRisk", "Kelly", "ModelKeys", "RegimeKeys", "SeriesKeys"}
    assert of_other_blocks <= set(found)  # their modules are imported
    assert sorted(of_other_blocks & built) == []


PATTERNS = """
import sys
from re import _compiler
compile_pattern = _compiler.compile
def compiled(*words, **more):
    frame = sys._getframe(1)
    while frame.f_code.co_filename.endswith(("/re/__init__.py", "functools.py")):
        frame = frame.f_back
    if frame.f_code.co_name == "<module>":
        print(frame.f_globals["__name__"], file=sys.__stderr__)
    return compile_pattern(*words, **more)
_compiler.compile = compiled
from septet.cli import main
main(sys.argv[1:])
"""
USED_PATTERNS = {
    "septet._cli.terminal", "septet._config.scalars", "septet._data.source_files",
    "septet._expressions", "septet._plan.plain", "septet._text",
    "septet_plugins.exchange.order_fields",
}  # fmt: skip
"""Modules whose patterns every run uses; others write `late_pattern`."""


def test_a_run_compiles_patterns_where_it_uses_them(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PATTERNS, "run", str(STRATEGY), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    modules = set(done.stderr.splitlines())
    assert any(each.startswith("yaml.") for each in modules)  # compiling is seen
    ours = {each for each in modules if each.partition(".")[0].startswith("septet")}
    assert sorted(ours - USED_PATTERNS) == []


WATCHED = """
import os, sys
seen = []
sys.addaudithook(lambda event, facts: seen.append((event, str(facts[0]) if facts else "")))
from septet.cli import main
try:
    main(sys.argv[1:])
finally:
    print(os.environ.get("OPENBLAS_THREAD_TIMEOUT"), file=sys.__stderr__)
    for event, subject in seen:
        if event in ("subprocess.Popen", "os.fork", "os.posix_spawn", "os.system"):
            print(f"process {subject}", file=sys.__stderr__)
        if event == "open" and subject.endswith("entry_points.txt"):
            print(f"read {subject}", file=sys.__stderr__)
"""


def test_a_run_starts_no_process_and_reads_entry_points_once(tmp_path: Path) -> None:
    known = ("OPENBLAS_THREAD_TIMEOUT", "PYDANTIC_DISABLE_PLUGINS")
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, "run", str(STRATEGY), "--out", str(tmp_path)],
        env={name: value for name, value in os.environ.items() if name not in known},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    threads, *lines = done.stderr.splitlines()
    assert threads == "20"  # numpy's threads sleep where they have nothing to do
    read = [line for line in lines if line.startswith("read ")]
    assert read
    assert sorted(read) == sorted(set(read))
    assert [line for line in lines if line.startswith("process ")] == []
