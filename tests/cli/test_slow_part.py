"""A stranger's package with a part no compiler takes, from the command line to the run's folder.

Its steps are those of `tests/plan`: one feature twice, compiled and plain, in one strategy, so that
one plan is compiled.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import polars as pl
import pytest

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = '''\
"""What this package brings."""

from septet.hookspecs import Component, hookimpl

NAMES = ("reach", "reach_plain")


@hookimpl
def septet_features():
    """List the features."""
    where = "tests.plan.strangers"
    return [Component("features", each, f"{where}:{each}", "feature", each) for each in NAMES]
'''
STRATEGY = """\
version: 1
name: slowly
plugins: [strangers]
universe: {symbols: [BTC/USDT], bar: 1h}
data: {candles: {use: synthetic, bars: 400, volatility: 90%}}
features:
  far: {use: strangers:reach, period: 4}
  slow: {use: strangers:reach_plain, period: 4}
signal: {use: rules, long_if: far > 0.001 and slow > 0.001, exit_if: slow < -0.001}
risk:
  sizing: {use: fixed_fraction, fraction: 50%}
  stops: {stop_loss: 2%}
"""
Run = Callable[[str, str], tuple[Path, str]]
TABLES = ("decisions", "orders", "fills", "trades", "equity")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a package that Python takes for installed."""
    made = tmp_path_factory.mktemp("slowly")
    (made / "slowly").mkdir()
    (made / "slowly" / "__init__.py").write_text('"""A slow part."""\n', encoding="utf-8")
    (made / "slowly" / "manifest.py").write_text(MANIFEST, encoding="utf-8")
    info = made / "strangers-1.0.dist-info"
    info.mkdir()
    facts = "Metadata-Version: 2.1\nName: strangers\nVersion: 1.0\n"
    (info / "METADATA").write_text(facts, encoding="utf-8")
    (info / "entry_points.txt").write_text("[septet]\nstrangers = slowly.manifest\n", "utf-8")
    return made


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    """Run the strategy with an engine, compiled or not; return its folder and what was printed."""
    path = folder / "slowly.yaml"
    path.write_text(STRATEGY, encoding="utf-8")
    paths = [str(folder), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    program = "from septet.cli import main; main()"

    @cache
    def ran(engine: str, compiles: str) -> tuple[Path, str]:
        out = folder / f"{engine}-{compiles}"
        words = ["run", str(path), "--out", str(out), "--json", "--engine", engine, "--no-report"]
        done = subprocess.run(
            [sys.executable, "-c", program, *words], capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "SEPTET_COMPILE": compiles},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        (summary,) = out.rglob("summary.json")
        return summary.parent, done.stderr

    return ran


def test_the_run_names_which_part_made_it_slow_and_why(run: Run) -> None:
    made, text = run("batch", "always")
    assert "reach_plain has no compiled step; its own column runs uncompiled" in text
    assert text.count("no compiled step") == 1, "the other has one"
    manifest = json.loads((made / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["compiled"] is True
    assert manifest["slow_parts"] == ["reach_plain"]


def test_both_engines_give_the_bits_of_the_compiled_part(run: Run) -> None:
    """The same text, uncompiled: nothing but the speed differs."""
    compiled, _ = run("batch", "always")
    columns = pl.read_parquet(compiled / "decisions.parquet")
    assert columns["far"].equals(columns["slow"].alias("far"), null_equal=True)
    assert columns["far"].is_finite().sum() > 300
    for engine, compiles in (("event", "always"), ("batch", "never"), ("event", "never")):
        other, _ = run(engine, compiles)
        for name in TABLES:
            ours, theirs = (pl.read_parquet(each / f"{name}.parquet") for each in (compiled, other))
            assert ours.height > 10
            assert ours.equals(theirs, null_equal=True), name
