"""A stranger's package with a part no compiler takes, from the command line to the run's folder.

Its steps are those of `tests/plan`, so that their plans are compiled once for both.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
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
name: %s
plugins: [strangers]
universe: {symbols: [BTC/USDT], bar: 1h}
data: {candles: {use: synthetic, bars: 400, volatility: 90%%}}
features:
  far: {use: strangers:%s, period: 4}
signal: {use: rules, long_if: far > 0.001, exit_if: far < -0.001}
risk:
  sizing: {use: fixed_fraction, fraction: 50%%}
  stops: {stop_loss: 2%%}
"""
TABLES = ("decisions", "orders", "fills", "trades", "equity")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a package that is installed as far as Python can tell."""
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


def run(folder: Path, use: str, *words: str, compiles: str = "always") -> tuple[Path, str]:
    """Run a strategy with one of the two features; return the run's folder and what was said."""
    path = folder / f"{use}.yaml"
    path.write_text(STRATEGY % (use.replace("_", "-"), use), encoding="utf-8")
    paths = [str(folder), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    program = "from septet.cli import main; main()"
    out = folder / "-".join([use, compiles, *words])
    done = subprocess.run(
        [sys.executable, "-c", program, "run", str(path), "--out", str(out), "--json", *words],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "SEPTET_COMPILE": compiles},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (summary,) = out.rglob("summary.json")
    return summary.parent, done.stderr


def test_the_run_says_which_part_made_it_slow_and_why(folder):
    made, said = run(folder, "reach_plain")
    assert "reach_plain has no compiled step; its own column runs uncompiled" in said
    manifest = json.loads((made / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["compiled"] is True
    assert manifest["slow_parts"] == ["reach_plain"]


def test_both_engines_give_the_bits_of_the_compiled_part(folder):
    """The same text, uncompiled: nothing but the speed differs."""
    compiled, said = run(folder, "reach")
    assert "no compiled step" not in said
    ways = [("reach_plain", "batch", "always"), ("reach_plain", "event", "always")]
    ways += [("reach_plain", "batch", "never"), ("reach", "event", "never")]
    for use, engine, compiles in ways:
        slow, _ = run(folder, use, "--engine", engine, compiles=compiles)
        for name in TABLES:
            ours, theirs = (pl.read_parquet(each / f"{name}.parquet") for each in (compiled, slow))
            assert ours.height > 10
            assert ours.equals(theirs, null_equal=True), name
