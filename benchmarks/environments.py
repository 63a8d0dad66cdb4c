"""The environments of the peers: made by venv and pip when missing or when a pin has changed.

A peer that cannot be installed is left out, and the table reports it; the others take part.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from common import ROOT

__all__ = ["NAMES", "Environment", "prepare"]

NAMES = {
    "peers": "peers.txt",
    "peers-nautilus": "peers-nautilus.txt",
    "peers-zipline": "peers-zipline.txt",
}
HERE = Path(__file__).resolve().parent
STAMP = ".septet-made"


@dataclass(frozen=True)
class Environment:
    """A Python to run workers with, or None; and what could not be installed into it."""

    name: str
    python: Path | None
    refused: list[str] = field(default_factory=list)


def _requirements(text: str) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def _succeeds(command: list[str], log: Path) -> bool:
    """Run a command with its output in a log; state whether it went well."""
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with log.open("a", encoding="utf-8") as out:
        done = subprocess.run(command, stdout=out, stderr=out, env=clean, check=False)
    return done.returncode == 0


def prepare(name: str, report: Callable[[str], None], base: Path = ROOT / ".cache") -> Environment:
    """Return the environment called `name`, made or brought up to date if it must be."""
    text = (HERE / NAMES[name]).read_text(encoding="utf-8")
    folder = base / name
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    mark = hashlib.sha256(f"{text}{sys.version}".encode()).hexdigest()
    stamp = folder / STAMP
    if python.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == mark:
        return Environment(name, python)
    base.mkdir(parents=True, exist_ok=True)
    log = base / f"{name}.log"
    log.unlink(missing_ok=True)
    report(f"installing the peers of {NAMES[name]} into {folder.name} (once; log in {log})")
    if not python.exists() and not _succeeds([sys.executable, "-m", "venv", str(folder)], log):
        return Environment(name, None, ["no environment could be made"])
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-input",
           "--disable-pip-version-check", "--prefer-binary"]  # fmt: skip
    wanted = _requirements(text)
    refused: list[str] = []
    if not _succeeds([*pip, *wanted], log):
        refused = [each for each in wanted if not _succeeds([*pip, each], log)]
    if refused:
        report(f"could not be installed: {', '.join(refused)}")
    else:
        stamp.write_text(mark, encoding="utf-8")
    return Environment(name, python, refused)
