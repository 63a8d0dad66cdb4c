"""One instance per folder and per account; a killed one frees both at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from septet._journal.lease import (
    Holder,
    Lease,
    boot_id,
    holder_of,
    insist_alone,
    mark_path,
    state_folder,
)
from septet._journal.log import Journal
from septet.errors import JournalError, RunError
from tests.journal.drawn import HEAD

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys
from pathlib import Path
from septet._journal.lease import Holder, Lease
holder = Holder.this_process(run_id="r9", strategy="demo", folder=Path(sys.argv[1]), now_ns=10**18)
lease = Lease.take(holder, account=sys.argv[2])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


def _me(folder: Path) -> Holder:
    return Holder.this_process(run_id="r1", strategy="demo", folder=folder, now_ns=0)


def test_a_second_instance_is_told_who_is_there_and_a_killed_one_is_gone(tmp_path: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "a"), "account-1"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ},
    )  # fmt: skip
    assert other.stdin is not None
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    who = rf"process {other.pid} on .*strategy demo, run r9.*since 2001-09-09 01:46:40 UTC"
    with pytest.raises(RunError, match=who):
        Lease.take(_me(tmp_path / "a"))
    with pytest.raises(RunError, match=f"same account is traded by another run: {who}"):
        Lease.take(_me(tmp_path / "b"), account="account-1")
    Lease.take(_me(tmp_path / "b"), account="account-2").release()  # nothing was left held
    found = holder_of(tmp_path / "a")
    assert found is not None
    assert (found.pid, found.run_id) == (other.pid, "r9")
    assert holder_of(tmp_path / "b") is None
    other.send_signal(signal.SIGKILL)
    other.wait()
    other.stdin.close(), other.stdout.close()
    assert holder_of(tmp_path / "a") is None
    with Lease.take(_me(tmp_path / "a")) as lease:
        lease.take_account("account-1")
        with pytest.raises(RunError, match=f"process {os.getpid()}"):
            Lease.take(_me(tmp_path / "a"))
    Lease.take(_me(tmp_path / "a"), account="account-1").release()


def test_where_the_state_is_kept(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert state_folder() == state
    assert mark_path("r1").parent == state / "marks"
    monkeypatch.delenv("SEPTET_STATE_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_folder() == tmp_path / "septet"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert state_folder() == Path.home() / ".local" / "state" / "septet"


def test_a_state_folder_that_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "file"))
    with pytest.raises(RunError, match=r"cannot be made(.|\n)*SEPTET_STATE_DIR"):
        Lease.take(_me(tmp_path))


def test_another_machine_that_writes_here_is_seen(tmp_path: Path) -> None:
    second = 10**9
    with Journal.create(tmp_path / "j", HEAD) as journal:
        insist_alone(journal, now_ns=0)
        journal.begin(pid=7, host="elsewhere", boot=boot_id(), now_ns=0)
        journal.heartbeat(10 * second)
        with pytest.raises(JournalError, match="process 7 on elsewhere writes this run since"):
            insist_alone(journal, now_ns=30 * second)
        insist_alone(journal, now_ns=100 * second)
        journal.end(clean=True, how="signal", now_ns=20 * second)
        insist_alone(journal, now_ns=30 * second)
