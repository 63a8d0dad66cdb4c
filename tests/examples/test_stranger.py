"""A stranger's package beside septet in a fresh environment: nothing of ours is nearer to it.

The environment is made from nothing. septet and the example are built and installed into it as
any user would; the libraries they need are lent from this environment, so that nothing is
fetched.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import polars as pl
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "septet-weekend"
BAR_NS = 15 * 60 * 1_000_000_000
WEEK_NS = 7 * 24 * 3_600_000_000_000
MONDAY_NS = 4 * 24 * 3_600_000_000_000


@dataclass(frozen=True)
class Environment:
    """A virtual environment with septet and the example installed, and a copy of the example."""

    python: Path
    example: Path

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a program of this environment inside the copied example."""
        clean = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
        return subprocess.run(
            [str(self.python.parent / command[0]), *map(str, command[1:])],
            cwd=self.example,
            env=clean,
            capture_output=True,
            text=True,
            check=False,
        )

    def septet(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the command line as installed here."""
        return self.run("septet", *arguments)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("stranger")
    venv, example = folder / "venv", folder / "septet-weekend"
    ignored = shutil.ignore_patterns("__pycache__", "runs", ".*cache")
    shutil.copytree(EXAMPLE, example, ignore=ignored)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    python = venv / "bin" / "python"
    scheme = {"base": str(venv), "platbase": str(venv)}
    packages = Path(sysconfig.get_path("purelib", "venv", scheme))
    # A plain path: libraries are lent, but the editable septet of this environment is not.
    (packages / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--no-input", "install", "-q"]
    alone = ["--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed"]
    done = subprocess.run(
        [*pip, *alone, str(ROOT), str(example)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return Environment(python, example)


@pytest.fixture
def edited(fresh: Environment, tmp_path: Path) -> Callable[[str, str], Path]:
    """Write the example's strategy with one text replaced."""

    def edit(old: str, new: str) -> Path:
        text = (fresh.example / "strategy.yaml").read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} is not in the example once"
        path = tmp_path / "strategy.yaml"
        path.write_text(text.replace(old, new), encoding="utf-8")
        return path

    return edit


def _place(path: Path, text: str) -> str:
    """``line:column`` of the first occurrence, counted from 1."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if text in line:
            return f"{number}:{line.index(text) + 1}"
    raise AssertionError(f"{text!r} is not in {path}")


def test_it_runs_the_installed_septet_not_the_checkout(fresh: Environment) -> None:
    code = "import septet, septet_weekend; print(septet.__file__); print(septet_weekend.__file__)"
    done = fresh.run("python", "-c", code)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        assert Path(line).is_relative_to(fresh.python.parents[1]), line


def test_its_plugins_are_listed_with_their_distribution(fresh: Environment) -> None:
    done = fresh.septet("plugins", "list", "--json")
    assert done.returncode == 0, done.stderr
    listed = json.dumps(json.loads(done.stdout))
    assert "week_to_date" in listed
    assert "weekend_cap" in listed
    assert "septet-weekend" in listed


def test_its_strategy_passes_the_check(fresh: Environment) -> None:
    done = fresh.septet("check", "strategy.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_settings_are_in_the_schema(fresh: Environment, tmp_path: Path) -> None:
    written = tmp_path / "strategy.schema.json"
    done = fresh.septet("schema", "--out", written)
    assert done.returncode == 0, done.stderr
    text = written.read_text(encoding="utf-8")
    assert "week_to_date" in text
    assert "weekend_cap" in text
    assert "may not grow above a share of equity" in text

    editor = jsonschema.Draft202012Validator(json.loads(text))
    strategy = yaml.safe_load((fresh.example / "strategy.yaml").read_text(encoding="utf-8"))
    assert [error.message for error in editor.iter_errors(strategy)] == []
    strategy["risk"]["limits"]["weekend"]["max"] = "lots"
    assert [list(error.absolute_path)[:2] for error in editor.iter_errors(strategy)] == [
        ["risk", "limits"]
    ]


def test_an_error_inside_its_block_has_its_place(
    fresh: Environment, edited: Callable[[str, str], Path]
) -> None:
    path = edited("max: 5%", "max: lots")
    done = fresh.septet("check", path)
    assert done.returncode == 2
    shown = done.stdout + done.stderr
    assert f"{path.name}:{_place(path, 'lots')}" in shown
    assert "risk.limits.weekend.max" in shown
    assert "a fraction such as 10%, 5bps or 0.1" in shown
    assert "Traceback" not in shown


def test_an_unknown_key_inside_its_block_has_its_place(
    fresh: Environment, edited: Callable[[str, str], Path]
) -> None:
    path = edited("max: 5%", "maxx: 5%")
    done = fresh.septet("check", path)
    assert done.returncode == 2
    shown = done.stdout + done.stderr
    assert f"{path.name}:{_place(path, 'maxx')}" in shown
    assert "risk.limits.weekend.maxx" in shown
    assert "Traceback" not in shown


def test_a_misspelt_name_finds_its_plugin(
    fresh: Environment, edited: Callable[[str, str], Path]
) -> None:
    path = edited("use: week_to_date", "use: week_to_dat")
    done = fresh.septet("check", path)
    assert done.returncode == 2
    shown = done.stdout + done.stderr
    assert f"{path.name}:{_place(path, 'week_to_dat')}" in shown
    assert "did you mean week_to_date" in shown


def test_the_edge_is_typed_for_it(fresh: Environment) -> None:
    """A plugin author's own strict check sees septet's types as installed."""
    done = fresh.run("python", "-m", "mypy", "--strict", "src")
    assert done.returncode == 0, done.stdout


def test_settings_of_any_plugin_are_made_without_a_complaint(fresh: Environment) -> None:
    """A declaration's settings are those of a plugin nobody here knows."""
    code = (
        "from septet_weekend.limits import weekend_cap\n"
        "from septet.plugin.model import Fitted, Trainer, Window\n"
        "class Own:\n"
        "    name = 'own'\n"
        "    def fit(self, window: Window) -> Fitted: raise NotImplementedError\n"
        "trainer: Trainer = Own()\n"
        "weekend_cap.config(max=0.05)\n"
    )
    done = fresh.run("python", "-m", "mypy", "--strict", "-c", code)
    assert done.returncode == 0, done.stdout


def test_its_own_tests_pass_where_it_is_installed(fresh: Environment) -> None:
    done = fresh.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert done.returncode == 0, done.stdout + done.stderr


# ---------------------------------------------------------------------------- the run


@pytest.fixture(scope="module")
def run(fresh: Environment) -> tuple[Path, dict[str, Any]]:
    """Run the example's strategy: the run's folder and its summary."""
    out = fresh.example.parent / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEPTET_COMPILE", "always")
        done = fresh.septet("run", "strategy.yaml", "--out", out, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    (summary,) = out.rglob("summary.json")
    return summary.parent, json.loads(summary.read_text(encoding="utf-8"))


def test_its_strategy_runs(run: tuple[Path, dict[str, Any]]) -> None:
    _, summary = run
    assert summary["strategy"] == "weekend-example"
    assert summary["trades"] > 0


def test_its_steps_are_compiled_like_ours(run: tuple[Path, dict[str, Any]]) -> None:
    """The one plan of the run holds its steps beside built-in ones, and none of them is slow."""
    folder, _ = run
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["compiled"] is True
    assert manifest["slow_parts"] == []
    assert manifest["plan"].startswith("plan_")
    assert "septet-weekend" in json.dumps(manifest)


def test_its_feature_matches_its_description(run: tuple[Path, dict[str, Any]]) -> None:
    """Compare with a computation that shares no code with it."""
    folder, _ = run
    decisions = pl.read_parquet(folder / "decisions.parquet")
    bars = pl.read_parquet(folder / "bars.parquet")
    both = decisions.select("time", "week").join(bars.select("time", "close"), on="time")
    assert len(both) > 1_000
    close = both["close"].to_numpy()
    open_ns = both["time"].dt.timestamp("ns").to_numpy() - BAR_NS
    number = (open_ns - MONDAY_NS) // WEEK_NS
    first = np.flatnonzero(np.diff(number, prepend=number[0] - 1))
    base = close[first][np.searchsorted(first, np.arange(len(close)), side="right") - 1]
    whole_weeks = number > number[0]
    expected = close / base - 1.0
    np.testing.assert_allclose(
        both["week"].to_numpy()[whole_weeks], expected[whole_weeks], 0, 1e-12
    )


def test_its_limit_clips_on_weekends_only(run: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = run
    decisions = pl.read_parquet(folder / "decisions.parquet")
    clipped = decisions.filter(pl.col("capped_by") == "weekend")
    assert len(clipped) > 0
    assert set(clipped["time"].dt.weekday()) <= {6, 7}
    bars = pl.read_parquet(folder / "bars.parquet")
    priced = clipped.join(bars.select("time", "close"), on="time")
    assert len(priced) == len(clipped)
    notional = priced["granted"].abs().to_numpy() * priced["close"].to_numpy()
    equity = pl.read_parquet(folder / "equity.parquet")
    held = priced.join(equity.select("time", "equity"), on="time")["equity"].to_numpy()
    assert (notional <= 0.05 * held * (1 + 1e-9)).all()
