"""The environment that `make` keeps: made, kept, made again when it is broken or moved."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MADE = ".venv/.septet-made"


def _make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {name: text for name, text in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", "-f", str(ROOT / "Makefile"), *arguments],
        cwd=folder,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_machine_without_a_fitting_python_is_reported(tmp_path: Path) -> None:
    done = _make(tmp_path, MADE, "CANDIDATES=no-such-python")
    assert done.returncode == 2
    assert "needs Python 3.11, 3.12 or 3.13" in done.stderr
    assert "no-such-python" in done.stderr
    assert not (tmp_path / MADE).exists()


def test_help_lists_every_target_with_its_purpose(tmp_path: Path) -> None:
    done = _make(tmp_path)
    assert done.returncode == 0
    listed = {line.split()[1] for line in done.stdout.splitlines()}
    assert {"demo", "test", "check", "bench", "soak"} <= listed


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an environment; the same one that a user gets, pip included."""
    folder = tmp_path_factory.mktemp("clone")
    done = _make(folder, MADE, f"PYTHON={sys.executable}")
    assert done.returncode == 0, done.stderr
    assert "making .venv" in done.stdout
    return folder


@pytest.fixture
def made(original: Path, tmp_path: Path) -> Iterator[Path]:
    """The environment at its own place, whatever a test did to a copy of its parts."""
    saved = tmp_path / "saved"
    shutil.copytree(original / ".venv", saved, symlinks=True)
    yield original
    shutil.rmtree(original / ".venv")
    shutil.copytree(saved, original / ".venv", symlinks=True)


def _would_make(folder: Path) -> bool:
    """Return whether `make` would touch the environment, without letting it."""
    done = _make(folder, "-n", MADE)
    assert done.returncode == 0, done.stderr
    return "-m venv --clear" in done.stdout


def test_an_environment_is_kept_mended_and_moved(made: Path) -> None:
    assert not _would_make(made)

    moved = made.with_name("moved")
    made.rename(moved)
    assert _would_make(moved)
    moved.rename(made)

    (made / MADE).unlink()
    adopted = _make(made, MADE)
    assert "using the environment in .venv" in adopted.stdout
    assert not _would_make(made)

    pip = next((made / ".venv" / "lib").glob("python*/site-packages/pip"))
    pip.rename(pip.with_name("half"))
    assert _would_make(made)
    pip.with_name("half").rename(pip)

    (made / ".venv" / "bin" / "python").unlink()
    assert _would_make(made)


def test_a_python_named_on_the_command_line_is_meant(made: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho another Python\n", encoding="utf-8")
    other.chmod(0o755)
    assert "-m venv --clear" in _make(made, "-n", MADE, f"PYTHON={other}").stdout
    assert "up to date" in _make(made, "-n", MADE, f"PYTHON={sys.executable}").stdout
