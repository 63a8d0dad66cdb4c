"""How long one waits for `septet --help` and for `septet check` of the full example, warm."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from common import ROOT, Row, arguments, emit, medians

COMMANDS = {
    "septet --help": (["--help"], 0.15),
    "septet check, the full example": (["check", "tests/strategies/full.yaml"], 0.60),
}


def measure(times: int) -> list[Row]:
    """Start each command `times` times, in turn."""
    program = str(Path(sys.executable).with_name("septet"))

    def starter(words: list[str]) -> None:
        subprocess.run([program, *words], cwd=ROOT, capture_output=True, check=True)

    calls = {name: lambda words=words: starter(words) for name, (words, _) in COMMANDS.items()}
    found = medians(calls, times)
    return [
        Row("start", name, f"{found[name]:.3f} s", f"target {most:.2f} s", most / found[name])
        for name, (_, most) in COMMANDS.items()
    ]


if __name__ == "__main__":
    asked = arguments(__doc__)
    emit(measure(3 if asked.quick else 15), asked.json)
