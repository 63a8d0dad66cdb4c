"""numba's inside stands in one module, is bound to versions that were tried, and may be missing."""

from __future__ import annotations

import ast
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packaging.requirements import Requirement

from septet._kernel import numba_inside, part_compiler, step
from septet._plan import native, plain
from septet.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
MAY_IMPORT = {"_kernel/numba_inside.py", "_kernel/step.py"}
"""The second takes `numba.njit`, which is public."""


def project() -> dict[str, Requirement]:
    tomllib = pytest.importorskip("tomllib")
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    needs = [Requirement(each) for each in tomllib.loads(text)["project"]["dependencies"]]
    return {each.name: each for each in needs}


def test_one_module_imports_what_numba_keeps_to_itself() -> None:
    importing = set()
    folder = ROOT / "runner" / "septet"
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(each.partition(".")[0] == "numba" for each in names):
                importing.add(path.relative_to(folder).as_posix())
    assert importing == MAY_IMPORT
    text = (folder / "_kernel" / "step.py").read_text(encoding="utf-8")
    assert "numba.core" not in text


def test_the_bounds_of_the_project_are_those_that_were_tried() -> None:
    numba = project()["numba"].specifier
    lowest, too_new = (".".join(map(str, each)) for each in
                       (numba_inside.LOWEST, numba_inside.TOO_NEW))  # fmt: skip
    assert f"{numba_inside.LOWEST[0]}.{numba_inside.LOWEST[1]}.0" in numba
    assert set(str(numba).split(",")) == {f">={lowest}", f"<{too_new}"}
    assert "<" in str(project()["llvmlite"].specifier), "LLVM's binding has an upper bound, too"


@pytest.mark.parametrize(
    ("found", "known"),
    [("0.60.9", False), ("0.61.0", True), ("0.69.1rc1", True), ("0.70.0", False), ("1.0", False),
     ("odd", False)],
)  # fmt: skip
def test_a_version_that_was_not_tried_compiles_nothing(
    monkeypatch: pytest.MonkeyPatch, found: str, known: bool
) -> None:
    monkeypatch.setattr(numba_inside, "version", lambda name: found)
    numba_inside.is_known.cache_clear()
    try:
        assert numba_inside.is_known() is known
        monkeypatch.setenv(plain.COMPILE, "auto")
        assert plain.compile_choice() == ("auto" if known else "never")
        assert native._usual() or not known
        monkeypatch.setenv(plain.COMPILE, "always")
        if not known:
            with pytest.raises(InputError, match="not one of those tried"):
                plain.compile_choice()
    finally:
        monkeypatch.undo()
        numba_inside.is_known.cache_clear()


def test_without_its_inside_numba_compiles_parts_as_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Slower, to the same bits: it falls back, and not over."""
    makers: Any = (part_compiler.entry_compiler, part_compiler.part_compiler)
    monkeypatch.setattr(part_compiler, "compiler", lambda: None)
    for each in makers:
        each.cache_clear()
    try:
        root = step.jit_inner(lambda x: math.sqrt(x) + 1.0 / 3.0, inline=False)
        entry = step.jit_entry(lambda x: root(x) * x, "float64(float64)")
        values = np.random.default_rng(3).uniform(0.0, 9.0, 50)
        assert [entry(x) for x in values] == [(math.sqrt(x) + 1.0 / 3.0) * x for x in values]
        (compiled,) = root.overloads.values()
        assert "Part" not in type(compiled.library).__name__
    finally:
        for each in makers:
            each.cache_clear()


def test_the_lowest_numba_gives_one_answer(tmp_path: Path) -> None:
    """The tests run the newest: here a shape is compiled with the lowest, and agrees as well."""
    lowest = ".".join(map(str, numba_inside.LOWEST))
    target = tmp_path / "lowest"
    asked = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-compile",
             "--disable-pip-version-check", "--target", str(target),
             f"numba=={lowest}.*"]  # fmt: skip
    made = subprocess.run(asked, capture_output=True, text=True, check=False)
    if made.returncode and not os.environ.get("CI"):
        pytest.skip(f"numba {lowest} cannot be installed here: {made.stderr[-200:]}")
    assert made.returncode == 0, made.stderr
    world = {
        **os.environ, "PYTHONPATH": str(target), "SEPTET_CACHE": str(tmp_path / "cache"),
        "SEPTET_COMPILE": "always",
    }  # fmt: skip
    asked = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider",
             "tests/core/test_parity_compiled.py", "-k", "one_answer and crosses"]  # fmt: skip
    ran = subprocess.run(asked, cwd=ROOT, env=world, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-2_000:] + ran.stderr[-500:]
    asked = [sys.executable, "-c", "import numba; print(numba.__version__)"]
    text = subprocess.run(asked, env=world, capture_output=True, text=True, check=True).stdout
    assert text.startswith(lowest)
