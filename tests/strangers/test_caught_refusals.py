"""A step that catches what a watched read raises does not go on, and messages name what helps."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from septet._host.guarded_arrays import GuardedColumn, StepError, Watch
from septet.cli import main
from septet.testing.verdict import decisive
from tests.strangers.package import STRATEGY, installed, manifest_of, write_package
from tests.strangers.steps import HEAD

CAUGHT = """
@feature(Over, OPTIONS)
def mine(i, of):
    try:
        return of[i + 1]
    except BaseException:
        return of[i]
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SEPTET_COMPILE", "never")


def run(folder: Path, source: str, *words: str) -> object:
    files = {
        "steps.py": HEAD + source,
        "manifest.py": manifest_of("odd_caught", {"mine": ("features", "feature")}),
    }
    write_package(folder, "odd-caught", files)
    path = folder / "strategy.yaml"
    text = STRATEGY.format(plugins="plugins: [odd-caught]", feature="{use: mine}")
    path.write_text(text, encoding="utf-8")
    with installed(folder, "odd_caught"), pytest.raises(SystemExit) as end:
        main(["run", str(path), "--out", str(folder / "runs"), *words])
    return end.value.code


@pytest.mark.parametrize("options", ["compiled=False", ""])
@pytest.mark.parametrize("engine", ["batch", "event"])
def test_a_run_ends_at_a_read_of_the_future_that_is_caught(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: str, engine: str
) -> None:
    source = CAUGHT.replace(", OPTIONS", f", {options}" if options else "")
    code = run(tmp_path, source, "--unchecked", "--engine", engine)
    output = " ".join(capsys.readouterr().err.split())
    assert code not in (0, None), output
    assert "mine reads of[i + 1]: the future" in output
    line = (HEAD + source).splitlines().index("        return of[i + 1]") + 1
    assert f"steps.py:{line}" in output


def test_the_kit_finds_it_as_well(tmp_path: Path) -> None:
    source = CAUGHT.replace("OPTIONS", "compiled=False")
    write_package(tmp_path, "odd-caught", {"steps.py": HEAD + source, "manifest.py": ""})
    with installed(tmp_path, "odd_caught"):
        module: Any = importlib.import_module("odd_caught.steps")
        *_, last = decisive(module.mine, module.Over())
    assert last.state == "failed"
    assert "mine reads of[i + 1]: the future" in last.message
    assert "steps.py:" in last.message


def column(cursor: int = 8) -> GuardedColumn:
    return GuardedColumn("of", np.arange(20.0), Watch("mine", 3, 4, cursor))


REFUSED = {
    "each value": (lambda of: list(of), "iterates over of, which is the whole window"),
    "a loop": (lambda of: max(of), "iterates over of"),
    "its size": (lambda of: of.size, "asks for of.size; of a column one value at a time"),
    "its flags": (lambda of: of.flags.writeable, "asks for of.flags"),
    "an absolute index": (lambda of: of[0], "before its first; .* index relative to i"),
    "far back": (lambda of: of[3], "declares; .* index relative to i"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_shows_what_helps(case: str) -> None:
    ask, text = REFUSED[case]
    with pytest.raises(StepError, match=text):
        ask(column())


def test_a_watch_remembers_the_first_refusal() -> None:
    watch = Watch("mine", 0, 4, 8)
    of = GuardedColumn("of", np.arange(20.0), watch)
    for ahead in (1, 2):
        with pytest.raises(StepError, match="the future"):
            of[8 + ahead]
    with pytest.raises(StepError, match=r"reads of\[i \+ 1\]: the future"):
        watch.raise_fault()
