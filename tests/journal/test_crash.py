"""Killed at any moment: what was committed is there, what is there is whole."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

from septet._journal.journal_writer import Journal
from septet._journal.reader import Reader

ROOT = Path(__file__).resolve().parents[2]
KILLS = 22


def _written_and_killed(path: Path, after: int) -> int:
    """Run a writer, kill it after so many commits; return the last one it spoke of."""
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.journal.writer", str(path)], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    text = [writer.stdout.read(8) for _ in range(after)]
    writer.send_signal(signal.SIGKILL)
    text += [writer.stdout.read()[-8:]]
    writer.wait()
    writer.stdout.close()
    return int.from_bytes([each for each in text if each][-1], "little")


def test_a_killed_writer_loses_nothing_it_committed(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    draw = random.Random(seed)
    path, before = tmp_path / "j", 0
    for _ in range(KILLS):
        text = _written_and_killed(path, draw.randrange(1, 180))
        assert text >= before, f"seed {seed}"
        with Reader(path) as reader:  # while nobody has cleaned up
            seen = reader.last_seq
            assert seen >= text, f"seed {seed}"
        with Journal.open(path, full=draw.random() < 0.3) as journal:
            assert journal.findings.ok, f"{journal.findings}, seed {seed}"
            assert journal.seq == seen, f"seed {seed}"
            assert journal.tail_facts().order == seen
            before = seen
    with Reader(path) as reader:
        assert [entry.seq for entry in reader.read()] == list(range(1, before + 1))
    with Journal.open(path) as journal:
        assert journal.verify().ok
