"""Children of a drill end with it, however it ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from septet._drill.processes import RunProcess

WITHIN_S = 60.0
VENUE = """
import sys
from pathlib import Path
from septet._drill.processes import VenueProcess
from tests.drill.venue.client import config
folder = Path(sys.argv[1])
with VenueProcess(config(journal_path=str(folder / "venue.jsonl")), folder) as venue:
    print(venue._process.pid, flush=True)
    sys.stdin.read()
"""
RUN = """
import sys
from pathlib import Path
from septet._drill.processes import RunProcess
folder = Path(sys.argv[1])
run = RunProcess([], {}, folder / "run.log")
at = run._command.index("septet.cli")
run._command[at:] = ["http.server", "0", "--bind", "127.0.0.1"]
run.start()
print(run._process.pid, flush=True)
sys.stdin.read()
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends them")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("text", [VENUE, RUN], ids=["the venue", "the run"])
def test_a_child_ends_with_the_process_that_started_it(
    text: str, number: signal.Signals, tmp_path: Path
) -> None:
    """A drill that was killed, or ended while it was starting one, left it running."""
    parent = subprocess.Popen(
        [sys.executable, "-c", text, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )  # fmt: skip
    assert parent.stdout is not None
    assert parent.stdin is not None
    child = int(parent.stdout.readline())
    watched = os.pidfd_open(child)
    try:
        parent.send_signal(number)
        assert parent.wait(WITHIN_S) == -number
        ended, _, _ = select.select([watched], [], [], WITHIN_S)
        assert ended, "it runs on"
    finally:
        os.close(watched)
        parent.stdin.close()
        parent.stdout.close()


def test_a_run_is_started_as_such_a_child(tmp_path: Path) -> None:
    command = RunProcess(["file.yaml"], {}, tmp_path / "run.log")._command
    assert command[1:3] == ["-m", "septet._drill.parent_death"]
    assert command[3:] == [str(os.getpid()), "septet.cli", "run", "file.yaml"]
